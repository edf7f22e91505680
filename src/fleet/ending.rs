//! How a job ends: exactly once, with one final event, and with its place given back.

use std::time::Duration;

use super::event::{Delivery, Event, EventKind, Receipt};
use super::job::{Goal, Images};
use super::slots::{Key, Slot};
use super::{Shared, State};
use crate::error::{Error, Status};
use crate::journal::EntryId;
use crate::log::LogLevel;
use crate::poll::End;
use crate::task::Task;

impl Event {
    /// An event of a job, with nothing in it yet.
    pub(super) fn of(slot: &Slot, kind: EventKind) -> Event {
        Event {
            op: slot.op,
            user_data: slot.user_data,
            label: slot.label.to_string(),
            kind,
            goal: slot.reached(),
            image_index: match slot.images {
                Images::One(index) => index,
                Images::All => 0,
            },
            task: None,
            image: None,
            error: None,
            receipt: None,
        }
    }
}

impl Slot {
    /// How far the job has come.
    fn reached(&self) -> Option<Goal> {
        if self.known.state.is_final() {
            Some(Goal::Finished)
        } else if self.pending_ms > 0 {
            Some(Goal::Looked)
        } else if self.born_ms > 0 && !self.reference().is_empty() {
            Some(Goal::Submitted)
        } else {
            None
        }
    }
}

impl Shared {
    /// The task is final: the job is over, or its images are fetched.
    pub(super) fn arrived(&self, state: &mut State, key: Key, task: Box<Task>) {
        state.schedule.forget(key);
        let Some(slot) = state.slots.get(key) else { return };
        slot.known.state = task.state;
        if !matches!(slot.goal, Goal::Bytes | Goal::Pixels | Goal::File) {
            return self.succeed(state, key, Some(*task), None);
        }
        if slot.stopped {
            return self.end_stopped(state, key, Some(task));
        }
        self.line_up(state, key, task);
    }

    /// The schedule ended the watching of a task that no look is under way for.
    pub(super) fn gave_up(&self, state: &mut State, key: Key, end: End) {
        let task = state.slots.get(key).and_then(|slot| slot.seen());
        self.ended(state, key, end, task);
    }

    /// The schedule ended the watching of a task.
    pub(super) fn ended(&self, state: &mut State, key: Key, end: End, task: Option<Task>) {
        state.schedule.forget(key);
        let Some(slot) = state.slots.get(key) else { return };
        let waited_ms = self.api.entrance.clock.now_ms().saturating_sub(slot.watched_ms);
        let error = slot.error.take();
        let result = slot.watched(&self.api).end(end, task, error, Duration::from_millis(waited_ms));
        match result {
            Ok(task) => self.arrived(state, key, Box::new(task)),
            Err(error) => self.fail(state, key, error, None),
        }
    }

    /// The job has reached its goal.
    pub(super) fn succeed(&self, state: &mut State, key: Key, task: Option<Task>, image: Option<Delivery>) {
        let Some(slot) = self.remove(state, key) else { return };
        let event = Event::of(&slot, EventKind::Final);
        self.deliver(state, slot.entry, Event { goal: Some(slot.goal), task, image, ..event });
    }

    /// The job ends short of its goal.
    pub(super) fn fail(&self, state: &mut State, key: Key, error: Error, task: Option<Task>) {
        if let Some(slot) = state.slots.get(key) {
            self.api.log.line(LogLevel::Warn, || format!("job {}: {}: {error}", slot.op, error.status()));
        }
        self.fail_silently(state, key, error, task);
    }

    /// The job ends short of its goal. For the host's own threads: its log sink, which may call back, is not run while a lock is
    /// held.
    pub(super) fn fail_silently(&self, state: &mut State, key: Key, mut error: Error, task: Option<Task>) {
        let Some(slot) = self.remove(state, key) else { return };
        let task = error.take_task().or(task).or_else(|| slot.seen());
        let event = Event::of(&slot, EventKind::Final);
        self.deliver(state, slot.entry, Event { task, error: Some(error), ..event });
    }

    /// The host has ended the job, by a stop or by closing the client.
    ///
    /// `waiting` is the task that it was going to download.
    pub(super) fn end_stopped(&self, state: &mut State, key: Key, waiting: Option<Box<Task>>) {
        let closing = state.closing;
        let Some(slot) = self.remove(state, key) else { return };
        let task = waiting.map(|task| *task).or_else(|| slot.seen());
        let mut error = match slot.rest.as_ref().is_some_and(|rest| rest.outgoing.is_some()) {
            true => Error::new(
                Status::Cancelled,
                format!("{}: the job was ended before anything was submitted", self.api.title()),
            ),
            false => slot.watched(&self.api).cancelled(task, "the job of"),
        };
        // A task without a name was never submitted.
        let task = error.take_task().filter(|task| !(task.id.is_empty() && task.poll_ref.is_empty()));
        let event = Event::of(&slot, EventKind::Final);
        // Who closes a client has not given its tasks up: the journal keeps them.
        let entry = slot.entry.filter(|_| slot.given_up || !closing);
        self.deliver(state, entry, Event { task, error: Some(error), ..event });
    }

    /// A bug of ours struck a thread, which may have worked on `key`.
    pub(super) fn broke(&self, key: Option<Key>, bug: Error) {
        self.api.log.line(LogLevel::Error, || bug.message().to_owned());
        let mut state = self.lock();
        state.crew.give_up_one();
        if let Some(key) = key {
            self.fail(&mut state, key, bug, None);
        }
        drop(state);
        self.api.calls.close(Duration::ZERO);
        self.close_soon();
    }

    fn remove(&self, state: &mut State, key: Key) -> Option<Slot> {
        state.schedule.forget(key);
        state.slots.remove(key)
    }

    fn deliver(&self, state: &State, entry: Option<EntryId>, event: Event) {
        let receipt = entry.map(|entry| Receipt { fleet: self.me.clone(), entry });
        self.queue.push(Event { receipt, ..event });
        self.close_queue_when_done(state);
    }
}

/// A submit of an earlier process whose answer was never seen.
pub(super) fn submit_unknown(title: &str) -> Error {
    let message = format!(
        "the program ended when a request to {title} was about to be sent or on its way: the task may exist and be charged; look \
         for it before submitting again"
    );
    Error::new(Status::SubmitUnknown, message).with_task(Task::unseen("", ""))
}
