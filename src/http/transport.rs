//! One socket as ureq sees it: every read and write ends by the current call's deadline, stall limit or stop.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::connect::is_quiet;
use super::ongoing::{self, Cause, Ongoing, Stage};
use crate::error::Status;

/// A POST uses no connection that was idle for longer: the server may be closing it at this moment.
const YOUNG: Duration = Duration::from_secs(1);
/// The input buffer while a long body comes: a system call costs less than what it brings.
const WIDE_BYTES: usize = 64 * 1024;

/// A plain socket.
pub(super) struct Tcp {
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// Bytes of the input and of the output buffer of an idle connection.
    usual: (usize, usize),
    width: Width,
    read_limit: Limit,
    write_limit: Limit,
    idle_since: Instant,
    /// The server stopped taking the request; what it said before that may still be read.
    broken: Option<ErrorKind>,
}

impl Tcp {
    pub(super) fn new(stream: TcpStream, input_bytes: usize, output_bytes: usize) -> Tcp {
        Tcp {
            stream: Arc::new(stream),
            buffers: LazyBuffers::new(input_bytes, output_bytes),
            usual: (input_bytes, output_bytes),
            width: Width::Usual,
            read_limit: Limit::default(),
            write_limit: Limit::default(),
            idle_since: Instant::now(),
            broken: None,
        }
    }

    fn write(&mut self, call: &mut Ongoing, amount: usize) -> Result<(), Error> {
        if self.broken.is_some() {
            return Ok(());
        }
        if !call.attach(&self.stream) {
            return Err(ended());
        }
        let mut rest = self.buffers.output().get(..amount).unwrap_or_default();
        let mut since = None;
        let mut woke = false;
        while !rest.is_empty() {
            let left = call.may_wait(&mut since, false).ok_or_else(ended)?;
            self.write_limit.fit(left, woke, |limit| self.stream.set_write_timeout(limit))?;
            match (&*self.stream).write(rest) {
                Ok(n) => {
                    rest = rest.get(n..).unwrap_or_default();
                    call.sent |= call.setup == 0 && n > 0;
                    since = None;
                }
                Err(error) => match patience(&error) {
                    Some(waited) => woke = waited,
                    None if call.stop.is_stopped() => return Err(stopped(call)),
                    // The server has had enough of the request. It may have said why: read before giving up.
                    None if call.sent && call.setup == 0 => {
                        self.broken = Some(error.kind());
                        return Ok(());
                    }
                    None => return Err(error.into()),
                },
            }
        }
        Ok(())
    }

    fn read(&mut self, call: &mut Ongoing) -> Result<bool, Error> {
        if !call.attach(&self.stream) {
            return Err(ended());
        }
        call.waiting |= call.setup == 0;
        if self.width == Width::Full && self.buffers.input().is_empty() {
            self.buffers = LazyBuffers::new(WIDE_BYTES.max(self.usual.0), self.usual.1);
            self.width = Width::Wide;
        }
        let mut since = None;
        let mut woke = false;
        loop {
            let left = call.may_wait(&mut since, true).ok_or_else(ended)?;
            self.read_limit.fit(left, woke, |limit| self.stream.set_read_timeout(limit))?;
            let input = self.buffers.input_append_buf();
            if input.is_empty() {
                call.cause =
                    Some(Cause::Fault(Status::Protocol, "sent a header or a chunk size that is too long".into()));
                return Err(ended());
            }
            let error = match (&*self.stream).read(input) {
                Ok(n) => {
                    if n == input.len() && self.width == Width::Usual {
                        self.width = Width::Full;
                    }
                    self.buffers.input_appended(n);
                    // A socket that was shut down reads as one that ended in peace.
                    if call.stop.is_stopped() {
                        return Err(stopped(call));
                    }
                    match self.broken {
                        Some(kind) if n == 0 => return Err(Error::Io(kind.into())),
                        _ => return Ok(n > 0),
                    }
                }
                Err(error) => error,
            };
            match patience(&error) {
                Some(waited) => woke = waited,
                None if call.stop.is_stopped() => return Err(stopped(call)),
                None => return Err(error.into()),
            }
        }
    }
}

