//! `imgtask_event`: what happened to a job, taken on the thread that asks.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::time::Duration;

use super::bytes::imgtask_bytes;
use super::client::imgtask_client;
use super::error::imgtask_error;
use super::handle::{self, Handle, Out, Owner, null};
use super::sized::{self, Place, sized_struct};
use super::task::imgtask_task;
use super::text::{Arena, Text};
use super::{free, guard_client, process};
use crate::error::Status;
use crate::fleet::{Delivery, Event};

/// Something that happened to a job. Clear it with imgtask_event_clear when you are done with it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_event {
    /// Set to sizeof(imgtask_event) before the call.
    pub struct_size: usize,
    /// Which image it tells of, where it brings one.
    pub image_index: usize,
    /// The job's number.
    pub op: u64,
    /// The job's own pointer.
    pub user_data: *mut c_void,
    /// The job's label; good until the event is cleared. Never NULL in an event.
    pub label: *const c_char,
    /// The task as it is known, or NULL. Yours: set it to NULL to keep it through imgtask_event_clear.
    pub task: *mut imgtask_task,
    /// The image, or NULL. Yours. For IMGTASK_GOAL_FILE without data: what is known of the file.
    pub bytes: *mut imgtask_bytes,
    /// Why the job, or this image of it, failed; NULL when status is OK. Yours.
    pub error: *mut imgtask_error,
    /// The library's. Leave it alone.
    pub internal: *mut c_void,
    /// An imgtask_event_kind.
    pub kind: u32,
    /// An imgtask_goal: how far the job has come, 0 nowhere.
    pub goal: u32,
    /// FINAL: what the job came to, OK when it reached its goal. A task that failed is OK for IMGTASK_GOAL_FINISHED: its state
    /// says FAILED. IMAGE: what this image came to. OK otherwise.
    pub status: Status,
    /// Filled with 0. Set it to 1 before imgtask_event_clear to free a FINAL event that was not dealt with: the journal is not told,
    /// and the job comes back after a restart. For languages that free what nobody refers to any more.
    pub keep_in_journal: u32,
}
sized_struct!(imgtask_event, last: keep_in_journal: u32);

/// What an event keeps until it is cleared.
pub(super) struct Rest {
    text: Arena,
    label: Text,
    /// With its receipt for the journal, which clearing gives back.
    event: Option<Box<Event>>,
    forks: u32,
}

impl Handle for Rest {
    type Owner = Box<Rest>;
}

/// Takes the next event. Call it once a frame with 0, or on a thread of its own with IMGTASK_TIMEOUT_DEFAULT. It also tells the log
/// sink what the workers had to say, on this thread. What the struct held before is overwritten, not freed: clear it first.
///
/// @param client      the client.
/// @param timeout_ms  milliseconds to wait for one: 0 never waits, IMGTASK_TIMEOUT_DEFAULT waits until there is one.
/// @param inout       set its struct_size; the rest is filled. Zero when there is no event.
/// @return OK: there is an event; NO_EVENT: none came in time; CANCELLED: it waited, and imgtask_client_interrupt was called;
///         CLOSED: the client was closed, and every event was taken; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is
///         not one; WRONG_PROCESS; BUSY from inside the log sink.
///
/// Any thread, one at a time. Of each job: IMAGE and merged PROGRESS events where it asked for them, then one FINAL event, nothing
/// after it. Events that nobody takes are kept: progress is merged, and no further bodies and images are fetched while 256 MiB of
/// them wait.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_next_event(
    client: *mut imgtask_client,
    timeout_ms: u32,
    inout: *mut imgtask_event,
) -> Status {
    let mut found = Status::Ok;
    // SAFETY: NULL or what the header asks for.
    let status = unsafe {
        let place = Place::clear(inout, "inout");
        guard_client(client, Out::nowhere(), |client| {
            let place = place.inspect_err(|error| client.core.refused("next_event", error))?;
            let timeout = (timeout_ms != u32::MAX).then(|| Duration::from_millis(timeout_ms.into()));
            // Once a frame there is nothing, and that costs no error.
            match client.core.next_event(timeout)? {
                Some(event) => place.fill(given(event, client.core.max_image_pixels())),
                None => found = Status::NoEvent,
            }
            Ok(())
        })
    };
    if status == Status::Ok { found } else { status }
}

