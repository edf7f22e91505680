//! How long tasks last, learned by model from those that came to their end.

use super::Timing;
use super::curve::{Curve, Part};

/// The index of a model in [`Durations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model(u8);

/// What one service's completions have taught. A client keeps one; a few kilobytes for each model.
#[derive(Debug)]
pub(crate) struct Durations {
    prior: Fit,
    rule: Rule,
    models: Vec<Known>,
}

/// What of the service's timing bounds the intervals.
#[derive(Debug, Clone)]
struct Rule {
    timing: Timing,
    longest_ms: u64,
}

#[derive(Debug)]
struct Known {
    name: String,
    completions: u32,
    fit: Fit,
    /// The completions that `table` knows of, and at which it is made anew.
    next_table: u32,
    table: Box<Table>,
}

/// A normal distribution of the logarithm of the duration in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Fit {
    mean: f64,
    variance: f64,
}

#[derive(Debug)]
struct Table {
    curve: Curve,
    price: f32,
    /// The interval for a task of unknown age.
    ageless_ms: u64,
}

/// Before so many completions the service's own intervals hold as they are.
const ENOUGH: u32 = 16;
/// Each further completion counts at least this share: what is older than a few hundred fades, so that a service may change.
const MEMORY: u32 = 128;
/// More models than these share the last place.
const MODELS: usize = 16;
/// The share of tasks that a fit is not trusted with, and how much wider they lie.
const STRAY_SHARE: f64 = 0.05;
const STRAY_DEVIATION: f64 = 1.2;
const NARROWEST: f64 = 0.1;
/// Before anything is known: from half to twice of the usual for two thirds of the tasks, about.
const PRIOR_DEVIATION: f64 = 0.8;
/// A service with one interval only says nothing else about its tasks: so many intervals.
const PRIOR_INTERVALS: u64 = 20;

impl Durations {
    /// Nothing known but the service's own timing.
    pub(crate) fn new(timing: &Timing) -> Durations {
        // The age from which a service is looked at less often is past the usual.
        let usual_ms = match timing.intervals_ms.get(1) {
            Some((later_ms, _)) => later_ms / 2,
            None => timing.interval_ms(0).saturating_mul(PRIOR_INTERVALS),
        };
        let mean = (usual_ms.max(timing.first_look_ms).max(1) as f64).ln();
        let rule = Rule { longest_ms: timing.longest_ms(), timing: timing.clone() };
        Durations { prior: Fit { mean, variance: PRIOR_DEVIATION * PRIOR_DEVIATION }, rule, models: Vec::new() }
    }

    /// The model of this name, new or known.
    pub(crate) fn model(&mut self, name: &str) -> Model {
        let known = self.models.iter().position(|known| known.name == name);
        let index = known.unwrap_or_else(|| {
            if self.models.len() < MODELS {
                let fit = self.prior;
                let table = Box::new(Table::new(fit, &self.rule));
                self.models.push(Known { name: name.to_owned(), completions: 0, fit, next_table: ENOUGH, table });
            }
            self.models.len() - 1
        });
        Model(index as u8)
    }

    /// A task of this model lasted so long.
    #[cfg(test)]
    pub(crate) fn learn(&mut self, model: Model, duration_ms: u64) {
        self.learn_between(model, duration_ms, duration_ms);
    }

    /// A task of this model was unfinished at the age `from_ms`, and finished at the age `to_ms`.
    pub(crate) fn learn_between(&mut self, model: Model, from_ms: u64, to_ms: u64) {
        let Some(known) = self.models.get_mut(usize::from(model.0)) else { return };
        known.completions = known.completions.saturating_add(1);
        let (mean, square) = known.fit.between(from_ms, to_ms);
        known.fit.add(mean, square, 1.0 / f64::from(known.completions.min(MEMORY)));
        if known.completions >= known.next_table {
            known.next_table = known.completions.saturating_add((known.completions / 8).clamp(1, MEMORY / 4));
            *known.table = Table::new(known.fit, &self.rule);
        }
    }

