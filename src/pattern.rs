//! A file's path in which what is known of an image is filled in, the same for jobs, calls and the command line.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Error, Result};
use crate::picture::PictureInfo;

/// What a service's id may bring into a file's name as it is.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Longest name made of an id; file systems end at 255 bytes, and an extension follows.
const MAX_NAME: usize = 200;

/// Stands for an extension that is not known yet.
const IN_THE_MAKING: &str = "part";

/// A file's path in which `{id}`, `{index}` and `{ext}` are filled in: the task's id as a safe name, the image's place in the task,
/// and the extension of the type that the bytes have. A path without any of them is that path.
///
/// An id never adds a folder, never names `.`, `..` or a device, never hides a file and never looks like an option; two ids never
/// share a name. An image of a task without id is named after its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(PathBuf);

impl PathPattern {
    /// Takes a path. One that is not UTF-8 is taken as it is, with nothing filled in.
    ///
    /// # Errors
    /// `InvalidArgument` for any other brace, since a mistyped one would be paid for and written over, and for `{ext}` in the name
    /// of a folder.
    pub fn new(path: impl Into<PathBuf>) -> Result<PathPattern> {
        let path = path.into();
        let rest = path.to_string_lossy().replace("{id}", "").replace("{index}", "").replace("{ext}", "");
        if rest.contains(['{', '}']) {
            return Err(Error::invalid("the path may hold {id}, {index} and {ext}, and no other brace"));
        }
        if path.parent().is_some_and(|folder| folder.to_string_lossy().contains("{ext}")) {
            return Err(Error::invalid("{ext} belongs into the name of the file, not into that of a folder"));
        }
        Ok(PathPattern(path))
    }

    /// A path that was checked before, and made absolute since.
    pub(crate) fn checked(path: PathBuf) -> PathPattern {
        PathPattern(path)
    }

    /// Whether `whole`, which is `path` behind the folder of the process, has nothing more to fill in.
    pub(crate) fn is_as_before(path: &Path, whole: &Path) -> bool {
        let (path, whole) = (path.to_string_lossy(), whole.to_string_lossy());
        ["{id}", "{index}", "{ext}"].iter().all(|place| whole.matches(place).count() <= path.matches(place).count())
    }

    /// As it was given.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Whether it differs from task to task.
    pub fn has_id(&self) -> bool {
        self.holds("{id}")
    }

    /// Whether it differs from image to image of a task.
    pub fn has_index(&self) -> bool {
        self.holds("{index}")
    }

    /// Whether there is nothing to fill in.
    pub fn is_fixed(&self) -> bool {
        !self.has_id() && !self.has_index() && !self.holds("{ext}")
    }

    /// The folder of an image's file, `.` where the path names none: the same whatever the image is.
    pub fn folder(&self, id: &str, index: usize) -> PathBuf {
        match self.draft(id, index).parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    /// The file of an image.
    pub fn fill(&self, id: &str, index: usize, info: &PictureInfo) -> PathBuf {
        let name = match id {
            "" => format!("image-{}", info.sha256.get(..12).unwrap_or(&info.sha256)),
            id => as_name(id),
        };
        self.filled(id, &name, index, info.extension)
    }

    /// A file of the same folder, while the image is not known yet.
    pub(crate) fn draft(&self, id: &str, index: usize) -> PathBuf {
        self.filled(id, &as_name(id), index, IN_THE_MAKING)
    }

    /// Whether its folder is there, as far as that can be told before anything is filled in.
    pub(crate) fn may_have_folder(&self) -> bool {
        match self.0.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_string_lossy().contains('{') || folder.is_dir(),
            _ => true,
        }
    }

    fn filled(&self, id: &str, name: &str, index: usize, extension: &str) -> PathBuf {
        let Some(text) = self.0.to_str().filter(|text| text.contains('{')) else { return self.0.clone() };
        let (folder, file) = text.split_at(text.rfind(std::path::is_separator).map_or(0, |at| at + 1));
        let index = index.to_string();
        // The id last, so that none is taken for a placeholder.
        let file = file.replace("{index}", &index).replace("{ext}", extension).replace("{id}", name);
        (folder.replace("{index}", &index).replace("{id}", &as_name(id)) + &file).into()
    }

    fn holds(&self, place: &str) -> bool {
        self.0.to_str().is_some_and(|text| text.contains(place))
    }
}

/// What Windows takes for a device, whatever follows after a dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered =
        |kind| stem.strip_prefix(kind).is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit());
    DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

