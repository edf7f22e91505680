//! The schema of a dialect document: how a service speaks, as data.
//!
//! What stands behind `=` is a member's default; a member without must be given. A list may be written as its only
//! entry alone. Pointers are JSON Pointers in which `*` steps into every item or member; of a list of pointers the first
//! that yields something wins, never the union. A member whose name begins with `//` is a comment.

use serde_json::{Map, Value};

use super::document::{self, Fault, Faults, Node, Table, choices, schema};
use super::number::{HttpStatus, Positive, Scale, Version};
use super::pointer::{Pointer, Pointers};
use super::text::{BaseUrl, HeaderName, HeaderValue, Headers, Host, KeyVariable, Name, Path};
use crate::task::{FailureAction, State};

schema! {
    /// One service, described.
    Profile {
        /// Where the JSON Schema of this format is, for editors; not read.
        #[allow(dead_code)] // Told by the tools alone.
        schema as "$schema": String = String::new(),
        /// Version of the format.
        #[allow(dead_code)] // Told by the tools alone.
        version as "dialect": Version = Version,
        /// What to pass as `provider`: small letters, digits and dashes.
        name: Name,
        /// The service's name for people. Default: `name`.
        title: String = String::new(),
        /// Where the facts are from.
        #[allow(dead_code)] // Told by the tools alone.
        sources: Vec<String> = vec![],
        /// What no source confirms, and what a user has to know. Not read.
        #[allow(dead_code)] // Told by the tools alone.
        notes: Vec<String> = vec![],
        /// `documented`: the service's own pages say what is said here; `inferred`: put together from clients and examples.
        confidence: Confidence = Confidence::Inferred,
        /// Default address of the API. Absent: the caller has to give one.
        base_url: Option<BaseUrl> = None,
        /// Environment variable of the key. Default: `<NAME>_API_KEY`.
        key_variable: KeyVariable = KeyVariable(String::new()),
        /// How the key is sent.
        auth: Auth = document::absent(),
        /// Sent with every API call; none that the library sets itself.
        headers: Headers = Headers::EMPTY,
        /// How a task is submitted. Absent: it cannot be.
        submit: Option<Submit> = None,
        /// How a task is looked at.
        poll: Poll,
        /// How an answer is read.
        read: Read = document::absent(),
        /// What an HTTP status means for a look, where it differs from: 2xx `ok` (the body is an answer), 404 and 410 `gone`,
        /// 429 `rate_limited`, 408, 425 and 5xx but 501 and 505 `retry` (this look failed, the next may not), others `stop`.
        http: Table<HttpStatus, Meaning> = Table::EMPTY,
        /// Codes of an error that say: no such task, whatever the HTTP status is.
        not_found_codes: Vec<String> = vec![],
        /// How a task is cancelled. Absent: it cannot be.
        cancel: Option<Cancel> = None,
        /// Where the bytes of a finished task are that names no image. Absent: nowhere.
        content: Option<Content> = None,
        /// When to look.
        timing: Timing = document::absent(),
    }
}

schema! {
    /// How the key is sent.
    Auth {
        /// Its header.
        header: HeaderName = HeaderName("Authorization".to_owned()),
        /// What stands before the key, with its space; "" for nothing.
        prefix: HeaderValue = HeaderValue("Bearer ".to_owned()),
    }
}

schema! {
    /// How a task is submitted: a POST of the caller's JSON.
    Submit {
        /// Path on the API's origin. `{name}` is the member of that name of the caller's JSON, which is left out of the body.
        path: Path,
        /// Query members, added unless the caller's JSON has a member of that name with another value.
        query: Table<String, String> = Table::EMPTY,
        /// Sent with the submit only; none of `headers`.
        headers: Headers = Headers::EMPTY,
        /// Members added to the caller's JSON where it lacks them; one of `path` goes there.
        body_defaults: Map<String, Value> = Map::new(),
        /// Members of the caller's JSON that mean: add nothing, the caller chose.
        unless: Vec<String> = vec![],
        /// Longest time for the answer, milliseconds. A synchronous create answers when the image is done.
        timeout_ms: Positive = Positive(600_000),
    }
}

schema! {
    /// How a task is looked at.
    Poll {
        /// The request's method.
        method: Verb = Verb::Get,
        /// Paths with `{id}`, unless the query or the body has it. The first is used for an id; the others are accepted as
        /// references and tried when the first is not there.
        paths: Vec<Path>,
        /// Query members; `{id}` in a value is the task's id.
        query: Table<String, String> = Table::EMPTY,
        /// A JSON body, not with GET; `{id}` in its texts is the task's id.
        body: Option<Value> = None,
        /// Where an answer names the address to look at from now on.
        follow: Pointers = Pointer::list(&["/poll_url"]),
        /// Hosts besides the API's own that such an address may be on, with https on its own port: the key goes there.
        follow_hosts: Vec<Host> = vec![],
    }
}

