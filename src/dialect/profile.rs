//! The schema of a dialect document: how a service speaks, as data.
//!
//! Every default is the one that most services share; a member that a service does not need is left out.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::pointer::{Pointer, Pointers, pointers};
use crate::task::{FailureAction, State};

/// One service, described.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// For editors; not read.
    #[serde(rename = "$schema", default)]
    pub _schema: Option<String>,
    /// Version of this schema: 1.
    #[serde(rename = "dialect", default)]
    pub _version: Version,
    /// What to pass as `provider`: small letters, digits and dashes.
    pub name: Name,
    /// The service's name for people. Default: `name`.
    #[serde(default)]
    pub title: String,
    /// Where the facts are from.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Whether the service documents what is said here.
    #[serde(default)]
    pub confidence: Confidence,
    /// Default address of the API. Absent: the caller has to give one.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Environment variable of the key. Default: `<NAME>_API_KEY`.
    #[serde(default)]
    pub key_variable: String,
    /// How the key is sent.
    #[serde(default)]
    pub auth: Auth,
    /// Sent with every API call.
    #[serde(default)]
    pub headers: Headers,
    /// How a task is submitted. Absent: it cannot be.
    #[serde(default)]
    pub submit: Option<Submit>,
    /// How a task is looked at.
    pub poll: Poll,
    /// How an answer is read.
    #[serde(default)]
    pub read: Read,
    /// What an HTTP status means, where it differs from [`meaning`](super::Dialect::meaning)'s defaults.
    #[serde(default)]
    pub http: BTreeMap<HttpStatus, Meaning>,
    /// Codes in a body that say: no such task.
    #[serde(default)]
    pub not_found_codes: Vec<String>,
    /// How a task is cancelled. Absent: it cannot be.
    #[serde(default)]
    pub cancel: Option<Cancel>,
    /// When to look.
    #[serde(default)]
    pub timing: Timing,
}

/// Header of the key, and what stands before the key in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// Default `Authorization`.
    pub header: HeaderName,
    /// Default `Bearer ` with its space; "" for none.
    pub prefix: HeaderValue,
}

impl Default for Auth {
    fn default() -> Auth {
        Auth { header: HeaderName("Authorization".into()), prefix: HeaderValue("Bearer ".into()) }
    }
}

/// How a task is submitted: a POST of the caller's JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submit {
    /// Path on the API's origin.
    pub path: Path,
    /// Query members, added where the caller's JSON has no member of that name.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Sent with the submit only.
    #[serde(default)]
    pub headers: Headers,
    /// Members added to the caller's JSON where it lacks them.
    #[serde(default)]
    pub body_defaults: serde_json::Map<String, Value>,
    /// Members of the caller's JSON that mean: add nothing, the caller chose.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Longest time for the answer, milliseconds. A synchronous create answers when the image is done.
    #[serde(default = "submit_timeout")]
    pub timeout_ms: Positive,
    /// Header that makes a repeated submit harmless, where the service has one.
    #[serde(default)]
    pub idempotency_header: Option<HeaderName>,
}

fn submit_timeout() -> Positive {
    Positive(600_000)
}

/// How a task is looked at.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Poll {
    /// Default GET.
    #[serde(default)]
    pub method: Verb,
    /// The first is used for an id; the others are accepted as references and tried when the first is not there.
    #[serde(deserialize_with = "one_or_more")]
    pub paths: Vec<Path>,
    /// Query members; `{id}` in a value is the task's id.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// A JSON body; `{id}` in its texts is the task's id.
    #[serde(default)]
    pub body: Option<Value>,
    /// Where an answer names the address to look at from now on.
    #[serde(default = "follow", deserialize_with = "pointers")]
    pub follow: Pointers,
    /// Hosts besides the API's own that such an address may be on.
    #[serde(default)]
    pub follow_hosts: Vec<String>,
}

fn follow() -> Pointers {
    Pointer::list(&["/poll_url"])
}

