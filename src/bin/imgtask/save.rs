//! Where images go: a file, a folder, or a pattern. Nothing is overwritten unless asked.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use imgtask::{Client, Error, PathPattern, PictureInfo, SavedPicture, Status, Task};
use serde_json::{Map, Value};

use crate::exit::{Exit, Outcome, Problem};
use crate::settings::{Set, Source};

/// Names that are tried before a request is paid for.
const MOST_NAMES: u64 = 1000;
/// How requests say the number of images.
const COUNTS: [&str; 3] = ["n", "num_images", "num_outputs"];
/// The types that services mostly send.
const USUAL: [&str; 3] = ["png", "jpg", "webp"];
/// The names in a folder.
const IN_FOLDER: &str = "{id}-{index}.{ext}";

/// What a request says of the files that will come of it, where it says it as most services have it.
#[derive(Debug, Default)]
pub(crate) struct Asked(Map<String, Value>);

impl Asked {
    /// As far as it can be read; a request that cannot is refused elsewhere.
    pub(crate) fn of(request: &str) -> Asked {
        Asked(serde_json::from_str(request).unwrap_or_default())
    }

    /// At least one, and as many as any member says; names are tried for the first few.
    fn images(&self) -> usize {
        let count = |name: &str| {
            let value = self.0.get(name)?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        let most = COUNTS.into_iter().filter_map(count).max();
        most.map_or(1, |count| count.clamp(1, MOST_NAMES) as usize)
    }

    /// "" where the request does not say.
    fn extension(&self) -> &'static str {
        match self.0.get("output_format").and_then(Value::as_str) {
            Some("png") => "png",
            Some("jpeg" | "jpg") => "jpg",
            Some("webp") => "webp",
            _ => "",
        }
    }
}

/// What `--out`, `--name-pattern` and `--force` say.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    place: Place,
    force: bool,
}

#[derive(Debug, Clone)]
enum Place {
    /// The standard output, for one image.
    Stdout,
    /// In a folder that must exist.
    File(PathPattern),
    /// In a folder that is made.
    Folder(PathPattern),
}

impl Target {
    /// Reads `--out`: a folder (it exists, ends in a slash, or there is a `--name-pattern`), a pattern, or a file.
    ///
    /// A `--name-pattern` that is said for all commands names the files of a folder, and makes none.
    pub(crate) fn new(out: &Path, names: Option<&Set<String>>, force: bool) -> Outcome<Target> {
        let text = out.to_string_lossy();
        let is_given = names.is_some_and(Set::is_given);
        let place = if text == "-" {
            if is_given {
                return Err(Problem::usage("--name-pattern names files, and - is none"));
            }
            Place::Stdout
        } else if is_given || text.ends_with(std::path::is_separator) || !is_pattern(&text) && out.is_dir() {
            Place::Folder(in_folder(out, names)?)
        } else if is_pattern(&text) {
            Place::Folder(pattern(out)?)
        } else {
            Place::File(pattern(out)?)
        };
        Ok(Target { place, force })
    }

