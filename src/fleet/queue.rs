//! The event queue: what workers put in and the host takes out. Bounded by the number of jobs, whether or not anybody takes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::MAX_HELD_BYTES;
use super::event::{Event, EventKind};
use crate::error::{Error, Result, Status};

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Whether asking is worth the lock.
    to_tell: AtomicBool,
    arrived: Condvar,
    /// How often waiting was interrupted.
    interrupts: AtomicU64,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The last progress of each job that was not taken yet.
    progress: HashMap<u64, Event>,
    /// Jobs whose final event was not taken yet.
    finals: HashSet<u64>,
    /// Events that can be taken.
    live: usize,
    /// Bytes of bodies and images in the queue.
    weight: usize,
    sleepers: usize,
    nudged: bool,
    closed: bool,
    signal: Option<Signal>,
}

enum Entry {
    Whole(Box<Event>),
    /// Stands where the first of the merged progress events came in.
    Progress(u64),
}

/// What a taker of events was told.
pub(super) enum Taken {
    Event {
        event: Box<Event>,
        /// There was too much in the queue, and now there is not.
        made_room: bool,
    },
    /// The time was over.
    Nothing,
    Interrupted,
    /// Woken for what is no event.
    Nudged,
    /// Closed, and nothing is left.
    Closed,
}

impl Queue {
    /// Puts an event in. A final one takes the job's waiting progress out: it tells more.
    pub(super) fn push(&self, event: Event) {
        let mut state = self.lock();
        let op = event.op;
        match event.kind {
            EventKind::Progress => {
                if state.progress.insert(op, event).is_some() {
                    return;
                }
                state.live += 1;
                state.entries.push_back(Entry::Progress(op));
            }
            kind => {
                if kind == EventKind::Final {
                    let merged = state.progress.remove(&op).is_some();
                    state.live -= usize::from(merged);
                    state.finals.insert(op);
                }
                state.live += 1;
                state.weight += event.weight();
                state.entries.push_back(Entry::Whole(Box::new(event)));
            }
        }
        self.changed(&mut state);
        if state.sleepers > 0 {
            self.arrived.notify_one();
        }
    }

    /// How often waiting was interrupted, for a call that is about to take an event.
    pub(super) fn interrupts(&self) -> u64 {
        self.interrupts.load(Ordering::Acquire)
    }

