//! The threads: few, started when there is work, each doing one errand after another.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::errand::Errand;
use super::{MAX_HELD_BYTES, Shared, State};
use crate::api::Leave;
use crate::error::{Error, Result, Status};
use crate::http::Stop;
use crate::log::{self, LogLevel};
use crate::panics;
use crate::poll::Turn;
use crate::threads;
use crate::words::seconds;

/// A TLS exchange needs 48 KiB. The tables of a colour profile may pass over the stack, 256 KiB each; what is not used costs nothing.
const STACK_BYTES: usize = if cfg!(feature = "decode") { 1024 * 1024 } else { 256 * 1024 };
/// So long changes of the journal that nobody waits for may gather while there is other work.
const JOURNAL_PAUSE: Duration = Duration::from_millis(200);

/// Jobs that end in one go at most: thousands may end at one deadline, and a host that starts or stops one must not wait for all.
const ENDS_AT_ONCE: usize = 64;

/// Who works, and at what.
pub(super) struct Crew {
    most: usize,
    threads: usize,
    /// Threads without anything to do.
    idle: usize,
    /// The time at which some idle thread wakes by itself, so that the others need not.
    alarm_ms: Option<u64>,
    /// Calls under way, and those of them that may take minutes: submits and downloads.
    looks: usize,
    slow: usize,
    flushed: Instant,
    /// Whether the log was told that the gate cannot carry all tasks.
    told_saturated: bool,
}

