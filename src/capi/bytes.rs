//! `imgtask_bytes`: an image's bytes or pixels, or what is known of the file it is in.

use std::ffi::c_char;
use std::ptr;

use super::blocking::{imgtask_flag, only_flags};
use super::error::imgtask_error;
use super::handle::{self, Handle, Out};
use super::sized::{Place, sized_struct};
use super::text::{Arena, Text};
use super::{free, guard};
use crate::error::{Error, Status};
use crate::image;
use crate::picture::{Picture, PictureInfo, PixelFormat, PixelOptions, Pixels, SavedPicture};

/// An image's bytes or its pixels, or what is known of a file that was written. Immutable: any number of threads may read it, and it
/// outlives its task and its client.
pub struct imgtask_bytes {
    data: Option<Vec<u8>>,
    core: PictureInfo,
    /// Of pixels: how they lie, across and down.
    pixels: Option<(imgtask_bytes_format, u32, u32)>,
    /// Most pixels that an encoded image may become.
    max_pixels: u64,
    text: Arena,
    media_type: Text,
    declared_media_type: Text,
    extension: Text,
    sha256: Text,
    path: Text,
}

impl Handle for imgtask_bytes {
    type Owner = Box<imgtask_bytes>;
}

/// What the bytes are.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // C reads every value of it.
pub enum imgtask_bytes_format {
    /// An image file as the service made it: PNG, JPEG, WebP ...
    Encoded = 0,
    /// Pixels of four bytes: red, green, blue, alpha; sRGB, no gap between rows; top row first, and colours
    /// not multiplied by alpha, unless a flag asked for it.
    Rgba8 = 1,
    /// Pixels of four bytes: blue, green, red, alpha; otherwise the same.
    Bgra8 = 2,
}

/// An image's bytes. Data and strings are borrowed from the handle; strings are never NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_bytes_info {
    /// Set to sizeof(imgtask_bytes_info) before the call.
    pub struct_size: usize,
    /// The bytes; NULL when they are in a file.
    pub data: *const u8,
    /// How many bytes, in memory or in the file.
    pub len: usize,
    /// Bytes from one row of pixels to the next; 0 for an encoded image.
    pub row_bytes: usize,
    /// The type read from the image's bytes themselves, also of pixels: "image/png".
    pub media_type: *const c_char,
    /// The type that the server named, "" when it named none. Do not trust it.
    pub declared_media_type: *const c_char,
    /// The usual file extension of media_type, without a dot: "png".
    pub extension: *const c_char,
    /// SHA-256 of the encoded image, 64 hex digits in lower case.
    pub sha256: *const c_char,
    /// The file, in UTF-8; "" when the bytes are in memory.
    pub path: *const c_char,
    /// What the bytes are.
    pub format: imgtask_bytes_format,
    /// Pixels across, 0 unknown.
    pub width: u32,
    /// Pixels down, 0 unknown.
    pub height: u32,
    /// 0.
    pub reserved: u32,
}
sized_struct!(imgtask_bytes_info, last: reserved: u32);

/// All that is known of an image's bytes.
///
/// @param bytes  the bytes.
/// @param inout  set its struct_size; the rest is filled.
/// @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_bytes_get(bytes: *const imgtask_bytes, inout: *mut imgtask_bytes_info) -> Status {
    guard(Out::nowhere(), || {
        // SAFETY: NULL or what the header asks for: a struct to write and bytes that are not freed.
        let (place, bytes) = unsafe { (Place::clear(inout, "inout")?, handle::borrow(bytes, "bytes")?) };
        place.fill(bytes.info());
        Ok(())
    })
}

/// Decodes an image to pixels: PNG, JPEG and WebP; of an animation the first picture. A colour profile of RGB in it is followed, so
/// that the result is sRGB; one that is damaged, or of grey or of inks, is not, nor are a PNG's gAMA, cHRM and cICP. An EXIF
/// orientation is followed. Channels of 16 bits become 8.
///
/// @param bytes     an encoded image in memory.
/// @param max_side  longest side of the result in pixels: a larger image is made smaller (Lanczos, weighed by alpha), none is made
///                  larger. 0: as it is.
/// @param flags     IMGTASK_FLAG_FLIP_Y, IMGTASK_FLAG_BGRA, IMGTASK_FLAG_PREMULTIPLY, or 0.
/// @param out       receives the pixels, NULL on failure. Free them with imgtask_bytes_free.
/// @param error     receives why, or NULL.
/// @return OK; TOO_LARGE for more pixels than the client's max_image_pixels, before memory is taken for them, and for a PNG that
///         wants more memory than its size allows; BAD_IMAGE for data that is damaged; UNSUPPORTED for another format, another
///         flag, and in a build without pixels; RESOURCE without memory; NULL_ARGUMENT; INVALID_ARGUMENT for bytes that are in a
///         file or are pixels.
///
/// Works on the calling thread, at tens of millions of pixels a second: in a game take IMGTASK_GOAL_PIXELS, which decodes on a
/// thread of the library. Wants 256 KiB of stack. Needs no client: it may be closed and freed.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_bytes_decode(
    bytes: *const imgtask_bytes,
    max_side: u32,
    flags: u32,
    out: *mut *mut imgtask_bytes,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or places to write, as the header asks.
    let (out, error) = unsafe { (Out::clear(out), Out::clear(error)) };
    guard(error, || {
        let out = out.required("out")?;
        // SAFETY: NULL or bytes that are not freed, as the header asks.
        let bytes = unsafe { handle::borrow(bytes, "bytes") }?;
        only_flags(flags, PIXEL_FLAGS)?;
        if bytes.pixels.is_some() {
            return Err(Error::invalid("bytes are pixels already"));
        }
        let data =
            bytes.data.as_ref().ok_or_else(|| Error::invalid("bytes are in a file: download the image to memory"))?;
        let how = pixel_options(max_side, flags, bytes.max_pixels);
        let pixels = image::decode(data, &bytes.core, &how, None)?;
        out.give_if_wanted(|| imgtask_bytes::of_pixels(pixels));
        Ok(())
    })
}

