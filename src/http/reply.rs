//! An answer: its head at once, its body as the caller reads it, within the same deadline and stop.

use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::response::Parts;
use ureq::http::uri::Authority;
use ureq::http::{Response, Version, header};
use ureq::{Body, BodyReader};

use super::fault;
use super::ongoing::{Ongoing, within};
use crate::error::{Error, Result, Status};

/// A body of unknown length grows from here.
const FIRST_BYTES: usize = 8 * 1024;
/// A length that the server claims is not believed beyond this: no more memory than that before its bytes come.
const TRUSTED_BYTES: usize = 256 * 1024;
/// More than this is not read only to keep a connection.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(250);

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length.
    Length,
    /// By its last chunk.
    Chunked,
    /// By the end of the connection: nothing proves that it is whole.
    UntilClose,
    /// There is no body.
    None,
}

/// An answer whose head was read.
pub(crate) struct Reply {
    parts: Parts,
    reader: BodyReader<'static>,
    length: Option<u64>,
    framing: Framing,
    /// The body comes as it is, not compressed.
    plain: bool,
    /// `None` once the body was read.
    call: Option<Box<Ongoing>>,
    host: Authority,
    connect_timeout: Duration,
}

impl Reply {
    /// Checks what ureq lets through: codes that nobody asked for, and bodies in a form that was not asked for.
    pub(super) fn new(
        response: Response<Body>,
        call: Box<Ongoing>,
        host: Authority,
        connect_timeout: Duration,
    ) -> Result<Reply> {
        let (parts, body) = response.into_parts();
        let odd = |what: &str| {
            Err(Error::new(Status::Protocol, format!("{host} {what}")).with_http_status(parts.status.as_u16()))
        };
        let code = parts.status.as_u16();
        if !(200..600).contains(&code) || code == 304 {
            return odd(&format!("answered with HTTP {code}, which nobody asked for"));
        }
        let (mut codings, mut chunked, mut plain, mut has_length) = (0, true, true, false);
        for (name, value) in &parts.headers {
            match *name {
                header::TRANSFER_ENCODING => {
                    codings += 1;
                    chunked &= value.as_bytes().eq_ignore_ascii_case(b"chunked");
                }
                header::CONTENT_ENCODING => {
                    plain &= value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity")
                }
                header::CONTENT_LENGTH => has_length = true,
                _ => {}
            }
        }
        if codings > 1 || codings == 1 && !(chunked && parts.version == Version::HTTP_11) {
            return odd("sent its answer in a transfer coding that was not asked for");
        }
        let length = match body.content_length() {
            // ureq takes a length of 0 for no body at all.
            None if codings == 0 && code != 204 && has_length => Some(0),
            length => length,
        };
        let framing = match length {
            _ if code == 204 => Framing::None,
            Some(_) => Framing::Length,
            None if codings == 1 => Framing::Chunked,
            None => Framing::UntilClose,
        };
        let reply = Reply {
            parts,
            reader: body.into_reader(),
            length,
            framing,
            plain,
            call: Some(call),
            host,
            connect_timeout,
        };
        // An error's status is worth more than its body, so that only the reading of that fails.
        if reply.parts.status.is_success() {
            reply.check_encoding()?;
        }
        Ok(reply)
    }

