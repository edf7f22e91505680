//! The log sink: the one callback of the ABI, called only on the thread that is inside a call.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};

use crate::error::{Error, Result, Status};

/// How much the log sink is told; each level holds the ones before it.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // C reads every value of it.
pub enum imgtask_log_level {
    /// Nothing.
    Off = 0,
    /// Bugs of the library.
    Error = 1,
    /// Calls that failed.
    Warn = 2,
    /// Calls that ended well.
    Info = 3,
    /// Looks within a wait.
    Debug = 4,
}

/// Takes one line of the log, without a line end. The line is good until the sink returns, and never holds a key or a
/// link's query.
/// Called only on a thread that is inside an imgtask call with this client, possibly on several at once. It must return: no
/// exception and no longjmp may leave it. Calls with any client answer IMGTASK_STATUS_BUSY from inside it, except frees,
/// names and getters.
///
/// @param user_data  the options' log_user_data.
/// @param level      an imgtask_log_level: 1 to 4.
/// @param line       NUL-terminated UTF-8.
pub type imgtask_log_sink = Option<unsafe extern "C" fn(user_data: *mut c_void, level: u32, line: *const c_char)>;

thread_local! {
    static IN_SINK: Cell<bool> = const { Cell::new(false) };
}

/// A client's log.
pub(super) struct Log {
    level: u32,
    sink: imgtask_log_sink,
    user_data: *mut c_void,
}

impl Log {
    pub(super) fn new(level: u32, sink: imgtask_log_sink, user_data: *mut c_void) -> Result<Log> {
        if level > imgtask_log_level::Debug as u32 {
            return Err(Error::invalid(format!("options->log_level is {level}: 0 (off) to 4 (debug)")));
        }
        Ok(Log { level, sink, user_data })
    }

    /// Whether lines of this level are wanted.
    pub(super) fn wants(&self, level: imgtask_log_level) -> bool {
        self.sink.is_some() && level as u32 <= self.level
    }

    /// Hands the sink one line, where it wants it.
    pub(super) fn line(&self, level: imgtask_log_level, line: impl FnOnce() -> String) {
        let Some(sink) = self.sink.filter(|_| self.wants(level)) else { return };
        let mut line = line();
        line.retain(|c| c != '\0');
        let line = CString::new(line).unwrap_or_default();
        IN_SINK.set(true);
        // SAFETY: the caller gave a function of this type that stays callable while the client lives, and its own pointer.
        unsafe { sink(self.user_data, level as u32, line.as_ptr()) };
        IN_SINK.set(false);
    }
}

/// Refuses a call from inside a sink.
pub(super) fn outside_sink() -> Result<()> {
    if IN_SINK.get() {
        return Err(Error::new(Status::Busy, "called from inside the log sink: leave the sink first"));
    }
    Ok(())
}
