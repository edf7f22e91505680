//! An encoded image becomes pixels that a texture takes as they are.
//!
//! - [`codec`]: PNG, JPEG and WebP become RGBA of 8 bits, within limits that hold before memory is taken.
//! - [`profile`]: the colours of an embedded profile become sRGB.
//! - [`shape`]: the size, the way up, and the order that the caller wants.

#[cfg(feature = "decode")]
mod codec;
#[cfg(feature = "decode")]
mod profile;
#[cfg(feature = "decode")]
mod shape;

use crate::error::Result;
#[cfg(not(feature = "decode"))]
use crate::error::{Error, Status};
use crate::http::Stop;
#[cfg(feature = "decode")]
use crate::picture::PixelFormat;
use crate::picture::{Picture, PictureInfo, PixelOptions, Pixels};

impl Picture {
    /// The image as pixels.
    ///
    /// # Errors
    /// `Unsupported` for a format other than PNG, JPEG and WebP, and in a build without the feature `decode`; `TooLarge` for more
    /// pixels than `how` allows, before memory is taken for them; `BadImage` for bytes that no decoder makes an image of;
    /// `Resource` when there is no memory.
    pub fn decode(&self, how: &PixelOptions) -> Result<Pixels> {
        decode(&self.data, &self.info, how, None)
    }
}

/// Whether this build makes pixels.
pub(crate) fn available() -> Result<()> {
    #[cfg(not(feature = "decode"))]
    return Err(absent());
    #[cfg(feature = "decode")]
    Ok(())
}

/// The pixels of an encoded image. A stop ends it where the decoder asks for more bytes, and between rows and steps after it.
#[cfg(feature = "decode")]
pub(crate) fn decode(data: &[u8], info: &PictureInfo, how: &PixelOptions, stop: Option<&Stop>) -> Result<Pixels> {
    let go_on = || codec::go_on(stop);
    let mut canvas = codec::decode(data, how.limit(), stop)?;
    shape::shrink(&mut canvas, how.max_side, go_on)?;
    profile::to_srgb(&mut canvas, go_on)?;
    shape::turn_upright(&mut canvas)?;
    go_on()?;
    shape::arrange(&mut canvas, how);
    Ok(Pixels {
        data: canvas.rgba,
        format: if how.bgra { PixelFormat::Bgra8 } else { PixelFormat::Rgba8 },
        width: canvas.width,
        height: canvas.height,
        info: info.clone(),
    })
}

#[cfg(not(feature = "decode"))]
pub(crate) fn decode(_: &[u8], _: &PictureInfo, _: &PixelOptions, _: Option<&Stop>) -> Result<Pixels> {
    Err(absent())
}

#[cfg(not(feature = "decode"))]
fn absent() -> Error {
    let message = "this build makes no pixels: build the library with the feature `decode`, or take the encoded bytes";
    Error::new(Status::Unsupported, message)
}

#[cfg(all(test, feature = "decode"))]
mod tests;
