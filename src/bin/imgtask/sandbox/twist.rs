//! Faults at work: answers in place of the honest one, and changes to the honest one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Service;
use super::answer::{Answer, Body, End, Framing};
use super::catalogue::{Kind, Stage};
use super::gateway::{Call, Refusal};
use super::http::Request;
use super::scenario::Fault;
use super::store::Task;

const PAGE: &[u8] = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Welcome to the hotel network</h1></body></html>\n";

/// The answer that a fault gives in place of the route's own.
pub(super) fn instead(call: &Call<'_>, fault: &Fault) -> Answer {
    let status = || fault.value.trim().parse().unwrap_or(302);
    let location = |target: String| Answer::empty(status()).header("Location", target);
    let same_path = || match call.request.query {
        "" => call.request.path.to_owned(),
        query => format!("{}?{query}", call.request.path),
    };
    match fault.kind {
        Kind::Http => {
            let status = fault.value.trim().parse().unwrap_or(503);
            let answer = call.refuse(&Refusal::Status(status));
            match (status, call.service) {
                (429, Service::LemonData) => answer.header("Retry-After", "1"),
                (204 | 304 | 100..200, _) => Answer::empty(status),
                _ => answer,
            }
        }
        Kind::RateLimited => call.refuse(&Refusal::Status(429)).header("Retry-After", fault.value.clone()),
        Kind::Html => Answer::with_body(200, "text/html; charset=utf-8", Body::Own(PAGE.to_vec())),
        Kind::Empty => Answer::with_body(200, "application/json", Body::Own(Vec::new())),
        Kind::NoContent => Answer::empty(fault.value.trim().parse().unwrap_or(204)),
        Kind::Body => Answer::with_body(200, "application/json", Body::Own(fault.value.clone().into_bytes())),
        Kind::Missing => call.refuse(&Refusal::UnknownTask),
        Kind::Redirect => location(format!("{}{}", call.gateway.origin(other_door(call)), same_path())),
        Kind::RedirectHost => location(format!("{}{}", other_name(call), same_path())),
        Kind::RedirectLoop => location(same_path()),
        Kind::RedirectTo => Answer::empty(302).header("Location", fault.value.clone()),
        Kind::Raw => ending(unescape(&fault.value), End::Close),
        Kind::RawOpen => ending(unescape(&fault.value), End::Silence),
        Kind::Silent => ending(Vec::new(), End::Silence),
        Kind::Close | Kind::CloseReused => ending(Vec::new(), End::Close),
        // Every other kind has another stage.
        _ => ending(Vec::new(), End::Reset),
    }
}

fn ending(bytes: Vec<u8>, end: End) -> Answer {
    let mut answer = Answer::empty(200);
    answer.delivery.instead = Some(bytes);
    answer.delivery.end = end;
    answer
}

/// Any door but the one asked.
fn other_door(call: &Call<'_>) -> usize {
    if call.request.door == 0 { 1 } else { 0 }
}

/// The origin asked, by the other name of this host.
fn other_name(call: &Call<'_>) -> String {
    let port = call.gateway.doors[call.request.door.min(2)].port();
    let asked_by_number = call.request.header("host").is_none_or(|host| host.starts_with("127."));
    format!("http://{}:{port}", if asked_by_number { "localhost" } else { "127.0.0.1" })
}

/// Changes are made in so many steps.
pub(super) const STEPS: usize = 3;

/// The step in which a fault changes the answer: first what it says, then its size, then how it travels.
pub(super) fn step(fault: &Fault) -> usize {
    match (fault.stage, fault.kind) {
        (Stage::Travel, _) => 2,
        (_, Kind::Padding | Kind::Depth) => 1,
        _ => 0,
    }
}

/// Changes an answer.
pub(super) fn apply(call: &Call<'_>, fault: &Fault, task: Option<&Task>, answer: &mut Answer) {
    match fault.stage {
        Stage::Reading | Stage::Making | Stage::Instead => {}
        Stage::Pending | Stage::Done | Stage::Look => change_document(call, fault, task, answer),
        Stage::Picture => change_picture(fault, answer),
        Stage::Travel => change_travel(fault, answer),
    }
}

