//! `imgtask_error`: what went wrong, for a program and for a person.

use std::ffi::c_char;

use super::handle::{self, Handle, Out};
use super::sized::{Place, sized_struct};
use super::text::{Arena, Text};
use super::{free, guard};
use crate::error::{Error, Retry, Status};

/// Why a call did not do what it was asked. Immutable: any number of threads may read it.
/// Every call that takes an `imgtask_error **` accepts NULL there. Otherwise it stores NULL on success and, on failure, an
/// error to free with imgtask_error_free; what the place held before is overwritten, not freed.
pub struct imgtask_error {
    text: Arena,
    status: Status,
    http_status: u32,
    retry_after_ms: i64,
    message: Text,
    provider_code: Text,
    request_id: Text,
    task_id: Text,
}

impl Handle for imgtask_error {
    type Owner = Box<imgtask_error>;
}

impl imgtask_error {
    pub(super) fn boxed(error: &Error) -> Box<imgtask_error> {
        let texts = [error.message(), error.provider_code(), error.request_id(), error.task_id()];
        let mut text = Arena::with_room(texts.iter().map(|t| t.len()).sum(), texts.len());
        let [message, provider_code, request_id, task_id] = texts.map(|t| text.keep(t));
        let retry_after_ms = match error.retry() {
            Retry::Never => -1,
            Retry::Now => 0,
            Retry::After(wait) => i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1),
        };
        let http_status = error.http_status().into();
        let status = error.status();
        Box::new(imgtask_error {
            text,
            status,
            http_status,
            retry_after_ms,
            message,
            provider_code,
            request_id,
            task_id,
        })
    }
}

/// What an error says. Strings are borrowed from the error and never NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_error_info {
    /// Set to sizeof(imgtask_error_info) before the call.
    pub struct_size: usize,
    /// One line for people: what happened, to what, and what helps. Holds no key, no link's query and no body.
    pub message: *const c_char,
    /// The service's own code, "" when it gave none.
    pub provider_code: *const c_char,
    /// The service's id of the request, for its support; "" when it gave none.
    pub request_id: *const c_char,
    /// The task it happened to, "" when none is known. Worth keeping: the task may go on at the service.
    pub task_id: *const c_char,
    /// What the call returned.
    pub status: Status,
    /// The HTTP status of the answer, 0 when there was none.
    pub http_status: u32,
    /// -1: the same call would fail again. 0: it may succeed at any time. Above 0: wait so many milliseconds first.
    pub retry_after_ms: i64,
}
sized_struct!(imgtask_error_info, last: retry_after_ms: i64);

/// The error's line for people.
///
/// @param error  the error, or NULL.
/// @return the message; "" for NULL. Borrowed: good until the error is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_error_message(error: *const imgtask_error) -> *const c_char {
    // SAFETY: NULL or an error that is not freed, as the header asks.
    match unsafe { handle::borrow(error, "error") } {
        Ok(error) => error.text.lend(error.message),
        Err(_) => c"".as_ptr(),
    }
}

/// All that the error says.
///
/// @param error  the error.
/// @param inout  set its struct_size; the rest is filled.
/// @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_error_get(error: *const imgtask_error, inout: *mut imgtask_error_info) -> Status {
    guard(Out::nowhere(), || {
        // SAFETY: NULL or what the header asks for: a struct to write and an error that is not freed.
        let (place, error) = unsafe { (Place::clear(inout, "inout")?, handle::borrow(error, "error")?) };
        place.fill(imgtask_error_info {
            struct_size: 0,
            message: error.text.lend(error.message),
            provider_code: error.text.lend(error.provider_code),
            request_id: error.text.lend(error.request_id),
            task_id: error.text.lend(error.task_id),
            status: error.status,
            http_status: error.http_status,
            retry_after_ms: error.retry_after_ms,
        });
        Ok(())
    })
}

/// Frees an error. Its strings are gone with it.
///
/// @param error  the error, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_error_free(error: *mut imgtask_error) {
    // SAFETY: NULL or an error that nobody uses any more, as the header asks.
    free(|| drop(unsafe { handle::take(error) }));
}