/// How an answer is read. Every pointer list is tried in order; the first that yields a value wins, never the union.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Read {
    /// Where the task is in the body: the first under which `status` yields a value, else the first under which `id`
    /// does, else the body. Default: the body.
    #[serde(deserialize_with = "pointers")]
    pub root: Pointers,
    /// An envelope's own code, and the values that mean success. Pointer from the body.
    pub envelope_ok: Option<Envelope>,
    /// The task's id, a text or a number.
    #[serde(deserialize_with = "pointers")]
    pub id: Pointers,
    /// The status word: a text, a number or a boolean.
    #[serde(deserialize_with = "pointers")]
    pub status: Pointers,
    /// Status words of this service, over the shared vocabulary. Numbers and booleans as their JSON text.
    pub words: BTreeMap<String, Word>,
    /// The state of a look without a status. Default `unknown`.
    pub absent: Word,
    /// Truthy: the task was cancelled, whatever the status says, unless it succeeded.
    #[serde(deserialize_with = "pointers")]
    pub cancelled_if: Pointers,
    /// Truthy: the task failed, although the status says success or nothing.
    #[serde(deserialize_with = "pointers")]
    pub failed_if: Pointers,
    /// How far the task is; a number, or a text with or without a percent sign.
    #[serde(deserialize_with = "pointers")]
    pub progress: Pointers,
    /// What 100 % is: 100, or 1 for fractions. Percent texts are always read as such.
    pub progress_scale: f64,
    /// Where the images are.
    pub images: Images,
    /// Where a failed task says why.
    pub error: ErrorPointers,
    /// Seconds, milliseconds or RFC 3339; 0 for not yet.
    #[serde(deserialize_with = "pointers")]
    pub created_at: Pointers,
    /// As `created_at`; read of a task that has ended only.
    #[serde(deserialize_with = "pointers")]
    pub completed_at: Pointers,
    /// The model that works on it.
    #[serde(deserialize_with = "pointers")]
    pub model: Pointers,
    /// The prompt as the service rewrote it, also while pending. Default: that of the first image.
    #[serde(deserialize_with = "pointers")]
    pub revised_prompt: Pointers,
    /// The upstream conversation.
    #[serde(deserialize_with = "pointers")]
    pub conversation_id: Pointers,
    /// The id of the charge.
    #[serde(deserialize_with = "pointers")]
    pub billing_id: Pointers,
    /// The service's credits.
    #[serde(deserialize_with = "pointers")]
    pub credit_cost: Pointers,
    /// Seconds to wait before the next look.
    #[serde(deserialize_with = "pointers")]
    pub wait_hint: Pointers,
}

impl Default for Read {
    fn default() -> Read {
        Read {
            root: Pointers::new(),
            envelope_ok: None,
            id: Pointer::list(&["/id", "/task_id"]),
            status: Pointer::list(&["/status"]),
            words: BTreeMap::new(),
            absent: Word(State::Unknown),
            cancelled_if: Pointers::new(),
            failed_if: Pointers::new(),
            progress: Pointer::list(&["/progress"]),
            progress_scale: 100.0,
            images: Images::default(),
            error: ErrorPointers::default(),
            created_at: Pointers::new(),
            completed_at: Pointers::new(),
            model: Pointers::new(),
            revised_prompt: Pointers::new(),
            conversation_id: Pointers::new(),
            billing_id: Pointers::new(),
            credit_cost: Pointers::new(),
            wait_hint: Pointers::new(),
        }
    }
}

/// An envelope's own code.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope {
    /// Where it is, from the body.
    #[serde(deserialize_with = "pointers")]
    pub pointer: Pointers,
    /// The values that mean success.
    pub values: Vec<Value>,
}