fn change_document(call: &Call<'_>, fault: &Fault, task: Option<&Task>, answer: &mut Answer) {
    if answer.status != 200 {
        return;
    }
    let Ok(mut whole) = serde_json::from_slice::<Value>(answer.body.bytes()) else { return };
    // A body given by a scenario may be anything.
    if !whole.is_object() {
        return;
    }
    match fault.kind {
        Kind::Padding | Kind::Depth => {
            answer.body = Body::Own(with_member_first(fault, answer.body.bytes()));
            return;
        }
        _ => {}
    }
    // A video's document is wrapped.
    let wrapped = whole.get("data").is_some_and(Value::is_object);
    let document = if wrapped { &mut whole["data"] } else { &mut whole };
    match fault.kind {
        Kind::Word | Kind::DoneWord => document["status"] = json!(fault.value),
        Kind::EarlyResult => {
            document["result"] = json!({ "created": 1_777_080_000, "data": [{ "url": "/p/img/early/0?exp=1&sig=0" }] });
            document["error"] = json!({ "code": "<string>", "message": "<string>", "type": "invalid_request_error" });
        }
        Kind::FailObject => {
            if let Some(message) = document["error"].as_str().filter(|message| !message.is_empty()) {
                document["error"] = json!({ "code": "upstream_error", "message": message });
            }
        }
        Kind::WrongId => {
            for name in ["id", "task_id"] {
                if document.get(name).is_some() {
                    document[name] = json!(fault.value);
                }
            }
        }
        Kind::NoId => {
            if let Some(members) = document.as_object_mut() {
                members.remove("id");
                members.remove("task_id");
            }
        }
        Kind::Nulls => {
            for (name, value) in document.as_object_mut().into_iter().flatten() {
                if !["id", "task_id", "status"].contains(&name.as_str()) {
                    *value = Value::Null;
                }
            }
        }
        Kind::Progress => document["progress"] = serde_json::from_str(&fault.value).unwrap_or(json!(fault.value)),
        _ => {
            let Some(images) = images(document) else { return };
            change_images(call, fault, task, images);
        }
    }
    answer.body = Body::Own(serde_json::to_vec(&whole).unwrap_or_default());
}

fn images(document: &mut Value) -> Option<&mut Vec<Value>> {
    let place = if document.get("result").is_some() { "/result/data" } else { "/data" };
    document.pointer_mut(place)?.as_array_mut()
}

fn change_images(call: &Call<'_>, fault: &Fault, task: Option<&Task>, images: &mut Vec<Value>) {
    if fault.kind == Kind::EmptyData {
        return images.clear();
    }
    if fault.kind == Kind::ManyImages
        && let Some(first) = images.first().cloned()
    {
        images.resize(fault.number(10_000).min(1_000_000) as usize, first);
        return;
    }
    for (index, image) in images.iter_mut().enumerate() {
        let Some(url) = image["url"].as_str() else { continue };
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => url,
        };
        let now = super::unix_ms();
        let signed =
            |until: u64| task.map_or_else(String::new, |task| call.gateway.links.mint_until(&task.id, index, until));
        let is_signed = call.service == Service::DimiLinks;
        let changed = match fault.kind {
            Kind::EmptyUrl => String::new(),
            Kind::DataUrl => task.map_or_else(String::new, |task| {
                format!("data:{};base64,{}", task.plan.canvas.format.media_type(), call.base64(task, index))
            }),
            Kind::Absolute => format!("{}{path}", call.gateway.origin(call.request.door)),
            Kind::Relative => path.to_owned(),
            Kind::OtherHost => format!("{}{path}", other_name(call)),
            Kind::OtherPort => format!("{}{path}", call.gateway.origin(other_door(call))),
            Kind::Address => fault.value.clone(),
            Kind::Expired if is_signed => signed(now - 3_600_000),
            Kind::LinkLife if is_signed => signed(now + fault.number(1000)),
            _ => continue,
        };
        image["url"] = Value::from(changed);
    }
}

