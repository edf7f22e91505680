//! The tests' way to have the disk refuse.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
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

/// Asked before every step that the disk could refuse.
pub(super) fn may_step() -> io::Result<()> {
    let step = STEPS.replace(STEPS.get() + 1);
    if REFUSED.with_borrow(|refused| refused.contains(&step)) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}