    /// What can be known to fail before the service is asked for anything. `tasks`: how many there are to be saved.
    pub(crate) fn check(&self, json: Option<&Source>, tasks: usize) -> Outcome<()> {
        let (pattern, is_made) = match &self.place {
            Place::File(pattern) => (pattern, false),
            Place::Folder(pattern) => (pattern, true),
            Place::Stdout if json.is_some() => {
                let source = json.map_or_else(String::new, Source::to_string);
                let problem = Problem::usage(format!("{source} and --out - both want the standard output"));
                return Err(match json {
                    Some(Source::Argument(_)) | None => problem,
                    Some(_) => problem.hint("IMGTASK_JSON=0 before the command takes it back"),
                });
            }
            Place::Stdout if tasks > 1 => {
                return Err(Problem::usage(format!("there are {tasks} tasks, and - takes one image")));
            }
            Place::Stdout if io::stdout().is_terminal() => {
                return Err(
                    Problem::usage("an image is nothing for a terminal").hint("send it on: --out - > image.png")
                );
            }
            Place::Stdout => return Ok(()),
        };
        if tasks > 1 && !pattern.has_id() {
            let problem = Problem::usage(format!("the images of {tasks} tasks would have one name"));
            return Err(problem.hint("put {id} into it, or give a folder: --out pictures/"));
        }
        let path = pattern.as_path();
        match fs::symlink_metadata(path) {
            Ok(found) if pattern.is_fixed() && !found.is_file() && !found.is_symlink() => {
                let shown = path.display();
                return Err(Problem::new(Exit::File, format!("{shown} is no file, and no image can have its name")));
            }
            Ok(_) if pattern.is_fixed() && !self.force => {
                return Err(Problem::new(Exit::File, format!("{} exists already", path.display()))
                    .hint("give --force to replace it, or another --out"));
            }
            _ => {}
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // What is there of the way to it.
        let there = folder.and_then(|folder| folder.ancestors().find(|folder| folder.exists()));
        match (folder, there) {
            (_, Some(there)) if !there.is_dir() => {
                Err(Problem::new(Exit::File, format!("{} is not a folder", there.display())))
            }
            (Some(folder), there) if !is_made && there != Some(folder) => {
                Err(Problem::new(Exit::File, format!("the folder {} does not exist", folder.display()))
                    .hint("make it first, or end --out in a slash to have a folder made"))
            }
            _ => Ok(()),
        }
    }

    /// What images that are about to be paid for would find taken, as far as their names are known.
    pub(crate) fn check_images(&self, asked: &Asked) -> Outcome<()> {
        let images = asked.images();
        let (Place::File(pattern) | Place::Folder(pattern)) = &self.place else {
            return match images {
                2.. => Err(Problem::usage(format!("the request is for {images} images, and - takes one"))),
                _ => Ok(()),
            };
        };
        // An id is new.
        if self.force || pattern.has_id() {
            return Ok(());
        }
        // Where the request asks for no type, any may come.
        let asked = [asked.extension()];
        let extensions = if asked == [""] { &USUAL[..] } else { &asked[..] };
        let pattern = match images > 1 && !pattern.has_index() {
            true => self::pattern(&numbered(pattern.as_path()))?,
            false => pattern.clone(),
        };
        let names = extensions.iter().flat_map(|&extension| {
            let info = PictureInfo { extension, ..PictureInfo::default() };
            let pattern = &pattern;
            (0..images).map(move |index| pattern.fill("", index, &info))
        });
        match names.into_iter().find(|path| fs::symlink_metadata(path).is_ok()) {
            Some(path) => Err(Problem::new(Exit::File, format!("{} exists already", path.display()))
                .hint("nothing was submitted: give --force to replace it, or another --out")),
            None => Ok(()),
        }
    }

    /// Makes the folder of images that are about to be paid for, as far as its name is known, and tries whether files can be
    /// made there.
    pub(crate) fn prepare(&self) -> Outcome<()> {
        let (Place::File(pattern) | Place::Folder(pattern)) = &self.place else { return Ok(()) };
        // As long as a name will be, and not longer.
        let info = PictureInfo { extension: "png", ..PictureInfo::default() };
        let likely = pattern.fill("0", 0, &info);
        match fs::symlink_metadata(&likely) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(Problem::file("write", pattern.as_path(), &error));
            }
            _ => {}
        }
        let known = |folder: &&Path| !is_pattern(&folder.to_string_lossy());
        let folder = pattern.as_path().ancestors().skip(1).find(known).filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if matches!(self.place, Place::Folder(_)) {
            fs::create_dir_all(folder).map_err(|error| Problem::file("make", folder, &error))?;
        }
        // Without a name, so that nothing is left of it.
        let tried = tempfile::tempfile_in(folder);
        tried.map(drop).map_err(|error| Problem::file("make a file in", folder, &error))
    }

    /// Whether images go to the standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// Saves one image whole, or leaves nothing under its name.
    ///
    /// `several`: others of this task go there as well.
    pub(crate) fn save(
        &self,
        client: &Client,
        task: &Task,
        index: usize,
        several: bool,
    ) -> Result<SavedPicture, Error> {
        let pattern = match &self.place {
            Place::Stdout => return pipe(client, task, index),
            Place::File(pattern) | Place::Folder(pattern) if several && !pattern.has_index() => {
                &PathPattern::new(numbered(pattern.as_path()))?
            }
            Place::File(pattern) | Place::Folder(pattern) => pattern,
        };
        if matches!(self.place, Place::Folder(_)) {
            let folder = pattern.folder(&task.id, index);
            fs::create_dir_all(&folder).map_err(|error| failed("make", &folder, &error))?;
        }
        client.download_as(task, index, pattern, self.force)
    }

    /// What helps against an error of [`Target::save`].
    pub(crate) fn hint(&self, error: &Error) -> Option<&'static str> {
        let exists = error.status() == Status::File && error.message().contains("exists already");
        (exists && !self.force).then_some("--force replaces files that exist")
    }
}

