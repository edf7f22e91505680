//! Downloads that wait for their turn: a few at a time from each host, so that a dead one holds up nobody else, and none from a
//! host that wants to be left alone. A host is the origin of the link that a task names first: what the link redirects to, or is
//! renewed to, shares its lane.

use std::collections::{HashMap, VecDeque};

use super::download::Begun;
use super::slots::Key;
use crate::task::Task;

/// Downloads from one host at a time, at most.
const PER_HOST: usize = 4;

/// A download that waits.
pub(super) struct Waiting {
    pub(super) key: Key,
    pub(super) task: Box<Task>,
    /// What came in earlier tries.
    pub(super) begun: Option<Box<Begun>>,
}

impl Waiting {
    pub(super) fn new(key: Key, task: Box<Task>) -> Waiting {
        Waiting { key, task, begun: None }
    }

    fn weight(&self) -> usize {
        self.task.json.as_str().len() + self.begun.as_ref().map_or(0, |begun| begun.weight())
    }
}

/// The downloads of one host.
#[derive(Default)]
struct Lane {
    /// Places in use: by downloads under way, and by those that pause. So no more than a few of a host are half done.
    taken: usize,
    waiting: VecDeque<Waiting>,
    /// Those that were begun and wait for their next try, and until when.
    pausing: Vec<(u64, Waiting)>,
    /// Nothing is asked of the host before; 0: open.
    closed_until_ms: u64,
    /// The first download after a pause. The others wait for what it comes to.
    probe: Option<Key>,
    /// Whether it is in `turns`.
    has_turn: bool,
}

impl Lane {
    /// The next download, else when there may be one.
    fn next(&mut self, now_ms: u64, most: usize) -> Result<Waiting, Option<u64>> {
        let first = (0..self.pausing.len()).min_by_key(|at| self.pausing[*at].0);
        let first_ms = first.map(|at| self.pausing[at].0);
        if self.probe.is_some() {
            return Err(None);
        }
        if now_ms < self.closed_until_ms {
            return Err((!self.is_empty()).then_some(self.closed_until_ms));
        }
        let next = match first {
            Some(at) if first_ms <= Some(now_ms) => self.pausing.swap_remove(at).1,
            _ if self.taken < most => {
                let next = self.waiting.pop_front().ok_or(first_ms)?;
                self.taken += 1;
                next
            }
            _ => return Err(first_ms),
        };
        if self.closed_until_ms > 0 {
            self.closed_until_ms = 0;
            self.probe = Some(next.key);
        }
        Ok(next)
    }

    /// Whether nothing waits or pauses.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.pausing.is_empty()
    }
}

pub(super) struct Lanes {
    per_host: usize,
    by_host: HashMap<String, Lane>,
    /// Hosts that something waits for, and those that are closed, in the order of their turns.
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

    pub(super) fn push(&mut self, host: &str, waiting: Waiting) {
        self.weight += waiting.weight();
        self.lane(host).waiting.push_back(waiting);
    }

    /// The lane of a host, which is given turns from now on.
    fn lane(&mut self, host: &str) -> &mut Lane {
        let lane = self.by_host.entry(host.to_owned()).or_default();
        if !lane.has_turn {
            lane.has_turn = true;
            self.turns.push_back(host.to_owned());
        }
        lane
    }

    /// The next download whose host has room, and the host that is to be given back; else when there may be one without anything
    /// being given back.
    pub(super) fn next(&mut self, now_ms: u64) -> Result<(String, Waiting), Option<u64>> {
        let mut soonest_ms: Option<u64> = None;
        for _ in 0..self.turns.len() {
            let Some(host) = self.turns.pop_front() else { break };
            let Some(lane) = self.by_host.get_mut(&host) else { continue };
            let next = lane.next(now_ms, self.per_host);
            lane.has_turn = !lane.is_empty() || now_ms < lane.closed_until_ms;
            match (lane.has_turn, lane.taken) {
                (true, _) => self.turns.push_back(host.clone()),
                (false, 0) => drop(self.by_host.remove(&host)),
                (false, _) => {}
            }
            match next {
                Ok(waiting) => {
                    self.weight -= waiting.weight();
                    return Ok((host, waiting));
                }
                Err(at_ms) => soonest_ms = soonest_ms.into_iter().chain(at_ms).min(),
            }
        }
        Err(soonest_ms)
    }

