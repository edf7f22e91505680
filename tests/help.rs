//! Help that teaches: short and long, and its examples are run as they stand there.

mod command;

use std::path::Path;
use std::process::Command;

use command::*;

/// Every command, those below others too, as `--help` lists them.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(words) = open.pop() {
        let below = listed(&help(&words, "-h"));
        open.extend(
            below.iter().filter(|name| *name != "help").map(|name| [&words[..], std::slice::from_ref(name)].concat()),
        );
        found.push(words);
    }
    found
}

fn help(words: &[String], flag: &str) -> String {
    help_in(words, flag, 200)
}

/// As a window of so many columns has it.
fn help_in(words: &[String], flag: &str, columns: u16) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).chain([flag]).collect();
    // Not through `finish`, which searches for keys: help names those of the sandbox.
    let told = imgtask(&words).env("COLUMNS", columns.to_string()).output().expect("imgtask runs");
    assert!(told.status.success() && told.stderr.is_empty(), "{words:?}");
    String::from_utf8(told.stdout).expect("text")
}

fn listed(help: &str) -> Vec<String> {
    let rows = help.split_once("Commands:\n").map_or("", |(_, rest)| rest).lines();
    let rows = rows.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    rows.filter_map(|line| line.split_whitespace().next()).map(str::to_string).collect()
}

/// The lines under a heading.
fn section<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let after = help.split_once(&format!("\n{heading}:\n")).map_or("", |(_, rest)| rest);
    after.lines().take_while(|line| !line.is_empty()).map(|line| line.strip_prefix("  ").unwrap_or(line)).collect()
}

#[test]
fn every_command_has_a_short_help_and_a_long_one_with_examples() {
    let commands = commands();
    assert!(commands.len() > 18, "{commands:?}");
    for words in &commands {
        let (short, long) = (help(words, "-h"), help(words, "--help"));
        assert!(short.len() < long.len(), "{words:?}: -h is no shorter");
        assert!(!short.contains("Examples:"), "{words:?}: -h is long");
        assert!(!section(&long, "Examples").is_empty(), "{words:?}: no examples");
        assert!(short.contains("Global options:"), "{words:?}");
        // Nothing is cut or folded that is to be copied, nor a table of codes.
        let narrow = help_in(words, "--help", 80);
        for heading in ["Examples", "Exit codes", "Environment"] {
            let lines = section(&long, heading);
            assert_eq!(section(&narrow, heading), lines, "{words:?} in 80 columns");
            for line in lines {
                assert!(line.len() <= 76, "{words:?}: {line}");
            }
        }
    }
    for name in ["submit", "fetch", "wait", "watch", "download", "cancel", "demo"] {
        let long = help(&[name.to_string()], "--help");
        assert!(!section(&long, "Exit codes").is_empty(), "{name} says nothing of its exit codes");
        for heading in ["Service:", "Network:", "Pace:"].iter().filter(|_| name != "demo") {
            assert!(long.contains(&format!("\n{heading}\n")), "{name}: no {heading}");
        }
    }
}

#[test]
fn the_examples_of_every_command_work() {
    let commands = commands();
    let mut ran = 0;
    std::thread::scope(|scope| {
        let runs: Vec<_> = commands
            .iter()
            .map(|words| {
                let examples = section(&help(words, "--help"), "Examples").join("\n");
                scope.spawn(move || {
                    let jq = Command::new("sh").args(["-c", "command -v jq >/dev/null"]).status();
                    let has_jq = jq.is_ok_and(|status| status.success());
                    assert!(has_jq || std::env::var_os("IMGTASK_ALL_TOOLS").is_none(), "jq is not installed");
                    let lines: Vec<&str> = examples.lines().filter(|line| has_jq || !line.contains("| jq ")).collect();
                    run(words, &lines.join("\n"));
                    lines.len()
                })
            })
            .collect();
        ran = runs.into_iter().map(|run| run.join().expect("the examples work")).sum::<usize>();
    });
    assert!(ran > 45, "only {ran} lines");
}

/// Runs the examples of one command in one shell, with a sandbox around it, in a folder of its own.
fn run(words: &[String], examples: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = imgtask(&["sandbox", "--speed", "200", "--", "bash", "-euo", "pipefail", "-c", examples]);
    let own = Path::new(BINARY).parent().expect("a folder").to_path_buf();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&others))).expect("a path");
    command.env("PATH", path).env("IMGTASK_INTERVAL", "50ms").env("HOME", folder.path()).current_dir(&folder);
    let run = finish(command);
    assert_eq!(run.code, 0, "{words:?}:\n{examples}\n-- stdout\n{}\n-- stderr\n{}", run.out, run.err);
}
