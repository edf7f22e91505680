//! One task from its first look to its end: which look comes when, and what ends the wait.
//!
//! Looking again at an unfinished task and retrying a failed look are two different things with clocks of their own:
//! a look that fails says nothing about the task.

use super::{Durations, Jitter, Model, Spacing, Start, Timing};

/// What one look showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not finished, or a word nobody knows. The service may ask for a pause.
    Pending { hint_ms: Option<u64> },
    /// Finished.
    Final,
    /// Succeeded, and no usable image in it yet.
    NoImage,
    /// The service does not know the task.
    NotFound,
    /// The look failed and may be repeated: transport, 408, 425, 5xx.
    Failed { hint_ms: Option<u64> },
    /// 429. Says nothing about the service's health, so it does not count as a failure.
    RateLimited { hint_ms: Option<u64> },
    /// The look failed for good: the key, the account, the request.
    Refused,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look at this time; `last` when no other look follows.
    Look { at_ms: u64, last: bool },
    /// The wait is over.
    End(End),
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The task is final.
    Final,
    /// It succeeded and stayed without a usable image.
    NoImage,
    /// The service does not know it.
    NotFound,
    /// The time is over; the last look has been made.
    TimedOut,
    /// The time is over, and for longer than an interval there was no room for a look: nothing is known of the task's end.
    Starved,
    /// The last look was refused for good.
    Refused,
    /// The service asks for a pause that reaches past the deadline: report its time instead of sleeping silently.
    PausePastDeadline { hint_ms: u64 },
}

/// The state of one wait. Small on purpose: thousands are kept.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// When our own submit was accepted, or when the wait began; the task's age counts from here.
    born_ms: u64,
    /// Whether the submit was ours: only then "not found" may mean "not yet".
    ours: bool,
    /// When the wait must be over.
    deadline_ms: u64,
    /// When a look last showed the task unfinished; until then when it was born.
    seen_ms: u64,
    /// Whether the age counts from the submit: the wait for a foreign task begins at an unknown age.
    age_known: bool,
    /// Whether any look was answered with the task.
    answered: bool,
    /// Whether any look was made.
    looked: bool,
    /// Whether the look under way is the last one.
    last: bool,
    failures: u8,
    rate_limits: u8,
    no_images: u8,
}

impl Watch {
    /// So many failed looks in a row mean that the service is unreachable.
    const UNREACHABLE: u8 = 8;
    const NO_IMAGE_LOOKS: u8 = 3;

    /// Watches a task whose submit may have been ours, until `deadline_ms`.
    pub(crate) fn new(now_ms: u64, submitted_ms: Option<u64>, deadline_ms: u64) -> Watch {
        let born_ms = submitted_ms.unwrap_or(now_ms);
        Watch {
            born_ms,
            ours: submitted_ms.is_some(),
            deadline_ms,
            seen_ms: born_ms,
            age_known: submitted_ms.is_some(),
            answered: false,
            looked: false,
            last: false,
            failures: 0,
            rate_limits: 0,
            no_images: 0,
        }
    }

    /// Watches one of many tasks.
    pub(crate) fn starting(start: Start, now_ms: u64) -> Watch {
        let Start { born_ms, ours, deadline_ms, .. } = start;
        let born_ms = born_ms.min(now_ms);
        let age_known = ours || born_ms < now_ms;
        Watch { ours, age_known, ..Watch::new(now_ms, Some(born_ms), deadline_ms) }
    }

    /// The first look: at once, unless the submit was ours just now. No task is done sooner than it can be seen.
    pub(crate) fn first(&mut self, now_ms: u64, spacing: &Spacing, allowance_ms: u64) -> Step {
        let at_ms = if self.ours { self.born_ms.saturating_add(spacing.first_ms()) } else { now_ms };
        self.look_at(now_ms, at_ms.max(now_ms), now_ms, allowance_ms)
    }