schema! {
    /// How an answer is read.
    Read {
        /// Where the task is in the body: the first under which `status` yields a value, else the first under which `id`
        /// does, else the body. Default: the body.
        root: Pointers = vec![],
        /// An envelope's own code, and the values that mean success.
        envelope_ok: Option<Envelope> = None,
        /// The task's id, a text or a number.
        id: Pointers = Pointer::list(&["/id", "/task_id"]),
        /// The status word: a text, a number or a boolean.
        status: Pointers = Pointer::list(&["/status"]),
        /// What this service's status words mean, before the shared vocabulary; however they are capitalised. Numbers and
        /// booleans as their JSON text.
        words: Table<String, Word> = Table::EMPTY,
        /// The state of a look's answer without a status.
        absent: Word = Word(State::Unknown),
        /// Truthy: the task was cancelled, whatever the status says, unless it succeeded.
        cancelled_if: Pointers = vec![],
        /// Truthy: the task failed, although the status says success or nothing.
        failed_if: Pointers = vec![],
        /// How far the task is; a number, or a text with or without a percent sign.
        progress: Pointers = Pointer::list(&["/progress"]),
        /// What 100 % is: 100, or 1 for fractions. Percent texts are always read as such.
        progress_scale: Scale = Scale(100.0),
        /// Where a success names the address of a second answer, in which the images are: a look then asks twice. As with
        /// `poll.follow`, it must be on the API's own origin or one of `poll.follow_hosts`.
        result_get: Pointers = vec![],
        /// Where the images are.
        images: Images = document::absent(),
        /// Where a failed task says why.
        error: ErrorPointers = document::absent(),
        /// Seconds, milliseconds or RFC 3339; 0 for not yet.
        created_at: Pointers = vec![],
        /// As `created_at`; read of a task that has ended only.
        completed_at: Pointers = vec![],
        /// The model that works on it.
        model: Pointers = vec![],
        /// The prompt as the service rewrote it, also while pending. Default: that of the first image.
        revised_prompt: Pointers = vec![],
        /// The upstream conversation.
        conversation_id: Pointers = vec![],
        /// The id of the charge.
        billing_id: Pointers = vec![],
        /// The service's credits.
        credit_cost: Pointers = vec![],
        /// Seconds to wait before the next look.
        wait_hint: Pointers = vec![],
    }
}

schema! {
    /// An envelope's own code.
    Envelope {
        /// Where it is, from the body.
        pointer: Pointers,
        /// The values that mean success.
        values: Vec<Value>,
    }
}

schema! {
    /// Where the images are.
    Images {
        /// The images: a list, one object, one string, or a list of strings. Absent: the dialect names no images.
        items: Pointers = vec![],
        /// The image's address; this and the rest is relative to one item. An item that is a string is its url; a url that
        /// is an array gives one image each.
        url: Pointers = Pointer::list(&["/url"]),
        /// The image itself. Goes before `url`.
        base64: Pointers = Pointer::list(&["/b64_json"]),
        /// The service's id of the file.
        file_id: Pointers = Pointer::list(&["/file_id"]),
        /// The prompt as the service rewrote it.
        revised_prompt: Pointers = Pointer::list(&["/revised_prompt"]),
        /// When the link expires, as `created_at`. Default: the link's own query member `exp`.
        expires_at: Pointers = vec![],
        /// Pixels across.
        width: Pointers = vec![],
        /// Pixels down.
        height: Pointers = vec![],
        /// Length of the encoded image.
        byte_size: Pointers = vec![],
        /// A JSON text in which `items` are, instead of the body.
        json_string: Pointers = vec![],
        /// Whether the key goes along to links on the API's own origin.
        auth: ImageAuth = ImageAuth::Never,
        /// A link refused as private or plain http whose path starts so is taken to the API's origin.
        rebase: Option<Path> = None,
    }
}

schema! {
    /// Where a failed task says why.
    ErrorPointers {
        /// The words for people.
        message: Pointers = Pointer::list(&["/error/message", "/error"]),
        /// The code for programs.
        code: Pointers = Pointer::list(&["/error/code"]),
        /// The class of error.
        kind as "type": Pointers = Pointer::list(&["/error/type"]),
        /// Whether a message "code: words" carries the code.
        code_in_message: bool = false,
        /// What helps after a code, before the shared table.
        action_codes: Table<String, Action> = Table::EMPTY,
    }
}

schema! {
    /// How a task is cancelled.
    Cancel {
        /// The request's method.
        method: Verb = Verb::Delete,
        /// Path on the API's origin, with `{id}`.
        path: Path,
    }
}

