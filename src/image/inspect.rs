//! Looks at an image's bytes as they pass: type, size, fingerprint, and whether all of it came.

use ring::digest::{Context, SHA256};

use super::sniff::{Format, HEAD_BYTES};
use crate::error::{Error, Result, Status};
use crate::picture::PictureInfo;

/// So many bytes tell every format.
const MAGIC_BYTES: usize = 16;
/// The end of an image is looked for in so many last bytes.
const TAIL_BYTES: usize = 4 * 1024;

/// Fed with an image piece by piece; keeps its head, its tail and its fingerprint, never the whole.
pub(crate) struct Inspector {
    format: Option<Format>,
    head: Vec<u8>,
    tail: Vec<u8>,
    len: u64,
    hash: Context,
}

impl Inspector {
    /// Bytes of memory that it holds, at most.
    pub(crate) const MOST_BYTES: usize = HEAD_BYTES + 2 * TAIL_BYTES;

    pub(crate) fn new() -> Inspector {
        Inspector { format: None, head: Vec::new(), tail: Vec::new(), len: 0, hash: Context::new(&SHA256) }
    }

    /// Takes the next bytes. `BadImage` as soon as they cannot be an image.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() >= TAIL_BYTES {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - TAIL_BYTES..]);
        } else {
            self.tail.extend_from_slice(bytes);
            let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
            self.tail.drain(..surplus);
        }
        self.len += bytes.len() as u64;
        self.hash.update(bytes);
        if self.format.is_none() && self.head.len() >= MAGIC_BYTES {
            self.format = Some(self.tell_format()?);
        }
        Ok(())
    }

    /// The verdict on the whole. An image must show its own end where its format has one. `framed` says that the transport
    /// itself proved the length; otherwise nothing may follow that end.
    pub(crate) fn finish(&self, declared_media_type: String, framed: bool) -> Result<PictureInfo> {
        let cut = || Error::new(Status::Io, "the connection ended before the image did");
        let format = match self.format.or_else(|| Format::of(&self.head)) {
            Some(format) => format,
            // Too little to tell, and nothing says that it is all.
            None if !framed => return Err(cut()),
            None if self.len == 0 => return Err(Error::new(Status::BadImage, "the image is empty")),
            None => self.tell_format()?,
        };
        match format.is_whole(&self.head, &self.tail, self.len, !framed) {
            Some(true) => {}
            None if framed => {}
            Some(false) if framed => return Err(Error::new(Status::BadImage, "the image is cut: its end is missing")),
            Some(false) => return Err(cut()),
            None => {
                let message = "the image came without a length, and its format has no end that proves it whole";
                return Err(Error::new(Status::BadImage, message));
            }
        }
        let (width, height) = format.size(&self.head).unwrap_or_default();
        Ok(PictureInfo {
            len: self.len,
            media_type: format.media_type(),
            declared_media_type,
            extension: format.extension(),
            width,
            height,
            sha256: hex(self.hash.clone().finish().as_ref()),
        })
    }

    fn tell_format(&self) -> Result<Format> {
        Format::of(&self.head).ok_or_else(|| {
            let what = match self.head.trim_ascii_start().first() {
                Some(b'<') => "a web page",
                Some(b'{' | b'[') => "a JSON text",
                _ => "bytes of no known image format",
            };
            Error::new(Status::BadImage, format!("what came is {what}, not an image"))
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] =
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x02\x08\x02\0\0\0\0\0\0\0IDAT\0\0\0\0\0\0\0\0IEND\xAE\x42\x60\x82";

    fn inspect(bytes: &[u8], piece: usize, framed: bool) -> Result<PictureInfo> {
        let mut inspector = Inspector::new();
        for bytes in bytes.chunks(piece) {
            inspector.feed(bytes)?;
        }
        inspector.finish("image/x".into(), framed)
    }

    #[test]
    fn the_pieces_do_not_matter() {
        let whole = inspect(PNG, PNG.len(), false).expect("an image");
        for piece in 1..PNG.len() {
            assert_eq!(inspect(PNG, piece, false).expect("an image"), whole);
        }
        assert_eq!((whole.media_type, whole.width, whole.height, whole.len), ("image/png", 1, 2, PNG.len() as u64));
        assert_eq!(whole.sha256.len(), 64);
    }

    #[test]
    fn the_fingerprint_is_sha_256() {
        assert_eq!(
            hex(ring::digest::digest(&SHA256, b"abc").as_ref()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_image_cut_anywhere_is_refused_also_where_its_length_was_proved() {
        for cut in 0..PNG.len() {
            for framed in [false, true] {
                assert!(inspect(&PNG[..cut], 7, framed).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_page_is_refused_at_its_first_bytes() {
        let error = Inspector::new().feed(b"<!doctype html><html>...").expect_err("not an image");
        assert_eq!(error.status(), Status::BadImage);
        assert!(error.message().contains("web page"));
    }
}
