//! PNG, JPEG and WebP become RGBA of 8 bits, colours not multiplied by alpha, top row first, no gap between rows.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, Limits};

use crate::error::{Error, Result, Status};
use crate::http::Stop;
use crate::image::sniff::Format;
use crate::panics;

/// Pixels, and what is still to be done to them.
pub(super) struct Canvas {
    pub(super) rgba: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
    /// The embedded colour profile.
    pub(super) profile: Option<Vec<u8>>,
    /// What must be done to it to stand upright.
    pub(super) orientation: Orientation,
}

/// What a profile may unfold to beyond the bytes of the image that carries it.
const UNFOLDED_BYTES: u64 = 1024 * 1024;
/// So much at a time goes to a decoder, which may be stopped in between.
const PIECE_BYTES: usize = 32 * 1024;

pub(super) fn decode(data: &[u8], max_pixels: u64, stop: Option<&Stop>) -> Result<Canvas> {
    let format = Format::of(data).ok_or_else(|| Error::new(Status::BadImage, "the bytes are no known image format"))?;
    // Before a decoder sees it: some take a row's memory at once, and a row may be all there is.
    if let Some((width, height)) = format.size(data) {
        check_size(width, height, max_pixels)?;
    }
    if format == Format::WebP {
        lossy_frames(data).try_for_each(|(width, height)| check_size(width, height, max_pixels))?;
    }
    let source = Source { bytes: Cursor::new(data), stop };
    let result = panics::contain(|| match format {
        Format::Png => {
            let row = format.size(data).map_or(0, |(width, _)| u64::from(width) * 8);
            let memory = data.len() as u64 * 2 + row * 2 + UNFOLDED_BYTES;
            let mut limits = Limits::no_limits();
            limits.max_alloc = Some(memory);
            paint(PngDecoder::with_limits(source, limits).map_err(in_words)?, max_pixels)
        }
        Format::Jpeg => paint(JpegDecoder::new(source).map_err(in_words)?, max_pixels),
        Format::WebP => paint(WebPDecoder::new(source).map_err(in_words)?, max_pixels),
        other => {
            let message = format!("{} is not decoded here, only PNG, JPEG and WebP are", other.media_type());
            Err(Error::new(Status::Unsupported, message))
        }
    });
    go_on(stop)?;
    // A decoder that gives up so has met bytes that it was not made for; its caller is well.
    result.map_err(|error| if error.status() == Status::Panic { damaged() } else { error })
}

/// Refuses to go on when the caller has been stopped.
pub(super) fn go_on(stop: Option<&Stop>) -> Result<()> {
    match stop.is_some_and(Stop::is_stopped) {
        true => Err(Error::new(Status::Cancelled, "the job was ended while its image was decoded")),
        false => Ok(()),
    }
}

fn check_size(width: u32, height: u32, max_pixels: u64) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Error::new(Status::BadImage, "the image has no pixels"));
    }
    if pixels > max_pixels || usize::try_from(pixels.saturating_mul(8)).is_err() {
        let message = format!("the image has {width} x {height} pixels, more than the limit of {max_pixels}");
        return Err(Error::new(Status::TooLarge, message));
    }
    Ok(())
}

/// The sizes of a WebP's lossy frames, wherever they stand. The decoder takes memory for such a frame before it sees that it is no
/// part of the image.
fn lossy_frames(webp: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    webp.windows(18).filter_map(move |chunk| match *chunk {
        // Its name, its length, the frame's tag, a mark, the size.
        [b'V', b'P', b'8', b' ', _, _, _, _, _, _, _, 0x9D, 0x01, 0x2A, left, right, upper, lower] => {
            Some((side(left, right), side(upper, lower)))
        }
        _ => None,
    })
}

