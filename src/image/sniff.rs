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
        let end = tail.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
        let ends_behind = |from: usize, mark: &[u8]| {
            let kept_from = len.saturating_sub(tail.len() as u64);
            let from = usize::try_from((from as u64).saturating_sub(kept_from)).unwrap_or(usize::MAX);
            tail.get(from..end).is_some_and(|tail| tail.ends_with(mark))
                || !last && tail.windows(mark.len()).skip(from).any(|window| window == mark)
        };
        let ends_with = |mark| ends_behind(0, mark);
        let le32 = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        match self {
            Format::Png => Some(ends_with(b"IEND\xAE\x42\x60\x82")),
            // A preview in the metadata has an end of its own: only one behind the beginning of the scan counts.
            Format::Jpeg => match jpeg_walk(head, |marker| marker == 0xDA) {
                Ok(scan) => Some(ends_behind(scan, &[0xFF, 0xD9])),
                // It ends before its scan begins, or has none.
                Err(at) if at as u64 + 4 > len || at + 4 <= head.len() => Some(false),
                // The scan begins behind what is kept.
                Err(_) => Some(ends_with(&[0xFF, 0xD9])).filter(|is_whole| !(last && *is_whole)),
            },
            // The last block's end, and one byte: the length must be proved too.
            Format::Gif => Some(ends_with(&[0, 0x3B])).filter(|is_whole| !(last && *is_whole)),
            Format::WebP => Some(le32(4).is_some_and(|riff| len >= u64::from(riff) + 8)),
            Format::Bmp => Some(le32(2).is_some_and(|size| len >= u64::from(size))),
            Format::Avif | Format::Heic | Format::Tiff | Format::Mp4 => None,
        }
    }
}

/// A JPEG's frame header tells its size.
fn jpeg_size(head: &[u8]) -> Option<(u32, u32)> {
    let at = jpeg_walk(head, |marker| matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF)).ok()?;
    let frame = head.get(at + 5..at + 9)?;
    let height = u16::from_be_bytes([frame[0], frame[1]]);
    let width = u16::from_be_bytes([frame[2], frame[3]]);
    Some((width.into(), height.into()))
}

/// Walks a JPEG's markers up to one that `is_wanted`, and gives where it is; else where its scan, its end or the end of `head`
/// came first.
fn jpeg_walk(head: &[u8], is_wanted: impl Fn(u8) -> bool) -> Result<usize, usize> {
    let mut at = 2;
    loop {
        match head.get(at..at + 4) {
            Some([0xFF, 0x00 | 0x01 | 0xD0..=0xD8, ..]) => at += 2,
            Some([0xFF, marker, ..]) if is_wanted(*marker) => return Ok(at),
            None | Some([0xFF, 0xD9 | 0xDA, ..]) => return Err(at),
            Some([0xFF, marker, high, low]) if *marker < 0xFF => {
                at += 2 + usize::from(u16::from_be_bytes([*high, *low]))
            }
            // Decoders skip what is no marker.
            Some(_) => at += 1,
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
        assert_eq!(Format::WebP.is_whole(b"RIFF\x04\0\0\0WEBP", b"", 12, true), Some(true));
        assert_eq!(Format::WebP.is_whole(b"RIFF\x04\0\0\0WEBP", b"", 11, false), Some(false));
        assert_eq!(Format::Tiff.is_whole(b"II*\0", b"", 9, true), None);
    }

    #[test]
    fn the_end_of_a_preview_is_not_the_end_of_a_jpeg() {
        let whole = |bytes: &[u8], last| Format::Jpeg.is_whole(bytes, bytes, bytes.len() as u64, last);
        let jpeg = b"\xFF\xD8\xFF\xE1\0\x08\xFF\xD8\xFF\xD9\0\0\xFF\xDA\0\x04ab..\xFF\xD9\0\0";
        for cut in 2..jpeg.len() {
            for last in [true, false] {
                let padded = [&jpeg[..cut], &[0; 9]].concat();
                let expected = Some(cut >= jpeg.len() - 2);
                assert_eq!((whole(&jpeg[..cut], last), whole(&padded, last)), (expected, expected), "{cut} {last}");
            }
        }
        // Other pictures and bytes that decoders skip come before the scan.
        let odd = [&jpeg[..12], b"..", &jpeg[12..]].concat();
        assert_eq!((whole(&odd, true), whole(&odd[..14], true)), (Some(true), Some(false)));
        // A scan that begins behind what is kept is believed where the length is proved.
        let (head, tail) = ([&jpeg[..2], b"\xFF\xE1\xFF\xFF", &[1; 9]].concat(), b"\xFF\xD9");
        let far = |len, last| Format::Jpeg.is_whole(&head, tail, len, last);
        assert_eq!((far(99_999, false), far(99_999, true), far(60_000, false)), (Some(true), None, Some(false)));
    }

    #[test]
    fn a_gif_is_whole_where_its_length_is_proved_and_its_last_block_ends() {
        let whole = |tail: &[u8], last| Format::Gif.is_whole(b"GIF89a", tail, 99, last);
        assert_eq!((whole(b"a\0;", false), whole(b"a\0;", true)), (Some(true), None));
        assert_eq!((whole(b"ab;", false), whole(b"ab;", true)), (Some(false), Some(false)));
    }
}
