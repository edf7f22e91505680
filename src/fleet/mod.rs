//! Many tasks from one client without blocking anybody: jobs in, events out, a few threads between them.
//!
//! - [`job`], [`event`]: what a host says and what it is told.
//! - [`slots`]: the jobs that are not over. [`queue`]: the events that nobody has taken yet. [`lanes`]: downloads that wait.
//! - [`worker`]: the threads. [`errand`], [`download`]: what they do for one job. [`ending`]: how a job ends.
//! - [`resume`]: what the journal brings back.
//!
//! When to look is decided in `poll`, by the same machine and the same gate that blocking calls use. Locks are taken in this
//! order: the fleet's state, the pace of the gate; the queue's is innermost, and nothing is taken under it.

mod download;
mod ending;
mod errand;
mod event;
mod job;
mod lanes;
mod queue;
mod resume;
mod slots;
mod worker;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::job::MAX_LABEL_BYTES;
use self::lanes::Lanes;
use self::queue::{Queue, Taken};
use self::resume::lasting;
use self::slots::{Key, Slot, Slots};
use crate::api::{Api, Target};
use crate::error::{Error, Result, Status};
use crate::image;
use crate::journal::Journal;
use crate::pattern::PathPattern;
use crate::picture::PixelOptions;
use crate::poll::{Schedule, Start};
use crate::task::Task;

pub use self::event::{Delivery, Event, EventKind};
pub use self::job::{Goal, Images, Job, Source};

/// Bytes of bodies and images that may wait for the host or for a download before no more are fetched.
const MAX_HELD_BYTES: usize = 256 * 1024 * 1024;
/// No job watches longer.
const LONGEST_WAIT_MS: u64 = 30 * 24 * 3600 * 1000;

/// The jobs of one client.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
}

/// What the client and its workers share.
struct Shared {
    /// Itself, for the receipts of its events, which may outlive it.
    me: Weak<Shared>,
    api: Arc<Api>,
    journal: Option<Arc<Journal>>,
    queue: Queue,
    state: Mutex<State>,
    /// Workers wait here for something to do.
    work: Condvar,
    /// A close waits here for workers to leave.
    left: Condvar,
    /// Every thread that was started, until a close has waited for its last instruction.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Jobs accepted whose final event was not taken yet.
    pending: AtomicUsize,
    /// A worker knows, or is about to see, that the journal has something to write.
    journal_told: AtomicBool,
    /// The last try to write the journal failed, and the log knows.
    journal_fails: AtomicBool,
}

struct State {
    slots: Slots,
    schedule: Schedule,
    lanes: Lanes,
    crew: worker::Crew,
    /// The number of the job that was accepted last.
    last_op: u64,
    closing: bool,
    /// The client is gone: who works last lets the journal go.
    abandoned: bool,
    /// What the journal held when it was opened is back.
    resumed: bool,
}

/// What a fleet is doing now.
pub(crate) struct Outlook {
    pub(crate) pending: usize,
    pub(crate) events_waiting: usize,
    pub(crate) in_flight: usize,
    pub(crate) threads: usize,
    pub(crate) sweep_ms: u64,
    pub(crate) staleness_p50_ms: Option<u64>,
    pub(crate) staleness_p95_ms: Option<u64>,
}

impl Fleet {
    /// Opens the journal where there is one. Starts no thread.
    pub(crate) fn new(api: Arc<Api>) -> Result<Fleet> {
        let journal = match &api.setup.journal_path {
            Some(path) => Some(Arc::new(Journal::open(path)?)),
            None => None,
        };
        let state = State {
            slots: Slots::default(),
            schedule: Schedule::new(Arc::clone(&api.setup.timing), seed()),
            lanes: Lanes::new(worker::Crew::new(api.setup.max_workers).most_slow()),
            crew: worker::Crew::new(api.setup.max_workers),
            last_op: 0,
            closing: false,
            abandoned: false,
            resumed: false,
        };
        let shared = Arc::new_cyclic(|me| Shared {
            me: me.clone(),
            api,
            journal,
            queue: Queue::default(),
            state: Mutex::new(state),
            work: Condvar::new(),
            left: Condvar::new(),
            threads: Mutex::default(),
            pending: AtomicUsize::new(0),
            journal_told: AtomicBool::new(false),
            journal_fails: AtomicBool::new(false),
        });
        Ok(Fleet { shared })
    }

