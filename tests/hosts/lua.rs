//! The Lua module in plain LuaJIT: what it promises, what it declares, where it looks for the library, and how it ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::native::{Ran, has, library, root, run, run_ok, scratch};
use crate::screen::Screen;
use crate::tool;

const MINUTE: Duration = Duration::from_secs(60);

macro_rules! layout {
    ($($name:ident $size64:literal $size32:literal { $($field:ident $at64:literal $at32:literal,)* })*) => {
        /// What C says of each struct: `name, size, {field, offset, ..}`, as Lua writes it.
        const LAYOUT: &str = concat!($(
            "{'", stringify!($name), "',", $size64, ",{", $("{'", stringify!($field), "',", $at64, "},",)* "}},\n",
        )*);
    };
}
include!("../../abi/layout.rs");

/// A script in LuaJIT that finds the module of the repository.
fn luajit(script: &Path) -> Command {
    let mut command = Command::new("luajit");
    command.arg(script).env("LUA_PATH", format!("{}/bindings/lua/?.lua", root().display()));
    command.env("IMGTASK_LIBRARY", library());
    command
}

/// The same command with a sandbox around it.
fn sandboxed(command: &Command) -> Command {
    let mut outer = Command::new("timeout");
    outer.args(["--kill-after=5", "90"]).arg(tool());
    outer.args(["sandbox", "--speed", "100", "--duration", "20", "--"]);
    outer.arg(command.get_program()).args(command.get_args());
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer
}

