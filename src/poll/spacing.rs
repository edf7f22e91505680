//! The interval between two looks at one task: the service's own, or the learned one.

use super::{Durations, Model, Timing};

/// What an interval depends on besides the task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spacing<'a> {
    pub(crate) timing: &'a Timing,
    /// What is known of tasks of this model.
    pub(crate) learned: Option<(&'a Durations, Model)>,
}

impl<'a> Spacing<'a> {
    /// One task alone, by the service's own intervals.
    pub(crate) fn own(timing: &'a Timing) -> Spacing<'a> {
        Spacing { timing, learned: None }
    }

    /// From our own submit to the first look.
    pub(crate) fn first_ms(&self) -> u64 {
        let longest_ms = self.timing.first_look_ms.max(self.timing.longest_ms());
        self.learned_ms(Some(0), longest_ms).map_or(self.timing.first_look_ms, |ms| ms.max(self.timing.first_look_ms))
    }

    /// From one look at a task of this age to the next.
    pub(crate) fn interval_ms(&self, age_ms: u64, age_known: bool) -> u64 {
        let learned = self.learned_ms(age_known.then_some(age_ms), self.timing.longest_ms());
        learned.unwrap_or_else(|| self.timing.interval_ms(age_ms))
    }

    fn learned_ms(&self, age_ms: Option<u64>, longest_ms: u64) -> Option<u64> {
        let (durations, model) = self.learned?;
        durations.interval_ms(model, age_ms, longest_ms)
    }
}