/// Puts an unknown member at the front of a document.
fn with_member_first(fault: &Fault, document: &[u8]) -> Vec<u8> {
    const MOST: u64 = 256 << 20;
    let mut out = b"{\"sandbox_extra\":".to_vec();
    if fault.kind == Kind::Padding {
        out.push(b'"');
        out.resize(out.len() + fault.number(1_000_000).min(MOST) as usize, b'x');
        out.push(b'"');
    } else {
        let depth = fault.number(100_000).min(MOST / 16) as usize;
        out.resize(out.len() + depth, b'[');
        out.resize(out.len() + depth, b']');
    }
    match document.strip_prefix(b"{") {
        Some(b"}") => out.push(b'}'),
        Some(rest) => {
            out.push(b',');
            out.extend_from_slice(rest);
        }
        None => out.push(b'}'),
    }
    out
}

fn change_picture(fault: &Fault, answer: &mut Answer) {
    if !(200..300).contains(&answer.status) {
        return;
    }
    let body = match fault.kind {
        Kind::ImageHtml => PAGE.to_vec(),
        Kind::ImageGarbage => b"\x00\x01\x02not an image, whatever the label says".repeat(20),
        Kind::ImageEmpty => Vec::new(),
        Kind::ImageHalf => {
            let whole = answer.body.bytes();
            whole[..whole.len() / 2].to_vec()
        }
        Kind::ImageHuge => huge_png(),
        Kind::ImageWrongType => {
            answer.content_type = if answer.content_type == "image/png" { "image/jpeg" } else { "image/png" }.into();
            return;
        }
        _ => return,
    };
    answer.body = Body::Own(body);
}

/// The start of a PNG of 60000 x 60000 pixels; its header is well formed.
fn huge_png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0".to_vec();
    let crc = crc32(&png[12..]);
    png.extend_from_slice(&crc.to_be_bytes());
    // One data chunk: an empty deflate stream.
    let data = b"IDAT\x78\x9c\x03\0\0\0\0\x01";
    png.extend_from_slice(&8_u32.to_be_bytes());
    png.extend_from_slice(data);
    png.extend_from_slice(&crc32(data).to_be_bytes());
    png.extend_from_slice(b"\0\0\0\0IEND\xae\x42\x60\x82");
    png
}

