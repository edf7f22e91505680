//! The gate in front of services that count.

use std::collections::VecDeque;

use super::service::Meter;
use crate::poll::{Answer, Gate, Limit, Pass};

fn gate(per_minute: u32) -> Gate {
    Gate::new(Limit { per_minute: Some(per_minute), ..Limit::default() }, 0)
}

fn adaptive() -> Gate {
    Gate::new(Limit::default(), 0)
}

fn limited(hint_ms: impl Into<Option<u64>>) -> Answer {
    Answer::Limited { hint_ms: hint_ms.into() }
}

/// Waits for the next request from `now` on, as one greedy program does.
fn next(gate: &mut Gate, now: &mut u64) -> Pass {
    loop {
        match gate.take(*now) {
            Ok(pass) => return pass,
            Err(at) => {
                assert!(at > *now, "asked again at {at}, which is not after {now}");
                *now = at;
            }
        }
    }
}

/// Closes the gate with one 429 and gives the time at which it opens for the probe.
fn closed_by(gate: &mut Gate, now: &mut u64, answer: Answer) -> (u64, Pass) {
    let pass = next(gate, now);
    gate.answered(pass, *now, answer);
    let start = *now;
    let probe = next(gate, now);
    (*now - start, probe)
}

#[test]
fn no_minute_sees_more_than_the_limit_wherever_the_minute_begins() {
    for limit in [1, 2, 7, 10, 20, 60, 333, 1_000, 1_500, 10_000] {
        let mut gate = gate(limit);
        let (mut now, mut rested, mut window, mut count) = (0, 0, VecDeque::new(), 0);
        while now < 2 * 3_600_000 && count < 200_000 {
            // A rest now and then, so that the burst is there to use.
            if count % 5_000 == 4_999 {
                now += 45_000;
                rested += 45_000;
            }
            let pass = next(&mut gate, &mut now);
            gate.answered(pass, now, Answer::Fine);
            count += 1;
            window.push_back(now);
            while window.front().is_some_and(|at| at + 60_000 <= now) {
                window.pop_front();
            }
            assert!(window.len() <= limit as usize, "{} in a minute of {limit}", window.len());
        }
        let used = f64::from(count) / ((now - rested) as f64 / 60_000.0) / f64::from(limit);
        assert!(used > 0.85, "{used} of {limit} used");
    }
}

#[test]
fn hours_at_the_limit_draw_no_429_from_a_service_of_fixed_minutes() {
    let (mut gate, mut meter, mut now) = (gate(1_000), Meter::new(1_000), 12_345);
    while now < 3 * 3_600_000 {
        let pass = next(&mut gate, &mut now);
        let answer = meter.request(now).map_or_else(limited, |()| Answer::Fine);
        gate.answered(pass, now, answer);
    }
    assert_eq!(meter.refused, 0);
    assert!(meter.requests > 3 * 60 * 890, "{} requests", meter.requests);
}

#[test]
fn after_a_rest_fifteen_requests_go_at_once_and_then_fifteen_a_second() {
    let mut gate = gate(1_000);
    let at_once = (0..100).take_while(|_| gate.take(5_000).is_ok()).count();
    assert_eq!(at_once, 15);
    let mut now = 5_000;
    (0..150).for_each(|_| {
        next(&mut gate, &mut now);
    });
    assert_eq!(now, 15_000);
}

#[test]
fn a_stated_time_is_never_undercut_and_at_most_a_fifth_longer() {
    for stated in [1, 800, 30_000, 60_000, 3_600_000] {
        for start in 0..50 {
            let (mut gate, mut now) = (gate(1_000), 100_000 + start);
            let (closed, _) = closed_by(&mut gate, &mut now, limited(stated));
            assert!(closed >= stated && closed <= stated + stated / 5, "{closed} for {stated}");
        }
    }
}

#[test]
fn clients_that_are_refused_at_different_moments_do_not_come_back_together() {
    let opens = |start: u64| {
        let (mut gate, mut now) = (gate(1_000), start);
        closed_by(&mut gate, &mut now, limited(30_000)).0
    };
    let mut closed: Vec<u64> = (0..100).map(opens).collect();
    closed.sort_unstable();
    closed.dedup();
    assert!(closed.len() > 30 && closed[closed.len() - 1] - closed[0] > 4_000, "{closed:?}");
}

#[test]
fn a_closed_gate_opens_with_one_request_and_the_next_waits_for_its_answer() {
    let (mut gate, mut now) = (gate(1_000), 0);
    let (_, probe) = closed_by(&mut gate, &mut now, limited(2_000));
    for later in [0, 1, 500, 5_000, 29_000] {
        assert!(gate.take(now + later).is_err(), "{later} ms after the probe");
        assert!(gate.charge(now + later).is_err(), "{later} ms after the probe");
    }
    gate.answered(probe, now + 29_500, Answer::Fine);
    assert!(gate.take(now + 32_000).is_ok());
}