/// The flags that say how pixels lie.
pub(super) const PIXEL_FLAGS: u32 =
    imgtask_flag::FlipY as u32 | imgtask_flag::Bgra as u32 | imgtask_flag::Premultiply as u32;

pub(super) fn pixel_options(max_side: u32, flags: u32, max_pixels: u64) -> PixelOptions {
    let has = |flag: imgtask_flag| flags & flag as u32 != 0;
    PixelOptions {
        max_side,
        max_pixels,
        flip_y: has(imgtask_flag::FlipY),
        bgra: has(imgtask_flag::Bgra),
        premultiply: has(imgtask_flag::Premultiply),
    }
}

/// Frees bytes. Their data and strings are gone with them; a file stays. The system takes some milliseconds to have 64 MiB of pixels
/// back: ask for no more than the frame shows, or free them on another thread.
///
/// @param bytes  the bytes, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_bytes_free(bytes: *mut imgtask_bytes) {
    // SAFETY: NULL or bytes that nobody uses any more, as the header asks.
    free(|| drop(unsafe { handle::take(bytes) }));
}

impl imgtask_bytes {
    /// `max_pixels`: what the client allows when it is decoded.
    pub(super) fn of_picture(picture: Picture, max_pixels: u64) -> Box<imgtask_bytes> {
        imgtask_bytes { max_pixels, ..imgtask_bytes::new(Some(picture.data), picture.info, "") }.into()
    }

    pub(super) fn of_pixels(pixels: Pixels) -> Box<imgtask_bytes> {
        let format = match pixels.format {
            PixelFormat::Rgba8 => imgtask_bytes_format::Rgba8,
            PixelFormat::Bgra8 => imgtask_bytes_format::Bgra8,
        };
        let shape = Some((format, pixels.width, pixels.height));
        imgtask_bytes { pixels: shape, ..imgtask_bytes::new(Some(pixels.data), pixels.info, "") }.into()
    }

    pub(super) fn of_file(saved: &SavedPicture) -> Box<imgtask_bytes> {
        imgtask_bytes::new(None, saved.info.clone(), &saved.path.to_string_lossy()).into()
    }

    fn new(data: Option<Vec<u8>>, core: PictureInfo, path: &str) -> imgtask_bytes {
        let texts = [core.media_type, &core.declared_media_type, core.extension, &core.sha256, path];
        let mut text = Arena::with_room(texts.iter().map(|t| t.len()).sum(), texts.len());
        let [media_type, declared_media_type, extension, sha256, path] = texts.map(|t| text.keep(t));
        let (pixels, max_pixels) = (None, 0);
        imgtask_bytes { data, core, pixels, max_pixels, text, media_type, declared_media_type, extension, sha256, path }
    }

    fn info(&self) -> imgtask_bytes_info {
        let encoded = (imgtask_bytes_format::Encoded, self.core.width, self.core.height);
        let (format, width, height) = self.pixels.unwrap_or(encoded);
        let len = self.data.as_ref().map_or_else(|| usize::try_from(self.core.len).unwrap_or(usize::MAX), Vec::len);
        imgtask_bytes_info {
            struct_size: 0,
            data: self.data.as_ref().map_or(ptr::null(), |data| data.as_ptr()),
            len,
            row_bytes: if self.pixels.is_some() { width as usize * 4 } else { 0 },
            media_type: self.text.lend(self.media_type),
            declared_media_type: self.text.lend(self.declared_media_type),
            extension: self.text.lend(self.extension),
            sha256: self.text.lend(self.sha256),
            path: self.text.lend(self.path),
            format,
            width,
            height,
            reserved: 0,
        }
    }
}
