//! What went wrong, and whether trying again helps: one type, one place that says so.

use std::fmt;
use std::time::Duration;

use crate::task::Task;

/// The outcome of a call, in numbers that never change their meaning.
///
/// Ranges: 1-19 the caller, 20-39 the flow, 40-59 the network, 60-79 the service, 80-99 this machine.
/// A program that meets a number it does not know falls back by range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Status {
    /// Done.
    Ok = 0,

    /// A pointer that must not be NULL was NULL.
    NullArgument = 1,
    /// An argument is outside its documented range or form.
    InvalidArgument = 2,
    /// A string is not UTF-8.
    InvalidUtf8 = 3,
    /// This build, this system or this provider cannot do that.
    Unsupported = 4,
    /// The client was closed.
    Closed = 5,
    /// Called where it must not be, or the queue is full.
    Busy = 6,
    /// The client was created before a fork, in the parent process.
    WrongProcess = 7,
    /// No such operation, or its final event was delivered already.
    UnknownOp = 8,

    /// The time given was over; the task is still with the service.
    Timeout = 20,
    /// Ended by interrupt, stop or close; the task is still with the service.
    Cancelled = 21,
    /// No event in the time given.
    NoEvent = 22,
    /// The request budget did not allow a look that could have decided.
    Starved = 23,

    /// The host's name did not resolve.
    Resolve = 40,
    /// No connection to the host.
    Connect = 41,
    /// The TLS handshake or the certificate check failed.
    Tls = 42,
    /// The connection broke.
    Io = 43,
    /// The answer was not valid HTTP.
    Protocol = 44,
    /// The proxy refused or failed.
    Proxy = 45,

    /// The key is missing, wrong or not allowed to do this (HTTP 401, 403).
    Unauthorized = 60,
    /// The account has no balance (HTTP 402).
    Payment = 61,
    /// No such task, or not this key's task (HTTP 404, 410).
    NotFound = 62,
    /// Too many requests (HTTP 429).
    RateLimited = 63,
    /// The service refused the request (other HTTP 4xx, a redirect).
    Rejected = 64,
    /// The service is in trouble (HTTP 408, 425, 5xx).
    Server = 65,
    /// The answer could not be understood.
    BadResponse = 66,
    /// The request was sent and its answer lost: the task may exist and be paid for.
    SubmitUnknown = 67,
    /// The task has no usable image: it failed, is not finished, or succeeded without one.
    NoImage = 68,
    /// The image's link is no longer valid.
    LinkExpired = 69,
    /// An address that the rules do not allow to be contacted.
    Blocked = 70,

    /// A file could not be written.
    File = 80,
    /// A body or image is larger than its limit.
    TooLarge = 81,
    /// The bytes are not a whole image.
    BadImage = 82,
    /// The journal could not be read or written.
    Journal = 83,
    /// The system gave no thread, socket or memory.
    Resource = 84,

    /// A bug in this library; the client is closed.
    Panic = 250,
}

impl Status {
    /// Every status, in the order of their numbers.
    pub const ALL: &[Status] = &[
        Status::Ok,
        Status::NullArgument,
        Status::InvalidArgument,
        Status::InvalidUtf8,
        Status::Unsupported,
        Status::Closed,
        Status::Busy,
        Status::WrongProcess,
        Status::UnknownOp,
        Status::Timeout,
        Status::Cancelled,
        Status::NoEvent,
        Status::Starved,
        Status::Resolve,
        Status::Connect,
        Status::Tls,
        Status::Io,
        Status::Protocol,
        Status::Proxy,
        Status::Unauthorized,
        Status::Payment,
        Status::NotFound,
        Status::RateLimited,
        Status::Rejected,
        Status::Server,
        Status::BadResponse,
        Status::SubmitUnknown,
        Status::NoImage,
        Status::LinkExpired,
        Status::Blocked,
        Status::File,
        Status::TooLarge,
        Status::BadImage,
        Status::Journal,
        Status::Resource,
        Status::Panic,
    ];

    /// The status as a word in lower case: `not_found`.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::NullArgument => "null_argument",
            Status::InvalidArgument => "invalid_argument",
            Status::InvalidUtf8 => "invalid_utf8",
            Status::Unsupported => "unsupported",
            Status::Closed => "closed",
            Status::Busy => "busy",
            Status::WrongProcess => "wrong_process",
            Status::UnknownOp => "unknown_op",
            Status::Timeout => "timeout",
            Status::Cancelled => "cancelled",
            Status::NoEvent => "no_event",
            Status::Starved => "starved",
            Status::Resolve => "resolve",
            Status::Connect => "connect",
            Status::Tls => "tls",
            Status::Io => "io",
            Status::Protocol => "protocol",
            Status::Proxy => "proxy",
            Status::Unauthorized => "unauthorized",
            Status::Payment => "payment",
            Status::NotFound => "not_found",
            Status::RateLimited => "rate_limited",
            Status::Rejected => "rejected",
            Status::Server => "server",
            Status::BadResponse => "bad_response",
            Status::SubmitUnknown => "submit_unknown",
            Status::NoImage => "no_image",
            Status::LinkExpired => "link_expired",
            Status::Blocked => "blocked",
            Status::File => "file",
            Status::TooLarge => "too_large",
            Status::BadImage => "bad_image",
            Status::Journal => "journal",
            Status::Resource => "resource",
            Status::Panic => "panic",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the same call can succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// The same call may succeed at any time.
    Now,
    /// The service asks to wait so long first.
    After(Duration),
}

