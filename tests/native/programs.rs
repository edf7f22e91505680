//! Test programs written in C or C++: built as their users would, and run against a sandbox, as they are or under a tool.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::native::{has, lib_dir, root, run, run_ok, scratch};

/// How a program is built and run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Valgrind,
    AddressSanitizer,
    #[allow(dead_code)] // What is linked statically is the same from each language.
    Static,
}

/// What a program is written in: a folder of `tests`, and a compiler.
pub(crate) struct Language {
    pub(crate) folder: &'static str,
    pub(crate) compiler: &'static str,
    pub(crate) words: &'static [&'static str],
}

/// Warnings that each language has.
const WARNINGS: [&str; 6] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"];

impl Language {
    /// Runs a program of the folder, which must end well and in silence.
    pub(crate) fn program(&self, name: &str, way: Way) {
        self.program_at(name, way, sandbox());
    }

    pub(crate) fn program_at(&self, name: &str, way: Way, sandbox: &Sandbox) {
        if !has(self.compiler) || (way == Way::Valgrind && !has("valgrind")) {
            return;
        }
        let program = self.build(name, way);
        let ran = run(&mut command(&program, way, sandbox), limit(way));
        assert!(ran.status.success(), "{name}: {}\n{}\n{}", ran.status, ran.out, ran.err);
        // The library writes nothing, and these programs write only when something is wrong.
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{name} wrote something");
    }

    pub(crate) fn build(&self, name: &str, way: Way) -> PathBuf {
        let folder = root().join("tests").join(self.folder);
        self.compile(name, &[&folder.join(name).with_extension(self.folder)], way)
    }

    pub(crate) fn compile(&self, name: &str, sources: &[&Path], way: Way) -> PathBuf {
        let folder = match way {
            Way::Plain | Way::Valgrind => "plain",
            Way::AddressSanitizer => "asan",
            Way::Static => "static",
        };
        // Each test its own file: two that write the same one would run half of it.
        let by = std::thread::current().name().unwrap_or(name).replace("::", "-");
        let program = scratch().join(format!("{folder}-{by}-{name}"));
        let mut command = Command::new(self.compiler);
        command.args(self.words).args(["-D_GNU_SOURCE", "-g"]).args(WARNINGS);
        command.arg("-I").arg(root().join("include")).arg("-I").arg(root().join("tests").join(self.folder));
        command.args(sources).arg("-o").arg(&program);
        match way {
            Way::Static => {
                command.arg(static_library()).args(["-lpthread", "-lm", "-ldl", "-lgcc_s", "-lrt"]);
            }
            _ => {
                command.arg("-L").arg(lib_dir()).arg("-limgtask").arg(format!("-Wl,-rpath,{}", lib_dir().display()));
                command.args(["-pthread", "-ldl"]);
            }
        }
        if way == Way::AddressSanitizer {
            command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
        }
        run_ok(&mut command, Duration::from_secs(120));
        program
    }
}

/// A program with a folder of its own, and the sandbox in its environment.
pub(crate) fn command(program: &Path, way: Way, sandbox: &Sandbox) -> Command {
    let folder = program.with_extension("run");
    fs::create_dir_all(&folder).unwrap();
    let (slowness, stack) = match way {
        // Optimised, a call fits into the smallest stack that hosts give a thread; unoptimised code takes more.
        Way::Plain | Way::Static if std::env::var_os("IMGTASK_LIB_DIR").is_some() => (1, 64 * 1024),
        Way::Plain | Way::Static => (1, 256 * 1024),
        Way::AddressSanitizer => (3, 1024 * 1024),
        Way::Valgrind => (30, 1024 * 1024),
    };
    let mut command = match way {
        Way::Valgrind => {
            let mut command = Command::new("valgrind");
            command.args(["-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite"]);
            command.args(["--errors-for-leak-kinds=definite", "--fair-sched=yes"]).arg(program);
            command
        }
        _ => Command::new(program),
    };
    for (provider, access) in sandbox.providers.as_object().expect("the sandbox lists its providers") {
        for (what, member) in [("URL", "base_url"), ("KEY", "key")] {
            // A shell that stands between, as valgrind's does, drops names with a dash.
            let name = format!("IMGTASK_TEST_{what}_{}", provider.replace('-', "_"));
            command.env(name, access[member].as_str().expect("a text"));
        }
    }
    // The whole number of repetitions only where they are quick.
    if std::env::var_os("IMGTASK_LIB_DIR").is_some() {
        command.env("IMGTASK_TEST_SHIPPED", "1");
    }
    command
        .current_dir(&folder)
        .env("IMGTASK_TEST_SLOWNESS", slowness.to_string())
        .env("IMGTASK_TEST_STACK_BYTES", stack.to_string());
    command
}

pub(crate) fn limit(way: Way) -> Duration {
    Duration::from_secs(match way {
        Way::Plain | Way::Static => 60,
        Way::AddressSanitizer => 120,
        Way::Valgrind => 300,
    })
}

fn static_library() -> PathBuf {
    let built = lib_dir().join("libimgtask.a");
    if built.exists() {
        return built;
    }
    let exe = std::env::current_exe().unwrap();
    exe.with_file_name("libimgtask.a")
}

/// A sandbox; it ends with this process, which holds its stdin.
pub(crate) struct Sandbox {
    pub(crate) providers: serde_json::Value,
    process: Child,
}

impl Sandbox {
    pub(crate) fn start(options: &[&str]) -> Sandbox {
        let mut process = Command::new(env!("CARGO_BIN_EXE_imgtask"))
            .arg("sandbox")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("it was asked for");
        BufReader::new(out).read_line(&mut line).expect("the sandbox says where it is");
        let mut said: serde_json::Value = serde_json::from_str(&line).expect("the sandbox says it in JSON");
        Sandbox { providers: said["providers"].take(), process }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The one that the programs share.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::start(&["--speed", "60", "--duration", "20"]))
}
