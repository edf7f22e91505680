//! Threads of ours: named, with a small stack, and with no signal of the host's delivered to them.

use std::io;
use std::thread;

/// Starts a thread that runs on by itself.
pub(crate) fn spawn(
    name: String,
    stack_bytes: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    quietly(|| thread::Builder::new().name(name).stack_size(stack_bytes).spawn(body))
}

/// A thread inherits the signals that its maker blocks, so they are blocked from its first instruction on: a host's handler runs
/// on the host's own threads. What a fault of the thread itself raises stays as it is.
#[cfg(unix)]
fn quietly<T>(make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};
    let mut all = SigSet::all();
    for fault in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
        Signal::SIGABRT,
        Signal::SIGSYS,
    ] {
        all.remove(fault);
    }
    let before = all.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let made = make();
    before.thread_set_mask()?;
    made
}

#[cfg(not(unix))]
fn quietly<T>(make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    make()
}
