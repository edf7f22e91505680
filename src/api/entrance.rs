//! The gate with real time: every request of a client passes it, whoever sends it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Retry, Status};
use crate::http::Stop;
use crate::options::Setup;
use crate::poll::{Answer, Durations, Gate, Pace, Pass};
use crate::words::seconds;

/// Milliseconds since the client was created, with room before them: a task may be older than its client.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
}

/// No task is known to be older than this when its client is created.
const BEFORE_MS: u64 = 40 * 24 * 3600 * 1000;

impl Clock {
    fn new() -> Clock {
        Clock { started: Instant::now() }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.ms_at(Instant::now())
    }

    pub(crate) fn ms_at(&self, at: Instant) -> u64 {
        // Sixteen bytes wide, as_millis would cost every look a division.
        let ms = |duration: Duration| {
            duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into())
        };
        match at.checked_duration_since(self.started) {
            Some(since) => BEFORE_MS.saturating_add(ms(since)),
            None => BEFORE_MS.saturating_sub(ms(self.started.saturating_duration_since(at))),
        }
    }

    /// When `at_ms` is, not before the client was created.
    pub(crate) fn instant(&self, at_ms: u64) -> Instant {
        self.started + Duration::from_millis(at_ms.saturating_sub(BEFORE_MS))
    }

    /// The time `at_ms`, as far as it lies ahead.
    pub(crate) fn until(&self, at_ms: u64) -> Duration {
        Duration::from_millis(at_ms.saturating_sub(self.now_ms()))
    }
}

/// One request's leave to be sent. Its answer is told to the gate.
#[derive(Clone, Copy)]
pub(crate) struct Leave {
    pub(crate) pass: Pass,
    pub(crate) at_ms: u64,
}

/// Why a request may not be sent.
pub(crate) enum Kept {
    /// The gate opens later than the caller can wait.
    Closed { opens_in: Duration },
    /// The call was stopped while it waited.
    Stopped,
}

/// The gate of one client, and what it knows of its service's pace.
pub(crate) struct Entrance {
    pub(crate) clock: Clock,
    pace: Mutex<Pace>,
    /// On this machine, with no limit told, blocking calls do not wait for the budget: a test double answers as fast as it can.
    /// A pause that the service asked for holds all the same.
    open_to_callers: bool,
}

impl Entrance {
    pub(crate) fn new(setup: &Setup) -> Entrance {
        let clock = Clock::new();
        let gate = Gate::new(setup.limit, clock.now_ms());
        let pace = Pace { gate, durations: Durations::new(&setup.timing) };
        let open_to_callers = setup.base.is_loopback_host() && !setup.limit_is_told;
        Entrance { clock, pace: Mutex::new(pace), open_to_callers }
    }

    /// Waits for leave to send one request, for `patience` at most; comes back at once when that is not enough.
    pub(crate) fn admit(&self, stop: &Stop, now: Instant, patience: Duration) -> Result<Leave, Kept> {
        let mut at_ms = self.clock.ms_at(now);
        let mut give_up_ms = None;
        loop {
            let mut pace = self.pace();
            let taken = if self.open_to_callers { pace.gate.charge(at_ms) } else { pace.gate.take(at_ms) };
            drop(pace);
            let opens_ms = match taken {
                Ok(pass) => return Ok(Leave { pass, at_ms }),
                Err(opens_ms) => opens_ms,
            };
            let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
            let give_up_ms = *give_up_ms.get_or_insert(at_ms.saturating_add(patience_ms));
            if opens_ms > give_up_ms {
                return Err(Kept::Closed { opens_in: Duration::from_millis(opens_ms.saturating_sub(at_ms)) });
            }
            // The gate's times are whole milliseconds: never come back before them.
            if !stop.sleep(self.clock.until(opens_ms).max(Duration::from_millis(1))) {
                return Err(Kept::Stopped);
            }
            at_ms = self.clock.now_ms();
        }
    }

    /// Tells the gate what came of a request.
    pub(crate) fn answered(&self, leave: Leave, answer: Answer) {
        let at_ms = match answer {
            Answer::Limited { .. } | Answer::Lost => self.clock.now_ms(),
            _ => leave.at_ms,
        };
        self.pace().gate.answered(leave.pass, at_ms, answer);
    }

    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        // Nothing panics while the lock is held, so a poisoned pace is a sound one.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// As an error of a call to `title`.
    pub(crate) fn error(self, title: &str) -> Error {
        match self {
            Kept::Closed { opens_in } => {
                let wait = seconds(opens_in);
                let message =
                    format!("nothing was sent: the request budget of {title} allows the next request in {wait}");
                Error::new(Status::RateLimited, message).with_retry(Retry::After(opens_in))
            }
            Kept::Stopped => Error::new(Status::Cancelled, "interrupted before anything was sent"),
        }
    }
}
