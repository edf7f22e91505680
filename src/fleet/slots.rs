//! The jobs that are not over: small, because thousands wait.

use std::collections::HashMap;
use std::sync::Arc;

use super::job::{Goal, Images};
use crate::api::{Api, Watched};
use crate::dialect::Outgoing;
use crate::error::Error;
use crate::http::Stop;
use crate::journal::EntryId;
use crate::pattern::PathPattern;
use crate::picture::PixelOptions;
use crate::task::{State, Task};

/// A place that a job has until it is over; then the next one gets it.
pub(super) type Key = u32;

/// One job that is not over.
pub(super) struct Slot {
    pub(super) op: u64,
    pub(super) user_data: u64,
    /// When our own submit was accepted, by the client's clock; 0: it was not ours.
    pub(super) born_ms: u64,
    /// When the job began to watch its task, and when it was last seen unfinished.
    pub(super) watched_ms: u64,
    pub(super) pending_ms: u64,
    pub(super) id: Box<str>,
    /// What to pass to look at the task, "" where that is the id.
    reference: Box<str>,
    pub(super) label: Box<str>,
    /// What only some jobs have.
    pub(super) rest: Option<Box<Rest>>,
    pub(super) known: Known,
    /// Why the last look failed, when it did.
    pub(super) error: Option<Error>,
    /// What ends the call that is under way for it.
    pub(super) under_way: Option<Arc<Stop>>,
    pub(super) entry: Option<EntryId>,
    pub(super) images: Images,
    pub(super) goal: Goal,
    pub(super) progress: bool,
    pub(super) replace: bool,
    /// It is to end, and a call is under way.
    pub(super) stopped: bool,
    /// The host stopped this very job: it does not come back from the journal.
    pub(super) given_up: bool,
}

/// What only some jobs have.
#[derive(Default)]
pub(super) struct Rest {
    /// The request that is to be submitted.
    pub(super) outgoing: Option<Outgoing>,
    /// The caller's own time limit, milliseconds.
    pub(super) timeout_ms: Option<u64>,
    pub(super) path: Option<PathPattern>,
    pub(super) pixels: PixelOptions,
    /// Of a job about all images: the next one, and what the first that failed came to.
    pub(super) next_image: usize,
    pub(super) first_error: Option<Error>,
}

/// What the looks so far have shown, without the body.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) looked_at_ms: i64,
    /// The service's own word.
    pub(super) word: Arc<str>,
    pub(super) progress: i32,
    pub(super) state: State,
}

impl Slot {
    pub(super) fn new(goal: Goal, images: Images) -> Slot {
        Slot {
            op: 0,
            user_data: 0,
            born_ms: 0,
            watched_ms: 0,
            pending_ms: 0,
            id: "".into(),
            reference: "".into(),
            label: "".into(),
            rest: None,
            known: Known { looked_at_ms: 0, word: "".into(), progress: -1, state: State::Unknown },
            error: None,
            under_way: None,
            entry: None,
            images,
            goal,
            progress: false,
            replace: true,
            stopped: false,
            given_up: false,
        }
    }

    /// Which task it is about from now on.
    pub(super) fn name_task(&mut self, id: &str, reference: &str) {
        self.id = id.into();
        self.reference = if reference == id { "".into() } else { reference.into() };
    }

    /// What to pass to look at the task.
    pub(super) fn reference(&self) -> &str {
        if self.reference.is_empty() { &self.id } else { &self.reference }
    }

    /// The image that it is about now.
    pub(super) fn image_index(&self) -> usize {
        match self.images {
            Images::One(index) => index,
            Images::All => self.rest.as_ref().map_or(0, |rest| rest.next_image),
        }
    }

    pub(super) fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// The task as far as it is known without its body, `None` before the first look that was understood.
    pub(super) fn seen(&self) -> Option<Task> {
        let Known { looked_at_ms, word, progress, state } = &self.known;
        if *looked_at_ms == 0 {
            return None;
        }
        let mut task = Task::unseen(&*self.id, self.reference());
        task.state = *state;
        task.progress = *progress;
        task.provider_status = word.to_string();
        task.looked_at_ms = *looked_at_ms;
        Some(task)
    }

    pub(super) fn watched<'a>(&'a self, api: &'a Api) -> Watched<'a> {
        Watched { api, id: &self.id, reference: self.reference() }
    }
}

/// All jobs that are not over, by place and by number.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<Key>,
    by_op: HashMap<u64, Key>,
    /// The services' words, each kept once.
    words: Vec<Arc<str>>,
}

/// A service has a handful of words; one that sends others all the time gets no place for them.
const MAX_WORDS: usize = 32;

impl Slots {
    pub(super) fn insert(&mut self, slot: Slot) -> Key {
        let op = slot.op;
        let key = match self.free.pop() {
            Some(key) => key,
            None => {
                self.slots.push(None);
                Key::try_from(self.slots.len() - 1).unwrap_or(Key::MAX)
            }
        };
        if let Some(place) = self.slots.get_mut(key as usize) {
            *place = Some(slot);
        }
        self.by_op.insert(op, key);
        key
    }

    pub(super) fn get(&mut self, key: Key) -> Option<&mut Slot> {
        self.slots.get_mut(key as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Slot> {
        let slot = self.slots.get_mut(key as usize)?.take()?;
        self.by_op.remove(&slot.op);
        self.free.push(key);
        Some(slot)
    }

    pub(super) fn key_of(&self, op: u64) -> Option<Key> {
        self.by_op.get(&op).copied()
    }

    /// The places of all jobs, in the order in which they were accepted.
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut ops: Vec<u64> = self.by_op.keys().copied().collect();
        ops.sort_unstable();
        ops.into_iter().filter_map(|op| self.key_of(op)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_op.is_empty()
    }

    /// The same text for the same word, so that ten thousand tasks do not keep ten thousand copies.
    pub(super) fn word(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.iter().find(|known| ***known == *word) {
            return Arc::clone(known);
        }
        let word: Arc<str> = word.into();
        if self.words.len() < MAX_WORDS {
            self.words.push(Arc::clone(&word));
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_job_is_small() {
        assert!(size_of::<Slot>() <= 208, "{} bytes", size_of::<Slot>());
    }

    #[test]
    fn a_place_is_used_again_and_a_number_is_not() {
        let mut slots = Slots::default();
        let numbered = |op| Slot { op, ..Slot::new(Goal::Finished, Images::One(0)) };
        let first = slots.insert(numbered(1));
        slots.remove(first);
        let second = slots.insert(numbered(2));
        assert_eq!((first, slots.key_of(1), slots.key_of(2)), (second, None, Some(second)));
    }
}
