//! The file of a journal: looked into through a copy, so that nothing happens to it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use imgtask::Options;

use super::Fact;
use crate::access::Access;
use crate::duration;
use crate::exit::{Exit, Problem};
use crate::save::bytes;

const ABOUT: &str = "Journal";

pub(super) fn fact(path: &Path, access: &Access) -> Fact {
    let named = |value: String| Fact::new(ABOUT, "journal", format!("{}: {value}", path.display()));
    let wrong = |problem: &Problem| Fact::problem(ABOUT, "journal", problem);
    let about = match fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => about,
        Ok(_) => {
            return named("no regular file".to_string())
                .wrong(Exit::File, "give the path of a file, not a link or a folder");
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return match folder.is_dir() {
                true => named("not there; a watch begins it".to_string()),
                false => named("its folder is not there".to_string()).wrong(Exit::File, "make the folder first"),
            };
        }
        Err(error) => return wrong(&Problem::file("look at", path, &error)),
    };
    match is_in_use(path) {
        Ok(true) => return named(format!("{}, in use by another program now", bytes(about.len()))),
        Ok(false) => {}
        Err(error) => return wrong(&Problem::file("read", path, &error)),
    }
    match open_tasks(path, access) {
        Ok(open) => {
            let age = about.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
            let age = duration::words(Duration::from_secs(age.as_secs()));
            let tasks = if open == 1 { "one task is".to_string() } else { format!("{open} tasks are") };
            named(format!("whole, {}, written {age} ago; {tasks} open with this service", bytes(about.len())))
        }
        Err(problem) => {
            // In the words for the file itself: the copy is nobody's business.
            let cure = "the next watch sets it aside and begins a new one; the manifest knows what is done";
            let damaged = problem.message.contains("damaged");
            let words = if damaged { "damaged".to_string() } else { problem.message.clone() };
            named(words).wrong(Exit::File, if damaged { cure.to_string() } else { problem.hints.join("; ") })
        }
    }
}

/// Whether another program has it open for itself.
#[cfg(unix)]
fn is_in_use(path: &Path) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    let file = File::options().read(true).write(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn is_in_use(path: &Path) -> io::Result<bool> {
    File::open(path).map(|_| false)
}

/// How many tasks a resume would bring back: every one is refused here, in a copy, so that nobody is asked about it.
fn open_tasks(path: &Path, access: &Access) -> Result<usize, Problem> {
    let folder = tempfile::tempdir().map_err(|error| Problem::file("make a copy of", path, &error))?;
    let copy = folder.path().join("copy.journal");
    fs::copy(path, &copy).map_err(|error| Problem::file("make a copy of", path, &error))?;
    let client = access.client(Options { journal_path: Some(copy), ..Options::default() })?;
    let mut open = 0;
    let resumed = client.resume_with(false, &mut |_, _| {
        open += 1;
        false
    })?;
    // A submit whose answer was never seen is not asked about, and costs nobody a request.
    client.close(Duration::from_secs(5));
    Ok(open + resumed)
}