fn script(name: &str, text: &str) -> PathBuf {
    let file = scratch().join(name);
    fs::write(&file, text).unwrap();
    file
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_module_keeps_what_it_promises() {
    if !has("luajit") {
        return;
    }
    let command = luajit(&root().join("bindings/lua/tests/test_imgtask.lua"));
    let ran = run(&mut sandboxed(&command), Duration::from_secs(100));
    assert!(ran.status.success(), "{}\n{}", ran.out, ran.err);
    let tests = fs::read_to_string(root().join("bindings/lua/tests/test_imgtask.lua")).unwrap();
    let written = tests.matches("\nfunction tests.").count();
    assert!(written > 0 && ran.out.matches("ok ").count() == written, "{written}:\n{}", ran.out);
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_committed_declarations_are_those_of_the_header() {
    if has("python3") {
        run_ok(Command::new("python3").arg(root().join("bindings/lua/tools/generate_abi.py")).arg("--check"), MINUTE);
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn structs_lie_in_lua_as_they_lie_in_c() {
    if !has("luajit") {
        return;
    }
    let text = format!(
        "local ffi = require 'ffi'\nffi.cdef(require('imgtask_abi').cdef)\nlocal checked = 0\n\
         for _, struct in ipairs {{\n{LAYOUT}}} do\n  local name, size, fields = unpack(struct)\n  \
         assert(ffi.sizeof(name) == size, name)\n  for _, field in ipairs(fields) do\n    \
         assert(ffi.offsetof(name, field[1]) == field[2], name .. '.' .. field[1])\n    checked = checked + 1\n  end\nend\nprint(checked)\n"
    );
    let said = run_ok(&mut luajit(&script("layout.lua", &text)), MINUTE);
    assert_eq!(said.trim(), LAYOUT.matches("{'").count().saturating_sub(LAYOUT.lines().count()).to_string());
}

/// What a script says that loads the module and creates a client.
fn loads(command: &mut Command) -> String {
    let ran = run(command, MINUTE);
    assert!(ran.status.success(), "{}\n{}", ran.out, ran.err);
    ran.out
}

const LOAD: &str = "local imgtask = require(arg[1])\nlocal good, why = imgtask.load(arg[2])\n\
                    print(good and imgtask.version() or why)\nprint(why and why.status)\n";

#[test]
#[ignore = "make test runs it in a step of its own"]
fn a_library_that_is_named_is_the_only_one_tried() {
    if !has("luajit") {
        return;
    }
    let load = script("load.lua", LOAD);
    let said = loads(luajit(&load).args(["imgtask", "/nowhere/libimgtask.so"]));
    assert!(said.starts_with("the imgtask library cannot be used: /nowhere/libimgtask.so: "), "{said}");
    assert!(said.ends_with("\nno_library\n"), "{said}");
    let said = loads(luajit(&load).arg("imgtask").env("IMGTASK_LIBRARY", "libm.so.6"));
    assert!(said.contains("libm.so.6: it is not imgtask"), "{said}");
    let version = format!("{}\nnil\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(loads(luajit(&load).arg("imgtask").arg(library()).env("IMGTASK_LIBRARY", "/nowhere")), version);
    assert_eq!(loads(luajit(&load).arg("imgtask")), version);
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn a_library_that_is_not_named_is_found_beside_the_module_in_any_folder() {
    if !has("luajit") {
        return;
    }
    // As a game has it: in a folder of its own, and with names that no global may have.
    let folder = scratch().join("a game");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("libs")).unwrap();
    for name in ["imgtask.lua", "imgtask_abi.lua"] {
        fs::copy(root().join("bindings/lua").join(name), folder.join("libs").join(name)).unwrap();
    }
    let strict = "setmetatable(_G, { __index = function(_, name) error('global ' .. name) end, \
                  __newindex = function(_, name) error('global ' .. name) end })\n";
    let load = script("load-strict.lua", &format!("{strict}{LOAD}"));
    let command = || {
        let mut command = luajit(&load);
        command.arg("libs.imgtask").env_remove("IMGTASK_LIBRARY").current_dir(&folder).env("LUA_PATH", "./?.lua");
        command.env_remove("LD_LIBRARY_PATH");
        command
    };
    let said = loads(&mut command());
    assert!(said.contains("./libs/libimgtask.so: there is no such file"), "{said}");
    assert!(said.contains("IMGTASK_LIBRARY") && said.ends_with("no_library\n"), "{said}");
    symlink(library(), folder.join("libs/libimgtask.so")).unwrap();
    assert_eq!(loads(&mut command()), format!("{}\nnil\n", env!("CARGO_PKG_VERSION")));
}

/// The library without the mark that keeps it loaded, for one test: a host that is careless with it falls into the hole.
fn unloadable(test: &str) -> PathBuf {
    let mut bytes = fs::read(library()).unwrap();
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let headers = number(&bytes, 0x20);
    let count = usize::from(u16::from_le_bytes(bytes[0x38..0x3a].try_into().unwrap()));
    let dynamic = (0..count).map(|n| headers + n * 56).find(|at| bytes[*at..*at + 4] == [2, 0, 0, 0]).unwrap();
    let (offset, size) = (number(&bytes, dynamic + 8), number(&bytes, dynamic + 32));
    // The entry FLAGS_1, and in it the bit NODELETE.
    let entry = (offset..offset + size).step_by(16).find(|at| number(&bytes, *at) == 0x6fff_fffb).unwrap();
    assert_ne!(bytes[entry + 8] & 8, 0, "the library may be unloaded");
    bytes[entry + 8] &= !8;
    let file = scratch().join(format!("lib{test}.so"));
    fs::write(&file, bytes).unwrap();
    file
}

fn dies_of_its_error(ran: &Ran) {
    assert_eq!(ran.status.code(), Some(1), "{}\n{}\n{}", ran.status, ran.out, ran.err);
    assert!(ran.err.contains("the game is broken"), "{}", ran.err);
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn a_program_that_dies_of_an_error_while_handles_live_ends_cleanly() {
    if !has("luajit") {
        return;
    }
    let file = root().join("tests/hosts/lua/error_while_a_handle_lives.lua");
    let unloadable = unloadable("unloadable-in-luajit");
    for when in ["at-the-end", "collected"] {
        // The library is kept in a global, and could not be unloaded anyway: either is enough.
        let ways =
            [("idle", unloadable.clone()), ("busy", unloadable.clone()), ("busy", library()), ("careless", library())];
        for (how, library) in ways {
            let mut command = luajit(&file);
            command.args([how, when]).env("IMGTASK_LIBRARY", library);
            dies_of_its_error(&run(&mut sandboxed(&command), MINUTE));
        }
    }
    // Without both it crashes, so the checks above can see it. A sandbox hides the signal: none here.
    let mut command = luajit(&file);
    command.args(["careless", "collected"]).env("IMGTASK_LIBRARY", unloadable).env("DIMILINKS_API_KEY", "sk-any");
    let ran = run(&mut command, MINUTE);
    assert_eq!(ran.status.signal(), Some(11), "{}\n{}", ran.status, ran.err);
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn a_love_game_that_dies_of_an_error_while_handles_live_ends_cleanly() {
    if !has("love") || !has("Xvfb") {
        return;
    }
    let game = scratch().join("broken-game");
    fs::create_dir_all(&game).unwrap();
    for name in ["imgtask.lua", "imgtask_abi.lua"] {
        fs::copy(root().join("bindings/lua").join(name), game.join(name)).unwrap();
    }
    // Without the blue screen, which would wait for a key.
    let main = "function love.errorhandler(message) io.stderr:write(message, '\\n') end\narg = { 'busy' }\n";
    let body = fs::read_to_string(root().join("tests/hosts/lua/error_while_a_handle_lives.lua")).unwrap();
    fs::write(game.join("main.lua"), format!("{main}{body}")).unwrap();
    for library in [library(), unloadable("unloadable-in-love")] {
        let screen = Screen::open();
        let mut command = Command::new("love");
        command.arg(&game).env("DISPLAY", &screen.display).env("IMGTASK_LIBRARY", library).env("HOME", &game);
        command.env("SDL_AUDIODRIVER", "dummy");
        dies_of_its_error(&run(&mut sandboxed(&command), MINUTE));
    }
}
