//! What is learned of durations, and the intervals that follow.

use super::alone::{alone, taught};
use super::service::{dimilinks, duration_ms, lemondata, timing};
use crate::poll::{Durations, Jitter, Model, Spacing, Timing};

/// The age by which half of the tasks are done, as far as is known.
fn median_ms(durations: &Durations, model: Model) -> u64 {
    let (mut low, mut high) = (1, 10_000_000);
    while high - low > low / 1_000 + 1 {
        let middle = (low + high) / 2;
        if durations.pending(model, Some(0), middle) > 0.5 { low = middle } else { high = middle }
    }
    low
}

fn near(value: u64, expected: u64, percent: u64) -> bool {
    value.abs_diff(expected) * 100 <= expected * percent
}

#[test]
fn below_sixteen_completions_the_own_intervals_hold_exactly() {
    let timing = dimilinks();
    let (durations, model) = taught(&timing, 15, 1);
    let (own, spacing) = (Spacing::own(&timing), Spacing { timing: &timing, learned: Some((&durations, model)) });
    assert_eq!(spacing.first_ms(), own.first_ms());
    for age in (0..600_000).step_by(500) {
        assert_eq!(spacing.interval_ms(age, true), own.interval_ms(age, true));
    }
    let (durations, model) = taught(&timing, 16, 1);
    let spacing = Spacing { timing: &timing, learned: Some((&durations, model)) };
    assert_ne!(spacing.interval_ms(5_000, true), own.interval_ms(5_000, true));
}

#[test]
fn a_pace_that_the_user_set_is_not_changed_by_what_is_learned() {
    for timing in [dimilinks().paced(1_500, 1_000), Timing { paced: true, ..dimilinks() }] {
        let (durations, model) = taught(&timing, 500, 1);
        let spacing = Spacing { timing: &timing, learned: Some((&durations, model)) };
        assert_eq!(spacing.first_ms(), timing.first_look_ms);
        for age in (0..600_000).step_by(5_000) {
            for age_known in [true, false] {
                assert_eq!(spacing.interval_ms(age, age_known), timing.interval_ms(age));
            }
        }
    }
}

#[test]
fn learned_intervals_stay_within_the_floor_and_the_longest() {
    for timing in [dimilinks(), lemondata()] {
        for seed in 0..20 {
            let (durations, model) = taught(&timing, 16 + 10 * seed as u32, seed);
            let spacing = Spacing { timing: &timing, learned: Some((&durations, model)) };
            let longest = timing.longest_ms();
            assert!((timing.first_look_ms..=longest.max(timing.first_look_ms)).contains(&spacing.first_ms()));
            for age in (0..40_000_000).step_by(77_777) {
                for age_known in [true, false] {
                    let interval = spacing.interval_ms(age, age_known);
                    assert!((timing.floor_ms..=longest).contains(&interval), "{interval} at {age}");
                }
            }
        }
    }
}

#[test]
fn looks_come_closer_where_tasks_are_likely_to_finish() {
    let timing = timing(1_000, &[(0, 5_000), (600_000, 60_000)], 1_000);
    let (durations, model) = taught(&timing, 200, 1);
    let spacing = Spacing { timing: &timing, learned: Some((&durations, model)) };
    let interval = |age| spacing.interval_ms(age, true);
    assert!(interval(5_000) > 2 * interval(60_000), "{} at 5 s, {} at 60 s", interval(5_000), interval(60_000));
    assert!(interval(900_000) > 2 * interval(60_000), "{} at 900 s, {} at 60 s", interval(900_000), interval(60_000));
    assert!(spacing.first_ms() > 12_000, "{}", spacing.first_ms());
}

#[test]
fn a_task_alone_costs_as_many_looks_as_by_the_own_intervals_and_is_seen_sooner() {
    // The second is as close to its floor as it may be, so that less is left to win.
    for (timing, delay) in [(timing(1_000, &[(0, 5_000), (600_000, 60_000)], 1_000), 0.8), (lemondata(), 0.92)] {
        let own = alone(&timing, &Durations::new(&timing), None, 1, 2_000);
        let (durations, model) = taught(&timing, 100, 2);
        let learned = alone(&timing, &durations, Some(model), 1, 2_000);
        assert!((learned.looks / own.looks - 1.0).abs() < 0.1, "{} looks instead of {}", learned.looks, own.looks);
        assert!(learned.delay_s < delay * own.delay_s, "{} s instead of {} s", learned.delay_s, own.delay_s);
    }
}

