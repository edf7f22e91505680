//! A command that runs with a sandbox around it: `imgtask sandbox -- python3 quickstart.py`.

use std::io;
use std::process::{Child, Command, ExitStatus};

use super::{RunningSandbox, SandboxOptions, start};

/// Starts a sandbox, runs the command of the options with every provider's address and key in its environment, and stops
/// with it. Gives the command's exit code. Signals that ask this process to end are passed on to the command.
///
/// # Errors
///
/// As [`start`], and a command that cannot be run.
pub(crate) fn run_command(options: &SandboxOptions) -> io::Result<u8> {
    let Some((program, arguments)) = options.command.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command"));
    };
    // Before the sandbox's threads, which would take the signals otherwise.
    let signals = Signals::hold();
    let sandbox = start(options)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(variables(&sandbox));
    let mut child = signals.spawn(command).map_err(|error| {
        let words = format!("{} cannot be run: {error}", program.display());
        io::Error::new(io::ErrorKind::InvalidInput, words)
    })?;
    signals.pass_on_to(&child);
    Ok(code(child.wait()?))
}

/// A command that a signal ended has no code; shells say so with a number above 128.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status.code().or(signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The signals that ask a process to end, kept from ending this one before the command has ended.
#[cfg(unix)]
struct Signals(nix::sys::signal::SigSet);

#[cfg(unix)]
impl Signals {
    fn hold() -> Signals {
        use nix::sys::signal::Signal;
        let set = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
        let signals = Signals(set);
        // Fails for a set that is none.
        let _ = signals.0.thread_block();
        // While the thread that makes the command lets signals through, a Ctrl-C must not end this process: the terminal sends it
        // to both. What a handler catches is as it was for the command.
        let _ = ctrlc::try_set_handler(|| {});
        signals
    }

    /// Runs the command with the signals let through: a child has what the thread has that makes it.
    fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let set = self.0;
        let child = std::thread::spawn(move || {
            let _ = set.thread_unblock();
            command.spawn()
        });
        child.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it broke")))
    }

    /// Sends the command what this process is sent. What a terminal sends goes to both anyway, and twice would be once too often:
    /// a second Ctrl-C ends some commands at once.
    fn pass_on_to(self, child: &Child) {
        use nix::sys::signal::{Signal, kill};
        use std::io::IsTerminal;
        let Ok(id) = i32::try_from(child.id()) else { return };
        let terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
        std::thread::spawn(move || {
            while let Ok(signal) = self.0.wait() {
                if !(terminal && matches!(signal, Signal::SIGINT | Signal::SIGQUIT | Signal::SIGHUP)) {
                    let _ = kill(nix::unistd::Pid::from_raw(id), signal);
                }
            }
        });
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn hold() -> Signals {
        Signals
    }

    fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.spawn()
    }

    fn pass_on_to(self, _: &Child) {}
}

/// The variables that the library reads by itself.
fn variables(sandbox: &RunningSandbox) -> Vec<(String, String)> {
    let mut variables = vec![("IMGTASK_SANDBOX".to_owned(), sandbox.control.clone())];
    for access in &sandbox.providers {
        let name = access.name.to_ascii_uppercase().replace('-', "_");
        variables.push((access.key_variable.to_owned(), access.key.to_owned()));
        variables.push((format!("{name}_BASE_URL"), access.base_url.clone()));
    }
    variables
}
