//! The command around which a sandbox runs, where no signal is passed on: on Windows a console sends Ctrl-C to both.

use std::ffi::OsString;
use std::io;
use std::process::{Child as Process, Command};

pub(super) struct Signals;

impl Signals {
    pub(super) fn hold() -> io::Result<Signals> {
        // What is sent to both is the command's to answer.
        let _ = ctrlc::try_set_handler(|| {});
        Ok(Signals)
    }

    pub(super) fn start(self, words: &[OsString], variables: Vec<(String, String)>) -> io::Result<Child> {
        let mut words = words.iter();
        let mut command = Command::new(words.next().ok_or(io::ErrorKind::InvalidInput)?);
        command.args(words).envs(variables).spawn().map(Child)
    }
}

pub(super) struct Child(Process);

impl Child {
    /// Waits for its end, and gives its exit code.
    pub(super) fn wait(mut self) -> io::Result<u8> {
        let code = self.0.wait()?.code();
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}
