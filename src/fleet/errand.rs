//! One step of one job, on a thread of ours: a submit, a look; downloads have a room of their own.

use std::sync::Arc;
use std::time::Instant;

use super::event::{Event, EventKind};
use super::job::Goal;
use super::lanes::Waiting;
use super::resume::kept;
use super::slots::{Key, Known};
use super::{Shared, State};
use crate::api::{Leave, Look, seen_in};
use crate::dialect::Outgoing;
use crate::error::{Error, Result, Status};
use crate::http::Stop;
use crate::image::NewFile;
use crate::journal::EntryId;
use crate::log::{self, LogLevel};
use crate::poll::{Answer, End};
use crate::task::Task;

pub(super) enum Errand {
    Submit {
        key: Key,
        outgoing: Option<Outgoing>,
        stop: Arc<Stop>,
        leave: Leave,
    },
    Look {
        key: Key,
        id: String,
        reference: String,
        stop: Arc<Stop>,
        leave: Leave,
    },
    Download {
        waiting: Waiting,
        host: String,
        stop: Arc<Stop>,
    },
    /// Brings the journal up to date.
    Flush,
}

impl Errand {
    /// Whose it is.
    pub(super) fn job(&self) -> Option<Key> {
        match self {
            Errand::Submit { key, .. } | Errand::Look { key, .. } => Some(*key),
            Errand::Download { waiting, .. } => Some(waiting.key),
            Errand::Flush => None,
        }
    }
}

impl Shared {
    pub(super) fn run(&self, errand: Errand) {
        match errand {
            Errand::Submit { key, outgoing, stop, leave } => self.submit(key, outgoing, &stop, leave),
            Errand::Look { key, id, reference, stop, leave } => self.look(key, &id, &reference, &stop, leave),
            Errand::Download { waiting, host, stop } => self.download(waiting, &host, &stop),
            Errand::Flush => self.flush_journal(),
        }
    }

    fn submit(&self, key: Key, outgoing: Option<Outgoing>, stop: &Arc<Stop>, leave: Leave) {
        let entry = self.check_place(key).and_then(|()| self.announce(key));
        let result = match (outgoing, &entry) {
            (Some(outgoing), Ok(_)) => {
                self.api.submit(&outgoing, stop, Instant::now() + self.api.setup.submit_timeout, leave)
            }
            (_, Err(error)) => {
                self.api.entrance.answered(leave, Answer::Lost);
                Err(error.clone())
            }
            (None, _) => Err(Error::invalid("the job has no request")),
        };
        self.told("submit", &result);
        let entry = entry.ok().flatten();
        if let (Some(journal), Some(entry)) = (self.journal_if_any(), entry) {
            match &result {
                Ok(task) => {
                    let reference = if task.poll_ref.is_empty() { &task.id } else { &task.poll_ref };
                    journal.accepted(entry, kept(&task.id, reference));
                    self.flush_journal();
                }
                // No task came of it, and none is to come back after a crash.
                Err(error) if error.status() != Status::SubmitUnknown => journal.remove(entry),
                // The answer's head may have named the task although the rest was lost.
                Err(error) => {
                    if let Some(task) = error.task().filter(|task| !task.id.is_empty()) {
                        journal.accepted(entry, &task.id);
                        self.flush_journal();
                    }
                }
            }
        }
        let mut state = self.lock();
        self.slow_over(&mut state);
        let Some(slot) = state.slots.get(key) else { return };
        slot.under_way = None;
        slot.entry = entry.filter(|_| !matches!(&result, Err(error) if error.status() != Status::SubmitUnknown));
        let task = match result {
            Ok(task) => task,
            Err(error) => return self.fail(&mut state, key, error, None),
        };
        slot.born_ms = self.api.entrance.clock.now_ms();
        slot.name_task(&task.id, if task.poll_ref.is_empty() { &task.id } else { &task.poll_ref });
        let told = self.take_note(&mut state, key, &task);
        if task.state.is_final() {
            return self.arrived(&mut state, key, Box::new(task));
        }
        let Some(slot) = state.slots.get(key) else { return };
        if slot.goal == Goal::Submitted {
            return self.succeed(&mut state, key, Some(task), None);
        }
        if slot.stopped {
            return self.end_stopped(&mut state, key, None);
        }
        self.watch(&mut state, key, &task.model);
        if told {
            self.tell_progress(&mut state, key, task);
        }
    }

    /// Nobody pays for an image that has no place to go.
    fn check_place(&self, key: Key) -> Result<()> {
        let wanted =
            self.lock().slots.get(key).and_then(|slot| Some((slot.rest.as_ref()?.path.clone()?, slot.replace)));
        let Some((path, replace)) = wanted else { return Ok(()) };
        let refused = |why: &str| Err(Error::new(Status::File, format!("nothing was submitted: {why}")));
        if !path.may_have_folder() {
            return refused(&format!("the folder of {:?} does not exist", path.as_path()));
        }
        match NewFile::check(path.as_path(), replace) {
            Err(error) if path.is_fixed() => refused(error.message()),
            _ => Ok(()),
        }
    }

