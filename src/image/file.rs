//! A file that is whole under its final name, or absent.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::leftovers::{self, Leftovers};
use crate::error::{Error, Result, Status};
use crate::words;

/// So many bytes go to the disk at a time while more arrive, so that little is left to wait for at the end.
const EARLY_BYTES: u64 = 8 * 1024 * 1024;
/// So many bytes of two files are compared at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A file in the making: private, in the target's folder, gone when dropped.
pub(crate) struct NewFile {
    temp: NamedTempFile,
    written: u64,
    /// How much of it is on its way to the disk.
    early: u64,
    target: PathBuf,
    folder: PathBuf,
    replace: bool,
}

impl NewFile {
    /// Starts a file that will be `target`. `replace` allows an existing file (or link, never written through) to go.
    /// What killed programs left in its folder goes first.
    pub(crate) fn create(target: &Path, replace: bool, leftovers: &Leftovers) -> Result<NewFile> {
        NewFile::check(target, replace)?;
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        // Before the new file is there: a disk that is full may have room then.
        leftovers.clear(&folder);
        let temp = tempfile::Builder::new()
            .prefix(leftovers::PREFIX)
            .suffix(leftovers::SUFFIX)
            .tempfile_in(&folder)
            .map_err(|error| failed("create", target, &error))?;
        // Where the file system has no locks, nobody takes it for a leftover either.
        let _ = leftovers::hold(temp.as_file());
        Ok(NewFile { temp, written: 0, early: 0, target: target.to_path_buf(), folder, replace })
    }

    /// Refuses a name that is none, or that belongs to what must stay.
    pub(crate) fn check(target: &Path, replace: bool) -> Result<()> {
        let ends_as_folder = target.to_string_lossy().ends_with(std::path::is_separator);
        if target.file_name().is_none() || ends_as_folder {
            return Err(Error::invalid(format!("the path {target:?} names no file")));
        }
        let is = |what: &str| Err(Error::new(Status::File, format!("{target:?} is {what}")));
        match fs::symlink_metadata(target) {
            Ok(found) if found.is_dir() => is("a folder"),
            Ok(found) if !found.is_file() && !found.is_symlink() => is("a device or pipe, not a file"),
            Ok(_) if !replace => Err(exists(target)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("create", target, &error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        // The file itself: the error of the other has no number.
        self.temp.as_file_mut().write_all(bytes).map_err(|error| failed("write", &self.target, &error))?;
        self.written += bytes.len() as u64;
        if self.written - self.early >= EARLY_BYTES {
            start_to_sync(self.temp.as_file(), self.early, self.written);
            self.early = self.written;
        }
        Ok(())
    }

    /// Forgets what was written.
    pub(crate) fn restart(&mut self) -> Result<()> {
        use std::io::Seek as _;
        (self.written, self.early) = (0, 0);
        let file = self.temp.as_file_mut();
        file.set_len(0).and_then(|()| file.rewind()).map_err(|error| failed("write", &self.target, &error))
    }

    /// Gives it another final name, in the same folder: the image's type may be part of it. Whether a file that is there may go
    /// is asked at the end.
    pub(crate) fn name(&mut self, target: &Path, replace: bool) -> Result<()> {
        NewFile::check(target, true)?;
        self.target = target.to_path_buf();
        self.replace = replace;
        Ok(())
    }

    /// Puts the file under its final name: on the disk first, then the name, then the name on the disk. Where a file that must
    /// not be replaced holds the same bytes, what was asked for is there.
    pub(crate) fn finish(self) -> Result<PathBuf> {
        let file = self.temp.as_file();
        let written = set_usual_mode(file).and_then(|()| file.sync_all());
        written.map_err(|error| failed("write", &self.target, &error))?;
        // Opened before the file has its name: without a handle to spare nothing is half done.
        let folder = Folder::open(&self.folder).map_err(|error| failed("name", &self.target, &error))?;
        let named =
            if self.replace { self.temp.persist(&self.target) } else { self.temp.persist_noclobber(&self.target) };
        match named {
            Ok(_) => {}
            Err(error) if !self.replace && error.error.kind() == io::ErrorKind::AlreadyExists => {
                if !same_bytes(error.file.path(), &self.target).unwrap_or(false) {
                    return Err(exists(&self.target));
                }
            }
            Err(error) => return Err(failed("name", &self.target, &error.error)),
        }
        folder.sync().map_err(|error| failed("name", &self.target, &error))?;
        Ok(self.target)
    }
}

/// Whether two files hold the same bytes. A link or a device is never the same as a file.
fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(other)?;
    if !found.is_file() || found.len() != fs::metadata(one)?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let length = one.read(&mut left)?;
        if length == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..length])?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
    }
}

fn exists(target: &Path) -> Error {
    Error::new(Status::File, format!("{target:?} exists already and must not be replaced"))
}

/// An error of the disk in words.
fn failed(what: &str, target: &Path, error: &io::Error) -> Error {
    Error::new(Status::File, format!("cannot {what} {target:?}: {}", words::of_disk(error)))
}

/// The temporary file was private; the finished one gets the mode that any new file of this process has, where it is known.
#[cfg(unix)]
fn set_usual_mode(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    // umask(2) cannot be read without being set for every thread. Linux tells it here; where nobody does, the file stays private.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok());
    umask.map_or(Ok(()), |umask| file.set_permissions(fs::Permissions::from_mode(0o666 & !umask)))
}

#[cfg(not(unix))]
fn set_usual_mode(_: &File) -> io::Result<()> {
    Ok(())
}