#[test]
fn a_service_that_changes_is_followed() {
    let (mut durations, model) = taught(&lemondata(), 1_000, 1);
    assert!(near(median_ms(&durations, model), 60_000, 10), "{}", median_ms(&durations, model));
    let mut dice = Jitter::new(2);
    (0..400).for_each(|_| durations.learn(model, duration_ms(&mut dice) / 4));
    assert!(near(median_ms(&durations, model), 15_000, 15), "{}", median_ms(&durations, model));
}

#[test]
fn durations_known_only_between_two_rare_looks_are_learned_without_a_bias() {
    for sweep in [10_000, 40_000, 90_000] {
        let timing = lemondata();
        let mut durations = Durations::new(&timing);
        let model = durations.model("m");
        let mut dice = Jitter::new(3);
        for _ in 0..3_000 {
            let (lasted, mut seen) = (duration_ms(&mut dice), dice.between(1, sweep));
            let mut before = 0;
            while seen < lasted {
                (before, seen) = (seen, seen + sweep);
            }
            durations.learn_between(model, before, seen);
        }
        let median = median_ms(&durations, model);
        assert!(near(median, 60_000, 20), "{median} from looks {sweep} ms apart");
    }
}

#[test]
fn a_service_of_two_speeds_does_not_break_the_rule() {
    let timing = timing(2_000, &[(0, 4_000), (300_000, 20_000)], 1_000);
    let mut durations = Durations::new(&timing);
    let model = durations.model("m");
    let mut dice = Jitter::new(4);
    for _ in 0..300 {
        let lasts = if dice.between(0, 1) == 0 { 5_000 } else { 200_000 };
        durations.learn(model, dice.around(lasts));
    }
    let spacing = Spacing { timing: &timing, learned: Some((&durations, model)) };
    // Half of the tasks finish around either age: there it may not be blind.
    assert!(spacing.first_ms() <= 6_000, "{}", spacing.first_ms());
    assert!(spacing.interval_ms(200_000, true) <= 20_000);
}

#[test]
fn a_task_far_beyond_the_usual_is_not_looked_at_as_if_it_were_about_to_finish() {
    let timing = timing(1_000, &[(0, 5_000), (600_000, 60_000)], 1_000);
    let mut durations = Durations::new(&timing);
    let model = durations.model("m");
    (0..200).for_each(|n| durations.learn(model, 58_000 + 20 * n));
    let spacing = Spacing { timing: &timing, learned: Some((&durations, model)) };
    let intervals = [57_000, 120_000, 180_000, 600_000].map(|age| spacing.interval_ms(age, true));
    assert!(intervals[0] < 2_000 && intervals[1..].iter().all(|interval| *interval > 2_000), "{intervals:?}");
}

#[test]
fn one_odd_completion_changes_little() {
    let (mut durations, model) = taught(&lemondata(), 200, 1);
    let before = median_ms(&durations, model);
    durations.learn(model, 24 * 3_600_000);
    durations.learn(model, 0);
    (0..32).for_each(|_| durations.learn(model, 60_000));
    assert!(near(median_ms(&durations, model), before, 10), "{} after {before}", median_ms(&durations, model));
}

#[test]
fn models_are_told_apart_and_more_than_sixteen_share_the_last() {
    let mut durations = Durations::new(&lemondata());
    let models: Vec<Model> = (0..20).map(|n| durations.model(&format!("m{n}"))).collect();
    assert_eq!(models[3], durations.model("m3"));
    assert!((0..16).all(|n| models[..n].iter().all(|other| *other != models[n])));
    assert!(models[15..].iter().all(|model| *model == models[15]));
    (0..20).for_each(|_| durations.learn(models[2], 10_000));
    assert_eq!((durations.known(models[2]), durations.known(models[3])), (20, 0));
}

#[test]
fn no_duration_and_no_timing_breaks_the_tables() {
    for timing in [
        timing(0, &[], 0),
        timing(0, &[(0, 1)], 1),
        timing(u64::MAX, &[(0, u64::MAX)], u64::MAX),
        Timing { intervals_ms: vec![(5, 5)], ..dimilinks() },
    ] {
        for lasts in [0, 1, 1_000, u64::MAX] {
            let mut durations = Durations::new(&timing);
            let model = durations.model("m");
            (0..40).for_each(|_| durations.learn_between(model, 0, lasts));
            for seen in [0, 1, 60_000, u64::MAX] {
                let pending = durations.pending(model, Some(seen), u64::MAX);
                assert!((0.0..=1.0).contains(&pending), "{pending}");
                let spacing = Spacing { timing: &timing, learned: Some((&durations, model)) };
                assert!(spacing.interval_ms(seen, true) >= timing.floor_ms);
            }
        }
    }
}
