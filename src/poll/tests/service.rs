//! A service in virtual time: tasks that take their time, and so many requests a minute.

use crate::poll::{Jitter, Timing};

/// How long tasks take: log-normal, median a minute, and none shorter or longer than that.
const MEDIAN_MS: f64 = 60_000.0;
const DEVIATION: f64 = 0.437;
const SHORTEST_MS: f64 = 15_000.0;
const LONGEST_MS: f64 = 400_000.0;

/// A normal number.
fn normal(dice: &mut Jitter) -> f64 {
    let unit = |dice: &mut Jitter| dice.between(1, 1 << 53) as f64 / (1_u64 << 53) as f64;
    let (a, b) = (unit(dice), unit(dice));
    (-2.0 * a.ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
}

pub(super) fn duration_ms(dice: &mut Jitter) -> u64 {
    (MEDIAN_MS * (DEVIATION * normal(dice)).exp()).clamp(SHORTEST_MS, LONGEST_MS) as u64
}

/// Counts requests by fixed minutes, as the strictest services do.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    pub(super) per_minute: u32,
    minute: u64,
    count: u32,
    pub(super) requests: u64,
    pub(super) refused: u64,
}

impl Meter {
    pub(super) fn new(per_minute: u32) -> Meter {
        Meter { per_minute, minute: 0, count: 0, requests: 0, refused: 0 }
    }

    /// One request; `Err` with the time until the next minute is a 429.
    pub(super) fn request(&mut self, now_ms: u64) -> Result<(), u64> {
        if now_ms / 60_000 != self.minute {
            (self.minute, self.count) = (now_ms / 60_000, 0);
        }
        self.requests += 1;
        self.count += 1;
        if self.count <= self.per_minute {
            return Ok(());
        }
        self.refused += 1;
        Err(60_000 - now_ms % 60_000)
    }
}

/// A service without anything special: so long to the first look and between two looks.
pub(super) fn timing(first_look_ms: u64, intervals_ms: &[(u64, u64)], floor_ms: u64) -> Timing {
    Timing {
        first_look_ms,
        intervals_ms: intervals_ms.to_vec(),
        floor_ms,
        not_found_grace_ms: 10_000,
        retry_ms: Timing::RETRY_MS,
        no_image_ms: Timing::NO_IMAGE_MS,
        paced: false,
    }
}

pub(super) fn dimilinks() -> Timing {
    timing(3_000, &[(0, 2_500), (120_000, 4_000), (300_000, 6_000)], 2_000)
}

pub(super) fn lemondata() -> Timing {
    timing(8_000, &[(0, 4_000), (120_000, 5_000)], 3_000)
}

/// The value below which that share of them lies.
pub(super) fn quantile(values: &mut [u64], share: f64) -> u64 {
    values.sort_unstable();
    values[((values.len() - 1) as f64 * share) as usize]
}
