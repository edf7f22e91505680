//! What reading a body costs. `make bench` runs it in a build with optimizations.

use std::hint::black_box;
use std::time::Instant;

use super::Dialect;
use crate::task::State;

/// Longest that a body of 400 bytes may take, nanoseconds.
const LIMIT_NS: u128 = 3_000;

#[test]
#[ignore = "a measurement, of use without debug assertions only"]
fn a_body_of_400_bytes_is_read_in_3_microseconds() {
    const ROUNDS: usize = 201;
    const BODIES: usize = 500;
    let body = include_str!("../../tests/data/dimilinks_succeeded_absolute_url.json");
    let dialect = Dialect::builtin("dimilinks").expect("it is built in");
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let bodies = vec![body.to_owned(); BODIES];
            let start = Instant::now();
            for body in bodies {
                let reading = black_box(&dialect).read_look(body).expect("the body is readable");
                assert_eq!((reading.task.state, reading.task.images.len()), (State::Succeeded, 1));
            }
            start.elapsed().as_nanos() / BODIES as u128
        })
        .collect();
    rounds.sort_unstable();
    let median = rounds[ROUNDS / 2];
    println!("a body of {} bytes: {median} ns", body.len());
    assert!(median <= LIMIT_NS, "{median} ns, but {LIMIT_NS} ns is the limit");
}