#[test]
fn a_lost_probe_is_followed_by_another_and_so_is_one_that_nobody_reports() {
    let (mut gate, mut now) = (gate(1_000), 0);
    let (_, probe) = closed_by(&mut gate, &mut now, limited(2_000));
    gate.answered(probe, now + 10, Answer::Lost);
    // Not at the speed at which connections are refused.
    assert_eq!(gate.take(now + 10), Err(now + 1_010));
    now += 1_010;
    assert!(gate.take(now).is_ok() && gate.take(now).is_err());
    let start = now;
    next(&mut gate, &mut now);
    assert!((29_900..=30_100).contains(&(now - start)), "{}", now - start);
}

#[test]
fn after_the_probe_the_rate_rises_over_ten_seconds_to_the_full_one() {
    let (mut gate, mut now) = (gate(1_000), 0);
    let (_, probe) = closed_by(&mut gate, &mut now, limited(2_000));
    gate.answered(probe, now, Answer::Fine);
    let start = now;
    let mut by_second = [0; 20];
    while now < start + 20_000 {
        let pass = next(&mut gate, &mut now);
        gate.answered(pass, now, Answer::Fine);
        if let Some(count) = by_second.get_mut(((now - start) / 1_000) as usize) {
            *count += 1;
        }
    }
    // Linear: in the n-th second about 1.5 n, and never a burst.
    for (second, count) in by_second.iter().enumerate() {
        let expected = if second < 10 { 0.75 + 1.5 * second as f64 } else { 15.0 };
        assert!((f64::from(*count) - expected).abs() <= 1.3, "{by_second:?}");
    }
}

#[test]
fn the_429s_of_one_burst_count_once_and_the_longest_time_of_them_holds() {
    let (mut gate, now) = (gate(1_000), 1_000);
    let passes: Vec<Pass> = (0..15).map(|_| gate.take(now).expect("a burst")).collect();
    for pass in &passes[..14] {
        gate.answered(*pass, now, limited(None));
    }
    let opens = gate.take(now).expect_err("closed");
    assert!((5_000..=6_000).contains(&(opens - now)), "{opens}");
    gate.answered(passes[14], now + 100, limited(20_000));
    let opens = gate.take(now + 100).expect_err("closed");
    assert!(opens >= now + 20_100, "{opens}");
}

