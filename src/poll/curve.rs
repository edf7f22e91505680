//! How long tasks last, as a table: from it follow what a look is worth, and when the next one is due.

/// A distribution of durations: survival and its integral over a grid of ages that is finer where ages are small.
///
/// Everything is found in a few steps without a logarithm, because thousands of tasks are weighed against each other.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// The share of tasks that last longer than the age at the edge of each cell.
    survival: [f32; EDGES],
    /// The survival's integral from that age on, in milliseconds. Kept from the far end, where little is left, so that
    /// differences stay exact there.
    rest: [f32; EDGES],
}

/// Cells per doubling of the age.
const FINE: u64 = 16;
/// Ages below this share cells of 16 ms.
const LINEAR_MS: u64 = 256;
const LINEAR_BITS: u32 = LINEAR_MS.ilog2();
/// From 256 ms to 4.6 hours.
const OCTAVES: u32 = 16;
const CELLS: usize = (FINE * (OCTAVES as u64 + 1)) as usize;
const EDGES: usize = CELLS + 1;
const END_MS: u64 = LINEAR_MS << OCTAVES;

/// The cell of an age below `END_MS`, how far into it the age is, and the cell's width.
fn cell(age_ms: u64) -> (usize, u64, u64) {
    if age_ms < LINEAR_MS {
        return ((age_ms / FINE) as usize, age_ms % FINE, FINE);
    }
    let octave = age_ms.ilog2();
    let width = 1 << (octave - FINE.ilog2());
    let within = (age_ms / width) % FINE;
    let index = u64::from(octave - LINEAR_BITS + 1) * FINE + within;
    (index as usize, age_ms % width, width)
}

/// The age at the lower edge of a cell.
fn edge_ms(index: usize) -> u64 {
    let (octave, within) = (index as u64 / FINE, index as u64 % FINE);
    if octave == 0 { within * FINE } else { (FINE + within) << (octave - 1 + u64::from(LINEAR_BITS - FINE.ilog2())) }
}

/// A share of tasks whose logarithm of the duration is normal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) share: f64,
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
}

impl Part {
    /// Density over the logarithm of the duration, without the constant.
    pub(crate) fn density(&self, ln: f64) -> f64 {
        let z = (ln - self.mean) / self.deviation;
        self.share / self.deviation * (-0.5 * z * z).exp()
    }
}

impl Curve {
    pub(crate) fn new(parts: &[Part]) -> Curve {
        let density = |ln: f64| parts.iter().map(|part| part.density(ln)).sum::<f64>();
        // Simpson's rule over one cell, in the logarithm of the age.
        let mass =
            |from: f64, to: f64| (to - from) / 6.0 * (density(from) + 4.0 * density((from + to) / 2.0) + density(to));
        let ln = |ms: u64| (ms.max(1) as f64).ln();
        let end = ln(END_MS);
        let mut survival: f64 = (0..64).map(|n| mass(end + f64::from(n) * 0.25, end + f64::from(n + 1) * 0.25)).sum();
        let mut rest = survival * END_MS as f64;
        let mut curve = Curve { survival: [0.0; EDGES], rest: [0.0; EDGES] };
        let mut upper = end;
        for index in (0..EDGES).rev() {
            if index < CELLS {
                let lower = ln(edge_ms(index));
                let before = survival;
                survival += mass(lower, upper);
                upper = lower;
                // A straight line within a cell, as everything that reads it has it.
                rest += (survival + before) / 2.0 * (edge_ms(index + 1) - edge_ms(index)) as f64;
            }
            curve.survival[index] = survival as f32;
            curve.rest[index] = rest as f32;
        }
        // All tasks last longer than nothing.
        for value in curve.survival.iter_mut().chain(&mut curve.rest) {
            *value = (f64::from(*value) / survival).max(f64::from(f32::MIN_POSITIVE)) as f32;
        }
        curve
    }

