//! A screen for programs that want one: Xvfb on a display of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running Xvfb; it ends with this value.
pub(crate) struct Screen {
    server: Child,
    pub(crate) display: String,
}

impl Screen {
    /// Lets the server choose a display that is free, so that tests can run side by side.
    pub(crate) fn open() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts");
        let mut number = String::new();
        // Its output ends when it cannot serve, so this never waits for ever.
        let said = server.stdout.take().map(|out| BufReader::new(out).read_line(&mut number));
        let number = number.trim();
        if !matches!(said, Some(Ok(_))) || number.is_empty() {
            let _ = server.kill();
            let _ = server.wait();
            panic!("Xvfb found no display");
        }
        Self { display: format!(":{number}"), server }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
