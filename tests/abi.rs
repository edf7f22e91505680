//! The C ABI stays what was committed: header, symbols, layout, values, and how the shared library is linked.
//!
//! `IMGTASK_UPDATE=1 cargo test --features header --test abi` writes the header and the lists of `abi/` anew.
#![cfg(target_os = "linux")]

mod native;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use native::{has, lib_dir, library, root, run, run_ok, scratch};

const MINUTE: Duration = Duration::from_secs(60);

/// Warnings that a strict host builds with.
const STRICT: [&str; 8] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wconversion", "-Wundef", "-fno-exceptions"];

macro_rules! layout {
    ($($name:ident $size64:literal $size32:literal { $($field:ident $at64:literal $at32:literal,)* })*) => {
        const LAYOUT: &[Struct] = &[$(Struct {
            name: stringify!($name),
            sizes: [$size64, $size32],
            fields: &[$((stringify!($field), [$at64, $at32]),)*],
        },)*];
    };
}
include!("../abi/layout.rs");

/// A public struct: sizes and offsets for 64 and 32 bit.
struct Struct {
    name: &'static str,
    sizes: [usize; 2],
    fields: &'static [(&'static str, [usize; 2])],
}

#[test]
#[cfg_attr(not(feature = "header"), ignore = "needs --features header")]
fn the_committed_header_is_what_the_sources_say() {
    compare("include/imgtask.h", &read(&Path::new(env!("OUT_DIR")).join("imgtask.h")));
}

#[test]
#[cfg_attr(not(feature = "header"), ignore = "needs --features header")]
fn the_committed_symbols_are_those_of_the_header() {
    let file = read(&Path::new(env!("OUT_DIR")).join("imgtask.sym"));
    let names: BTreeSet<&str> =
        file.lines().map(|line| line.trim_end_matches(';')).filter(|n| n.starts_with('i')).collect();
    compare("abi/symbols.txt", &lines(names));
}

#[test]
fn the_library_exports_the_committed_symbols_and_nothing_else() {
    let listing = run_ok(Command::new("nm").args(["-D", "--defined-only"]).arg(library()), MINUTE);
    let names = listing.lines().filter_map(|line| line.split_whitespace().last());
    compare("abi/symbols.txt", &lines(names.collect()));
}

#[test]
fn every_macro_of_the_header_begins_with_the_library_s_name() {
    let macros = |compiler: &str, source: &str| -> BTreeSet<String> {
        let file = source_file("macros.h", source);
        let text = run_ok(cc(compiler).args(["-dM", "-E"]).arg(file), MINUTE);
        text.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
    };
    for compiler in ["cc -xc", "c++ -xc++"] {
        if !has(compiler.split(' ').next().unwrap()) {
            continue;
        }
        let without = macros(compiler, "#include <stddef.h>\n#include <stdint.h>\n");
        let with = macros(compiler, "#include <stddef.h>\n#include <stdint.h>\n#include \"imgtask.h\"\n");
        let ours: Vec<_> = with.difference(&without).collect();
        assert!(ours.len() >= 8, "{compiler}: {ours:?}");
        assert!(ours.iter().all(|name| name.starts_with("IMGTASK_")), "{compiler}: {ours:?}");
    }
}

#[test]
fn the_layout_table_holds_every_struct_and_field_of_the_header() {
    let in_header: Vec<String> = structs_of_header();
    let in_table: Vec<String> =
        LAYOUT.iter().flat_map(|s| s.fields.iter().map(move |(field, _)| format!("{}.{field}", s.name))).collect();
    assert_eq!(in_header, in_table);
}

#[test]
fn the_layout_in_c_is_the_committed_one_in_64_and_32_bit() {
    for (bits, flag) in ["-m64", "-m32"].into_iter().enumerate() {
        if bits == 1
            && !run(cc("cc -xc -m32 -fsyntax-only").arg(source_file("m32.c", "#include <stdint.h>\n")), MINUTE)
                .status
                .success()
        {
            assert!(env::var_os("IMGTASK_ALL_TOOLS").is_none(), "no 32-bit headers: install gcc-multilib");
            eprintln!("left out: no 32-bit headers");
            continue;
        }
        let mut source = String::from("#include \"imgtask.h\"\n");
        for Struct { name, sizes, fields } in LAYOUT {
            source += &format!("_Static_assert(sizeof({name}) == {}, \"{name}\");\n", sizes[bits]);
            for (field, at) in *fields {
                source += &format!("_Static_assert(offsetof({name}, {field}) == {}, \"{name}.{field}\");\n", at[bits]);
            }
        }
        let file = source_file(&format!("layout{flag}.c"), &source);
        run_ok(cc("cc -std=c11 -fsyntax-only -Wpadded -Werror").arg(flag).arg(file), MINUTE);
    }
}

