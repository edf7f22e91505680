//! The gate: one budget of requests for everything that one key sends to one origin.
//!
//! A token bucket at nine tenths of the service's limit. A 429 closes it for everyone; it opens with one probe, and reaches
//! its full rate again within ten seconds.

use super::Jitter;

/// What the service allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Requests a minute that the service names. `None`: it names none, and the rate is found by trying.
    pub(crate) per_minute: Option<u32>,
    /// So many requests at once after a rest.
    pub(crate) burst: u32,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { per_minute: None, burst: 15 }
    }
}

/// One admitted request. Says when it was admitted: before or after a closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass(u32);

/// What became of an admitted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Answered, whatever with, but not 429.
    Fine,
    /// 429, perhaps with the time after which to ask again.
    Limited { hint_ms: Option<u64> },
    /// No answer came.
    Lost,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Open,
    /// Nothing passes before that time.
    Closed {
        until_ms: u64,
    },
    /// The one request that tries whether the service answers again is under way. Given up at that time.
    Probing {
        until_ms: u64,
    },
    /// The probe was answered at that time.
    Ramp {
        since_ms: u64,
    },
}

/// The rate of a service that names no limit.
#[derive(Debug, Clone)]
struct Search {
    /// The rate that drew the last 429, remembered until `forget_ms`.
    ceiling: u32,
    forget_ms: u64,
    /// How often a ceiling was met; it is remembered longer each time.
    met: u8,
    /// End of the minute under way, which is clean until a 429 comes.
    minute_ms: u64,
}

/// See the module. Times are milliseconds on the caller's clock, which never runs back.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    phase: Phase,
    /// Filling of the bucket at `level_ms`, in the unit of `ONE`.
    level: i64,
    level_ms: u64,
    /// What flows in per millisecond: tenths of a request per minute.
    rate: u32,
    burst: u32,
    /// The burst at the current rate, in the unit of `ONE`.
    brim: i64,
    /// Counts the closings.
    epoch: u32,
    /// 429s that followed one another.
    strikes: u8,
    /// This closing's lengthening by chance, in thousandths.
    spread: u8,
    search: Option<Search>,
}

/// One request in the unit of the bucket, so that a rate of tenths per minute is what a millisecond adds.
const ONE: i64 = 600_000;
const MINUTE_MS: u64 = 60_000;
/// From the probe's answer to the full rate.
const RAMP_MS: u64 = 10_000;
/// A probe that is neither answered nor lost after this is given up; no look lasts so long.
const PROBE_MS: u64 = 30_000;
/// From a probe that was lost to the next one: a service that asked for a pause is not asked at the speed of its refusals.
const LOST_PROBE_MS: u64 = 1_000;
/// Who comes while the probe is under way asks again after this.
const PROBE_PAUSE_MS: u64 = 100;
/// Closing times where the service states none: the first, doubled up to the last.
const PAUSE_MS: u64 = 5_000;
const LONGEST_PAUSE_MS: u64 = 60_000;
/// A stated time is obeyed in full, up to a day.
const LONGEST_STATED_MS: u64 = 24 * 3_600_000;

/// Rates in tenths per minute: 5 a second at first, half a second's request more per clean minute, up to 15 a second.
const FIRST_RATE: u32 = 3_000;
const MORE_RATE: u32 = 300;
const HIGHEST_RATE: u32 = 9_000;
const LOWEST_RATE: u32 = 100;
/// So long a ceiling is remembered the first time it was met.
const CEILING_MS: u64 = 10 * MINUTE_MS;

impl Gate {
    pub(crate) fn new(limit: Limit, now_ms: u64) -> Gate {
        let (rate, burst, search) = match limit.per_minute {
            // Rate and burst together stay below the limit in any minute, also when it is small.
            Some(limited) => (limited.max(1).saturating_mul(9), limit.burst.min(limited / 10), None),
            None => {
                let minute_ms = now_ms.saturating_add(MINUTE_MS);
                let search = Search { ceiling: u32::MAX, forget_ms: 0, met: 0, minute_ms };
                (FIRST_RATE, limit.burst, Some(search))
            }
        };
        let mut gate = Gate {
            phase: Phase::Open,
            level: 0,
            level_ms: now_ms,
            rate: 0,
            burst: burst.max(1),
            brim: 0,
            epoch: 0,
            strikes: 0,
            spread: 0,
            search,
        };
        gate.set_rate(rate);
        gate.level = gate.brim;
        gate
    }