    /// The step after a look. `allowance_ms` is what a look is expected to take: the last one starts so long before the
    /// deadline, to be back by then.
    pub(crate) fn after(
        &mut self,
        seen: Seen,
        now_ms: u64,
        spacing: &Spacing,
        jitter: &mut Jitter,
        allowance_ms: u64,
    ) -> Step {
        let timing = spacing.timing;
        if !matches!(seen, Seen::Failed { .. } | Seen::RateLimited { .. } | Seen::NotFound) {
            self.answered = true;
            self.failures = 0;
            self.rate_limits = 0;
        }
        let (pause_ms, hint_ms) = match seen {
            Seen::Final => return Step::End(End::Final),
            Seen::Refused => return Step::End(End::Refused),
            Seen::NotFound if !self.in_grace(now_ms, timing) => return Step::End(End::NotFound),
            Seen::NoImage if self.no_images >= Self::NO_IMAGE_LOOKS => return Step::End(End::NoImage),
            // A last look that says "succeeded, no image" has said all there is to say.
            Seen::NoImage if self.last => return Step::End(End::NoImage),
            Seen::Pending { hint_ms } => {
                self.seen_ms = now_ms;
                (self.interval(now_ms, spacing, jitter), hint_ms)
            }
            Seen::NotFound => (self.interval(now_ms, spacing, jitter), None),
            Seen::NoImage => {
                self.no_images += 1;
                (timing.no_image_ms << (self.no_images - 1), None)
            }
            Seen::Failed { hint_ms } => {
                self.failures = self.failures.saturating_add(1);
                let full = timing.retry_ms.saturating_mul(1 << (self.failures - 1).min(16));
                let full = if self.unreachable() { Timing::RETRY_CEILING_MS } else { full };
                let full = full.min(Timing::RETRY_CEILING_MS);
                (jitter.between(full / 2, full), hint_ms)
            }
            Seen::RateLimited { hint_ms } => {
                self.rate_limits = self.rate_limits.saturating_add(1);
                let own = (5_000_u64 << (self.rate_limits - 1).min(4)).min(Timing::HINT_CEILING_MS);
                (if hint_ms.is_some() { timing.floor_ms } else { own }, hint_ms)
            }
        };
        // A look that lasted until the deadline was the last one, whatever it was meant to be.
        if self.last || now_ms >= self.deadline_ms {
            return Step::End(End::TimedOut);
        }
        let Some(hint_ms) = hint_ms else {
            return self.look_at(now_ms, now_ms.saturating_add(pause_ms), now_ms, allowance_ms);
        };
        if now_ms.saturating_add(hint_ms) > self.deadline_ms {
            return Step::End(End::PausePastDeadline { hint_ms });
        }
        // Never earlier than asked, and not all at the same moment.
        let capped = hint_ms.min(Timing::HINT_CEILING_MS);
        let at_ms = now_ms.saturating_add(pause_ms.max(jitter.between(capped, capped + capped / 5)));
        self.look_at(now_ms, at_ms, now_ms.saturating_add(capped), allowance_ms)
    }

    /// The step after a 429, where a gate keeps its time for all tasks: it opens after `closed_ms`.
    pub(crate) fn held(&mut self, now_ms: u64, closed_ms: u64, allowance_ms: u64) -> Step {
        let opens_ms = now_ms.saturating_add(closed_ms);
        if opens_ms > self.deadline_ms {
            return Step::End(End::PausePastDeadline { hint_ms: closed_ms });
        }
        let last = self.last;
        let step = self.look_at(now_ms, opens_ms, opens_ms, allowance_ms);
        self.last |= last;
        step
    }

    /// Whether so many looks failed in a row that the service counts as unreachable.
    fn unreachable(&self) -> bool {
        self.failures >= Self::UNREACHABLE
    }

    /// Where the duration of a task lies that this moment's look found finished: the ages before and at it, in milliseconds.
    /// `None` where the age is unknown.
    pub(crate) fn duration_ms(&self, now_ms: u64) -> Option<(u64, u64)> {
        let age_ms = |at_ms: u64| at_ms.saturating_sub(self.born_ms);
        self.age_known.then(|| (age_ms(self.seen_ms), age_ms(now_ms)))
    }

    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    pub(crate) fn age_known(&self) -> bool {
        self.age_known
    }

