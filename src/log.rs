//! Lines for whoever debugs: what was asked of whom and what came of it. Never a key, a link's query or a body.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, mem};

use crate::task::Task;
use crate::words::one_line;

/// Longest line, characters.
const MAX_LINE: usize = 1_000;

/// How much the log is told; each level holds the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u32)]
#[non_exhaustive]
pub enum LogLevel {
    /// Nothing.
    #[default]
    Off = 0,
    /// Bugs of the library.
    Error = 1,
    /// Calls that failed, and what is unusual about a service.
    Warn = 2,
    /// Calls that ended well.
    Info = 3,
    /// Every look, and every exchange with the service.
    Debug = 4,
}

/// Receives the lines, on the thread of the call that caused them; those of jobs on the thread that asks for events.
pub type LogSink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// Lines kept for delivery at most.
const MAX_HELD: usize = 10_000;

thread_local! {
    /// Whether this thread is ours: it never runs what the host gave us.
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// From now on the lines of this thread are held until a call delivers them.
pub(crate) fn hold_lines_of_this_thread() {
    OURS.set(true);
}

/// A sink and how much it wants.
#[derive(Clone, Default)]
pub(crate) struct Log {
    level: LogLevel,
    sink: Option<LogSink>,
    held: Arc<Held>,
}

/// Lines of our own threads, until somebody lends a thread to tell them on.
#[derive(Default)]
struct Held {
    any: AtomicBool,
    lines: Mutex<VecDeque<(LogLevel, String)>>,
}

impl Log {
    pub(crate) fn new(level: LogLevel, sink: Option<LogSink>) -> Log {
        Log { level, sink, held: Arc::default() }
    }

    /// Tells a line, made only when somebody wants it. What a service put into it breaks no line and fills no disk.
    pub(crate) fn line(&self, level: LogLevel, text: impl FnOnce() -> String) {
        if let Some(sink) = self.sink.as_ref().filter(|_| level <= self.level) {
            let line = one_line(&text(), MAX_LINE);
            if OURS.get() { self.held.keep(level, line) } else { sink(level, &line) }
        }
    }

    /// Whether lines are held.
    pub(crate) fn holds_lines(&self) -> bool {
        self.held.any.load(Acquire)
    }

    /// Tells the lines that are held.
    pub(crate) fn deliver(&self) {
        if !self.holds_lines() {
            return;
        }
        let lines = mem::take(&mut *self.held.lock(|any| any.store(false, Release)));
        if let Some(sink) = &self.sink {
            for (level, line) in lines {
                sink(level, &line);
            }
        }
    }
}

impl Held {
    fn keep(&self, level: LogLevel, line: String) {
        let mut lines = self.lock(|any| any.store(true, Release));
        // Whoever never asks loses the oldest.
        if lines.len() >= MAX_HELD {
            lines.pop_front();
        }
        lines.push_back((level, line));
    }

    fn lock(&self, then: impl FnOnce(&AtomicBool)) -> MutexGuard<'_, VecDeque<(LogLevel, String)>> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        then(&self.any);
        lines
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
}

/// A task in one line.
pub(crate) fn task_line(task: &Task) -> String {
    let Task { id, state, progress, provider_status, .. } = task;
    match progress {
        0.. => format!("task {id} is {state} ({provider_status}), {progress} %"),
        _ => format!("task {id} is {state} ({provider_status})"),
    }
}
