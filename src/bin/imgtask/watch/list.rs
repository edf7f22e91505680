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

/// References that are read before anybody wants them.
const READ_AHEAD: usize = 1024;
/// Longest line that can be a reference, bytes.
const MAX_LINE: u64 = 16 * 1024;

/// What the list says next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A reference, and the number of its line: 0 for an argument.
    Task(String, u64),
    /// A line that cannot be a reference, and why.
    Unreadable(u64, String),
    /// The rest cannot be read.
    Broken(String),
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
    lines: Option<Receiver<Next>>,
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
            return Next::Task(reference, 0);
        }
        let Some(lines) = &self.lines else { return Next::End };
        match lines.try_recv() {
            Ok(next) => return next,
            Err(TryRecvError::Disconnected) => return Next::End,
            Err(TryRecvError::Empty) => self.pace.hungry.store(true, Ordering::Release),
        }
        // It may have come before the reader could know that somebody waits.
        match lines.try_recv() {
            Ok(next) => next,
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
fn read(mut input: impl BufRead, send: &SyncSender<Next>, pace: &Pace, wake: &dyn Fn()) {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let next = match input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(length) => {
                pace.bytes.fetch_add(length as u64, Ordering::AcqRel);
                let whole = line.ends_with(b"\n") || (length as u64) < MAX_LINE;
                match reference(&line, number) {
                    _ if !whole => match skip_line(&mut input) {
                        Ok(()) => Next::Unreadable(number, format!("it is longer than {MAX_LINE} bytes")),
                        Err(error) => Next::Broken(words(&error)),
                    },
                    Ok("") => continue,
                    Ok(text) => Next::Task(text.to_string(), number),
                    Err(why) => Next::Unreadable(number, why),
                }
            }
            Err(error) => Next::Broken(words(&error)),
        };
        let over = matches!(next, Next::Broken(_));
        pace.tasks.fetch_add(u64::from(!over), Ordering::AcqRel);
        if send.send(next).is_err() || over {
            return;
        }
        wake();
    }
}

/// The reference on a line; "" for an empty line and for a remark, which begins with #.
fn reference(line: &[u8], number: u64) -> Result<&str, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_string())?;
    // The mark that some editors put before a text.
    let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text }.trim();
    Ok(if text.starts_with('#') { "" } else { text })
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (length, end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(length);
        if end {
            return Ok(());
        }
    }
}

fn words(error: &io::Error) -> String {
    crate::exit::reason(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Next> {
        let (send, receive) = sync_channel(100);
        read(text, &send, &Pace::default(), &|| {});
        drop(send);
        receive.iter().collect()
    }

    fn task(text: &str, line: u64) -> Next {
        Next::Task(text.into(), line)
    }

    #[test]
    fn lines_are_references_and_keep_their_numbers() {
        let text = "\u{feff}img_1\r\n\n  img_2 \n# later\nimg_3";
        assert_eq!(all(text.as_bytes()), [task("img_1", 1), task("img_2", 3), task("img_3", 5)]);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn a_line_that_is_none_is_told_and_the_rest_goes_on() {
        let mut text = b"img_1\n\xff\xfe\n".to_vec();
        text.extend([b'x'; 3 * MAX_LINE as usize]);
        text.extend(b"\nimg_2\n");
        let next = all(&text);
        assert_eq!((&next[0], &next[3]), (&task("img_1", 1), &task("img_2", 4)));
        assert!(matches!((&next[1], &next[2]), (Next::Unreadable(2, _), Next::Unreadable(3, _))), "{next:?}");
    }
}
