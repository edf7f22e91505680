//! The nouns everyone speaks: a task, its state, its images, its failure.

use std::fmt;
use std::ops::Range;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
#[non_exhaustive]
pub enum State {
    /// Not seen yet, or the service used a word nobody knows. Keeps being looked at.
    #[default]
    Unknown = 0,
    /// Accepted, waiting.
    Queued = 1,
    /// In work.
    Running = 2,
    /// Done. Images may be read.
    Succeeded = 3,
    /// Ended in an error of the task's own.
    Failed = 4,
    /// Ended because somebody asked for it.
    Cancelled = 5,
    /// The service no longer keeps it.
    Expired = 6,
}

impl State {
    /// Whether the task has ended: nothing the service does will change it.
    pub fn is_final(self) -> bool {
        matches!(self, State::Succeeded | State::Failed | State::Cancelled | State::Expired)
    }

    /// The state as a word in lower case: `succeeded`.
    pub fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Queued => "queued",
            State::Running => "running",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What helps after a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
#[non_exhaustive]
pub enum FailureAction {
    /// Nothing: the task did not fail.
    #[default]
    None = 0,
    /// Submit the same request again.
    Resubmit = 1,
    /// The request itself was refused: change it first.
    ChangeRequest = 2,
    /// The account, its balance or its rights: look there first.
    CheckAccount = 3,
}

impl FailureAction {
    /// The action as a word in lower case: `change_request`.
    pub fn name(self) -> &'static str {
        match self {
            FailureAction::None => "none",
            FailureAction::Resubmit => "resubmit",
            FailureAction::ChangeRequest => "change_request",
            FailureAction::CheckAccount => "check_account",
        }
    }
}

/// Why a task failed, in the service's words, without control characters but line ends and tabs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// The service's code, "" when it gave none.
    pub code: String,
    /// The service's class of error, "" when it gave none.
    pub kind: String,
    /// The service's words, "the service gave no reason" when it gave none.
    pub message: String,
    /// What helps.
    pub action: FailureAction,
}

/// Where an image's bytes are.
#[derive(Clone, PartialEq, Eq)]
pub enum Link {
    /// An address. A task that a client hands out has absolute ones only.
    Url(String),
    /// The image itself, as a data URL or bare base64, at this place of the task's body.
    InBody(Range<usize>),
    /// The image itself, as a data URL or bare base64, where the body writes it with escapes.
    Inline(String),
}

// A signed query and an inline image do not belong into a log.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Link::Url(url) => write!(f, "Url({})", url.split(['?', '#']).next().unwrap_or_default()),
            Link::InBody(range) => write!(f, "InBody({} bytes)", range.len()),
            Link::Inline(text) => write!(f, "Inline({} bytes)", text.len()),
        }
    }
}

/// One usable image of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Where its bytes are.
    pub link: Link,
    /// Its place in the service's own list, which may hold empty places.
    pub source_index: usize,
    /// The service's id of the file, "" when it gave none.
    pub file_id: String,
    /// The prompt as the service rewrote it, "" when it gave none.
    pub revised_prompt: String,
    /// When the link expires, Unix seconds, 0 unknown.
    pub expires_at: i64,
    /// Pixels across, 0 unknown.
    pub width: u32,
    /// Pixels down, 0 unknown.
    pub height: u32,
    /// Length of the encoded image, 0 unknown.
    pub byte_size: u64,
}

impl Image {
    /// An image of which nothing but its address is known.
    pub(crate) fn at(url: String) -> Image {
        Image {
            link: Link::Url(url),
            source_index: 0,
            file_id: String::new(),
            revised_prompt: String::new(),
            expires_at: 0,
            width: 0,
            height: 0,
            byte_size: 0,
        }
    }

    /// The image's absolute address, "" when it is inline.
    pub fn url(&self) -> &str {
        match &self.link {
            Link::Url(url) => url,
            _ => "",
        }
    }

    /// Whether the image's bytes are in the task itself.
    pub fn is_inline(&self) -> bool {
        !matches!(self.link, Link::Url(_))
    }
}

/// The body a service sent, as it came.
///
/// Kept with a NUL behind it, so that the C ABI lends it out without a copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Keeps `text`; reserve one byte more than its length to spare a copy.
    pub fn new(mut text: String) -> Json {
        text.push('\0');
        Json(text)
    }

    /// The body, without the NUL behind it.
    pub fn as_str(&self) -> &str {
        &self.0[..self.0.len() - 1]
    }

    /// The body with the NUL behind it.
    pub fn as_str_with_nul(&self) -> &str {
        &self.0
    }
}

impl Default for Json {
    fn default() -> Json {
        Json::new(String::new())
    }
}

// A body may hold signed links and whole images.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.as_str().len())
    }
}

/// What is known of a task after a look, a wait or a submit.
///
/// Texts are "" and times 0 where the service said nothing; no text holds a NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The service's id, "" for a synchronous answer without one.
    pub id: String,
    /// What to pass to look at it again: the service's own poll address when it gave one, else the id.
    pub poll_ref: String,
    /// Where it stands.
    pub state: State,
    /// The service's own word for it, as it came.
    pub provider_status: String,
    /// 0 to 100, -1 unknown or failed; 100 only when it succeeded.
    pub progress: i32,
    /// The usable images, in the service's order.
    pub images: Vec<Image>,
    /// Why it failed; `None` unless it ended in Failed, Cancelled or Expired.
    pub failure: Option<Failure>,
    /// Unix seconds, 0 unknown.
    pub created_at: i64,
    /// Unix seconds, 0 unknown or not yet.
    pub completed_at: i64,
    /// When this was seen, Unix milliseconds by this machine's clock.
    pub looked_at_ms: i64,
    /// The prompt as the service rewrote it, also while pending.
    pub revised_prompt: String,
    /// The model that works on it.
    pub model: String,
    /// The upstream conversation (DimiLinks legacy).
    pub conversation_id: String,
    /// The id of the charge (LemonData).
    pub billing_id: String,
    /// The service's credits, -1 unknown (DimiLinks legacy).
    pub credit_cost: i64,
    /// The body as received, "" for a task that no look has seen.
    pub json: Json,
}

impl Task {
    /// A task of which nothing but its reference is known.
    pub fn unseen(id: impl Into<String>, poll_ref: impl Into<String>) -> Task {
        Task::bare(id.into(), poll_ref.into())
    }

    // Once for all who make one: it is a long list.
    #[inline(never)]
    fn bare(id: String, poll_ref: String) -> Task {
        Task {
            id,
            poll_ref,
            state: State::Unknown,
            provider_status: String::new(),
            progress: -1,
            images: Vec::new(),
            failure: None,
            created_at: 0,
            completed_at: 0,
            looked_at_ms: 0,
            revised_prompt: String::new(),
            model: String::new(),
            conversation_id: String::new(),
            billing_id: String::new(),
            credit_cost: -1,
            json: Json::default(),
        }
    }

    /// The data URL or base64 text of an inline image of this task, `None` for one with an address.
    pub fn inline_text<'a>(&'a self, image: &'a Image) -> Option<&'a str> {
        match &image.link {
            Link::Url(_) => None,
            Link::InBody(range) => self.json.as_str().get(range.clone()),
            Link::Inline(text) => Some(text),
        }
    }
}
