//! `imgtask_job`: work that runs without blocking its caller, and what ends it or brings it back.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::blocking::{imgtask_flag, only_flags};
use super::bytes::{PIXEL_FLAGS, pixel_options};
use super::client::imgtask_client;
use super::error::imgtask_error;
use super::handle::{self, Out, null};
use super::sized::{self, sized_struct};
use super::task::imgtask_task;
use super::{guard_client, text};
use crate::error::{Error, Result, Status};
use crate::fleet::{Goal, Images, Job, Source};

// The header's IMGTASK_ALL_IMAGES.
const ALL_IMAGES: usize = usize::MAX;

/// Work to be done without blocking: where it begins, how far it goes. Start from IMGTASK_INIT(imgtask_job) and set one of
/// request_json, task_ref and task, and the goal; zero means the default for the rest. Everything is copied before
/// imgtask_client_start returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_job {
    /// sizeof(imgtask_job); IMGTASK_INIT sets it.
    pub struct_size: usize,
    /// Begin with a submit of this request: the provider's own JSON object.
    pub request_json: *const c_char,
    /// Begin with a task that exists: its id, or the poll address the service gave; as for imgtask_client_fetch.
    pub task_ref: *const c_char,
    /// Begin with a task as it was seen; a final one is downloaded without another look. May be freed after the call.
    pub task: *const imgtask_task,
    /// IMGTASK_GOAL_FILE: where the image goes, in UTF-8 on every system. "{id}", "{index}" and "{ext}" are filled in: the task's
    /// id as a safe name, the image's place, the extension of the type that the bytes have. Any other brace is INVALID_ARGUMENT, and
    /// so is "{ext}" in the name of a folder. The folder must exist: a request whose image has no place to go is not sent. Two jobs
    /// of one path write over each other. A job that the journal brings back writes to the same place, also when the program was
    /// started in another folder.
    pub path: *const c_char,
    /// Your name for it, at most 256 bytes. Comes back with every event, and from the journal after a restart.
    pub label: *const c_char,
    /// Your own pointer; comes back with every event of this process and is never looked at.
    pub user_data: *mut c_void,
    /// Which image, below imgtask_task_info.image_count, or IMGTASK_ALL_IMAGES: then each has an IMAGE event of its own, and a
    /// path needs "{index}".
    pub image_index: usize,
    /// An imgtask_goal: how far it goes.
    pub goal: u32,
    /// 0 or bits: IMGTASK_FLAG_PROGRESS, IMGTASK_FLAG_NO_REPLACE; for IMGTASK_GOAL_PIXELS also IMGTASK_FLAG_FLIP_Y,
    /// IMGTASK_FLAG_BGRA, IMGTASK_FLAG_PREMULTIPLY.
    pub flags: u32,
    /// Milliseconds to watch the task at most, from the start or from the accepted submit. 0 or IMGTASK_TIMEOUT_DEFAULT: the
    /// options' wait_timeout_ms, else the provider's.
    pub timeout_ms: u32,
    /// IMGTASK_GOAL_PIXELS: longest side of the pixels; a larger image is made smaller, none is made larger. 0: as it is.
    pub max_side: u32,
}
sized_struct!(imgtask_job, last: max_side: u32);

/// Starts work that goes on by itself, on threads of the library. Never blocks for the network or the disk. The first job starts
/// a thread, further ones as many as there is work for, at most max_workers.
///
/// @param client  the client.
/// @param job     what to do; copied.
/// @param out_op  receives the job's number: never 0, below 2^53, never used again by this client. 0 on failure. May be NULL.
/// @return OK: exactly one FINAL event will come, from imgtask_client_next_event; NULL_ARGUMENT; INVALID_ARGUMENT for what cannot
///         be a job (the log sink is told why); INVALID_UTF8; UNSUPPORTED for a goal, a flag or a field that this build does not
///         know, or a provider without submit; BUSY when max_pending jobs are accepted and not delivered; RESOURCE when the
///         system gives no thread; CLOSED; WRONG_PROCESS. Every other fault arrives as the job's FINAL event, with an error.
///
/// Any thread. Several jobs may be about one task; each gets its own result.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_start(
    client: *mut imgtask_client,
    job: *const imgtask_job,
    out_op: *mut u64,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        if !out_op.is_null() {
            out_op.write(0);
        }
        guard_client(client, Out::nowhere(), |client| {
            let job = read_job(job).inspect_err(|error| client.core.refused("start", error))?;
            let op = client.core.start(job)?;
            if !out_op.is_null() {
                out_op.write(op);
            }
            Ok(())
        })
    }
}

/// Ends a job here; its task stays with the service (imgtask_client_cancel_task asks the service). Never blocks. The job still gets
/// its one FINAL event: CANCELLED, or what it came to meanwhile. Of many jobs that submit, stop the one that was started last first:
/// each that ends lets the next in line begin. imgtask_client_close ends them all at once.
///
/// @param client  the client.
/// @param op      the job's number.
/// @return OK, also when its FINAL event waits to be taken already; UNKNOWN_OP for a number that was never given, or whose FINAL
///         event was taken; NULL_ARGUMENT; WRONG_PROCESS; BUSY from inside the log sink.
///
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_stop(client: *mut imgtask_client, op: u64) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe { guard_client(client, Out::nowhere(), |client| client.core.stop(op)) }
}

