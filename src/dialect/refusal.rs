//! A body that is no task: why the service refused.

use std::time::Duration;

use super::Dialect;
use super::pointer::{Pointer, Step};
use super::profile::{Meaning, Profile};
use super::reader::{Found, Unreadable};
use super::reading::seconds;
use super::trie::{Builder, Mark, Trie};
use super::value::Value;
use crate::error::{Error, Retry, Status};
use crate::words::one_line;

/// Why a service refused. Empty where it did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The service's words on one line without control characters, at most 300 characters.
    pub message: String,
    /// The service's code.
    pub code: String,
    /// The service's class of error.
    pub kind: String,
    /// The service's id of the request.
    pub request_id: String,
    /// Whether the service says that the same request can succeed.
    pub retryable: Option<bool>,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the code says: no such task.
    pub not_found: bool,
}

/// Longest message, characters.
const MAX_MESSAGE: usize = 300;
/// Longest code, class or id, characters.
const MAX_WORD: usize = 128;

impl Refusal {
    /// What it means for a call, by the answer's HTTP status and what that says, and by its words.
    pub(crate) fn status(&self, meaning: Meaning, http_status: u16) -> Status {
        match meaning {
            Meaning::Gone => Status::NotFound,
            Meaning::RateLimited => Status::RateLimited,
            Meaning::Retry => Status::Server,
            // Some services say "no such task" with another status.
            Meaning::Ok | Meaning::Stop if self.not_found => Status::NotFound,
            Meaning::Ok | Meaning::Stop => status_of(http_status),
        }
    }

    /// The refusal as an error, whatever its HTTP status was.
    pub(crate) fn into_error(self, status: Status) -> Error {
        let message = match (self.message.is_empty(), self.code.is_empty()) {
            (false, _) => format!("the service refused: {}", self.message),
            (true, false) => format!("the service refused with the code {}", self.code),
            (true, true) => "the service refused and gave no reason".to_owned(),
        };
        let error = Error::new(status, message).with_provider_code(self.code).with_request_id(self.request_id);
        match (self.retryable, self.retry_after) {
            (Some(false), _) => error.with_retry(Retry::Never),
            (_, Some(wait)) => error.with_retry(Retry::After(wait)),
            _ => error,
        }
    }
}

/// What an HTTP status that is no success means for a call.
pub(crate) fn status_of(http_status: u16) -> Status {
    match http_status {
        401 | 403 => Status::Unauthorized,
        402 => Status::Payment,
        404 | 410 => Status::NotFound,
        408 | 425 | 500..=599 => Status::Server,
        429 => Status::RateLimited,
        _ => Status::Rejected,
    }
}

impl Dialect {
    /// Reads the body of an answer that is no success. Never fails: a page of HTML or nothing at all says nothing.
    pub(crate) fn read_refusal(&self, body: &[u8]) -> Refusal {
        let body = String::from_utf8_lossy(body);
        let Ok(found) = self.refusals.read(&body) else { return Refusal::default() };
        let value = |field| self.refusals.value(&found, field);
        let line = |field, limit| value(field).text().map_or_else(String::new, |text| one_line(&text, limit));
        let (code, kind) = (line(Field::Code, MAX_WORD), line(Field::Kind, MAX_WORD));
        let word = if code.is_empty() { &kind } else { &code };
        Refusal {
            message: line(Field::Message, MAX_MESSAGE),
            not_found: self.profile.not_found_codes.iter().any(|known| known.eq_ignore_ascii_case(word)),
            code,
            kind,
            request_id: line(Field::RequestId, MAX_WORD),
            retryable: match value(Field::Retryable) {
                Value::Bool(retryable) => Some(retryable),
                _ => None,
            },
            retry_after: seconds(value(Field::RetryAfter)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Message,
    Code,
    Kind,
    RequestId,
    Retryable,
    RetryAfter,
}

/// Where refusals say why: the dialect's own places, then those that services share.
#[derive(Debug)]
pub(super) struct RefusalPlan {
    trie: Trie,
    slots: [Vec<u16>; 6],
    /// The pointer of each slot.
    #[cfg(any(test, feature = "dialect-tools"))]
    ways: Vec<Vec<Step>>,
}

impl RefusalPlan {
    /// Compiles; `None` when the pointers multiply beyond measure.
    pub(super) fn new(profile: &Profile) -> Option<RefusalPlan> {
        let read = &profile.read;
        let fields: [(Field, &[Pointer], &[&str]); 6] = [
            (Field::Message, &read.error.message, &["/error/message", "/error", "/message", "/msg", "/detail"]),
            (Field::Code, &read.error.code, &["/error/code", "/code", "/error_code"]),
            (Field::Kind, &read.error.kind, &["/error/type", "/type", "/error_type"]),
            (Field::RequestId, &[], &["/request_id", "/error/request_id", "/requestId"]),
            (Field::Retryable, &[], &["/error/retryable", "/retryable"]),
            (Field::RetryAfter, &read.wait_hint, &["/error/retry_after", "/retry_after"]),
        ];
        let roots = read.root.iter().filter(|root| !root.steps.is_empty());
        let mut builder = Builder::new();
        let mut count = 0u16;
        #[cfg(any(test, feature = "dialect-tools"))]
        let mut all_ways = Vec::new();
        let slots = fields.map(|(_, own, shared)| {
            let shared = Pointer::list(shared);
            let outer = own.iter().chain(&shared).map(|pointer| pointer.steps.clone());
            let inner = roots.clone().flat_map(|root| own.iter().map(|p| [&*root.steps, &*p.steps].concat()));
            let ways: Vec<Vec<Step>> = outer.chain(inner).collect();
            let slot_of = |way: &Vec<Step>| {
                let many = way.contains(&Step::Any);
                builder.add(way, if many { Mark::FirstSlot(count) } else { Mark::Slot(count) });
                let slot = count;
                count = count.saturating_add(1);
                slot
            };
            let slots = ways.iter().map(slot_of).collect();
            #[cfg(any(test, feature = "dialect-tools"))]
            all_ways.extend(ways);
            slots
        });
        if count == u16::MAX {
            return None;
        }
        Some(RefusalPlan {
            trie: builder.build()?,
            slots,
            #[cfg(any(test, feature = "dialect-tools"))]
            ways: all_ways,
        })
    }

    fn read<'a>(&self, body: &'a str) -> Result<Found<'a>, Unreadable> {
        Found::read(&self.trie, self.slots.iter().map(Vec::len).sum(), 0, body)
    }

    fn value<'a>(&self, found: &Found<'a>, field: Field) -> Value<'a> {
        let mut values = self.slots[field as usize].iter().map(|slot| found.slot(usize::from(*slot)));
        values.find(is_scalar).unwrap_or_default()
    }

    /// What a body says, by name, and the pointer that it came from.
    #[cfg(any(test, feature = "dialect-tools"))]
    pub(super) fn sources(&self, body: &str) -> Vec<(&'static str, Vec<Step>)> {
        let Ok(found) = self.read(body) else { return Vec::new() };
        let names = ["message", "provider_code", "type", "request_id", "retryable", "retry_after"];
        let source = |(name, slots): (&'static str, &Vec<u16>)| {
            let slot = slots.iter().find(|slot| is_scalar(&found.slot(usize::from(**slot))))?;
            Some((name, self.ways.get(usize::from(*slot))?.clone()))
        };
        names.into_iter().zip(&self.slots).filter_map(source).collect()
    }
}

fn is_scalar(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_)) || value.text().is_some()
}
