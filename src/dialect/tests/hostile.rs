//! Bodies that are broken, cut, endless or malicious: an error or a valid task, never a panic.

use super::*;
use crate::error::Status;

fn refused(body: &str) -> String {
    let error = builtin("dimilinks").read_look(body.to_owned()).expect_err(body);
    assert_eq!(error.status(), Status::BadResponse, "{body}");
    error.message().to_owned()
}

/// Every sample, with each dialect that may meet it.
fn seed_samples() -> Vec<(Arc<Dialect>, String)> {
    let of = |dialect: &str, prefix: &str| -> Vec<(Arc<Dialect>, String)> {
        samples_of(prefix).iter().map(|file| (builtin(dialect), sample(file))).collect()
    };
    [of("dimilinks", "dimilinks"), of("dimilinks-legacy", "dimilinks_legacy"), of("lemondata", "lemondata")].concat()
}

/// Reads bytes as every kind of answer.
fn read(dialect: &Dialect, body: &[u8]) {
    let text = String::from_utf8_lossy(body).into_owned();
    for reading in [dialect.read_look(text.clone()), dialect.read_submit(text)].into_iter().flatten() {
        assert_sane(&reading.task);
    }
    dialect.read_refusal(body);
}

#[test]
fn a_body_cut_at_any_byte_is_an_error_or_a_task() {
    for (dialect, body) in seed_samples() {
        for end in 0..body.len() {
            read(&dialect, &body.as_bytes()[..end]);
        }
        let inside = body.trim_end().len() - 1;
        for end in (0..inside).filter(|end| body.is_char_boundary(*end)) {
            assert!(dialect.read_look(body[..end].to_owned()).is_err(), "half a body is no task");
        }
    }
}

#[test]
fn a_body_with_any_byte_flipped_is_an_error_or_a_task() {
    for (dialect, body) in seed_samples() {
        for at in 0..body.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut bytes = body.clone().into_bytes();
                bytes[at] ^= flip;
                read(&dialect, &bytes);
            }
        }
    }
}

#[test]
fn any_value_in_the_place_of_any_other_is_harmless() {
    const VALUES: &[&str] = &[
        "null",
        "true",
        "false",
        "-1",
        "0",
        "1.0",
        "1e2",
        "1e999",
        "-1e999",
        "18446744073709551616",
        r#""""#,
        r#"" ""#,
        r#""5""#,
        r#""\u0000""#,
        r#""a\u0000b""#,
        r#""\ud800""#,
        r#""\n""#,
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "[null]",
        r#"["\ud800",1e999]"#,
        r#"{"url":1e999}"#,
        r#"{"0":{"status":"failed"}}"#,
    ];
    for (dialect, body) in seed_samples() {
        let lines: Vec<&str> = body.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((name, old)) = line.split_once("\": ") else { continue };
            if old.ends_with(['{', '[']) {
                continue;
            }
            for value in VALUES {
                let comma = if old.ends_with(',') { "," } else { "" };
                let new = format!("{name}\": {value}{comma}");
                let changed = [&lines[..at], &[&*new], &lines[at + 1..]].concat().join("\n");
                read(&dialect, changed.as_bytes());
                let readable = dialect.read_look(changed.clone());
                let is_json = !matches!(&readable, Err(e) if e.status() == Status::BadResponse);
                assert!(is_json, "{value} for {line} must not lose the task:\n{changed}");
            }
        }
    }
}

#[test]
fn a_body_that_is_no_json_object_says_where_and_never_what() {
    let place = |message: &str| message.strip_prefix("the service's answer cannot be read: ").map(str::to_owned);
    for (body, why) in [
        ("", "the body is empty"),
        (" \n", "the body is empty"),
        ("\u{feff}", "the body is empty"),
        ("<html>SECRET</html>", "the body is no JSON object"),
        ("null", "the body is no JSON object"),
        ("\"SECRET\"", "the body is no JSON object"),
        ("123", "the body is no JSON object"),
        ("[{\"SECRET\":1}]", "the body is no JSON object"),
        ("{\"status\":\"SECRET", "the JSON ends too early, at line 1, column 17"),
        ("{\"status\":\"SECRET\"} {", "no JSON from line 1, column 21 on"),
        ("{\"status\":\"SECRET\"}\0", "no JSON from line 1, column 20 on"),
        ("{\"status\": SECRET}", "no JSON from line 1, column 12 on"),
        ("{\n\"status\": NaN}", "no JSON from line 2, column 11 on"),
        ("{\"status\":\"SECRET\",}", "no JSON from line 1, column 20 on"),
        ("{\"a\":1 /* SECRET */}", "no JSON from line 1, column 8 on"),
        ("{'status':'SECRET'}", "no JSON from line 1, column 2 on"),
    ] {
        let message = refused(body);
        assert_eq!(place(&message).as_deref(), Some(why), "{body}");
        assert!(!message.contains("SECRET"));
    }
}

