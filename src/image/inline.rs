//! An image that is its own link: data URLs in all their forms, and bare base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Error, Result, Status};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The bytes of an inline image, and the type it names ("" when it names none).
///
/// `limit` bounds the decoded bytes; a text that must exceed it is refused before memory is taken.
pub(crate) fn decode(text: &str, limit: u64) -> Result<(Vec<u8>, String)> {
    let text = text.trim();
    let Some(rest) = strip_scheme(text) else { return Ok((from_base64(text, limit)?, String::new())) };
    let Some((head, payload)) = rest.split_once(',') else {
        return Err(bad("the data URL has no comma"));
    };
    let mut parameters = head.split(';');
    let media_type = parameters.next().unwrap_or_default().trim().to_ascii_lowercase();
    let bytes = if parameters.any(|p| p.trim().eq_ignore_ascii_case("base64")) {
        // Base64 knows no percent sign, so one means that the text was escaped on its way.
        let payload = if payload.contains('%') { Cow::Owned(unescape(payload)) } else { payload.as_bytes().into() };
        let payload = std::str::from_utf8(&payload).map_err(|_| bad("the data URL is not base64"))?;
        from_base64(payload, limit)?
    } else {
        let bytes = unescape(payload);
        if bytes.len() as u64 > limit {
            return Err(too_large(limit));
        }
        bytes
    };
    Ok((bytes, media_type))
}

fn strip_scheme(text: &str) -> Option<&str> {
    let scheme = text.get(..5)?;
    scheme.eq_ignore_ascii_case("data:").then(|| &text[5..])
}

fn from_base64(text: &str, limit: u64) -> Result<Vec<u8>> {
    let text: Cow<str> = if text.bytes().any(|b| b.is_ascii_whitespace()) {
        text.split_ascii_whitespace().collect::<String>().into()
    } else {
        text.into()
    };
    if text.is_empty() {
        return Err(bad("the inline image is empty"));
    }
    let significant = text.trim_end_matches('=').len() as u64;
    if significant / 4 * 3 > limit {
        return Err(too_large(limit));
    }
    let engine = if text.bytes().any(|b| b == b'-' || b == b'_') { &URL_SAFE } else { &STANDARD };
    let bytes = engine.decode(text.as_bytes()).map_err(|_| bad("the inline image is not valid base64"))?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

fn unescape(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

fn bad(message: &str) -> Error {
    Error::new(Status::BadImage, message)
}

fn too_large(limit: u64) -> Error {
    Error::new(Status::TooLarge, format!("the inline image is larger than the limit of {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        decode(text, 1_000).expect("decodes").0
    }

    #[test]
    fn every_form_of_a_data_url_gives_the_same_bytes() {
        let want = [0xFB, 0xFF, 0xBF, 0x00];
        for text in [
            "data:image/png;base64,+/+/AA==",
            "DATA:image/png;BASE64,+/+/AA==",
            "data:;base64,+/+/AA",
            "data:image/png;charset=utf-8;base64,-_-_AA",
            "data:image/png;base64,+/+/\r\n AA==",
            "data:image/png;base64,%2B%2F%2B%2FAA%3D%3D",
            "data:image/png,%FB%FF%BF%00",
            "  +/+/AA==\n",
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
    }

    #[test]
    fn the_named_type_is_told_in_lower_case() {
        assert_eq!(decode("data:IMAGE/WebP;base64,AAAA", 10).expect("decodes").1, "image/webp");
        assert_eq!(decode("AAAA", 10).expect("decodes").1, "");
    }

    #[test]
    fn what_is_no_image_text_is_refused_without_repeating_it() {
        for text in
            ["", "data:", "data:image/png;base64", "data:image/png;base64,", "data:image/png;base64,S3CR3T!", "ü"]
        {
            let error = decode(text, 1_000).expect_err(text);
            assert_eq!(error.status(), Status::BadImage);
            assert!(!error.message().contains("S3CR3T"));
        }
    }

    #[test]
    fn the_limit_is_exact() {
        assert_eq!(bytes("AAAA").len(), 3);
        assert!(decode("AAAA", 3).is_ok());
        assert_eq!(decode("AAAA", 2).expect_err("too large").status(), Status::TooLarge);
        assert_eq!(decode("data:,abc", 2).expect_err("too large").status(), Status::TooLarge);
    }
}