    /// How many completions of a model were learned from.
    pub(crate) fn known(&self, model: Model) -> u32 {
        self.models.get(usize::from(model.0)).map_or(0, |known| known.completions)
    }

    /// Whether the intervals follow what was learned.
    pub(crate) fn learned(&self, model: Model) -> bool {
        self.known(model) >= ENOUGH && !self.rule.timing.paced
    }

    /// The interval after which the next look at a task is worth its price, when the last one saw it unfinished at the age
    /// `seen_ms` (`None`: the age is unknown). `None`: too little is known.
    pub(crate) fn interval_ms(&self, model: Model, seen_ms: Option<u64>, longest_ms: u64) -> Option<u64> {
        if !self.learned(model) {
            return None;
        }
        let table = &self.models.get(usize::from(model.0))?.table;
        let floor_ms = self.rule.timing.floor_ms;
        Some(match seen_ms {
            Some(seen_ms) => table.curve.interval_ms(seen_ms, table.price, floor_ms, longest_ms),
            None => table.ageless_ms.clamp(floor_ms, longest_ms.max(floor_ms)),
        })
    }

    /// How likely a task is still unfinished that was last seen so at the age `seen_ms`, `later_ms` ago. Also before enough
    /// is known, by a guess.
    pub(crate) fn pending(&self, model: Model, seen_ms: Option<u64>, later_ms: u64) -> f32 {
        let Some(known) = self.models.get(usize::from(model.0)) else { return 1.0 };
        match seen_ms {
            Some(seen_ms) => known.table.curve.pending(seen_ms, later_ms),
            // Without an age, every moment is as likely as the last one.
            None => (-(later_ms as f32) / known.table.curve.mean_ms()).exp(),
        }
    }

    #[cfg(test)]
    pub(crate) fn set_price(&mut self, model: Model, price: f32) {
        self.models[usize::from(model.0)].table.price = price;
    }
}

impl Fit {
    /// Mean and mean square of the logarithm of a duration that lies between two ages, by what is known so far.
    fn between(&self, from_ms: u64, to_ms: u64) -> (f64, f64) {
        let to = (to_ms.max(1) as f64).ln();
        let deviation = self.variance.sqrt().max(NARROWEST);
        let lowest = (self.mean - 5.0 * deviation).min(to - 1.0);
        let from = (from_ms.max(1) as f64).ln().max(lowest);
        let width = to - from;
        if width < 1e-3 {
            return (to, to * to);
        }
        // A middle sum. What the fit takes for impossible is still possible.
        const STEPS: u32 = 16;
        let parts = Table::parts(*self);
        let (mut mass, mut mean, mut square) = (0.0, 0.0, 0.0);
        for n in 0..STEPS {
            let ln = from + width * (f64::from(n) + 0.5) / f64::from(STEPS);
            let density = parts.iter().map(|part| part.density(ln)).sum::<f64>() + f64::MIN_POSITIVE;
            mass += density;
            mean += density * ln;
            square += density * ln * ln;
        }
        (mean / mass, square / mass)
    }

    fn add(&mut self, mean: f64, square: f64, weight: f64) {
        let before = self.mean;
        self.mean += weight * (mean - before);
        let spread = square - 2.0 * mean * before + before * before;
        self.variance = ((1.0 - weight) * (self.variance + weight * spread)).max(NARROWEST * NARROWEST);
    }
}

impl Table {
    fn new(fit: Fit, rule: &Rule) -> Table {
        let curve = Curve::new(&Table::parts(fit));
        let timing = &rule.timing;
        let price = curve.price(|age_ms| timing.interval_ms(age_ms), timing.floor_ms, rule.longest_ms);
        let ageless_ms = (2.0 * price * curve.mean_ms()).sqrt() as u64;
        Table { curve, price, ageless_ms }
    }

    fn parts(fit: Fit) -> [Part; 2] {
        let deviation = fit.variance.sqrt().max(NARROWEST);
        [
            Part { share: 1.0 - STRAY_SHARE, mean: fit.mean, deviation },
            Part { share: STRAY_SHARE, mean: fit.mean, deviation: (2.0 * deviation).max(STRAY_DEVIATION) },
        ]
    }
}
