//! What programs do without a schedule: every task has a loop of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::service::{Meter, duration_ms};
use super::world::Figures;
use crate::poll::Jitter;

/// `tasks` at once, each looked at every `interval_ms`; after a 429 the loop sleeps for `sleep_ms`.
pub(super) fn burst(tasks: usize, interval_ms: u64, sleep_ms: u64, seed: u64) -> Figures {
    let mut dice = Jitter::new(seed);
    let mut meter = Meter::new(1_000);
    let done: Vec<u64> = (0..tasks).map(|_| duration_ms(&mut dice)).collect();
    // Programs do not start in step.
    let mut due: BinaryHeap<_> = (0..tasks).map(|task| Reverse((dice.between(0, interval_ms), task))).collect();
    let mut figures = Figures::default();
    while let Some(Reverse((now, task))) = due.pop() {
        match meter.request(now) {
            Err(_) => due.push(Reverse((now + sleep_ms, task))),
            Ok(()) if now < done[task] => due.push(Reverse((now + interval_ms, task))),
            Ok(()) => figures.seen(now, done[task]),
        }
    }
    figures.count(tasks, &meter);
    figures
}
