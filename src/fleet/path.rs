//! Where a job's image goes: the caller's path with what is known of the image filled in.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a service's id may bring into a file's name as it is.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Longest name made of an id; file systems end at 255 bytes, and an extension follows.
const MAX_NAME: usize = 200;

/// Whether every brace of a path belongs to what can be filled in: a mistyped one would be paid for and written over.
pub(super) fn is_template(path: &Path) -> bool {
    let rest = path.to_string_lossy().replace("{id}", "").replace("{index}", "").replace("{ext}", "");
    !rest.contains(['{', '}'])
}

/// Whether the folder of a path is there, as far as that can be told before anything is filled in.
pub(super) fn has_folder(path: &Path) -> bool {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_string_lossy().contains('{') || folder.is_dir(),
        _ => true,
    }
}

/// Whether something is filled in.
pub(super) fn is_filled_in(path: &Path) -> bool {
    path.to_string_lossy().contains('{')
}

/// Fills `{id}`, `{index}` and `{ext}` in. A path that is not UTF-8 is taken as it is.
pub(super) fn fill(path: &Path, id: &str, index: usize, extension: &str) -> PathBuf {
    let Some(text) = path.to_str().filter(|text| text.contains('{')) else { return path.to_path_buf() };
    let filled = text.replace("{index}", &index.to_string()).replace("{ext}", extension);
    // Last, so that no id is taken for a placeholder.
    filled.replace("{id}", &as_name(id)).into()
}

/// The id as a part of a file's name: never a separator, never `.` or `..`, never hidden, never too long.
fn as_name(id: &str) -> String {
    let mut name: String = utf8_percent_encode(id, NAME).to_string();
    if name.starts_with('.') {
        name.replace_range(..1, "%2E");
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

    fn filled(path: &str, id: &str) -> String {
        fill(Path::new(path), id, 2, "png").to_string_lossy().into_owned()
    }

    #[test]
    fn id_index_and_extension_are_filled_in() {
        assert_eq!(filled("out/{id}-{index}.{ext}", "img_1"), "out/img_1-2.png");
        assert_eq!(filled("out/cat.webp", "img_1"), "out/cat.webp");
    }

    #[test]
    fn a_brace_that_nothing_fills_in_is_no_template() {
        assert!(is_template(Path::new("out/{id}-{index}.{ext}")) && is_template(Path::new("a.png")));
        for odd in ["out/{name}.png", "out/{id.png", "id}.png", "{{id}}.png"] {
            assert!(!is_template(Path::new(odd)), "{odd}");
        }
    }

    #[test]
    fn an_id_never_leaves_the_folder_and_never_hides_a_file() {
        assert_eq!(filled("out/{id}", ".."), "out/%2E.");
        assert_eq!(filled("out/{id}", "../../etc/passwd"), "out/%2E.%2F..%2Fetc%2Fpasswd");
        assert_eq!(filled("out/{id}", "a\\b:c*"), "out/a%5Cb%3Ac%2A");
        assert_eq!(filled("out/{id}.{ext}", ""), "out/task.png");
        assert_eq!(filled("out/{id}", "{index}"), "out/%7Bindex%7D");
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