    /// Takes the next event, waiting for `timeout` at most; `None` waits as long as it takes. An interrupt ends the waiting, when it
    /// came after the call had read its count of them.
    pub(super) fn take(&self, timeout: Option<Duration>, interrupts: u64) -> Taken {
        // Once a frame, and nearly always for nothing: no lock, no clock.
        if timeout == Some(Duration::ZERO) && !self.to_tell.load(Ordering::Acquire) {
            return Taken::Nothing;
        }
        let started = Instant::now();
        let mut state = self.lock();
        loop {
            while let Some(entry) = state.entries.pop_front() {
                let event = match entry {
                    Entry::Whole(event) => event,
                    Entry::Progress(op) => match state.progress.remove(&op) {
                        Some(event) => Box::new(event),
                        None => continue,
                    },
                };
                state.live -= 1;
                if event.kind == EventKind::Final {
                    state.finals.remove(&event.op);
                }
                let before = state.weight;
                if event.kind != EventKind::Progress {
                    state.weight = before.saturating_sub(event.weight());
                }
                self.changed(&mut state);
                let made_room = before > MAX_HELD_BYTES && state.weight <= MAX_HELD_BYTES;
                return Taken::Event { event, made_room };
            }
            if state.closed {
                return Taken::Closed;
            }
            if self.interrupts() != interrupts {
                return Taken::Interrupted;
            }
            if mem::take(&mut state.nudged) {
                return Taken::Nudged;
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            if left == Some(Duration::ZERO) {
                return Taken::Nothing;
            }
            state.sleepers += 1;
            state = match left {
                Some(left) => self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.sleepers -= 1;
        }
    }

    /// Ends the waiting of whoever waits now.
    pub(super) fn interrupt(&self) {
        let _state = self.lock();
        self.interrupts.fetch_add(1, Ordering::AcqRel);
        self.arrived.notify_all();
    }

    /// Wakes whoever waits, or is about to, without an event.
    pub(super) fn nudge(&self) {
        let mut state = self.lock();
        state.nudged = true;
        if state.sleepers > 0 {
            self.arrived.notify_one();
        }
    }

    /// No event comes any more; those that are there can still be taken.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.changed(&mut state);
        self.arrived.notify_all();
    }

    /// Whether the final event of `op` waits to be taken.
    pub(super) fn holds_final(&self, op: u64) -> bool {
        self.lock().finals.contains(&op)
    }

    /// Events that wait to be taken.
    pub(super) fn waiting(&self) -> usize {
        self.lock().live
    }

    /// Bytes of bodies and images that wait to be taken.
    pub(super) fn weight(&self) -> usize {
        self.lock().weight
    }

    /// Something readable while events wait or the queue is closed. Made at the first call.
    #[cfg(unix)]
    pub(super) fn signal_fd(&self) -> Result<i32> {
        use std::os::fd::AsRawFd as _;
        let mut state = self.lock();
        if state.signal.is_none() {
            let signal =
                Signal::new().map_err(|_| Error::new(Status::Resource, "the system gave no pipe for the events"))?;
            state.signal = Some(signal);
            self.changed(&mut state);
        }
        let fd = state.signal.as_ref().map(|signal| signal.reader.as_raw_fd());
        fd.ok_or_else(|| Error::new(Status::Resource, "the system gave no pipe for the events"))
    }

    #[cfg(not(unix))]
    pub(super) fn signal_fd(&self) -> Result<i32> {
        Err(Error::new(Status::Unsupported, "this system has no descriptor for events: ask for them with a timeout"))
    }

    /// Brings what is known outside of the lock up to date.
    fn changed(&self, state: &mut State) {
        let to_tell = state.live > 0 || state.closed;
        self.to_tell.store(to_tell, Ordering::Release);
        if let Some(signal) = &mut state.signal {
            signal.show(to_tell);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned state is a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pipe that holds one byte while there is something to tell: readable for epoll and its like on every unix.
#[cfg(unix)]
struct Signal {
    reader: io::PipeReader,
    writer: io::PipeWriter,
    shown: bool,
}

#[cfg(unix)]
impl Signal {
    fn new() -> io::Result<Signal> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(Signal { reader, writer, shown: false })
    }

    /// At most one byte is in the pipe, so neither side ever waits.
    fn show(&mut self, readable: bool) {
        use io::{Read as _, Write as _};
        if readable != self.shown {
            // A host that reads the byte itself leaves nothing to read: that is as good as read.
            let _ = if readable { self.writer.write(&[1]) } else { self.reader.read(&mut [0]) };
            self.shown = readable;
        }
    }
}

#[cfg(not(unix))]
struct Signal;

#[cfg(not(unix))]
impl Signal {
    fn show(&mut self, _: bool) {}
}

#[cfg(test)]
mod tests {
    use super::super::job::Images;
    use super::super::slots::Slot;
    use super::*;
    use crate::fleet::Goal;

    fn event(op: u64, kind: EventKind, image_index: usize) -> Event {
        let mut slot = Slot::new(Goal::Finished, Images::One(image_index));
        slot.op = op;
        Event::of(&slot, kind)
    }

    fn taken(queue: &Queue) -> Option<(u64, EventKind, usize)> {
        match queue.take(Some(Duration::ZERO), queue.interrupts()) {
            Taken::Event { event, .. } => Some((event.op, event.kind, event.image_index)),
            _ => None,
        }
    }

    #[test]
    fn progress_that_nobody_takes_is_merged_and_tells_of_the_last_look() {
        let queue = Queue::default();
        for n in 0..1_000 {
            queue.push(event(1 + n as u64 % 2, EventKind::Progress, n));
        }
        assert_eq!(queue.waiting(), 2);
        assert_eq!(taken(&queue), Some((1, EventKind::Progress, 998)));
        assert_eq!(taken(&queue), Some((2, EventKind::Progress, 999)));
        assert_eq!(taken(&queue), None);
    }

    #[test]
    fn a_final_event_takes_the_place_of_progress_and_nothing_follows_it() {
        let queue = Queue::default();
        queue.push(event(1, EventKind::Progress, 0));
        queue.push(event(2, EventKind::Progress, 0));
        queue.push(event(1, EventKind::Final, 0));
        assert!(queue.waiting() == 2 && queue.holds_final(1) && !queue.holds_final(2));
        assert_eq!(taken(&queue), Some((2, EventKind::Progress, 0)));
        assert_eq!(taken(&queue), Some((1, EventKind::Final, 0)));
        assert_eq!((taken(&queue), queue.holds_final(1), queue.waiting()), (None, false, 0));
    }

    #[test]
    fn an_interrupt_that_comes_before_the_waiting_ends_it_all_the_same() {
        let queue = Queue::default();
        let before = queue.interrupts();
        queue.interrupt();
        assert!(matches!(queue.take(None, before), Taken::Interrupted));
        assert!(matches!(queue.take(Some(Duration::from_millis(1)), queue.interrupts()), Taken::Nothing));
    }

    #[test]
    fn a_line_for_the_log_wakes_also_who_only_begins_to_wait() {
        let queue = Queue::default();
        queue.nudge();
        assert!(matches!(queue.take(None, queue.interrupts()), Taken::Nudged));
    }

    #[test]
    fn a_closed_queue_says_so_when_its_last_event_was_taken() {
        let queue = Queue::default();
        queue.push(event(1, EventKind::Final, 0));
        queue.close();
        assert!(taken(&queue).is_some());
        assert!(matches!(queue.take(Some(Duration::ZERO), queue.interrupts()), Taken::Closed));
        assert!(matches!(queue.take(None, queue.interrupts()), Taken::Closed));
    }
}
