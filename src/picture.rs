//! An image that has arrived: its bytes, its pixels, or the file it is in, and what is known of it.

use std::fmt;
use std::path::PathBuf;

/// What is known of an image's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PictureInfo {
    /// Length in bytes.
    pub len: u64,
    /// The type read from the bytes: `image/png`.
    pub media_type: &'static str,
    /// The type the server named, "" when it named none.
    pub declared_media_type: String,
    /// The usual file extension of `media_type`, without a dot: `png`.
    pub extension: &'static str,
    /// Pixels across, 0 unknown.
    pub width: u32,
    /// Pixels down, 0 unknown.
    pub height: u32,
    /// SHA-256 of the bytes, 64 hex digits in lower case.
    pub sha256: String,
}

/// An image's bytes as the service encoded them.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// The encoded image.
    pub data: Vec<u8>,
    /// What is known of it.
    pub info: PictureInfo,
}

// Megabytes of an image belong into no log.
impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = format_args!("{} bytes", self.data.len());
        f.debug_struct("Picture").field("data", &data).field("info", &self.info).finish()
    }
}

/// An image that was written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPicture {
    /// The file.
    pub path: PathBuf,
    /// What is known of the bytes in it.
    pub info: PictureInfo,
}

/// The order of a pixel's four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PixelFormat {
    /// Red, green, blue, alpha.
    #[default]
    Rgba8,
    /// Blue, green, red, alpha.
    Bgra8,
}

/// How an image becomes pixels. The default is what most textures take: as large as it is, RGBA, top row first, colours not
/// multiplied by alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PixelOptions {
    /// Longest side of the result in pixels; a larger image is made smaller, none is made larger. 0: as it is.
    pub max_side: u32,
    /// Most pixels that an image may have to be decoded. 0: those of the client, else 67,108,864 (8192 x 8192). A journal does not
    /// keep it: a job that is resumed has the client's limit.
    pub max_pixels: u64,
    /// Bottom row first.
    pub flip_y: bool,
    /// Blue, green, red, alpha.
    pub bgra: bool,
    /// Colours multiplied by alpha.
    pub premultiply: bool,
}

impl PixelOptions {
    /// Most pixels of an image when nobody says: 256 MiB of them.
    pub(crate) const MAX_PIXELS: u64 = 1 << 26;

    /// Most pixels that an image may have.
    #[cfg(feature = "decode")]
    pub(crate) fn limit(&self) -> u64 {
        if self.max_pixels == 0 { PixelOptions::MAX_PIXELS } else { self.max_pixels }
    }
}

/// An image as pixels of four bytes in sRGB, rows without a gap.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    /// `width * height * 4` bytes.
    pub data: Vec<u8>,
    /// The order of a pixel's bytes.
    pub format: PixelFormat,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// What is known of the encoded image.
    pub info: PictureInfo,
}

// As with an encoded image.
impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pixels { format, width, height, info, .. } = self;
        let size = format_args!("{width} x {height}");
        f.debug_struct("Pixels").field("format", format).field("size", &size).field("info", info).finish()
    }
}
