//! Whether the service answers looks, of whichever task: what a host shows while nothing moves.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::Api;
use super::outcome::seen_in;
use crate::error::{Error, Status};
use crate::log::LogLevel;
use crate::poll::Seen;

#[derive(Default)]
pub(crate) struct Outage {
    /// Looks in a row that failed.
    failures: AtomicU32,
    /// Why the last one did.
    reason: Mutex<String>,
}

impl Outage {
    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// Why the last look failed, until one is answered.
    pub(crate) fn reason(&self) -> Option<String> {
        (self.failures() != 0).then(|| self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Api {
    /// A look was answered: an outage is over.
    pub(super) fn look_answered(&self) {
        // Looks come many a second, and nearly all of them find none.
        if self.outage.failures() != 0 && self.outage.failures.swap(0, Relaxed) != 0 {
            self.log.line(LogLevel::Info, || format!("{} answers again", self.title()));
        }
    }

    /// Takes note of why a look at a task failed, and tells the log how an outage begins.
    #[cold]
    pub(super) fn look_failed(&self, error: Error, id: &str) -> Error {
        match seen_in(&error) {
            _ if error.status() == Status::Cancelled => {}
            Seen::Failed { .. } => {
                let outage = &self.outage;
                error.message().clone_into(&mut outage.reason.lock().unwrap_or_else(PoisonError::into_inner));
                let began = outage.failures.fetch_add(1, Relaxed) == 0;
                let level = if began { LogLevel::Warn } else { LogLevel::Debug };
                self.log.line(level, || format!("{}: a look failed: {}", self.title(), error.message()));
            }
            Seen::RateLimited { .. } => {}
            _ => self.look_answered(),
        }
        error.with_task_id(id)
    }
}
