//! A command that runs with a sandbox around it: `imgtask sandbox -- python3 quickstart.py`.

use std::io;

use super::child::Signals;
use super::{RunningSandbox, SandboxOptions, start};

/// Starts a sandbox, runs the command of the options with every provider's address and key in its environment, and stops
/// with it. Gives the command's exit code. Signals that ask this process to end are passed on to the command.
///
/// # Errors
///
/// As [`start`], and a command that cannot be run.
pub(crate) fn run_command(options: &SandboxOptions) -> io::Result<u8> {
    let Some(program) = options.command.first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no command"));
    };
    // Before the sandbox's threads, which would take the signals otherwise.
    let signals = Signals::hold()?;
    let sandbox = start(options)?;
    let child = signals.start(&options.command, variables(&sandbox)).map_err(|error| {
        let words = format!("{} cannot be run: {error}", program.display());
        io::Error::new(io::ErrorKind::InvalidInput, words)
    })?;
    child.wait()
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
