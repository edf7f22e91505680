//! Seeded randomness, small and repeatable.

/// A stream of numbers that is the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` up to and including `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low + if span == 0 { 0 } else { self.next() % span }
    }

    /// `value` within ±15 %.
    pub(crate) fn around(&mut self, value: u64) -> u64 {
        let longest = Jitter::longest(value);
        self.between(value - (longest - value), longest)
    }

    /// The most that [`around`](Jitter::around) makes of `value`.
    pub(crate) fn longest(value: u64) -> u64 {
        value.saturating_add(value.saturating_mul(15) / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::Jitter;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..50).map(|_| jitter.around(2_500)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn around_stays_within_fifteen_percent_and_uses_that_room() {
        let mut jitter = Jitter::new(1);
        let drawn: Vec<u64> = (0..1_000).map(|_| jitter.around(1_000)).collect();
        assert!(drawn.iter().all(|d| (850..=1_150).contains(d)));
        assert!(drawn.iter().any(|d| *d < 870) && drawn.iter().any(|d| *d > 1_130));
    }
}
