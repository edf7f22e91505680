//! Where the journal is: found or made, locked, and set aside when it is damaged.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::words;

/// How often another process may get in between before that is an error.
const ATTEMPTS: usize = 20;
/// Damaged journals kept beside one path.
const MAX_ASIDE: usize = 9_999;

/// An error of the journal at a path.
pub(super) fn trouble(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(Status::Journal, format!("the journal {path:?} {what}"))
}

/// What the system refused.
pub(super) fn refused(path: &Path, what: &str, error: &io::Error) -> Error {
    Error::new(Status::Journal, format!("cannot {what} the journal {path:?}: {}", words::of_disk(error)))
}

/// A file that is locked for us alone, as long as this lives.
pub(super) struct Claim(Arc<File>);

impl Claim {
    pub(super) fn file(&self) -> &Arc<File> {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing is not enough where a child of fork has the open file too.
        unlock(&self.0);
    }
}

/// The path from the root on: the folder of the process may change later.
pub(super) fn whole(path: &Path) -> Result<PathBuf> {
    let ends_as_folder = path.to_string_lossy().ends_with(std::path::is_separator);
    if path.file_name().is_none() || ends_as_folder {
        return Err(Error::invalid(format!("the journal's path {path:?} names no file")));
    }
    std::path::absolute(path).map_err(|error| refused(path, "open", &error))
}

/// The file under the path, locked for us alone. One that is absent is begun by `begin` and gets its name when it is whole.
pub(super) fn claim(path: &Path, mut begin: impl FnMut(&Arc<File>) -> Result<()>) -> Result<Claim> {
    for _ in 0..ATTEMPTS {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                return Err(trouble(path, "is a symbolic link: give the file's own path"));
            }
            Ok(found) if found.is_dir() => return Err(trouble(path, "is a folder")),
            Ok(found) if !found.is_file() => return Err(trouble(path, "is a device or pipe, not a file")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => match create(path, &mut begin)? {
                Some(claim) => return Ok(claim),
                None => continue,
            },
            Err(error) => return Err(refused(path, "open", &error)),
        }
        let file = match open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if is_in_use(&error) => return Err(in_use(path)),
            Err(error) => return Err(refused(path, "open", &error)),
        };
        let claim = lock(path, file)?;
        // Between open and lock the name can have gone to another file.
        if matches!(whereabouts(path, claim.file()), Ok(Whereabouts::Here)) {
            return Ok(claim);
        }
    }
    Err(trouble(path, "is being replaced by another program"))
}

/// A new file under the path, or `None` when there is one now.
fn create(path: &Path, begin: &mut impl FnMut(&Arc<File>) -> Result<()>) -> Result<Option<Claim>> {
    // Private, and without a name that anyone would take for a journal until it is one.
    let temp = tempfile::Builder::new().prefix(".imgtask-").suffix(".part").tempfile_in(folder(path));
    let (file, name) = temp.map_err(|error| refused(path, "create", &error))?.into_parts();
    let claim = lock(path, file)?;
    begin(claim.file())?;
    match name.persist_noclobber(path) {
        Ok(()) => {
            sync_folder(path).map_err(|error| refused(path, "create", &error))?;
            // Windows knows no lock of ours but how a file is opened: let it be opened as any other.
            Ok(Some(claim).filter(|_| cfg!(unix)))
        }
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(refused(path, "create", &error.error)),
    }
}

fn in_use(path: &Path) -> Error {
    let who = "another client, or by a child process that one left behind";
    trouble(path, format_args!("is in use by {who}: end that first, or give each client a journal of its own"))
}

/// Whether a path still leads to the file that we hold.
pub(super) enum Whereabouts {
    Here,
    Gone,
    /// Something else has its name.
    Replaced,
}

/// Gives a damaged journal another name that nothing has yet, and says which.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..=MAX_ASIDE {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let aside = PathBuf::from(name);
        match fs::hard_link(path, &aside) {
            Ok(()) => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            // A file system without hard links.
            Err(_) => match fs::symlink_metadata(&aside) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(path, &aside)?,
                _ => continue,
            },
        }
        sync_folder(path)?;
        return Ok(aside);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // What was a file a moment ago may be a link or a pipe by now.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

#[cfg(unix)]
fn is_in_use(_: &io::Error) -> bool {
    false
}

#[cfg(unix)]
fn lock(path: &Path, file: File) -> Result<Claim> {
    use rustix::fs::{FlockOperation, flock};
    match rustix::io::retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(Claim(Arc::new(file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(in_use(path)),
        Err(error) => Err(refused(path, "lock", &error.into())),
    }
}

#[cfg(unix)]
fn unlock(file: &File) {
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
}

#[cfg(unix)]
pub(super) fn whereabouts(path: &Path, file: &File) -> io::Result<Whereabouts> {
    use std::os::unix::fs::MetadataExt as _;
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) if (found.dev(), found.ino()) == (ours.dev(), ours.ino()) => Ok(Whereabouts::Here),
        Ok(_) => Ok(Whereabouts::Replaced),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Whereabouts::Gone),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder(path)).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a folder, and one that may be written to need not be readable.
        Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
        result => result,
    }
}

// On Windows the open file is the lock: nobody else may open it, only rename it.
#[cfg(windows)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    const FILE_SHARE_DELETE: u32 = 4;
    OpenOptions::new().read(true).write(true).share_mode(FILE_SHARE_DELETE).open(path)
}

#[cfg(windows)]
fn is_in_use(error: &io::Error) -> bool {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

#[cfg(windows)]
fn lock(_: &Path, file: File) -> Result<Claim> {
    Ok(Claim(Arc::new(file)))
}

#[cfg(windows)]
fn unlock(_: &File) {}

#[cfg(windows)]
pub(super) fn whereabouts(path: &Path, _: &File) -> io::Result<Whereabouts> {
    Ok(if path.try_exists()? { Whereabouts::Here } else { Whereabouts::Gone })
}

#[cfg(windows)]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
