//! A fleet in virtual time: one schedule, one gate, one service.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::service::{Meter, duration_ms, quantile};
use crate::poll::{
    Answer, Durations, End, Gate, Jitter, Limit, Model, Pace, Pass, Schedule, Seen, Start, Timing, Turn,
};

/// What came of a run.
#[derive(Debug, Default, Clone)]
pub(super) struct Figures {
    pub(super) tasks: usize,
    pub(super) requests: u64,
    pub(super) refused: u64,
    /// From done to seen, by task.
    pub(super) delays_ms: Vec<u64>,
    pub(super) all_seen_ms: u64,
}

impl Figures {
    pub(super) fn seen(&mut self, now_ms: u64, done_ms: u64) {
        self.delays_ms.push(now_ms - done_ms);
        self.all_seen_ms = self.all_seen_ms.max(now_ms);
    }

    pub(super) fn count(&mut self, tasks: usize, meter: &Meter) {
        (self.tasks, self.requests, self.refused) = (tasks, meter.requests, meter.refused);
    }

    pub(super) fn delay_s(&self, share: f64) -> f64 {
        quantile(&mut self.delays_ms.clone(), share) as f64 / 1_000.0
    }

    pub(super) fn mean_s(&self) -> f64 {
        self.delays_ms.iter().sum::<u64>() as f64 / self.delays_ms.len() as f64 / 1_000.0
    }
}

/// Which tasks come, and when.
pub(super) enum Arrivals {
    /// So many, submitted by somebody else at the start.
    Burst(usize),
    /// So many seconds of so many new tasks a second, at random; each submit is a request.
    Stream { per_second: f64, seconds: u64 },
}

pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) schedule: Schedule,
    pub(super) pace: Pace,
    pub(super) model: Model,
    pub(super) meter: Meter,
    pub(super) dice: Jitter,
    /// What a request takes.
    pub(super) latency_ms: u64,
    /// When each task is done, by key.
    pub(super) done_ms: Vec<u64>,
    /// Looks under way: when they are answered.
    answers: BinaryHeap<Reverse<(u64, u32, Flight)>>,
    pub(super) figures: Figures,
    pub(super) looks: u64,
    /// Tasks seen done, for who replaces them.
    pub(super) finished: Vec<u32>,
    /// Every event, when it is kept.
    pub(super) log: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flight {
    Submit,
    Look,
}

pub(super) const WAIT_MS: u64 = 24 * 3_600_000;

impl World {
    pub(super) fn new(timing: &Timing, limit: Option<u32>, seed: u64) -> World {
        let mut durations = Durations::new(timing);
        let model = durations.model("m");
        World {
            now_ms: 0,
            schedule: Schedule::new(Arc::new(timing.clone()), seed),
            pace: Pace { gate: Gate::new(Limit { per_minute: limit, ..Limit::default() }, 0), durations },
            model,
            meter: Meter::new(1_000),
            dice: Jitter::new(seed ^ 0x5EED),
            latency_ms: 0,
            done_ms: Vec::new(),
            answers: BinaryHeap::new(),
            figures: Figures::default(),
            looks: 0,
            finished: Vec::new(),
            log: None,
        }
    }

    /// A new task begins at the service.
    pub(super) fn begin(&mut self, key: u32) {
        self.done_ms[key as usize] = self.now_ms + duration_ms(&mut self.dice);
        self.watch(key, self.now_ms + WAIT_MS);
    }

    /// Watches a task that was submitted now and takes its time.
    pub(super) fn watch(&mut self, key: u32, deadline_ms: u64) {
        let start = Start { born_ms: self.now_ms, ours: true, deadline_ms, model: self.model };
        self.schedule.watch(key, start, self.now_ms);
    }

