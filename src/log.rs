//! Lines for whoever debugs: what was asked of whom and what came of it. Never a key, a link's query or a body.

use std::fmt;
use std::sync::Arc;

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

/// Receives the lines, on the thread of the call that caused them.
pub type LogSink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// A sink and how much it wants.
#[derive(Clone, Default)]
pub(crate) struct Log {
    level: LogLevel,
    sink: Option<LogSink>,
}

impl Log {
    pub(crate) fn new(level: LogLevel, sink: Option<LogSink>) -> Log {
        Log { level, sink }
    }

    /// Tells a line, made only when somebody wants it. What a service put into it breaks no line and fills no disk.
    pub(crate) fn line(&self, level: LogLevel, text: impl FnOnce() -> String) {
        if let Some(sink) = self.sink.as_ref().filter(|_| level <= self.level) {
            sink(level, &one_line(&text(), MAX_LINE));
        }
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
