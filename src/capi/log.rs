//! The log sink: the one callback of the ABI, called only on a thread that is inside a call.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::log::{LogLevel, LogSink};

/// Takes one line of the log, without a line end. The line is good until the sink returns, and never holds a key, a link's
/// query or a body.
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

const LEVELS: [LogLevel; 5] = [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];

/// How much the caller wants to be told.
pub(super) fn level(given: u32) -> Result<LogLevel> {
    let known = LEVELS.into_iter().find(|level| *level as u32 == given);
    known.ok_or_else(|| Error::invalid(format!("options->log_level is {given}: 0 (off) to 4 (debug)")))
}

/// The caller's sink as the core calls it.
pub(super) fn sink(function: imgtask_log_sink, user_data: *mut c_void) -> Option<LogSink> {
    let sink = CallersSink { function: function?, user_data };
    Some(Arc::new(move |level, line| sink.tell(level, line)))
}

struct CallersSink {
    function: unsafe extern "C" fn(*mut c_void, u32, *const c_char),
    user_data: *mut c_void,
}

// SAFETY: the header says that the sink is called on whatever thread is inside a call, on several at once; the pointer is only
// handed on.
unsafe impl Send for CallersSink {}
// SAFETY: as above.
unsafe impl Sync for CallersSink {}

impl CallersSink {
    fn tell(&self, level: LogLevel, line: &str) {
        let bytes = line.bytes().filter(|byte| *byte != 0).collect::<Vec<u8>>();
        let line = CString::new(bytes).unwrap_or_default();
        // A client that is freed inside the sink may tell it something, too.
        let was_inside = IN_SINK.replace(true);
        // SAFETY: the caller gave a function of this type that stays callable while the client lives, and its own pointer.
        unsafe { (self.function)(self.user_data, level as u32, line.as_ptr()) };
        IN_SINK.set(was_inside);
    }
}

/// Refuses a call from inside a sink.
pub(super) fn outside_sink() -> Result<()> {
    if IN_SINK.get() {
        return Err(Error::new(Status::Busy, "called from inside the log sink: leave the sink first"));
    }
    Ok(())
}