    /// The download of `key` from `host` is over.
    pub(super) fn give_back(&mut self, host: &str, key: Key) {
        if let Some(lane) = self.by_host.get_mut(host) {
            lane.taken = lane.taken.saturating_sub(1);
            lane.probe = lane.probe.filter(|probe| *probe != key);
            if lane.taken == 0 && !lane.has_turn {
                self.by_host.remove(host);
            }
        }
    }

    /// The next try of a download from `host` waits for its time. It keeps its place.
    pub(super) fn pause(&mut self, host: &str, waiting: Waiting, until_ms: u64) {
        self.weight += waiting.weight();
        let lane = self.lane(host);
        lane.probe = lane.probe.filter(|probe| *probe != waiting.key);
        lane.pausing.push((until_ms, waiting));
    }

    /// A host wants to be left alone. When the time is over, one download shows whether it still does.
    pub(super) fn close(&mut self, host: &str, until_ms: u64) {
        let lane = self.lane(host);
        lane.closed_until_ms = lane.closed_until_ms.max(until_ms);
    }

    /// Takes out the download of `key`, when it waits or pauses.
    pub(super) fn remove(&mut self, key: Key) -> Option<Waiting> {
        let removed = self.by_host.values_mut().find_map(|lane| {
            if let Some(at) = lane.waiting.iter().position(|waiting| waiting.key == key) {
                return lane.waiting.remove(at);
            }
            let at = lane.pausing.iter().position(|(_, waiting)| waiting.key == key)?;
            lane.taken = lane.taken.saturating_sub(1);
            Some(lane.pausing.swap_remove(at).1)
        })?;
        self.weight -= removed.weight();
        Some(removed)
    }

    /// Takes out every download that waits or pauses.
    pub(super) fn take_all(&mut self) -> HashMap<Key, Waiting> {
        self.turns.clear();
        self.weight = 0;
        let lanes = std::mem::take(&mut self.by_host).into_values();
        let waiting = lanes.flat_map(|lane| lane.waiting.into_iter().chain(lane.pausing.into_iter().map(|(_, w)| w)));
        waiting.map(|waiting| (waiting.key, waiting)).collect()
    }