    /// Accepts a job and gives its number. Never waits for the network or the disk.
    pub(crate) fn start(&self, job: Job) -> Result<u64> {
        let shared = &self.shared;
        let (slot, task) = shared.slot_of(job)?;
        let mut state = shared.lock();
        if state.closing {
            return Err(closed());
        }
        // Counted under the lock: two starts never share the last place.
        if shared.pending.load(Ordering::Acquire) >= shared.api.setup.max_pending {
            let most = shared.api.setup.max_pending;
            return Err(Error::new(
                Status::Busy,
                format!("{most} jobs are pending, which is the limit: take their events"),
            ));
        }
        shared.hire(&mut state)?;
        Ok(shared.accept(&mut state, slot, task))
    }

    /// Ends a job. Its final event still comes.
    pub(crate) fn stop(&self, op: u64) -> Result<()> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let Some(key) = state.slots.key_of(op) else {
            drop(state);
            // It is over, and the host will see how.
            if shared.queue.holds_final(op) {
                return Ok(());
            }
            return Err(Error::new(
                Status::UnknownOp,
                format!("no job {op}: it was never started, or its end was delivered"),
            ));
        };
        let Some(slot) = state.slots.get(key) else { return Ok(()) };
        (slot.stopped, slot.given_up) = (true, true);
        match slot.under_way.clone() {
            Some(stop) => {
                drop(state);
                // Outside the lock: it may shut a socket down.
                stop.stop();
            }
            None => {
                let waiting = state.lanes.remove(key);
                let (task, begun) = waiting.map(|waiting| (waiting.task, waiting.begun)).unzip();
                if let Some(begun) = begun.flatten() {
                    // It had a place at its host.
                    shared.work.notify_one();
                    drop(state);
                    // Outside the lock, and before its end is told: a file may go.
                    drop(begun);
                    state = shared.lock();
                }
                shared.end_stopped(&mut state, key, task);
            }
        }
        Ok(())
    }

    /// The next event; `None` when none came in `timeout` (which itself is `None` to wait as long as it takes).
    pub(crate) fn next_event(&self, timeout: Option<Duration>) -> Result<Option<Event>> {
        let shared = &self.shared;
        // Before anything that may last: an interrupt from now on is for this call.
        let interrupts = shared.queue.interrupts();
        shared.api.log.deliver();
        let started = (timeout != Some(Duration::ZERO)).then(Instant::now);
        loop {
            let spent = started.map_or(Duration::ZERO, |started| started.elapsed());
            match shared.queue.take(timeout.map(|timeout| timeout.saturating_sub(spent)), interrupts) {
                Taken::Event { event, made_room } => {
                    if event.kind == EventKind::Final {
                        shared.pending.fetch_sub(1, Ordering::AcqRel);
                    }
                    if made_room {
                        // Whoever found no room is asleep by the time that the lock is ours.
                        let _state = shared.lock();
                        shared.work.notify_all();
                    }
                    return Ok(Some(*event));
                }
                Taken::Nothing => return Ok(None),
                Taken::Interrupted => {
                    return Err(Error::new(Status::Cancelled, "interrupted while waiting for an event"));
                }
                Taken::Closed => return Err(closed()),
                Taken::Nudged => shared.api.log.deliver(),
            }
        }
    }

    /// Ends the waiting for an event of whoever waits now.
    pub(crate) fn interrupt(&self) {
        self.shared.queue.interrupt();
    }

    /// A descriptor that is readable while events wait.
    pub(crate) fn event_fd(&self) -> Result<i32> {
        self.shared.queue.signal_fd()
    }

    /// Jobs accepted whose final event was not taken yet.
    pub(crate) fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Acquire)
    }

    /// Ends every job without waiting for anything.
    pub(crate) fn close_soon(&self) {
        self.shared.close_soon();
    }

    /// Ends every job and waits for the workers to leave; false when some have not after `timeout`. In either case the journal is
    /// brought up to date, which waits for the disk and for nothing else.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        let shared = &self.shared;
        let started = Instant::now();
        shared.close_soon();
        let mut state = shared.lock();
        while state.crew.threads() > 0 {
            let Some(left) = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else { break };
            state = shared.left.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let all_left = state.crew.threads() == 0;
        drop(state);
        if all_left {
            // They are on their last steps. Whoever unloads the code that they run needs them gone.
            let mut threads = shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
            for thread in threads.drain(..) {
                let _ = thread.join();
            }
        }
        shared.flush_journal();
        shared.api.log.deliver();
        all_left
    }

    /// What it is doing now. Costs a pass over all tasks.
    pub(crate) fn outlook(&self) -> Outlook {
        let shared = &self.shared;
        let state = shared.lock();
        let watched = state.schedule.outlook(shared.api.entrance.clock.now_ms(), &shared.api.entrance.pace());
        Outlook {
            pending: self.pending(),
            events_waiting: shared.queue.waiting(),
            in_flight: state.crew.in_flight(),
            threads: state.crew.threads(),
            sweep_ms: watched.sweep_ms,
            staleness_p50_ms: watched.staleness_p50_ms,
            staleness_p95_ms: watched.staleness_p95_ms,
        }
    }
}