    /// Writes down that a submit is about to be sent.
    fn announce(&self, key: Key) -> Result<Option<EntryId>> {
        let Some(journal) = self.journal_if_any() else { return Ok(None) };
        let entry = match self.lock().slots.get(key) {
            Some(slot) => self.entry_of(slot, true),
            None => return Ok(None),
        };
        journal.add(&entry).map(Some)
    }

    fn look(&self, key: Key, id: &str, reference: &str, stop: &Arc<Stop>, leave: Leave) {
        let started = Instant::now();
        let result = match self.api.base.target(self.api.dialect(), reference) {
            Ok(mut target) => {
                // Not every address shows the id.
                if target.id.is_empty() {
                    target.id = id.to_owned();
                }
                self.api.look(&target, stop, started + self.api.setup.request_timeout, leave)
            }
            Err(error) => {
                self.api.entrance.answered(leave, Answer::Lost);
                Err(error)
            }
        };
        let now_ms = self.api.entrance.clock.now_ms();
        let mut state = self.lock();
        let allowance_ms = Self::look_over(&mut state, started.elapsed());
        let Some(slot) = state.slots.get(key) else { return };
        slot.under_way = None;
        let goal = slot.goal;
        match result {
            Ok(look) => self.saw(&mut state, key, look, now_ms, allowance_ms),
            Err(error) if error.status() == Status::Cancelled || goal == Goal::Looked => {
                if slot.stopped {
                    return self.end_stopped(&mut state, key, None);
                }
                state.schedule.forget(key);
                self.fail(&mut state, key, error, None);
            }
            Err(error) => {
                if slot.stopped {
                    return self.end_stopped(&mut state, key, None);
                }
                let seen = seen_in(&error);
                slot.error = Some(error);
                let end = state.schedule.after(key, seen, now_ms, &mut self.api.entrance.pace(), allowance_ms);
                if let Some(end) = end {
                    self.gave_up(&mut state, key, end);
                }
            }
        }
    }

    /// A look that was understood.
    fn saw(&self, state: &mut State, key: Key, look: Look, now_ms: u64, allowance_ms: u64) {
        let seen = look.seen();
        let task = look.task;
        self.api.log.line(LogLevel::Debug, || format!("look: {}", log::task_line(&task)));
        let moved = self.take_note(state, key, &task);
        let Some(slot) = state.slots.get(key) else { return };
        slot.error = None;
        if !task.state.is_final() {
            slot.pending_ms = now_ms;
        }
        if slot.goal == Goal::Looked {
            state.schedule.forget(key);
            return self.succeed(state, key, Some(task), None);
        }
        let stopped = slot.stopped;
        let lasted = state.schedule.lasted(key, now_ms);
        // What is over is over, whether or not the host asked for an end meanwhile.
        let end = state.schedule.after(key, seen, now_ms, &mut self.api.entrance.pace(), allowance_ms);
        match end {
            Some(End::Final) => {
                self.api.learn(&task, lasted);
                self.arrived(state, key, Box::new(task));
            }
            Some(end) => self.ended(state, key, end, Some(task)),
            None if stopped => self.end_stopped(state, key, None),
            None if moved => self.tell_progress(state, key, task),
            None => {}
        }
    }

    /// Keeps what a look showed, without its body. Whether it is news for the host.
    fn take_note(&self, state: &mut State, key: Key, task: &Task) -> bool {
        let word = state.slots.word(&task.provider_status);
        let Some(slot) = state.slots.get(key) else { return false };
        // Some services count backwards; a progress bar does not.
        let progress = if task.state.is_final() { task.progress } else { task.progress.max(slot.known.progress) };
        let known = Known { looked_at_ms: task.looked_at_ms, word, progress, state: task.state };
        let moved =
            known.state != slot.known.state || known.progress != slot.known.progress || known.word != slot.known.word;
        slot.known = known;
        moved
    }

    /// Tells a host that wants it how a task moved on.
    fn tell_progress(&self, state: &mut State, key: Key, mut task: Task) {
        let Some(slot) = state.slots.get(key).filter(|slot| slot.progress) else { return };
        task.progress = slot.known.progress;
        // A body may have megabytes, and this event may wait for long.
        task.json = Default::default();
        task.images.clear();
        let event = Event { task: Some(task), ..Event::of(slot, EventKind::Progress) };
        self.queue.push(event);
    }

    fn told(&self, what: &str, result: &Result<Task>) {
        match result {
            Ok(task) => self.api.log.line(LogLevel::Info, || format!("{what}: {}", log::task_line(task))),
            Err(error) => self.api.log.line(LogLevel::Warn, || format!("{what}: {}: {error}", error.status())),
        }
    }
}