    pub(super) fn run(mut self, arrivals: Arrivals) -> World {
        let mut births = Vec::new();
        let tasks = match arrivals {
            Arrivals::Burst(tasks) => tasks,
            Arrivals::Stream { per_second, seconds } => {
                births = (0..(per_second * seconds as f64) as usize)
                    .map(|_| self.dice.between(0, seconds * 1_000))
                    .collect();
                births.sort_unstable();
                births.len()
            }
        };
        self.done_ms = (0..tasks).map(|_| duration_ms(&mut self.dice)).collect();
        if births.is_empty() {
            (0..tasks as u32).for_each(|key| self.watch(key, WAIT_MS));
        }
        let mut births = births.into_iter().enumerate().peekable();
        while self.figures.delays_ms.len() < tasks {
            while let Some((key, _)) = births.next_if(|(_, at)| *at <= self.now_ms) {
                self.schedule.submit(key as u32);
            }
            let next = births.peek().map(|(_, at)| *at);
            self.step(next);
        }
        let meter = self.meter.clone();
        self.figures.count(tasks, &meter);
        self
    }

    /// One turn; when there is nothing to do, on to the next moment, `until_ms` at the latest.
    pub(super) fn step(&mut self, until_ms: Option<u64>) -> Turn {
        while let Some(Reverse((at, key, flight))) = self.answers.peek().copied() {
            if at > self.now_ms {
                break;
            }
            self.answers.pop();
            self.arrive(key, flight);
        }
        let turn = self.schedule.next(self.now_ms, &mut self.pace, true, true);
        if let Some(log) = &mut self.log {
            writeln!(log, "{} {turn:?}", self.now_ms).expect("a string");
        }
        match turn {
            Turn::Submit { key, pass } => self.send(key, pass, Flight::Submit),
            Turn::Look { key, pass, .. } => {
                self.looks += 1;
                self.send(key, pass, Flight::Look);
            }
            Turn::End { .. } => {}
            Turn::Rest { until_ms: rest } => {
                let answer = self.answers.peek().map(|Reverse((at, ..))| *at);
                let Some(next) = [rest, until_ms, answer].into_iter().flatten().min() else { return turn };
                assert!(next > self.now_ms, "rest ends later: {turn:?} at {}", self.now_ms);
                self.now_ms = next;
            }
        }
        turn
    }

    fn send(&mut self, key: u32, pass: Pass, flight: Flight) {
        match self.meter.request(self.now_ms) {
            Ok(()) => {
                self.pace.gate.answered(pass, self.now_ms, Answer::Fine);
                if self.latency_ms == 0 {
                    self.arrive(key, flight);
                } else {
                    self.answers.push(Reverse((self.now_ms + self.latency_ms, key, flight)));
                }
            }
            Err(hint_ms) => {
                let hint_ms = Some(hint_ms);
                self.pace.gate.answered(pass, self.now_ms, Answer::Limited { hint_ms });
                match flight {
                    Flight::Submit => self.schedule.submit(key),
                    Flight::Look => {
                        let seen = Seen::RateLimited { hint_ms };
                        self.schedule.after(key, seen, self.now_ms, &mut self.pace, 250);
                    }
                }
            }
        }
    }

    fn arrive(&mut self, key: u32, flight: Flight) {
        let done_ms = self.done_ms[key as usize];
        match flight {
            Flight::Submit => {
                // The service begins now; what was drawn is the duration.
                self.done_ms[key as usize] = self.now_ms + done_ms;
                self.watch(key, self.now_ms + WAIT_MS);
            }
            Flight::Look => {
                let done = self.now_ms >= done_ms;
                let seen = if done { Seen::Final } else { Seen::Pending { hint_ms: None } };
                let lasted = self.schedule.lasted(key, self.now_ms);
                let end = self.schedule.after(key, seen, self.now_ms, &mut self.pace, 250);
                assert_eq!(end, done.then_some(End::Final));
                if let (true, Some((from_ms, to_ms))) = (done, lasted) {
                    self.pace.durations.learn_between(self.model, from_ms, to_ms);
                }
                if done {
                    self.figures.seen(self.now_ms, done_ms);
                    self.finished.push(key);
                }
            }
        }
    }
}
