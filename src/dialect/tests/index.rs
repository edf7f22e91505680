//! Every sample, as `tests/data/INDEX.md` says that it reads.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::dialect::Meaning;
use crate::error::Error;
use crate::task::FailureAction;

/// A row of the page.
struct Row {
    provider: String,
    file: String,
    request: String,
    http: u16,
    reads_as: String,
}

fn rows() -> Vec<Row> {
    let page = sample("INDEX.md");
    let mut provider = String::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut provider);
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [file, request, http, reads_as, origin, source] = cells[..] else { continue };
        let Ok(http) = http.parse() else { continue };
        assert!(["verbatim", "composed"].contains(&origin) && !source.is_empty(), "{line}");
        let text = str::to_owned;
        rows.push(Row {
            provider: provider.clone(),
            file: text(file),
            request: text(request),
            http,
            reads_as: text(reads_as),
        });
    }
    rows
}

/// The one service of the page that is no built-in dialect: its API has ended.
const OPENAI_VIDEOS: &str = r#"{"name":"openai-videos","poll":{"paths":["/v1/videos/{id}"]},
    "read":{"images":{"items":"/data"}},"content":{"path":"/v1/videos/{id}/content"}}"#;

fn provider(name: &str) -> Arc<Dialect> {
    if name == "openai-videos" { Arc::new(dialect(OPENAI_VIDEOS)) } else { builtin(name) }
}

/// A reading in the words of the page.
fn words(dialect: &Dialect, reading: &Reading) -> String {
    let task = &reading.task;
    assert_sane(task);
    let mut words = vec![match task.progress {
        -1 => task.state.name().to_owned(),
        percent => format!("{} {percent}", task.state.name()),
    }];
    let (images, inline) = (task.images.len(), task.images.iter().filter(|image| image.is_inline()).count());
    let content = dialect.content(&task.id).is_some() && task.state == State::Succeeded && images == 0;
    match images {
        0 if content => words.push("content".into()),
        0 if task.state == State::Succeeded => words.push("no image".into()),
        0 => {}
        _ => {
            let inline = if inline == 0 { String::new() } else { format!(", {inline} inline") };
            words.push(format!("{images} image{}{inline}", if images == 1 { "" } else { "s" }));
        }
    }
    if !reading.result.is_empty() {
        words.push("a second answer".into());
    }
    if reading.unknown_word {
        words.push("unknown word".into());
    }
    if let Some(failure) = &task.failure {
        words.push(code(&failure.code, &failure.kind));
        words.push(failure.action.name().into());
    }
    words.join("; ")
}

fn code(code: &str, kind: &str) -> String {
    let word = if code.is_empty() { kind } else { code };
    if word.is_empty() { "-".into() } else { word.into() }
}

/// An error in the words of the page.
fn refused(error: &Error) -> String {
    format!("error {}; {}", error.status(), code(error.provider_code(), ""))
}

