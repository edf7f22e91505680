//! A program in a real terminal: what it shows there, keys that are pressed, and the window's size.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use super::{LIMIT, bounded};

/// Runs the program in a pseudo-terminal of its own: its output is this one's output, this one's input are the keys.
/// Arguments: rows, columns, the program and its arguments.
const DRIVER: &str = "
import fcntl, os, pty, select, struct, sys, termios
size = struct.pack('HHHH', int(sys.argv[1]), int(sys.argv[2]), 0, 0)
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
    os.execvp(sys.argv[3], sys.argv[3:])
keys = [0]
while True:
    ready = select.select([terminal] + keys, [], [])[0]
    if 0 in ready:
        pressed = os.read(0, 4096)
        if pressed:
            os.write(terminal, pressed)
        else:
            keys = []
    if terminal in ready:
        try:
            shown = os.read(terminal, 65536)
        except OSError:
            shown = b''
        if not shown:
            break
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(code if code >= 0 else 128 - code)
";

pub(crate) struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    pieces: Receiver<Vec<u8>>,
    shown: Vec<u8>,
}

impl Terminal {
    /// Starts a command, with its environment and folder, in a terminal of this size.
    pub(crate) fn start(command: &Command, rows: u16, columns: u16) -> Terminal {
        let mut driver = Command::new("python3");
        driver.args(["-c", DRIVER, &rows.to_string(), &columns.to_string()]);
        driver.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => driver.env(name, value),
                None => driver.env_remove(name),
            };
        }
        if !command.get_envs().any(|(name, value)| name == "TERM" && value.is_some()) {
            driver.env("TERM", "xterm-256color");
        }
        if let Some(folder) = command.get_current_dir() {
            driver.current_dir(folder);
        }
        driver.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = driver.spawn().expect("python3 starts");
        let mut out = child.stdout.take().expect("piped");
        let (send, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length @ 1..) = out.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { keys: child.stdin.take(), child, pieces, shown: Vec::new() }
    }

    /// Waits until the terminal has shown these words.
    #[track_caller]
    pub(crate) fn until(&mut self, words: &str) {
        let end = Instant::now() + LIMIT;
        while !self.text().contains(words) {
            match self.pieces.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.shown.extend(piece),
                Err(_) => panic!("the terminal never shows {words:?}:\n{}", self.text()),
            }
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        let to = self.keys.as_mut().expect("the terminal is open");
        to.write_all(keys.as_bytes()).and_then(|()| to.flush()).expect("the terminal takes keys");
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Waits for the end: the exit code, and everything that was shown.
    #[track_caller]
    pub(crate) fn end(mut self) -> (i32, String) {
        let status = bounded(&mut self.child);
        while let Ok(piece) = self.pieces.recv_timeout(LIMIT) {
            self.shown.extend(piece);
        }
        (status.code().unwrap_or(-1), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Its terminal hangs up, which ends the program.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a sequence sets a colour or a weight.
pub(crate) fn is_coloured(text: &str) -> bool {
    text.split("\x1b[")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

/// What stands in the window in the end, what has scrolled out of it included: lines as they were wrapped at its width.
pub(crate) fn screen(text: &str, rows: usize, columns: usize) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => {
                characters.next_if_eq(&'[');
                let mut arguments = String::new();
                while let Some(c) = characters.next_if(|c| !c.is_ascii_alphabetic()) {
                    arguments.push(c);
                }
                let count = arguments.parse().unwrap_or(1);
                match characters.next() {
                    // Never up into what has scrolled out.
                    Some('A') => row = row.saturating_sub(count).max(lines.len().saturating_sub(rows)),
                    Some('B') => row = (row + count).min(lines.len().max(rows) - 1),
                    Some('K') if arguments == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('J') => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    // Colours, and whether the cursor is seen.
                    Some('m' | 'h' | 'l') => {}
                    other => panic!("nobody knows what {other:?} does"),
                }
            }
            c => {
                // The last column is left when the next letter comes.
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
                lines.resize(lines.len().max(row + 1), Vec::new());
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_string()).collect()
}
