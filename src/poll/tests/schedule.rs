//! The order of service, deadlines and guarantees of many tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::service::{dimilinks, duration_ms, lemondata, timing};
use super::world::{Arrivals, World};
use crate::poll::schedule::ranked;
use crate::poll::{
    Answer, Durations, End, Gate, Jitter, Limit, Model, Pace, Pass, Schedule, Seen, Start, Timing, Turn,
};

const PENDING: Seen = Seen::Pending { hint_ms: None };
const FAILED: Seen = Seen::Failed { hint_ms: None };
const HOUR_MS: u64 = 3_600_000;
/// Tasks that were submitted before the clock's start.
const NOON_MS: u64 = 12 * HOUR_MS;

/// A schedule, its pace and a clock.
struct Desk {
    schedule: Schedule,
    pace: Pace,
    model: Model,
    now: u64,
}

impl Desk {
    fn new(timing: Timing, per_minute: u32) -> Desk {
        let mut durations = Durations::new(&timing);
        let model = durations.model("m");
        let limit = Limit { per_minute: Some(per_minute), ..Limit::default() };
        Desk {
            schedule: Schedule::new(Arc::new(timing), 7),
            pace: Pace { gate: Gate::new(limit, NOON_MS), durations },
            model,
            now: NOON_MS,
        }
    }

    fn taught(mut self) -> Desk {
        let mut dice = Jitter::new(5);
        (0..200).for_each(|_| self.pace.durations.learn(self.model, duration_ms(&mut dice)));
        self
    }

    /// Submitted `age` ago, to be watched for `for_ms` from now on.
    fn ours(&mut self, key: u32, age: u64, for_ms: u64) {
        let start = Start { born_ms: self.now - age, ours: true, deadline_ms: self.now + for_ms, model: self.model };
        self.schedule.watch(key, start, self.now);
    }

    fn foreign(&mut self, key: u32, for_ms: u64) {
        let start = Start { born_ms: self.now, ours: false, deadline_ms: self.now + for_ms, model: self.model };
        self.schedule.watch(key, start, self.now);
    }

    fn next(&mut self) -> Turn {
        self.schedule.next(self.now, &mut self.pace, true, true)
    }

    /// The next turn that is no rest, and when it comes.
    fn turn(&mut self) -> Turn {
        loop {
            match self.next() {
                Turn::Rest { until_ms } => {
                    let until = until_ms.expect("something comes");
                    assert!(until > self.now, "a rest until {until} at {}", self.now);
                    self.now = until;
                }
                turn => return turn,
            }
        }
    }

    fn looked_at(&mut self) -> (u32, Pass, bool) {
        match self.turn() {
            Turn::Look { key, pass, last } => (key, pass, last),
            turn => panic!("{turn:?} instead of a look"),
        }
    }

    /// The next look, answered at once.
    fn look(&mut self, seen: Seen) -> (u32, Option<End>) {
        let (key, pass, _) = self.looked_at();
        self.pace.gate.answered(pass, self.now, Answer::Fine);
        (key, self.after(key, seen))
    }

    fn after(&mut self, key: u32, seen: Seen) -> Option<End> {
        self.schedule.after(key, seen, self.now, &mut self.pace, 250)
    }

    /// Uses up the burst, so that everything waits for its turn.
    fn drain(&mut self) {
        while self.pace.gate.take(self.now).is_ok() {}
    }
}

#[test]
fn nothing_to_do_is_a_rest_without_end() {
    assert_eq!(Desk::new(dimilinks(), 1_000).next(), Turn::Rest { until_ms: None });
}

#[test]
fn submits_go_first_then_last_looks_then_first_looks_then_those_that_are_due() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.foreign(0, HOUR_MS);
    desk.look(PENDING);
    desk.now += 3_000;
    // In the opposite order of their right to be served.
    desk.foreign(1, HOUR_MS);
    desk.foreign(2, 100);
    desk.schedule.submit(3);
    desk.schedule.submit(4);
    let order: Vec<u32> = (0..5)
        .map(|_| match desk.next() {
            Turn::Submit { key, .. } | Turn::Look { key, .. } => key,
            turn => panic!("{turn:?}"),
        })
        .collect();
    assert_eq!(order, [3, 4, 2, 1, 0]);
}

