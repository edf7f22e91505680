//! What programs that were killed left behind: parts of files that nobody will finish.
//!
//! Whoever writes a part holds it: on Unix by a lock of the file, which ends with the process, elsewhere by keeping it open. So a part
//! that can be held by another is abandoned. It must be old as well, for the sake of file systems whose locks reach no other machine,
//! and of parts that are being made or renamed at this moment.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How the name of every part begins and ends.
pub(super) const PREFIX: &str = ".imgtask-";
pub(super) const SUFFIX: &str = ".part";

/// No download rests so long between two pieces of its file.
const OLD: Duration = Duration::from_secs(15 * 60);
/// In a folder of more files the search ends early; that many take less than a tenth of a second.
const MAX_FILES: usize = 100_000;
/// Folders that are remembered.
const MAX_FOLDERS: usize = 256;

/// The folders of one client in which was searched.
#[derive(Default)]
pub(crate) struct Leftovers {
    searched: Mutex<Vec<PathBuf>>,
}

impl Leftovers {
    /// Removes the abandoned parts of a folder, the first time that it is asked for.
    pub(super) fn clear(&self, folder: &Path) {
        let mut searched = self.searched.lock().unwrap_or_else(PoisonError::into_inner);
        if searched.iter().any(|known| known == folder) {
            return;
        }
        if searched.len() >= MAX_FOLDERS {
            searched.clear();
        }
        searched.push(folder.to_path_buf());
        drop(searched);
        let Ok(files) = fs::read_dir(folder) else { return };
        for file in files.take(MAX_FILES).flatten().filter(|file| is_part(&file.file_name())) {
            // Only a file: to open a pipe may wait.
            if file.file_type().is_ok_and(|kind| kind.is_file()) {
                // Where it cannot be removed, somebody else may.
                let _ = remove_abandoned(&file.path());
            }
        }
    }
}

fn is_part(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// Removes a part that nobody holds and nobody has touched for long.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let file = seize(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.modified()?.elapsed().is_ok_and(|age| age >= OLD) {
        // What can be removed while it is open is held until it is gone.
        let _held = cfg!(unix).then_some(file);
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Holds a part, so that nobody takes it for abandoned. Where the file system has no locks nobody can.
#[cfg(unix)]
pub(super) fn hold(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    Ok(rustix::io::retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive))?)
}

/// Who has it open holds it.
#[cfg(not(unix))]
pub(super) fn hold(_: &File) -> io::Result<()> {
    Ok(())
}

/// Holds a part that another process made.
#[cfg(unix)]
fn seize(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // What was a file a moment ago may be a link or a pipe by now.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    hold(&file)?;
    Ok(file)
}

#[cfg(windows)]
fn seize(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    // Opens nothing that another has open.
    fs::OpenOptions::new().read(true).share_mode(0).open(path)
}

#[cfg(not(any(unix, windows)))]
fn seize(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::super::NewFile;
    use super::*;
    use std::time::SystemTime;

    /// A part in `folder`, last written so long ago.
    fn part(folder: &Path, name: &str, age: Duration) -> File {
        let file = File::create(folder.join(name)).expect("a file");
        file.set_modified(SystemTime::now() - age).expect("a time");
        file
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_nobody_holds_and_is_old_goes_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let (young, old) = (OLD - Duration::from_secs(60), OLD + Duration::from_secs(60));
        drop(part(path, ".imgtask-gone.part", old));
        drop(part(path, ".imgtask-young.part", young));
        drop(part(path, "imgtask-mine.part", old));
        drop(part(path, ".imgtask-mine.png", old));
        fs::create_dir(path.join(".imgtask-folder.part")).expect("a folder");
        let held = part(path, ".imgtask-held.part", old);
        hold(&held).expect("a lock");
        // From tomorrow, by a clock that was wrong.
        let ahead = part(path, ".imgtask-ahead.part", old);
        ahead.set_modified(SystemTime::now() + old).expect("a time");
        Leftovers::default().clear(path);
        let kept =
            ["ahead.part", "folder.part", "held.part", "mine.png", "young.part"].map(|n| format!(".imgtask-{n}"));
        assert_eq!(names(path), [&kept[..], &["imgtask-mine.part".to_owned()]].concat());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_a_pipe_with_the_name_of_a_part_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let precious = part(folder.path(), "precious", 2 * OLD);
        drop(precious);
        std::os::unix::fs::symlink(folder.path().join("precious"), folder.path().join(".imgtask-a.part"))
            .expect("links");
        let pipe = folder.path().join(".imgtask-b.part");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .expect("pipe");
        Leftovers::default().clear(folder.path());
        assert_eq!(names(folder.path()), [".imgtask-a.part", ".imgtask-b.part", "precious"]);
        assert!(seize(&folder.path().join(".imgtask-a.part")).is_err(), "a link was followed");
    }

    #[test]
    fn a_file_in_the_making_is_held_whatever_its_age() {
        let folder = tempfile::tempdir().expect("a folder");
        let leftovers = Leftovers::default();
        let file = NewFile::create(&folder.path().join("a.png"), true, &leftovers).expect("starts");
        let path = folder.path().join(&names(folder.path())[0]);
        let seen = File::options().write(true).open(&path).expect("opens");
        seen.set_modified(SystemTime::now() - 2 * OLD).expect("a time");
        Leftovers::default().clear(folder.path());
        assert_eq!(names(folder.path()).len(), 1);
        file.finish().expect("finishes");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn a_folder_is_searched_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let leftovers = Leftovers::default();
        leftovers.clear(folder.path());
        drop(part(folder.path(), ".imgtask-late.part", 2 * OLD));
        leftovers.clear(folder.path());
        assert_eq!(names(folder.path()), [".imgtask-late.part"]);
        for n in 0..MAX_FOLDERS {
            leftovers.clear(&folder.path().join(n.to_string()));
        }
        assert!(leftovers.searched.lock().expect("a lock").len() <= MAX_FOLDERS);
    }
}
