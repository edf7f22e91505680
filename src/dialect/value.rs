//! A value of a body, as it stands there, and what it can be taken for.

use std::borrow::Cow;

/// A list and an object with nothing in them.
pub(super) const EMPTY_LIST: &str = "[]";
pub(super) const EMPTY_OBJECT: &str = "{}";

/// A value, borrowed from the body. Nothing is decoded before somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Value<'a> {
    /// Absent, or `null`.
    #[default]
    Null,
    Bool(bool),
    /// A number's digits: one that fits no machine type is still harmless.
    Number(&'a str),
    /// A text without escapes.
    Text(&'a str),
    /// A text with escapes, as written.
    Escaped(&'a str),
    /// An array as written, "" if the reader walked into one that holds something.
    List(&'a str),
    /// An object as written, "" if the reader walked into one that holds something.
    Object(&'a str),
}

impl<'a> Value<'a> {
    /// One whole JSON value without white space around it.
    pub(super) fn of(json: &'a str) -> Value<'a> {
        match json.as_bytes() {
            [b'"', text @ .., b'"'] => {
                let inner = &json[1..json.len() - 1];
                if text.contains(&b'\\') { Value::Escaped(inner) } else { Value::Text(inner) }
            }
            [b'n', ..] | [] => Value::Null,
            [b't', ..] => Value::Bool(true),
            [b'f', ..] => Value::Bool(false),
            // However much white space stands in it.
            [b'[', inner @ .., b']'] if inner.trim_ascii().is_empty() => Value::List(EMPTY_LIST),
            [b'{', inner @ .., b'}'] if inner.trim_ascii().is_empty() => Value::Object(EMPTY_OBJECT),
            [b'[', ..] => Value::List(json),
            [b'{', ..] => Value::Object(json),
            _ => Value::Number(json),
        }
    }

    /// Whether it says nothing: absent, `null`, or a text of white space.
    #[inline]
    pub(super) fn is_blank(&self) -> bool {
        match self {
            Value::Null => true,
            // Most begin with a letter.
            Value::Text(text) | Value::Escaped(text)
                if text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) =>
            {
                false
            }
            Value::Text(text) => is_white(text, false),
            Value::Escaped(text) => is_white(text, true),
            _ => false,
        }
    }

    /// A text, or the digits of a number; `None` for anything else and for a blank one.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        match *self {
            _ if self.is_blank() => None,
            Value::Number(text) | Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Escaped(text) => Some(Cow::Owned(unescape(text))),
            _ => None,
        }
    }

    /// A word that stands for a state: a text, a number or a boolean.
    pub(super) fn word(&self) -> Option<Cow<'a, str>> {
        match self {
            Value::Bool(true) => Some(Cow::Borrowed("true")),
            Value::Bool(false) => Some(Cow::Borrowed("false")),
            _ => self.text(),
        }
    }

    /// A finite number, also when it is written as a text.
    pub(super) fn number(&self) -> Option<f64> {
        decimal(self.text()?.trim()).filter(|number| number.is_finite())
    }

    /// A share of `scale`, or a percent text, in percent.
    pub(super) fn percent(&self, scale: f64) -> Option<f64> {
        let text = self.text()?;
        let (digits, scale) = match text.trim().strip_suffix('%') {
            Some(digits) => (digits, 100.0),
            None => (text.trim(), scale),
        };
        let share = decimal(digits.trim_end())?;
        Some(share * 100.0 / scale).filter(|percent| percent.is_finite())
    }

    /// Unix seconds of a time in seconds, milliseconds or RFC 3339; 0 for "not yet" and for what is no time.
    pub(super) fn time(&self) -> i64 {
        let Some(text) = self.text() else { return 0 };
        match decimal(text.trim()) {
            Some(number) => unix_seconds(number),
            None => rfc3339(text.trim()).unwrap_or(0),
        }
    }

    /// Whether a flag is set: `true`, a number but 0, a text that is no "no", anything else that is not `null`.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Value::Bool(set) => *set,
            Value::Number(_) => self.number() != Some(0.0),
            Value::Text(_) | Value::Escaped(_) => self
                .text()
                .is_some_and(|text| !["false", "0", "no", "off"].iter().any(|no| text.trim().eq_ignore_ascii_case(no))),
            Value::List(json) => *json != EMPTY_LIST,
            Value::Object(json) => *json != EMPTY_OBJECT,
            Value::Null => false,
        }
    }
}

