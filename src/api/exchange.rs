//! One request and its whole answer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use super::{Api, Leave, longer};
use crate::dialect::{Dialect, Meaning, Outgoing, Verb};
use crate::error::{Error, Result, Status};
use crate::http::{Call, Headers, Method, Reply, Request, Url};
use crate::log::LogLevel;
use crate::poll::Answer as GateAnswer;

/// The key, and the headers of every request that carries it.
pub(crate) struct Key {
    pub(super) key: String,
    pub(super) header: String,
    headers: Headers,
}

/// An answer read whole.
pub(super) struct Answer {
    pub(super) status: u16,
    /// What its status says: the dialect's own meanings are for looks.
    pub(super) meaning: Meaning,
    pub(super) body: Vec<u8>,
    pub(super) retry_after: Option<Duration>,
    pub(super) request_id: String,
    pub(super) redirect_origin: String,
    /// The task that a header names, "" where none does.
    pub(super) task_id: String,
    /// When it was written, by the service's clock, as it says it.
    pub(super) date: Option<HttpDate>,
    /// The key it was asked with.
    pub(super) key: Arc<Key>,
}

/// Why a service refused needs no more; what is longer is taken for no reason.
const MAX_REFUSAL_BYTES: u64 = 1024 * 1024;

/// A date as HTTP writes it, read only where it matters.
pub(super) type HttpDate = [u8; 29];

/// A failed exchange, and whether a byte of the request may have reached the service.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) sent: bool,
    /// The task that the answer's head named, "" where it named none.
    pub(super) task_id: String,
}

impl Api {
    /// One request and its whole answer.
    pub(super) fn exchange(&self, outgoing: &Outgoing, url: &Url, call: &Call, leave: Leave) -> Result<Answer, Failed> {
        let key = self.key();
        let with_more;
        let headers = if outgoing.headers.is_empty() {
            &key.headers
        } else {
            let more = outgoing.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let unsent = |error| Failed { error, sent: false, task_id: String::new() };
            with_more = headers(self.dialect(), &key.header, more).map_err(unsent)?;
            &with_more
        };
        let method = match outgoing.method {
            Verb::Get => Method::Get,
            Verb::Post => Method::Post,
            Verb::Put => Method::Put,
            Verb::Delete => Method::Delete,
        };
        let request = Request { method, url, headers, body: outgoing.body.as_deref(), public_only: false };
        self.counters.requests.fetch_add(1, Relaxed);
        let reply = self.http.send(&request, call).map_err(|failure| {
            self.entrance.answered(leave, GateAnswer::Lost);
            Failed { error: failure.error, sent: failure.sent, task_id: String::new() }
        })?;
        let answer =
            self.read(reply, key, outgoing.is_look).inspect_err(|_| self.entrance.answered(leave, GateAnswer::Lost))?;
        self.entrance.answered(leave, self.of_gate(&answer));
        self.counters.bytes_received.fetch_add(answer.body.len() as u64, Relaxed);
        if answer.status == 429 {
            self.counters.rate_limited.fetch_add(1, Relaxed);
        }
        self.log
            .line(LogLevel::Debug, || format!("{}: HTTP {} from {}", self.title(), answer.status, url.without_query()));
        // `imgtask doctor` compares it with this machine's clock.
        #[cfg(feature = "cli")]
        if let Some(date) = &answer.date {
            self.log.line(LogLevel::Debug, || format!("{}: dated {}", self.title(), String::from_utf8_lossy(date)));
        }
        Ok(answer)
    }

    fn read(&self, reply: Reply, key: Arc<Key>, is_look: bool) -> Result<Answer, Failed> {
        let status = reply.status();
        let meaning = if is_look { self.dialect().meaning(status) } else { Meaning::of(status) };
        let retry_after = reply.retry_after(SystemTime::now);
        let header = |name| reply.header(name).unwrap_or_default();
        let date = header("date").as_bytes().try_into().ok();
        let request_id = header("x-request-id").chars().take(128).collect();
        // LemonData names the task here too, where a body that is cut does not take it away.
        let named_task = Some(header("x-task-id")).filter(|id| !id.is_empty() && self.dialect().check_id(id).is_ok());
        let task_id = named_task.unwrap_or_default().to_owned();
        let location = if (300..400).contains(&status) { reply.header("location") } else { None };
        let redirect_origin = location.and_then(|link| Url::parse(link).ok()).map(|url| url.origin().to_string());
        let redirect_origin = redirect_origin.unwrap_or_default();
        let body = if meaning == Meaning::Ok {
            reply.read_to_vec(self.setup.max_response_bytes)
        } else {
            // A refusal's status is worth more than its words, which may be cut, too long or compressed.
            match reply.read_to_vec(self.setup.max_response_bytes.min(MAX_REFUSAL_BYTES)) {
                Err(error) if error.status() != Status::Cancelled => Ok(Vec::new()),
                body => body,
            }
        };
        match body {
            Ok(body) => {
                Ok(Answer { status, meaning, body, retry_after, request_id, redirect_origin, task_id, date, key })
            }
            Err(error) => Err(Failed { error, sent: true, task_id }),
        }
    }
}

impl Api {
    /// What an answer says to the gate. A 503 with a time is a service that protects itself, as a 429 is.
    fn of_gate(&self, answer: &Answer) -> GateAnswer {
        if !matches!(answer.status, 429 | 503) {
            return GateAnswer::Fine;
        }
        let pause = longer(answer.retry_after, self.dialect().read_refusal(&answer.body).retry_after);
        let hint_ms = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        if answer.status == 503 && hint_ms.is_none() { GateAnswer::Fine } else { GateAnswer::Limited { hint_ms } }
    }
}

impl Key {
    pub(super) fn new(dialect: &Dialect, key: &str) -> Result<Key> {
        let header = [&*dialect.profile().auth.prefix, key].concat();
        let headers = headers(dialect, &header, [])?;
        Ok(Key { key: key.to_owned(), header, headers })
    }
}

/// The headers of every request, and `more`.
fn headers<'a>(
    dialect: &'a Dialect,
    key_header: &'a str,
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Headers> {
    // A cached answer would show the past.
    let own =
        [(&*dialect.profile().auth.header, key_header), ("accept", "application/json"), ("cache-control", "no-cache")];
    Headers::new(own.into_iter().chain(more))
}
