//! A body becomes a task.

use std::time::Duration;

use super::Dialect;
use super::plan::{Field, View};
use super::reader::Unreadable;
use super::refusal::status_of;
use super::value::Value;
use super::vocabulary::{ACTIONS, STATES, look_up};
use crate::error::{Error, Result, Status};
use crate::task::{Failure, FailureAction, Image, Json, State, Task};
use crate::words::printable;

/// What an answer says.
#[derive(Debug)]
#[cfg_attr(any(test, fuzzing), derive(PartialEq))]
pub(crate) struct Reading {
    /// The task; its links are as the service wrote them, `poll_ref` is the address it asks to look at or "".
    pub task: Task,
    /// Whether the status is a word that nobody knows.
    pub unknown_word: bool,
    /// How long the body asks to wait.
    pub wait_hint: Option<Duration>,
    /// Where the answer with the images is, "" when this is the one.
    pub result: String,
    /// Whether the dialect says where images are, so that a success without one is a fault.
    pub names_images: bool,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Submit,
    Look,
}

impl Dialect {
    /// Reads the body of a look.
    ///
    /// # Errors
    /// `BadResponse` for a body that is no JSON object; an envelope's refusal as what its code means.
    pub(crate) fn read_look(&self, body: String) -> Result<Reading> {
        self.read(body, Question::Look)
    }

    /// Reads the body of a submit. An answer with images and no status is a finished task; an id alone a queued one.
    ///
    /// # Errors
    /// As [`Dialect::read_look`]; `BadResponse` also for an answer with neither task nor image.
    pub(crate) fn read_submit(&self, body: String) -> Result<Reading> {
        self.read(body, Question::Submit)
    }

    fn read(&self, mut body: String, question: Question) -> Result<Reading> {
        let mut reading = match self.plan.read(&body) {
            Ok(view) => self.task(&view, &body, question)?,
            Err(why) => return Err(unreadable(why)),
        };
        // Room for the NUL that `Json` puts behind it, so that the body is not copied into twice its size.
        body.reserve_exact(1);
        reading.task.json = Json::new(body);
        Ok(reading)
    }

    /// Reads the answer that `reading` said the images are in.
    ///
    /// # Errors
    /// `BadResponse` for a body that is no JSON object.
    pub(crate) fn read_result(&self, reading: &mut Reading, mut body: String) -> Result<()> {
        let task = &mut reading.task;
        let view = self.plan.read(&body).map_err(unreadable)?;
        task.images = view.images(&body);
        if task.revised_prompt.is_empty() {
            task.revised_prompt = revised_prompt(&view, &task.images);
        }
        body.reserve_exact(1);
        // Inline images are in this body.
        task.json = Json::new(body);
        Ok(())
    }

    /// The service refused to give the answer with the images: that is how it says that the task failed.
    pub(crate) fn read_failed_result(&self, reading: &mut Reading, body: &[u8]) {
        let refusal = self.read_refusal(body);
        let known = self.known_action(&refusal.code, &refusal.kind, "");
        let message = if refusal.message.is_empty() { NO_REASON.to_owned() } else { refusal.message };
        let action = known.unwrap_or(FailureAction::ChangeRequest);
        reading.task.failure = Some(Failure { code: refusal.code, kind: refusal.kind, message, action });
        reading.task.state = State::Failed;
        reading.task.progress = -1;
    }

    fn task(&self, view: &View<'_, '_>, body: &str, question: Question) -> Result<Reading> {
        let id = text(view.value(Field::Id));
        let status = view.value(Field::Status).word();
        self.refused(view, body, question, id.is_empty() && status.is_none())?;

        let known = status.as_deref().map(|word| look_up(&self.words, STATES, word));
        let mut state = match known {
            Some(known) => known.unwrap_or_default(),
            None if question == Question::Look => self.profile.read.absent.0,
            None if view.images(body).is_empty() => State::Queued,
            None => State::Succeeded,
        };
        if view.is_set(Field::CancelledIf) && state != State::Succeeded {
            state = State::Cancelled;
        }
        if view.is_set(Field::FailedIf) && (state == State::Succeeded || status.is_none()) {
            state = State::Failed;
        }
        let follow = text(view.value_or_outer(Field::Follow));
        if question == Question::Submit && !state.is_final() && id.is_empty() && follow.is_empty() {
            let message = "the service's answer names neither a task nor an image";
            return Err(Error::new(Status::BadResponse, message));
        }

        let images = if state == State::Succeeded { view.images(body) } else { Vec::new() };
        let result = match state {
            State::Succeeded if images.is_empty() => text(view.value_or_outer(Field::Result)),
            _ => String::new(),
        };
        if question == Question::Submit && !result.is_empty() {
            // The images take one more request, which is a look's to make.
            state = State::Running;
        }
        let status = status.map_or_else(String::new, |word| word.into_owned());
        let failure = (state.is_final() && state != State::Succeeded).then(|| self.failure(view, &status));
        let mut task = Task::unseen(id, follow);
        task.progress = self.progress(view.value(Field::Progress), state);
        task.created_at = view.value(Field::CreatedAt).time();
        task.completed_at = if state.is_final() { view.value(Field::CompletedAt).time() } else { 0 };
        task.revised_prompt = revised_prompt(view, &images);
        task.model = text(view.value(Field::Model));
        task.conversation_id = text(view.value(Field::ConversationId));
        task.billing_id = text(view.value(Field::BillingId));
        task.credit_cost = view.value(Field::CreditCost).number().map_or(-1, |credits| credits as i64);
        task.provider_status = status;
        (task.state, task.failure, task.images) = (state, failure, images);
        Ok(Reading {
            unknown_word: known == Some(None),
            wait_hint: seconds(view.value_or_outer(Field::WaitHint)),
            result,
            names_images: self.plan.names_images(),
            task,
        })
    }

