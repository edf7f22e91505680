//! What the tests of the command line share: the binary, a sandbox of one's own, processes with a time limit.

#![allow(dead_code)] // Each test program uses a part of it.

pub(crate) mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_imgtask");
/// No run takes longer, however busy the machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// A key that no sandbox knows; it must never be repeated.
pub(crate) const CANARY: &str = "sk-canary-5f2d9c";

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The exit code, with the output in the message when it is another.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Run {
        assert_eq!(self.code, code, "\n-- stdout\n{}\n-- stderr\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Run {
        assert!(self.err.contains(words), "no {words:?} in stderr:\n{}", self.err);
        self
    }

    pub(crate) fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }

    /// The standard output as JSON objects.
    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a line is a JSON object")).collect()
    }

    #[track_caller]
    pub(crate) fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{}", self.out);
        objects.remove(0)
    }
}

/// A sandbox of its own for a test.
pub(crate) struct Sandbox {
    pub(crate) child: Child,
    /// The addresses and keys of DimiLinks and LemonData.
    pub(crate) dimilinks: (String, String),
    pub(crate) lemondata: (String, String),
    /// The address of the control routes.
    pub(crate) control: String,
    /// Every provider that it plays.
    pub(crate) providers: Value,
}

impl Sandbox {
    pub(crate) fn start(arguments: &[&str]) -> Sandbox {
        let mut child = imgtask(&[&["sandbox"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the sandbox starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("the sandbox says where it is");
        let about: Value = serde_json::from_str(&line).expect("a JSON line");
        // The test of every run looks for the beginnings of these keys.
        let access = |name: &str| {
            let text = |member: &str| about["providers"][name][member].as_str().expect(member).to_string();
            (text("base_url"), text("key"))
        };
        let control = about["control"].as_str().expect("an address").to_string();
        Sandbox {
            dimilinks: access("dimilinks"),
            lemondata: access("lemondata"),
            control,
            providers: about["providers"].clone(),
            child,
        }
    }

    /// A sandbox whose tasks take a few tenths of a second.
    pub(crate) fn quick() -> Sandbox {
        Sandbox::start(&["--speed", "200"])
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = imgtask(arguments);
        command.env("DIMILINKS_API_KEY", &self.dimilinks.1).env("LEMONDATA_API_KEY", &self.lemondata.1);
        command.env("DIMILINKS_BASE_URL", &self.dimilinks.0).env("DIMILINKS_LEGACY_BASE_URL", &self.dimilinks.0);
        command.env("LEMONDATA_BASE_URL", &self.lemondata.0).env("IMGTASK_PROVIDER", "dimilinks");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments))
    }

    /// Asks a control route, which answers with JSON.
    #[track_caller]
    pub(crate) fn control(&self, method: &str, route: &str, body: &str) -> Value {
        let (address, path) = self.control.trim_start_matches("http://").split_once('/').expect("an address");
        let mut stream = TcpStream::connect(address).expect("the sandbox is there");
        stream.set_read_timeout(Some(LIMIT)).expect("a time");
        let length = body.len();
        let head = format!("{method} /{path}{route} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}");
        write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
        serde_json::from_str(body).expect("JSON")
    }

    /// Makes so many tasks at once, and gives their ids.
    #[track_caller]
    pub(crate) fn tasks(&self, count: usize, prompt: &str) -> Vec<String> {
        let order = json!({ "provider": "dimilinks", "count": count, "prompt": prompt, "size": "16x16" });
        let made = self.control("POST", "/tasks", &order.to_string());
        made["ids"].as_array().expect("ids").iter().map(|id| id.as_str().expect("an id").to_string()).collect()
    }

    /// Submits a prompt and returns the id.
    #[track_caller]
    pub(crate) fn task(&self, prompt: &str) -> String {
        let run = self.run(&["submit", "--prompt", prompt]).ends_with(0);
        run.out.trim().to_string()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program of the tests keeps of this machine's environment: where things are, and what a run with instruments says to it.
const KEPT: [&str; 12] = [
    "PATH",
    "PATHEXT",
    "SystemRoot",
    "HOME",
    "TMPDIR",
    "TMP",
    "TEMP",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "RUST_BACKTRACE",
];

/// A program without the rest of this machine's environment: keys, proxies, settings, colours, the window.
pub(crate) fn alone(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        // One by one, so that the command still knows of each: a terminal passes them to its driver.
        if !name.to_str().is_some_and(|name| KEPT.contains(&name) || name.ends_with("SAN_OPTIONS")) {
            command.env_remove(name);
        }
    }
    // Nobody's own file of settings.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

pub(crate) fn imgtask(arguments: &[&str]) -> Command {
    let mut command = alone(BINARY);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A word as a POSIX shell, and fish, want it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if word.chars().all(plain) { word.to_string() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Runs a command to its end, or ends it and fails.
#[track_caller]
pub(crate) fn finish(mut command: Command) -> Run {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("imgtask starts");
    collect(child)
}

#[track_caller]
pub(crate) fn collect(mut child: Child) -> Run {
    let out = drain(child.stdout.take().expect("piped"));
    let err = drain(child.stderr.take().expect("piped"));
    let status = bounded(&mut child);
    let run = Run {
        code: status.code().unwrap_or(-1),
        out: out.recv_timeout(LIMIT).expect("stdout ends with the process"),
        err: err.recv_timeout(LIMIT).expect("stderr ends with the process"),
    };
    for key in ["sk-canary", "sk-dimilinks", "sk-lemondata"] {
        assert!(!run.err.contains(key) && !run.out.contains(key), "a key:\n{}\n{}", run.out, run.err);
    }
    assert!(!run.err.contains("sig="), "a signature is on stderr:\n{}", run.err);
    assert!(!run.err.contains('\x1b') && !run.out.contains('\x1b'), "colours without a terminal");
    run
}

pub(crate) fn drain(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

#[track_caller]
pub(crate) fn bounded(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            return status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("imgtask did not end within {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Fails unless the file is a whole image, with these sides.
#[track_caller]
pub(crate) fn assert_image(path: impl AsRef<Path>) -> (u32, u32) {
    let path = path.as_ref();
    let reader = image::ImageReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let picture = reader.with_guessed_format().expect("readable").decode().expect("a whole image");
    (picture.width(), picture.height())
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub(crate) fn path(folder: &tempfile::TempDir, name: impl AsRef<OsStr>) -> String {
    folder.path().join(name.as_ref()).to_string_lossy().into_owned()
}