/// Where the images are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Images {
    /// A list, one object, one string, or a list of strings. Empty: the dialect names no images.
    #[serde(deserialize_with = "pointers")]
    pub items: Pointers,
    /// The rest is relative to one item. An item that is a string is its url; a url that is an array gives one image each.
    #[serde(deserialize_with = "pointers")]
    pub url: Pointers,
    /// The image itself. Goes before `url`.
    #[serde(deserialize_with = "pointers")]
    pub base64: Pointers,
    /// The service's id of the file.
    #[serde(deserialize_with = "pointers")]
    pub file_id: Pointers,
    /// The prompt as the service rewrote it.
    #[serde(deserialize_with = "pointers")]
    pub revised_prompt: Pointers,
    /// When the link expires, as `created_at`. Default: the link's own query member `exp`.
    #[serde(deserialize_with = "pointers")]
    pub expires_at: Pointers,
    /// Pixels across.
    #[serde(deserialize_with = "pointers")]
    pub width: Pointers,
    /// Pixels down.
    #[serde(deserialize_with = "pointers")]
    pub height: Pointers,
    /// Length of the encoded image.
    #[serde(deserialize_with = "pointers")]
    pub byte_size: Pointers,
    /// A JSON text in which `items` are, instead of the body.
    #[serde(deserialize_with = "pointers")]
    pub json_string: Pointers,
    /// Whether the key goes along to links on the API's own origin.
    pub auth: ImageAuth,
    /// A link refused as private or plain http whose path starts so is taken to the API's origin.
    pub rebase: Option<Path>,
}

impl Default for Images {
    fn default() -> Images {
        Images {
            items: Pointers::new(),
            url: Pointer::list(&["/url"]),
            base64: Pointer::list(&["/b64_json"]),
            file_id: Pointer::list(&["/file_id"]),
            revised_prompt: Pointer::list(&["/revised_prompt"]),
            expires_at: Pointers::new(),
            width: Pointers::new(),
            height: Pointers::new(),
            byte_size: Pointers::new(),
            json_string: Pointers::new(),
            auth: ImageAuth::Never,
            rebase: None,
        }
    }
}

/// Whether image links get the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImageAuth {
    /// The link is enough.
    Never,
    /// On the API's own origin, never elsewhere.
    SameOrigin,
}

/// Where a failed task says why.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ErrorPointers {
    /// The words for people.
    #[serde(deserialize_with = "pointers")]
    pub message: Pointers,
    /// The code for programs.
    #[serde(deserialize_with = "pointers")]
    pub code: Pointers,
    /// The class of error.
    #[serde(rename = "type", deserialize_with = "pointers")]
    pub kind: Pointers,
    /// Whether a message "code: words" carries the code.
    pub code_in_message: bool,
    /// What helps after a code, over the shared table.
    pub action_codes: BTreeMap<String, Action>,
}

impl Default for ErrorPointers {
    fn default() -> ErrorPointers {
        ErrorPointers {
            message: Pointer::list(&["/error/message", "/error"]),
            code: Pointer::list(&["/error/code"]),
            kind: Pointer::list(&["/error/type"]),
            code_in_message: false,
            action_codes: BTreeMap::new(),
        }
    }
}

/// How a task is cancelled.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// Default DELETE.
    #[serde(default = "delete")]
    pub method: Verb,
    /// With `{id}`.
    pub path: Path,
}

fn delete() -> Verb {
    Verb::Delete
}

/// When to look. All in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timing {
    /// After our own submit.
    pub first_look_ms: u32,
    /// `[age of the task, interval from there on]`, ages rising from 0.
    #[serde(deserialize_with = "intervals")]
    pub intervals_ms: Vec<(u32, u32)>,
    /// No interval is shorter.
    pub floor_ms: u32,
    /// How long a wait lasts when nobody says.
    pub wait_timeout_ms: Positive,
    /// How long after our own submit "not found" is not believed.
    pub not_found_grace_ms: u32,
    /// The service's own limit, where it states one.
    pub requests_per_minute: Option<Positive>,
    /// Requests that may go at once after a pause.
    pub burst: Positive,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            first_look_ms: 1_000,
            intervals_ms: vec![(0, 3_000), (120_000, 5_000), (300_000, 10_000)],
            floor_ms: 1_000,
            wait_timeout_ms: Positive(600_000),
            not_found_grace_ms: 0,
            requests_per_minute: None,
            burst: Positive(15),
        }
    }
}

/// How well a dialect is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Confidence {
    /// Put together from clients, forks, examples.
    #[default]
    Inferred,
    /// By the service's own pages.
    Documented,
}

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verb {
    #[default]
    Get,
    Post,
    Put,
    Delete,
}

