//! One task alone, many times over.

use super::service::duration_ms;
use crate::poll::{Durations, End, Jitter, Model, Seen, Spacing, Step, Timing, Watch};

/// What one task costs on average.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) looks: f64,
    /// From done to seen.
    pub(super) delay_s: f64,
}

/// Durations that have seen so many completions.
pub(super) fn taught(timing: &Timing, completions: u32, seed: u64) -> (Durations, Model) {
    let mut durations = Durations::new(timing);
    let model = durations.model("m");
    let mut dice = Jitter::new(seed);
    (0..completions).for_each(|_| durations.learn(model, duration_ms(&mut dice)));
    (durations, model)
}

/// Watches `tasks` tasks, one after the other.
pub(super) fn alone(timing: &Timing, durations: &Durations, model: Option<Model>, seed: u64, tasks: u32) -> Cost {
    let spacing = Spacing { timing, learned: model.map(|model| (durations, model)) };
    let (mut dice, mut jitter) = (Jitter::new(seed), Jitter::new(!seed));
    let (mut looks, mut delay_ms) = (0_u64, 0_u64);
    for _ in 0..tasks {
        let done = duration_ms(&mut dice);
        let mut watch = Watch::new(0, Some(0), u64::MAX);
        let mut step = watch.first(0, &spacing, 0);
        while let Step::Look { at_ms, .. } = step {
            looks += 1;
            let seen = if at_ms >= done { Seen::Final } else { Seen::Pending { hint_ms: None } };
            step = watch.after(seen, at_ms, &spacing, &mut jitter, 0);
            if step == Step::End(End::Final) {
                delay_ms += at_ms - done;
            }
        }
    }
    Cost { looks: looks as f64 / f64::from(tasks), delay_s: delay_ms as f64 / f64::from(tasks) / 1_000.0 }
}
