//! The rate limit: so many API requests per key in a fixed (scaled) minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts requests per key.
pub(super) struct Limit {
    /// Requests in one window; 0: no limit.
    most: u32,
    window: Duration,
    keys: Mutex<HashMap<String, Window>>,
}

struct Window {
    since: Instant,
    count: u32,
}

/// A refused request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exceeded {
    pub(super) most: u32,
    /// Real time until the window ends.
    pub(super) wait: Duration,
}

impl Exceeded {
    /// Whole seconds, rounded up: a client that waits them comes into the next window.
    pub(super) fn seconds(&self) -> u64 {
        (self.wait.as_millis() as u64).div_ceil(1000).max(1)
    }
}

impl Limit {
    pub(super) fn new(most: u32, speed: f64) -> Self {
        Self { most, window: Duration::from_secs_f64(60.0 / speed), keys: Mutex::default() }
    }

    /// Charges a request to a key.
    pub(super) fn charge(&self, key: &str) -> Result<(), Exceeded> {
        if self.most == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let window = keys.entry(key.to_owned()).or_insert(Window { since: now, count: 0 });
        if now - window.since >= self.window {
            *window = Window { since: now, count: 0 };
        }
        if window.count >= self.most {
            return Err(Exceeded {
                most: self.most,
                wait: (window.since + self.window).saturating_duration_since(now),
            });
        }
        window.count += 1;
        Ok(())
    }

    pub(super) fn clear(&self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
