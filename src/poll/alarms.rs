//! One alarm a task, the earliest first.

/// A binary heap that knows where each key stands, so that an alarm is moved or taken back, and nothing is left behind.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    heap: Vec<(u64, u32)>,
    /// Where a key stands in the heap.
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Alarms {
    /// The earliest alarm and its key; of those at the same time the lowest key.
    pub(crate) fn first(&self) -> Option<(u64, u32)> {
        self.heap.first().copied()
    }

    /// Sets the alarm of `key`, instead of the one it has.
    pub(crate) fn set(&mut self, key: u32, at_ms: u64) {
        let index = key as usize;
        if index >= self.places.len() {
            grow(&mut self.places, index + 1);
            self.places.resize(index + 1, NOWHERE);
        }
        let place = match self.places[index] {
            NOWHERE => {
                let wanted = self.heap.len() + 1;
                grow(&mut self.heap, wanted);
                self.heap.push((at_ms, key));
                self.heap.len() - 1
            }
            place => {
                self.heap[place as usize].0 = at_ms;
                place as usize
            }
        };
        self.settle(place);
    }

    pub(crate) fn remove(&mut self, key: u32) {
        let Some(place) = self.places.get_mut(key as usize).filter(|place| **place != NOWHERE) else { return };
        let hole = std::mem::replace(place, NOWHERE) as usize;
        self.heap.swap_remove(hole);
        if hole < self.heap.len() {
            self.settle(hole);
        }
    }

    /// Moves what stands at `place` up or down to where it belongs.
    fn settle(&mut self, mut place: usize) {
        let moved = self.heap[place];
        while place > 0 && moved < self.heap[(place - 1) / 2] {
            self.put(place, self.heap[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        loop {
            let left = 2 * place + 1;
            let Some(mut child) = self.heap.get(left).map(|_| left) else { break };
            if self.heap.get(left + 1).is_some_and(|right| *right < self.heap[left]) {
                child = left + 1;
            }
            if moved <= self.heap[child] {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, moved);
    }

    fn put(&mut self, place: usize, alarm: (u64, u32)) {
        self.heap[place] = alarm;
        self.places[alarm.1 as usize] = place as u32;
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.heap.capacity() * size_of::<(u64, u32)>() + self.places.capacity() * size_of::<u32>()
    }
}

/// Room for `wanted` elements, and a quarter on top: doubling would waste half of the memory of many tasks.
pub(crate) fn grow<T>(vec: &mut Vec<T>, wanted: usize) {
    if vec.capacity() < wanted {
        vec.reserve_exact((wanted - vec.len()).max(vec.len() / 4).max(16));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::Jitter;
    use std::collections::BTreeMap;

    #[test]
    fn the_earliest_alarm_is_always_first_whatever_is_set_moved_and_taken_back() {
        let mut dice = Jitter::new(11);
        let mut alarms = Alarms::default();
        let mut model = BTreeMap::new();
        for _ in 0..20_000 {
            let key = dice.between(0, 199) as u32;
            if dice.between(0, 2) == 0 {
                alarms.remove(key);
                model.remove(&key);
            } else {
                let at = dice.between(0, 500);
                alarms.set(key, at);
                model.insert(key, at);
            }
            let earliest = model.iter().map(|(key, at)| (*at, *key)).min();
            assert_eq!(alarms.first(), earliest);
        }
    }
}
