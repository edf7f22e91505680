//! What there is once a process: the fork counter, the live-handle counter, and the silence about our own panics.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::error::{Error, Result, Status};

static PREPARE: Once = Once::new();
static FORKS: AtomicU32 = AtomicU32::new(0);
static FORKS_UNSEEN: AtomicBool = AtomicBool::new(false);
static LIVE_HANDLES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static INSIDE: Cell<u32> = const { Cell::new(0) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Sets up what the process needs, at the first call; later calls cost one load.
pub(super) fn prepare() {
    PREPARE.call_once(|| {
        FORKS_UNSEEN.store(!watch_forks(), Ordering::Relaxed);
        hush_panics();
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

/// While it lives, a panic of this thread is ours: it prints nothing, and its place is kept.
pub(super) struct Silence;

pub(super) fn silence_panics() -> Silence {
    INSIDE.set(INSIDE.get() + 1);
    Silence
}

impl Drop for Silence {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

/// Where this thread panicked last: file and line. A panic's words may quote a body or a link, so they are not kept.
pub(super) fn last_panic() -> String {
    LAST_PANIC.try_with(RefCell::take).unwrap_or_default()
}

// The library prints nothing, and what a panic says may be somebody's secret. The hook belongs to this library's own copy of the
// Rust runtime (in a Rust host, to the host's: other panics go on to the hook that was there).
fn hush_panics() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if INSIDE.get() == 0 {
            return others(info);
        }
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        // A thread on its way out has no place to keep it any more.
        let _ = LAST_PANIC.try_with(|last| last.replace(place.unwrap_or_default()));
    }));
}
