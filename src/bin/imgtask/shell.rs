//! Text that is safe to show on a terminal and safe to paste into a shell.

/// `text` without anything that a terminal obeys: services choose these words, not we.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            // Control characters, and the marks that turn the reading direction round.
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

/// `word` as one argument of a POSIX shell.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Cells as one line with tabs between, which no cell can break.
pub(crate) fn row(cells: &[&str]) -> String {
    cells.iter().map(|cell| clean(cell)).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{9b}c\u{202e}d\ne"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d e");
        assert_eq!(clean("上游返回错误"), "上游返回错误");
    }

    #[test]
    fn a_quoted_word_is_one_argument() {
        assert_eq!(quote("img_1"), "img_1");
        assert_eq!(quote("http://127.0.0.1:80/v1"), "http://127.0.0.1:80/v1");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("$(id)"), "'$(id)'");
    }
}
