//! What an image's own bytes say: its type, its size, and whether its end is there.
//!
//! Servers mislabel images and send error pages with status 200, so neither Content-Type nor a file's extension counts.

/// A type of image that the magic bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    WebP,
    Gif,
    Avif,
    Heic,
    Bmp,
    Tiff,
    /// No image, but what a task that makes videos gives.
    Mp4,
}

/// So much of an image's beginning is kept: enough for the size of a JPEG with large metadata.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

impl Format {
    /// The format of an image that begins so, `None` when it is none that is known.
    pub(crate) fn of(head: &[u8]) -> Option<Format> {
        let brand = head.get(8..12).filter(|_| head.get(4..8) == Some(b"ftyp"));
        match head {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Format::Png),
            [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(Format::Bmp),
            [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Some(Format::Tiff),
            _ => match brand? {
                b"avif" | b"avis" => Some(Format::Avif),
                b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => Some(Format::Heic),
                b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"M4V " => {
                    Some(Format::Mp4)
                }
                _ => None,
            },
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Format::Png => "image/png",
            Format::Jpeg => "image/jpeg",
            Format::WebP => "image/webp",
            Format::Gif => "image/gif",
            Format::Avif => "image/avif",
            Format::Heic => "image/heic",
            Format::Bmp => "image/bmp",
            Format::Tiff => "image/tiff",
            Format::Mp4 => "video/mp4",
        }
    }

    /// The usual file extension, without a dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Jpeg => "jpg",
            Format::WebP => "webp",
            Format::Gif => "gif",
            Format::Avif => "avif",
            Format::Heic => "heic",
            Format::Bmp => "bmp",
            Format::Tiff => "tiff",
            Format::Mp4 => "mp4",
        }
    }

    /// Width and height in pixels as the head tells them, `None` where it does not.
    pub(crate) fn size(self, head: &[u8]) -> Option<(u32, u32)> {
        let be32 = |at: usize| Some(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let le32 = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let le16 = |at: usize| Some(u32::from(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?)));
        let le24 = |at: usize| {
            let b = head.get(at..at + 3)?;
            Some(u32::from(b[0]) | u32::from(b[1]) << 8 | u32::from(b[2]) << 16)
        };
        match self {
            Format::Png => Some((be32(16)?, be32(20)?)),
            Format::Jpeg => jpeg_size(head),
            Format::WebP => match head.get(12..16)? {
                b"VP8 " => Some((le16(26)? & 0x3FFF, le16(28)? & 0x3FFF)),
                b"VP8L" => le32(21).map(|bits| ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)),
                b"VP8X" => Some((le24(24)? + 1, le24(27)? + 1)),
                _ => None,
            },
            Format::Gif => Some((le16(6)?, le16(8)?)),
            Format::Bmp => Some((le32(18)?, le32(22)?.cast_signed().unsigned_abs())),
            Format::Avif | Format::Heic | Format::Tiff | Format::Mp4 => None,
        }
    }

    /// Whether an image of `len` bytes that begins with `head` and ends with `tail` has its own end.
    ///
    /// `last`: the end mark must be the last thing there is, zero padding aside. Otherwise some bytes may follow it, as some
    /// encoders append data of their own. `None` where the format has no end that can be seen.
    pub(crate) fn is_whole(self, head: &[u8], tail: &[u8], len: u64, last: bool) -> Option<bool> {
        let ends_with = |mark: &[u8]| {
            let end = tail.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
            tail[..end].ends_with(mark) || !last && tail.windows(mark.len()).any(|window| window == mark)
        };
        let le32 = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        match self {
            Format::Png => Some(ends_with(b"IEND\xAE\x42\x60\x82")),
            Format::Jpeg => Some(ends_with(&[0xFF, 0xD9])),
            Format::Gif => Some(ends_with(&[0x3B])),
            Format::WebP => Some(le32(4).is_some_and(|riff| len >= u64::from(riff) + 8)),
            Format::Bmp => Some(le32(2).is_some_and(|size| len >= u64::from(size))),
            Format::Avif | Format::Heic | Format::Tiff | Format::Mp4 => None,
        }
    }
}