impl Transport for Tcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        ongoing::with(|call| self.write(call, amount)).unwrap_or_else(|| Err(ended()))
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        ongoing::with(|call| self.read(call)).unwrap_or_else(|| Err(ended()))
    }

    /// The pool asks twice: when a call gives its connection back, and when the next one would take it.
    fn is_open(&mut self) -> bool {
        ongoing::with(|call| if call.detach() { self.can_be_kept(call) } else { self.can_be_taken(call) })
            .unwrap_or(false)
    }
}

impl Tcp {
    /// Bytes that nobody asked for, under TLS too, must not become the next call's answer. Those still on their way are noticed
    /// when the connection is taken.
    fn can_be_kept(&mut self, call: &Ongoing) -> bool {
        self.idle_since = Instant::now();
        if self.width != Width::Usual && self.buffers.input().is_empty() {
            (self.buffers, self.width) = (LazyBuffers::new(self.usual.0, self.usual.1), Width::Usual);
        }
        self.broken.is_none() && self.buffers.input().is_empty() && !call.stop.is_stopped()
    }

    fn can_be_taken(&self, call: &Ongoing) -> bool {
        !call.fresh && (call.repeatable || self.idle_since.elapsed() <= YOUNG) && is_quiet(&self.stream)
    }
}

/// How much of a body the input buffer holds.
#[derive(PartialEq, Eq)]
enum Width {
    Usual,
    /// As usual, and one read filled it to the brim: more waits.
    Full,
    Wide,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tcp")
    }
}

/// The outermost layer, where bytes are HTTP: it sees the first byte of an answer, and an end that came too early.
#[derive(Debug)]
pub(super) struct Watched<T>(pub(super) T);

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let result = self.0.await_input(timeout);
        ongoing::with(|call| match &result {
            Ok(true) => call.answered = true,
            Ok(false) => call.ended = true,
            // ureq takes a broken connection for the end of a body without a length.
            Err(Error::Io(error)) if call.answered && call.cause.is_none() && call.stage == Stage::Exchange => {
                let (status, what) = super::fault::broken(call, error, self.0.is_tls());
                call.cause = Some(Cause::Fault(status, what));
            }
            Err(_) => {}
        });
        result
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// A timeout that a socket has. Setting it costs a system call, so that it is left alone while it does no harm: one that is
/// too short only wakes the loop around the read.
struct Limit(Duration);

impl Default for Limit {
    fn default() -> Limit {
        Limit(Duration::MAX)
    }
}

impl Limit {
    fn fit(
        &mut self,
        left: Duration,
        woke: bool,
        set: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.0 <= left && !(woke && self.0 < left / 2) {
            return Ok(());
        }
        // A little less than what is left, so that the next call, with a little less left, need not set it again.
        let limit =
            if left > Duration::from_millis(100) { left - left / 16 } else { left.max(Duration::from_millis(1)) };
        match set(Some(limit)) {
            Ok(()) => self.0 = limit,
            // macOS refuses on a socket that the peer has closed; the read or write that follows says so.
            Err(error) if cfg!(target_os = "macos") && error.kind() == ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether to try again: after a signal (false), or after the socket's own timeout (true).
fn patience(error: &io::Error) -> Option<bool> {
    // Unix names the network's own timeout so, which is final; Windows the socket's.
    const SOCKET_TIMEOUT: ErrorKind = if cfg!(windows) { ErrorKind::TimedOut } else { ErrorKind::WouldBlock };
    match error.kind() {
        ErrorKind::Interrupted => Some(false),
        ErrorKind::WouldBlock => Some(true),
        kind if kind == SOCKET_TIMEOUT => Some(true),
        _ => None,
    }
}

fn stopped(call: &mut Ongoing) -> Error {
    call.cause = Some(Cause::Stopped);
    ended()
}

/// The cause is in the call's notes; this only ends ureq's work.
fn ended() -> Error {
    Error::Io(ErrorKind::TimedOut.into())
}