/// Takes up what the journal held for this provider and base address when the client was created: call it once, and start afterwards
/// what neither came back nor was delivered before. Each job is told by a RESUMED event with its new op, its label and its task, and
/// goes on to the goal it had, with its time limit counted anew. user_data is NULL for all of them. A second call brings nothing.
///
/// What the journal promises. After a crash or a kill a job whose request was sent and whose FINAL event was not cleared comes back
/// here, with the same label and the same task id. One whose request was about to be sent, or whose answer was not written yet, comes
/// back without a task and ends in SUBMIT_UNKNOWN: the task may exist and be paid for, and the library does not send it again. What
/// does not come back was cleared, was refused by the service, or was never sent: of these start again what you have not seen the end
/// of. (A job about a task_ref is written down soon after its start; one that was not is to be started again, too.) So a job may be
/// delivered more than once, and none is lost. Its IMAGE events and files come again, too; with IMGTASK_FLAG_NO_REPLACE a file that the
/// job had finished before stays and is delivered.
///
/// @param client     the client, with a journal_path.
/// @param flags      0 or IMGTASK_FLAG_PROGRESS: progress events for all of them, also where the job had not asked for them.
/// @param out_count  receives how many came back, 0 on failure. May be NULL.
/// @param error      receives why, or NULL.
/// @return OK; JOURNAL without a journal, or when it cannot be read; UNSUPPORTED for another flag and in a build without journal;
///         RESOURCE; CLOSED;
///         NULL_ARGUMENT; WRONG_PROCESS; BUSY.
///
/// Reads the journal on the calling thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_resume(
    client: *mut imgtask_client,
    flags: u32,
    out_count: *mut usize,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let error = Out::clear(error);
        if !out_count.is_null() {
            out_count.write(0);
        }
        guard_client(client, error, |client| {
            only_flags(flags, imgtask_flag::Progress as u32)?;
            let count = client.core.resume(flags & imgtask_flag::Progress as u32 != 0)?;
            if !out_count.is_null() {
                out_count.write(count);
            }
            Ok(())
        })
    }
}

/// Drops a task from the journal: it does not come back after a restart. A job that is at work on it goes on.
///
/// @param client    the client, with a journal_path.
/// @param task_ref  as for imgtask_client_fetch.
/// @param error     receives why, or NULL.
/// @return OK; NOT_FOUND when the journal holds no such task; JOURNAL; UNSUPPORTED in a build without journal;
///         INVALID_ARGUMENT; INVALID_UTF8; NULL_ARGUMENT;
///         WRONG_PROCESS; BUSY.
///
/// Waits for the disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_forget(
    client: *mut imgtask_client,
    task_ref: *const c_char,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let error = Out::clear(error);
        guard_client(client, error, |client| client.core.forget(text::required(task_ref, "task_ref")?))
    }
}

/// Jobs accepted whose FINAL event was not taken yet.
///
/// @param client  the client; NULL gives 0, and so does a child process after a fork.
/// @return how many.
///
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_pending(client: *mut imgtask_client) -> usize {
    let mut pending = 0;
    // SAFETY: NULL or what the header asks for.
    unsafe {
        guard_client(client, Out::nowhere(), |client| {
            pending = client.core.pending();
            Ok(())
        })
    };
    pending
}

/// # Safety
/// `given` is NULL or a struct of the size it says, its strings NULL or NUL-terminated and its task NULL or alive.
unsafe fn read_job(given: *const imgtask_job) -> Result<Job> {
    // SAFETY: the caller's promise.
    let given = unsafe { sized::read(given, "job") }?;
    // SAFETY: the caller's promise.
    let string = |text, name| unsafe { text::optional(text, name) };
    let goal = Goal::ALL.iter().find(|goal| **goal as u32 == given.goal);
    let goal = *goal.ok_or_else(|| Error::invalid(format!("job->goal is {}: an imgtask_goal, 1 to 6", given.goal)))?;
    only_flags(given.flags, imgtask_flag::Progress as u32 | imgtask_flag::NoReplace as u32 | PIXEL_FLAGS)?;
    // An empty request is a mistake and not none.
    let request_json = match given.request_json.is_null() {
        true => None,
        // SAFETY: the caller's promise.
        false => Some(unsafe { text::required(given.request_json, "job->request_json") }?.to_owned()),
    };
    let task_ref = string(given.task_ref, "job->task_ref")?;
    let source = match (request_json, task_ref, given.task.is_null()) {
        (Some(request_json), None, true) => Source::Request(request_json),
        (None, Some(task_ref), true) => Source::Reference(task_ref),
        (None, None, false) => {
            // SAFETY: the caller's promise.
            let task = unsafe { handle::borrow(given.task, "job->task") }?;
            Source::Task(Box::new(task.core.clone()))
        }
        (None, None, true) => return Err(null("one of job->request_json, job->task_ref and job->task")),
        _ => return Err(Error::invalid("set one of job->request_json, job->task_ref and job->task, not several")),
    };
    Ok(Job {
        progress: given.flags & imgtask_flag::Progress as u32 != 0,
        replace: given.flags & imgtask_flag::NoReplace as u32 == 0,
        images: if given.image_index == ALL_IMAGES { Images::All } else { Images::One(given.image_index) },
        timeout: match given.timeout_ms {
            0 | u32::MAX => None,
            ms => Some(Duration::from_millis(ms.into())),
        },
        pixels: pixel_options(given.max_side, given.flags, 0),
        path: string(given.path, "job->path")?.map(Into::into),
        label: string(given.label, "job->label")?.unwrap_or_default(),
        user_data: given.user_data.expose_provenance() as u64,
        ..Job::new(source, goal)
    })
}
