//! What there is once a process: the fork counter and the live-handle counter.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::error::{Error, Result, Status};
use crate::panics;

static PREPARE: Once = Once::new();
static FORKS: AtomicU32 = AtomicU32::new(0);
static FORKS_UNSEEN: AtomicBool = AtomicBool::new(false);
static LIVE_HANDLES: AtomicUsize = AtomicUsize::new(0);

/// Sets up what the process needs, at the first call; later calls cost one load.
pub(super) fn prepare() {
    PREPARE.call_once(|| {
        FORKS_UNSEEN.store(!watch_forks(), Ordering::Relaxed);
        panics::hush();
    });
}

#[cfg(unix)]
fn watch_forks() -> bool {
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the handler only adds to an atomic number, which is allowed in a child of a process with threads; the library is
    // linked `-z nodelete`, so the handler stays where it is.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
}

#[cfg(not(unix))]
fn watch_forks() -> bool {
    true
}

/// How many forks lie between this process and the one that loaded the library.
pub(super) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Refuses to go on where a fork could not be noticed.
pub(super) fn forks_are_seen() -> Result<()> {
    if FORKS_UNSEEN.load(Ordering::Relaxed) {
        return Err(Error::new(Status::Resource, "the system has no memory for a fork handler"));
    }
    Ok(())
}

pub(super) fn handle_given() {
    LIVE_HANDLES.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn handle_taken() {
    LIVE_HANDLES.fetch_sub(1, Ordering::Relaxed);
}

pub(super) fn live_handles() -> usize {
    LIVE_HANDLES.load(Ordering::Relaxed)
}