    /// Survival and its integral from `age_ms` on.
    fn at(&self, age_ms: u64) -> (f32, f32) {
        let (index, into, width) = cell(age_ms.min(END_MS - 1));
        let (from, to) = (self.survival[index], self.survival[index + 1]);
        let into = into as f32;
        let survival = from + (to - from) * into / width as f32;
        (survival, self.rest[index] - (from + survival) / 2.0 * into)
    }

    /// The mean duration.
    pub(crate) fn mean_ms(&self) -> f32 {
        self.rest[0]
    }

    /// What looking at the age `seen_ms + later_ms` is worth for a task last seen unfinished at the age `seen_ms`.
    ///
    /// The integral of v f(v) over the time since then, f the density of finishing v after it: a look pays by what it finds,
    /// and the more the sooner that was done; waiting costs little as long as little is likely done. To look where this
    /// passes a fixed price is the best rule for one task; to look at the task of the highest worth is the best for many
    /// (Whittle's index). Where the hazard h hardly changes it is h·later²/2, so that a fixed price means
    /// intervals proportional to 1/sqrt(h).
    pub(crate) fn worth(&self, seen_ms: u64, later_ms: u64) -> f32 {
        let (_before, rest_before) = self.at(seen_ms);
        let (after, rest_after) = self.at(seen_ms.saturating_add(later_ms));
        (rest_before - rest_after - later_ms as f32 * after) / after
    }

    /// How likely such a task is still unfinished.
    pub(crate) fn pending(&self, seen_ms: u64, later_ms: u64) -> f32 {
        self.at(seen_ms.saturating_add(later_ms)).0 / self.at(seen_ms).0
    }

    /// The interval after which a look is worth `price`, within `floor_ms` and `longest_ms`.
    pub(crate) fn interval_ms(&self, seen_ms: u64, price: f32, floor_ms: u64, longest_ms: u64) -> u64 {
        let (mut low, mut high) = (floor_ms, longest_ms.max(floor_ms));
        // To a fiftieth: the jitter is wider.
        while high - low > low / 50 + 1 {
            let middle = low + (high - low) / 2;
            if self.worth(seen_ms, middle) < price {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// The mean number of looks of a task, where `interval_ms` is the time from one look to the next by hazard (per
    /// millisecond) and age: the integral of survival over the interval.
    fn looks(&self, interval_ms: impl Fn(f32, u64) -> f32) -> f32 {
        let mut looks = 0.0;
        for index in 0..CELLS {
            let width = (edge_ms(index + 1) - edge_ms(index)) as f32;
            let (from, to) = (self.survival[index], self.survival[index + 1]);
            let middle = (from + to) / 2.0;
            if middle < 1e-4 {
                break;
            }
            let hazard = (from - to) / width / middle;
            looks += middle * width / interval_ms(hazard, edge_ms(index)).max(1.0);
        }
        looks
    }

    /// The price at which a task costs as many looks as with the intervals `usual_ms` (by age), each within `floor_ms` and
    /// `longest_ms`.
    pub(crate) fn price(&self, usual_ms: impl Fn(u64) -> u64, floor_ms: u64, longest_ms: u64) -> f32 {
        let wanted = self.looks(|_, age_ms| usual_ms(age_ms) as f32);
        let (floor, longest) = (floor_ms as f32, longest_ms.max(floor_ms) as f32);
        // In milliseconds: from a price that nobody would wait for to one that nobody would pay.
        let (mut low, mut high) = (1e-3_f32, 1e7_f32);
        // To a thousandth.
        for _ in 0..15 {
            let middle = (low * high).sqrt();
            // Not `clamp`, whose panic would bring all that writes a float.
            let looks = self.looks(|hazard, _| (2.0 * middle / hazard.max(1e-20)).sqrt().max(floor).min(longest));
            if looks > wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_has_its_cell_and_the_cells_join() {
        for index in 0..CELLS {
            let (from, to) = (edge_ms(index), edge_ms(index + 1));
            assert_eq!(cell(from), (index, 0, to - from), "cell {index}");
            assert_eq!(cell(to - 1), (index, to - from - 1, to - from), "cell {index}");
        }
        assert_eq!(edge_ms(CELLS), END_MS);
    }
}
