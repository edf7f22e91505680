//! Downloads that wait for their turn: a few at a time from each host, so that a dead one holds up nobody else.

use std::collections::{HashMap, VecDeque};

use super::slots::Key;
use crate::task::Task;

/// Downloads from one host at a time, at most.
const PER_HOST: usize = 4;

/// A download that waits.
pub(super) struct Waiting {
    pub(super) key: Key,
    pub(super) task: Box<Task>,
}

#[derive(Default)]
struct Lane {
    running: usize,
    waiting: VecDeque<Waiting>,
}

pub(super) struct Lanes {
    per_host: usize,
    by_host: HashMap<String, Lane>,
    /// Hosts that something waits for, in the order of their turns.
    turns: VecDeque<String>,
    /// Bytes of the bodies that wait.
    weight: usize,
}

impl Lanes {
    /// For so many downloads at a time from all hosts together.
    pub(super) fn new(at_a_time: usize) -> Lanes {
        Lanes {
            // One host leaves a place for the others.
            per_host: at_a_time.saturating_sub(1).clamp(1, PER_HOST),
            by_host: HashMap::new(),
            turns: VecDeque::new(),
            weight: 0,
        }
    }

    pub(super) fn push(&mut self, host: &str, key: Key, task: Box<Task>) {
        self.weight += task.json.as_str().len();
        let lane = self.by_host.entry(host.to_owned()).or_default();
        if lane.waiting.is_empty() {
            self.turns.push_back(host.to_owned());
        }
        lane.waiting.push_back(Waiting { key, task });
    }

    /// The next download whose host has room, and the host that is to be given back.
    pub(super) fn next(&mut self) -> Option<(String, Waiting)> {
        for _ in 0..self.turns.len() {
            let host = self.turns.pop_front()?;
            let Some(lane) = self.by_host.get_mut(&host) else { continue };
            if lane.running < self.per_host
                && let Some(waiting) = lane.waiting.pop_front()
            {
                lane.running += 1;
                self.weight -= waiting.task.json.as_str().len();
                if !lane.waiting.is_empty() {
                    self.turns.push_back(host.clone());
                }
                return Some((host, waiting));
            }
            self.turns.push_back(host);
        }
        None
    }

    /// A download from `host` is over.
    pub(super) fn give_back(&mut self, host: &str) {
        if let Some(lane) = self.by_host.get_mut(host) {
            lane.running = lane.running.saturating_sub(1);
            if lane.running == 0 && lane.waiting.is_empty() {
                self.by_host.remove(host);
            }
        }
    }

    /// Takes out the download of `key`, when it waits.
    pub(super) fn remove(&mut self, key: Key) -> Option<Box<Task>> {
        let lane = self.by_host.values_mut().find(|lane| lane.waiting.iter().any(|waiting| waiting.key == key))?;
        let at = lane.waiting.iter().position(|waiting| waiting.key == key)?;
        let removed = lane.waiting.remove(at)?;
        self.weight -= removed.task.json.as_str().len();
        // An empty lane in the turns would be asked for nothing.
        self.by_host.retain(|_, lane| lane.running > 0 || !lane.waiting.is_empty());
        let by_host = &self.by_host;
        self.turns.retain(|host| by_host.get(host).is_some_and(|lane| !lane.waiting.is_empty()));
        Some(removed.task)
    }

    /// Takes out every download that waits.
    pub(super) fn take_all(&mut self) -> HashMap<Key, Box<Task>> {
        self.turns.clear();
        self.weight = 0;
        let waiting = self.by_host.values_mut().flat_map(|lane| lane.waiting.drain(..));
        waiting.map(|waiting| (waiting.key, waiting.task)).collect()
    }

    /// Bytes of the bodies that wait.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(of: &[(&str, Key)]) -> Lanes {
        let mut lanes = Lanes::new(6);
        for (host, key) in of {
            lanes.push(host, *key, Box::new(Task::unseen("a", "a")));
        }
        lanes
    }

    fn taken(lanes: &mut Lanes) -> Vec<Key> {
        std::iter::from_fn(|| lanes.next().map(|(_, waiting)| waiting.key)).collect()
    }

    #[test]
    fn a_host_gets_four_at_a_time_and_another_one_does_not_wait_for_it() {
        let mut lanes = lanes(&[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 6)]);
        assert_eq!(taken(&mut lanes), [1, 6, 2, 3, 4]);
        lanes.give_back("a");
        assert_eq!(taken(&mut lanes), [5]);
    }

    #[test]
    fn a_dead_host_never_takes_every_place_of_a_small_crew() {
        let mut lanes = Lanes::new(3);
        for (host, key) in [("dead", 1), ("dead", 2), ("dead", 3), ("live", 4)] {
            lanes.push(host, key, Box::new(Task::unseen("a", "a")));
        }
        assert_eq!(taken(&mut lanes), [1, 4, 2]);
    }

    #[test]
    fn a_download_that_was_taken_out_never_runs() {
        let mut lanes = lanes(&[("a", 1), ("b", 2), ("b", 3)]);
        assert!(lanes.remove(2).is_some() && lanes.remove(2).is_none() && lanes.remove(1).is_some());
        assert_eq!(taken(&mut lanes), [3]);
    }

    #[test]
    fn a_host_is_forgotten_when_nothing_is_left_of_it() {
        let mut lanes = lanes(&[("a", 1)]);
        let (host, _) = lanes.next().expect("one waits");
        lanes.give_back(&host);
        assert!(lanes.by_host.is_empty() && lanes.turns.is_empty());
    }
}
