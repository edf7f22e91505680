//! Where images go: a file, a folder, or a pattern. Nothing is overwritten unless asked.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use imgtask::{Client, Error, PictureInfo, SavedPicture, Status, Task};

use crate::exit::{Exit, Outcome, Problem};

/// The names in a folder.
pub(crate) const IN_FOLDER: &str = "{id}-{index}.{ext}";
/// Longest part of a file name that a service chooses, characters.
const MAX_ID: usize = 100;

/// What `--out` says.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    place: Place,
    force: bool,
}

#[derive(Debug, Clone)]
enum Place {
    /// The standard output, for one image.
    Stdout,
    /// Exactly this file; several images are numbered.
    File(PathBuf),
    /// A path with `{id}`, `{index}` and `{ext}`.
    Pattern(PathBuf),
}

impl Target {
    /// Reads `--out`: a folder (it exists, or ends in a slash), a pattern, or a file.
    pub(crate) fn new(out: &Path, force: bool) -> Target {
        let text = out.to_string_lossy();
        let place = if text == "-" {
            Place::Stdout
        } else if is_pattern(&text) {
            Place::Pattern(out.to_path_buf())
        } else if text.ends_with(std::path::is_separator) || out.is_dir() {
            Place::Pattern(out.join(IN_FOLDER))
        } else {
            Place::File(out.to_path_buf())
        };
        Target { place, force }
    }

    /// What can be known to fail before the service is asked for anything.
    pub(crate) fn check(&self, json: bool) -> Outcome<()> {
        let path = match &self.place {
            Place::File(path) => path,
            Place::Pattern(_) => return Ok(()),
            Place::Stdout if json => {
                return Err(Problem::usage("--json and --out - both want the standard output"));
            }
            Place::Stdout if io::stdout().is_terminal() => {
                return Err(
                    Problem::usage("an image is nothing for a terminal").hint("send it on: --out - > image.png")
                );
            }
            Place::Stdout => return Ok(()),
        };
        if path.exists() && !self.force {
            return Err(Problem::new(Exit::File, format!("{} exists already", path.display()))
                .hint("give --force to replace it, or another --out"));
        }
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                Err(Problem::new(Exit::File, format!("the folder {} does not exist", folder.display()))
                    .hint("make it first, or end --out in a slash to have a folder made"))
            }
            _ => Ok(()),
        }
    }

    /// Whether images go to the standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// Saves one image whole, or leaves nothing under its name.
    pub(crate) fn save(&self, client: &Client, task: &Task, index: usize) -> Result<SavedPicture, Error> {
        match &self.place {
            Place::Stdout => pipe(client, task, index),
            Place::File(path) if task.images.len() <= 1 => client.download_file(task, index, path, self.force),
            Place::File(path) => client.download_file(task, index, &numbered(path, index), self.force),
            Place::Pattern(pattern) => self.save_as(pattern, client, task, index),
        }
    }

    /// The extension is known when the bytes are: the image arrives beside its place and is renamed into it.
    fn save_as(&self, pattern: &Path, client: &Client, task: &Task, index: usize) -> Result<SavedPicture, Error> {
        let folder = match pattern.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => {
                PathBuf::from(fill(&folder.to_string_lossy(), task, index, None))
            }
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&folder).map_err(|error| failed("make", &folder, &error))?;
        // A name that the library knows for a part, should this process be killed.
        let stage = tempfile::Builder::new()
            .prefix(".imgtask-")
            .suffix(".part")
            .tempfile_in(&folder)
            .map_err(|error| failed("write into", &folder, &error))?
            .into_temp_path();
        let staged = client.download_file(task, index, &stage, true)?;
        let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = folder.join(fill(&name, task, index, Some(&staged.info)));
        let path = path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path);
        if self.force {
            stage.persist(&path).map_err(|refused| failed("write", &path, &refused.error))?;
        } else {
            match stage.persist_noclobber(&path) {
                Ok(()) => {}
                // The same image again: what was asked for is there.
                Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists && same(&refused.path, &path) => {}
                Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                    let message = format!("{} exists already; --force replaces it", path.display());
                    return Err(Error::new(Status::File, message));
                }
                Err(refused) => return Err(failed("write", &path, &refused.error)),
            }
        }
        Ok(SavedPicture { path, info: staged.info })
    }
}

/// Whether a path has something to fill in.
pub(crate) fn is_pattern(path: &str) -> bool {
    ["{id}", "{index}", "{ext}"].iter().any(|name| path.contains(name))
}