schema! {
    /// Where the bytes of a finished task are that names no image. They are fetched with the key.
    Content {
        /// Path on the API's origin, with `{id}`.
        path: Path,
        /// How the ids of such tasks begin. Default: all do.
        id_prefix: String = String::new(),
    }
}

schema! {
    /// When to look, in milliseconds.
    Timing {
        /// After our own submit.
        first_look_ms: u32 = 1_000,
        /// Pairs `[age of the task, interval from there on]`, ages rising from 0.
        intervals_ms: Vec<(u32, u32)> = vec![(0, 3_000), (120_000, 5_000), (300_000, 10_000)],
        /// No interval is shorter.
        floor_ms: u32 = 1_000,
        /// How long a wait lasts when nobody says.
        wait_timeout_ms: Positive = Positive(600_000),
        /// How long after our own submit "not found" is not believed.
        not_found_grace_ms: u32 = 0,
        /// The service's own limit, where it states one.
        requests_per_minute: Option<Positive> = None,
        /// Requests that may go at once after a pause.
        burst: Positive = Positive(15),
    }
}

/// How well a dialect is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confidence {
    /// Put together from clients, forks, examples.
    Inferred,
    /// By the service's own pages.
    Documented,
}

choices! { Confidence: "documented" => Confidence::Documented, "inferred" => Confidence::Inferred, }

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

choices! { Verb: "GET" => Verb::Get, "POST" => Verb::Post, "PUT" => Verb::Put, "DELETE" => Verb::Delete, }

#[cfg(any(test, feature = "dialect-tools"))]
impl Verb {
    /// The method as HTTP writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Delete => "DELETE",
        }
    }
}

/// What an HTTP status says about the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The body is an answer.
    Ok,
    /// No such task, or no longer.
    Gone,
    /// Too many requests: the gate closes.
    RateLimited,
    /// This look failed; the next may not.
    Retry,
    /// Looking on is of no use.
    Stop,
}

choices! {
    Meaning:
    "ok" => Meaning::Ok,
    "gone" => Meaning::Gone,
    "rate_limited" => Meaning::RateLimited,
    "retry" => Meaning::Retry,
    "stop" => Meaning::Stop,
}

impl Meaning {
    /// What an HTTP status says by itself.
    pub(crate) fn of(http_status: u16) -> Meaning {
        match http_status {
            200..=299 => Meaning::Ok,
            404 | 410 => Meaning::Gone,
            429 => Meaning::RateLimited,
            501 | 505 => Meaning::Stop,
            408 | 425 | 500..=599 => Meaning::Retry,
            _ => Meaning::Stop,
        }
    }
}

#[cfg(any(test, feature = "dialect-tools"))]
impl Meaning {
    /// The meaning as a document writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Meaning::Ok => "ok",
            Meaning::Gone => "gone",
            Meaning::RateLimited => "rate_limited",
            Meaning::Retry => "retry",
            Meaning::Stop => "stop",
        }
    }
}

/// Whether image links get the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageAuth {
    /// The link is enough.
    Never,
    /// On the API's own origin, never elsewhere.
    SameOrigin,
}

choices! { ImageAuth: "never" => ImageAuth::Never, "same_origin" => ImageAuth::SameOrigin, }

/// A state by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) State);

choices! {
    Word:
    "unknown" => Word(State::Unknown),
    "queued" => Word(State::Queued),
    "running" => Word(State::Running),
    "succeeded" => Word(State::Succeeded),
    "failed" => Word(State::Failed),
    "cancelled" => Word(State::Cancelled),
    "expired" => Word(State::Expired),
}

/// An action by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action(pub(crate) FailureAction);

choices! {
    Action:
    "resubmit" => Action(FailureAction::Resubmit),
    "change_request" => Action(FailureAction::ChangeRequest),
    "check_account" => Action(FailureAction::CheckAccount),
}

impl Profile {
    /// Reads a document.
    pub(super) fn parse(json: &str) -> Result<Profile, Vec<Fault>> {
        let faults = Faults::default();
        let Some(mut profile) = document::read::<Profile>(json, &faults) else { return Err(faults.into_list()) };
        profile.poll.body.take_if(|body| body.is_null());
        profile.check(&faults);
        if !faults.is_empty() {
            return Err(faults.into_list());
        }
        if profile.key_variable.is_empty() {
            let name = profile.name.to_ascii_uppercase().replace('-', "_");
            profile.key_variable = KeyVariable(format!("{name}_API_KEY"));
        }
        if profile.title.is_empty() {
            profile.title = profile.name.to_string();
        }
        Ok(profile)
    }
}