#[test]
fn a_leading_byte_order_mark_is_no_fault_and_shifts_no_image() {
    let body = "\u{feff}{\"id\":\"a\",\"status\":\"succeeded\",\"result\":{\"data\":[{\"url\":\"data:,x\"}]}}";
    let task = look(&builtin("dimilinks"), body).task;
    assert_eq!(task.inline_text(&task.images[0]), Some("data:,x"));
    assert_eq!(task.json.as_str(), body, "the body stays as it came");
}

#[test]
fn depth_costs_no_stack() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for value in [deep("[", "]"), format!("{}1{}", "{\"data\":".repeat(100_000), "}".repeat(100_000))] {
        for member in ["ignored", "data", "result", "error", "id"] {
            let body = format!(r#"{{"status":"queued","{member}":{value}}}"#);
            assert_eq!(look(&builtin("dimilinks"), &body).task.state, State::Queued, "{member}");
        }
    }
}

#[test]
fn width_is_bounded() {
    let lemondata = builtin("lemondata");
    let many = vec![r#"{"url":"/a"}"#; 10_000].join(",");
    let task = look(&lemondata, &format!(r#"{{"data":[{many}],"id":"a","status":"completed"}}"#)).task;
    assert_eq!((task.images.len(), &*task.id), (1024, "a"));
    let many = vec![r#""/a""#; 10_000].join(",");
    let task = look(&lemondata, &format!(r#"{{"data":[{{"url":[{many}]}}],"id":"a","status":"completed"}}"#)).task;
    assert_eq!(task.images.len(), 1024);
    let twice = vec![r#""url":"/a""#; 100_000].join(",");
    let task = look(&lemondata, &format!(r#"{{"data":[{{{twice}}}],"id":"a","status":"completed"}}"#)).task;
    assert_eq!(task.images.len(), 1);
    let twice = vec![r#""data":[{"url":"/a"}]"#; 20_000].join(",");
    let task = look(&lemondata, &format!(r#"{{{twice},"id":"a","status":"completed"}}"#)).task;
    assert_eq!(task.images.len(), 1);
}

#[test]
fn a_refusal_is_one_plain_line_whatever_was_sent() {
    let lemondata = builtin("lemondata");
    let said = |text: &str| {
        let body = serde_json::json!({ "error": { "message": text, "code": text } }).to_string();
        lemondata.read_refusal(body.as_bytes()).message
    };
    assert_eq!(said("a\r\nb\tc\u{85}d"), "a b c d");
    assert_eq!(said("\u{1b}[31mred\u{1b}]0;title\u{7}"), "[31mred]0;title");
    assert_eq!(said("a\u{202e}b\u{2066}c\u{200b}d\u{0}"), "abcd\u{fffd}");
    assert_eq!(said("余额不足"), "余额不足");
    let long = said(&"x".repeat(10_000));
    assert!(long.len() == 303 && long.ends_with("..."), "{}", long.len());
    assert!(said(&"界 ".repeat(10_000)).chars().count() <= 303);
    for nothing in
        [&b""[..], b"<html>bad gateway</html>", b"\xff\xfe\x00", b"null", b"{", b"[]", b"{}", b"{\"error\":[1]}"]
    {
        assert_eq!(lemondata.read_refusal(nothing), Default::default());
    }
    for shared in [r#"{"message":"m"}"#, r#"{"msg":"m"}"#, r#"{"detail":"m"}"#, r#"{"error":"m"}"#] {
        assert_eq!(lemondata.read_refusal(shared.as_bytes()).message, "m", "{shared}");
    }
}
