//! What a look says to the policy, and what the policy's end says to the caller. Waits and jobs end in the same words.

use std::time::Duration;

use super::{Api, Look};
use crate::error::{Error, Result, Retry, Status};
use crate::poll::{End, Seen};
use crate::task::{State, Task};
use crate::words::seconds;

/// A status word is not longer in a message.
const MAX_WORD: usize = 64;
/// One look takes less.
const WORTH_TELLING: Duration = Duration::from_millis(50);

/// A task that is watched, as messages name it.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) api: &'a Api,
    /// "" when its address does not show it.
    pub(crate) id: &'a str,
    /// What to pass to look at it again.
    pub(crate) reference: &'a str,
}

impl Look {
    pub(crate) fn seen(&self) -> Seen {
        match self.task.state.is_final() {
            true if self.without_image => Seen::NoImage,
            true => Seen::Final,
            false => Seen::Pending { hint_ms: self.hint.map(ms) },
        }
    }
}

/// What a failed look says.
pub(crate) fn seen_in(error: &Error) -> Seen {
    let hint_ms = match error.retry() {
        Retry::After(pause) => Some(ms(pause)),
        _ => None,
    };
    match error.status() {
        Status::NotFound => Seen::NotFound,
        _ if error.retry() == Retry::Never => Seen::Refused,
        Status::RateLimited => Seen::RateLimited { hint_ms },
        _ => Seen::Failed { hint_ms },
    }
}

impl Api {
    /// Learns from a task that succeeded how long this service takes: by its own times, else by what was seen of it, which is
    /// that it lasted between so many milliseconds.
    pub(crate) fn learn(&self, task: &Task, seen: Option<(u64, u64)>) {
        if task.state != State::Succeeded {
            return;
        }
        let known = task.created_at > 0 && task.completed_at >= task.created_at;
        let told_ms =
            known.then(|| u64::try_from(task.completed_at - task.created_at).unwrap_or(0).saturating_mul(1000));
        // Whole seconds, cut off.
        let Some((from_ms, to_ms)) = told_ms.map(|ms| (ms.saturating_sub(1_000), ms + 1_000)).or(seen) else { return };
        let mut pace = self.entrance.pace();
        let model = pace.durations.model(&task.model);
        pace.durations.learn_between(model, from_ms, to_ms);
    }
}

impl Watched<'_> {
    /// How looking at it ended: `task` as it was seen last, `error` of the last look when that failed.
    pub(crate) fn end(&self, end: End, task: Option<Task>, error: Option<Error>, waited: Duration) -> Result<Task> {
        let lost = || Error::new(Status::Timeout, format!("{}: {} could not be looked at", self.title(), self.name()));
        match end {
            End::Final => task.ok_or_else(lost),
            End::NoImage => Err(self.without_image(task.unwrap_or_else(|| self.unseen()))),
            End::NotFound | End::Refused => Err(error.unwrap_or_else(lost)),
            End::PausePastDeadline { hint_ms } => {
                let pause = Retry::After(Duration::from_millis(hint_ms));
                match error {
                    Some(error) => Err(error.with_retry(pause)),
                    None => Err(self.timed_out(task, None, waited).with_retry(pause)),
                }
            }
            End::TimedOut => Err(self.timed_out(task, error, waited)),
            End::Starved => Err(self.starved(task)),
        }
    }

    /// The wait was ended by its caller.
    pub(crate) fn cancelled(&self, task: Option<Task>, what: &str) -> Error {
        let message = format!("{}: {what} {} was interrupted; it goes on", self.title(), self.name());
        Error::new(Status::Cancelled, message).with_task(task.unwrap_or_else(|| self.unseen()))
    }

    fn without_image(&self, task: Task) -> Error {
        let message = format!("{}: {} succeeded without a usable image", self.title(), self.name());
        Error::new(Status::NoImage, message).with_task(task)
    }

    fn starved(&self, task: Option<Task>) -> Error {
        let message = format!(
            "{}: the request budget did not allow a look at {} before its time was over; it goes on at the service and can \
             be waited for again",
            self.title(),
            self.name()
        );
        Error::new(Status::Starved, message).with_task(self.bare(task))
    }

    fn timed_out(&self, task: Option<Task>, error: Option<Error>, waited: Duration) -> Error {
        // All that was left to look for was its image.
        if let Some(task) = task.as_ref().filter(|task| task.state.is_final()) {
            return self.without_image(task.clone());
        }
        let after = if waited < WORTH_TELLING { String::new() } else { format!(" after {}", seconds(waited)) };
        let word = task.as_ref().map(|task| match task.provider_status.as_str() {
            "" => task.state.name().to_owned(),
            word => self.api.words(word, MAX_WORD),
        });
        let saw = match (&error, word) {
            (Some(error), None) => format!("no look succeeded, the last one: {}", error.message()),
            (Some(error), Some(word)) => format!("last seen {word:?}, then: {}", error.message()),
            (None, word) => format!("last seen {:?}", word.unwrap_or_default()),
        };
        let message = format!(
            "{}: {} is not finished{after} ({saw}); it goes on at the service and can be waited for again",
            self.title(),
            self.name()
        );
        let http_status = error.map_or(0, |error| error.http_status());
        Error::new(Status::Timeout, message).with_http_status(http_status).with_task(self.bare(task))
    }

    /// The task as far as it is known, without its body.
    fn bare(&self, task: Option<Task>) -> Task {
        let mut task = task.unwrap_or_else(|| self.unseen());
        task.json = Default::default();
        task
    }

    pub(crate) fn unseen(&self) -> Task {
        Task::unseen(self.id, self.reference)
    }

    fn title(&self) -> &str {
        self.api.title()
    }

    pub(crate) fn name(&self) -> String {
        if self.id.is_empty() { "the task".into() } else { format!("task {}", self.id) }
    }
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