#[test]
fn submits_wait_for_the_gate_in_their_order() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.drain();
    (0..30).for_each(|key| desk.schedule.submit(key));
    let start = desk.now;
    for key in 0..30 {
        assert!(matches!(desk.turn(), Turn::Submit { key: k, .. } if k == key));
    }
    assert!((1_900..=2_100).contains(&(desk.now - start)), "{}", desk.now - start);
}

#[test]
fn what_is_not_allowed_stays_where_it_is() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.foreign(0, HOUR_MS);
    desk.schedule.submit(1);
    let Desk { schedule, pace, now, .. } = &mut desk;
    assert!(matches!(schedule.next(*now, pace, false, false), Turn::Rest { .. }));
    assert!(matches!(schedule.next(*now, pace, true, false), Turn::Look { key: 0, .. }));
    assert!(matches!(schedule.next(*now, pace, false, true), Turn::Submit { key: 1, .. }));
}

#[test]
fn a_deadline_ends_the_watching_also_while_no_look_is_allowed() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.foreign(0, 60_000);
    desk.look(PENDING);
    desk.now += 61_000;
    let turn = desk.schedule.next(desk.now, &mut desk.pace, false, true);
    assert!(matches!(turn, Turn::Rest { until_ms: Some(_) }), "a moment is left for the last look");
    desk.now += 1;
    let turn = desk.schedule.next(desk.now, &mut desk.pace, false, true);
    assert_eq!(turn, Turn::End { key: 0, end: End::Starved });
    assert_eq!(desk.schedule.outlook(desk.now, &desk.pace).waiting, 0);
}

#[test]
fn our_own_task_is_first_looked_at_after_the_first_look_time_and_a_foreign_one_at_once() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.ours(0, 0, HOUR_MS);
    desk.foreign(1, HOUR_MS);
    assert_eq!((desk.look(PENDING).0, desk.now), (1, NOON_MS));
    desk.schedule.forget(1);
    assert_eq!((desk.look(PENDING).0, desk.now), (0, NOON_MS + 3_000));
}

#[test]
fn what_was_learned_puts_off_the_first_look_of_a_new_task_but_not_of_an_old_one() {
    let wide = || timing(1_000, &[(0, 5_000), (600_000, 60_000)], 1_000);
    let mut desk = Desk::new(wide(), 1_000).taught();
    desk.ours(0, 0, HOUR_MS);
    desk.look(PENDING);
    assert!(desk.now >= NOON_MS + 12_000, "{}", desk.now - NOON_MS);
    let mut desk = Desk::new(wide(), 1_000).taught();
    desk.ours(0, 300_000, HOUR_MS);
    desk.look(PENDING);
    assert_eq!(desk.now, NOON_MS);
}

#[test]
fn a_task_alone_is_looked_at_in_its_own_intervals_until_the_last_look() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.ours(0, 0, 60_000);
    let mut times = Vec::new();
    let end = loop {
        let (_, end) = desk.look(PENDING);
        times.push(desk.now - NOON_MS);
        if let Some(end) = end {
            break end;
        }
    };
    assert_eq!(end, End::TimedOut);
    assert_eq!((times[0], times[times.len() - 1]), (3_000, 59_750));
    assert!((22..=28).contains(&times.len()), "{times:?}");
}

#[test]
fn a_task_without_any_time_still_gets_its_look() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.drain();
    desk.foreign(0, 0);
    let (key, _, last) = desk.looked_at();
    assert_eq!((key, last, desk.after(0, PENDING)), (0, true, Some(End::TimedOut)));
}

#[test]
fn alarms_that_come_late_still_leave_room_for_the_last_look() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.foreign(0, 60_000);
    desk.look(PENDING);
    desk.now += 70_000;
    assert!(matches!(desk.next(), Turn::Look { key: 0, last: true, .. }));
}