#[test]
fn unstated_times_grow_while_429s_follow_one_another_and_begin_anew_after_a_quiet_while() {
    let (mut gate, mut now) = (gate(1_000), 0);
    let mut pass = next(&mut gate, &mut now);
    let mut closed = Vec::new();
    for _ in 0..6 {
        gate.answered(pass, now, limited(None));
        let start = now;
        pass = next(&mut gate, &mut now);
        closed.push(now - start);
    }
    for (closed, stated) in closed.iter().zip([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
        assert!((stated..=stated + stated / 5).contains(closed), "{closed} for {stated}");
    }
    gate.answered(pass, now, Answer::Fine);
    now += 10_000;
    let (closed, _) = closed_by(&mut gate, &mut now, limited(None));
    assert!((5_000..=6_000).contains(&closed), "{closed}");
}

#[test]
fn a_429_during_the_ramp_is_one_that_followed() {
    let (mut gate, mut now) = (gate(1_000), 0);
    let (_, probe) = closed_by(&mut gate, &mut now, limited(None));
    gate.answered(probe, now, Answer::Fine);
    let (closed, _) = closed_by(&mut gate, &mut now, limited(None));
    assert!((10_000..=12_000).contains(&closed), "{closed}");
}

#[test]
fn late_answers_from_before_a_closing_neither_open_the_gate_nor_count_again() {
    let (mut gate, mut now) = (gate(1_000), 0);
    let [fine, refused, stated]: [Pass; 3] = std::array::from_fn(|_| gate.take(0).expect("a burst"));
    let (_, probe) = closed_by(&mut gate, &mut now, limited(1_000));
    gate.answered(fine, now, Answer::Fine);
    assert!(gate.take(now + 9_000).is_err(), "the probe is not answered yet");
    now += 9_000;
    gate.answered(probe, now, Answer::Fine);
    now += 11_000;
    assert!(gate.take(now).is_ok());
    gate.answered(refused, now, limited(None));
    assert!(gate.take(now).is_ok(), "an old 429 without a time says nothing new");
    gate.answered(stated, now, limited(3_000));
    assert!(gate.take(now + 2_999).is_err(), "a stated time holds, however late it comes");
}

#[test]
fn requests_that_do_not_wait_use_the_burst_up_and_leave_their_turn_to_those_that_do() {
    let mut gate = gate(1_000);
    for _ in 0..100_000 {
        assert!(gate.charge(0).is_ok());
    }
    assert!(gate.take(0).is_ok());
    let at = gate.take(0).expect_err("the burst is used up");
    assert!((60..=70).contains(&at), "{at}");
    // However many there are, who waits gets the whole rate.
    let mut taken = 0;
    for now in 0..60_000 {
        assert!(gate.charge(now).is_ok());
        taken += u32::from(gate.take(now).is_ok());
    }
    assert!((895..=905).contains(&taken), "{taken}");
}

#[test]
fn a_request_that_does_not_wait_is_held_back_by_a_closed_gate() {
    let mut gate = gate(1_000);
    let pass = gate.charge(0).expect("open");
    gate.answered(pass, 0, limited(4_000));
    let at = gate.charge(10).expect_err("closed");
    assert!((4_000..=4_800).contains(&at), "{at}");
}

#[test]
fn the_time_to_wait_is_told_without_taking_anything() {
    let (mut gate, mut now) = (gate(60), 0);
    for _ in 0..200 {
        let wait = gate.wait_ms(now);
        assert_eq!(wait, gate.wait_ms(now));
        let start = now;
        next(&mut gate, &mut now);
        assert_eq!(now - start, wait);
    }
}

#[test]
fn what_it_allows_itself_is_told_in_every_state() {
    let (mut gate, mut now) = (gate(1_000), 0);
    assert_eq!(gate.per_minute(now), 900);
    let (_, probe) = closed_by(&mut gate, &mut now, limited(2_000));
    assert_eq!((gate.per_minute(now), gate.budget()), (0, 900));
    gate.answered(probe, now, Answer::Fine);
    assert_eq!(gate.per_minute(now + 5_000), 450);
    assert_eq!(gate.per_minute(now + 10_000), 900);
}

/// Asks as fast as it may for so long; every request is fine.
fn press(gate: &mut Gate, now: &mut u64, for_ms: u64) {
    let end = *now + for_ms;
    while *now < end {
        let pass = next(gate, now);
        gate.answered(pass, *now, Answer::Fine);
    }
}

#[test]
fn without_a_limit_the_rate_begins_at_five_a_second_and_rises_with_every_clean_minute_to_fifteen() {
    let (mut gate, mut now) = (adaptive(), 0);
    assert_eq!(gate.per_minute(now), 300);
    for minute in 1..=25 {
        press(&mut gate, &mut now, 60_000);
        let expected = (300 + 30 * minute).min(900);
        assert!(gate.per_minute(now).abs_diff(expected) <= 30, "{} in minute {minute}", gate.per_minute(now));
    }
    assert_eq!(gate.per_minute(now), 900);
}

#[test]
fn a_rate_that_nobody_needs_is_not_raised() {
    let (mut gate, mut now) = (adaptive(), 0);
    for _ in 0..600 {
        assert!(gate.take(now).is_ok());
        now += 6_000;
    }
    assert_eq!(gate.per_minute(now), 300);
}

#[test]
fn a_429_takes_three_tenths_of_the_rate_and_its_height_is_remembered() {
    let (mut gate, mut now) = (adaptive(), 0);
    press(&mut gate, &mut now, 11 * 60_000);
    let pass = next(&mut gate, &mut now);
    let before = gate.per_minute(now);
    gate.answered(pass, now, limited(1_000));
    assert_eq!(gate.budget(), before * 7 / 10);
    let probe = next(&mut gate, &mut now);
    gate.answered(probe, now, Answer::Fine);
    press(&mut gate, &mut now, 9 * 60_000);
    assert!(gate.budget() > before * 8 / 10 && gate.budget() <= before * 9 / 10, "{} of {before}", gate.budget());
    press(&mut gate, &mut now, 10 * 60_000);
    assert!(gate.budget() > before, "a ceiling is tried again in the end: {} of {before}", gate.budget());
}

#[test]
fn a_service_that_names_no_limit_is_used_well_and_seldom_hit() {
    let (mut gate, mut meter, mut now) = (adaptive(), Meter::new(400), 0);
    while now < 4 * 3_600_000 {
        let pass = next(&mut gate, &mut now);
        let answer = meter.request(now).map_or_else(limited, |()| Answer::Fine);
        gate.answered(pass, now, answer);
    }
    let used = (meter.requests - meter.refused) as f64 / (4.0 * 60.0 * 400.0);
    assert!(meter.refused <= 12, "{} of {}", meter.refused, meter.requests);
    assert!(used > 0.75, "{used}");
}
