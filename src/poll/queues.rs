//! Keys in queues, each key in one queue at most.

use super::alarms::grow;

/// Linked lists over dense keys: a key is taken out of the middle as cheaply as from the front.
#[derive(Debug)]
pub(crate) struct Queues<const N: usize> {
    links: Vec<Link>,
    ends: [Ends; N],
}

#[derive(Debug, Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
    queue: u8,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    front: u32,
    back: u32,
    len: u32,
}

const NONE: u32 = u32::MAX;
const NO_QUEUE: u8 = u8::MAX;

impl<const N: usize> Default for Queues<N> {
    fn default() -> Queues<N> {
        Queues { links: Vec::new(), ends: [Ends { front: NONE, back: NONE, len: 0 }; N] }
    }
}

impl<const N: usize> Queues<N> {
    /// Puts `key` at the end of a queue, out of the one where it is.
    pub(crate) fn push(&mut self, queue: usize, key: u32) {
        self.remove(key);
        let index = key as usize;
        if index >= self.links.len() {
            grow(&mut self.links, index + 1);
            self.links.resize(index + 1, Link { before: NONE, after: NONE, queue: NO_QUEUE });
        }
        let ends = &mut self.ends[queue];
        let before = std::mem::replace(&mut ends.back, key);
        ends.len += 1;
        self.links[index] = Link { before, after: NONE, queue: queue as u8 };
        match before {
            NONE => self.ends[queue].front = key,
            before => self.links[before as usize].after = key,
        }
    }

    /// Takes `key` out of its queue, if it is in one.
    pub(crate) fn remove(&mut self, key: u32) {
        let Some(link) = self.links.get_mut(key as usize).filter(|link| link.queue != NO_QUEUE) else { return };
        let Link { before, after, queue } = *link;
        link.queue = NO_QUEUE;
        let ends = &mut self.ends[usize::from(queue)];
        ends.len -= 1;
        match before {
            NONE => ends.front = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            NONE => ends.back = before,
            after => self.links[after as usize].before = before,
        }
    }

    /// The queue in which `key` is.
    pub(crate) fn of(&self, key: u32) -> Option<usize> {
        let queue = self.links.get(key as usize).map_or(NO_QUEUE, |link| link.queue);
        (queue != NO_QUEUE).then_some(usize::from(queue))
    }

    pub(crate) fn front(&self, queue: usize) -> Option<u32> {
        Some(self.ends[queue].front).filter(|key| *key != NONE)
    }

    pub(crate) fn len(&self, queue: usize) -> usize {
        self.ends[queue].len as usize
    }

    /// From front to back.
    pub(crate) fn iter(&self, queue: usize) -> impl Iterator<Item = u32> + '_ {
        let after = |key: &u32| Some(self.links[*key as usize].after).filter(|key| *key != NONE);
        std::iter::successors(self.front(queue), after)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::Jitter;

    #[test]
    fn keys_leave_in_the_order_in_which_they_came_whatever_is_taken_out_between() {
        let mut dice = Jitter::new(3);
        let mut queues = Queues::<2>::default();
        let mut model: [Vec<u32>; 2] = Default::default();
        for _ in 0..20_000 {
            let key = dice.between(0, 49) as u32;
            model.iter_mut().for_each(|queue| queue.retain(|k| *k != key));
            if dice.between(0, 2) == 0 {
                queues.remove(key);
            } else {
                let queue = dice.between(0, 1) as usize;
                queues.push(queue, key);
                model[queue].push(key);
            }
            for (queue, keys) in model.iter().enumerate() {
                assert_eq!(queues.iter(queue).collect::<Vec<_>>(), *keys);
                assert_eq!((queues.front(queue), queues.len(queue)), (keys.first().copied(), keys.len()));
                assert!(keys.iter().all(|key| queues.of(*key) == Some(queue)));
            }
        }
    }
}
