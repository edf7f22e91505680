//! What has come of the tasks so far, in numbers.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::{duration, save};

/// Counts since the command began.
pub(super) struct Tally {
    pub(super) begun: Instant,
    /// Tasks that are over here, by the word for how they ended.
    ends: BTreeMap<&'static str, u64>,
    /// Tasks that the manifest says are done.
    pub(super) skipped: u64,
    pub(super) duplicates: u64,
    /// Tasks that the journal brought back.
    pub(super) resumed: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            begun: Instant::now(),
            ends: BTreeMap::new(),
            skipped: 0,
            duplicates: 0,
            resumed: 0,
            files: 0,
            bytes: 0,
        }
    }

    pub(super) fn end(&mut self, word: &'static str) {
        *self.ends.entry(word).or_default() += 1;
    }

    /// Tasks that ended with this word.
    pub(super) fn ended(&self, word: &str) -> u64 {
        self.ends.get(word).copied().unwrap_or(0)
    }

    /// Tasks that are over here.
    pub(super) fn over(&self) -> u64 {
        self.ends.values().sum()
    }

    /// References of the list that need nothing any more.
    pub(super) fn settled(&self) -> u64 {
        (self.over() + self.skipped + self.duplicates).saturating_sub(self.resumed)
    }

    /// `3 tasks in 4 s: 2 succeeded, 1 failed; 2 images, 34 kB`.
    pub(super) fn summary(&self) -> String {
        let mut parts: Vec<String> =
            self.ends.iter().map(|(word, count)| format!("{} {}", grouped(*count), word.replace('_', " "))).collect();
        for (count, words) in [
            (self.skipped, "done before"),
            (self.duplicates, "given twice"),
            (self.resumed, "taken up from the journal"),
        ] {
            if count > 0 {
                parts.push(format!("{} {words}", grouped(count)));
            }
        }
        if parts.is_empty() {
            parts.push("nothing to do".to_string());
        }
        let tasks = match self.over() {
            1 => "1 task".to_string(),
            tasks => format!("{} tasks", grouped(tasks)),
        };
        let images = match self.files {
            0 => String::new(),
            1 => format!("; 1 image, {}", save::bytes(self.bytes)),
            files => format!("; {} images, {}", grouped(files), save::bytes(self.bytes)),
        };
        format!("{tasks} in {}: {}{images}", duration::words(self.begun.elapsed()), parts.join(", "))
    }
}

/// A count for people: `50,000`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 50_000, 1_234_567].map(grouped), ["0", "999", "1,000", "50,000", "1,234,567"]);
    }

    #[test]
    fn the_summary_says_what_came_of_every_task() {
        let mut tally = Tally::new();
        (tally.files, tally.bytes, tally.skipped) = (2, 34_000, 1_000);
        for word in ["succeeded", "succeeded", "not_found"] {
            tally.end(word);
        }
        let summary = tally.summary();
        assert!(summary.starts_with("3 tasks in "), "{summary}");
        assert!(summary.ends_with(": 1 not found, 2 succeeded, 1,000 done before; 2 images, 34 kB"), "{summary}");
    }
}
