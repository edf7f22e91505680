//! The C++ header: clean by every compiler in every standard, whole, and used by the programs of `tests/cpp` against the sandbox, with
//! exceptions and without.
#![cfg(target_os = "linux")]

mod native;
#[path = "native/programs.rs"]
mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use native::{has, lib_dir, root, run, run_ok, scratch};
use programs::{Language, Way, command, limit, sandbox};

const MINUTE: Duration = Duration::from_secs(60);

/// By people who like exceptions, and by people who build without them.
const WITH: Language = Language { folder: "cpp", compiler: "g++", words: &["-std=c++17"] };
const WITHOUT: Language =
    Language { folder: "cpp", compiler: "g++", words: &["-std=c++17", "-fno-exceptions", "-fno-rtti"] };
/// The other compiler, the newest standard.
const NEWEST: Language = Language { folder: "cpp", compiler: "clang++", words: &["-std=c++2b"] };

macro_rules! programs {
    ($($language:ident $name:ident),*) => {
        mod plain { $(#[test] fn $name() { super::$language.program(stringify!($name), super::Way::Plain); })* }
        mod under_valgrind { $(#[test] fn $name() { super::$language.program(stringify!($name), super::Way::Valgrind); })* }
        mod with_address_sanitizer { $(#[test] fn $name() { super::$language.program(stringify!($name), super::Way::AddressSanitizer); })* }
        mod by_the_other_compiler { $(#[test] fn $name() { super::NEWEST.program(stringify!($name), super::Way::Plain); })* }
    };
}

programs!(WITH journey, WITHOUT results, WITH frames, WITH owners);

#[test]
fn a_value_that_is_not_there_ends_a_program_without_exceptions_in_words() {
    if !has(WITHOUT.compiler) {
        return;
    }
    let program = WITHOUT.build("results", Way::Plain);
    let ran = run(command(&program, Way::Plain, sandbox()).arg("abort"), limit(Way::Plain));
    assert_eq!(ran.status.signal(), Some(6), "{}", ran.err);
    assert!(ran.err.starts_with("imgtask: ") && ran.err.contains("img_000000000000000000000000"), "{}", ran.err);
}

#[test]
fn an_example_waits_and_saves_and_says_what_is_wrong() {
    let Some(program) = example(&WITH, "wait_and_save") else { return };
    let saved = run(&mut at_the_sandbox(&program, &["dimilinks", PROMPT, "lighthouse.png"]), MINUTE);
    assert!(saved.status.success(), "{}", saved.err);
    assert!(saved.out.contains("lighthouse.png: image/png, 64 x 48, "), "{}", saved.out);
    assert!(fs::read(scratch().join("lighthouse.png")).unwrap().starts_with(b"\x89PNG"));
    // Nobody answers the question.
    for (request, said) in [
        ("{\"prompt\":\"a cat [fail]\"}", "try again? [y/N]"),
        ("{\"prompt\":\"a cat [fail:content_moderation]\"}", "change the request"),
        ("{\"prompt\":\"a cat [create.rate-limited:7]\"}", "wait 7000 ms"),
        ("no JSON", "(invalid_argument)"),
    ] {
        let ran = run(&mut at_the_sandbox(&program, &["dimilinks", request, "cat.png"]), MINUTE);
        assert_eq!(ran.status.code(), Some(1), "{request}");
        assert!(ran.err.contains(said) && ran.out.matches("submitted: ").count() <= 1, "{request}: {}", ran.err);
    }
    assert!(!scratch().join("cat.png").exists());
}

#[test]
fn an_example_keeps_its_frames_while_three_images_come() {
    let Some(program) = example(&WITHOUT, "frame_loop") else { return };
    let ran = run(&mut at_the_sandbox(&program, &["dimilinks", "12"]), MINUTE);
    assert!(ran.status.success(), "{}\n{}", ran.out, ran.err);
    let full = "[################]";
    assert!(ran.out.contains(&format!("lighthouse {full}  fox {full}  harbour {full}")), "{}", ran.out);
    // Three pictures of 12 by 9 pixels, of which the last row is alone.
    assert_eq!(ran.out.matches('▀').count(), 3 * 12 * 4);
    let last = ran.out.lines().last().unwrap_or_default();
    let numbers: Vec<u64> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [frames, milliseconds, longest] = numbers[..] else { panic!("{last}") };
    assert!(frames * 1000 >= milliseconds * 10 && longest < 2_500, "{last}");
    let none = run(&mut at_the_sandbox(&program, &["nobody"]), MINUTE);
    assert!(none.status.code() == Some(1) && none.err.starts_with("no provider \"nobody\""), "{}", none.err);
}

#[test]
fn files_with_and_without_exceptions_are_one_program() {
    if !has("g++") {
        return;
    }
    let object = |name: &str, words: &[&str]| -> PathBuf {
        let object = scratch().join(format!("{name}.o"));
        let source = root().join("tests/cpp/mixed").join(name).with_extension("cpp");
        run_ok(gcc("-std=c++17 -c").args(words).arg(source).arg("-o").arg(&object), MINUTE);
        object
    };
    let with = object("with", &[]);
    let without = object("without", &["-fno-exceptions", "-fno-rtti"]);
    // Of two functions of one name the linker takes the first.
    for (n, order) in [[&with, &without], [&without, &with]].into_iter().enumerate() {
        let program = scratch().join(format!("mixed-{n}"));
        let mut link = gcc("-o");
        link.arg(&program).args(order).arg("-L").arg(lib_dir()).arg("-limgtask");
        run_ok(link.arg(format!("-Wl,-rpath,{}", lib_dir().display())), MINUTE);
        run_ok(&mut Command::new(&program), MINUTE);
        let ran = run(Command::new(&program).arg("abort"), MINUTE);
        assert_eq!((ran.status.signal(), ran.err.as_str()), (Some(6), "imgtask: client must not be NULL\n"));
    }
}

#[test]
fn the_header_is_clean_in_every_standard_by_every_compiler() {
    const GCC: &str = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef -Wold-style-cast \
                       -Wnon-virtual-dtor -Wuseless-cast -Wcast-qual -Wduplicated-cond -Wlogical-op -Wnull-dereference \
                       -Wextra-semi -Wzero-as-null-pointer-constant -Wmissing-declarations";
    // Padding and what C++98 had not are no faults; pointers to bytes are what C has.
    const CLANG: &str = "-Weverything -Wno-c++98-compat -Wno-c++98-compat-pedantic -Wno-padded -Wno-unknown-warning-option \
                         -Wno-unsafe-buffer-usage -Wno-unused-macros";
    let mut tried = 0;
    for (compiler, warnings) in [("g++", GCC), ("clang++", CLANG)] {
        if !has(compiler) {
            continue;
        }
        for standard in ["c++17", "c++20", "c++2b"] {
            for words in ["-DHOSTILE", "-fno-exceptions -fno-rtti"] {
                let mut command = Command::new(compiler);
                command.arg(format!("-std={standard}")).args(["-Werror", "-fsyntax-only"]).args(warnings.split(' '));
                command.args(words.split(' ')).arg("-I").arg(root().join("include"));
                run_ok(command.arg(root().join("tests/cpp/everything.cpp")), MINUTE);
                tried += 1;
            }
        }
    }
    assert!(tried > 0, "no compiler was found");
}

#[test]
fn the_header_includes_what_it_uses_and_defines_no_macro() {
    if !has("g++") {
        return;
    }
    let includes: String =
        header().lines().filter(|line| line.starts_with("#include ")).map(|l| format!("{l}\n")).collect();
    let macros = |text: &str| -> BTreeSet<String> {
        let said = run_ok(gcc("-std=c++17 -dM -E").arg(source("macros.cpp", text)), MINUTE);
        said.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
    };
    let (without, with) = (macros(&includes), macros(&format!("{includes}#include <imgtask.hpp>\n")));
    assert!(without.contains("IMGTASK_TIMEOUT_DEFAULT"));
    assert_eq!(with.difference(&without).collect::<Vec<_>>(), Vec::<&String>::new());
    run_ok(gcc("-std=c++17 -fsyntax-only").arg(source("alone.cpp", "#include <imgtask.hpp>\n")), MINUTE);
}

#[test]
fn a_result_that_is_dropped_is_warned_of() {
    if !has("g++") {
        return;
    }
    for call in ["client.fetch(\"id\")", "client.set_key(\"key\")", "client.start(imgtask::job())", "client.events()"] {
        let text = format!("#include <imgtask.hpp>\nvoid use(imgtask::client &client) {{ {call}; }}\n");
        let ran = run(gcc("-std=c++17 -fsyntax-only").arg(source("dropped.cpp", &text)), MINUTE);
        assert!(ran.err.contains("unused-result"), "{call}: {}", ran.err);
    }
}

#[test]
fn every_function_field_and_value_of_the_c_header_is_in_it() {
    let c = fs::read_to_string(root().join("include/imgtask.h")).unwrap();
    let cpp = header();
    let functions = fs::read_to_string(root().join("abi/symbols.txt")).unwrap();
    let missing: Vec<&str> = functions.lines().filter(|name| !cpp.contains(&format!("{name}("))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "functions that nothing calls");

    let (mut holder, mut fields, mut asserts, mut values) = (String::new(), 0, String::new(), 0);
    for line in c.lines() {
        if let Some(name) = line.strip_prefix("typedef struct ").and_then(|rest| rest.strip_suffix(" {")) {
            holder = name.to_owned();
        } else if let Some(name) = line.strip_prefix("enum ") {
            holder = name.trim_end_matches(" {").to_owned();
        } else if line.starts_with('}') {
            holder.clear();
        } else if let Some((name, _)) = line.strip_prefix("    IMGTASK_").and_then(|rest| rest.split_once(" = ")) {
            let word = holder.strip_prefix("imgtask_").expect("an enum of ours");
            let name = name.to_lowercase();
            let value = name.strip_prefix(word).and_then(|rest| rest.strip_prefix('_')).expect("a value of its enum");
            asserts += &format!(
                "static_assert(static_cast<std::uint32_t>(imgtask::{word}::{value}) == IMGTASK_{}, \"{word}\");\n",
                name.to_uppercase()
            );
            // Names of the flags would be of no use.
            if word != "status" && word != "flag" {
                asserts +=
                    &format!("static_assert(imgtask::name(imgtask::{word}::{value}) == \"{value}\", \"name\");\n");
            }
            values += 1;
        } else if let (false, Some(code)) = (holder.is_empty(), line.strip_suffix(';')) {
            let field = code.rsplit([' ', '*']).next().unwrap_or_default();
            fields += 1;
            let used = [".", "->", "::"].iter().any(|by| {
                let found = format!("{by}{field}");
                cpp.match_indices(&found).any(|(at, _)| {
                    !cpp[at + found.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_')
                })
            });
            // Statistics are handed out as C has them.
            let as_it_is = cpp.contains(&format!("result<{holder}>"));
            assert!(used || as_it_is || ["reserved", "internal"].contains(&field), "{holder}.{field} is not used");
        }
    }
    assert!(fields > 90 && values > 70, "{fields} fields, {values} values: the C header is written in another way");
    assert_eq!(cpp.matches(" = IMGTASK_").count() - 1, values, "values of its own, but for all_images");
    if has("g++") {
        let text = format!("#include <imgtask.hpp>\n{asserts}");
        run_ok(gcc("-std=c++17 -fsyntax-only").arg(source("values.cpp", &text)), MINUTE);
    }
}

const PROMPT: &str = "{\"prompt\": \"a lighthouse at dusk\", \"size\": \"64x48\"}";

fn example(language: &Language, name: &str) -> Option<PathBuf> {
    let file = root().join("examples/cpp").join(name).with_extension("cpp");
    has(language.compiler).then(|| language.compile(name, &[&file], Way::AddressSanitizer))
}

/// A program with a sandbox's addresses and keys, as its readers run it.
fn at_the_sandbox(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgtask"));
    command.args(["sandbox", "--speed", "60", "--duration", "20", "--"]).arg(program).args(words);
    command.current_dir(scratch());
    command
}

fn header() -> String {
    fs::read_to_string(root().join("include/imgtask.hpp")).expect("the header is there")
}

fn gcc(words: &str) -> Command {
    let mut command = Command::new("g++");
    command.args(["-Wall", "-Wextra"]).arg("-I").arg(root().join("include")).args(words.split(' '));
    command
}

fn source(name: &str, text: &str) -> PathBuf {
    let file = scratch().join(name);
    fs::write(&file, text).expect("the target folder is writable");
    Path::new(&file).to_path_buf()
}
