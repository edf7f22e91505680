//! `imgtask_bytes`: an image's bytes, or what is known of the file they are in.

use std::ffi::c_char;
use std::ptr;

use super::blocking::{imgtask_flag, only_flags};
use super::error::imgtask_error;
use super::handle::{self, Handle, Out};
use super::sized::{Place, sized_struct};
use super::text::{Arena, Text};
use super::{free, guard};
use crate::error::{Error, Status};
use crate::picture::{Picture, PictureInfo, SavedPicture};

/// An image's bytes, or what is known of a file that was written. Immutable: any number of threads may read it, and it
/// outlives its task and its client.
pub struct imgtask_bytes {
    data: Option<Vec<u8>>,
    core: PictureInfo,
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
    /// Pixels of four bytes: red, green, blue, alpha; sRGB, alpha not multiplied, top row first, no gap between rows.
    Rgba8 = 1,
    /// Pixels of four bytes: blue, green, red, alpha.
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
    /// The type read from the bytes themselves: "image/png".
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

/// Decodes an image to pixels. This version decodes none: a host that has a decoder gives it imgtask_bytes_info.data.
///
/// @param bytes     an encoded image in memory.
/// @param max_side  longest side of the result in pixels, made smaller where needed; 0: as it is.
/// @param flags     IMGTASK_FLAG_FLIP_Y, IMGTASK_FLAG_BGRA, IMGTASK_FLAG_PREMULTIPLY, or 0.
/// @param out       receives the pixels, NULL on failure. Free them with imgtask_bytes_free.
/// @param error     receives why, or NULL.
/// @return UNSUPPORTED; NULL_ARGUMENT; INVALID_ARGUMENT for bytes that are in a file.
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
        out.required("out")?;
        // SAFETY: NULL or bytes that are not freed, as the header asks.
        let bytes = unsafe { handle::borrow(bytes, "bytes") }?;
        only_flags(flags, imgtask_flag::FlipY as u32 | imgtask_flag::Bgra as u32 | imgtask_flag::Premultiply as u32)?;
        let data =
            bytes.data.as_ref().ok_or_else(|| Error::invalid("bytes are in a file: download the image to memory"))?;
        let _ = (data, max_side);
        Err(Error::new(Status::Unsupported, "this version decodes no images: use the encoded bytes"))
    })
}

/// Frees bytes. Their data and strings are gone with them; a file stays.
///
/// @param bytes  the bytes, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_bytes_free(bytes: *mut imgtask_bytes) {
    // SAFETY: NULL or bytes that nobody uses any more, as the header asks.
    free(|| drop(unsafe { handle::take(bytes) }));
}

impl imgtask_bytes {
    pub(super) fn of_picture(picture: Picture) -> Box<imgtask_bytes> {
        imgtask_bytes::boxed(Some(picture.data), picture.info, "")
    }

    pub(super) fn of_file(saved: &SavedPicture) -> Box<imgtask_bytes> {
        imgtask_bytes::boxed(None, saved.info.clone(), &saved.path.to_string_lossy())
    }

    fn boxed(data: Option<Vec<u8>>, core: PictureInfo, path: &str) -> Box<imgtask_bytes> {
        let texts = [core.media_type, &core.declared_media_type, core.extension, &core.sha256, path];
        let mut text = Arena::with_room(texts.iter().map(|t| t.len()).sum(), texts.len());
        let [media_type, declared_media_type, extension, sha256, path] = texts.map(|t| text.keep(t));
        Box::new(imgtask_bytes { data, core, text, media_type, declared_media_type, extension, sha256, path })
    }

    fn info(&self) -> imgtask_bytes_info {
        imgtask_bytes_info {
            struct_size: 0,
            data: self.data.as_ref().map_or(ptr::null(), |data| data.as_ptr()),
            len: usize::try_from(self.core.len).unwrap_or(usize::MAX),
            row_bytes: 0,
            media_type: self.text.lend(self.media_type),
            declared_media_type: self.text.lend(self.declared_media_type),
            extension: self.text.lend(self.extension),
            sha256: self.text.lend(self.sha256),
            path: self.text.lend(self.path),
            format: imgtask_bytes_format::Encoded,
            width: self.core.width,
            height: self.core.height,
            reserved: 0,
        }
    }
}