/// The id as a part of a file's name, the same on every system: never a separator, never `.` or `..`, never hidden, never an
/// option, never a device, never with a dot at its end, never too long.
fn as_name(id: &str) -> String {
    let mut name: String = utf8_percent_encode(id, NAME).to_string();
    if name.starts_with(['.', '-']) || is_device(&name) {
        let escaped = format!("%{:02X}", name.as_bytes()[0]);
        name.replace_range(..1, &escaped);
    }
    if name.ends_with('.') {
        name.truncate(name.len() - 1);
        name += "%2E";
    }
    if name.len() > MAX_NAME {
        // Ids that begin alike stay apart (FNV-1a).
        let mark =
            id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |mark, b| (mark ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        name.truncate(MAX_NAME - 17);
        name += &format!("-{mark:016x}");
    }
    if name.is_empty() { "task".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    fn pattern(path: &str) -> PathPattern {
        PathPattern::new(path).expect("a pattern")
    }

    fn filled(path: &str, id: &str) -> String {
        let info = PictureInfo { extension: "png", sha256: "0123456789abcdef".into(), ..PictureInfo::default() };
        pattern(path).fill(id, 2, &info).to_string_lossy().into_owned()
    }

    #[test]
    fn id_index_and_extension_are_filled_in() {
        assert_eq!(filled("out/{id}-{index}.{ext}", "img_1"), "out/img_1-2.png");
        assert_eq!(filled("out/cat.webp", "img_1"), "out/cat.webp");
        assert_eq!(filled("{id}/{index}/cat.{ext}", "img_1"), "img_1/2/cat.png");
        assert_eq!(filled("cat.{ext}", "img_1"), "cat.png");
        // Names no file, and is refused as such.
        assert_eq!(filled("{id}/", "img_1"), "img_1/");
    }

    #[test]
    fn a_brace_that_nothing_fills_in_is_refused_and_so_is_a_folder_whose_name_comes_too_late() {
        for odd in ["out/{name}.png", "out/{id.png", "id}.png", "{{id}}.png", "{ext}/{id}.png"] {
            assert_eq!(PathPattern::new(odd).expect_err(odd).status(), Status::InvalidArgument);
        }
    }

    #[test]
    fn what_it_differs_by_is_told() {
        let tell = |path: &str| (pattern(path).has_id(), pattern(path).has_index(), pattern(path).is_fixed());
        assert_eq!(tell("{id}-{index}.png"), (true, true, false));
        assert_eq!(tell("{id}/a.png"), (true, false, false));
        assert_eq!(tell("a.{ext}"), (false, false, false));
        assert_eq!(tell("a.png"), (false, false, true));
    }

    #[test]
    fn the_folder_is_known_before_the_image_is() {
        for (path, folder) in
            [("a.png", "."), ("{id}", "."), ("x/{id}/a.{ext}", "x/img_1"), ("{id}-{index}/a", "img_1-2")]
        {
            assert_eq!(pattern(path).folder("img_1", 2), Path::new(folder));
        }
        for (path, id) in [("x/{id}/{id}.{ext}", ""), ("x/{id}/{id}.{ext}", "img_1"), ("x/a.{ext}", "img_1")] {
            let folder = pattern(path).folder(id, 2);
            assert_eq!(Some(folder.as_path()), Path::new(&filled(path, id)).parent());
            assert_eq!(Some(folder.as_path()), pattern(path).draft(id, 2).parent());
        }
    }

    #[test]
    fn an_id_never_leaves_the_folder_hides_a_file_or_looks_like_an_option() {
        assert_eq!(filled("out/{id}", ".."), "out/%2E%2E");
        assert_eq!(filled("out/{id}", "../../etc/passwd"), "out/%2E.%2F..%2Fetc%2Fpasswd");
        assert_eq!(filled("out/{id}", "a\\b:c*"), "out/a%5Cb%3Ac%2A");
        assert_eq!(filled("out/{id}", "{index}"), "out/%7Bindex%7D");
        assert_eq!(filled("{id}.{ext}", "-rf"), "%2Drf.png");
    }

    #[test]
    fn an_id_is_a_name_on_every_system() {
        for (id, name) in [
            ("CON", "%43ON.png"),
            ("nul", "%6Eul.png"),
            ("Com1", "%43om1.png"),
            ("lpt9.a", "%6Cpt9.a.png"),
            ("cone", "cone.png"),
            ("com10", "com10.png"),
            ("a.", "a%2E.png"),
            ("a ", "a%20.png"),
            (".", "%2E.png"),
        ] {
            assert_eq!(filled("{id}.{ext}", id), name);
        }
    }

    #[test]
    fn a_folder_that_is_put_before_a_path_brings_nothing_to_fill_in() {
        let of = |path: &str, whole: &str| PathPattern::is_as_before(Path::new(path), Path::new(whole));
        assert!(of("{id}.png", "/home/{id}.png") && of("a.png", "/home/{odd}/a.png"));
        assert!(!of("{id}.png", "/home/{id}/{id}.png") && !of("a.png", "/home/{index}/a.png"));
    }

    #[test]
    fn an_image_of_a_task_without_id_is_named_after_its_bytes() {
        assert_eq!(filled("out/{id}-{index}.{ext}", ""), "out/image-0123456789ab-2.png");
        assert_eq!(filled("{id}/{id}.{ext}", ""), "task/image-0123456789ab.png");
    }

    #[test]
    fn two_ids_never_share_a_name() {
        assert_ne!(filled("{id}", "a b"), filled("{id}", "a_b"));
        assert_ne!(filled("{id}", "a%20b"), filled("{id}", "a b"));
        let long = "x".repeat(500);
        assert_ne!(filled("{id}", &format!("{long}1")), filled("{id}", &format!("{long}2")));
        assert!(filled("{id}", &long).len() <= MAX_NAME);
    }
}
