//! Images of anybody.

use super::{assert_presentable, choice};
use crate::error::Status;
use crate::image::{self, Inspector};
use crate::picture::{PictureInfo, PixelFormat, PixelOptions};

/// Most pixels that an image may have here.
const MAX_PIXELS: u64 = 1 << 12;

/// One byte for the options, one for the longest side, then an encoded image.
pub fn pixels(mut data: &[u8]) {
    let flags = choice(&mut data);
    let max_side = u32::try_from(choice(&mut data)).unwrap_or(0);
    let how = PixelOptions {
        max_side,
        max_pixels: MAX_PIXELS,
        flip_y: flags & 1 != 0,
        bgra: flags & 2 != 0,
        premultiply: flags & 4 != 0,
    };
    inspect(data);
    match image::decode(data, &PictureInfo::default(), &how, None) {
        Ok(pixels) => {
            let count = u64::from(pixels.width) * u64::from(pixels.height);
            assert!((1..=MAX_PIXELS).contains(&count), "{pixels:?}");
            assert_eq!(pixels.data.len() as u64, count * 4);
            assert_eq!(pixels.format, if how.bgra { PixelFormat::Bgra8 } else { PixelFormat::Rgba8 });
            assert!(max_side == 0 || pixels.width.max(pixels.height) <= max_side, "{pixels:?}");
            if how.premultiply {
                assert!(pixels.data.chunks_exact(4).all(|pixel| pixel[..3].iter().all(|part| *part <= pixel[3])));
            }
        }
        Err(error) => {
            assert_presentable(&error);
            let expected = [Status::BadImage, Status::TooLarge, Status::Unsupported];
            assert!(expected.contains(&error.status()), "{error:?}");
        }
    }
}

/// What is known of an image does not depend on the pieces that it came in.
fn inspect(data: &[u8]) {
    let told = |piece: usize| {
        let mut inspector = Inspector::new();
        data.chunks(piece).try_for_each(|bytes| inspector.feed(bytes))?;
        inspector.finish(String::new(), true)
    };
    let (whole, pieces) = (told(data.len().max(1)), told(7));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces);
            assert_eq!(whole.len, data.len() as u64);
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole.status(), pieces.status()),
        (whole, pieces) => panic!("{whole:?}, but in pieces {pieces:?}"),
    }
}