impl Crew {
    pub(super) fn new(most: usize) -> Crew {
        Crew {
            most,
            threads: 0,
            idle: 0,
            alarm_ms: None,
            looks: 0,
            slow: 0,
            flushed: Instant::now(),
            told_saturated: false,
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn in_flight(&self) -> usize {
        self.looks + self.slow
    }

    /// Whether one more submit or download may be under way: some threads are kept for looks.
    fn has_room_for_slow(&self) -> bool {
        self.slow < self.most_slow()
    }

    /// Submits and downloads under way at most.
    pub(super) fn most_slow(&self) -> usize {
        self.most.saturating_sub(self.most.div_ceil(4)).max(1)
    }

    /// A thread's call will not be heard of again. Which kind it was matters no more: the fleet is closing.
    pub(super) fn give_up_one(&mut self) {
        if self.looks > 0 {
            self.looks -= 1;
        } else {
            self.slow = self.slow.saturating_sub(1);
        }
    }
}

impl Shared {
    /// Makes sure that there is a thread for one more job.
    pub(super) fn hire(self: &Arc<Shared>, state: &mut State) -> Result<()> {
        let crew = &mut state.crew;
        if crew.idle > 0 || crew.threads >= crew.most {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let name = format!("imgtask-{}", crew.threads + 1);
        match threads::spawn(name, STACK_BYTES, move || shared.work()) {
            Ok(thread) => {
                crew.threads += 1;
                self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
                Ok(())
            }
            // Those that are there do it, only later.
            Err(_) if crew.threads > 0 => Ok(()),
            Err(_) => Err(Error::new(Status::Resource, "the system gave no thread for jobs")),
        }
    }

    /// A thread's life.
    fn work(self: Arc<Shared>) {
        log::hold_lines_of_this_thread();
        loop {
            let mut job = None;
            let done = panics::contain(|| {
                let Some(errand) = self.next_errand() else { return Ok(false) };
                job = errand.job();
                self.run(errand);
                Ok(true)
            });
            match done {
                Ok(true) => {}
                Ok(false) => break,
                Err(bug) => self.broke(job, bug),
            }
            if self.api.log.holds_lines() {
                self.queue.nudge();
            }
        }
        let mut state = self.lock();
        state.crew.threads -= 1;
        let is_last_at_work = state.abandoned && state.crew.in_flight() == 0;
        self.left.notify_all();
        drop(state);
        if is_last_at_work {
            self.close_journal();
        }
    }

    /// Waits for something to do; `None` when the fleet is closing.
    fn next_errand(self: &Arc<Shared>) -> Option<Errand> {
        let mut state = self.lock();
        loop {
            if state.closing {
                return None;
            }
            let until_ms = match self.find_errand(&mut state) {
                Ok(errand) => {
                    // Somebody stays to wait for the next one.
                    if state.crew.idle > 0 {
                        if state.crew.alarm_ms.is_none() || self.journal_waits() {
                            self.work.notify_one();
                        }
                    } else {
                        let _ = self.hire(&mut state);
                    }
                    return Some(errand);
                }
                Err(until_ms) => until_ms,
            };
            let alarm_ms = until_ms.filter(|until_ms| state.crew.alarm_ms.is_none_or(|alarm_ms| *until_ms < alarm_ms));
            state.crew.idle += 1;
            match alarm_ms {
                Some(alarm_ms) => {
                    state.crew.alarm_ms = Some(alarm_ms);
                    // The clock's milliseconds are cut off: a wait of none would ask again at once.
                    let time = self.api.entrance.clock.until(alarm_ms).max(Duration::from_millis(1));
                    let woken = self.work.wait_timeout(state, time);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                    if state.crew.alarm_ms == Some(alarm_ms) {
                        state.crew.alarm_ms = None;
                    }
                }
                None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
            state.crew.idle -= 1;
        }
    }

    /// What is to be done now, else when to ask again.
    fn find_errand(&self, state: &mut State) -> std::result::Result<Errand, Option<u64>> {
        if let Some(journal) = self.journal_if_any()
            && journal.has_queued()
            && state.crew.flushed.elapsed() >= JOURNAL_PAUSE
        {
            state.crew.flushed = Instant::now();
            return Ok(Errand::Flush);
        }
        // What the host has not taken yet holds back what would bring more.
        let in_queue = self.queue.weight();
        let mut lanes_ms = None;
        if state.crew.has_room_for_slow() && in_queue <= MAX_HELD_BYTES {
            match state.lanes.next(self.api.entrance.clock.now_ms()) {
                Ok((host, waiting)) => {
                    let stop = Stop::new();
                    state.crew.slow += 1;
                    if let Some(slot) = state.slots.get(waiting.key) {
                        slot.under_way = Some(Arc::clone(&stop));
                    }
                    return Ok(Errand::Download { waiting, host, stop });
                }
                Err(opens_ms) => lanes_ms = opens_ms,
            }
        }
        let brings_more = in_queue + state.lanes.weight() <= MAX_HELD_BYTES;
        let mut ends = 0;
        loop {
            let now_ms = self.api.entrance.clock.now_ms();
            let submits = brings_more && state.crew.has_room_for_slow();
            let turn = state.schedule.next(now_ms, &mut self.api.entrance.pace(), brings_more, submits);
            match turn {
                Turn::Submit { key, pass } => {
                    let stop = Stop::new();
                    let Some(slot) = state.slots.get(key) else { continue };
                    slot.under_way = Some(Arc::clone(&stop));
                    let outgoing = slot.rest().outgoing.take();
                    state.crew.slow += 1;
                    return Ok(Errand::Submit { key, outgoing, stop, leave: Leave { pass, at_ms: now_ms } });
                }
                Turn::Look { key, pass, .. } => {
                    let stop = Stop::new();
                    let Some(slot) = state.slots.get(key) else { continue };
                    slot.under_way = Some(Arc::clone(&stop));
                    let reference = slot.reference().to_owned();
                    let id = slot.id.to_string();
                    state.crew.looks += 1;
                    return Ok(Errand::Look { key, id, reference, stop, leave: Leave { pass, at_ms: now_ms } });
                }
                Turn::End { key, end } => {
                    self.gave_up(state, key, end);
                    ends += 1;
                    if ends == ENDS_AT_ONCE {
                        return Err(Some(now_ms));
                    }
                }
                Turn::Rest { until_ms } => {
                    self.tell_saturation(state);
                    let journal_ms = self.journal_waits().then(|| {
                        let pause = JOURNAL_PAUSE.saturating_sub(state.crew.flushed.elapsed());
                        now_ms + u64::try_from(pause.as_millis()).unwrap_or(0) + 1
                    });
                    return Err([until_ms, journal_ms, lanes_ms].into_iter().flatten().min());
                }
            }
        }
    }

    /// Tells the log once when looks fall behind, and what would help.
    fn tell_saturation(&self, state: &mut State) {
        let pace = self.api.entrance.pace();
        let saturated = state.schedule.saturated(&pace);
        let (sweep_ms, per_minute) = (state.schedule.sweep_of(&pace), pace.gate.budget());
        drop(pace);
        if saturated && !state.crew.told_saturated {
            let title = self.api.title();
            self.api.log.line(LogLevel::Warn, || {
                let sweep = seconds(Duration::from_millis(sweep_ms));
                format!(
                    "{title}: saturated: at {per_minute} requests a minute it takes {sweep} to look at every task once; a higher \
                     limit, or fewer tasks at a time, brings results sooner"
                )
            });
        }
        state.crew.told_saturated = saturated;
    }

    /// A look is no longer under way. Gives the milliseconds that the next ones are taken to last: a last look starts so long before
    /// its deadline.
    pub(super) fn look_over(state: &mut State, lasted: Duration) -> u64 {
        state.crew.looks -= 1;
        u64::try_from((lasted * 4).as_millis()).unwrap_or(u64::MAX).clamp(20, 2_000)
    }

    /// A submit or a download is no longer under way.
    pub(super) fn slow_over(&self, state: &mut State) {
        state.crew.slow -= 1;
        // What waited for room goes on.
        if state.crew.idle > 0 {
            self.work.notify_one();
        }
    }
}
