//! The house rules, read from the sources: who may know whom, and where `unsafe` may stand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from top to bottom, and the modules on each. A module may know its own floor's and lower floors' modules,
/// but the folders of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["capi", "fuzzing"],
    &["client", "wait"],
    &["fleet"],
    &["api", "options"],
    &["image"],
    &["poll", "dialect", "http", "journal"],
    &["task", "error", "picture", "pattern", "log", "words", "panics", "threads"],
];

/// On these floors the modules are rooms of one flat; everywhere else a module keeps to itself.
const FLATS: [usize; 3] = [1, 3, 6];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Library sources by module: `src/http/url.rs` belongs to `http`.
fn modules() -> BTreeMap<String, Vec<PathBuf>> {
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in sources(&root()) {
        let inner = file.strip_prefix(root()).expect("inside src").to_path_buf();
        let first = inner.iter().next().expect("a name").to_string_lossy().trim_end_matches(".rs").to_owned();
        if first != "bin" && first != "lib" {
            modules.entry(first).or_default().push(file);
        }
    }
    modules
}

fn floor_of(module: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&module));
    floor.unwrap_or_else(|| panic!("src/{module} stands on no floor: add it to tests/layout.rs and to lib.rs"))
}

/// What a source names as `crate::name`, tests included. A group of names would hide them from this test and is not allowed,
/// nor is a name of the crate's face, which does not say whose it is.
fn known(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split("crate::").skip(1)).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    names.collect()
}

#[test]
fn a_name_of_the_crate_is_seen_however_it_is_written() {
    assert_eq!(
        known("use crate::http::Url;\nlet x: crate::Task;\n// crate::gone\nuse crate::{a, b};"),
        ["http", "Task", ""]
    );
}

#[test]
fn nobody_knows_a_floor_above_or_a_neighbour() {
    for (module, files) in modules() {
        let floor = floor_of(&module);
        for file in files {
            for other in known(&fs::read_to_string(&file).expect("a source")) {
                let is_module = other.starts_with(|c: char| c.is_ascii_lowercase());
                assert!(is_module, "{}: write crate::module::name, not crate::{other}", file.display());
                let other_floor = floor_of(&other);
                let allowed =
                    other == module || other_floor > floor || (other_floor == floor && FLATS.contains(&floor));
                assert!(allowed, "{} knows crate::{other}", file.display());
            }
        }
    }
}

#[test]
fn unsafe_code_stands_in_capi_only() {
    for file in sources(&root()) {
        let inner = file.strip_prefix(root()).expect("inside src");
        if inner.starts_with("capi") {
            continue;
        }
        let source = fs::read_to_string(&file).expect("a source");
        let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
        assert!(!words.iter().any(|word| source.contains(word)), "{} is unsafe", file.display());
    }
}

#[test]
fn every_unsafe_block_of_capi_says_why() {
    for file in sources(&root().join("capi")) {
        let source = fs::read_to_string(&file).expect("a source");
        let lines: Vec<&str> = source.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            if line.contains("unsafe {") && !line.trim_start().starts_with("//") {
                let near = &lines[n.saturating_sub(4)..=n];
                assert!(near.iter().any(|l| l.contains("SAFETY")), "{}:{} gives no reason", file.display(), n + 1);
            }
        }
    }
}

#[test]
fn the_clock_and_the_network_stay_out_of_the_pure_folders() {
    for module in ["poll", "dialect"] {
        for file in sources(&root().join(module)) {
            // Tests may measure.
            if file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("cost.rs") {
                continue;
            }
            let source = fs::read_to_string(&file).expect("a source");
            for word in ["Instant::now", "SystemTime", "std::net", "std::fs", "std::env", "thread::"] {
                assert!(!source.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn only_http_knows_the_http_library() {
    for (module, files) in modules() {
        for file in files.iter().filter(|_| module != "http") {
            let source = fs::read_to_string(file).expect("a source");
            for word in ["ureq::", "std::net::", "socket2::"] {
                assert!(!source.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn the_sandbox_shares_no_code_with_the_library() {
    for file in sources(&root().join("bin/imgtask/sandbox")) {
        let source = fs::read_to_string(&file).expect("a source");
        assert!(!source.contains("imgtask::"), "{} knows the library", file.display());
    }
}