#[test]
fn a_forgotten_task_is_never_heard_of_again_wherever_it_is() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.schedule.submit(0);
    desk.foreign(1, HOUR_MS);
    desk.ours(2, 0, HOUR_MS);
    desk.foreign(3, HOUR_MS);
    desk.schedule.forget(0);
    let (under_way, ..) = desk.looked_at();
    (0..4).for_each(|key| desk.schedule.forget(key));
    assert_eq!(desk.after(under_way, PENDING), None);
    assert_eq!(desk.next(), Turn::Rest { until_ms: None });
    assert_eq!(desk.schedule.outlook(desk.now, &desk.pace).waiting, 0);
    // Its slot is free for another.
    desk.foreign(under_way, HOUR_MS);
    assert_eq!(desk.look(Seen::Final), (under_way, Some(End::Final)));
}

#[test]
fn a_hundred_thousand_calls_in_any_order_lose_nobody_and_leave_nothing() {
    let mut desk = Desk::new(lemondata(), 60_000);
    let mut dice = Jitter::new(9);
    let mut alive: BTreeMap<u32, bool> = BTreeMap::new();
    let mut looking = Vec::new();
    for _ in 0..100_000 {
        let key = dice.between(0, 299) as u32;
        match dice.between(0, 9) {
            0 if !alive.contains_key(&key) => {
                alive.insert(key, false);
                let start_ours = dice.between(0, 1) == 0;
                if start_ours { desk.ours(key, 0, 100_000) } else { desk.foreign(key, 100_000) }
            }
            1 if dice.between(0, 5) == 0 => {
                desk.schedule.forget(key);
                alive.remove(&key);
                looking.retain(|k| *k != key);
            }
            2..=5 => match desk.next() {
                Turn::Look { key, .. } => looking.push(key),
                Turn::End { key, .. } => assert_eq!(alive.remove(&key), Some(false), "{key} ends once"),
                Turn::Rest { until_ms: Some(until) } => desk.now = until.min(desk.now + 500),
                Turn::Rest { until_ms: None } => assert!(alive.len() == looking.len()),
                Turn::Submit { .. } => panic!("nobody submits"),
            },
            _ if !looking.is_empty() => {
                let key = looking.swap_remove(dice.between(0, looking.len() as u64 - 1) as usize);
                let seen = [PENDING, PENDING, FAILED, Seen::Final, Seen::NoImage][dice.between(0, 4) as usize];
                if desk.after(key, seen).is_some() {
                    assert_eq!(alive.remove(&key), Some(false), "{key} ends once");
                }
            }
            _ => {}
        }
        assert_eq!(desk.schedule.outlook(desk.now, &desk.pace).waiting, alive.len());
    }
}

#[test]
fn a_429_is_no_failure_and_the_task_is_looked_at_again_as_soon_as_the_gate_opens() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.foreign(0, HOUR_MS);
    let mut opens = desk.now;
    for _ in 0..9 {
        let (_, pass, _) = desk.looked_at();
        assert_eq!(desk.now, opens);
        let hint_ms = Some(20_000);
        desk.pace.gate.answered(pass, desk.now, Answer::Limited { hint_ms });
        assert_eq!(desk.after(0, Seen::RateLimited { hint_ms }), None);
        opens = desk.now + desk.pace.gate.wait_ms(desk.now);
        assert!((20_000..=24_000).contains(&(opens - desk.now)));
    }
    // The first failure, and not the tenth: tried again within a second, and what the gate's ramp adds.
    desk.look(FAILED);
    let failed = desk.now;
    desk.looked_at();
    assert!(desk.now - failed <= 2_000, "{}", desk.now - failed);
}

#[test]
fn a_429_that_reaches_past_the_deadline_is_reported_at_once() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.foreign(0, 30_000);
    let (_, pass, _) = desk.looked_at();
    desk.pace.gate.answered(pass, desk.now, Answer::Limited { hint_ms: Some(60_000) });
    let end = desk.after(0, Seen::RateLimited { hint_ms: Some(60_000) });
    assert!(matches!(end, Some(End::PausePastDeadline { hint_ms: 60_000..=72_000 })), "{end:?}");
}

