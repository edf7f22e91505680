//! The calls in flight: what interrupt ends and what close waits for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, Status};
use crate::http::Stop;

#[derive(Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    stops: Vec<Arc<Stop>>,
}

/// One call while it runs.
pub(crate) struct InFlight<'a> {
    calls: &'a Calls,
    pub(crate) stop: Arc<Stop>,
}

impl Calls {
    /// Lets a call begin, unless the client is closed.
    pub(crate) fn enter(&self) -> Result<InFlight<'_>> {
        let stop = Stop::new();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::new(Status::Closed, "the client is closed"));
        }
        state.stops.push(stop.clone());
        Ok(InFlight { calls: self, stop })
    }

    /// Stops every call in flight; new ones may begin.
    pub(crate) fn interrupt(&self) {
        // Stopped outside the lock: a stop may shut a socket down.
        let stops = self.lock().stops.clone();
        for stop in stops {
            stop.stop();
        }
    }

    /// Refuses new calls, stops those in flight and waits for them; false when some still run after `timeout`.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        self.lock().closed = true;
        self.interrupt();
        let started = Instant::now();
        let mut state = self.lock();
        while !state.stops.is_empty() {
            let Some(left) = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return false;
            };
            state = self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().stops.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned state is a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.calls.lock();
        state.stops.retain(|stop| !Arc::ptr_eq(stop, &self.stop));
        // A close waits and nobody else does; waking nobody is a system call all the same.
        if state.closed && state.stops.is_empty() {
            self.calls.ended.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_stops_the_calls_in_flight_and_no_later_one() {
        let calls = Calls::default();
        let first = calls.enter().expect("open");
        calls.interrupt();
        let second = calls.enter().expect("open");
        assert!(first.stop.is_stopped() && !second.stop.is_stopped());
    }

    #[test]
    fn a_closed_client_refuses_calls_and_tells_whether_the_old_ones_ended() {
        let calls = Calls::default();
        let running = calls.enter().expect("open");
        assert!(!calls.close(Duration::from_millis(5)));
        assert!(running.stop.is_stopped());
        assert_eq!(calls.enter().err().map(|e| e.status()), Some(Status::Closed));
        drop(running);
        assert!(calls.close(Duration::ZERO));
        assert_eq!(calls.len(), 0);
    }

    #[test]
    fn close_returns_as_soon_as_the_last_call_ends() {
        let calls = Calls::default();
        std::thread::scope(|scope| {
            let running = calls.enter().expect("open");
            scope.spawn(move || while running.stop.sleep(Duration::from_secs(10)) {});
            assert!(calls.close(Duration::from_secs(10)));
        });
    }
}