    /// Bytes of the bodies that wait, and of what came of the downloads that pause.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// How many downloads are half done and pause.
    pub(super) fn pausing(&self) -> usize {
        self.by_host.values().map(|lane| lane.pausing.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(key: Key) -> Waiting {
        Waiting::new(key, Box::new(Task::unseen("a", "a")))
    }

    fn lanes(of: &[(&str, Key)]) -> Lanes {
        let mut lanes = Lanes::new(6);
        for (host, key) in of {
            lanes.push(host, waiting(*key));
        }
        lanes
    }

    /// What may go at a time.
    fn taken_at(lanes: &mut Lanes, now_ms: u64) -> Vec<Key> {
        std::iter::from_fn(|| lanes.next(now_ms).ok().map(|(_, waiting)| waiting.key)).collect()
    }

    fn taken(lanes: &mut Lanes) -> Vec<Key> {
        taken_at(lanes, 0)
    }

    /// When to ask again, where nothing may go.
    fn soonest(lanes: &mut Lanes, now_ms: u64) -> Option<u64> {
        lanes.next(now_ms).err().flatten()
    }

    #[test]
    fn a_host_gets_four_at_a_time_and_another_one_does_not_wait_for_it() {
        let mut lanes = lanes(&[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 6)]);
        assert_eq!(taken(&mut lanes), [1, 6, 2, 3, 4]);
        lanes.give_back("a", 1);
        assert_eq!(taken(&mut lanes), [5]);
    }

    #[test]
    fn a_dead_host_never_takes_every_place_of_a_small_crew() {
        let mut lanes = Lanes::new(3);
        for (host, key) in [("dead", 1), ("dead", 2), ("dead", 3), ("live", 4)] {
            lanes.push(host, waiting(key));
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
        let mut lanes = lanes(&[("a", 1), ("b", 2)]);
        assert_eq!(taken(&mut lanes), [1, 2]);
        lanes.give_back("a", 1);
        lanes.pause("b", waiting(2), 10);
        lanes.close("b", 10);
        lanes.remove(2);
        assert_eq!((taken_at(&mut lanes, 9), lanes.by_host.len()), (vec![], 1), "it is still closed");
        assert_eq!((taken_at(&mut lanes, 10), lanes.by_host.len(), lanes.turns.len()), (vec![], 0, 0));
    }

    #[test]
    fn a_download_that_pauses_keeps_its_place_and_holds_up_nobody_elses() {
        let mut lanes = lanes(&[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 6)]);
        assert_eq!(taken(&mut lanes), [1, 6, 2, 3, 4]);
        lanes.pause("a", waiting(1), 500);
        lanes.pause("a", waiting(2), 400);
        assert_eq!((taken_at(&mut lanes, 399), soonest(&mut lanes, 399)), (vec![], Some(400)));
        assert_eq!((taken_at(&mut lanes, 400), soonest(&mut lanes, 400)), (vec![2], Some(500)));
        lanes.give_back("a", 2);
        assert_eq!(taken_at(&mut lanes, 400), [5], "the place of one that is over");
        assert_eq!(taken_at(&mut lanes, 500), [1]);
    }

    #[test]
    fn a_closed_host_is_asked_for_nothing_then_for_one_image_and_then_for_the_rest() {
        let mut lanes = lanes(&[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 6), ("a", 7)]);
        assert_eq!(taken(&mut lanes), [1, 6, 2, 3, 4]);
        for (key, until_ms) in [(1, 5_000), (2, 3_000), (3, 5_000)] {
            lanes.pause("a", waiting(key), until_ms);
            lanes.close("a", until_ms);
        }
        // One had its answer on the way: its place is free, and the host is closed all the same.
        lanes.give_back("a", 4);
        lanes.push("b", waiting(8));
        assert_eq!(taken_at(&mut lanes, 4_999), [8], "another host goes on");
        assert_eq!(soonest(&mut lanes, 4_999), Some(5_000));
        assert_eq!((taken_at(&mut lanes, 5_000), soonest(&mut lanes, 5_000)), (vec![2], None), "one shows how it is");
        // It still wants to be left alone.
        lanes.pause("a", waiting(2), 9_000);
        lanes.close("a", 9_000);
        assert_eq!((taken_at(&mut lanes, 8_999), soonest(&mut lanes, 8_999)), (vec![], Some(9_000)));
        let probe = taken_at(&mut lanes, 9_000);
        assert_eq!(probe.len(), 1);
        lanes.give_back("a", probe[0]);
        let mut rest = taken_at(&mut lanes, 9_000);
        rest.sort_unstable();
        let mut expected = vec![1, 2, 3, 5, 7];
        expected.retain(|key| *key != probe[0]);
        assert_eq!(rest, expected);
    }

    #[test]
    fn one_that_is_taken_out_while_it_pauses_gives_its_place_to_the_next() {
        let mut lanes = lanes(&[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5)]);
        assert_eq!(taken(&mut lanes).len(), 4);
        lanes.pause("a", waiting(1), 500);
        assert!(taken(&mut lanes).is_empty());
        assert!(lanes.remove(1).is_some() && lanes.pausing() == 0);
        assert_eq!(taken(&mut lanes), [5]);
        lanes.pause("a", waiting(2), 500);
        assert_eq!(lanes.take_all().into_keys().collect::<Vec<_>>(), [2]);
        assert_eq!((lanes.weight(), lanes.next(1_000).err()), (0, Some(None)));
    }
}
