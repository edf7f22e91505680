//! The second answer of a look: some services tell the status at one address and the images at another.
//!
//! It waits for its leave within the look's own time, a job's too: where the gate is all but closed and many such tasks finish at
//! once, their looks hold the workers meanwhile, and other jobs begin later.

use std::time::Instant;

use super::{Api, Target, text};
use crate::dialect::{Meaning, Reading, fails_the_task};
use crate::error::{Error, Result, Status};
use crate::http::{Call, Url};

impl Api {
    /// Fetches the answer that `reading` says its images are in. It is a request of its own, and passes the gate as one.
    /// Gives the address of it.
    #[cold]
    #[inline(never)]
    pub(super) fn take_result(&self, reading: &mut Reading, target: &Target, call: &Call) -> Result<Url> {
        let url = self.base.address(self.dialect(), self.origin(target), &reading.result).map_err(|_| {
            let message = format!("{}: the result is at an address that does not get the key", self.title());
            Error::new(Status::Blocked, message)
        })?;
        let leave = self.admit(&call.stop, call.deadline.saturating_duration_since(Instant::now()))?;
        let answer = self.exchange(&self.dialect().get(), &url, call, leave).map_err(|failed| failed.error)?;
        match answer.meaning {
            Meaning::Ok => {
                let read = text(answer.body).and_then(|body| self.dialect().read_result(reading, body));
                read.map_err(|error| self.named(&error, error.status(), &answer.key))?;
                Ok(url)
            }
            // The task is over, and there is nothing of it.
            _ if fails_the_task(answer.status) => {
                self.dialect().read_failed_result(reading, &answer.body);
                Ok(url)
            }
            _ => Err(self.refused(&answer, Some(target))),
        }
    }
}
