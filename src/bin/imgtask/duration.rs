//! Durations as people write and read them.

use std::time::Duration;

/// The longest duration that is accepted: a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads `90`, `90s`, `10m`, `1h`, `1m30s`, `500ms`, `1.5m`. A bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "write it as 90, 90s, 10m, 1h or 1m30s".to_string();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    let mut first = true;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds: f64 = match unit {
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            // Only a number alone may go without its unit: `1m30` is a guess.
            "" if first && tail.is_empty() => 1.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        total += Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        if total > LONGEST {
            return Err("at most a week (168h)".to_string());
        }
        rest = tail.trim_start();
        first = false;
    }
    Ok(total)
}

/// Writes a duration for people: `0.8 s`, `3 s`, `42 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 if time.subsec_millis() == 0 => format!("{seconds} s"),
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A time since 1970 as `2026-11-22T14:09:20.123Z`.
pub(crate) fn utc(since: Duration) -> String {
    let (mut day, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) && year < 9999 {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second % 3600 / 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", day + 1, since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let ms = |text| parse(text).map(|d| d.as_millis());
        assert_eq!(ms("90"), Ok(90_000));
        assert_eq!(ms("90s"), Ok(90_000));
        assert_eq!(ms("10m"), Ok(600_000));
        assert_eq!(ms("1h"), Ok(3_600_000));
        assert_eq!(ms("1m30s"), Ok(90_000));
        assert_eq!(ms("1m 30s"), Ok(90_000));
        assert_eq!(ms("1.5m"), Ok(90_000));
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("0"), Ok(0));
    }

    #[test]
    fn a_duration_that_is_a_guess_is_refused() {
        for text in ["", " ", "m", "-5", "5 minutes", "1m30", "1..5s", "1e3", "s5", "999999h", "NaN", "inf", "٣s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_for_people() {
        let words = |ms| words(Duration::from_millis(ms));
        assert_eq!(words(840), "0.8 s");
        assert_eq!(words(3_000), "3 s");
        assert_eq!(words(42_400), "42 s");
        assert_eq!(words(600_000), "10 min");
        assert_eq!(words(185_000), "3 min 5 s");
        assert_eq!(words(7_800_000), "2 h 10 min");
        assert_eq!(words(3_600_000), "1 h");
    }

    #[test]
    fn times_are_written_as_the_standard_has_it() {
        let utc = |seconds| utc(Duration::from_secs(seconds));
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_735_689_599), "2024-12-31T23:59:59.000Z");
        assert_eq!(utc(1_795_356_560), "2026-11-22T14:09:20.000Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }
}