    /// Admits one request now, or says when to ask again.
    pub(crate) fn take(&mut self, now_ms: u64) -> Result<Pass, u64> {
        if !matches!(self.phase, Phase::Open)
            && let Some(answer) = self.guard(now_ms)
        {
            return answer;
        }
        self.fill(now_ms);
        if self.level < ONE {
            return Err(self.refuse(now_ms));
        }
        self.level -= ONE;
        Ok(Pass(self.epoch))
    }

    /// Admits a request that does not wait for its turn; only a closed gate holds it back, until the time in `Err`. It counts
    /// like any other, but leaves one for those who do wait.
    pub(crate) fn charge(&mut self, now_ms: u64) -> Result<Pass, u64> {
        if !matches!(self.phase, Phase::Open)
            && let Some(answer) = self.guard(now_ms)
        {
            return answer;
        }
        self.fill(now_ms);
        self.level = (self.level - ONE).max(self.level.min(ONE));
        Ok(Pass(self.epoch))
    }

    /// What became of an admitted request.
    pub(crate) fn answered(&mut self, pass: Pass, now_ms: u64, answer: Answer) {
        match (answer, self.phase) {
            (Answer::Limited { hint_ms }, _) => self.limited(pass, now_ms, hint_ms),
            (Answer::Fine, Phase::Probing { .. }) if pass.0 == self.epoch => {
                self.phase = Phase::Ramp { since_ms: now_ms };
                self.level_ms = now_ms;
            }
            (Answer::Lost, Phase::Probing { .. }) if pass.0 == self.epoch => {
                self.phase = Phase::Closed { until_ms: now_ms.saturating_add(LOST_PROBE_MS) };
            }
            _ => {}
        }
    }

    /// Milliseconds until a request is admitted, if nobody else comes.
    pub(crate) fn wait_ms(&self, now_ms: u64) -> u64 {
        self.clone().take(now_ms).map_or_else(|at_ms| at_ms.saturating_sub(now_ms), |_| 0)
    }

    /// Requests a minute that it allows now: none while it is closed, fewer than its budget while it opens.
    pub(crate) fn per_minute(&self, now_ms: u64) -> u32 {
        match self.phase {
            Phase::Open => self.budget(),
            Phase::Closed { .. } | Phase::Probing { .. } => 0,
            Phase::Ramp { since_ms } => {
                let into_ms = now_ms.saturating_sub(since_ms).min(RAMP_MS);
                (u64::from(self.budget()) * into_ms / RAMP_MS) as u32
            }
        }
    }

