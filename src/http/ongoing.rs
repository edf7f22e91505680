//! The call that this thread is in.
//!
//! A pooled connection serves many calls, and ureq hands a transport nothing of the call it works for. So the call lies in a
//! thread-local while ureq runs, and the transport finds the deadline, the stop and its own notes there.

use std::cell::RefCell;
use std::mem;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Call;
use super::stop::Stop;
use crate::error::Status;

/// What the call is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Lookup,
    Connect,
    Tunnel,
    Tls,
    Exchange,
}

/// Why the call ended before its answer, where our own code knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    Stopped,
    /// The call's deadline has come.
    Over,
    /// The time for one connect has come.
    SetupOver,
    /// Nothing moved for the stall limit.
    Stalled,
    /// Anything else: what it is, and what happened, as the end of a sentence that begins with the host.
    Fault(Status, String),
}

/// One call under way, and what is known of it.
pub(super) struct Ongoing {
    pub(super) stop: Arc<Stop>,
    pub(super) deadline: Instant,
    stall: Duration,
    stall_before_answer: bool,
    /// The address connected to must be public.
    pub(super) public_only: bool,
    /// Sending it twice does no harm.
    pub(super) repeatable: bool,
    /// Pooled connections are passed over.
    pub(super) fresh: bool,

    pub(super) stage: Stage,
    /// The peer at this stage is the proxy, not the host.
    pub(super) at_proxy: bool,
    /// Connectors at work: 2 while the connection to a proxy is made.
    pub(super) setup: u32,
    /// When the connect must be done.
    pub(super) setup_until: Instant,
    /// A connection was opened for this call; otherwise it is a reused one.
    pub(super) opened: bool,
    /// The stop knows the socket in use.
    attached: bool,
    /// A byte of the request may have left.
    pub(super) sent: bool,
    /// The request is out, as far as the server took it, and an answer is due.
    pub(super) waiting: bool,
    /// A byte of the answer has come.
    pub(super) answered: bool,
    /// The peer ended the connection while an answer was awaited.
    pub(super) ended: bool,
    /// Why TLS could not go on, as the end of a sentence.
    pub(super) refused: Option<&'static str>,
    pub(super) cause: Option<Cause>,
}

impl Ongoing {
    pub(super) fn new(call: &Call, public_only: bool, repeatable: bool, fresh: bool) -> Ongoing {
        Ongoing {
            stop: Arc::clone(&call.stop),
            deadline: call.deadline,
            stall: call.stall,
            stall_before_answer: call.stall_before_answer,
            public_only,
            repeatable,
            fresh,
            stage: Stage::Exchange,
            at_proxy: false,
            setup: 0,
            setup_until: call.deadline,
            opened: false,
            attached: false,
            sent: false,
            waiting: false,
            answered: false,
            ended: false,
            refused: None,
            cause: None,
        }
    }

    /// Lets the stop find the socket in use. False when the call is stopped.
    pub(super) fn attach(&mut self, stream: &Arc<TcpStream>) -> bool {
        self.attached = self.attached || self.stop.attach(stream);
        if self.attached && !self.stop.is_stopped() {
            return true;
        }
        self.cause = Some(Cause::Stopped);
        false
    }

    /// Takes the socket from the stop. False when none was attached.
    pub(super) fn detach(&mut self) -> bool {
        let was = mem::take(&mut self.attached);
        if was {
            self.stop.detach();
        }
        was
    }

    /// How long the socket may stay silent from now on, when the last byte moved at `since`, which is set to now where it
    /// is `None`. `None` when that is no time at all.
    pub(super) fn may_wait(&mut self, since: &mut Option<Instant>, for_answer: bool) -> Option<Duration> {
        if self.stop.is_stopped() {
            self.cause = Some(Cause::Stopped);
            return None;
        }
        let now = Instant::now();
        let since = since.get_or_insert(now);
        let (mut left, mut cause) = (self.deadline.saturating_duration_since(now), Cause::Over);
        if self.setup > 0 {
            let setup_left = self.setup_until.saturating_duration_since(now);
            if setup_left < left {
                (left, cause) = (setup_left, Cause::SetupOver);
            }
        } else if !for_answer || self.answered || self.stall_before_answer {
            let silent = now.saturating_duration_since(*since);
            let stall_left = self.stall.saturating_sub(silent);
            if stall_left < left {
                (left, cause) = (stall_left, Cause::Stalled);
            }
        }
        if left.is_zero() {
            self.cause = Some(cause);
            return None;
        }
        Some(left)
    }

    pub(super) fn stall(&self) -> Duration {
        self.stall
    }
}

// A stop that comes after the call must not touch a socket that serves another one by then.
impl Drop for Ongoing {
    fn drop(&mut self) {
        self.detach();
    }
}

thread_local! {
    // Boxed: it moves in and out of here several times a call.
    static CURRENT: RefCell<Option<Box<Ongoing>>> = const { RefCell::new(None) };
}

/// Runs `work` with the call in `slot` as this thread's call, and puts it back.
pub(super) fn within<T>(slot: &mut Option<Box<Ongoing>>, work: impl FnOnce() -> T) -> T {
    struct PutBack<'a>(&'a mut Option<Box<Ongoing>>);
    impl Drop for PutBack<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(slot);
    let _put_back = PutBack(slot);
    work()
}

fn swap(slot: &mut Option<Box<Ongoing>>) {
    CURRENT.with(|current| mem::swap(&mut *current.borrow_mut(), slot));
}

/// Hands this thread's call to `work`; `None` outside of one.
pub(super) fn with<T>(work: impl FnOnce(&mut Ongoing) -> T) -> Option<T> {
    CURRENT.with(|current| current.borrow_mut().as_deref_mut().map(work))
}
