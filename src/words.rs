//! Words from outside, before they stand in a message or in a line of the log.

use std::io;
use std::time::Duration;

/// A text from outside, fit for one line of a log or a terminal: no line ends, no escape sequences, no characters that
/// turn the direction of what follows.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for (count, word) in text.split_whitespace().enumerate() {
        if count > 0 {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| is_plain(*c)));
        if line.len() > 4 * limit {
            break;
        }
    }
    match line.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.trim().to_owned(),
    }
}

fn is_plain(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !hidden
}

/// A time for people, to the tenth: `12.3 s`. By whole numbers, for to write a float takes 20 KB of library.
pub(crate) fn seconds(time: Duration) -> String {
    let tenths = time.as_secs() * 10 + u64::from(time.subsec_millis() + 50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// A text from outside that keeps its lines, without what a terminal would take for a command.
pub(crate) fn printable(text: String) -> String {
    let is_command = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(is_command) { text.replace(is_command, "") } else { text }
}

/// A service's words without the key, the queries of links and their user names: some services repeat what they were sent.
///
/// A text that was cut to its length may end inside the key, and loses that beginning too.
pub(crate) fn without_secrets(text: &str, key: &str) -> String {
    const SHORTEST_BEGINNING: usize = 4;
    let mut text = text.replace(key, "[key]");
    let whole = text.trim_end_matches('.').len();
    let begun = (SHORTEST_BEGINNING..key.len()).rev().filter_map(|len| key.get(..len));
    if let Some(kept) = begun.filter_map(|begun| text[..whole].strip_suffix(begun)).map(str::len).next() {
        text.replace_range(kept..whole, "[key]");
    }
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let (before, after) = bare.split_once('?').unwrap_or((bare, ""));
        match before.split_once("://") {
            Some((scheme, rest)) => {
                let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
                let user = authority.rfind('@').map_or(0, |at| at + 1);
                kept.extend([scheme, "://", &rest[user..]]);
            }
            None => kept.push_str(before),
        }
        if before.len() < bare.len() {
            kept.push_str(if after.contains('=') || before.contains('/') { "?[...]" } else { &bare[before.len()..] });
        }
        kept.push_str(&word[bare.len()..]);
    }
    kept
}

/// Why the system refused something with a file.
pub(crate) fn of_disk(error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no space is left",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::NotFound => "the folder does not exist",
        io::ErrorKind::NotADirectory => "a part of the path is not a folder",
        io::ErrorKind::InvalidFilename => "the name is too long or not allowed",
        io::ErrorKind::InvalidInput => "the path holds a NUL",
        io::ErrorKind::IsADirectory => "the path is a folder",
        io::ErrorKind::FileTooLarge => "the file is larger than the system allows",
        _ => match error.raw_os_error() {
            #[cfg(unix)]
            Some(libc::EMFILE | libc::ENFILE) => "too many files are open",
            Some(number) => return format!("system error {number}"),
            None => "the system refused",
        },
    };
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_words_lose_the_key_and_the_queries_of_links() {
        assert_eq!(
            without_secrets("Incorrect key sk-1: see https://h/p?sig=abc now, or /p/img/1?exp=1&sig=2", "sk-1"),
            "Incorrect key [key]: see https://h/p?[...] now, or /p/img/1?[...]"
        );
        for quoted in ["\"/p/img/1?sig=abc\"", "(/p/img/1?sig=abc)", "url=/p/img/1?sig=abc", "h.example/p?sig=abc"] {
            assert!(!without_secrets(quoted, "sk-1").contains("abc"), "{quoted}");
        }
        assert_eq!(without_secrets("what? nothing", "sk-1"), "what? nothing");
        assert_eq!(without_secrets("url=/p/img/1?exp=1&sig=2 '/p?sig=3'\n", "sk-1"), "url=/p/img/1?[...] '/p?[...]\n");
        assert_eq!(without_secrets("ask https://u:p@h/a or (http://u@h)", "sk-1"), "ask https://h/a or (http://h)");
    }

    #[test]
    fn a_key_that_was_cut_with_the_text_is_no_less_a_key() {
        for (text, want) in [
            ("Incorrect key sk-CANARY-7f...", "Incorrect key [key]..."),
            ("Incorrect key sk-C", "Incorrect key [key]"),
            ("Incorrect key sk-CANARY-7f3a", "Incorrect key [key]"),
            ("a desk", "a desk"),
        ] {
            assert_eq!(without_secrets(text, "sk-CANARY-7f3a"), want);
        }
    }

    #[test]
    fn a_time_is_told_to_the_tenth() {
        for (ms, told) in [(49, "0.0 s"), (50, "0.1 s"), (999, "1.0 s"), (12_345, "12.3 s"), (600_000, "600.0 s")] {
            assert_eq!(seconds(Duration::from_millis(ms)), told);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_gone_and_lines_stay() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc\td\u{9b}2J\u{7f}".into()), "a[31mb\nc\td2J");
    }

    #[test]
    fn what_would_break_a_line_or_turn_its_direction_is_gone() {
        assert_eq!(one_line(" a\r\nb\t c\u{1b}[31m\u{202e}d\0 ", 300), "a b c[31md");
        assert_eq!(one_line("abcdef", 3), "abc...");
    }
}
