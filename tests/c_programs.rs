//! Runs the C programs of `tests/c` against the sandbox: as they are, under valgrind, with AddressSanitizer, and linked to the
//! static library.
#![cfg(target_os = "linux")]

mod native;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use native::{has, lib_dir, library, root, run, run_ok, scratch};

/// How a program is built and run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Valgrind,
    AddressSanitizer,
    Static,
}

macro_rules! programs {
    ($($name:ident),*) => {
        mod plain { $(#[test] fn $name() { super::program(stringify!($name), super::Way::Plain); })* }
        mod under_valgrind { $(#[test] fn $name() { super::program(stringify!($name), super::Way::Valgrind); })* }
        mod with_address_sanitizer { $(#[test] fn $name() { super::program(stringify!($name), super::Way::AddressSanitizer); })* }
    };
}

programs!(
    arguments,
    addresses,
    answers,
    journey,
    paying,
    jobs,
    events,
    racing,
    stress,
    stopping,
    stopped_jobs,
    forking,
    logging,
    hosts,
    pixels
);

#[test]
fn a_program_linked_to_the_static_library_comes_to_its_image() {
    program("journey", Way::Static);
}

#[test]
fn the_library_can_be_unloaded_and_loaded_again() {
    let program = build("unloading", Way::Plain);
    run_ok(Command::new(program).arg(library()), Duration::from_secs(30));
}

#[test]
fn a_program_may_end_while_calls_and_jobs_run() {
    let program = build("leaving", Way::Plain);
    for how in ["return", "exit", "thread"] {
        for _ in 0..5 {
            run_ok(Command::new(&program).arg(how), Duration::from_secs(30));
        }
    }
}

#[test]
fn a_program_gets_on_without_threads_descriptors_and_time() {
    // The tools' own memory and descriptors would count, too.
    program("starving", Way::Plain);
}

#[test]
fn dead_hosts_beside_a_live_one_take_nothing_from_it() {
    let sandbox = Sandbox::start(&["--speed", "60", "--duration", "20", "--rate-limit", "1000"]);
    program_at("crowd", Way::Plain, &sandbox);
}

#[test]
fn a_program_that_finds_something_wrong_fails() {
    // The others are worth nothing if a failed check ends well.
    let source = scratch().join("failing.c");
    fs::write(
        &source,
        "#include \"check.h\"\nint main(void) { CHECK(imgtask_debug_live_handles() == 1); return done(); }\n",
    )
    .unwrap();
    let ran = run(&mut Command::new(compile("failing", &source, Way::Plain)), Duration::from_secs(30));
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.err.contains("failing.c:2"), "{}", ran.err);
}

fn program(name: &str, way: Way) {
    program_at(name, way, sandbox());
}

fn program_at(name: &str, way: Way, sandbox: &Sandbox) {
    let tool = match way {
        Way::Valgrind => "valgrind",
        _ => "cc",
    };
    if !has(tool) {
        return;
    }
    let program = build(name, way);
    let folder = program.with_extension("run");
    fs::create_dir_all(&folder).unwrap();
    let (slowness, seconds, stack) = match way {
        // Optimised, a call fits into the smallest stack that hosts give a thread; unoptimised code takes more.
        Way::Plain | Way::Static if std::env::var_os("IMGTASK_LIB_DIR").is_some() => (1, 60, 64 * 1024),
        Way::Plain | Way::Static => (1, 60, 256 * 1024),
        Way::AddressSanitizer => (3, 120, 1024 * 1024),
        Way::Valgrind => (30, 300, 1024 * 1024),
    };
    let mut command = match way {
        Way::Valgrind => {
            let mut command = Command::new("valgrind");
            command.args(["-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite"]);
            command.args(["--errors-for-leak-kinds=definite", "--fair-sched=yes"]).arg(&program);
            command
        }
        _ => Command::new(&program),
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
    let ran = run(&mut command, Duration::from_secs(seconds));
    assert!(ran.status.success(), "{name}: {}\n{}\n{}", ran.status, ran.out, ran.err);
    // The library writes nothing, and these programs write only when something is wrong.
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{name} wrote something");
}

fn build(name: &str, way: Way) -> PathBuf {
    compile(name, &root().join("tests/c").join(name).with_extension("c"), way)
}

fn compile(name: &str, source: &Path, way: Way) -> PathBuf {
    let folder = match way {
        Way::Plain | Way::Valgrind => "plain",
        Way::AddressSanitizer => "asan",
        Way::Static => "static",
    };
    // Each test its own file: two that write the same one would run half of it.
    let by = std::thread::current().name().unwrap_or(name).replace("::", "-");
    let program = scratch().join(format!("{folder}-{by}-{name}"));
    let mut command = Command::new("cc");
    command.args([
        "-std=c11",
        "-D_GNU_SOURCE",
        "-g",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Wshadow",
        "-Wconversion",
        "-Werror",
    ]);
    command.arg("-I").arg(root().join("include")).arg("-I").arg(root().join("tests/c"));
    command.arg(source).arg("-o").arg(&program);
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

fn static_library() -> PathBuf {
    let built = lib_dir().join("libimgtask.a");
    if built.exists() {
        return built;
    }
    let exe = std::env::current_exe().unwrap();
    exe.with_file_name("libimgtask.a")
}

/// A sandbox; it ends with this process, which holds its stdin.
struct Sandbox {
    providers: serde_json::Value,
    process: Child,
}

impl Sandbox {
    fn start(options: &[&str]) -> Sandbox {
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
fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::start(&["--speed", "60", "--duration", "20"]))
}