#[test]
fn how_long_a_task_lasted_is_told_of_tasks_of_known_age_only() {
    let mut desk = Desk::new(dimilinks(), 1_000);
    desk.ours(0, 0, HOUR_MS);
    desk.now += 20_000;
    let (key, ..) = desk.looked_at();
    assert_eq!(desk.schedule.lasted(key, desk.now), Some((0, 20_000)));
    assert_eq!(desk.after(key, Seen::Final), Some(End::Final));
    assert_eq!(desk.schedule.lasted(key, desk.now), None, "it is over");
    desk.foreign(0, HOUR_MS);
    let (key, ..) = desk.looked_at();
    assert_eq!(desk.schedule.lasted(key, desk.now), None);
    desk.schedule.forget(key);
    // A resumed one.
    let start = Start { born_ms: desk.now - 30_000, ours: false, deadline_ms: desk.now + HOUR_MS, model: desk.model };
    desk.schedule.watch(0, start, desk.now);
    let (key, ..) = desk.looked_at();
    assert_eq!(desk.schedule.lasted(key, desk.now), Some((0, 30_000)));
}

/// Watches `tasks` that never finish until all have ended, and gives the ends and the age of the last answer at each end.
fn starve(tasks: u32, for_ms: u64) -> (Vec<End>, Vec<(u64, u64)>) {
    let mut desk = Desk::new(lemondata(), 1_000).taught();
    (0..tasks).for_each(|key| desk.ours(key, 0, for_ms));
    let (mut seen, mut ends, mut stale) = (vec![None; tasks as usize], Vec::new(), Vec::new());
    while ends.len() < tasks as usize {
        let sweep = u64::from(tasks) * 60_000 / 900;
        let (key, end) = match desk.turn() {
            Turn::Look { key, pass, .. } => {
                desk.pace.gate.answered(pass, desk.now, Answer::Fine);
                seen[key as usize] = Some(desk.now);
                (key, desk.after(key, PENDING))
            }
            Turn::End { key, end } => (key, Some(end)),
            turn => panic!("{turn:?}"),
        };
        assert!(desk.now <= NOON_MS + for_ms, "{} ms late", desk.now - NOON_MS - for_ms);
        let Some(end) = end else { continue };
        ends.push(end);
        let age = seen[key as usize].map_or(u64::MAX, |at| desk.now - at);
        match end {
            End::TimedOut => stale.push((age, sweep.max(5_000 * 115 / 100))),
            End::Starved => assert!(age > sweep, "starved {age} ms after a look, sweep {sweep} ms"),
            end => panic!("{end:?}"),
        }
    }
    (ends, stale)
}

#[test]
fn nobody_is_called_late_on_a_look_older_than_an_interval() {
    // The gate admits 15 looks a second: in 120 s enough for 1,800 tasks.
    for (tasks, for_ms, starved) in
        [(30, 60_000, 0..=0), (500, 120_000, 0..=5), (3_000, 600_000, 0..=30), (3_000, 120_000, 1_200..=1_350)]
    {
        let (ends, stale) = starve(tasks, for_ms);
        let worst = stale.iter().find(|(age, interval)| age > interval);
        assert_eq!(worst, None, "{tasks} tasks");
        let count = ends.iter().filter(|end| **end == End::Starved).count();
        assert!(starved.contains(&count), "{count} of {tasks} starved in {for_ms} ms");
    }
}

/// Tasks that are unlikely to be done share the gate with a crowd of others that always are about to.
struct Crowd {
    desk: Desk,
    unlikely: u32,
    quick: Model,
}

