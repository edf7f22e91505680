//! The size, the way up, and the order of channels and rows that the caller wants.

use image::metadata::Orientation;
use image::{RgbaImage, imageops};
use resize::{Pixel, Type};
use rgb::FromSlice as _;

use super::codec::{Canvas, no_memory};
use crate::error::Result;
use crate::picture::PixelOptions;

/// Makes the image smaller until its longest side has `max_side` pixels; 0 leaves it. Lanczos with three lobes, each pixel weighed
/// by its alpha, so that what is under the transparent parts does not show at their edges.
pub(super) fn shrink(canvas: &mut Canvas, max_side: u32) -> Result<()> {
    let longest = canvas.width.max(canvas.height);
    if max_side == 0 || longest <= max_side {
        return Ok(());
    }
    let scaled = |side: u32| {
        let side = (u64::from(side) * u64::from(max_side) + u64::from(longest) / 2) / u64::from(longest);
        u32::try_from(side).unwrap_or(max_side).max(1)
    };
    let (width, height) = (scaled(canvas.width), scaled(canvas.height));
    let (from, to) = ((canvas.width as usize, canvas.height as usize), (width as usize, height as usize));
    let mut small = Vec::new();
    small.try_reserve_exact(to.0 * to.1 * 4).map_err(|_| no_memory())?;
    small.resize(to.0 * to.1 * 4, 0);
    let resizer = resize::new(from.0, from.1, to.0, to.1, Pixel::RGBA8P, Type::Lanczos3);
    let resized = resizer.and_then(|mut resizer| resizer.resize(canvas.rgba.as_rgba(), small.as_rgba_mut()));
    // Its other errors are about sizes that do not fit, and these do.
    resized.map_err(|_| no_memory())?;
    (canvas.rgba, canvas.width, canvas.height) = (small, width, height);
    Ok(())
}

/// Turns the image as its camera says.
pub(super) fn turn_upright(canvas: &mut Canvas) -> Result<()> {
    if canvas.orientation == Orientation::NoTransforms {
        return Ok(());
    }
    let rgba = std::mem::take(&mut canvas.rgba);
    let mut upright = RgbaImage::from_raw(canvas.width, canvas.height, rgba).ok_or_else(no_memory)?;
    match canvas.orientation {
        Orientation::NoTransforms => {}
        Orientation::Rotate180 => imageops::rotate180_in_place(&mut upright),
        Orientation::FlipHorizontal => imageops::flip_horizontal_in_place(&mut upright),
        Orientation::FlipVertical => imageops::flip_vertical_in_place(&mut upright),
        Orientation::Rotate90 => upright = imageops::rotate90(&upright),
        Orientation::Rotate270 => upright = imageops::rotate270(&upright),
        Orientation::Rotate90FlipH => {
            upright = imageops::rotate90(&upright);
            imageops::flip_horizontal_in_place(&mut upright);
        }
        Orientation::Rotate270FlipH => {
            upright = imageops::rotate270(&upright);
            imageops::flip_horizontal_in_place(&mut upright);
        }
    }
    (canvas.width, canvas.height) = upright.dimensions();
    canvas.rgba = upright.into_raw();
    Ok(())
}

/// Puts channels and rows in the order that the caller wants.
pub(super) fn arrange(canvas: &mut Canvas, how: &PixelOptions) {
    if how.premultiply {
        for pixel in canvas.rgba.chunks_exact_mut(4).filter(|pixel| pixel[3] != 255) {
            let alpha = u32::from(pixel[3]);
            for part in &mut pixel[..3] {
                *part = u8::try_from((u32::from(*part) * alpha + 127) / 255).unwrap_or(u8::MAX);
            }
        }
    }
    if how.bgra {
        canvas.rgba.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2));
    }
    if how.flip_y {
        let row = canvas.width as usize * 4;
        let (upper, lower) = canvas.rgba.split_at_mut(canvas.height as usize / 2 * row);
        for (one, other) in upper.chunks_exact_mut(row).zip(lower.chunks_exact_mut(row).rev()) {
            one.swap_with_slice(other);
        }
    }
}
