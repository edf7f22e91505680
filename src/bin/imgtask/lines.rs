//! A list of tasks as `watch` and `wait` read it: a reference a line.

use std::io::{self, BufRead, Read};

/// Longest line that can be a reference, bytes.
const MAX_LINE: u64 = 16 * 1024;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A reference, and the number of its line: 0 for an argument.
    Task(String, u64),
    /// A line that cannot be a reference, and why.
    Unreadable(u64, String),
    /// The rest cannot be read.
    Broken(String),
}

/// The lines of a list; empty ones and remarks are passed over.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    is_broken: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Lines<R> {
        Lines { input, line: Vec::new(), number: 0, bytes: 0, is_broken: false }
    }

    /// How much was read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `None` at the end.
    fn read(&mut self) -> io::Result<Option<Line>> {
        loop {
            self.line.clear();
            self.number += 1;
            let length = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line)? as u64;
            if length == 0 {
                return Ok(None);
            }
            self.bytes += length;
            if length == MAX_LINE && !self.line.ends_with(b"\n") {
                skip_line(&mut self.input)?;
                return Ok(Some(Line::Unreadable(self.number, format!("it is longer than {MAX_LINE} bytes"))));
            }
            match reference(&self.line, self.number) {
                Ok("") => {}
                Ok(text) => return Ok(Some(Line::Task(text.to_string(), self.number))),
                Err(why) => return Ok(Some(Line::Unreadable(self.number, why))),
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        if self.is_broken {
            return None;
        }
        self.read().unwrap_or_else(|error| {
            self.is_broken = true;
            Some(Line::Broken(crate::exit::reason(&error)))
        })
    }
}

/// The reference on a line; "" for an empty line and for a remark, which begins with #.
fn reference(line: &[u8], number: u64) -> Result<&str, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_string())?;
    // The mark that some editors put before a text.
    let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text }.trim();
    Ok(if text.starts_with('#') { "" } else { text })
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (length, end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(length);
        if end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Line> {
        Lines::new(text).collect()
    }

    fn task(text: &str, line: u64) -> Line {
        Line::Task(text.into(), line)
    }

    #[test]
    fn lines_are_references_and_keep_their_numbers() {
        let text = "\u{feff}img_1\r\n\n  img_2 \n# later\nimg_3";
        assert_eq!(all(text.as_bytes()), [task("img_1", 1), task("img_2", 3), task("img_3", 5)]);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn a_line_that_is_none_is_told_and_the_rest_goes_on() {
        let mut text = b"img_1\n\xff\xfe\n".to_vec();
        text.extend([b'x'; 3 * MAX_LINE as usize]);
        text.extend(b"\nimg_2\n");
        let next = all(&text);
        assert_eq!((&next[0], &next[3]), (&task("img_1", 1), &task("img_2", 4)));
        assert!(matches!((&next[1], &next[2]), (Line::Unreadable(2, _), Line::Unreadable(3, _))), "{next:?}");
    }

    #[test]
    fn what_cannot_be_read_on_is_told_once() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the cable is out"))
            }
        }
        let input = io::BufReader::new(io::Read::chain(&b"img_1\n"[..], Broken));
        let lines: Vec<Line> = Lines::new(input).collect();
        assert_eq!(lines, [task("img_1", 1), Line::Broken("the cable is out".into())]);
    }
}
