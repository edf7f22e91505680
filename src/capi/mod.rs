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
mod handle;
mod layout;
mod library;
mod log;
mod process;
mod sized;
mod task;
mod text;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, Result, Status};
use client::imgtask_client;
use error::imgtask_error;
use handle::Out;

// The guard below is what keeps a bug from ending the host; without unwinding it is no guard.
const _: () = assert!(cfg!(panic = "unwind"), "imgtask needs panic = \"unwind\": its C ABI turns panics into a status");

/// Runs the body of an export: no panic leaves it, and its error goes to `error`.
fn guard(error: Out<imgtask_error>, body: impl FnOnce() -> Result<()>) -> Status {
    process::prepare();
    let result = contain(body);
    match result {
        Ok(()) => Status::Ok,
        Err(failure) => {
            let status = failure.status();
            error.give_if_wanted(|| imgtask_error::boxed(&failure));
            status
        }
    }
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
        let result = contain(|| body(&client));
        if let Some(bug) = result.as_ref().err().filter(|failure| failure.status() == Status::Panic) {
            // A second panic on the way out changes nothing: the first one is reported.
            free(|| client.core.broke(bug));
        }
        result
    })
}

/// Runs the body of a free function, which has nobody to tell what went wrong.
fn free(body: impl FnOnce()) {
    let _ = contain(|| {
        body();
        Ok(())
    });
}

/// Turns a panic of `body` into an error that names the place in the source and nothing else.
fn contain(body: impl FnOnce() -> Result<()>) -> Result<()> {
    let _inside = process::silence_panics();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // A payload may panic when it is dropped.
        mem::forget(payload);
        let place = process::last_panic();
        Err(Error::new(
            Status::Panic,
            format!("a bug in imgtask {} at {place}: please report it", env!("CARGO_PKG_VERSION")),
        ))
    })
}

#[cfg(test)]
mod tests;
