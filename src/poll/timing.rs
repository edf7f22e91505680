//! One service's numbers. All in milliseconds.

/// How a service wants to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timing {
    /// First look after our own submit.
    pub(crate) first_look_ms: u64,
    /// `(age, interval)`, ages rising from 0: from that age of the task on, this interval.
    pub(crate) intervals_ms: Vec<(u64, u64)>,
    /// No interval is shorter.
    pub(crate) floor_ms: u64,
    /// So long after our own submit "not found" may still mean "not yet".
    pub(crate) not_found_grace_ms: u64,
    /// First wait after a failed look; doubled for each further one in a row.
    pub(crate) retry_ms: u64,
    /// First wait after a success without a usable image; doubled for the second and third.
    pub(crate) no_image_ms: u64,
    /// The user set the pace: what is learned of durations changes no interval.
    pub(crate) paced: bool,
}

impl Timing {
    /// First wait after a failed look, and after a success without an image.
    pub(crate) const RETRY_MS: u64 = 1_000;
    pub(crate) const NO_IMAGE_MS: u64 = 2_000;
    /// No wait after failed looks is longer.
    pub(crate) const RETRY_CEILING_MS: u64 = 30_000;
    /// No hint of the service makes one wait longer than this; the next answer carries its hint again.
    pub(crate) const HINT_CEILING_MS: u64 = 60_000;

    /// The same service looked at every `interval_ms`, never faster than `floor_ms`.
    ///
    /// What follows a failed look shrinks along, so that a fast pace is fast in everything.
    pub(crate) fn paced(mut self, interval_ms: u64, floor_ms: u64) -> Timing {
        let interval_ms = interval_ms.max(floor_ms).max(1);
        self.first_look_ms = self.first_look_ms.min(interval_ms);
        self.intervals_ms = vec![(0, interval_ms)];
        self.floor_ms = floor_ms;
        self.retry_ms = self.retry_ms.min(interval_ms);
        self.no_image_ms = self.no_image_ms.min(interval_ms);
        self.paced = true;
        self
    }

    /// The interval for a task of this age.
    pub(crate) fn interval_ms(&self, age_ms: u64) -> u64 {
        let due = self.intervals_ms.iter().rev().find(|(from, _)| *from <= age_ms);
        due.or(self.intervals_ms.first()).map_or(self.floor_ms, |(_, interval)| *interval).max(self.floor_ms)
    }

    /// The longest interval of any age.
    pub(crate) fn longest_ms(&self) -> u64 {
        self.intervals_ms.iter().map(|(_, interval)| *interval).max().unwrap_or(0).max(self.floor_ms)
    }
}
