//! A bug of ours becomes an error that names its place in the source and nothing else.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{self, AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result, Status};

thread_local! {
    static INSIDE: Cell<u32> = const { Cell::new(0) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Turns a panic of `body` into an error.
pub(crate) fn contain<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    INSIDE.set(INSIDE.get() + 1);
    let _inside = Silence;
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(bug(payload)))
}

/// While it lives, a panic of this thread is ours: it prints nothing, and its place is kept.
struct Silence;

impl Drop for Silence {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

#[cold]
#[inline(never)]
fn bug(payload: Box<dyn Any + Send>) -> Error {
    // A payload may panic when it is dropped.
    mem::forget(payload);
    // A panic's words may quote a body or a link, so they are not kept.
    let place = LAST_PANIC.try_with(RefCell::take).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    Error::new(Status::Panic, format!("a bug in imgtask {version} at {place}: please report it"))
}

/// The C library prints nothing, and what a panic says may be somebody's secret. The hook belongs to this library's own copy of
/// the Rust runtime (in a Rust host, to the host's: other panics go on to the hook that was there).
pub(crate) fn hush() {
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