impl Shared {
    /// Checks a job, and gives its slot and the task that it begins with.
    fn slot_of(&self, job: Job) -> Result<(Slot, Option<Box<Task>>)> {
        let Job { source, goal, progress, images, timeout, mut pixels, mut path, replace, label, user_data } = job;
        if label.len() > MAX_LABEL_BYTES {
            return Err(Error::invalid(format!("the label is longer than {MAX_LABEL_BYTES} bytes")));
        }
        if goal == Goal::Pixels {
            image::can_decode()?;
        } else if pixels != PixelOptions::default() {
            return Err(Error::invalid("only the goal pixels takes a size and an order of pixels"));
        }
        match (goal, &path) {
            (Goal::File, None) => return Err(Error::invalid("the goal file needs a path")),
            (Goal::File, Some(path)) => {
                let numbered = PathPattern::new(path)?.has_index();
                if images == Images::All && !numbered {
                    return Err(Error::invalid("the path of several images needs {index} in it"));
                }
            }
            (_, None) => {}
            (_, Some(_)) => return Err(Error::invalid("only the goal file takes a path")),
        }
        if self.journal_if_any().is_some() {
            path = path.map(lasting).transpose()?;
        }
        let mut slot = Slot::new(goal, images);
        (slot.user_data, slot.progress, slot.replace, slot.label) = (user_data, progress, replace, label.into());
        if let Some(path) = path {
            slot.rest().path = Some(PathPattern::checked(path));
        }
        if goal == Goal::Pixels {
            if pixels.max_pixels == 0 {
                pixels.max_pixels = self.api.setup.max_image_pixels;
            }
            slot.rest().pixels = pixels;
        }
        if let Some(timeout) = timeout {
            slot.rest().timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        }
        let mut begun = None;
        match source {
            Source::Request(request) => {
                let outgoing = self.api.prepare(&request)?;
                slot.rest().outgoing = Some(outgoing);
            }
            _ if goal == Goal::Submitted => {
                return Err(Error::invalid("the goal submitted needs a request: a task was submitted already"));
            }
            Source::Reference(task_ref) => self.name(&mut slot, &self.api.target(&task_ref)?),
            Source::Task(task) => {
                let reference = if task.poll_ref.is_empty() { &task.id } else { &task.poll_ref };
                match self.api.target(reference) {
                    Ok(target) => self.name(&mut slot, &target),
                    // A synchronous answer may name no task; what it brought is here all the same.
                    Err(_) if task.state.is_final() && goal != Goal::Looked => slot.name_task(&task.id, ""),
                    Err(error) => return Err(error),
                }
                begun = Some(task);
            }
        }
        Ok((slot, begun))
    }

