//! What the tests share that look at the library from C: where it is, which tools there are, processes with a time limit.

#![allow(dead_code)] // Each test program uses a part of it.

pub(crate) mod host;

use std::env;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The package's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for this test program's own files.
pub(crate) fn scratch() -> PathBuf {
    let name = env::current_exe().ok().and_then(|exe| exe.file_stem().map(|stem| stem.to_owned()));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name.expect("a test program has a name"));
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// A folder with `libimgtask.so` and its SONAME link: the one in IMGTASK_LIB_DIR, else the library built for this test.
pub(crate) fn lib_dir() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = env::var_os("IMGTASK_LIB_DIR") {
            return root().join(folder);
        }
        let exe = env::current_exe().expect("a test program knows its place");
        let built = exe.with_file_name("libimgtask.so");
        assert!(built.exists(), "no shared library beside the test program: {}", built.display());
        let folder = scratch().join("lib");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the target folder is writable");
        for name in ["libimgtask.so", "libimgtask.so.0"] {
            symlink(&built, folder.join(name)).expect("the target folder is writable");
        }
        folder
    })
}

/// The shared library.
pub(crate) fn library() -> PathBuf {
    lib_dir().join("libimgtask.so")
}

/// Whether a tool is installed. With IMGTASK_ALL_TOOLS set, as in the project's own checks, a missing one is a failure.
pub(crate) fn has(tool: &str) -> bool {
    let found =
        env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    assert!(found || env::var_os("IMGTASK_ALL_TOOLS").is_none(), "{tool} is not installed");
    if !found {
        eprintln!("left out: {tool} is not installed");
    }
    found
}

/// What a process did.
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it wrote to stdout.
    pub(crate) out: String,
    /// What it wrote to stderr.
    pub(crate) err: String,
}

/// Runs a process to its end, and kills it when the time is over.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Ran {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let out = reader(child.stdout.take());
    let err = reader(child.stderr.take());
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what}: not done after {limit:?}\n{}\n{}", text(out), text(err));
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ran { status, out: text(out), err: text(err) }
}

/// Runs a process that must succeed, and returns what it wrote to stdout.
pub(crate) fn run_ok(command: &mut Command, limit: Duration) -> String {
    let ran = run(command, limit);
    assert!(ran.status.success(), "{command:?}: {}\n{}\n{}", ran.status, ran.out, ran.err);
    ran.out
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn text(reader: thread::JoinHandle<String>) -> String {
    reader.join().unwrap_or_default()
}
