//! The C ABI: guard, handles, sized structs and texts, then one file a noun.
//!
//! Glue only. Every export has the same shape: clear the out values, guard, check the arguments, one call of the core, hand
//! the result out. Doc comments of exports and their types are the C manual (cbindgen copies them into `imgtask.h`); words
//! for Rust readers stand in `//` comments.

// C names its types and functions in lower case.
#![allow(non_camel_case_types)]
// cbindgen exports only what is `pub`, and nothing outside needs these paths.
#![allow(unreachable_pub)]
// Every export is unsafe for the same reason, which the header states for its readers: pointers must be what it says.
#![allow(clippy::missing_safety_doc)]

mod blocking;
mod bytes;
mod client;
mod error;
mod event;
mod handle;
mod job;
mod layout;
mod library;
mod log;
mod process;
mod sized;
mod task;
mod text;

use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::panics::contain;
use client::imgtask_client;
use error::imgtask_error;
use handle::Out;

// The guard below is what keeps a bug from ending the host; without unwinding it is no guard.
const _: () = assert!(cfg!(panic = "unwind"), "imgtask needs panic = \"unwind\": its C ABI turns panics into a status");

/// Runs the body of an export: no panic leaves it, and its error goes to `error`.
fn guard(error: Out<imgtask_error>, body: impl FnOnce() -> Result<()>) -> Status {
    process::prepare();
    match contain(body) {
        Ok(()) => Status::Ok,
        Err(failure) => tell(&failure, error),
    }
}

// What follows a failure stands once, not in each of the exports: it is half of their code.
#[cold]
#[inline(never)]
fn tell(failure: &Error, error: Out<imgtask_error>) -> Status {
    free(|| error.give_if_wanted(|| imgtask_error::boxed(failure)));
    failure.status()
}

/// Runs the body of an export that works with a client.
///
/// # Safety
/// `client` is NULL or a client that was created and not yet freed.
unsafe fn guard_client(
    client: *const imgtask_client,
    error: Out<imgtask_error>,
    body: impl FnOnce(&imgtask_client) -> Result<()>,
) -> Status {
    guard(error, || {
        // SAFETY: the caller's promise. A share of our own keeps the client alive should it be freed during the call.
        let client: Arc<imgtask_client> = unsafe { handle::share(client, "client") }?;
        client.admit()?;
        contain(|| body(&client)).inspect_err(|failure| close_if_bug(&client, failure))
    })
}

#[cold]
#[inline(never)]
fn close_if_bug(client: &imgtask_client, failure: &Error) {
    if failure.status() == Status::Panic {
        // A second panic on the way out changes nothing: the first one is reported.
        free(|| client.core.broke(failure));
    }
}

/// Runs what has nobody to tell what went wrong: a free function, or the end of a guard.
fn free(body: impl FnOnce()) {
    let _ = contain(|| {
        body();
        Ok(())
    });
}

#[cfg(test)]
mod tests;