/// The second answer to a look at a task that succeeded.
fn read_second(dialect: &Dialect, http: u16, body: String) -> Reading {
    let mut reading = look(dialect, r#"{"status":"COMPLETED","request_id":"r"}"#);
    if http == 200 {
        dialect.read_result(&mut reading, body).expect("a result");
    } else {
        assert!(crate::dialect::fails_the_task(http), "{http}");
        dialect.read_failed_result(&mut reading, body.as_bytes());
    }
    reading
}

fn read(row: &Row) -> String {
    let dialect = provider(&row.provider);
    let body = sample(&row.file);
    let meaning = dialect.meaning(row.http);
    let read = match row.request.as_str() {
        "result" => Ok(read_second(&dialect, row.http, body)),
        _ if meaning != Meaning::Ok => {
            let refusal = dialect.read_refusal(body.as_bytes());
            return format!("{}; {}", meaning.name(), code(&refusal.code, &refusal.kind));
        }
        "submit" => dialect.read_submit(body),
        "look" => dialect.read_look(body),
        other => panic!("{}: {other:?} is no request", row.file),
    };
    read.map_or_else(|error| refused(&error), |reading| words(&dialect, &reading))
}

#[test]
fn every_sample_reads_as_its_row_says() {
    let rows = rows();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| Some((row, read(row))).filter(|(row, read)| *read != row.reads_as))
        .map(|(row, read)| format!("{}: {:?}, not {:?}", row.file, read, row.reads_as))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sample_reads_the_same_with_other_white_space_and_escapes() {
    for row in rows() {
        let dialect = provider(&row.provider);
        let body = sample(&row.file);
        let other = rewritten(&body).expect("JSON");
        assert!(other.len() > body.len(), "{}", row.file);
        let readings = [body.clone(), other.clone()].map(|body| {
            let reading = match row.request.as_str() {
                "submit" => dialect.read_submit(body),
                "result" => Ok(read_second(&dialect, row.http, body)),
                _ => dialect.read_look(body),
            };
            reading.map(essence).map_err(|error| error.to_string())
        });
        assert_eq!(readings[0], readings[1], "{}", row.file);
        let refusals = [body, other].map(|body| dialect.read_refusal(body.as_bytes()));
        assert_eq!(refusals[0], refusals[1], "{}", row.file);
    }
}

#[test]
fn no_sample_stands_without_a_row_and_no_row_without_a_sample() {
    let mut listed: Vec<String> = rows().into_iter().map(|row| row.file).collect();
    listed.sort();
    let files: Vec<String> = samples_of("").into_iter().filter(|name| name.ends_with(".json")).collect();
    assert_eq!(listed, files);
}

#[test]
fn every_built_in_dialect_has_a_sample_of_each_way_a_task_goes() {
    let mut states: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows() {
        let state = row.reads_as.split([' ', ';']).next().expect("a word").to_owned();
        states.entry(row.provider.clone()).or_default().extend([state, row.request]);
    }
    for name in Dialect::builtin_names() {
        let seen = states.get(name).unwrap_or_else(|| panic!("{name} has no samples"));
        // Some services have one word for queued and running.
        let pending = seen.contains("queued") || seen.contains("running");
        assert!(pending && seen.contains("succeeded") && seen.contains("failed"), "{name}: {seen:?}");
        // The old route of a service is submitted to as the new one is.
        let submits = builtin(name).profile().submit.is_some() && !name.ends_with("-legacy");
        assert!(seen.contains("submit") || !submits, "{name}: {seen:?}");
    }
    let with = |state: &str| states.values().filter(|seen| seen.contains(state)).count();
    assert!(with("running") >= 28 && with("cancelled") >= 7 && with("expired") >= 2, "{states:?}");
}

/// The status words that each service's pages name, in lower case, between bars, and the HTTP status of a task that is gone.
const WORDS: &[(&str, &str, u16)] = &[
    ("dimilinks", "queued|in_progress|succeeded|failed|processing|completed", 404),
    ("dimilinks-legacy", "queued|dispatched|running|success|failed", 0),
    ("lemondata", "pending|processing|completed|failed", 404),
    ("replicate", "starting|processing|succeeded|failed|canceled|aborted", 404),
    ("bfl", "pending|ready|error|failed|request moderated|content moderated|task not found", 0),
    ("fal", "in_queue|in_progress|completed", 0),
    ("openai-responses", "queued|in_progress|completed|failed|cancelled|incomplete", 404),
    ("runway", "pending|throttled|running|succeeded|failed|cancelled", 0),
    ("leonardo", "pending|complete|failed", 0),
    (
        "novita",
        "task_status_queued|task_status_processing|task_status_succeed|task_status_failed|task_status_canceled",
        0,
    ),
    ("novita-v2", "0|1|2|3|4", 0),
    ("piapi", "pending|staged|processing|completed|failed", 0),
    ("apimart", "submitted|pending|processing|completed|failed|cancelled", 0),
    ("vibetool", "pending|processing|completed|failed", 0),
    ("kie", "waiting|queuing|generating|success|fail", 0),
    ("nanobanana", "0|1|2|3", 0),
    ("modelscope", "pending|processing|succeed|failed", 0),
    ("bria", "in_progress|completed|error|unknown", 404),
    ("sub2api", "processing|completed|failed", 0),
    ("dashscope", "pending|running|succeeded|failed|canceled|unknown", 0),
    ("midjourney-proxy", "not_start|submitted|in_progress|success|failure", 0),
    ("luma", "queued|dreaming|processing|completed|failed", 0),
    ("imini", "queued|processing|succeeded|failed", 0),
    ("evolink", "pending|processing|completed|failed", 0),
    ("leaper", "pending|processing|uploading|partial|completed|failed", 410),
    ("tokenhub", "succeeded", 0),
    ("cometapi", "queued|in_progress|success|failure", 0),
    ("toapis", "queued|in_progress|completed|failed", 0),
    ("stability", "success|content_filtered", 404),
];

#[test]
fn every_status_word_that_a_service_names_has_a_sample() {
    let (mut seen, mut missing) = (BTreeSet::new(), Vec::new());
    for row in rows().into_iter().filter(|row| row.request != "result") {
        let dialect = provider(&row.provider);
        let body = sample(&row.file);
        let read = if row.request == "submit" { dialect.read_submit(body) } else { dialect.read_look(body) };
        let word = read.map_or_else(|_| String::new(), |reading| reading.task.provider_status.to_lowercase());
        let state = row.reads_as.split([' ', ';']).next().expect("a word").to_owned();
        seen.insert((row.provider.clone(), if state == "gone" { row.http.to_string() } else { word }));
    }
    for (name, words, gone) in WORDS {
        let gone = Some(gone.to_string()).filter(|_| *gone != 0);
        for word in words.split('|').map(str::to_owned).chain(gone) {
            if !seen.contains(&(name.to_string(), word.clone())) {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    let without_words = ["acedata"];
    let untold = |name: &&str| !without_words.contains(name) && !WORDS.iter().any(|(known, ..)| known == name);
    assert_eq!(Dialect::builtin_names().find(untold), None);
}

#[test]
fn a_failure_always_says_what_helps() {
    for row in rows().iter().filter(|row| row.reads_as.starts_with("failed")) {
        assert!(
            [FailureAction::Resubmit, FailureAction::ChangeRequest, FailureAction::CheckAccount]
                .iter()
                .any(|action| row.reads_as.ends_with(action.name())),
            "{}",
            row.file
        );
    }
}
