//! Runs the C programs of `tests/c` against the sandbox: as they are, under valgrind, with AddressSanitizer, and linked to the
//! static library.
#![cfg(target_os = "linux")]

mod native;
#[path = "native/programs.rs"]
mod programs;

use std::fs;
use std::process::Command;
use std::time::Duration;

use native::{library, run, run_ok, scratch};
use programs::{Language, Sandbox, Way};

const C: Language = Language { folder: "c", compiler: "cc", words: &["-std=c11"] };

macro_rules! programs {
    ($($name:ident),*) => {
        mod plain { $(#[test] fn $name() { super::C.program(stringify!($name), super::Way::Plain); })* }
        mod under_valgrind { $(#[test] fn $name() { super::C.program(stringify!($name), super::Way::Valgrind); })* }
        mod with_address_sanitizer { $(#[test] fn $name() { super::C.program(stringify!($name), super::Way::AddressSanitizer); })* }
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
    C.program("journey", Way::Static);
}

#[test]
fn the_library_can_be_unloaded_and_loaded_again() {
    let program = C.build("unloading", Way::Plain);
    run_ok(Command::new(program).arg(library()), Duration::from_secs(30));
}

#[test]
fn a_program_may_end_while_calls_and_jobs_run() {
    let program = C.build("leaving", Way::Plain);
    for how in ["return", "exit", "thread"] {
        for _ in 0..5 {
            run_ok(Command::new(&program).arg(how), Duration::from_secs(30));
        }
    }
}

#[test]
fn a_program_gets_on_without_threads_descriptors_and_time() {
    // The tools' own memory and descriptors would count, too.
    C.program("starving", Way::Plain);
}

#[test]
fn dead_hosts_beside_a_live_one_take_nothing_from_it() {
    let sandbox = Sandbox::start(&["--speed", "60", "--duration", "20", "--rate-limit", "1000"]);
    C.program_at("crowd", Way::Plain, &sandbox);
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
    let ran = run(&mut Command::new(C.compile("failing", &[&source], Way::Plain)), Duration::from_secs(30));
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.err.contains("failing.c:2"), "{}", ran.err);
}
