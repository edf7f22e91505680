//! When to look. Pure: time and randomness come in as arguments, so a test runs a virtual hour in no time.
//!
//! - [`timing`]: one service's numbers.
//! - [`watch`]: one task from its first look to its end.
//! - [`jitter`]: the seeded randomness that keeps many clients from looking in step.

mod jitter;
mod timing;
mod watch;

pub(crate) use jitter::Jitter;
pub(crate) use timing::Timing;
pub(crate) use watch::{End, Seen, Step, Watch};
