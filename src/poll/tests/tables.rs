//! The tables that `make bench` prints, with their bounds; the bounds also hold in every test run, on fewer seeds.

use std::time::Instant;

use super::alone::{Cost, alone, taught};
use super::loops;
use super::schedule::{bytes, hour};
use super::service::{dimilinks, lemondata, timing};
use super::world::{Arrivals, Figures, World};
use crate::poll::{Durations, Timing};

const LIMIT: u32 = 1_000;
/// A task costs at most so many looks at the mean delay of a fixed loop of five and of three seconds.
const ALONE: [(f64, f64); 2] = [(2.5, 10.5), (1.5, 17.0)];
const MOST_REQUESTS: f64 = 1.15;
/// Of the median delay in due-time order.
const MOST_DELAY: f64 = 0.75;

fn ours(arrivals: Arrivals, seed: u64) -> Figures {
    World::new(&lemondata(), Some(LIMIT), seed).run(arrivals).figures
}

/// The same tasks behind the same gate, at the service's own intervals, in the order in which they are due.
fn by_due_time(arrivals: Arrivals, seed: u64) -> Figures {
    let mut world = World::new(&Timing { paced: true, ..lemondata() }, Some(LIMIT), seed);
    world.schedule.by_due_time = true;
    world.run(arrivals).figures
}

fn stream(per_second: f64) -> Arrivals {
    Arrivals::Stream { per_second, seconds: 600 }
}

/// A service whose intervals leave the rule free: five seconds to begin with, up to a minute, never under a second.
fn free() -> Timing {
    timing(1_000, &[(0, 5_000), (600_000, 60_000)], 1_000)
}

/// What a task alone costs after fifty completions, with the price at which its mean delay is `delay_s`.
fn at_delay(delay_s: f64, seed: u64, tasks: u32) -> Cost {
    let timing = free();
    let (mut durations, model) = taught(&timing, 50, seed);
    let (mut low, mut high) = (1.0_f32, 1e6_f32);
    for _ in 0..16 {
        let price = (low * high).sqrt();
        durations.set_price(model, price);
        let cost = alone(&timing, &durations, Some(model), !seed, tasks);
        if cost.delay_s < delay_s { low = price } else { high = price }
    }
    durations.set_price(model, low);
    alone(&timing, &durations, Some(model), !seed, tasks)
}

#[test]
fn ten_thousand_tasks_at_once_cost_little_more_than_one_look_each_and_no_429() {
    let figures = ours(Arrivals::Burst(10_000), 1);
    assert_eq!((figures.refused, figures.delays_ms.len()), (0, 10_000));
    assert!(figures.requests as f64 <= MOST_REQUESTS * 10_000.0, "{} requests", figures.requests);
}

#[test]
fn with_more_tasks_than_looks_half_of_them_are_seen_a_quarter_sooner_than_in_due_time_order() {
    for per_second in [2.0, 4.0] {
        let (ours, other) = (ours(stream(per_second), 1), by_due_time(stream(per_second), 1));
        assert_eq!((ours.refused, other.refused), (0, 0));
        let (ours, other) = (ours.delay_s(0.5), other.delay_s(0.5));
        assert!(ours <= MOST_DELAY * other, "{ours} s instead of {other} s at {per_second} a second");
    }
}

#[test]
fn at_the_delay_of_a_fixed_loop_a_task_alone_costs_far_fewer_looks() {
    for (delay_s, looks) in ALONE {
        for seed in 0..3 {
            let cost = at_delay(delay_s, seed, 500);
            assert!((cost.delay_s - delay_s).abs() < 0.2, "{cost:?}");
            // Fewer tasks than the benchmark has: half a look for chance.
            assert!(cost.looks <= looks + 0.5, "{cost:?} for {delay_s} s");
        }
    }
}

/// Lines for benches/run.py: titles, rows of text, and figures with their limits.
struct Report;

impl Report {
    fn title(&self, text: &str) {
        println!("title\t{text}");
    }

    fn row(&self, cells: &[&str]) {
        let (name, cells) = cells.split_first().expect("a name");
        let cells: String = cells.iter().map(|cell| format!("{cell:>11}")).collect();
        println!("row\t{name:<38}{cells}");
    }

    fn figure(&self, name: &str, value: f64, decimals: usize, limit: f64, counted: bool) {
        println!("figure\t{name}\t{value}\t{decimals}\t{limit}\t{counted}");
    }
}

