//! The tasks to watch: arguments first, then a file or a pipe that need not end. Read ahead by a little and no further.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::{thread, vec};

use imgtask::Client;

use crate::exit::{Exit, Outcome, Problem};
use crate::lines::{Line, Lines};

/// References that are read before anybody wants them.
const READ_AHEAD: usize = 1024;

/// What the list says next.
pub(super) enum Next {
    Line(Line),
    /// Nothing yet.
    Later,
    End,
}

/// Where the references come from.
pub(super) enum Input {
    Arguments,
    Stdin,
    File(File, String),
}

impl Input {
    /// `-` is the standard input.
    pub(super) fn open(path: &Path) -> Outcome<Input> {
        if path == Path::new("-") {
            return Ok(Input::Stdin);
        }
        let file = File::open(path).map_err(|error| Problem::file("read", path, &error))?;
        if file.metadata().is_ok_and(|found| found.is_dir()) {
            return Err(Problem::new(Exit::File, format!("{} is a folder", path.display())));
        }
        Ok(Input::File(file, path.display().to_string()))
    }
}

/// The references that are still to come.
pub(super) struct List {
    arguments: vec::IntoIter<String>,
    lines: Option<Receiver<Line>>,
    pace: Arc<Pace>,
    /// What messages call the file.
    name: String,
    given: u64,
}

/// What reader and taker know of each other.
#[derive(Default)]
struct Pace {
    /// The taker found nothing.
    hungry: AtomicBool,
    bytes: AtomicU64,
    tasks: AtomicU64,
    /// Length of the whole file, 0 unknown.
    length: u64,
    ended: AtomicBool,
}

impl List {
    /// Begins to read. `client` is woken when something comes that was waited for.
    pub(super) fn read(arguments: Vec<String>, input: Input, client: &Client) -> Outcome<List> {
        let (source, name, length): (Option<Box<dyn Read + Send>>, String, u64) = match input {
            Input::Arguments => (None, String::new(), 0),
            Input::Stdin => (Some(Box::new(io::stdin())), "the standard input".to_string(), 0),
            Input::File(file, name) => {
                let length = file.metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 });
                (Some(Box::new(file)), name, length)
            }
        };
        let given = arguments.len() as u64;
        let pace = Arc::new(Pace { length, ended: AtomicBool::new(source.is_none()), ..Pace::default() });
        let mut lines = None;
        if let Some(source) = source {
            let (send, receive) = sync_channel(READ_AHEAD);
            let (pace, client) = (Arc::clone(&pace), client.clone());
            // Never joined: a read from a pipe cannot be ended.
            thread::Builder::new()
                .name("imgtask-list".into())
                .spawn(move || {
                    let wake = || {
                        if pace.hungry.swap(false, Ordering::AcqRel) {
                            client.interrupt();
                        }
                    };
                    read(BufReader::new(source), &send, &pace, &wake);
                    pace.ended.store(true, Ordering::Release);
                    drop(send);
                    wake();
                })
                .map_err(|_| Problem::new(Exit::File, "the system gave no thread to read the tasks"))?;
            lines = Some(receive);
        }
        Ok(List { arguments: arguments.into_iter(), lines, pace, name, given })
    }

    /// What comes next; never waits.
    pub(super) fn next(&mut self) -> Next {
        if let Some(reference) = self.arguments.next() {
            return Next::Line(Line::Task(reference, 0));
        }
        let Some(lines) = &self.lines else { return Next::End };
        match lines.try_recv() {
            Ok(line) => return Next::Line(line),
            Err(TryRecvError::Disconnected) => return Next::End,
            Err(TryRecvError::Empty) => self.pace.hungry.store(true, Ordering::Release),
        }
        // It may have come before the reader could know that somebody waits.
        match lines.try_recv() {
            Ok(line) => Next::Line(line),
            Err(TryRecvError::Disconnected) => Next::End,
            Err(TryRecvError::Empty) => Next::Later,
        }
    }

    /// What messages call the place of a line.
    pub(super) fn place(&self, line: u64) -> String {
        if line == 0 { "an argument".to_string() } else { format!("line {line} of {}", self.name) }
    }

    /// How many tasks there are in all, and whether that is known and not estimated from the part that was read.
    pub(super) fn total(&self) -> Option<(u64, bool)> {
        let tasks = self.pace.tasks.load(Ordering::Acquire);
        if self.pace.ended.load(Ordering::Acquire) {
            return Some((self.given + tasks, true));
        }
        let (bytes, length) = (self.pace.bytes.load(Ordering::Acquire), self.pace.length);
        let share = length as f64 / bytes as f64;
        (length > 0 && bytes > 0).then(|| (self.given + (tasks as f64 * share.max(1.0)) as u64, false))
    }
}

/// Reads line by line until the input ends or nobody takes.
fn read(input: impl BufRead, send: &SyncSender<Line>, pace: &Pace, wake: &dyn Fn()) {
    let mut lines = Lines::new(input);
    while let Some(line) = lines.next() {
        pace.bytes.store(lines.bytes(), Ordering::Release);
        pace.tasks.fetch_add(u64::from(!matches!(line, Line::Broken(_))), Ordering::AcqRel);
        if send.send(line).is_err() {
            return;
        }
        wake();
    }
}