fn paint(mut decoder: impl ImageDecoder, max_pixels: u64) -> Result<Canvas> {
    let (width, height) = decoder.dimensions();
    check_size(width, height, max_pixels)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let color = decoder.color_type();
    let pixels = width as usize * height as usize;
    let own = pixels * usize::from(color.bytes_per_pixel());
    let room = own.max(pixels * 4);
    let mut rgba = Vec::new();
    rgba.try_reserve_exact(room).map_err(|_| no_memory())?;
    rgba.resize(room, 0);
    decoder.read_image(&mut rgba[..own]).map_err(in_words)?;
    spread(&mut rgba, pixels, color)?;
    Ok(Canvas { rgba, width, height, profile, orientation })
}

/// Makes RGBA of what the decoder wrote, in its place.
fn spread(buffer: &mut Vec<u8>, pixels: usize, color: ColorType) -> Result<()> {
    let narrow = |p: &[u8]| {
        let wide = u32::from(u16::from_ne_bytes([p[0], p[1]]));
        u8::try_from((wide * 255 + 32_767) / 65_535).unwrap_or(u8::MAX)
    };
    match color {
        ColorType::Rgba8 => {}
        ColorType::Rgb8 => each(buffer, pixels, 3, |p| [p[0], p[1], p[2], 255]),
        ColorType::L8 => each(buffer, pixels, 1, |p| [p[0], p[0], p[0], 255]),
        ColorType::La8 => each(buffer, pixels, 2, |p| [p[0], p[0], p[0], p[1]]),
        ColorType::L16 => each(buffer, pixels, 2, |p| {
            let grey = narrow(p);
            [grey, grey, grey, 255]
        }),
        ColorType::La16 => each(buffer, pixels, 4, |p| {
            let grey = narrow(p);
            [grey, grey, grey, narrow(&p[2..])]
        }),
        ColorType::Rgb16 => each(buffer, pixels, 6, |p| [narrow(p), narrow(&p[2..]), narrow(&p[4..]), 255]),
        ColorType::Rgba16 => {
            each(buffer, pixels, 8, |p| [narrow(p), narrow(&p[2..]), narrow(&p[4..]), narrow(&p[6..])]);
        }
        _ => return Err(Error::new(Status::Unsupported, "the image keeps its colours in a form that is not decoded")),
    }
    buffer.truncate(pixels * 4);
    buffer.shrink_to_fit();
    Ok(())
}

/// Turns pixels of `from` bytes into pixels of four, beginning at the end that is not written over before it is read.
fn each(buffer: &mut [u8], pixels: usize, from: usize, pixel: impl Fn(&[u8]) -> [u8; 4]) {
    let mut turn = |n: usize| {
        let four = pixel(&buffer[n * from..][..from]);
        buffer[n * 4..][..4].copy_from_slice(&four);
    };
    if from < 4 { (0..pixels).rev().for_each(&mut turn) } else { (0..pixels).for_each(&mut turn) }
}

/// A decoder's own text may quote what is in the image.
fn in_words(error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => {
            Error::new(Status::TooLarge, "the image wants more memory to be decoded than its size allows")
        }
        ImageError::Unsupported(_) => {
            Error::new(Status::Unsupported, "the image uses a part of its format that is not decoded")
        }
        _ => damaged(),
    }
}

fn damaged() -> Error {
    Error::new(Status::BadImage, "the image cannot be decoded: its data is damaged")
}

pub(super) fn no_memory() -> Error {
    Error::new(Status::Resource, "out of memory for the pixels")
}

/// An image's bytes for a decoder, which ends when its job does.
struct Source<'a> {
    bytes: Cursor<&'a [u8]>,
    stop: Option<&'a Stop>,
}

impl Source<'_> {
    fn go_on(&self) -> io::Result<()> {
        match self.stop.is_some_and(Stop::is_stopped) {
            true => Err(io::ErrorKind::Other.into()),
            false => Ok(()),
        }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.go_on()?;
        self.bytes.read(buffer)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.go_on()?;
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(PIECE_BYTES)])
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}