/// RFC 1952 around stored blocks: nothing is saved, but it is gzip.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let mut blocks = bytes.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend_from_slice(b"\x01\0\0\xff\xff");
    }
    while let Some(block) = blocks.next() {
        // At most 0xffff, by the chunks.
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn change_travel(fault: &Fault, answer: &mut Answer) {
    let length = answer.body.bytes().len();
    let number = |otherwise| fault.number(otherwise);
    let pause = |otherwise| Duration::from_millis(number(otherwise).min(600_000));
    let piece = number(7).clamp(1, 1 << 20) as usize;
    let delivery = &mut answer.delivery;
    match fault.kind {
        Kind::LostReply => {
            delivery.instead = Some(Vec::new());
            delivery.end = End::Reset;
        }
        Kind::Delay => delivery.delay = Some(pause(1000)),
        Kind::Drip => delivery.drip_body = Some(pause(100)),
        Kind::DripHead => (delivery.drip_head, delivery.drip_body) = (Some(pause(100)), Some(pause(100))),
        Kind::Cut | Kind::CutReset | Kind::CutSilent => {
            delivery.cut = Some(number(10) as usize);
            delivery.end = match fault.kind {
                Kind::Cut => End::Close,
                Kind::CutReset => End::Reset,
                _ => End::Silence,
            };
        }
        Kind::CloseIdle => delivery.end = End::Close,
        Kind::LengthShort => delivery.length = Some((length / 2).to_string()),
        Kind::LengthLong => delivery.length = Some((length + 10).to_string()),
        Kind::Length => delivery.length = Some(fault.value.clone()),
        Kind::Chunked => delivery.framing = Framing::Chunked { piece, finish: true },
        Kind::ChunkedCut => {
            delivery.framing = Framing::Chunked { piece, finish: false };
            delivery.end = End::Close;
        }
        Kind::UntilClose => delivery.framing = Framing::UntilClose,
        Kind::UntilCloseReset => {
            delivery.framing = Framing::UntilClose;
            delivery.end = End::Reset;
        }
        Kind::ExtraBytes => delivery.after = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope".to_vec(),
        Kind::EarlyHints => {
            delivery.before = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(number(3).min(100_000) as usize);
        }
        Kind::DateSkew => delivery.date_skew = fault.value.trim().parse().unwrap_or(86_400),
        Kind::Http10 => {
            delivery.version = "HTTP/1.0";
            delivery.end = End::Close;
        }
        Kind::ContentType => answer.content_type = fault.value.clone().into(),
        Kind::Gzip => {
            answer.body = Body::Own(gzip(answer.body.bytes()));
            answer.headers.push(("Content-Encoding".into(), "gzip".into()));
        }
        Kind::GzipLie => answer.headers.push(("Content-Encoding".into(), fault.value.clone())),
        Kind::HugeHeader => {
            answer.headers.push(("X-Sandbox-Huge".into(), "x".repeat(number(70_000).min(64 << 20) as usize)));
        }
        Kind::ManyHeaders => {
            let more = (0..number(150).min(100_000)).map(|n| (format!("X-Sandbox-{n}").into(), n.to_string()));
            answer.headers.extend(more);
        }
        Kind::Header => {
            let (name, value) = fault.value.split_once(':').unwrap_or((&fault.value, ""));
            answer.headers.push((name.trim().to_owned().into(), value.trim().to_owned()));
        }
        _ => {}
    }
}

/// A file, whole or in part: `Range: bytes=a-`, `a-b` and `-n` are understood.
pub(super) fn with_range(
    request: &Request<'_>,
    media_type: &'static str,
    file: Arc<[u8]>,
    faults: &[Arc<Fault>],
) -> Answer {
    let has = |kind| faults.iter().any(|fault| fault.kind == kind);
    let etag = format!("\"{:08x}-{:x}\"", crc32(&file[..file.len().min(4096)]), file.len());
    let whole = |file| {
        Answer::with_body(200, media_type, Body::Shared(file))
            .header("Accept-Ranges", "bytes")
            .header("ETag", etag.clone())
    };
    let same = request.header("if-range").is_none_or(|tag| tag == etag);
    let Some(range) = request.header("range").filter(|_| same && !has(Kind::RangeIgnored)) else {
        return whole(file);
    };
    let length = file.len();
    let Some((from, to)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return whole(file);
    };
    let span = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to => Some((from, to.saturating_add(1).min(length))),
        (Ok(from), Err(_)) if to.is_empty() => Some((from, length)),
        (Err(_), Ok(last)) if from.is_empty() => Some((length.saturating_sub(last), length)),
        _ => return whole(file),
    };
    match span.filter(|(from, to)| from < to) {
        None => Answer::empty(416).header("Content-Range", format!("bytes */{length}")),
        Some((from, to)) => {
            let told = if has(Kind::RangeWrong) { from + 1 } else { from };
            Answer::with_body(206, media_type, Body::Own(file[from..to].to_vec()))
                .header("Content-Range", format!("bytes {told}-{}/{length}", to - 1))
                .header("ETag", etag)
        }
    }
}

/// Reads `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'0') => out.push(0),
            Some(b'x') => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0) as u8;
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                out.push(high << 4 | low);
            }
            Some(other) => out.push(other),
            None => out.push(b'\\'),
        }
    }
    out
}
