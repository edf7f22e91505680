//! An image that has arrived: its bytes, or the file they are in, and what is known of them.

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