/// A decimal number with sign, fraction and exponent as they come. Exact to 15 digits like the standard library's, whose
/// exactness beyond them takes 18 KB.
pub(super) fn decimal(text: &str) -> Option<f64> {
    if let Ok(whole) = text.parse::<u64>() {
        return Some(whole as f64);
    }
    const MORE_FITS: u64 = 1_000_000_000_000_000_000;
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => (-1.0, number),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mut digits, mut power, mut any, mut behind_point) = (0_u64, 0_i32, false, false);
    for (at, byte) in number.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                any = true;
                let fits = digits < MORE_FITS;
                if fits {
                    digits = digits * 10 + u64::from(byte - b'0');
                }
                power = power.saturating_add(i32::from(!fits) - i32::from(behind_point));
            }
            b'.' if !behind_point => behind_point = true,
            b'e' | b'E' => {
                power = power.saturating_add(number[at + 1..].parse().ok()?);
                break;
            }
            _ => return None,
        }
    }
    let power = power.clamp(-400, 400);
    let size = match power {
        _ if digits == 0 => 0.0,
        // To divide by a power of ten is exact where to multiply by a tenth is not.
        ..0 => digits as f64 / 10_f64.powi(-power),
        _ => digits as f64 * 10_f64.powi(power),
    };
    any.then_some(sign * size)
}

/// Seconds, whether given so or in milliseconds: no service of ours is older than 1973 nor younger than 5138.
pub(super) fn unix_seconds(number: f64) -> i64 {
    const MILLISECONDS_FROM: f64 = 1e11;
    const END_OF_9999: f64 = 253_402_300_799.0;
    let seconds = if number > MILLISECONDS_FROM { number / 1000.0 } else { number };
    if (0.0..=END_OF_9999).contains(&seconds) { seconds as i64 } else { 0 }
}

/// `2023-09-08T16:19:34.765994Z`, or with an offset. A time without a zone is no time that can be told.
fn rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = bytes.get(from..from + len)?;
        digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let separators = [(4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")] as [(usize, &[u8]); 5];
    if !separators.iter().all(|(at, set)| bytes.get(*at).is_some_and(|b| set.contains(b))) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = match bytes.get(19) {
        Some(b'.') => 1 + bytes[20..].iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    let zone = 19 + fraction;
    let offset = match bytes.get(zone)? {
        b'Z' | b'z' if bytes.len() == zone + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == zone + 6 && bytes[zone + 3] == b':' => {
            let east = number(zone + 1, 2)? * 3600 + number(zone + 4, 2)? * 60;
            if *sign == b'-' { -east } else { east }
        }
        _ => return None,
    };
    // Days since 1970 in the proleptic Gregorian calendar, the year taken to start in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second - offset).max(0))
}

/// A JSON text without its escapes. Half of a surrogate pair, and NUL, which would end a C string early, become U+FFFD.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        let escaped = match after.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => {
                let (unit, tail) = hex4(after.as_str());
                after = tail.chars();
                match (unit, after.as_str().strip_prefix("\\u").map(hex4)) {
                    (high @ 0xd800..0xdc00, Some((low @ 0xdc00..0xe000, tail))) => {
                        after = tail.chars();
                        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    (0, _) => None,
                    (unit, _) => char::from_u32(unit),
                }
                .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some(itself) => itself,
            None => break,
        };
        plain.push(escaped);
        rest = after.as_str();
    }
    plain.push_str(rest);
    plain
}