    /// Whether more than a probe may pass.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Ramp { .. })
    }

    /// Requests a minute that it allows when nothing is wrong; at least 1.
    pub(crate) fn budget(&self) -> u32 {
        (self.rate / 10).max(1)
    }

    /// What every phase but `Open` says to a request: an answer, or nothing when the bucket decides.
    #[cold]
    fn guard(&mut self, now_ms: u64) -> Option<Result<Pass, u64>> {
        match self.phase {
            Phase::Closed { until_ms } if now_ms < until_ms => Some(Err(until_ms)),
            Phase::Probing { until_ms } if now_ms < until_ms => Some(Err(until_ms.min(now_ms + PROBE_PAUSE_MS))),
            Phase::Closed { .. } | Phase::Probing { .. } => {
                self.phase = Phase::Probing { until_ms: now_ms.saturating_add(PROBE_MS) };
                self.level = self.level.min(0);
                self.level_ms = now_ms;
                Some(Ok(Pass(self.epoch)))
            }
            Phase::Ramp { since_ms } if now_ms.saturating_sub(since_ms) >= RAMP_MS => {
                self.fill(now_ms);
                self.phase = Phase::Open;
                self.strikes = 0;
                if let Some(search) = &mut self.search {
                    search.minute_ms = now_ms.saturating_add(MINUTE_MS);
                }
                None
            }
            Phase::Ramp { .. } | Phase::Open => None,
        }
    }

    /// Lets flow in what came since the last time.
    fn fill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.level_ms);
        if passed_ms == 0 {
            return;
        }
        let inflow = match self.phase {
            Phase::Ramp { since_ms } => {
                let (from, to) = (self.level_ms.saturating_sub(since_ms), now_ms.saturating_sub(since_ms));
                self.ramped(to) - self.ramped(from)
            }
            _ => u64::from(self.rate).saturating_mul(passed_ms),
        };
        self.level = self.level.saturating_add_unsigned(inflow).min(self.brim);
        self.level_ms = now_ms;
    }

    /// What flows in during the first `ms` of a ramp, and after it.
    fn ramped(&self, ms: u64) -> u64 {
        let (rising, full) = (ms.min(RAMP_MS), ms.saturating_sub(RAMP_MS));
        u64::from(self.rate).saturating_mul(rising * rising / (2 * RAMP_MS) + full)
    }

    /// When to ask again, for a request that the bucket does not admit.
    #[cold]
    fn refuse(&mut self, now_ms: u64) -> u64 {
        // Here somebody waits: a rate that nobody needs is not raised.
        if self.search.as_ref().is_some_and(|search| search.minute_ms <= now_ms) {
            self.end_minute(now_ms);
        }
        let lacking = (ONE - self.level).unsigned_abs();
        let rate = u64::from(self.rate);
        let wait_ms = match self.phase {
            Phase::Ramp { since_ms } => {
                let into_ms = now_ms.saturating_sub(since_ms);
                let wanted = self.ramped(into_ms).saturating_add(lacking);
                // From the area of the ramp back to its length.
                let length = ((wanted / rate) as f64 * (2 * RAMP_MS) as f64).sqrt() as u64 + 2;
                let length = if length > RAMP_MS { RAMP_MS / 2 + wanted.div_ceil(rate) } else { length };
                length.saturating_sub(into_ms)
            }
            _ => lacking.div_ceil(rate),
        };
        now_ms.saturating_add(wait_ms.max(1))
    }

    /// Raises the rate after a clean minute.
    fn end_minute(&mut self, now_ms: u64) {
        let Some(search) = &mut self.search else { return };
        search.minute_ms = now_ms.saturating_add(MINUTE_MS);
        if now_ms >= search.forget_ms {
            search.ceiling = u32::MAX;
        }
        let highest = HIGHEST_RATE.min(search.ceiling / 10 * 9);
        if self.rate < highest {
            self.set_rate((self.rate + MORE_RATE).min(highest));
        }
    }

    /// Closes for everyone.
    #[cold]
    fn limited(&mut self, pass: Pass, now_ms: u64, hint_ms: Option<u64>) {
        // A request admitted before the last closing tells nothing new, except when it names a time.
        let news = pass.0 == self.epoch;
        if news {
            self.epoch = self.epoch.wrapping_add(1);
            self.strikes = self.strikes.saturating_add(1);
            // The moment tells clients apart.
            self.spread = Jitter::new(now_ms ^ u64::from(self.epoch) << 48).between(0, 200) as u8;
            self.slow_down(now_ms);
        }
        let pause_ms = match hint_ms {
            Some(hint_ms) => hint_ms.min(LONGEST_STATED_MS),
            None if news => (PAUSE_MS << (self.strikes - 1).min(4)).min(LONGEST_PAUSE_MS),
            None => return,
        };
        // Never earlier than stated, and not all clients at the same moment.
        let spread_ms = pause_ms * u64::from(self.spread) / 1_000;
        let mut until_ms = now_ms.saturating_add(pause_ms).saturating_add(spread_ms);
        if let Phase::Closed { until_ms: before_ms } = self.phase {
            until_ms = until_ms.max(before_ms);
        }
        self.phase = Phase::Closed { until_ms };
    }

    fn slow_down(&mut self, now_ms: u64) {
        let Some(search) = &mut self.search else { return };
        search.ceiling = self.rate;
        search.forget_ms = now_ms.saturating_add(CEILING_MS << search.met.min(3));
        search.met = search.met.saturating_add(1);
        search.minute_ms = now_ms.saturating_add(MINUTE_MS);
        self.set_rate((self.rate / 10 * 7).max(LOWEST_RATE));
    }

    fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
        // At a rate that was found by trying, a burst is at most three seconds of it.
        let three_seconds = if self.search.is_some() { rate / 200 } else { u32::MAX };
        self.brim = i64::from(self.burst.min(three_seconds).max(1)) * ONE;
        self.level = self.level.min(self.brim);
    }
}