/// Writes one image to the standard output, when all of it is there and checked.
fn pipe(client: &Client, task: &Task, index: usize) -> Result<SavedPicture, Error> {
    let picture = client.download(task, index)?;
    let mut out = io::stdout().lock();
    match out.write_all(&picture.data).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Status::File, "cannot write the image to the standard output"))
        }
        _ => Ok(SavedPicture { path: PathBuf::from("-"), info: picture.info }),
    }
}

/// Whether two files hold the same bytes.
fn same(one: &Path, other: &Path) -> bool {
    let lengths = fs::metadata(one).and_then(|one| Ok(one.len() == fs::metadata(other)?.len()));
    lengths.unwrap_or(false) && fs::read(one).and_then(|one| Ok(one == fs::read(other)?)).unwrap_or(false)
}

/// `cat.png` for image 2 of several: `cat-2.png`.
fn numbered(path: &Path, index: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{index}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{index}"),
    };
    path.with_file_name(name)
}

/// Fills in what a pattern asks for. The service chooses the id: only harmless characters of it become a name.
fn fill(pattern: &str, task: &Task, index: usize, info: Option<&PictureInfo>) -> String {
    let mut id: String = task
        .id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .take(MAX_ID)
        .collect();
    if id.starts_with(['.', '-']) {
        id.insert(0, '_');
    }
    if id.is_empty() {
        let sha256 = info.map_or("", |info| info.sha256.as_str());
        id = format!("image-{}", sha256.get(..12).unwrap_or(sha256));
    }
    let extension = info.map_or("", |info| info.extension);
    pattern.replace("{id}", &id).replace("{index}", &index.to_string()).replace("{ext}", extension)
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(Status::File, Problem::file(doing, path, error).message)
}

/// What to say of an image: `1024 x 1024 PNG, 1.2 MB`.
pub(crate) fn words(info: &PictureInfo) -> String {
    let size = if info.width > 0 { format!("{} x {} ", info.width, info.height) } else { String::new() };
    format!("{size}{}, {}", kind(info), bytes(info.len))
}

/// The name of an image's format: `PNG`.
pub(crate) fn kind(info: &PictureInfo) -> String {
    match info.media_type.rsplit('/').next() {
        Some("webp") => "WebP".to_string(),
        Some(kind) => kind.to_uppercase(),
        None => String::new(),
    }
}

/// A length for people.
pub(crate) fn bytes(length: u64) -> String {
    match length {
        0..1000 => format!("{length} B"),
        1000..1_000_000 => format!("{:.0} kB", length as f64 / 1e3),
        _ => format!("{:.1} MB", length as f64 / 1e6),
    }
}

/// Whether the name promises another format than the bytes have.
pub(crate) fn name_misleads(saved: &SavedPicture) -> bool {
    let Some(named) = saved.path.extension().map(|e| e.to_string_lossy().to_lowercase()) else { return false };
    let same = |a: &str, b: &str| a == b || matches!((a, b), ("jpeg" | "jpe" | "jfif", "jpg"));
    let known = ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "avif", "bmp", "tif", "tiff"];
    known.contains(&named.as_str()) && !same(&named, saved.info.extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(extension: &'static str) -> PictureInfo {
        PictureInfo { extension, sha256: "0123456789abcdef".into(), ..PictureInfo::default() }
    }

    #[test]
    fn an_id_of_the_service_cannot_leave_the_folder() {
        let name = |id: &str| fill(IN_FOLDER, &Task::unseen(id, id), 1, Some(&info("png")));
        assert_eq!(name("img_1"), "img_1-1.png");
        assert_eq!(name("../../etc/passwd"), "_.._.._etc_passwd-1.png");
        assert_eq!(name("-rf"), "_-rf-1.png");
        assert_eq!(name("C:\\x"), "C__x-1.png");
        assert_eq!(name(""), "image-0123456789ab-1.png");
    }

    #[test]
    fn several_images_for_one_file_name_are_numbered() {
        assert_eq!(numbered(Path::new("a/cat.png"), 2), Path::new("a/cat-2.png"));
        assert_eq!(numbered(Path::new("cat"), 0), Path::new("cat-0"));
    }

    #[test]
    fn a_name_that_promises_another_format_is_noticed() {
        let saved = |path: &str, extension| SavedPicture { path: path.into(), info: info(extension) };
        assert!(name_misleads(&saved("cat.jpg", "png")));
        assert!(!name_misleads(&saved("cat.JPEG", "jpg")));
        assert!(!name_misleads(&saved("cat", "png")));
        assert!(!name_misleads(&saved("cat.v2", "png")));
    }

    #[test]
    fn lengths_are_written_for_people() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(21_400), "21 kB");
        assert_eq!(bytes(1_240_000), "1.2 MB");
    }
}
