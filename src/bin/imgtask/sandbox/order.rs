//! An order: what a create asks for, from JSON or from a form.

use serde_json::{Map, Value};

use super::http::Request;
use super::pictures::{Canvas, Format};

/// Longest side of a picture, in pixels.
const MAX_SIDE: u32 = 4096;

/// A refused member and why: the provider wraps it in its own envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) member: &'static str,
    pub(super) message: String,
}

/// Reads the members of a create or an edit. Files of a form are told by their size in bytes.
pub(super) fn members(request: &Request<'_>) -> Option<Map<String, Value>> {
    let content_type = request.header("content-type").unwrap_or_default();
    if content_type.to_ascii_lowercase().starts_with("multipart/form-data") {
        let boundary = content_type.split_once("boundary=")?.1.split(';').next()?.trim().trim_matches('"');
        return form(request.body, boundary);
    }
    match serde_json::from_slice(request.body) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// The prompt, when there is one that says anything.
pub(super) fn prompt(members: &Map<String, Value>) -> Option<&str> {
    members.get("prompt")?.as_str().map(str::trim).filter(|prompt| !prompt.is_empty())
}

/// Truth as gateways take it: a boolean, a number, or one of their words.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        Value::String(word) => truth_word(word),
        _ => None,
    }
}

/// 1, true, yes, on; 0, false, no, off.
pub(super) fn truth_word(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// How many images: the member `n`, at most so many.
pub(super) fn count(members: &Map<String, Value>, most: usize) -> Result<usize, Invalid> {
    let wanted = match members.get("n") {
        None | Some(Value::Null) => return Ok(1),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64().and_then(|count| usize::try_from(count).ok()),
    };
    wanted
        .filter(|count| (1..=most).contains(count))
        .ok_or_else(|| Invalid { member: "n", message: format!("n must be a whole number from 1 to {most}") })
}

/// The picture asked for. `size` is `WxH`, `auto` or a ratio; `aspect_ratio` is a ratio; the longer side of a ratio is 1024,
/// 2048 or 4096 pixels as `resolution` says (1k, 2k, 4k), and so is a square without a size.
pub(super) fn canvas(members: &Map<String, Value>, resolution_names: &[&str]) -> Result<Canvas, Invalid> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let long_side = resolution_names
        .iter()
        .find_map(|name| text(name))
        .and_then(|resolution| match resolution.to_ascii_lowercase().as_str() {
            "1k" => Some(1024),
            "2k" => Some(2048),
            "4k" => Some(4096),
            // The aliases carry other words as well, such as quality "high".
            _ => None,
        })
        .unwrap_or(1024);
    let (width, height) = match text("size").filter(|size| *size != "auto").or_else(|| text("aspect_ratio")) {
        None => (long_side, long_side),
        Some(size) => sides(size, long_side).ok_or_else(|| Invalid {
            member: "size",
            message: format!("size must be WIDTHxHEIGHT with sides from 1 to {MAX_SIDE}, or a ratio such as 16:9"),
        })?,
    };
    let format = match text("output_format") {
        None => Format::Png,
        Some(name) => Format::named(name).ok_or_else(|| Invalid {
            member: "output_format",
            message: "output_format must be png, jpeg or webp".into(),
        })?,
    };
    Ok(Canvas { width, height, format })
}

fn sides(size: &str, long_side: u32) -> Option<(u32, u32)> {
    if let Some((width, height)) = size.split_once(['x', 'X', '×', '*']) {
        let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=MAX_SIDE).contains(side));
        return Some((side(width)?, side(height)?));
    }
    let (across, down) = size.split_once(':')?;
    let part = |text: &str| text.trim().parse::<f64>().ok().filter(|part| part.is_finite() && *part > 0.0);
    let (across, down) = (part(across)?, part(down)?);
    let long = f64::from(long_side);
    let scale = long / across.max(down);
    let side = |part: f64| ((part * scale).round() as u32).clamp(1, MAX_SIDE);
    Some((side(across), side(down)))
}

/// Reads `multipart/form-data`: fields as strings, files as their size; repeated names become lists.
fn form(body: &[u8], boundary: &str) -> Option<Map<String, Value>> {
    let delimiter = format!("--{boundary}");
    let mut members = Map::new();
    let mut rest = &body[find(body, delimiter.as_bytes())? + delimiter.len()..];
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let head_end = find(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&part[..head_end]);
        let content = &part[head_end + 4..];
        let end = find(content, format!("\r\n{delimiter}").as_bytes())?;
        let quoted = |name: &str| head.split_once(&format!("{name}=\""))?.1.split('"').next().map(str::to_owned);
        let value = match quoted("filename") {
            Some(_) => Value::from(end),
            None => Value::from(String::from_utf8_lossy(&content[..end])),
        };
        let name = quoted(" name")?;
        match members.get_mut(&name) {
            None => drop(members.insert(name, value)),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
        rest = &content[end + 2 + delimiter.len()..];
    }
    rest.starts_with(b"--").then_some(members)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of(document: Value) -> Result<(u32, u32), &'static str> {
        let Value::Object(members) = document else { unreachable!() };
        canvas(&members, &["resolution"]).map(|canvas| (canvas.width, canvas.height)).map_err(|invalid| invalid.member)
    }

    #[test]
    fn sizes_are_read_in_every_form() {
        use serde_json::json;
        assert_eq!(size_of(json!({})), Ok((1024, 1024)));
        assert_eq!(size_of(json!({"size": "253x187"})), Ok((253, 187)));
        assert_eq!(size_of(json!({"size": "16:9"})), Ok((1024, 576)));
        assert_eq!(size_of(json!({"size": "auto", "aspect_ratio": "9:16", "resolution": "2K"})), Ok((1152, 2048)));
        assert_eq!(size_of(json!({"resolution": "4k"})), Ok((4096, 4096)));
        for bad in ["5000x10", "0x10", "big", "16:0", "-1x5", "x"] {
            assert_eq!(size_of(json!({"size": bad})), Err("size"), "{bad}");
        }
        assert_eq!(size_of(json!({"output_format": "bmp"})), Err("output_format"));
    }

    #[test]
    fn a_form_gives_its_fields_and_the_sizes_of_its_files() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na cat\r\n--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"b.png\"\r\n\r\nxy\r\n--b--\r\n";
        let members = form(body, "b").unwrap();
        assert_eq!(members["prompt"], "a cat");
        assert_eq!(members["image"], serde_json::json!([6, 2]));
        assert!(form(&body[..body.len() - 6], "b").is_none());
        assert!(form(b"", "b").is_none());
    }
}