#[test]
#[ignore = "a measurement: make bench"]
fn many_tasks_beside_fixed_loops() {
    let report = Report;
    let mut refused = 0;
    let line = |name: &str, figures: &Figures| {
        let looks = figures.requests as f64 / figures.tasks as f64;
        let [p50, p95] = [0.5, 0.95].map(|share| format!("{:.1} s", figures.delay_s(share)));
        let (all, looks) = (format!("{} s", figures.all_seen_ms / 1_000), format!("{looks:.2}"));
        report.row(&[name, &figures.requests.to_string(), &figures.refused.to_string(), &looks, &p50, &p95, &all]);
    };

    report.title(
        "tasks submitted at once, 1,000 requests a minute, imgtask by lemondata's intervals; delay from done to seen",
    );
    report.row(&["", "requests", "429", "a task", "delay p50", "p95", "all seen"]);
    for tasks in [50, 100, 1_000, 10_000] {
        line(&format!("{tasks}: own 3 s loops, 429 ignored"), &loops::burst(tasks, 3_000, 3_000, 1));
        line(&format!("{tasks}: own 3 s loops, 429 slept out"), &loops::burst(tasks, 3_000, 60_000, 1));
        let figures = ours(Arrivals::Burst(tasks), 1);
        refused += figures.refused;
        line(&format!("{tasks}: imgtask"), &figures);
        if tasks == 10_000 {
            let requests = figures.requests as f64 / tasks as f64;
            report.figure("requests a task, 10,000 at once", requests, 2, MOST_REQUESTS, true);
        }
    }

    report.title("new tasks for ten minutes, submits counted; imgtask learns the durations as it goes; mean of 5 runs");
    report.row(&["", "requests", "429", "a task", "delay p50", "p95", "mean"]);
    for per_second in [0.5, 1.0, 2.0, 4.0, 6.0, 7.0] {
        let mut medians = Vec::new();
        for (name, run) in [("due-time order", by_due_time as fn(Arrivals, u64) -> Figures), ("imgtask", ours)] {
            let runs: Vec<Figures> = (1..=5).map(|seed| run(stream(per_second), seed)).collect();
            let mean = |value: &dyn Fn(&Figures) -> f64| runs.iter().map(value).sum::<f64>() / 5.0;
            let count: u64 = runs.iter().map(|figures| figures.refused).sum();
            refused += count;
            medians.push(mean(&|figures| figures.delay_s(0.5)));
            report.row(&[
                &format!("{per_second} a second: {name}"),
                &format!("{:.0}", mean(&|figures| figures.requests as f64)),
                &count.to_string(),
                &format!("{:.2}", mean(&|figures| figures.requests as f64 / figures.tasks as f64)),
                &format!("{:.1} s", mean(&|figures| figures.delay_s(0.5))),
                &format!("{:.1} s", mean(&|figures| figures.delay_s(0.95))),
                &format!("{:.1} s", mean(&|figures| figures.mean_s())),
            ]);
        }
        if [2.0, 4.0].contains(&per_second) {
            let name = format!("imgtask / due-time order, delay p50 at {per_second} a second");
            report.figure(&name, medians[1] / medians[0], 2, MOST_DELAY, true);
        }
    }
    report.figure("429s of all runs behind the gate", refused as f64, 0, 0.0, true);

    report.title("one task alone: looks, and mean delay from done to seen");
    report.row(&["", "looks", "delay"]);
    let cost = |name: &str, cost: Cost| {
        report.row(&[name, &format!("{:.1}", cost.looks), &format!("{:.2} s", cost.delay_s)]);
    };
    for seconds in [3, 5] {
        let timing = timing(seconds * 1_000, &[(0, seconds * 1_000)], 1_000);
        cost(&format!("every {seconds} s"), alone(&timing, &Durations::new(&timing), None, 1, 20_000));
    }
    for (name, timing) in [("dimilinks", dimilinks()), ("lemondata", lemondata())] {
        cost(&format!("{name}, its own intervals"), alone(&timing, &Durations::new(&timing), None, 1, 20_000));
        let (durations, model) = taught(&timing, 50, 1);
        cost(&format!("{name}, 50 completions learned"), alone(&timing, &durations, Some(model), 1, 20_000));
    }
    for (delay_s, limit) in ALONE {
        let costs: Vec<Cost> = (0..20).map(|seed| at_delay(delay_s, seed, 5_000)).collect();
        let looks = costs.iter().map(|cost| cost.looks).sum::<f64>() / costs.len() as f64;
        let worst = costs.iter().map(|cost| cost.looks).fold(0.0, f64::max);
        report.figure(&format!("looks at a mean delay of {delay_s} s, 50 learned"), looks, 1, limit, true);
        report.figure("  the worst of 20 times 50 completions", worst, 1, limit, true);
    }

    report.title("the schedule itself");
    let start = Instant::now();
    let (seen, log) = hour(10_000, 1, false);
    let took = start.elapsed().as_secs_f64();
    assert!(seen > 10_000 && log.is_empty());
    report.figure("10,000 tasks watched for an hour, seconds of real time", took, 2, 2.0, false);
    report.figure("memory of a task in the schedule, bytes", bytes(10_000), 0, 120.0, true);
}
