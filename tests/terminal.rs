//! The command in a real terminal: colours, progress, small windows, Ctrl-C.

mod command;

use std::fs;

use command::terminal::{Terminal, is_coloured, screen};
use command::*;

/// The text without the sequences that steer a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |at| at + 1);
        rest = &after[end..];
    }
    plain + rest
}

#[test]
fn a_wait_shows_a_bar_and_colours_and_the_result_stays() {
    let sandbox = Sandbox::start(&[]);
    let id = sandbox.task("a fox [hold:running] [poll.http-503*2]");
    let mut terminal = Terminal::start(&sandbox.command(&["wait", &id, "--interval", "50ms"]), 30, 100);
    terminal.until("no answer, tried again");
    terminal.until("running");
    sandbox.control("POST", &format!("/tasks/{id}/finish"), "");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0);
    assert!(is_coloured(&shown), "{shown:?}");
    let text = plain(&shown);
    assert!(text.contains(&format!("{id}\t0\thttp://")) && text.contains("✓"), "{text}");
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let sandbox = Sandbox::quick();
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command(arguments);
        command.envs(variables.iter().copied());
        let (code, shown) = Terminal::start(&command, 30, 100).end();
        assert_eq!(code, 0, "{shown}");
        is_coloured(&shown)
    };
    for arguments in [&["providers"][..], &["doctor"], &["--help"], &["wait", "-h"], &["config"]] {
        assert!(shown(arguments, &[]), "{arguments:?}");
        assert!(!shown(arguments, &[("NO_COLOR", "1")]), "{arguments:?}");
        assert!(!shown(&[arguments, &["--color", "never"]].concat(), &[]), "{arguments:?}");
        assert!(!shown(arguments, &[("TERM", "dumb")]), "{arguments:?}");
        assert!(!shown(arguments, &[("TERM", "")]), "{arguments:?}");
        assert!(!shown(arguments, &[("TERM", "dumb"), ("CI", "true")]), "{arguments:?}");
    }
    assert!(shown(&["providers", "--color", "always"], &[("NO_COLOR", "1")]));
}

#[test]
fn quiet_shows_the_result_alone() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "fox.png");
    let arguments = ["submit", "--quiet", "--prompt", "a fox", "--out", &file, "--interval", "50ms"];
    let (code, shown) = Terminal::start(&sandbox.command(&arguments), 30, 200).end();
    assert_eq!(code, 0);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with(&file), "{shown:?}");
    assert_image(&file);
}

/// One of these turns while a task is waited for; which of them is shown, a busy machine says.
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

#[test]
fn progress_leaves_nothing_behind_in_a_small_window() {
    let sandbox = Sandbox::start(&[]);
    let id = sandbox.task("a fox [hold:running]");
    let (sandbox, id) = (&sandbox, id.as_str());
    // Side by side: each takes the second that it waits.
    std::thread::scope(|scope| {
        for (name, told) in [("wait", "the task goes on"), ("watch", "1 task in")] {
            for (rows, columns) in [(10, 20), (3, 20), (30, 100)] {
                scope.spawn(move || {
                    let command = sandbox.command(&[name, id, "--interval", "50ms", "--timeout", "1s"]);
                    let (code, shown) = Terminal::start(&command, rows, columns).end();
                    assert_eq!(code, 4, "{shown}");
                    let left = screen(&shown, rows.into(), columns.into());
                    let text = left.concat();
                    for drawn in ["OPEN", "LOOKS", "TIME"] {
                        assert!(!text.contains(drawn), "{name} at {columns}: {drawn} is left in {left:#?}");
                    }
                    assert!(!text.contains(SPINNER), "{name} at {columns}: a spinner is left in {left:#?}");
                    assert!(!shown.contains("0/100"), "a bar of nobody's: {shown:?}");
                    assert!(shown.contains(SPINNER) || shown.contains("OPEN"), "nothing was drawn: {shown:?}");
                    assert!(text.replace(' ', "").contains(&told.replace(' ', "")), "{name}: {left:#?}");
                });
            }
        }
    });
}

#[test]
fn ctrl_c_in_a_terminal_ends_politely_and_leaves_the_terminal_as_it_was() {
    let sandbox = Sandbox::start(&[]);
    let id = sandbox.task("a fox [hold:running]");
    for command in ["wait", "watch"] {
        let mut terminal = Terminal::start(&sandbox.command(&[command, &id, "--interval", "50ms"]), 30, 100);
        terminal.until("running");
        terminal.press("\x03");
        let (code, shown) = terminal.end();
        assert_eq!(code, 130, "{shown}");
        // Never hidden, so that no end, however sudden, leaves a terminal without it.
        assert!(!shown.contains("\x1b[?25l"), "the cursor is hidden: {shown:?}");
    }
}

#[test]
fn ctrl_c_reaches_a_command_in_a_sandbox_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // Counts what it is sent, and ends with a code of its own.
    let script = "trap 'echo caught' INT; echo started; sleep 0.3 & wait; wait; sleep 0.5; exit 7";
    let mut command = imgtask(&["sandbox", "--", "sh", "-c", script]);
    command.current_dir(&folder);
    let mut terminal = Terminal::start(&command, 30, 100);
    terminal.until("started");
    terminal.press("\x03");
    let (code, shown) = terminal.end();
    assert_eq!((code, shown.matches("caught").count()), (7, 1), "{shown}");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_that_is_no_key_reaches_a_command_in_a_sandbox() {
    // In a terminal, sent to imgtask alone.
    let script = "trap 'echo caught' INT; kill -INT $PPID; sleep 0.5; exit 7";
    let (code, shown) = Terminal::start(&imgtask(&["sandbox", "--", "sh", "-c", script]), 30, 100).end();
    assert_eq!((code, shown.matches("caught").count()), (7, 1), "{shown}");
}