    /// 200 to 599, never 304.
    pub(crate) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// The first header of this name (in lower case), where it is visible ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        // An answer has a dozen headers: to compare their names costs less than to hash this one.
        let (_, value) = self.parts.headers.iter().find(|(known, _)| known.as_str() == name)?;
        value.to_str().ok()
    }

    /// The body's length in bytes, where the server said it.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// How long the service asks to wait: the longest of its wishes. What cannot be read is no wish.
    pub(crate) fn retry_after(&self, now: impl Fn() -> SystemTime) -> Option<Duration> {
        let wish = |text: &str| {
            let text = text.trim();
            if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
                return Some(Duration::from_secs(text.parse::<u64>().map_or(A_YEAR, |seconds| seconds.min(A_YEAR))));
            }
            let at = httpdate::parse_http_date(text).ok()?;
            // By the clock that wrote it: ours may be wrong.
            let date = self.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
            let now = date.unwrap_or_else(&now);
            Some(at.duration_since(now).unwrap_or_default().min(Duration::from_secs(A_YEAR)))
        };
        const A_YEAR: u64 = 366 * 24 * 3600;
        let wishes = self.parts.headers.get_all(header::RETRY_AFTER).iter();
        wishes.filter_map(|value| wish(value.to_str().ok()?)).max()
    }

    /// The whole body, with room for one byte more.
    ///
    /// # Errors
    /// `TooLarge` for more than `limit` bytes, before a byte is read where the length is known; `Io` for a body that was cut;
    /// `Protocol` for an encoding that was not asked for; `Timeout` and `Cancelled`.
    pub(crate) fn read_to_vec(mut self, limit: u64) -> Result<Vec<u8>> {
        if self.length.is_some_and(|length| length > limit) {
            return Err(self.too_large(limit));
        }
        let known = self.length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let mut body = Vec::new();
        let mut len = 0;
        loop {
            if len == body.len() {
                // One byte more than the body, for the read that finds its end.
                let more = match known {
                    Some(known) => known.saturating_sub(len).saturating_add(1).min(TRUSTED_BYTES.max(len)),
                    None => FIRST_BYTES
                        .max(len)
                        .min(usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(len).saturating_add(1)),
                };
                body.try_reserve_exact(more).map_err(|_| self.no_memory())?;
                body.resize(len + more, 0);
            }
            match self.read(body.get_mut(len..).unwrap_or_default())? {
                0 => break,
                n => len += n,
            }
            if len as u64 > limit {
                return Err(self.too_large(limit));
            }
        }
        body.truncate(len);
        Ok(body)
    }

    /// The next bytes of the body, 0 at its end. After the end the connection serves other calls.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.check_encoding()?;
        self.read_raw(buffer)
    }

    /// Reads what is left of a small body, so that the connection can serve other calls.
    pub(crate) fn drain(mut self) {
        let mut buffer = [0; 4096];
        if let Some(call) = &mut self.call {
            call.deadline = call.deadline.min(Instant::now() + DRAIN_TIME);
        }
        let mut left = match self.length {
            Some(length) if length > DRAIN_BYTES as u64 => return,
            _ => DRAIN_BYTES,
        };
        while let Ok(n @ 1..) = self.read_raw(&mut buffer) {
            match left.checked_sub(n) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }

    fn read_raw(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() || self.call.is_none() {
            return Ok(0);
        }
        let reader = &mut self.reader;
        let result = within(&mut self.call, || reader.read(buffer));
        let Some(call) = &mut self.call else {
            return Ok(0);
        };
        // ureq takes an end that came too early for the end, and so it is asked what our own layers saw.
        let ended = !matches!(result, Ok(1..));
        let result = match result {
            Ok(n) if call.cause.is_none() && !call.stop.is_stopped() => Ok(n),
            Ok(_) => Err(ureq::Error::ConnectionFailed),
            Err(error) => Err(ureq::Error::from(error)),
        };
        let result = result.map_err(|error| {
            if call.cause.is_none() && call.stop.is_stopped() {
                call.cause = Some(super::ongoing::Cause::Stopped);
            }
            let error = fault::explain(call, error, self.host.as_str(), self.connect_timeout);
            error.with_http_status(self.parts.status.as_u16())
        });
        if ended {
            self.call = None;
        }
        result
    }

    fn check_encoding(&self) -> Result<()> {
        if self.plain {
            return Ok(());
        }
        let text = format!("{} sent its answer compressed, which was not asked for", self.host);
        Err(Error::new(Status::Protocol, text).with_http_status(self.status()))
    }

    fn too_large(&self, limit: u64) -> Error {
        let text = format!("the answer of {} is longer than the limit of {limit} bytes", self.host);
        Error::new(Status::TooLarge, text).with_http_status(self.status())
    }

    fn no_memory(&self) -> Error {
        Error::new(Status::Resource, format!("no memory for the answer of {}", self.host))
            .with_http_status(self.status())
    }
}
