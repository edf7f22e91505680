//! An answer: what it says, and how it travels. The second half is where the sandbox misbehaves on purpose.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::stop::Stop;

/// What is sent as the body.
pub(super) enum Body {
    /// Made for this answer.
    Own(Vec<u8>),
    /// Shared with the cache of pictures.
    Shared(Arc<[u8]>),
}

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`, in pieces of so many bytes.
    Chunked {
        /// Bytes of one chunk.
        piece: usize,
        /// Whether the last chunk is sent.
        finish: bool,
    },
    /// Neither: the body ends with the connection.
    UntilClose,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Kept, if the request allows it.
    Keep,
    /// Closed with FIN, although the answer promised to keep it.
    Close,
    /// Closed with RST.
    Reset,
    /// Kept open, but nothing more is said until the peer leaves.
    Silence,
}

/// How an answer travels.
pub(super) struct Delivery {
    pub(super) framing: Framing,
    pub(super) end: End,
    /// Sent in place of the true `Content-Length`, byte for byte.
    pub(super) length: Option<String>,
    /// After so many bytes of the body nothing more is sent.
    pub(super) cut: Option<usize>,
    /// Pause before each byte of the head.
    pub(super) drip_head: Option<Duration>,
    /// Pause before each byte of the body.
    pub(super) drip_body: Option<Duration>,
    /// Pause before the first byte.
    pub(super) delay: Option<Duration>,
    /// Sent before the head.
    pub(super) before: Vec<u8>,
    /// Sent after the body.
    pub(super) after: Vec<u8>,
    /// Sent instead of head and body; an empty one sends nothing at all.
    pub(super) instead: Option<Vec<u8>>,
    /// The protocol named on the status line.
    pub(super) version: &'static str,
    /// Added to the clock that writes `Date`, in seconds.
    pub(super) date_skew: i64,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            framing: Framing::Length,
            end: End::Keep,
            length: None,
            cut: None,
            drip_head: None,
            drip_body: None,
            delay: None,
            before: Vec::new(),
            after: Vec::new(),
            instead: None,
            version: "HTTP/1.1",
            date_skew: 0,
        }
    }
}

/// An answer to one request.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Empty: no `Content-Type` header.
    pub(super) content_type: Cow<'static, str>,
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    pub(super) body: Body,
    pub(super) delivery: Delivery,
}

impl Answer {
    /// A JSON document.
    pub(super) fn json(status: u16, document: &impl serde::Serialize) -> Self {
        // Serialising our own plain structures into memory cannot fail.
        let body = serde_json::to_vec(document).unwrap_or_default();
        Self::with_body(status, "application/json; charset=utf-8", Body::Own(body))
    }

    /// No body.
    pub(super) fn empty(status: u16) -> Self {
        Self::with_body(status, "", Body::Own(Vec::new()))
    }

    /// A body of any type.
    pub(super) fn with_body(status: u16, content_type: impl Into<Cow<'static, str>>, body: Body) -> Self {
        Self { status, content_type: content_type.into(), headers: Vec::new(), body, delivery: Delivery::default() }
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Writes an answer. Returns whether the connection may serve another request; a reset has been prepared, and happens when
/// the caller drops the stream.
pub(super) fn send(
    answer: &Answer,
    stream: &TcpStream,
    scratch: &mut Vec<u8>,
    keep_alive: bool,
    without_body: bool,
    stop: &Stop,
) -> io::Result<bool> {
    let delivery = &answer.delivery;
    if let Some(delay) = delivery.delay
        && stop.sleep(delay)
    {
        return Ok(false);
    }
    let keep = keep_alive && delivery.framing != Framing::UntilClose;
    scratch.clear();
    let mut head_length = 0;
    if let Some(bytes) = &delivery.instead {
        scratch.extend_from_slice(bytes);
    } else {
        scratch.extend_from_slice(&delivery.before);
        write_head(answer, scratch, keep);
        head_length = scratch.len();
        if !without_body {
            write_body(answer, scratch);
        }
        scratch.extend_from_slice(&delivery.after);
    }
    let (head, body) = scratch.split_at(head_length);
    match (delivery.drip_head, delivery.drip_body) {
        (None, None) => write_all(stream, scratch)?,
        (head_pause, body_pause) => {
            drip(stream, head, head_pause, stop)?;
            drip(stream, body, body_pause, stop)?;
        }
    }
    match delivery.end {
        // A cut body ends the connection: whatever followed would be read as the rest of it.
        End::Keep => Ok(keep && delivery.cut.is_none() && delivery.length.is_none()),
        End::Close => Ok(false),
        End::Reset => {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            Ok(false)
        }
        End::Silence => {
            wait_for_peer(stream);
            Ok(false)
        }
    }
}

fn write_head(answer: &Answer, out: &mut Vec<u8>, keep: bool) {
    let delivery = &answer.delivery;
    let body = answer.body.bytes();
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{} {} {}\r\n", delivery.version, answer.status, reason(answer.status));
    write_date(out, delivery.date_skew);
    if !answer.content_type.is_empty() {
        let _ = write!(out, "Content-Type: {}\r\n", answer.content_type);
    }
    for (name, value) in &answer.headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    match (delivery.framing, &delivery.length) {
        (_, Some(lie)) => {
            let _ = write!(out, "Content-Length: {lie}\r\n");
        }
        (Framing::Length, None) if answer.status == 204 || answer.status == 304 => {}
        (Framing::Length, None) => {
            let _ = write!(out, "Content-Length: {}\r\n", body.len());
        }
        (Framing::Chunked { .. }, None) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        (Framing::UntilClose, None) => {}
    }
    if !keep {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_body(answer: &Answer, out: &mut Vec<u8>) {
    let delivery = &answer.delivery;
    let whole = answer.body.bytes();
    let sent = &whole[..delivery.cut.unwrap_or(whole.len()).min(whole.len())];
    let Framing::Chunked { piece, finish } = delivery.framing else {
        return out.extend_from_slice(sent);
    };
    for chunk in sent.chunks(piece.max(1)) {
        let _ = write!(out, "{:x}\r\n", chunk.len());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    if finish && sent.len() == whole.len() {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

/// Writes the `Date` header; the text is made once a second.
fn write_date(out: &mut Vec<u8>, skew: i64) {
    static LAST: Mutex<(u64, [u8; 29])> = Mutex::new((0, [0; 29]));
    let seconds = super::unix_ms() / 1000;
    out.extend_from_slice(b"Date: ");
    if skew == 0 {
        let mut last = LAST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if last.0 != seconds {
            let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            if let Ok(text) = text.as_bytes().try_into() {
                *last = (seconds, text);
            }
        }
        out.extend_from_slice(&last.1);
    } else {
        // Outside of what a date can say the formatter panics: year 9999 at most.
        let skewed = seconds.saturating_add_signed(skew).min(253_402_300_799);
        let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(skewed));
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_all(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

fn drip(stream: &TcpStream, bytes: &[u8], pause: Option<Duration>, stop: &Stop) -> io::Result<()> {
    let Some(pause) = pause else {
        return write_all(stream, bytes);
    };
    for byte in bytes {
        if stop.sleep(pause) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        write_all(stream, std::slice::from_ref(byte))?;
    }
    Ok(())
}

/// Reads and forgets until the peer closes; a stop shuts the socket down and so ends the read.
pub(super) fn wait_for_peer(mut stream: &TcpStream) {
    let mut sink = [0; 4096];
    while matches!(stream.read(&mut sink), Ok(read) if read > 0) {}
}

/// Tells the peer that nothing more comes and lets it read what was sent: closing with unread bytes would reset.
pub(super) fn close_gently(stream: &TcpStream) {
    if stream.shutdown(Shutdown::Write).is_ok() && stream.set_read_timeout(Some(Duration::from_millis(250))).is_ok() {
        wait_for_peer(stream);
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Content",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Sandbox",
    }
}
