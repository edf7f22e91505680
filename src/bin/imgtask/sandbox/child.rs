//! The command around which a sandbox runs, and the signals that are for it.
//!
//! They are blocked in this process from before the command runs until its end, so that none finds nobody to take it. The command
//! gets back the mask that this process was started with, and what that ignored (`nohup`), it ignores as well.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::Pid;

/// The signals that ask a process to end, kept from ending this one before the command has ended.
pub(super) struct Signals {
    held: SigSet,
    /// The mask of before.
    before: SigSet,
}

impl Signals {
    /// Holds them in this thread, and in those that it makes.
    pub(super) fn hold() -> io::Result<Signals> {
        let held: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
        let before = held.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Signals { held, before })
    }

    /// Runs the command, and passes on to it what this process is sent and was sent since [`Signals::hold`].
    pub(super) fn start(self, words: &[OsString], variables: Vec<(String, String)>) -> io::Result<Child> {
        let text = |text: OsString| CString::new(text.into_vec());
        let words = words.iter().cloned().map(text).collect::<Result<Vec<CString>, _>>()?;
        let program = words.first().ok_or(io::ErrorKind::InvalidInput)?;

        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        let pair = |(mut name, value): (OsString, OsString)| {
            name.push("=");
            name.push(value);
            text(name)
        };
        let environment = environment.into_iter().map(pair).collect::<Result<Vec<CString>, _>>()?;

        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        attributes.set_sigmask(&self.before)?;
        // Rust's runtime ignores it in this process.
        attributes.set_sigdefault(&[Signal::SIGPIPE].into_iter().collect())?;
        let files = PosixSpawnFileActions::init()?;
        let passing = Passing::prepare(self.held)?;
        let child = posix_spawnp(program, &files, &attributes, &words, &environment)?;
        passing.begin(child);
        Ok(Child(child))
    }
}

/// The command, begun.
pub(super) struct Child(Pid);

impl Child {
    /// Waits for its end, and gives its exit code. One that a signal ended has none; shells say so with a number above 128.
    pub(super) fn wait(self) -> io::Result<u8> {
        use rustix::process::{Pid, WaitOptions, waitpid};
        loop {
            let ended = match waitpid(Pid::from_raw(self.0.as_raw()), WaitOptions::empty()) {
                Err(rustix::io::Errno::INTR) => continue,
                ended => ended?,
            };
            let code = ended.and_then(|(_, status)| {
                status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal))
            });
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
    }
}

/// Whether a terminal sends a signal of its keys: to this process and to the command. Twice would be once too often, for a second
/// Ctrl-C ends some commands at once.
fn is_of_a_key(signal: Signal) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGQUIT)
}

/// Sends the command what this process is sent.
#[cfg(target_os = "linux")]
struct Passing {
    /// What came before the command was there, whoever sent it.
    early: Vec<Signal>,
    sent: nix::sys::signalfd::SignalFd,
}

#[cfg(target_os = "linux")]
impl Passing {
    fn prepare(held: SigSet) -> io::Result<Passing> {
        use nix::sys::signalfd::{SfdFlags, SignalFd};
        let waiting = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let sent = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC)?;
        let early = std::iter::from_fn(|| waiting.read_signal().ok().flatten());
        let early = early.filter_map(|sent| signal(sent.ssi_signo)).collect();
        Ok(Passing { early, sent })
    }

    fn begin(self, to: Pid) {
        for signal in self.early {
            let _ = kill(to, signal);
        }
        std::thread::spawn(move || {
            while let Ok(Some(sent)) = self.sent.read_signal() {
                let by_a_key = sent.ssi_code == libc::SI_KERNEL;
                if let Some(signal) = signal(sent.ssi_signo).filter(|signal| !(by_a_key && is_of_a_key(*signal))) {
                    let _ = kill(to, signal);
                }
            }
        });
    }
}

#[cfg(target_os = "linux")]
fn signal(number: u32) -> Option<Signal> {
    Signal::try_from(i32::try_from(number).ok()?).ok()
}

/// Sends the command what this process is sent. Who sent it is not known here: on a terminal, a key.
#[cfg(not(target_os = "linux"))]
struct Passing(SigSet);

#[cfg(not(target_os = "linux"))]
impl Passing {
    fn prepare(held: SigSet) -> io::Result<Passing> {
        Ok(Passing(held))
    }

    fn begin(self, to: Pid) {
        use std::io::IsTerminal;
        let terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
        std::thread::spawn(move || {
            while let Ok(signal) = self.0.wait() {
                if !(terminal && is_of_a_key(signal)) {
                    let _ = kill(to, signal);
                }
            }
        });
    }
}