/// Whether a text, perhaps with escapes, is one of white space.
#[cold]
fn is_white(text: &str, escaped: bool) -> bool {
    let mut rest = text.trim_start();
    while let Some(after) = rest.strip_prefix('\\').filter(|_| escaped) {
        rest = match after.as_bytes().first() {
            Some(b'n' | b'r' | b't' | b'f') => &after[1..],
            Some(b'u') => match hex4(&after[1..]) {
                (unit, tail) if char::from_u32(unit).is_some_and(char::is_whitespace) => tail,
                _ => return false,
            },
            _ => return false,
        }
        .trim_start();
    }
    rest.is_empty()
}

/// The code unit of four hex digits, and what is behind them; 0 if they are none, which a JSON reader lets not through.
fn hex4(text: &str) -> (u32, &str) {
    match text.split_at_checked(4) {
        Some((digits, rest)) => (u32::from_str_radix(digits, 16).unwrap_or(0), rest),
        None => (0, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_loses_its_escapes_and_never_holds_a_nul() {
        for (json, text) in [
            (r"a\u0026b\/c", "a&b/c"),
            (r"\ud83d\ude00", "😀"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\udc00", "\u{fffd}"),
            (r"a\u0000b", "a\u{fffd}b"),
            (r#"\"\\\n\t\r\b\f"#, "\"\\\n\t\r\u{8}\u{c}"),
        ] {
            assert_eq!(unescape(json), text, "{json}");
        }
    }

    #[test]
    fn times_are_read_in_seconds_milliseconds_and_rfc3339() {
        for (json, seconds) in [
            ("1777080000", 1_777_080_000),
            ("1777080000.9", 1_777_080_000),
            ("1777080000123", 1_777_080_000),
            ("\"1777080000\"", 1_777_080_000),
            ("\"2023-09-08T16:19:34.765994Z\"", 1_694_189_974),
            ("\"2023-09-08T18:19:34+02:00\"", 1_694_189_974),
            ("\"2000-02-29T00:00:00Z\"", 951_782_400),
            ("\"1970-01-01T00:00:00Z\"", 0),
            ("\"2023-09-08 16:19:34\"", 0),
            ("\"2023-09-08T16:19:34.\"", 0),
            ("0", 0),
            ("-1", 0),
            ("1e999", 0),
            ("\"\"", 0),
            ("\"soon\"", 0),
            ("null", 0),
            ("{}", 0),
        ] {
            assert_eq!(Value::of(json).time(), seconds, "{json}");
        }
    }

    #[test]
    fn a_number_is_what_the_standard_library_makes_of_it() {
        for text in [
            "0",
            "-0",
            "7",
            "007",
            "+7",
            "-7.5",
            ".5",
            "5.",
            "0.29",
            "62.125",
            "1e3",
            "1E+3",
            "2.5e-3",
            "1777080000.123",
            "9007199254740991",
            "123456789012345",
            "1e22",
            "1e-22",
            "0.000001",
            "1e999",
            "0e999999999",
        ] {
            assert_eq!(decimal(text).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits), "{text}");
        }
        let long = "1234567890123456789012345678901234567890";
        assert!((decimal(long).unwrap_or(0.0) / 1.234_567_890_123_456_8e39 - 1.0).abs() < 1e-15);
        for text in
            ["", "+", "-", ".", "e5", "1e", "1e5.5", "1.2.3", "1 2", "--1", "NaN", "inf", "0x1", "1e99999999999"]
        {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_is_read_as_number_fraction_and_percent_text() {
        let percent = |json: &'static str, scale: f64| Value::of(json).percent(scale);
        assert_eq!(percent("62", 100.0), Some(62.0));
        assert_eq!(percent("0.5", 1.0), Some(50.0));
        assert_eq!(percent("\"62%\"", 1.0), Some(62.0));
        assert_eq!(percent("\" 62 % \"", 100.0), Some(62.0));
        assert_eq!(percent("1e999", 100.0), None);
        assert_eq!(percent("\"NaN\"", 100.0), None);
        assert_eq!(percent("\"half\"", 100.0), None);
        assert_eq!(percent("null", 100.0), None);
    }
}
