//! When to look. Pure: time and randomness come in as arguments, so a test runs a virtual hour in no time.
//!
//! - [`timing`]: one service's numbers.
//! - [`watch`]: one task from its first look to its end.
//! - [`gate`]: the budget of requests that all looks and submits share.
//! - [`durations`]: how long tasks last, learned; [`curve`] is its table, [`spacing`] what follows for an interval.
//! - [`schedule`]: thousands of tasks, and which look comes next; [`alarms`] and [`queues`] keep them in order.
//! - [`jitter`]: the seeded randomness that keeps many clients from looking in step.

mod alarms;
mod curve;
mod durations;
mod gate;
mod jitter;
mod queues;
mod schedule;
mod spacing;
#[cfg(test)]
mod tests;
mod timing;
mod watch;

pub(crate) use durations::{Durations, Model};
pub(crate) use gate::{Answer, Gate, Limit, Pass};
pub(crate) use jitter::Jitter;
pub(crate) use schedule::{Pace, Schedule, Start, Turn};
pub(crate) use spacing::Spacing;
pub(crate) use timing::Timing;
pub(crate) use watch::{End, Seen, Step, Watch};