/// Frees what is still in an event and zeroes it. Clearing a FINAL event tells the journal that it arrived, whatever it told: the job
/// does not come back after a restart. So keep what it brought first. (The CANCELLED that closing a client gives to its jobs tells
/// nothing: those come back; nor does an event whose keep_in_journal was set.) Set task, bytes or error to NULL before it to keep them.
///
/// @param event  an event that imgtask_client_next_event filled, or one that is zero but for its struct_size, or NULL. Good to be
///               filled again.
///
/// Never waits for the disk: the journal is written by the library's threads, within a quarter of a second when one is free, and by
/// imgtask_client_close and imgtask_client_free. Also in the log sink, and after its client was freed or in a child after a fork; the
/// journal is then told no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_event_clear(event: *mut imgtask_event) {
    if event.is_null() {
        return;
    }
    free(|| {
        // SAFETY: not NULL, and a struct of the size it says that next_event filled or that is zero, as the header asks; its
        // handles are not used again.
        unsafe {
            let Ok(held) = sized::read(event.cast_const(), "event") else { return };
            let _cleared = Place::clear(event, "event");
            drop(handle::take(held.task));
            drop(handle::take(held.bytes));
            drop(handle::take(held.error));
            if let Some(rest) = handle::take(held.internal.cast::<Rest>())
                && let Some(mut event) = rest.event
                && held.keep_in_journal == 0
                // The journal is the parent's, and its locks may be held by threads that a child does not have.
                && rest.forks == process::forks()
            {
                event.acknowledge();
            }
        }
    });
}

/// A descriptor that is readable while events wait, and after the client was closed: for epoll, asyncio, GLib. Make it part of your
/// loop, and take events with a timeout of 0 until there is none.
///
/// @param client  the client.
/// @param out_fd  receives the descriptor, -1 on failure. The client's: neither read from it nor close it; gone when the client is freed.
/// @return OK; UNSUPPORTED on Windows; RESOURCE; NULL_ARGUMENT; WRONG_PROCESS; BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_event_fd(client: *mut imgtask_client, out_fd: *mut c_int) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        if !out_fd.is_null() {
            out_fd.write(-1);
        }
        guard_client(client, Out::nowhere(), |client| {
            if out_fd.is_null() {
                return Err(null("out_fd"));
            }
            out_fd.write(client.core.event_fd()?);
            Ok(())
        })
    }
}

/// An event as C holds it.
fn given(mut event: Event, max_pixels: u64) -> imgtask_event {
    let task = event.task.take().map(imgtask_task::boxed).map(give);
    let bytes = event.image.take().map(|image| match image {
        Delivery::Picture(picture) => imgtask_bytes::of_picture(picture, max_pixels),
        Delivery::Pixels(pixels) => imgtask_bytes::of_pixels(pixels),
        Delivery::Saved(saved) => imgtask_bytes::of_file(&saved),
    });
    let error = event.error.as_ref().map(imgtask_error::boxed).map(give);
    let status = event.status();
    let user_data = ptr::with_exposed_provenance_mut(usize::try_from(event.user_data).unwrap_or(0));
    let (op, kind, goal) = (event.op, event.kind as u32, event.goal.map_or(0, |goal| goal as u32));
    let image_index = event.image_index;
    let (label, internal) = keep(event);
    imgtask_event {
        struct_size: 0,
        image_index,
        op,
        user_data,
        label,
        task: task.unwrap_or(ptr::null_mut()),
        bytes: bytes.map(give).unwrap_or(ptr::null_mut()),
        error: error.unwrap_or(ptr::null_mut()),
        internal,
        kind,
        goal,
        status,
        keep_in_journal: 0,
    }
}

/// What stays with the event: nothing for most, so that one that is never cleared loses nothing.
fn keep(mut event: Event) -> (*const c_char, *mut c_void) {
    let wanted = event.wants_acknowledgement();
    if event.label.is_empty() && !wanted {
        return (c"".as_ptr(), ptr::null_mut());
    }
    let mut text = Arena::with_room(event.label.len(), 1);
    let label = text.keep(&event.label);
    event.error = None;
    let event = wanted.then(|| Box::new(event));
    let rest = Box::new(Rest { text, label, event, forks: process::forks() });
    let lent = rest.text.lend(rest.label);
    (lent, give::<Rest>(rest).cast())
}

/// Hands the caller a handle to free.
fn give<T: Handle>(owner: T::Owner) -> *mut T
where
    T::Owner: Owner<T>,
{
    process::handle_given();
    owner.into_raw()
}