/// Whether a path has something to fill in.
pub(crate) fn is_pattern(path: &str) -> bool {
    ["{id}", "{index}", "{ext}"].iter().any(|name| path.contains(name))
}

/// A pattern whose every brace can be filled in.
pub(crate) fn pattern(path: &Path) -> Outcome<PathPattern> {
    PathPattern::new(path).map_err(|error| {
        let problem = Problem::usage(format!("{}: {}", path.display(), error.message()));
        problem.hint("for example: --out 'pictures/{id}-{index}.{ext}'")
    })
}

/// The files of a folder, named by `--name-pattern` or as usual.
pub(crate) fn in_folder(folder: &Path, names: Option<&Set<String>>) -> Outcome<PathPattern> {
    let name = names.map_or(IN_FOLDER, |names| &names.value);
    if matches!(name, "" | "." | "..") || name.contains(['/', '\\']) {
        let who = names.map_or_else(String::new, |names| names.source.to_string());
        let problem = Problem::usage(format!("{who} names a file, and {name:?} is no file's name"));
        return Err(problem
            .hint("folders belong into --out, for example: --out 'pictures/{id}' --name-pattern '{index}.{ext}'"));
    }
    if folder.is_file() {
        return Err(Problem::usage(format!("{} is a file, and --name-pattern wants a folder", folder.display())));
    }
    let is_meant = folder.is_dir() || folder.to_string_lossy().ends_with(std::path::is_separator);
    if names.is_some_and(Set::is_given) && !is_meant && promised(folder).is_some() {
        let file = folder.display();
        return Err(Problem::usage(format!(
            "--name-pattern names the files of a folder, and {file} looks like a file"
        ))
        .hint(format!("give the folder, for example: --out pictures/, or {file}/ if it is to be one")));
    }
    let path = folder.join(name);
    pattern(path.strip_prefix(".").unwrap_or(&path))
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

/// `cat-{index}.png` for several images that are to be `cat.png`.
fn numbered(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{{index}}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{{index}}"),
    };
    path.with_file_name(name)
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
    let Some(named) = promised(&saved.path) else { return false };
    let same = |a: &str, b: &str| a == b || matches!((a, b), ("jpeg" | "jpe" | "jfif", "jpg"));
    !same(&named, saved.info.extension)
}

