//! What reading a body costs: in time, which `make bench` measures in a build with optimizations, and in memory, which
//! `tests/run.sh` measures one test at a time.

use std::hint::black_box;
use std::time::Instant;

use super::*;

/// Longest that a body of 400 bytes may take, nanoseconds.
const LIMIT_NS: u128 = 3_000;

#[test]
#[ignore = "a measurement, of use without debug assertions only"]
fn a_body_of_400_bytes_is_read_in_3_microseconds() {
    const ROUNDS: usize = 201;
    const BODIES: usize = 500;
    for (provider, file) in [
        ("dimilinks", "dimilinks_in_progress.json"),
        ("dimilinks", "dimilinks_succeeded.json"),
        ("dimilinks", "dimilinks_succeeded_absolute_url.json"),
        ("lemondata", "lemondata_completed.json"),
        ("lemondata", "lemondata_tasks_completed_billing.json"),
        // A root and a word of its own, a list of texts, a text of JSON, a number for a status.
        ("apimart", "survey_apimart_completed.json"),
        ("replicate", "survey_replicate_succeeded.json"),
        ("kie", "survey_kie_success.json"),
        ("novita-v2", "survey_novita_v2_succeeded.json"),
    ] {
        let (dialect, body) = (builtin(provider), sample(file));
        let round = |_| {
            let bodies = vec![body.clone(); BODIES];
            let start = Instant::now();
            for body in bodies {
                assert!(black_box(&dialect).read_look(body).is_ok_and(|reading| reading.task.state != State::Unknown));
            }
            start.elapsed().as_nanos() / BODIES as u128
        };
        let mut rounds: Vec<u128> = (0..ROUNDS).map(round).collect();
        rounds.sort_unstable();
        let median = rounds[ROUNDS / 2];
        println!("a body of {} bytes: {median} ns", body.len());
        assert!(median <= LIMIT_NS, "{median} ns, but {LIMIT_NS} ns is the limit");
    }
}

/// Most memory that `work` had beyond what there was before, MiB.
#[cfg(target_os = "linux")]
fn peak_of(work: impl FnOnce()) -> f64 {
    let status = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("kB") / 1024.0
    };
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
    let before = status("VmRSS:");
    work();
    status("VmHWM:") - before
}

#[test]
#[ignore = "measures the whole process: run alone"]
#[cfg(target_os = "linux")]
fn a_body_of_14_megabytes_is_read_without_a_copy_or_with_one_if_escaped() {
    const PIXELS: usize = 14 << 20;
    for (escape, limit) in [("", 1.0), (r"\/", 15.0)] {
        let mut body = String::with_capacity(PIXELS + 200);
        body.push_str(r#"{"id":"a","status":"completed","data":[{"url":"data:image/png;base64,"#);
        body.push_str(escape);
        body.extend(std::iter::repeat_n('A', PIXELS));
        body.push_str(r#""}]}"#);
        let dialect = builtin("lemondata");
        let start = Instant::now();
        let peak = peak_of(|| assert_eq!(black_box(dialect.read_look(body)).expect("readable").task.images.len(), 1));
        println!("14 MiB, escaped {:?}: {peak:.1} MiB on top, {:?}", !escape.is_empty(), start.elapsed());
        assert!(peak <= limit, "{peak:.1} MiB on top of the body");
    }
}

#[test]
#[ignore = "measures the whole process: run alone"]
#[cfg(target_os = "linux")]
fn a_million_objects_that_nobody_asked_for_cost_no_memory() {
    for member in ["ignored", "data"] {
        let body = format!(r#"{{"id":"a","status":"pending","{member}":[{}{{}}]}}"#, "{},".repeat(999_999));
        let dialect = builtin("lemondata");
        let start = Instant::now();
        let peak =
            peak_of(|| assert_eq!(black_box(dialect.read_look(body)).expect("readable").task.state, State::Queued));
        println!("a million objects, {member}: {peak:.1} MiB on top, {:?}", start.elapsed());
        assert!(peak <= 1.0, "{peak:.1} MiB on top of the body");
    }
}