    /// Whether no look was made yet.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.looked
    }

    pub(crate) fn set_looked(&mut self) {
        self.looked = true;
    }

    /// When to begin to see to a look that is recent enough at the deadline: a sweep before it, but not before half of the
    /// time is over.
    pub(crate) fn news_ms(&self, sweep_ms: u64) -> u64 {
        let half_ms = self.deadline_ms.saturating_sub(self.born_ms) / 2;
        self.deadline_ms - sweep_ms.min(half_ms)
    }

    /// Whether that time has come without such a look.
    pub(crate) fn wants_news(&self, now_ms: u64, sweep_ms: u64) -> bool {
        let recent = self.answered && self.seen_ms.saturating_add(sweep_ms) >= self.deadline_ms;
        self.news_ms(sweep_ms) <= now_ms && !recent
    }

    /// Whether no look follows the one that is due or under way.
    pub(crate) fn is_last(&self) -> bool {
        self.last
    }

    pub(crate) fn set_last(&mut self) {
        self.last = true;
    }

    /// How long ago a look was last answered with the task; before the first, how old it is.
    pub(crate) fn stale_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.seen_ms)
    }

    /// Whether a look was answered with the task within the last interval, or sweep.
    pub(crate) fn seen_within(&self, now_ms: u64, spacing: &Spacing, sweep_ms: u64) -> bool {
        let age_ms = self.seen_ms.saturating_sub(self.born_ms);
        let interval_ms = Jitter::longest(spacing.interval_ms(age_ms, self.age_known)).max(sweep_ms);
        self.answered && self.stale_ms(now_ms) <= interval_ms
    }

    /// How likely the task is still unfinished now.
    pub(crate) fn pending(&self, now_ms: u64, durations: &Durations, model: Model) -> f32 {
        let seen_ms = self.age_known.then(|| self.seen_ms.saturating_sub(self.born_ms));
        durations.pending(model, seen_ms, self.stale_ms(now_ms))
    }

    fn in_grace(&self, now_ms: u64, timing: &Timing) -> bool {
        self.ours && !self.answered && now_ms.saturating_sub(self.born_ms) < timing.not_found_grace_ms
    }

    fn interval(&self, now_ms: u64, spacing: &Spacing, jitter: &mut Jitter) -> u64 {
        let interval_ms = spacing.interval_ms(now_ms.saturating_sub(self.born_ms), self.age_known);
        jitter.around(interval_ms).max(spacing.timing.floor_ms)
    }

    /// A look at `at_ms`, or so much earlier that it is back by the deadline, but never before `not_before_ms`.
    fn look_at(&mut self, now_ms: u64, at_ms: u64, not_before_ms: u64, allowance_ms: u64) -> Step {
        let last_ms = self.deadline_ms.saturating_sub(allowance_ms).max(now_ms).max(not_before_ms);
        self.last = at_ms >= last_ms;
        Step::Look { at_ms: at_ms.min(last_ms), last: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimilinks() -> Timing {
        Timing {
            first_look_ms: 3_000,
            intervals_ms: vec![(0, 2_500), (120_000, 4_000), (300_000, 6_000)],
            floor_ms: 2_000,
            not_found_grace_ms: 5_000,
            retry_ms: Timing::RETRY_MS,
            no_image_ms: Timing::NO_IMAGE_MS,
            paced: false,
        }
    }

    const ALLOWANCE: u64 = 100;
    const PENDING: Seen = Seen::Pending { hint_ms: None };

    /// Runs a wait in virtual time: `see(now)` answers each look at once; gives the looks' times and the end.
    fn run(watch: &mut Watch, start: u64, timing: &Timing, mut see: impl FnMut(u64) -> Seen) -> (Vec<u64>, u64, End) {
        let mut jitter = Jitter::new(42);
        let mut now = start;
        let mut looks = Vec::new();
        let mut step = watch.first(now, &Spacing::own(timing), ALLOWANCE);
        loop {
            match step {
                Step::End(end) => return (looks, now, end),
                Step::Look { at_ms, .. } => {
                    assert!(at_ms >= now, "time runs forward");
                    assert!(looks.len() < 10_000, "the wait ends");
                    now = at_ms;
                    looks.push(now);
                    step = watch.after(see(now), now, &Spacing::own(timing), &mut jitter, ALLOWANCE);
                }
            }
        }
    }

    #[test]
    fn a_task_of_our_own_is_first_looked_at_after_the_first_look_time() {
        let mut watch = Watch::new(1_000, Some(1_000), 600_000);
        assert_eq!(
            watch.first(1_000, &Spacing::own(&dimilinks()), ALLOWANCE),
            Step::Look { at_ms: 4_000, last: false }
        );
    }

    #[test]
    fn a_foreign_task_is_looked_at_at_once() {
        let mut watch = Watch::new(1_000, None, 600_000);
        assert_eq!(
            watch.first(1_000, &Spacing::own(&dimilinks()), ALLOWANCE),
            Step::Look { at_ms: 1_000, last: false }
        );
    }

    #[test]
    fn intervals_follow_the_age_of_the_task_within_the_jitter_and_never_go_below_the_floor() {
        let mut watch = Watch::new(0, Some(0), 600_000);
        let (looks, _, end) = run(&mut watch, 0, &dimilinks(), |_| PENDING);
        assert_eq!(end, End::TimedOut);
        for pair in looks.windows(2).take(looks.len() - 2) {
            let (age, gap) = (pair[0], pair[1] - pair[0]);
            let base = if age < 120_000 {
                2_500
            } else if age < 300_000 {
                4_000
            } else {
                6_000
            };
            assert!(gap >= 2_000 && gap >= base * 85 / 100 && gap <= base * 115 / 100, "gap {gap} at {age}");
        }
    }

    #[test]
    fn a_sixty_second_task_costs_about_twenty_four_looks() {
        let mut watch = Watch::new(0, Some(0), 600_000);
        let (looks, ..) = run(&mut watch, 0, &dimilinks(), |now| if now >= 60_000 { Seen::Final } else { PENDING });
        assert!((22..=27).contains(&looks.len()), "{} looks", looks.len());
    }

    #[test]
    fn the_last_look_is_just_before_the_deadline_and_ends_the_wait() {
        let mut watch = Watch::new(0, None, 10_000);
        let (looks, now, end) = run(&mut watch, 0, &dimilinks(), |_| PENDING);
        assert_eq!((looks.last(), now, end), (Some(&9_900), 9_900, End::TimedOut));
    }

    #[test]
    fn a_task_that_is_done_at_the_last_look_is_done() {
        let mut watch = Watch::new(0, None, 10_000);
        let (.., end) = run(&mut watch, 0, &dimilinks(), |now| if now >= 9_800 { Seen::Final } else { PENDING });
        assert_eq!(end, End::Final);
    }

    #[test]
    fn no_time_at_all_is_one_look() {
        let mut watch = Watch::new(500, None, 500);
        let (looks, _, end) = run(&mut watch, 500, &dimilinks(), |_| PENDING);
        assert_eq!((looks, end), (vec![500], End::TimedOut));
    }

    #[test]
    fn a_look_that_lasts_until_the_deadline_is_the_last_one() {
        let mut watch = Watch::new(0, None, 10_000);
        assert_eq!(watch.first(0, &Spacing::own(&dimilinks()), ALLOWANCE), Step::Look { at_ms: 0, last: false });
        let step = watch.after(
            Seen::Failed { hint_ms: None },
            10_000,
            &Spacing::own(&dimilinks()),
            &mut Jitter::new(1),
            ALLOWANCE,
        );
        assert_eq!(step, Step::End(End::TimedOut));
    }

    #[test]
    fn failed_looks_back_off_up_to_thirty_seconds_and_never_end_the_wait() {
        let mut watch = Watch::new(0, None, 600_000);
        let (looks, _, end) = run(&mut watch, 0, &dimilinks(), |_| Seen::Failed { hint_ms: None });
        assert_eq!(end, End::TimedOut);
        for (n, pair) in looks.windows(2).take(looks.len() - 2).enumerate() {
            let full = (1_000_u64 << n.min(10)).min(30_000);
            let gap = pair[1] - pair[0];
            assert!(gap >= full / 2 && gap <= full, "gap {gap} after failure {n}");
        }
        assert!(watch.unreachable());
    }

    #[test]
    fn an_answer_ends_the_error_streak() {
        let mut watch = Watch::new(0, None, 3_600_000);
        let mut n = 0;
        let (.., end) = run(&mut watch, 0, &dimilinks(), |_| {
            n += 1;
            if n > 40 {
                Seen::Final
            } else if n % 8 == 0 {
                PENDING
            } else {
                Seen::Failed { hint_ms: None }
            }
        });
        assert_eq!(end, End::Final);
        assert!(!watch.unreachable());
    }

    #[test]
    fn not_found_is_forgiven_only_within_the_grace_after_our_own_submit() {
        let mut ours = Watch::new(0, Some(0), 600_000);
        let (looks, now, end) = run(&mut ours, 0, &dimilinks(), |_| Seen::NotFound);
        assert_eq!(end, End::NotFound);
        assert!(looks.len() == 2 && now >= 5_000, "at most two extra looks: {looks:?}");

        let mut foreign = Watch::new(0, None, 600_000);
        let (looks, _, end) = run(&mut foreign, 0, &dimilinks(), |_| Seen::NotFound);
        assert_eq!((looks.len(), end), (1, End::NotFound));
    }

    #[test]
    fn not_found_after_an_answer_is_final_even_within_the_grace() {
        let timing = Timing { not_found_grace_ms: 60_000, ..dimilinks() };
        let mut watch = Watch::new(0, Some(0), 600_000);
        let mut first = true;
        let (looks, _, end) =
            run(&mut watch, 0, &timing, |_| if std::mem::take(&mut first) { PENDING } else { Seen::NotFound });
        assert_eq!((looks.len(), end), (2, End::NotFound));
    }

    #[test]
    fn a_hint_is_a_lower_bound_and_at_most_a_fifth_longer() {
        let mut watch = Watch::new(0, None, 600_000);
        let mut first = true;
        let (looks, ..) = run(&mut watch, 0, &dimilinks(), |_| {
            if std::mem::take(&mut first) { Seen::Pending { hint_ms: Some(20_000) } } else { Seen::Final }
        });
        assert!((20_000..=24_000).contains(&looks[1]), "{looks:?}");
    }

    #[test]
    fn a_short_hint_does_not_hurry_a_look() {
        let mut watch = Watch::new(0, None, 600_000);
        let mut first = true;
        let (looks, ..) = run(&mut watch, 0, &dimilinks(), |_| {
            if std::mem::take(&mut first) { Seen::Pending { hint_ms: Some(0) } } else { Seen::Final }
        });
        assert!(looks[1] >= 2_125, "{looks:?}");
    }

    #[test]
    fn no_look_comes_earlier_than_a_hint_not_even_the_last_one() {
        let mut watch = Watch::new(0, None, 30_000);
        let mut first = true;
        let (looks, _, end) = run(&mut watch, 0, &dimilinks(), |_| {
            if std::mem::take(&mut first) { Seen::Pending { hint_ms: Some(29_950) } } else { PENDING }
        });
        assert_eq!((looks, end), (vec![0, 29_950], End::TimedOut));
    }

    #[test]
    fn a_hint_past_the_deadline_is_reported_at_once() {
        let mut watch = Watch::new(0, None, 30_000);
        let (looks, now, end) = run(&mut watch, 0, &dimilinks(), |_| Seen::RateLimited { hint_ms: Some(60_000) });
        assert_eq!((looks.len(), now, end), (1, 0, End::PausePastDeadline { hint_ms: 60_000 }));
    }

    #[test]
    fn a_very_long_hint_is_asked_again_after_a_minute() {
        let mut watch = Watch::new(0, None, 10_000_000);
        let mut first = true;
        let (looks, ..) = run(&mut watch, 0, &dimilinks(), |_| {
            if std::mem::take(&mut first) { Seen::RateLimited { hint_ms: Some(3_600_000) } } else { Seen::Final }
        });
        assert!((60_000..=72_000).contains(&looks[1]), "{looks:?}");
    }

    #[test]
    fn a_rate_limit_without_a_time_backs_off_and_is_no_failure() {
        let mut watch = Watch::new(0, None, 100_000_000);
        let mut n = 0;
        let (looks, ..) = run(&mut watch, 0, &dimilinks(), |_| {
            n += 1;
            if n > 12 { Seen::Final } else { Seen::RateLimited { hint_ms: None } }
        });
        let gaps: Vec<u64> = looks.windows(2).map(|p| p[1] - p[0]).collect();
        assert_eq!(gaps[..6], [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
        assert!(!watch.unreachable());
    }

    #[test]
    fn a_success_without_an_image_is_looked_at_three_more_times() {
        let mut watch = Watch::new(0, None, 600_000);
        let (looks, _, end) = run(&mut watch, 0, &dimilinks(), |_| Seen::NoImage);
        assert_eq!((looks, end), (vec![0, 2_000, 6_000, 14_000], End::NoImage));
    }

    #[test]
    fn a_refusal_ends_the_wait_at_once() {
        let mut watch = Watch::new(0, None, 600_000);
        let (looks, _, end) = run(&mut watch, 0, &dimilinks(), |_| Seen::Refused);
        assert_eq!((looks.len(), end), (1, End::Refused));
    }

    #[test]
    fn an_own_pace_is_kept_in_everything() {
        let timing = dimilinks().paced(50, 1);
        let mut watch = Watch::new(0, Some(0), 10_000);
        let (looks, ..) = run(&mut watch, 0, &timing, |now| if now >= 1_000 { Seen::Final } else { PENDING });
        assert!((18..=26).contains(&looks.len()), "{looks:?}");
    }

    #[test]
    fn every_sequence_of_answers_ends_by_the_deadline() {
        for seed in 0..500 {
            let mut dice = Jitter::new(seed);
            let mut watch = Watch::new(0, (seed % 2 == 0).then_some(0), 60_000);
            let (_, now, _) = run(&mut watch, 0, &dimilinks(), |_| match dice.between(0, 9) {
                0..=3 => PENDING,
                4..=5 => Seen::Failed { hint_ms: None },
                6 => Seen::Failed { hint_ms: Some(dice.between(0, 10_000)) },
                7 => Seen::RateLimited { hint_ms: Some(dice.between(0, 90_000)) },
                8 => Seen::NoImage,
                _ => Seen::NotFound,
            });
            assert!(now <= 60_000);
        }
    }
}