    fn name(&self, slot: &mut Slot, target: &Target) {
        slot.name_task(&target.id, target.reference());
        if let Some(own) = self.api.submits.get(&target.id, Instant::now()) {
            slot.born_ms = self.api.entrance.clock.ms_at(own.at);
        }
    }

    /// Gives a job its number and its first step.
    fn accept(&self, state: &mut State, mut slot: Slot, task: Option<Box<Task>>) -> u64 {
        state.last_op += 1;
        slot.op = state.last_op;
        let op = slot.op;
        self.pending.fetch_add(1, Ordering::AcqRel);
        let submits = slot.rest.as_ref().is_some_and(|rest| rest.outgoing.is_some());
        if !submits {
            self.keep(&mut slot);
        }
        let begun = task.filter(|task| task.state.is_final() && slot.goal != Goal::Looked);
        let key = state.slots.insert(slot);
        match begun {
            Some(task) => self.arrived(state, key, task),
            None if submits => state.schedule.submit(key),
            None => self.watch(state, key, ""),
        }
        self.work.notify_one();
        op
    }

    /// Begins to look at the task of `key`.
    fn watch(&self, state: &mut State, key: Key, model: &str) {
        let now_ms = self.api.entrance.clock.now_ms();
        let Some(slot) = state.slots.get(key) else { return };
        slot.watched_ms = now_ms;
        let own_ms = slot.rest.as_ref().and_then(|rest| rest.timeout_ms);
        let default_ms = u64::try_from(self.api.setup.wait_timeout.as_millis()).unwrap_or(u64::MAX);
        let timeout_ms = own_ms.unwrap_or(default_ms).min(LONGEST_WAIT_MS);
        let start = Start {
            born_ms: if slot.born_ms == 0 { now_ms } else { slot.born_ms },
            // Who wants one look wants it now.
            ours: slot.born_ms != 0 && slot.goal != Goal::Looked,
            deadline_ms: now_ms.saturating_add(timeout_ms),
            model: self.api.entrance.pace().durations.model(model),
        };
        state.schedule.watch(key, start, now_ms);
    }

    /// Ends every job without waiting for anything.
    fn close_soon(&self) {
        let mut state = self.lock();
        state.closing = true;
        let mut stops = Vec::new();
        let mut waiting = state.lanes.take_all();
        let mut begun = Vec::new();
        for key in state.slots.keys() {
            let Some(slot) = state.slots.get(key) else { continue };
            slot.stopped = true;
            match slot.under_way.clone() {
                Some(stop) => stops.push(stop),
                None => {
                    let (task, left) = waiting.remove(&key).map(|waiting| (waiting.task, waiting.begun)).unzip();
                    begun.extend(left.flatten());
                    self.end_stopped(&mut state, key, task);
                }
            }
        }
        self.close_queue_when_done(&state);
        self.work.notify_all();
        drop(state);
        for stop in stops {
            stop.stop();
        }
    }

    fn close_queue_when_done(&self, state: &State) {
        if state.closing && state.slots.is_empty() {
            self.queue.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A bug that struck while the lock was held has closed the client; what is left is still in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.close_soon();
        let mut state = shared.lock();
        state.abandoned = true;
        let nobody_works = state.crew.in_flight() == 0;
        drop(state);
        shared.flush_journal();
        if nobody_works {
            shared.close_journal();
        }
    }
}

fn closed() -> Error {
    Error::new(Status::Closed, "the client is closed")
}

/// Different for every client, so that many do not look in step.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(Instant::now())
}