    /// An answer that is a refusal although its HTTP status is not: an envelope's code, or an error without a task.
    fn refused(&self, view: &View<'_, '_>, body: &str, question: Question, says_nothing: bool) -> Result<()> {
        let good = |code: &str| self.envelope_values.iter().any(|good| good == code);
        let bad_code = view.outer(Field::Envelope).word().is_some_and(|code| !good(&code));
        let error_alone = says_nothing && view.value(Field::Message).text().is_some();
        if !(bad_code || error_alone) {
            return Ok(());
        }
        let refusal = self.read_refusal(body.as_bytes());
        let status = match refusal.code.parse() {
            _ if refusal.not_found => Status::NotFound,
            Ok(code @ 400..600) => status_of(code),
            _ if question == Question::Submit => Status::Rejected,
            // It did not say that the task is over: a look may say more.
            _ => Status::Server,
        };
        Err(refusal.into_error(status))
    }

    /// 100 when it succeeded and only then, -1 when it is not known or of no meaning.
    fn progress(&self, value: Value<'_>, state: State) -> i32 {
        if state == State::Succeeded {
            return 100;
        }
        match value.percent(self.profile.read.progress_scale.0) {
            // A hair's breadth more, for 0.29 * 100 is 28.999999999999996.
            Some(percent) if percent >= 0.0 && !state.is_final() => (percent + 1e-9).min(99.0) as i32,
            _ => -1,
        }
    }

    fn failure(&self, view: &View<'_, '_>, status: &str) -> Failure {
        let words = |value| printable(text(value));
        let mut message = words(view.value_or_outer(Field::Message));
        let code = view.value_or_outer(Field::Code);
        // Some services fill the error in with `code: 0` where there is none.
        let mut code = if code.number() == Some(0.0) { String::new() } else { words(code) };
        let kind = words(view.value_or_outer(Field::Kind));
        if code.is_empty() && self.profile.read.error.code_in_message {
            (code, message) = split_code(message);
        }
        let action = self.action_for(&code, &kind, status);
        if message.trim().is_empty() {
            message = NO_REASON.to_owned();
        }
        Failure { code, kind, message, action }
    }

    /// What helps, by the code, else by the class of error, else by the status word.
    pub(crate) fn action_for(&self, code: &str, kind: &str, status: &str) -> FailureAction {
        self.known_action(code, kind, status).unwrap_or(FailureAction::Resubmit)
    }

    fn known_action(&self, code: &str, kind: &str, status: &str) -> Option<FailureAction> {
        [code, kind, status].into_iter().find_map(|word| look_up(&self.actions, ACTIONS, word))
    }
}

/// A word before a colon is no code beyond this length, bytes.
const MAX_CODE: usize = 64;
/// Whether the HTTP status of a second answer says that the task failed. Every other refusal is about the key or the way to the
/// service, and no word on the task.
pub(crate) fn fails_the_task(http_status: u16) -> bool {
    matches!(http_status, 400 | 422)
}

const NO_REASON: &str = "the service gave no reason";

fn unreadable(why: Unreadable) -> Error {
    Error::new(Status::BadResponse, format!("the service's answer cannot be read: {why}"))
}

/// The text as it is, "" for none.
fn text(value: Value<'_>) -> String {
    value.text().map_or_else(String::new, |text| text.into_owned())
}

/// The task's own, else that of its first image.
fn revised_prompt(view: &View<'_, '_>, images: &[Image]) -> String {
    let of_image = || images.iter().map(|image| &image.revised_prompt).find(|prompt| !prompt.is_empty());
    match view.value(Field::RevisedPrompt).text() {
        Some(prompt) => prompt.into_owned(),
        None => of_image().cloned().unwrap_or_default(),
    }
}

/// A time to wait, in seconds.
pub(super) fn seconds(value: Value<'_>) -> Option<Duration> {
    let seconds = value.number().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// "code: words" into both; a code alone is all the words there are. A code is one word of letters, digits, `_`, `-` and `.`;
/// a word as a sentence begins with ("Sorry: ..."), the mere word "error", and what an address begins with are none.
fn split_code(message: String) -> (String, String) {
    let is_code = |text: &str| {
        let text = text.as_bytes();
        let is_of_code = |b: &u8| b.is_ascii_alphanumeric() || b"_-.".contains(b);
        let is_of_sentence = || {
            matches!(text, [first, second, ..] if first.is_ascii_uppercase() && second.is_ascii_lowercase())
                && text.iter().skip(1).all(u8::is_ascii_lowercase)
        };
        text.len() <= MAX_CODE
            && text.iter().all(is_of_code)
            && text.last().is_some_and(|last| !b"-.".contains(last))
            && !text.eq_ignore_ascii_case(b"error")
            && !is_of_sentence()
    };
    match message.split_once(':') {
        Some((code, words)) if is_code(code) && !words.starts_with("//") => (code.to_owned(), words.trim().to_owned()),
        None if is_code(&message) => (message.clone(), message),
        _ => (String::new(), message),
    }
}
