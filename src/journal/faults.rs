//! The tests' way to have the disk refuse, and to see what it was asked for.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::time::Duration;

/// What the disk was asked for: everything before a wait is on it when the wait is over, of the rest nobody knows.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Wait,
}

thread_local! {
    static ASKED: RefCell<Vec<Asked>> = const { RefCell::new(Vec::new()) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static PANICS: Cell<u64> = const { Cell::new(0) };
    static SLOWNESS: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static REFUSED: RefCell<Range<u64>> = const { RefCell::new(0..0) };
}

/// How many steps this thread has asked the disk for.
pub(super) fn steps() -> u64 {
    STEPS.get()
}

/// The disk refuses these of this thread's steps: no space is left.
pub(super) fn refuse(steps: Range<u64>) {
    REFUSED.replace(steps);
}

pub(super) fn refuse_nothing() {
    refuse(0..0);
}

/// The disk takes so long for each of this thread's steps.
pub(super) fn slow(slowness: Duration) {
    SLOWNESS.set(slowness);
}

/// Asked before every step that the disk could refuse.
pub(super) fn may_step() -> io::Result<()> {
    std::thread::sleep(SLOWNESS.get());
    let step = STEPS.replace(STEPS.get() + 1);
    if REFUSED.with_borrow(|refused| refused.contains(&step)) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Whether what this thread asks the disk for is kept for [`heard`].
pub(super) fn listen(listen: bool) {
    LISTENS.set(listen);
}

/// What the disk was asked for since the last call.
pub(super) fn heard() -> Vec<Asked> {
    ASKED.take()
}

pub(super) fn ask(asked: impl FnOnce() -> Asked) {
    if LISTENS.get() {
        ASKED.with_borrow_mut(|all| all.push(asked()));
    }
}

/// How often the database panicked on this thread.
pub(super) fn panics() -> u64 {
    PANICS.get()
}

pub(super) fn count_panic(panicked: bool) {
    PANICS.set(PANICS.get() + u64::from(panicked));
}
