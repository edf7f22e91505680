//! The manifest: a line of JSON for each task that is over, so that a second run leaves out what is done.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use imgtask::{Error, SavedPicture, State, Status, Task};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::memory::Fingerprint;
use crate::exit::{Exit, Outcome, Problem};
use crate::report::{ErrorReport, FailureReport, FileReport, to_line};

/// Every line begins so.
const HEAD: &[u8] = b"{\"ref\":";

/// What counts as done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// That the task is final.
    End,
    /// And one image is saved.
    OneImage,
    /// And every image is.
    AllImages,
}

pub(super) struct Manifest {
    path: PathBuf,
    file: File,
    /// Length of the lines that are whole.
    length: u64,
    /// A line could not be written.
    is_broken: bool,
    provider: String,
    done: HashSet<Fingerprint>,
}

/// A task that is over.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    id: Option<&'a str>,
    provider: &'a str,
    state: &'static str,
    images: usize,
    files: Vec<SavedReport>,
    failure: Option<FailureReport<'a>>,
    error: Option<ErrorReport<'a>>,
    looked_at_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
struct SavedReport {
    index: usize,
    #[serde(flatten)]
    file: FileReport,
}

/// What is read back of a line.
#[derive(Debug, Deserialize)]
struct Known {
    #[serde(rename = "ref")]
    reference: String,
    id: Option<String>,
    provider: String,
    state: String,
    images: usize,
    files: Vec<IgnoredAny>,
    error: Option<KnownError>,
}

#[derive(Debug, Deserialize)]
struct KnownError {
    status: String,
}

impl Manifest {
    /// Opens or begins a manifest and learns what is done. A last line that a kill has torn is taken off.
    pub(super) fn open(path: &Path, provider: &str, wanted: Wanted) -> Outcome<Manifest> {
        let problem = |doing: &'static str| move |error: io::Error| Problem::file(doing, path, &error);
        if path.exists() && !path.is_file() {
            return Err(Problem::new(Exit::File, format!("{} is not a file", path.display())));
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(problem("open"))?;
        claim(path, &file)?;
        let (done, whole, length) = known(path, &file, wanted)?;
        if whole < length {
            file.set_len(whole).map_err(problem("write"))?;
        }
        // Lines may be edited by hand: the last one need not end.
        let mut length = whole;
        if whole > 0 && last_byte(&mut file, whole).map_err(problem("read"))? != b'\n' {
            file.write_all(b"\n").map_err(problem("write"))?;
            length += 1;
        }
        let (path, provider) = (path.to_path_buf(), provider.to_string());
        Ok(Manifest { path, file, length, is_broken: false, provider, done })
    }

    /// Whether nothing is left to do for a task.
    pub(super) fn is_done(&self, name: &str) -> bool {
        !self.done.is_empty() && self.done.contains(&Fingerprint::of(&self.provider, name))
    }

    /// Adds a line in one write: a kill leaves all of it or none. Whether it was added: after a failure, which is told once,
    /// none is.
    pub(super) fn add(&mut self, entry: &Entry<'_>) -> Outcome<bool> {
        if self.is_broken {
            return Ok(false);
        }
        let mut text = to_line(entry)?;
        text.push('\n');
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            self.is_broken = true;
            // A full disk takes a part of it. Where that cannot be taken off now, the next run takes it off.
            let _ = self.file.set_len(self.length);
            return Err(Problem::file("write", &self.path, &error));
        }
        self.length += text.len() as u64;
        Ok(true)
    }

    /// Waits until every line is on the disk.
    pub(super) fn sync(&self) -> Outcome<()> {
        self.file.sync_data().map_err(|error| Problem::file("write", &self.path, &error))
    }
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        provider: &'a str,
        reference: &'a str,
        task: &'a Task,
        files: &[(usize, SavedPicture)],
        error: Option<&'a Error>,
    ) -> Entry<'a> {
        Entry {
            reference,
            id: (!task.id.is_empty()).then_some(task.id.as_str()),
            provider,
            state: task.state.name(),
            images: task.images.len(),
            files: files
                .iter()
                .map(|(index, saved)| SavedReport { index: *index, file: FileReport::new(saved) })
                .collect(),
            failure: FailureReport::of(task),
            error: error.map(ErrorReport::new),
            looked_at_ms: (task.looked_at_ms > 0).then_some(task.looked_at_ms),
        }
    }
}

impl Known {
    fn is_done(&self, wanted: Wanted) -> bool {
        let error = self.error.as_ref().map(|error| error.status.as_str());
        let saved = match wanted {
            Wanted::End => true,
            Wanted::OneImage => !self.files.is_empty(),
            Wanted::AllImages => !self.files.is_empty() && self.files.len() >= self.images,
        };
        let can_be_saved = self.state == State::Succeeded.name() && error.is_none();
        is_settled(&self.state, error) && (saved || !can_be_saved)
    }
}

/// Whether another try could change nothing of how a task ended: not so after a timeout, or trouble with the network, the key or
/// a file. By the names of its state and of its error.
pub(super) fn is_settled(state: &str, error: Option<&str>) -> bool {
    let is = |of: State| state == of.name();
    match error {
        _ if is(State::Failed) || is(State::Cancelled) || is(State::Expired) => true,
        None => is(State::Succeeded),
        Some(error) => {
            // A submit of another program that left no id: no look will ever find its task.
            error == Status::SubmitUnknown.name() || is(State::Succeeded) && error == Status::NoImage.name()
        }
    }
}