impl Crowd {
    fn new(unlikely: u32, likely: u32, age_ms: u64, deadline_ms: u64) -> Crowd {
        let mut desk = Desk::new(lemondata(), 1_000).taught();
        let quick = desk.pace.durations.model("quick");
        (0..100).for_each(|n| desk.pace.durations.learn(quick, 9_900 + 2 * n));
        let slow = desk.pace.durations.model("slow");
        (0..100).for_each(|_| desk.pace.durations.learn(slow, 3 * HOUR_MS));
        let model = if age_ms == 0 { slow } else { desk.model };
        for key in 0..unlikely {
            let start = Start { born_ms: desk.now - age_ms, ours: true, deadline_ms: desk.now + deadline_ms, model };
            desk.schedule.watch(key, start, desk.now);
        }
        let mut crowd = Crowd { desk, unlikely, quick };
        (unlikely..unlikely + likely).for_each(|key| crowd.likely(key));
        crowd
    }

    fn likely(&mut self, key: u32) {
        let Desk { now, .. } = self.desk;
        let start = Start { born_ms: now, ours: true, deadline_ms: now + HOUR_MS, model: self.quick };
        self.desk.schedule.watch(key, start, now);
    }

    /// The next turn: the task, whether it was looked at, and how it ended. Likely ones are done then, and replaced.
    fn turn(&mut self) -> (u32, bool, Option<End>) {
        match self.desk.turn() {
            Turn::Look { key, pass, .. } => {
                self.desk.pace.gate.answered(pass, self.desk.now, Answer::Fine);
                let likely = key >= self.unlikely;
                let end = self.desk.after(key, if likely { Seen::Final } else { PENDING });
                if likely {
                    self.likely(key);
                }
                (key, true, end)
            }
            Turn::End { key, end } => (key, false, Some(end)),
            turn => panic!("{turn:?}"),
        }
    }
}

/// The longest time that a due task waited for its look, in sweeps.
fn longest_wait(unlikely: u32, likely: u32, age_ms: u64) -> f64 {
    let mut crowd = Crowd::new(unlikely, likely, age_ms, 24 * HOUR_MS);
    let mut looked: Vec<u64> = vec![NOON_MS; (unlikely + likely) as usize];
    let mut longest = 0;
    while crowd.desk.now < NOON_MS + HOUR_MS {
        let (key, ..) = crowd.turn();
        longest = longest.max(crowd.desk.now - looked[key as usize]);
        looked[key as usize] = crowd.desk.now;
    }
    // The first look is the one that is due the latest.
    (longest - lemondata().first_look_ms) as f64 / crowd.desk.schedule.sweep_of(&crowd.desk.pace) as f64
}

#[test]
fn no_task_waits_for_longer_than_two_sweeps() {
    for (unlikely, likely) in [(300, 700), (20, 980), (900, 100)] {
        for age_ms in [0, 6 * HOUR_MS] {
            let sweeps = longest_wait(unlikely, likely, age_ms);
            assert!(sweeps <= 2.0, "{sweeps} sweeps with {unlikely} tasks of {age_ms} ms among {likely}");
            assert!(sweeps > 1.0, "the crowd has its way: {sweeps} sweeps");
        }
    }
}

#[test]
fn a_task_unlikely_to_be_done_gets_a_look_in_the_last_sweep_before_its_deadline() {
    for deadline in [150_000, 200_000, 250_000] {
        let mut crowd = Crowd::new(300, 700, 6 * HOUR_MS, deadline);
        let (mut ended, mut starved) = (0, 0);
        while ended < 300 {
            let (key, _, end) = crowd.turn();
            ended += u32::from(key < 300 && end.is_some());
            starved += u32::from(key < 300 && end == Some(End::Starved));
        }
        assert_eq!(starved, 0, "in {deadline} ms");
    }
}

#[test]
fn looks_under_a_backlog_go_to_those_most_likely_done() {
    let mut desk = Desk::new(lemondata(), 1_000).taught();
    desk.drain();
    // None was looked at so far, at five seconds, a minute and six hours after its submit.
    (0..300).for_each(|key| desk.ours(key, [5_000, 60_000, 6 * HOUR_MS][key as usize % 3], HOUR_MS));
    let order: Vec<u32> = (0..90).map(|_| desk.look(PENDING).0 % 3).collect();
    let count = |class| order.iter().filter(|c| **c == class).count();
    assert!(count(1) + count(2) > 85, "{order:?}");
}

