//! The calls that work on the caller's thread: submit, look, wait, cancel, download.

use std::ffi::c_char;
use std::path::Path;
use std::time::Duration;

use super::bytes::imgtask_bytes;
use super::client::imgtask_client;
use super::error::imgtask_error;
use super::handle::{self, Out};
use super::task::{self, imgtask_task};
use super::{guard_client, text};
use crate::error::{Error, Result, Status};

// The header's IMGTASK_TIMEOUT_DEFAULT.
const TIMEOUT_DEFAULT: u32 = u32::MAX;

/// Bits for the parameters named flags. Each function says which it takes; any other bit is UNSUPPORTED.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum imgtask_flag {
    /// imgtask_job, imgtask_client_resume: PROGRESS events on the way.
    Progress = 1,
    /// imgtask_client_download_file, imgtask_job: an existing file stays as it is, and the call or job ends in FILE. A job whose very
    /// image is in it already, as after a crash, has its goal.
    NoReplace = 2,
    /// imgtask_bytes_decode, imgtask_job for pixels: bottom row first, as OpenGL counts them.
    FlipY = 4,
    /// imgtask_bytes_decode, imgtask_job for pixels: blue, green, red, alpha.
    Bgra = 8,
    /// imgtask_bytes_decode, imgtask_job for pixels: colours multiplied by alpha.
    Premultiply = 16,
}

/// Submits a request for an image. It is never sent twice by itself: a request that got lost on its way back is
/// SUBMIT_UNKNOWN, and may have been paid for.
///
/// @param client        the client.
/// @param request_json  the provider's own JSON object, as its documentation writes it: {"prompt": "a lighthouse at dusk"}.
/// @param out           receives the task; already final where the service answers with the image. Free it with
///                      imgtask_task_free. On failure NULL, except after SUBMIT_UNKNOWN where a task may hold what is known.
/// @param error         receives why, or NULL.
/// @return OK; NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_UTF8: nothing was sent; UNSUPPORTED where the provider has no submit;
///         RESOLVE, CONNECT, TLS, PROXY: nothing was sent; UNAUTHORIZED, PAYMENT, RATE_LIMITED, REJECTED, SERVER: the
///         service's answer (RATE_LIMITED without an HTTP status: the gate's, and nothing was sent); SUBMIT_UNKNOWN; CANCELLED; CLOSED; WRONG_PROCESS; BUSY.
///
/// Blocks for at most submit_timeout_ms, and request_timeout_ms for the gate.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_submit(
    client: *mut imgtask_client,
    request_json: *const c_char,
    out: *mut *mut imgtask_task,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let (out, error) = (Out::clear(out), Out::clear(error));
        guard_client(client, error, |client| {
            let out = out.required("out")?;
            let request_json = text::required(request_json, "request_json")?;
            task::give(client.core.submit(request_json), out)
        })
    }
}

/// Looks at a task once.
///
/// @param client    the client.
/// @param task_ref  the task's id, or the poll address the service gave (imgtask_task_info.poll_ref). An id has at most 512
///                  bytes and no '/', '?', '#' or control character. An address must be the API's own.
/// @param out       receives the task, NULL on failure. Free it with imgtask_task_free.
/// @param error     receives why, or NULL.
/// @return OK, also for a task that failed: its state says FAILED; NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_UTF8: nothing was
///         sent; NOT_FOUND: no such task, or not this key's; UNAUTHORIZED; RATE_LIMITED; SERVER; REJECTED; BAD_RESPONSE;
///         RESOLVE, CONNECT, TLS, IO, PROTOCOL, PROXY; TIMEOUT; TOO_LARGE; CANCELLED; CLOSED; WRONG_PROCESS; BUSY. A look
///         that fails says nothing about the task.
///
/// Blocks for at most request_timeout_ms, and as long again for the gate.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_fetch(
    client: *mut imgtask_client,
    task_ref: *const c_char,
    out: *mut *mut imgtask_task,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let (out, error) = (Out::clear(out), Out::clear(error));
        guard_client(client, error, |client| {
            let out = out.required("out")?;
            let task_ref = text::required(task_ref, "task_ref")?;
            task::give(client.core.fetch(task_ref), out)
        })
    }
}

/// Looks at a task, at the provider's pace, until it is final or the time is over. Looks that fail for a passing reason are
/// made again.
///
/// @param client      the client.
/// @param task_ref    as for imgtask_client_fetch.
/// @param timeout_ms  milliseconds from now. 0: one look. IMGTASK_TIMEOUT_DEFAULT: the options' wait_timeout_ms, else the
///                    provider's.
/// @param out         receives the task. Free it with imgtask_task_free. Never NULL after OK and TIMEOUT; may hold what is
///                    known after STARVED, CANCELLED and NO_IMAGE; NULL after anything else.
/// @param error       receives why, or NULL.
/// @return OK for every final state: the status speaks of the looking, imgtask_task_info.state of the task; TIMEOUT after one
///         last look: the task is still in work, wait again; STARVED: the request budget did not allow a look in time;
///         NO_IMAGE: succeeded without a usable image; CANCELLED by imgtask_client_interrupt or _close; NOT_FOUND;
///         UNAUTHORIZED; PAYMENT; REJECTED; otherwise as imgtask_client_fetch.
///
/// Blocks for timeout_ms at most, and for the last look.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_wait(
    client: *mut imgtask_client,
    task_ref: *const c_char,
    timeout_ms: u32,
    out: *mut *mut imgtask_task,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let (out, error) = (Out::clear(out), Out::clear(error));
        guard_client(client, error, |client| {
            let out = out.required("out")?;
            let task_ref = text::required(task_ref, "task_ref")?;
            let timeout = (timeout_ms != TIMEOUT_DEFAULT).then(|| Duration::from_millis(timeout_ms.into()));
            task::give(client.core.wait(task_ref, timeout), out)
        })
    }
}

