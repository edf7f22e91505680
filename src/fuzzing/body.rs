//! Answers of services.

use std::sync::OnceLock;

use serde_json::Value;

use super::{assert_presentable, choice};
use crate::dialect::tools::{Answer, Draft, Trial};
use crate::dialect::{Dialect, Meaning, Reading, assert_sane, essence, rewritten};
use crate::error::{Error, Status};

const HTTP: [u16; 16] = [200, 201, 202, 204, 400, 401, 402, 403, 404, 409, 410, 422, 425, 429, 500, 501];

/// A built-in dialect, and the same for those who write dialects.
struct Service {
    dialect: &'static Dialect,
    draft: Draft,
}

fn services() -> &'static [Service] {
    static SERVICES: OnceLock<Vec<Service>> = OnceLock::new();
    SERVICES.get_or_init(|| {
        let of = |dialect: &'static std::sync::Arc<Dialect>| {
            let document = Dialect::builtin_document(&dialect.profile().name).expect("a built-in dialect has one");
            Service { dialect, draft: Draft::parse(document).expect("a built-in dialect is right") }
        };
        Dialect::builtins().map(of).collect()
    })
}

/// One byte for the dialect, one for the request (look, submit, result) and its HTTP status, then the body.
pub fn body(mut data: &[u8]) {
    let services = services();
    let Service { dialect, draft } = &services[choice(&mut data) % services.len()];
    let how = choice(&mut data);
    let http_status = HTTP[how >> 2 & 15];

    refusal(dialect, data, http_status);
    let Ok(body) = std::str::from_utf8(data) else { return };
    match how & 3 {
        3 => result(dialect, draft, body),
        request => {
            let to_submit = request == 1;
            let read = |body: &str| match to_submit {
                true => dialect.read_submit(body.to_owned()),
                false => dialect.read_look(body.to_owned()),
            };
            let reading = read(body);
            check(body, &reading);
            assert!(same(&read(body), &reading), "the same body reads as something else");
            if let Some(other) = rewritten(body) {
                let other = read(&other);
                assert!(alike(reading, other), "the same JSON, written otherwise, reads as something else");
            }
            let trial = draft.read(Answer { http_status, body, to_submit, result: None, result_http_status: 200 });
            if dialect.meaning(http_status) == Meaning::Ok {
                assert_eq!(trial.task.is_ok(), read(body).is_ok());
                traced(&trial, body);
            }
        }
    }
}

/// A text of a task is what stands at the pointer that it is said to come from.
fn traced(trial: &Trial, body: &str) {
    let tree: Result<Value, _> = serde_json::from_str(body.strip_prefix('\u{feff}').unwrap_or(body));
    let (Ok(task), Ok(tree)) = (&trial.task, tree) else { return };
    for (name, pointer) in &trial.from {
        let told = match name.as_str() {
            "id" => &task.id,
            "ref" => &task.poll_ref,
            "model" => &task.model,
            "conversation_id" => &task.conversation_id,
            "billing_id" => &task.billing_id,
            _ => continue,
        };
        if let Some(Value::String(text)) = tree.pointer(pointer) {
            assert_eq!(*told, text.replace('\0', "\u{fffd}"), "{name} from {pointer}");
        }
    }
}

/// What holds for every reading of a body.
fn check(body: &str, reading: &Result<Reading, Error>) {
    match reading {
        Ok(reading) => {
            assert_sane(&reading.task);
            assert_eq!(reading.task.json.as_str(), body);
            assert!(!reading.unknown_word || !reading.task.provider_status.is_empty());
            assert!(reading.result.is_empty() || reading.task.images.is_empty());
        }
        Err(error) => refused(error),
    }
}

/// An error quotes a body in its refusals only.
fn refused(error: &Error) {
    assert_presentable(error);
    if error.status() == Status::BadResponse {
        let words = error.message().replace(|c: char| c.is_ascii_digit(), "");
        let place = words.strip_prefix("the service's answer cannot be read: ");
        let known = [
            "the body is empty",
            "the body is no JSON object",
            "the JSON ends too early, at line , column ",
            "no JSON from line , column  on",
        ];
        let nothing = words == "the service's answer names neither a task nor an image";
        assert!(nothing || place.is_some_and(|place| known.contains(&place)), "{error:?}");
    }
}

fn same(one: &Result<Reading, Error>, other: &Result<Reading, Error>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => one.to_string() == other.to_string(),
        _ => false,
    }
}

fn alike(one: Result<Reading, Error>, other: Result<Reading, Error>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            let (one, other) = (essence(one), essence(other));
            assert_eq!(one, other);
            true
        }
        // The place where it stops being a task's may be another.
        (Err(one), Err(other)) => {
            let place = |error: &Error| error.message().replace(|c: char| c.is_ascii_digit(), "");
            one.status() == other.status() && place(&one) == place(&other)
        }
        _ => false,
    }
}

/// The second answer of a look.
fn result(dialect: &Dialect, draft: &Draft, body: &str) {
    const FIRST: &str = r#"{"status":"COMPLETED","request_id":"r","response_url":"https://queue.example/r"}"#;
    let known = || dialect.read_look(FIRST.to_owned());
    let trial = draft.read(Answer {
        http_status: 200,
        body: FIRST,
        to_submit: false,
        result: Some(body),
        result_http_status: 200,
    });
    if let (false, Ok(task)) = (trial.result.is_empty(), &trial.task) {
        assert_sane(task);
    }
    let read = |body: &str| {
        let mut reading = known()?;
        dialect.read_result(&mut reading, body.to_owned()).map(|()| reading)
    };
    let reading = read(body);
    match &reading {
        Ok(reading) if reading.task.progress == 100 => assert_sane(&reading.task),
        Ok(_) => {}
        Err(error) => refused(error),
    }
    if let Some(other) = rewritten(body) {
        assert!(alike(reading, read(&other)), "the same JSON, written otherwise, reads as something else");
    }
    if let Ok(mut reading) = known() {
        reading.task.images.clear();
        dialect.read_failed_result(&mut reading, body.as_bytes());
        assert_sane(&reading.task);
    }
}

fn refusal(dialect: &Dialect, body: &[u8], http_status: u16) {
    let refusal = dialect.read_refusal(body);
    assert_eq!(refusal, dialect.read_refusal(body));
    if let Some(other) = std::str::from_utf8(body).ok().and_then(rewritten) {
        assert_eq!(refusal, dialect.read_refusal(other.as_bytes()));
    }
    let status = refusal.status(dialect.meaning(http_status), http_status);
    assert_presentable(&refusal.into_error(status).with_http_status(http_status));
}
