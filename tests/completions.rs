//! What shells complete, asked of the real shells, and the man pages, read by the real readers.

mod command;

use std::fs;
use std::path::Path;
use std::process::Command;

use command::terminal::Terminal;
use command::*;

/// The completion script for a shell, in a file.
fn script(folder: &tempfile::TempDir, shell: &str) -> String {
    let file = path(folder, format!("imgtask.{shell}"));
    let script = finish(imgtask(&["completions", shell])).ends_with(0).out;
    fs::write(&file, script).expect("written");
    file
}

/// Whether a program is there; with IMGTASK_ALL_TOOLS nothing may be missing.
fn has(tool: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {tool} >/dev/null")]).status().expect("a shell");
    if !there.success() {
        assert!(std::env::var_os("IMGTASK_ALL_TOOLS").is_none(), "{tool} is not installed");
        println!("left out, not installed: {tool}");
    }
    there.success()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

#[test]
fn bash_completes_commands_options_providers_and_files() {
    if !has("bash") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(&folder, "bash");
    // As bash calls it: the command, the word, the word before; and the words and the place of the cursor.
    let ask = |words: &[&str]| {
        let last = words.len() - 1;
        let program = format!(
            "set -eu; compopt() {{ :; }}; . {}; COMP_WORDS=({}); COMP_CWORD={last}\n\
             function_of=$(complete -p imgtask | sed 's/.* -F \\([^ ]*\\) .*/\\1/')\n\
             $function_of imgtask '{}' '{}'\n\
             for word in ${{COMPREPLY[@]+\"${{COMPREPLY[@]}}\"}}; do echo \"$word\"; done",
            quoted(&script),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words[last],
            words[last - 1],
        );
        let mut bash = alone("bash");
        bash.args(["--norc", "--noprofile", "-c", &program]).current_dir(&folder);
        finish(bash).ends_with(0).out
    };
    assert_eq!(lines(&ask(&["imgtask", "wa"])), ["wait", "watch"]);
    assert_eq!(lines(&ask(&["imgtask", "wait", "--provider", "lem"])), ["lemondata"]);
    assert_eq!(lines(&ask(&["imgtask", "watch", "-p", "dimi"])), ["dimilinks", "dimilinks-legacy"]);
    assert_eq!(lines(&ask(&["imgtask", "completions", ""])).last(), Some(&"fish"));
    assert!(lines(&ask(&["imgtask", "dialect", ""])).contains(&"check"));
    assert!(lines(&ask(&["imgtask", "submit", "--"])).contains(&"--name-pattern"));
    assert!(!lines(&ask(&["imgtask", ""])).contains(&"help"), "help is an option");

    // As a user does, with the tab key. Ctrl-T shows what the line has become.
    fs::write(folder.path().join("ids.txt"), "").expect("written");
    let mut bash = alone("bash");
    bash.args(["--norc", "--noprofile", "-i"]).current_dir(&folder).env("HOME", folder.path()).env("TERM", "dumb");
    let mut bash = Terminal::start(&bash, 30, 200);
    bash.press(&format!(". {}", quoted(&script)));
    bash.press("; bind -x '\"\\C-t\": echo \"<$READLINE_LINE>\"; READLINE_LINE='; echo rea''dy\n");
    bash.until("ready\r\n");
    for (typed, completed) in [
        ("imgtask fe", "<imgtask fetch >"),
        ("imgtask watch --from id", "<imgtask watch --from ids.txt >"),
        ("imgtask wait --provider lem", "<imgtask wait --provider lemondata >"),
    ] {
        bash.press(&format!("{typed}\t\x14"));
        bash.until(completed);
    }
    bash.press("exit\n");
    assert_eq!(bash.end().0, 0);
}

#[test]
fn fish_completes_commands_options_and_providers() {
    if !has("fish") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(&folder, "fish");
    let ask = |words: &str| {
        let mut fish = alone("fish");
        fish.args(["--no-config", "-c", &format!("source {}; complete -C '{words}'", quoted(&script))]);
        fish.env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        finish(fish).ends_with(0).out
    };
    let first = |text: &str| lines(text).iter().map(|line| line.split('\t').next().unwrap().to_string()).collect();
    let words = |asked: &str| -> Vec<String> { first(&ask(asked)) };
    assert_eq!(words("imgtask wa"), ["wait", "watch"]);
    assert!(ask("imgtask wa").contains("wait\tWait until tasks are done"));
    assert_eq!(words("imgtask wait --provider lem"), ["lemondata"]);
    assert_eq!(words("imgtask submit -p dimi"), ["dimilinks", "dimilinks-legacy"]);
    assert_eq!(words("imgtask completions f"), ["fish"]);
    assert_eq!(words("imgtask dialect ch"), ["check"]);
    assert_eq!(words("imgtask submit --name"), ["--name-pattern"]);
}

#[test]
fn zsh_completes_on_the_tab_key() {
    if !has("zsh") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(&folder, "zsh");
    fs::rename(&script, folder.path().join("_imgtask")).expect("renamed");
    let mut zsh = alone("zsh");
    zsh.args(["-f", "-i"]).current_dir(&folder).env("HOME", folder.path());
    let mut zsh = Terminal::start(&zsh, 30, 200);
    // Found as a function by its name, as an installed one is. Ctrl-T shows what the line has become.
    zsh.press("fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D\n");
    zsh.press("show() { print -r -- \"<$BUFFER>\"; BUFFER= }; zle -N show; bindkey '^T' show; echo rea''dy\n");
    zsh.until("ready\r\n");
    for (typed, completed) in [
        ("imgtask fe", "<imgtask fetch >"),
        ("imgtask wait --provider lem", "<imgtask wait --provider lemondata >"),
        ("imgtask submit --name", "<imgtask submit --name-pattern=>"),
        ("imgtask completions f", "<imgtask completions fish >"),
    ] {
        zsh.press(&format!("{typed}\t\x14"));
        zsh.until(completed);
    }
    zsh.press("exit\n");
    assert_eq!(zsh.end().0, 0);
}

#[test]
fn a_shell_that_is_not_known_is_refused_with_those_that_are() {
    finish(imgtask(&["completions", "tcsh"])).ends_with(2).says("bash, zsh, fish");
}

#[test]
fn every_command_has_a_man_page_that_its_readers_take_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = path(&folder, "new/man1");
    let told = finish(imgtask(&["man", &pages])).ends_with(0).out;
    let found = names(Path::new(&pages));
    let mut said: Vec<&str> = lines(&told).iter().filter_map(|line| line.rsplit('/').next()).collect();
    said.sort_unstable();
    assert_eq!(said, found);
    // Every command that the help names, and those below it.
    let listed = |words: &[&str]| -> Vec<String> {
        let help = finish(imgtask(&[words, &["-h"]].concat())).ends_with(0).out;
        let commands = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
        let rows = commands.lines().take_while(|line| line.starts_with("  "));
        rows.filter(|line| !line.starts_with("   "))
            .map(|line| line.split_whitespace().next().unwrap().into())
            .collect()
    };
    let (commands, below) = (listed(&[]), listed(&["dialect"]));
    assert!(commands.len() > 10 && below.len() > 4, "{commands:?} {below:?}");
    let below = below.iter().map(|name| format!("dialect-{name}"));
    for name in commands.iter().cloned().chain(below).filter(|name| !name.ends_with("help")) {
        assert!(found.contains(&format!("imgtask-{name}.1")), "no page for {name}");
    }
    let text = |name: &str| fs::read_to_string(Path::new(&pages).join(name)).expect("a page");
    for heading in
        ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXAMPLES", "\"EXIT CODES\"", "\"SEE ALSO\""]
    {
        assert!(text("imgtask.1").contains(&format!(".SH {heading}\n")), "no {heading}");
    }
    assert!(text("imgtask-dialect-try.1").contains("imgtask\\-dialect(1)"), "the page above");
    for (tool, arguments) in [("mandoc", &["-Tlint", "-Wwarning"][..]), ("groff", &["-man", "-ww", "-Tutf8", "-z"])] {
        if !has(tool) {
            continue;
        }
        for name in &found {
            let mut reader = Command::new(tool);
            let run = finish({
                reader.args(arguments).arg(name).current_dir(&pages);
                reader
            });
            // A page has no date, so that it is the same whenever it is made.
            let told = run.out.lines().chain(run.err.lines()).filter(|line| !line.contains("missing date"));
            assert_eq!(told.collect::<Vec<_>>(), [""; 0], "{tool} on {name}");
        }
    }
}
