//! Words from outside, before they stand in a message or in a line of the log.

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

/// A text from outside that keeps its lines, without what a terminal would take for a command.
pub(crate) fn printable(text: String) -> String {
    let is_command = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(is_command) { text.replace(is_command, "") } else { text }
}

/// A service's words without the key and without the queries of links: some services repeat what they were sent.
pub(crate) fn without_secrets(text: &str, key: &str) -> String {
    let text = text.replace(key, "[key]");
    let mut kept = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        match word.split_once('?') {
            Some((before, after)) if before.contains('/') => {
                kept.push_str(before);
                kept.push_str("?[...]");
                kept.extend(after.chars().last().filter(|c| c.is_whitespace()));
            }
            _ => kept.push_str(word),
        }
    }
    kept
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