/// What the lines say: the tasks that are done, the length of the lines that are whole, and that of the file.
fn known(path: &Path, file: &File, wanted: Wanted) -> Outcome<(HashSet<Fingerprint>, u64, u64)> {
    let mut input = BufReader::with_capacity(256 * 1024, file);
    let mut done = HashSet::new();
    let (mut line, mut whole) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let length = input.read_until(b'\n', &mut line).map_err(|error| Problem::file("read", path, &error))? as u64;
        if length == 0 {
            return Ok((done, whole, whole));
        }
        match serde_json::from_slice::<Known>(&line) {
            Ok(known) if known.is_done(wanted) => {
                done.insert(Fingerprint::of(&known.provider, &known.reference));
                if let Some(id) = &known.id {
                    done.insert(Fingerprint::of(&known.provider, id));
                }
            }
            Ok(_) => {}
            Err(_) if !line.ends_with(b"\n") && is_torn(&line) => return Ok((done, whole, whole + length)),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => {
                let words = format!("line {number} of {} is none of a manifest", path.display());
                return Err(Problem::new(Exit::File, words)
                    .hint("give --manifest a file of its own; nothing was changed in this one"));
            }
        }
        whole += length;
    }
    Ok((done, whole, whole))
}

/// Whether a last line can be the beginning of one of ours.
fn is_torn(line: &[u8]) -> bool {
    line.starts_with(HEAD) || HEAD.starts_with(line)
}

fn last_byte(file: &mut File, length: u64) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

/// Two runs with one manifest would do everything twice.
#[cfg(unix)]
fn claim(path: &Path, file: &File) -> Outcome<()> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let words = format!("{} is in use by another imgtask", path.display());
            Err(Problem::new(Exit::File, words).hint("wait for it to end, or give another --manifest"))
        }
        // File systems without locks are taken as they are.
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn claim(_: &Path, _: &File) -> Outcome<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn line(reference: &str, state: State, error: Option<&Error>) -> String {
        let mut task = Task::unseen(format!("id-{reference}"), reference);
        task.state = state;
        to_line(&Entry::new("p", reference, &task, &[], error)).expect("a line") + "\n"
    }

    fn opened(text: &str, wanted: Wanted) -> (Outcome<Manifest>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        fs::write(&path, text).expect("writes");
        let manifest = Manifest::open(&path, "p", wanted);
        (manifest, fs::read_to_string(&path).expect("reads"))
    }

    #[test]
    fn a_final_state_is_done_and_a_passing_trouble_is_not() {
        let trouble = Error::new(imgtask::Status::Timeout, "too late");
        let no_image = Error::new(imgtask::Status::NoImage, "nothing in it");
        let text = [
            line("a", State::Succeeded, None),
            line("b", State::Failed, None),
            line("c", State::Running, Some(&trouble)),
            line("d", State::Succeeded, Some(&Error::new(imgtask::Status::Connect, "no connection"))),
            line("e", State::Succeeded, Some(&no_image)),
        ]
        .concat();
        let manifest = opened(&text, Wanted::End).0.expect("opens");
        let done: Vec<bool> = ["a", "b", "c", "d", "e", "f"].iter().map(|name| manifest.is_done(name)).collect();
        assert_eq!(done, [true, true, false, false, true, false]);
        assert!(manifest.is_done("id-a"), "by its id as well");
        let manifest = opened(&text, Wanted::OneImage).0.expect("opens");
        assert!(!manifest.is_done("a") && manifest.is_done("b"), "an image that was never saved is still wanted");
    }

    #[test]
    fn a_torn_last_line_is_taken_off_and_its_task_is_not_done() {
        let whole = line("a", State::Succeeded, None);
        for cut in 1..line("b", State::Succeeded, None).len() - 1 {
            let torn = &line("b", State::Succeeded, None)[..cut];
            let (manifest, text) = opened(&format!("{whole}{torn}"), Wanted::End);
            let manifest = manifest.unwrap_or_else(|problem| panic!("{torn}: {problem:?}"));
            assert!(manifest.is_done("a") && !manifest.is_done("b"), "{torn}");
            assert_eq!(text, whole);
        }
    }

    #[test]
    fn a_last_line_without_its_end_counts_and_gets_it() {
        let whole = line("a", State::Succeeded, None);
        let (manifest, text) = opened(whole.trim_end(), Wanted::End);
        assert!(manifest.expect("opens").is_done("a"));
        assert_eq!(text, whole);
    }

    #[test]
    fn a_file_that_is_no_manifest_is_refused_and_left_alone() {
        for text in
            ["notes of mine", "{\"id\": 1}\n", "img_1\nimg_2\n", &format!("{}x\n", line("a", State::Failed, None))]
        {
            let (manifest, after) = opened(text, Wanted::End);
            assert_eq!(manifest.err().expect("refused").exit, Exit::File);
            assert_eq!(after, text);
        }
    }

    #[test]
    fn after_a_line_that_could_not_be_written_none_is_and_one_error_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        let whole = line("a", State::Succeeded, None);
        fs::write(&path, &whole).expect("writes");
        let mut manifest = Manifest::open(&path, "p", Wanted::End).expect("opens");
        let task = Task::unseen("id-b", "b");
        let entry = Entry::new("p", "b", &task, &[], None);
        let file = std::mem::replace(&mut manifest.file, File::open(&path).expect("nobody can write through it"));
        assert_eq!(manifest.add(&entry).expect_err("told").exit, Exit::File);
        manifest.file = file;
        assert!(!manifest.add(&entry).expect("told before"), "its beginning might be there already");
        assert_eq!(fs::read_to_string(&path).expect("reads"), whole);
    }

    #[cfg(unix)]
    #[test]
    fn two_runs_never_share_a_manifest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.jsonl");
        let first = Manifest::open(&path, "p", Wanted::End).expect("opens");
        assert_eq!(Manifest::open(&path, "p", Wanted::End).err().expect("refused").exit, Exit::File);
        drop(first);
        assert!(Manifest::open(&path, "p", Wanted::End).is_ok());
    }
}