/// Walks a JPEG's markers up to its frame header.
fn jpeg_size(head: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let marker = head.get(at..at + 4)?;
        if marker[0] != 0xFF {
            return None;
        }
        match marker[1] {
            0xFF => at += 1,
            0x01 | 0xD0..=0xD8 => at += 2,
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                let frame = head.get(at + 5..at + 9)?;
                let height = u16::from_be_bytes([frame[0], frame[1]]);
                let width = u16::from_be_bytes([frame[2], frame[3]]);
                return Some((width.into(), height.into()));
            }
            0xD9 | 0xDA => return None,
            _ => at += 2 + usize::from(u16::from_be_bytes([marker[2], marker[3]])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x02\x08\x02\0\0\0";

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let known: [(&[u8], Format); 9] = [
            (PIXEL, Format::Png),
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF", Format::Jpeg),
            (b"RIFF\x1a\0\0\0WEBPVP8 ", Format::WebP),
            (b"GIF89a\x01\0\x02\0", Format::Gif),
            (b"\0\0\0\x1cftypavif", Format::Avif),
            (b"\0\0\0\x1cftypheic", Format::Heic),
            (b"BM\x46\0\0\0\0\0\0\0", Format::Bmp),
            (b"II*\0", Format::Tiff),
            (b"\0\0\0\x20ftypisom", Format::Mp4),
        ];
        for (head, format) in known {
            assert_eq!(Format::of(head), Some(format));
        }
        let unknown: [&[u8]; 6] =
            [b"", b"<!doctype html>", b"{\"error\":1}", b"\x89PNG", b"\xFF\xD8", b"RIFF\0\0\0\0WAVE"];
        for head in unknown {
            assert_eq!(Format::of(head), None, "{head:?}");
        }
    }

    #[test]
    fn the_size_is_read_from_the_head() {
        assert_eq!(Format::Png.size(PIXEL), Some((1, 2)));
        assert_eq!(Format::Gif.size(b"GIF89a\x01\0\x02\0"), Some((1, 2)));
        let jpeg = b"\xFF\xD8\xFF\xE0\0\x04ab\xFF\xC0\0\x11\x08\0\x02\0\x01\x03";
        assert_eq!(Format::Jpeg.size(jpeg), Some((1, 2)));
        let lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x02\x80\x00\x00\x00";
        assert_eq!(Format::WebP.size(lossless), Some((3, 3)));
    }

    #[test]
    fn a_cut_head_gives_no_size_and_no_panic() {
        let jpeg = b"\xFF\xD8\xFF\xE0\0\x04ab\xFF\xC0\0\x11\x08\0\x02\0\x01\x03";
        for cut in 0..jpeg.len() - 1 {
            assert_eq!(Format::Jpeg.size(&jpeg[..cut]), None);
        }
        for cut in 0..PIXEL.len() {
            for format in [Format::Png, Format::WebP, Format::Gif, Format::Bmp] {
                let _ = format.size(&PIXEL[..cut]);
            }
        }
    }

    #[test]
    fn an_image_without_its_end_is_not_whole() {
        let end = b"IEND\xAE\x42\x60\x82";
        let png = |tail: &[u8], last| Format::Png.is_whole(PIXEL, tail, 70, last);
        assert_eq!(
            (png(end, true), png(&end[..7], true), png(&end[..7], false)),
            (Some(true), Some(false), Some(false))
        );
        let followed = [&end[..], b"more"].concat();
        assert_eq!((png(&followed, true), png(&followed, false)), (Some(false), Some(true)));
        assert_eq!(Format::Jpeg.is_whole(b"", b"\xFF\xD9\0\0", 9, true), Some(true));
        assert_eq!(Format::WebP.is_whole(b"RIFF\x04\0\0\0WEBP", b"", 12, true), Some(true));
        assert_eq!(Format::WebP.is_whole(b"RIFF\x04\0\0\0WEBP", b"", 11, false), Some(false));
        assert_eq!(Format::Tiff.is_whole(b"II*\0", b"", 9, true), None);
    }
}