/// The format of images that a name promises.
fn promised(path: &Path) -> Option<String> {
    let known = ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "avif", "bmp", "tif", "tiff"];
    let named = path.extension()?.to_string_lossy().to_lowercase();
    known.contains(&named.as_str()).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(extension: &'static str) -> PictureInfo {
        PictureInfo { extension, sha256: "0123456789abcdef".into(), ..PictureInfo::default() }
    }

    fn named(names: &str) -> Set<String> {
        Set { value: names.to_string(), source: Source::Argument("--name-pattern".to_string()) }
    }

    fn path(out: &str, names: Option<&str>) -> PathBuf {
        match Target::new(Path::new(out), names.map(named).as_ref(), false).expect("a target").place {
            Place::File(pattern) => pattern.as_path().to_path_buf(),
            Place::Folder(pattern) => Path::new("made").join(pattern.as_path()),
            Place::Stdout => PathBuf::from("-"),
        }
    }

    #[test]
    fn out_is_a_file_a_folder_or_a_pattern() {
        assert_eq!(path("cat.png", None), Path::new("cat.png"));
        assert_eq!(path("new/", None), Path::new("made/new/{id}-{index}.{ext}"));
        assert_eq!(path(".", None), Path::new("made/{id}-{index}.{ext}"));
        assert_eq!(path("new/{id}.{ext}", None), Path::new("made/new/{id}.{ext}"));
        assert_eq!(path("{id}/", None), Path::new("made/{id}/{id}-{index}.{ext}"));
        assert_eq!(path("-", None), Path::new("-"));
    }

    #[test]
    fn a_name_pattern_makes_out_a_folder() {
        assert_eq!(path("new", Some("{id}.{ext}")), Path::new("made/new/{id}.{ext}"));
        assert_eq!(path(".", Some("cat.png")), Path::new("made/cat.png"));
        assert_eq!(path("new/{id}", Some("{index}.{ext}")), Path::new("made/new/{id}/{index}.{ext}"));
    }

    #[test]
    fn a_name_pattern_for_all_commands_names_the_files_of_folders_and_makes_none() {
        let usual =
            Set { value: "{id}.{ext}".to_string(), source: Source::Variable("IMGTASK_NAME_PATTERN".to_string()) };
        let place = |out: &str| Target::new(Path::new(out), Some(&usual), false).expect("a target").place;
        assert!(matches!(place("cat.png"), Place::File(pattern) if pattern.as_path() == Path::new("cat.png")));
        assert!(matches!(place("new/"), Place::Folder(pattern) if pattern.as_path() == Path::new("new/{id}.{ext}")));
        assert!(matches!(place("-"), Place::Stdout));
    }

    #[test]
    fn a_name_pattern_beside_what_looks_like_a_file_is_refused() {
        let refused = |out: &str| Target::new(Path::new(out), Some(&named("{id}.{ext}")), false).is_err();
        assert!(refused("cat.png") && refused("a/cat.JPEG"));
        assert!(!refused("cat.png/") && !refused("cats") && !refused("cats.v2"));
    }

    #[test]
    fn a_request_says_how_many_files_of_which_type_will_come() {
        let asked = |json| (Asked::of(json).images(), Asked::of(json).extension());
        assert_eq!(asked(r#"{"prompt": "a", "n": 3, "output_format": "jpeg"}"#), (3, "jpg"));
        assert_eq!(asked(r#"{"num_images": 2, "output_format": 7}"#), (2, ""));
        assert_eq!(asked(r#"{"n": "2"}"#), (2, ""));
        assert_eq!(asked(r#"{"n": 1, "num_images": 3, "num_outputs": true}"#), (3, ""));
        assert_eq!(asked(r#"{"n": 0}"#), (1, ""));
        assert_eq!(asked("no JSON"), (1, ""));
    }

    #[test]
    fn a_name_pattern_never_leaves_the_folder_and_has_no_brace_of_its_own() {
        for odd in ["", ".", "..", "../{id}", "a/{id}", "/etc/{id}", "a\\{id}", "{name}.png", "{id", "{{id}}"] {
            let problem = Target::new(Path::new("new"), Some(&named(odd)), false).expect_err(odd);
            assert_eq!(problem.exit, Exit::Usage, "{odd}");
        }
        assert!(Target::new(Path::new("-"), Some(&named("{id}")), false).is_err());
        assert!(Target::new(Path::new("{ext}"), Some(&named("{id}")), false).is_err());
    }

    #[test]
    fn several_images_for_one_name_are_numbered() {
        assert_eq!(numbered(Path::new("a/cat.png")), Path::new("a/cat-{index}.png"));
        assert_eq!(numbered(Path::new("cat")), Path::new("cat-{index}"));
        assert_eq!(numbered(Path::new("{id}.{ext}")), Path::new("{id}-{index}.{ext}"));
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