#[test]
fn the_outlook_tells_sweep_staleness_and_saturation() {
    let mut desk = Desk::new(lemondata(), 1_000);
    (0..1_000).for_each(|key| desk.foreign(key, HOUR_MS));
    desk.now += 10_000;
    let outlook = desk.schedule.outlook(desk.now, &desk.pace);
    assert_eq!((outlook.waiting, outlook.sweep_ms, outlook.saturated), (1_000, 66_666, true));
    assert_eq!((outlook.staleness_p50_ms, outlook.staleness_p95_ms), (Some(10_000), Some(10_000)));
    (0..600).for_each(|_| assert_eq!(desk.look(PENDING).1, None));
    let outlook = desk.schedule.outlook(desk.now, &desk.pace);
    assert!(outlook.staleness_p50_ms < Some(40_000) && outlook.staleness_p95_ms > Some(40_000), "{outlook:?}");
    (20..1_000).for_each(|key| desk.schedule.forget(key));
    assert!(!desk.schedule.saturated(&desk.pace));
}

/// Memory of the schedule for each of so many tasks under way.
pub(super) fn bytes(tasks: u32) -> f64 {
    let mut desk = Desk::new(lemondata(), 1_000);
    (0..tasks).for_each(|key| desk.foreign(key, HOUR_MS));
    (0..100).for_each(|_| assert_eq!(desk.look(PENDING).1, None));
    desk.schedule.bytes() as f64 / f64::from(tasks)
}

#[test]
fn a_task_costs_at_most_120_bytes_of_the_schedule() {
    for tasks in [1_000, 10_000, 50_000] {
        assert!(bytes(tasks) <= 120.0, "{} bytes each of {tasks}", bytes(tasks));
    }
}

/// So many tasks for an hour, each replaced when it is done: how many were, and every turn.
pub(super) fn hour(tasks: u32, seed: u64, log: bool) -> (u64, String) {
    let mut world = World::new(&lemondata(), Some(1_000), seed);
    world.log = log.then(String::new);
    world.done_ms = vec![0; tasks as usize];
    for key in 0..tasks {
        world.begin(key);
    }
    let mut seen = 0;
    while world.now_ms < HOUR_MS {
        world.step(Some(HOUR_MS));
        while let Some(key) = world.finished.pop() {
            seen += 1;
            world.begin(key);
        }
    }
    assert_eq!(world.meter.refused, 0);
    assert!(world.meter.requests > 890 * 60, "{} requests", world.meter.requests);
    (seen, world.log.unwrap_or_default())
}

#[test]
fn the_same_seed_gives_the_same_events_byte_for_byte() {
    let (seen, log) = hour(2_000, 1, true);
    assert!(seen > 30_000 && log.lines().count() > 50_000, "{seen} seen");
    assert!(log == hour(2_000, 1, true).1);
    assert!(log != hour(2_000, 2, true).1);
}

#[test]
fn slow_answers_and_429s_of_others_lose_no_task() {
    let mut world = World::new(&dimilinks(), None, 3);
    // Others use half of the key's limit, and every answer takes its time.
    (world.meter.per_minute, world.latency_ms) = (300, 700);
    let world = world.run(Arrivals::Stream { per_second: 1.0, seconds: 600 });
    let figures = &world.figures;
    assert_eq!(figures.delays_ms.len(), figures.tasks);
    assert!(figures.refused > 0 && figures.refused * 100 < figures.requests, "{figures:?}");
}

#[test]
fn ranks_are_ordered_by_what_is_pending_and_then_by_the_key() {
    let order = [
        (f32::NEG_INFINITY, 0),
        (-2.0, 5),
        (-1.5, 4),
        (-0.0, 9),
        (0.0, 3),
        (1e-9, 2),
        (1e-9, 7),
        (0.7, u32::MAX),
        (3.0, 1),
    ];
    let ranks: Vec<u64> = order.iter().map(|(pending, key)| ranked(*pending, *key)).collect();
    assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:x?}");
    assert!(ranks.iter().zip(order).all(|(rank, (_, key))| *rank as u32 == key));
}