#[test]
fn a_struct_cannot_change_unseen() {
    // The check above is worth nothing when it passes for a wrong table, too.
    let source = "#include \"imgtask.h\"\n_Static_assert(offsetof(imgtask_task_info, image_count) == 12, \"moved\");\n";
    let ran = run(cc("cc -std=c11 -fsyntax-only").arg(source_file("wrong.c", source)), MINUTE);
    assert!(!ran.status.success());
    assert!(ran.err.contains("moved"), "{}", ran.err);
}

#[test]
fn the_values_in_c_are_the_committed_ones() {
    let names = values_of_header();
    let mut source = String::from("#include \"imgtask.h\"\n#include <stdio.h>\nint main(void) {\n");
    for name in names {
        source += &format!("    printf(\"{name} %lu\\n\", (unsigned long)({name}));\n");
    }
    source += "    return 0;\n}\n";
    let program = build("values", &source);
    compare("abi/enums.txt", &run_ok(&mut Command::new(program), MINUTE));
}

#[test]
fn the_header_s_version_is_the_package_s_and_the_library_s() {
    let source = format!(
        "#include \"imgtask.h\"\n#include <stdio.h>\n\
         _Static_assert(IMGTASK_VERSION_MAJOR == {} && IMGTASK_VERSION_MINOR == {} && IMGTASK_VERSION_PATCH == {}, \"version\");\n\
         int main(void) {{\n    printf(\"%s %d\", imgtask_version(), imgtask_abi_version() == IMGTASK_ABI_VERSION);\n    return 0;\n}}\n",
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    );
    let said = run_ok(&mut Command::new(build("version", &source)), MINUTE);
    assert_eq!(said, format!("{} 1", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_header_is_clean_in_every_c_and_cpp_by_every_compiler() {
    // Names that engines and window systems define; the second include must do nothing.
    let hostile = "#define min 1\n#define max 2\n#define ERROR 3\n#define TEXT 4\n#define None 5\n#define Bool 6\n\
                   #define True 7\n#define False 8\n#define Status 9\n#define Success 10\n#define check 11\n#define verify 12\n\
                   #define small 13\n#define near\n#define far\n#define interface struct\n#define DELETE 14\n#define OPAQUE 15\n\
                   #include \"imgtask.h\"\n#include \"imgtask.h\"\n";
    let uses = format!("{hostile}int use(void);\nint use(void) {{ return (int)imgtask_abi_version(); }}\n");
    let plain = "#include \"imgtask.h\"\nint use(void);\nint use(void) { return (int)imgtask_abi_version(); }\n\
                 #ifndef __cplusplus\nsize_t use_macro(void);\n\
                 size_t use_macro(void) { imgtask_job job = IMGTASK_INIT(imgtask_job); return job.struct_size; }\n#endif\n";
    let mut tried = 0;
    for (compilers, standards, extra) in [
        (["gcc -xc", "clang -xc"], &["c99", "c11", "c17", "c2x"][..], ""),
        (["g++ -xc++", "clang++ -xc++"], &["c++11", "c++17", "c++20"][..], "-fno-rtti"),
    ] {
        for compiler in compilers.iter().filter(|c| has(c.split(' ').next().unwrap())) {
            for standard in standards {
                for (name, source) in [("plain.h", plain), ("hostile.h", &uses)] {
                    let file = source_file(name, source);
                    let mut command = cc(compiler);
                    command.args(STRICT).arg("-fsyntax-only").arg(format!("-std={standard}")).arg(file);
                    command.args(Some(extra).filter(|extra| !extra.is_empty()));
                    run_ok(&mut command, MINUTE);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 0, "no compiler was found");
}

#[test]
fn a_c_program_is_warned_that_it_drops_the_status_of_a_call_that_can_fail() {
    let source = "#include \"imgtask.h\"\nvoid use(imgtask_client *client, imgtask_task **task);\n\
                  void use(imgtask_client *client, imgtask_task **task) { imgtask_client_fetch(client, \"id\", task, NULL); }\n";
    let ran = run(cc("cc -std=c11 -Werror -c -o /dev/null").arg(source_file("dropped.c", source)), MINUTE);
    assert!(ran.err.contains("unused-result"), "{}", ran.err);
}

#[test]
fn a_cpp_program_sets_its_structs_up_in_two_steps() {
    if !has("c++") {
        return;
    }
    let source = "#include \"imgtask.h\"\n#include <cstdio>\nint main() {\n    imgtask_provider_info provider = {};\n    \
                  provider.struct_size = sizeof provider;\n    imgtask_status status = imgtask_provider_get(0, &provider);\n    \
                  std::printf(\"%d %s\", status == IMGTASK_STATUS_OK, provider.name);\n}\n";
    let program = scratch().join("two-steps");
    let mut command = cc("c++ -std=c++11 -Wall -Wextra -Werror");
    command.arg(source_file("two-steps.cpp", source)).arg("-o").arg(&program);
    command.arg("-L").arg(lib_dir()).arg("-limgtask").arg(format!("-Wl,-rpath,{}", lib_dir().display()));
    run_ok(&mut command, MINUTE);
    assert_eq!(run_ok(&mut Command::new(program), MINUTE), "1 dimilinks");
}

#[test]
fn luajit_reads_the_header_and_calls_the_library() {
    if !has("luajit") {
        return;
    }
    // LuaJIT knows size_t and uint32_t by itself.
    let empty = scratch().join("empty");
    fs::create_dir_all(&empty).unwrap();
    for name in ["stddef.h", "stdint.h"] {
        fs::write(empty.join(name), "").unwrap();
    }
    let file = source_file("luajit.h", "#include \"imgtask.h\"\n");
    let text = run_ok(cc("cc -xc -E -P -nostdinc").arg("-I").arg(&empty).arg(file), MINUTE);
    let script = format!(
        "local ffi = require('ffi')\nffi.cdef[==[{text}]==]\nlocal C = ffi.load(arg[1])\n\
         for name in io.lines(arg[2]) do assert(C[name] ~= nil, name) end\n\
         assert(ffi.string(C.imgtask_status_name(C.IMGTASK_STATUS_NOT_FOUND)) == 'not_found')\n\
         assert(ffi.sizeof('imgtask_client_options') == {})\nprint(ffi.string(C.imgtask_version()))\n",
        LAYOUT.iter().find(|s| s.name == "imgtask_client_options").unwrap().sizes[0]
    );
    let file = source_file("abi.lua", &script);
    let said = run_ok(Command::new("luajit").arg(file).arg(library()).arg(root().join("abi/symbols.txt")), MINUTE);
    assert_eq!(said.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn python_s_ctypes_binds_every_symbol() {
    if !has("python3") {
        return;
    }
    let script = "import ctypes, sys\nlib = ctypes.CDLL(sys.argv[1])\n\
                  for name in open(sys.argv[2]).read().split(): getattr(lib, name)\n\
                  lib.imgtask_version.restype = ctypes.c_char_p\nprint(lib.imgtask_version().decode())\n";
    let said =
        run_ok(Command::new("python3").args(["-c", script]).arg(library()).arg(root().join("abi/symbols.txt")), MINUTE);
    assert_eq!(said.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_library_carries_its_soname_and_stays_loaded() {
    let text = run_ok(Command::new("readelf").args(["-d", "-W"]).arg(library()), MINUTE);
    assert!(text.contains("Library soname: [libimgtask.so.0]"), "{text}");
    assert!(text.contains("NODELETE"), "{text}");
}

#[test]
#[ignore = "needs the shipped library: IMGTASK_LIB_DIR=build/lib"]
fn the_shipped_library_is_small_and_names_no_folder_of_its_builder() {
    let bytes = fs::read(library()).unwrap();
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    let cargo = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    for trace in [trace(&home, ".cargo/registry"), trace(&cargo, "registry"), trace(root(), "src/")] {
        let found = bytes.windows(trace.len()).any(|place| place == trace.as_bytes());
        assert!(!found, "the library names a folder of this machine");
    }
    let limit: usize = read(&root().join("abi/size-limit-full.txt")).trim().parse().unwrap();
    assert!(bytes.len() <= limit, "{} bytes, {limit} at most", bytes.len());
    let sections = run_ok(Command::new("readelf").args(["-S", "-W"]).arg(library()), MINUTE);
    assert!(!sections.contains(".debug_info") && !sections.contains(".symtab"), "the library is not stripped");
    println!("shipped library: {} bytes, glibc {}", bytes.len(), highest_glibc());
}

#[test]
fn a_folder_whose_name_is_part_of_others_paths_is_told_by_what_lies_in_it() {
    assert_eq!(trace(Path::new("/home/user"), ".cargo/registry"), "/home/user");
    assert_eq!(trace(Path::new("/src"), "src/"), "/src/src/");
    assert_eq!(trace(Path::new("/"), ".cargo/registry"), "/.cargo/registry");
}

/// What a file holds that names a folder. A name of one part, as /src, is part of other paths, too: then that of what lies in it.
fn trace(folder: &Path, inside: &str) -> String {
    let told_apart = folder.components().count() > 2 || folder == Path::new("/root");
    if told_apart { folder.display().to_string() } else { folder.join(inside).display().to_string() }
}

#[test]
#[ignore = "needs the shipped library: IMGTASK_LIB_DIR=build/lib"]
fn the_shipped_library_needs_no_newer_glibc_than_committed() {
    let (now, file) = (highest_glibc(), "abi/glibc.txt");
    if env::var_os("IMGTASK_UPDATE").is_some() {
        compare(file, &format!("{now}\n"));
    }
    let committed = read(&root().join(file));
    // An older system that builds it may ask for less.
    assert!(numbers(&now) <= numbers(committed.trim()), "needs glibc {now}; {file} promises {committed}");
}

#[test]
fn versions_of_glibc_are_compared_number_by_number() {
    assert!(numbers("2.9") < numbers("2.34") && numbers("2.34") < numbers("2.34.1") && numbers("2.34") < numbers("3"));
    assert_eq!(numbers("2.34"), numbers("2.34"));
    let committed = read(&root().join("abi/glibc.txt"));
    assert_eq!(numbers(committed.trim()).len(), 2, "{committed}");
}

/// The newest version of glibc that a symbol asks for.
fn highest_glibc() -> String {
    let text = run_ok(Command::new("readelf").args(["-V", "-W"]).arg(library()), MINUTE);
    let names = text.split("Name: GLIBC_").skip(1).filter_map(|rest| rest.split_whitespace().next());
    // Others than numbers are names of what glibc keeps to itself.
    let versions = names.filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
    versions.max_by_key(|version| numbers(version)).expect("the library uses glibc").to_owned()
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|n| n.parse().unwrap_or_else(|_| panic!("no version: {version}"))).collect()
}

/// `struct.field` for every struct of the header, in its order.
fn structs_of_header() -> Vec<String> {
    let mut found = Vec::new();
    let mut current = None;
    for line in read(&root().join("include/imgtask.h")).lines() {
        if let Some(rest) = line.strip_prefix("typedef struct ").and_then(|rest| rest.strip_suffix(" {")) {
            current = Some(rest.to_owned());
        } else if line.starts_with('}') {
            current = None;
        } else if let (Some(name), Some(code)) = (&current, line.strip_suffix(';')) {
            let field = code.rsplit([' ', '*']).next().unwrap_or_default();
            found.push(format!("{name}.{field}"));
        }
    }
    found
}

/// Every enum value of the header, in its order.
fn values_of_header() -> Vec<String> {
    let header = read(&root().join("include/imgtask.h"));
    let names = header.lines().filter_map(|line| line.strip_prefix("    IMGTASK_")?.split_once(" = "));
    names.map(|(name, _)| format!("IMGTASK_{name}")).collect()
}

/// Compares with a committed file, or writes it when asked to.
fn compare(committed: &str, now: &str) {
    let file = root().join(committed);
    if env::var_os("IMGTASK_UPDATE").is_some() {
        fs::write(&file, now).unwrap();
    }
    let then = fs::read_to_string(&file).unwrap_or_default();
    if then == now {
        return;
    }
    let (then, now): (BTreeSet<&str>, BTreeSet<&str>) = (then.lines().collect(), now.lines().collect());
    let gone: Vec<_> = then.difference(&now).collect();
    let new: Vec<_> = now.difference(&then).collect();
    panic!("{committed} is not what was built (to renew it: IMGTASK_UPDATE=1)\ngone: {gone:#?}\nnew: {new:#?}");
}

fn lines(names: BTreeSet<&str>) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn source_file(name: &str, text: &str) -> PathBuf {
    let unique = format!("{}-{name}", std::thread::current().name().unwrap_or("test").replace(':', "_"));
    let file = scratch().join(unique);
    fs::write(&file, text).unwrap();
    file
}

/// A compiler with its first arguments and the header's folder.
fn cc(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg("-I").arg(root().join("include"));
    command
}

/// Builds a C program against the library.
fn build(name: &str, source: &str) -> PathBuf {
    let program = scratch().join(name);
    let mut command = cc("cc -std=c11 -Wall -Wextra -Werror");
    command.arg(source_file(&format!("{name}.c"), source)).arg("-o").arg(&program);
    command.arg("-L").arg(lib_dir()).arg("-limgtask").arg(format!("-Wl,-rpath,{}", lib_dir().display()));
    run_ok(&mut command, MINUTE);
    program
}