/// What an HTTP status says about the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// A text that was checked when the document was read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub(crate) struct $name(String);

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$name, D::Error> {
                let text = String::deserialize(d)?;
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(&text).map_err(de::Error::custom)?;
                Ok($name(text))
            }
        }
    };
}

checked_text!(
    /// The name of a dialect.
    Name,
    |text| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let whole = (1..=64).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-');
        if whole { Ok(()) } else { Err("must be 1 to 64 small letters, digits and dashes") }
    }
);

checked_text!(
    /// A path on the API's origin, with a query if the service wants one.
    Path,
    |text| {
        if !text.starts_with('/') || text.starts_with("//") {
            return Err("must start with one /");
        }
        let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\' | b'"' | b'<' | b'>');
        if text.bytes().all(fits) { Ok(()) } else { Err("must be printable ASCII without spaces and fragment") }
    }
);

checked_text!(
    /// A header's name.
    HeaderName,
    |text| {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || !text.bytes().all(token) { Err("must be a header name") } else { Ok(()) }
    }
);

checked_text!(
    /// A header's value, or a part of one.
    HeaderValue,
    |text| {
        let visible = |b: u8| b == b' ' || b.is_ascii_graphic();
        if text.bytes().all(visible) { Ok(()) } else { Err("must be printable ASCII on one line") }
    }
);

/// Headers that a dialect sends as they are.
pub(crate) type Headers = BTreeMap<HeaderName, HeaderValue>;

/// The version of the schema.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Version, D::Error> {
        match u64::deserialize(d)? {
            1 => Ok(Version),
            _ => Err(de::Error::custom("this library reads version 1")),
        }
    }
}

/// A count that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Positive(pub u32);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Positive, D::Error> {
        match u32::deserialize(d)? {
            0 => Err(de::Error::custom("must not be 0")),
            n => Ok(Positive(n)),
        }
    }
}

/// A three-digit HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HttpStatus(pub u16);

impl<'de> Deserialize<'de> for HttpStatus {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<HttpStatus, D::Error> {
        let status = String::deserialize(d)?.parse().unwrap_or(0);
        if (100..600).contains(&status) {
            Ok(HttpStatus(status))
        } else {
            Err(de::Error::custom("must be an HTTP status, 100 to 599"))
        }
    }
}

/// A state by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub State);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Word, D::Error> {
        use State::*;
        let name = String::deserialize(d)?;
        let states = [Unknown, Queued, Running, Succeeded, Failed, Cancelled, Expired];
        states.into_iter().find(|state| state.name() == name).map(Word).ok_or_else(|| {
            de::Error::custom("must be unknown, queued, running, succeeded, failed, cancelled or expired")
        })
    }
}

/// An action by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action(pub FailureAction);

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Action, D::Error> {
        use FailureAction::*;
        let name = String::deserialize(d)?;
        let found = [Resubmit, ChangeRequest, CheckAccount].into_iter().find(|action| action.name() == name);
        found.map(Action).ok_or_else(|| de::Error::custom("must be resubmit, change_request or check_account"))
    }
}

/// A list that is not empty.
fn one_or_more<'de, D, T>(d: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::<T>::deserialize(d)?;
    if list.is_empty() { Err(de::Error::custom("must not be empty")) } else { Ok(list) }
}

/// Pairs `[age, interval]` with ages rising from 0.
fn intervals<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(u32, u32)>, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(u32, u32)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of [age, interval]")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut pairs: Vec<(u32, u32)> = Vec::new();
            while let Some(pair) = seq.next_element::<(u32, u32)>()? {
                let rises = pairs.last().map_or(pair.0 == 0, |last| pair.0 > last.0);
                if !rises {
                    return Err(de::Error::custom("ages must rise from 0"));
                }
                if pair.1 == 0 {
                    return Err(de::Error::custom("an interval must not be 0"));
                }
                pairs.push(pair);
            }
            if pairs.is_empty() { Err(de::Error::custom("must not be empty")) } else { Ok(pairs) }
        }
    }
    d.deserialize_seq(Pairs)
}