/// Asks the provider to cancel a task. (To stop waiting, use imgtask_client_interrupt.)
///
/// @param client    the client.
/// @param task_ref  as for imgtask_client_fetch.
/// @param out       receives the task as the service shows it now, NULL on failure. Free it with imgtask_task_free.
/// @param error     receives why, or NULL.
/// @return OK; UNSUPPORTED where the provider has no such call; REJECTED where this task can no longer be cancelled;
///         otherwise as imgtask_client_fetch.
///
/// Blocks for at most request_timeout_ms, and as long again for the gate.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_cancel_task(
    client: *mut imgtask_client,
    task_ref: *const c_char,
    out: *mut *mut imgtask_task,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let (out, error) = (Out::clear(out), Out::clear(error));
        guard_client(client, error, |client| {
            let out = out.required("out")?;
            let task_ref = text::required(task_ref, "task_ref")?;
            task::give(client.core.cancel_task(task_ref), out)
        })
    }
}

/// Downloads one image of a task. The bytes are checked to be a whole image.
///
/// @param client       the client.
/// @param task         a task with images, of this client's service.
/// @param image_index  which image, below imgtask_task_info.image_count.
/// @param flags        0.
/// @param out          receives the image's bytes, NULL on failure. Free them with imgtask_bytes_free.
/// @param error        receives why, or NULL.
/// @return OK; NULL_ARGUMENT; NO_IMAGE: the task failed, is not finished, or succeeded without an image; INVALID_ARGUMENT for
///         an index that none of its images has; UNSUPPORTED for a flag; LINK_EXPIRED: fetch the task again; BLOCKED for an
///         address that is not allowed; BAD_IMAGE; TOO_LARGE; RESOLVE, CONNECT, TLS, IO, PROTOCOL, PROXY; TIMEOUT; SERVER;
///         RATE_LIMITED; REJECTED; RESOURCE; CANCELLED; CLOSED; WRONG_PROCESS; BUSY.
///
/// Blocks until the image is here or cannot be had: up to five tries, each ended by stall_timeout_ms without a byte, with pauses of
/// up to a minute between them. There is no limit to all of it: imgtask_client_interrupt ends it. Calls are not among the four
/// downloads that jobs have at a time from one host.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_download(
    client: *mut imgtask_client,
    task: *const imgtask_task,
    image_index: usize,
    flags: u32,
    out: *mut *mut imgtask_bytes,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let (out, error) = (Out::clear(out), Out::clear(error));
        guard_client(client, error, |client| {
            let out = out.required("out")?;
            let task = handle::borrow(task, "task")?;
            only_flags(flags, 0)?;
            let picture = client.core.download(&task.core, image_index)?;
            out.give_if_wanted(|| imgtask_bytes::of_picture(picture, client.core.max_image_pixels()));
            Ok(())
        })
    }
}

/// Downloads one image of a task into a file. Under its final name the file is whole and checked, or absent.
///
/// @param client       the client.
/// @param task         a task with images, of this client's service.
/// @param image_index  which image, below imgtask_task_info.image_count.
/// @param path         the file, in UTF-8 on every system. Its folder must exist.
/// @param flags        0 or IMGTASK_FLAG_NO_REPLACE.
/// @param out_info     receives what is known of the image, without data, NULL on failure. Free it with imgtask_bytes_free.
///                     May be NULL.
/// @param error        receives why, or NULL.
/// @return OK; FILE: the file cannot be written, or exists and may not be replaced; otherwise as imgtask_client_download.
///
/// Blocks as imgtask_client_download does. Where the process has a limit of file size (RLIMIT_FSIZE), ignore SIGXFSZ: by default the
/// system ends a process that writes beyond it. Jobs need nothing: they end in FILE.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_download_file(
    client: *mut imgtask_client,
    task: *const imgtask_task,
    image_index: usize,
    path: *const c_char,
    flags: u32,
    out_info: *mut *mut imgtask_bytes,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let (out_info, error) = (Out::clear(out_info), Out::clear(error));
        guard_client(client, error, |client| {
            let task = handle::borrow(task, "task")?;
            let path = Path::new(text::required(path, "path")?);
            only_flags(flags, imgtask_flag::NoReplace as u32)?;
            let replace = flags & imgtask_flag::NoReplace as u32 == 0;
            let saved = client.core.download_file(&task.core, image_index, path, replace)?;
            out_info.give_if_wanted(|| imgtask_bytes::of_file(&saved));
            Ok(())
        })
    }
}

/// Refuses every bit that is not among `known`.
pub(super) fn only_flags(flags: u32, known: u32) -> Result<()> {
    let unknown = flags & !known;
    if unknown == 0 {
        return Ok(());
    }
    Err(Error::new(Status::Unsupported, format!("flags has {unknown:#x}, which this call does not take")))
}