/// Has the system begin to write a part to the disk, and does not wait. What comes of it is seen when the file is synced.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn start_to_sync(file: &File, from: u64, to: u64) {
    // Linux begins to write what is said to be of no more use, and keeps what is not written yet.
    let len = std::num::NonZeroU64::new(to.saturating_sub(from));
    let _ = rustix::fs::fadvise(file, from, len, rustix::fs::Advice::DontNeed);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn start_to_sync(_: &File, _: u64, _: u64) {}

/// A folder whose names are brought to the disk, where the system can.
struct Folder(#[cfg(unix)] Option<File>);

#[cfg(unix)]
impl Folder {
    fn open(path: &Path) -> io::Result<Folder> {
        match File::open(path) {
            // One that may be written to need not be readable; the name is as safe there as the file system makes it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Folder(None)),
            opened => opened.map(|folder| Folder(Some(folder))),
        }
    }

    fn sync(&self) -> io::Result<()> {
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        match self.0.as_ref().map_or(Ok(()), File::sync_all) {
            // Some file systems cannot sync a folder.
            Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
            result => result,
        }
    }
}

#[cfg(not(unix))]
impl Folder {
    fn open(_: &Path) -> io::Result<Folder> {
        Ok(Folder())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn create(target: &Path, replace: bool) -> Result<NewFile> {
        NewFile::create(target, replace, &Leftovers::default())
    }

    fn save(target: &Path, bytes: &[u8], replace: bool) -> Result<PathBuf> {
        let mut file = create(target, replace)?;
        file.write(bytes)?;
        file.finish()
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = create(&folder.path().join("a.png"), true).expect("starts");
        file.write(b"half").expect("writes");
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_restart_forgets_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.png");
        let mut file = create(&target, true).expect("starts");
        file.write(b"a long first try").expect("writes");
        file.restart().expect("restarts");
        file.write(b"second").expect("writes");
        file.finish().expect("finishes");
        assert_eq!(fs::read(&target).expect("reads"), b"second");
    }

    #[test]
    fn a_file_that_goes_to_the_disk_early_is_whole_also_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.png");
        let mut file = create(&target, true).expect("starts");
        let piece: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        for _ in 0..4 {
            file.write(&piece).expect("writes");
        }
        assert!(file.early > EARLY_BYTES, "it has begun: {}", file.early);
        file.restart().expect("restarts");
        for _ in 0..7 {
            file.write(&piece).expect("writes");
        }
        file.finish().expect("finishes");
        let written = fs::read(&target).expect("reads");
        assert!(written.len() == 7 * piece.len() && written.chunks(piece.len()).all(|part| part == piece));
    }

    #[test]
    fn an_existing_file_is_replaced_only_when_allowed() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.png");
        fs::write(&target, b"old").expect("writes");
        assert_eq!(save(&target, b"new", false).expect_err("exists").status(), Status::File);
        assert_eq!(fs::read(&target).expect("reads"), b"old");
        save(&target, b"new", true).expect("replaces");
        assert_eq!(fs::read(&target).expect("reads"), b"new");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn a_file_that_appeared_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.png");
        let file = create(&target, false).expect("starts");
        fs::write(&target, b"other").expect("writes");
        assert_eq!(file.finish().expect_err("exists").status(), Status::File);
        assert_eq!(fs::read(&target).expect("reads"), b"other");
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[test]
    fn a_file_that_is_there_with_the_same_bytes_is_what_was_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.png");
        let bytes = vec![7; 100_000];
        save(&target, &bytes, false).expect("saves");
        let again = |last: u8| {
            let mut file = create(&folder.path().join("a.part"), true).expect("starts");
            file.write(&bytes[1..]).and_then(|()| file.write(&[last])).expect("writes");
            file.name(&target, false).and_then(|()| file.finish())
        };
        assert_eq!(again(7).expect("the same"), target);
        assert_eq!(again(8).expect_err("another").status(), Status::File);
        assert_eq!(fs::read(&target).expect("reads"), bytes);
        assert_eq!(names(folder.path()), ["a.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_never_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let (precious, link) = (folder.path().join("precious"), folder.path().join("a.png"));
        fs::write(&precious, b"precious").expect("writes");
        std::os::unix::fs::symlink(&precious, &link).expect("links");
        save(&link, b"image", true).expect("saves");
        assert_eq!(fs::read(&precious).expect("reads"), b"precious");
        assert!(fs::symlink_metadata(&link).expect("there").is_file());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_new_file_has_the_mode_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("usual"), b"").expect("writes");
        let target = folder.path().join("a.png");
        save(&target, b"image", true).expect("saves");
        let mode = |name| fs::metadata(folder.path().join(name)).expect("there").permissions().mode();
        assert_eq!(mode("a.png"), mode("usual"));
    }

    #[test]
    fn a_path_that_cannot_be_written_is_a_clear_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let cases = [
            (folder.path().join("missing/a.png"), "folder does not exist"),
            (folder.path().to_path_buf(), "is a folder"),
            (folder.path().join("x".repeat(300)), "too long"),
            (PathBuf::from("/dev/null"), "device"),
        ];
        for (path, words) in cases {
            let error = save(&path, b"image", true).expect_err(words);
            assert_eq!(error.status(), Status::File, "{words}");
            assert!(error.message().contains(words), "{}", error.message());
            assert!(error.message().contains(&format!("{path:?}")), "{}", error.message());
        }
        let slash = save(&folder.path().join("new/"), b"image", true).expect_err("no file");
        assert_eq!(slash.status(), Status::InvalidArgument);
        assert!(save(Path::new(""), b"image", true).is_err());
        assert!(names(folder.path()).is_empty());
    }
}
