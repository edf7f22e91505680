//! A wait on the calling thread: steps the pure policy of `poll` with real time and real looks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{Api, Kept, Leave, Look, Target, Watched, seen_in};
use crate::error::{Error, Result, Retry, Status};
use crate::http::Stop;
use crate::log::{self, LogLevel};
use crate::poll::{End, Jitter, Seen, Spacing, Step, Watch};
use crate::task::Task;

pub(crate) struct Wait<'a> {
    pub(crate) api: &'a Api,
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

/// Takes what a look showed, or why it failed where another one follows.
pub type OnLook<'a> = dyn FnMut(std::result::Result<&Task, &Error>) + 'a;

/// What the looks so far have shown.
struct Known {
    task: Option<Task>,
    /// The last look's error, when it failed.
    error: Option<Error>,
    progress: i32,
}

impl Wait<'_> {
    pub(crate) fn run(&self, timeout: Duration, on_look: &mut OnLook<'_>) -> Result<Task> {
        let api = self.api;
        let (setup, clock) = (&api.setup, api.entrance.clock);
        let started = Instant::now();
        let deadline = started + timeout.min(LONGEST_WAIT);
        // A task's age counts from our own submit, where there was one.
        let submitted_ms = api.submits.get(&self.target.id, started).map(|own| clock.ms_at(own.at));
        let now_ms = clock.ms_at(started);
        let mut watch = Watch::new(now_ms, submitted_ms, clock.ms_at(deadline));
        let mut jitter = Jitter::new(seed(&self.target.id, started));
        let mut allowance = (timeout / 10).clamp(SHORTEST_ALLOWANCE, FIRST_ALLOWANCE);
        let mut known = Known { task: None, error: None, progress: -1 };
        let mut step = self.paced(&known, |spacing| watch.first(now_ms, spacing, ms(allowance)));
        loop {
            let at_ms = match step {
                Step::Look { at_ms, .. } => at_ms,
                Step::End(end) => return self.end(end, known, started),
            };
            if !self.stop.sleep(clock.until(at_ms)) {
                return Err(self.cancelled(known));
            }
            // Zero is one look, however long it takes; otherwise the call is back by its deadline.
            let patience =
                if timeout.is_zero() { setup.request_timeout } else { deadline - Instant::now().min(deadline) };
            let leave = match api.entrance.admit(self.stop, Instant::now(), patience) {
                Ok(leave) => leave,
                Err(Kept::Stopped) => return Err(self.cancelled(known)),
                Err(Kept::Closed { opens_in }) => {
                    let now_ms = clock.now_ms();
                    // What was seen an interval ago is news enough to say that the time is over.
                    let fresh = self.paced(&known, |spacing| watch.seen_within(now_ms, spacing, 0));
                    let end = if fresh { End::TimedOut } else { End::Starved };
                    return self.end(end, known, started).map_err(|error| error.with_retry(Retry::After(opens_in)));
                }
            };
            let look_started = Instant::now();
            let limit = look_started + setup.request_timeout;
            let limit = if timeout.is_zero() { limit } else { limit.min(deadline) };
            let seen = match self.look(limit, leave) {
                Ok(look) => known.take(look, on_look),
                Err(error) if error.status() == Status::Cancelled => return Err(self.cancelled(known)),
                Err(error) => known.fail(error),
            };
            allowance = (look_started.elapsed() * ALLOWANCE_FACTOR).clamp(SHORTEST_ALLOWANCE, LONGEST_ALLOWANCE);
            let now_ms = clock.now_ms();
            step = self.paced(&known, |spacing| watch.after(seen, now_ms, spacing, &mut jitter, ms(allowance)));
            if let (Step::End(End::Final), Some(task)) = (step, &known.task) {
                api.learn(task, watch.duration_ms(now_ms));
            }
            if let (Step::Look { .. }, Some(error)) = (step, &known.error) {
                on_look(Err(error));
            }
        }
    }

    /// Lets the policy say what is next, with what the client has learned of tasks like this one.
    fn paced<T>(&self, known: &Known, say: impl FnOnce(&Spacing<'_>) -> T) -> T {
        let model = known.task.as_ref().map_or("", |task| task.model.as_str());
        let mut pace = self.api.entrance.pace();
        let model = pace.durations.model(model);
        say(&Spacing { timing: &self.api.setup.timing, learned: Some((&pace.durations, model)) })
    }

    fn look(&self, limit: Instant, leave: Leave) -> Result<Look> {
        let look = self.api.look(self.target, self.stop, limit, leave)?;
        self.api.log.line(LogLevel::Debug, || format!("look: {}", log::task_line(&look.task)));
        Ok(look)
    }

    fn end(&self, end: End, known: Known, started: Instant) -> Result<Task> {
        self.watched().end(end, known.task, known.error, started.elapsed())
    }

    fn cancelled(&self, known: Known) -> Error {
        self.watched().cancelled(known.task, "the wait for")
    }

    fn watched(&self) -> Watched<'_> {
        Watched { api: self.api, id: &self.target.id, reference: self.target.reference() }
    }
}

impl Known {
    fn take(&mut self, mut look: Look, on_look: &mut OnLook<'_>) -> Seen {
        let seen = look.seen();
        let task = &mut look.task;
        if !task.state.is_final() {
            // Some services count backwards; a progress bar does not.
            task.progress = task.progress.max(self.progress);
            self.progress = task.progress;
        }
        on_look(Ok(task));
        self.task = Some(look.task);
        self.error = None;
        seen
    }

    fn fail(&mut self, error: Error) -> Seen {
        let seen = seen_in(&error);
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
