//! A wait on the calling thread: steps the pure policy of `poll` with real time and real looks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{Api, Look};
use crate::error::{Error, Result, Retry, Status};
use crate::http::Stop;
use crate::log::{self, LogLevel};
use crate::poll::{End, Jitter, Seen, Spacing, Step, Timing, Watch};
use crate::reference::Target;
use crate::task::Task;

pub(crate) struct Wait<'a> {
    pub(crate) api: &'a Api,
    pub(crate) timing: &'a Timing,
    pub(crate) request_timeout: Duration,
    pub(crate) stop: &'a Arc<Stop>,
    pub(crate) target: &'a Target,
}

/// What a look is taken to last before one has been measured: a tenth of the wait, at most this.
const FIRST_ALLOWANCE: Duration = Duration::from_millis(250);
/// A measured look counts this many times: the last one may be slower than the others.
const ALLOWANCE_FACTOR: u32 = 4;
const SHORTEST_ALLOWANCE: Duration = Duration::from_millis(20);
const LONGEST_ALLOWANCE: Duration = Duration::from_secs(2);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);
/// A status word is not longer in a message.
const MAX_WORD: usize = 64;

/// What the looks so far have shown.
struct Known {
    task: Option<Task>,
    /// The last look's error, when it failed.
    error: Option<Error>,
    progress: i32,
}

impl Wait<'_> {
    pub(crate) fn run(&self, timeout: Duration, on_look: &mut dyn FnMut(&Task)) -> Result<Task> {
        let started = Instant::now();
        let now = || ms(started.elapsed());
        let deadline = started + timeout.min(LONGEST_WAIT);
        // Time in the policy counts from our own submit, where there was one.
        let submitted = self.api.submits.get(&self.target.id, started).map(|s| ms(started - s.at));
        let age = submitted.unwrap_or(0);
        let now = || age + now();
        let mut watch = Watch::new(age, submitted.map(|_| 0), age + ms(deadline - started));
        let mut jitter = Jitter::new(seed(&self.target.id, started));
        let mut allowance = (timeout / 10).clamp(SHORTEST_ALLOWANCE, FIRST_ALLOWANCE);
        let spacing = Spacing::own(self.timing);
        let mut known = Known { task: None, error: None, progress: -1 };
        let mut step = watch.first(now(), &spacing, ms(allowance));
        loop {
            let at_ms = match step {
                Step::Look { at_ms, .. } => at_ms,
                Step::End(end) => return self.end(end, known, started),
            };
            if !self.stop.sleep(Duration::from_millis(at_ms.saturating_sub(now()))) {
                return Err(self.cancelled(known));
            }
            let look_started = Instant::now();
            let limit = look_started + self.request_timeout;
            // Zero is one look, however long it takes; otherwise the call is back by its deadline.
            let limit = if timeout.is_zero() { limit } else { limit.min(deadline) };
            let seen = match self.api.look(self.target, self.stop, limit) {
                Ok(look) => {
                    self.api.log.line(LogLevel::Debug, || format!("look: {}", log::task_line(&look.task)));
                    known.take(look, on_look)
                }
                Err(error) if error.status() == Status::Cancelled => return Err(self.cancelled(known)),
                Err(error) => known.fail(error),
            };
            allowance = (look_started.elapsed() * ALLOWANCE_FACTOR).clamp(SHORTEST_ALLOWANCE, LONGEST_ALLOWANCE);
            let was_unreachable = watch.unreachable();
            step = watch.after(seen, now(), &spacing, &mut jitter, ms(allowance));
            if watch.unreachable() && !was_unreachable {
                self.api.log.line(LogLevel::Warn, || format!("{}: {} is unreachable", self.api.title(), self.name()));
            }
        }
    }

    fn end(&self, end: End, known: Known, started: Instant) -> Result<Task> {
        let Known { task, error, .. } = known;
        let title = self.api.title();
        let lost = || Error::new(Status::Timeout, format!("{title}: {} could not be looked at", self.name()));
        match end {
            End::Final => task.ok_or_else(lost),
            End::NoImage => Err(self.without_image(task.unwrap_or_else(|| self.unseen()))),
            End::NotFound | End::Refused => Err(error.unwrap_or_else(lost)),
            End::PausePastDeadline { hint_ms } => {
                let pause = Retry::After(Duration::from_millis(hint_ms));
                match error {
                    Some(error) => Err(error.with_retry(pause)),
                    None => Err(self.timed_out(task, None, started).with_retry(pause)),
                }
            }
            End::TimedOut | End::Starved => Err(self.timed_out(task, error, started)),
        }
    }

    fn without_image(&self, task: Task) -> Error {
        let message = format!("{}: {} succeeded without a usable image", self.api.title(), self.name());
        Error::new(Status::NoImage, message).with_task(task)
    }

    fn timed_out(&self, task: Option<Task>, error: Option<Error>, started: Instant) -> Error {
        // All that was left to look for was its image.
        if let Some(task) = task.as_ref().filter(|task| task.state.is_final()) {
            return self.without_image(task.clone());
        }
        let seconds = started.elapsed().as_secs_f32();
        // One look takes no time worth telling.
        let after = if seconds < 0.05 { String::new() } else { format!(" after {seconds:.1} s") };
        let title = self.api.title();
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
            "{title}: {} is not finished{after} ({saw}); it goes on at the service and can be waited for again",
            self.name()
        );
        let mut task = task.unwrap_or_else(|| self.unseen());
        task.json = Default::default();
        let http_status = error.map_or(0, |error| error.http_status());
        Error::new(Status::Timeout, message).with_http_status(http_status).with_task(task)
    }

    fn cancelled(&self, known: Known) -> Error {
        let task = known.task.unwrap_or_else(|| self.unseen());
        let message = format!("{}: the wait for {} was interrupted; it goes on", self.api.title(), self.name());
        Error::new(Status::Cancelled, message).with_task(task)
    }

    fn unseen(&self) -> Task {
        Task::unseen(&self.target.id, self.target.reference())
    }

    fn name(&self) -> String {
        if self.target.id.is_empty() { "the task".into() } else { format!("task {}", self.target.id) }
    }
}

impl Known {
    fn take(&mut self, look: Look, on_look: &mut dyn FnMut(&Task)) -> Seen {
        let Look { mut task, hint, without_image } = look;
        if !task.state.is_final() {
            // Some services count backwards; a progress bar does not.
            task.progress = task.progress.max(self.progress);
            self.progress = task.progress;
        }
        on_look(&task);
        let seen = match task.state.is_final() {
            true if without_image => Seen::NoImage,
            true => Seen::Final,
            false => Seen::Pending { hint_ms: hint.map(ms) },
        };
        self.task = Some(task);
        self.error = None;
        seen
    }

    fn fail(&mut self, error: Error) -> Seen {
        let hint_ms = match error.retry() {
            Retry::After(pause) => Some(ms(pause)),
            _ => None,
        };
        let seen = match error.status() {
            Status::NotFound => Seen::NotFound,
            _ if error.retry() == Retry::Never => Seen::Refused,
            Status::RateLimited => Seen::RateLimited { hint_ms },
            _ => Seen::Failed { hint_ms },
        };
        self.error = Some(error);
        seen
    }
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Different for every task and every wait, so that many do not look in step.
fn seed(id: &str, started: Instant) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one((id, started))
}