/// A call that did not do what it was asked.
///
/// The message is one line for people. It never holds a key, a link's query, a proxy credential or a body.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    status: Status,
    message: String,
    retry: Option<Retry>,
    http_status: u16,
    provider_code: String,
    request_id: String,
    task_id: String,
    task: Option<Task>,
}

/// A result whose error is imgtask's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with its status and its line for people.
    pub fn new(status: Status, message: impl Into<String>) -> Error {
        Error::made(status, message.into())
    }

    // Errors are made in hundreds of places, and none of them is in a hurry.
    #[cold]
    #[inline(never)]
    fn made(status: Status, message: String) -> Error {
        Error(Box::new(Inner {
            status,
            message,
            retry: None,
            http_status: 0,
            provider_code: String::new(),
            request_id: String::new(),
            task_id: String::new(),
            task: None,
        }))
    }

    /// An argument that cannot be used; the message says which and what would be right.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Status::InvalidArgument, message)
    }

    /// What kind of error this is.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// One line for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status of the answer, 0 when there was none.
    pub fn http_status(&self) -> u16 {
        self.0.http_status
    }

    /// The service's own code, "" when it gave none.
    pub fn provider_code(&self) -> &str {
        &self.0.provider_code
    }

    /// The service's id of this request, for its support; "" when it gave none.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The task it happened to, "" when none is known.
    pub fn task_id(&self) -> &str {
        &self.0.task_id
    }

    /// What is known of the task, after `Timeout`, `Starved`, `Cancelled`, `NoImage` and `SubmitUnknown`.
    pub fn task(&self) -> Option<&Task> {
        self.0.task.as_ref()
    }

    /// Takes what is known of the task out of the error.
    pub fn take_task(&mut self) -> Option<Task> {
        self.0.task.take()
    }

    /// Whether the same call can succeed later.
    pub fn retry(&self) -> Retry {
        if let Some(retry) = self.0.retry {
            return retry;
        }
        match self.0.status {
            Status::Busy
            | Status::Timeout
            | Status::Cancelled
            | Status::NoEvent
            | Status::Starved
            | Status::Resolve
            | Status::Connect
            | Status::Io
            | Status::Protocol
            | Status::Proxy
            | Status::RateLimited
            | Status::Server
            | Status::BadResponse
            | Status::LinkExpired
            | Status::Resource => Retry::Now,
            _ => Retry::Never,
        }
    }

    /// Sets the answer of [`Error::retry`] where the service said it.
    pub fn with_retry(mut self, retry: Retry) -> Error {
        self.0.retry = Some(retry);
        self
    }

    /// Adds the HTTP status of the answer.
    pub fn with_http_status(mut self, http_status: u16) -> Error {
        self.0.http_status = http_status;
        self
    }

    /// Adds the service's own code.
    pub fn with_provider_code(mut self, code: impl Into<String>) -> Error {
        self.0.provider_code = code.into();
        self
    }

    /// Adds the service's id of the request.
    pub fn with_request_id(mut self, id: impl Into<String>) -> Error {
        self.0.request_id = id.into();
        self
    }

    /// Adds the id of the task it happened to.
    pub fn with_task_id(mut self, id: impl Into<String>) -> Error {
        self.0.task_id = id.into();
        self
    }

    /// Adds what is known of the task.
    pub fn with_task(mut self, task: Task) -> Error {
        if self.0.task_id.is_empty() {
            self.0.task_id = task.id.clone();
        }
        self.0.task = Some(task);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("status", &self.0.status)
            .field("message", &self.0.message)
            .field("http_status", &self.0.http_status)
            .field("task_id", &self.0.task_id)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn every_status_has_its_own_number_and_word() {
        let mut numbers: Vec<u32> = Status::ALL.iter().map(|s| *s as u32).collect();
        assert!(numbers.is_sorted());
        numbers.dedup();
        let mut words: Vec<&str> = Status::ALL.iter().map(|s| s.name()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!((numbers.len(), words.len()), (Status::ALL.len(), Status::ALL.len()));
    }
}
