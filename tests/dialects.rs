//! Dialects as people use them: the schema that editors check by, and the command that helps. The page that explains is run by tests/docs.

mod command;

use std::fs;
use std::path::PathBuf;

use boon::{Compiler, SchemaIndex, Schemas};
use command::*;
use imgtask::dialects::{self, Draft, Fault};
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn sample(file: &str) -> String {
    root().join("tests/data").join(file).display().to_string()
}

/// The built-in documents, from their files.
fn documents() -> Vec<(String, String)> {
    let files = fs::read_dir(root().join("src/dialect/builtin")).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("ASCII"));
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
    names.sort();
    names.iter().map(|name| (name.clone(), text(&format!("src/dialect/builtin/{name}")))).collect()
}

// The schema.

/// The committed schema, compiled by a validator that knows nothing of this library.
struct Editor {
    schemas: Schemas,
    schema: SchemaIndex,
}

impl Editor {
    fn new() -> Editor {
        let schema: Value = serde_json::from_str(&text("docs/dialect.schema.json")).expect("JSON");
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        let address = "file:///dialect.schema.json";
        compiler.add_resource(address, schema).expect("a resource");
        let schema =
            compiler.compile(address, &mut schemas).unwrap_or_else(|e| panic!("no schema of draft 2020-12: {e:#}"));
        Editor { schemas, schema }
    }

    fn accepts(&self, document: &Value) -> Result<(), String> {
        self.schemas.validate(document, self.schema).map_err(|e| format!("{e:#}"))
    }
}

fn faults(document: &str) -> Vec<Fault> {
    Draft::parse(document).err().unwrap_or_default()
}

#[test]
fn the_schema_and_the_tables_are_what_the_sources_say() {
    let stale = "stale: run `make schema`";
    assert!(text("docs/dialect.schema.json") == dialects::schema(), "docs/dialect.schema.json is {stale}");
    let page = text("docs/dialects.md");
    let (_, tables) = page.split_once("<!-- members -->\n").expect("a mark before the tables");
    assert!(tables.trim() == dialects::members().trim(), "the tables of docs/dialects.md are {stale}");
    let schema: Value = serde_json::from_str(&dialects::schema()).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], json!(["name", "poll"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["auth"]["properties"]["prefix"]["default"], "Bearer ");
}

#[test]
fn every_member_is_described_for_editors() {
    fn walk(schema: &Value, place: &str, count: &mut usize) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let about = member["description"].as_str().unwrap_or_default();
            assert!(about.len() > 8 && !about.contains("[`"), "{place}/{name}: {about:?}");
            *count += 1;
            walk(member, &format!("{place}/{name}"), count);
        }
    }
    let schema: Value = serde_json::from_str(&dialects::schema()).expect("JSON");
    let mut count = 0;
    walk(&schema, "", &mut count);
    assert!(count > 70, "{count}");
}

#[test]
fn an_editor_accepts_every_dialect_that_comes_with_the_library() {
    let editor = Editor::new();
    for (file, document) in documents() {
        let draft = Draft::parse(&document).unwrap_or_else(|faults| panic!("{file}: {faults:?}"));
        for json in [document, draft.complete()] {
            let value = serde_json::from_str(&json).expect("JSON");
            editor.accepts(&value).unwrap_or_else(|why| panic!("{file}: {why}"));
        }
    }
}

#[test]
fn an_editor_and_the_reader_refuse_the_same_documents() {
    let editor = Editor::new();
    for (document, pointer) in [
        (r#"{}"#, ""),
        (r#"[]"#, ""),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"polls":1}"#, "/polls"),
        (r#"{"name":"x","poll":{"paths":["/{id}"],"pahts":1}}"#, "/poll/pahts"),
        (r#"{"name":"X","poll":{"paths":["/{id}"]}}"#, "/name"),
        (r#"{"name":"x","poll":{"paths":["{id}"]}}"#, "/poll/paths/0"),
        (r#"{"name":"x","poll":{"paths":["/a b{id}"]}}"#, "/poll/paths/0"),
        (r#"{"name":"x","poll":{"paths":[["/{id}"]]}}"#, "/poll/paths/0"),
        (r#"{"name":"x","dialect":2,"poll":{"paths":["/{id}"]}}"#, "/dialect"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"base_url":"example.com"}"#, "/base_url"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"base_url":"https://u:p@h"}"#, "/base_url"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"base_url":"https://h?x=1"}"#, "/base_url"),
        (r#"{"name":"x","poll":{"paths":["/{id}"],"follow_hosts":"*"}}"#, "/poll/follow_hosts"),
        (r#"{"name":"x","poll":{"paths":["/{id}"],"follow_hosts":"*x.ai"}}"#, "/poll/follow_hosts"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"key_variable":"my key"}"#, "/key_variable"),
        (r#"{"name":"x","poll":{"paths":["/{id}"],"method":"get"}}"#, "/poll/method"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"status":"status"}}"#, "/read/status"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"status":"/a~2"}}"#, "/read/status"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"words":{"ok":"finished"}}}"#, "/read/words/ok"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"progress_scale":0}}"#, "/read/progress_scale"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"http":{"600":"gone"}}"#, "/http/600"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"headers":{"a b":"c"}}"#, "/headers/a b"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"headers":{"a":"é"}}"#, "/headers/a"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"timing":{"burst":0}}"#, "/timing/burst"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"timing":{"intervals_ms":[[0]]}}"#, "/timing/intervals_ms/0"),
        (r#"{"name":"x","poll":{"paths":["/{id}"]},"timing":{"floor_ms":4294967296}}"#, "/timing/floor_ms"),
    ] {
        assert_eq!(faults(document).first().map(|fault| &*fault.pointer), Some(pointer), "{document}");
        let value = serde_json::from_str(document).expect("JSON");
        assert!(editor.accepts(&value).is_err(), "{document}");
    }
}

/// What a schema cannot say, or says less well than the reader.
const READER_ALONE: &[&str] = &[
    "must contain {id}",
    "must contain {id} once",
    "must not be empty",
    "{ and } must enclose the name of a member",
    "ages must rise from 0",
    "an interval must not be 0",
    "this header is set by the library",
];

#[test]
fn of_thousands_of_changed_documents_the_reader_takes_none_that_an_editor_refuses() {
    let editor = Editor::new();
    let changes = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("x"),
        json!("/x y"),
        json!("/x"),
        json!([]),
        json!(["/x"]),
        json!([[1, 2]]),
        json!({}),
        json!({ "x": 1 }),
        json!({ "//": 1 }),
    ];
    let (mut both, mut reader) = (0, 0);
    for name in ["dimilinks-legacy", "lemondata"] {
        let document = dialects::document(name).expect("built in");
        let whole: Value = serde_json::from_str(&Draft::parse(document).expect("right").complete()).expect("JSON");
        for pointer in pointers(&whole, String::new()) {
            for change in &changes {
                let mut changed = whole.clone();
                *changed.pointer_mut(&pointer).expect("a place") = change.clone();
                let faults = faults(&changed.to_string());
                match (editor.accepts(&changed), faults.is_empty()) {
                    (Ok(()), true) => {}
                    (Err(_), false) => both += 1,
                    (Err(why), true) => panic!("only an editor refuses {change} at {pointer}: {why}"),
                    (Ok(()), false) => {
                        let known = faults.iter().all(|fault| READER_ALONE.contains(&&*fault.message));
                        assert!(known, "only the reader refuses {change} at {pointer}: {faults:?}");
                        reader += 1;
                    }
                }
            }
        }
    }
    assert!(both > 1000 && reader > 10, "{both} refused by both, {reader} by the reader alone");
}

/// Pointers to every value.
fn pointers(value: &Value, place: String) -> Vec<String> {
    let inner: Vec<String> = match value {
        Value::Object(members) => {
            let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
            members.iter().flat_map(|(name, value)| pointers(value, format!("{place}/{}", escaped(name)))).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(index, value)| pointers(value, format!("{place}/{index}"))).collect()
        }
        _ => Vec::new(),
    };
    [vec![place], inner].concat()
}

// The command.

#[test]
fn show_prints_a_document_that_check_takes() {
    for provider in imgtask::providers() {
        let shown = finish(imgtask(&["dialect", "show", provider.name])).ends_with(0).out;
        assert_eq!(shown.trim_end(), dialects::document(provider.name).expect("built in").trim_end());
        let full = finish(imgtask(&["dialect", "show", "--full", provider.name])).ends_with(0).out;
        assert!(full.contains("\"burst\": "), "{full}");
    }
    finish(imgtask(&["dialect", "show", "nobody"])).ends_with(8).says("imgtask providers");
}

#[test]
fn check_names_the_file_and_every_pointer_and_ends_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let (right, wrong) = (path(&folder, "right.json"), path(&folder, "wrong.json"));
    fs::write(&right, r#"{"name":"x","poll":{"paths":"/{id}"}}"#).expect("written");
    fs::write(&wrong, r#"{"nam":"x","poll":{"paths":["{id}"],"follow":3}}"#).expect("written");
    let run = finish(imgtask(&["dialect", "check", &right])).ends_with(0).says("note: no base_url");
    assert_eq!(run.out.trim(), format!("{right}: right, a dialect for x named x"));
    let run = finish(imgtask(&["dialect", "check", "dimilinks", &wrong])).ends_with(2).says("4 faults");
    let lines: Vec<String> = run.lines().iter().skip(1).map(|line| line.replace(&wrong, "FILE")).collect();
    assert_eq!(
        lines,
        [
            "FILE: /nam: unknown member; did you mean name?",
            "FILE: name is missing",
            "FILE: /poll/paths/0: must start with one /; did you mean \"/{id}\"?",
            "FILE: /poll/follow: must be a string; it is a number",
        ]
    );
    let objects = finish(imgtask(&["dialect", "check", "--json", &right, &wrong])).ends_with(2).objects();
    assert_eq!((&objects[0]["ok"], &objects[0]["name"]), (&json!(true), &json!("x")));
    let hint = "did you mean \"/{id}\"?";
    let fault = json!({ "pointer": "/poll/paths/0", "message": "must start with one /", "hint": hint });
    assert_eq!(objects[1]["faults"][2], fault);
    finish(imgtask(&["dialect", "check", &path(&folder, "none.json")])).ends_with(8);
}

#[test]
fn new_prints_a_commented_document_that_is_right_and_that_editors_take() {
    let editor = Editor::new();
    for arguments in [&["dialect", "new"][..], &["dialect", "new", "our-images"]] {
        let document = finish(imgtask(arguments)).ends_with(0).out;
        let draft = Draft::parse(&document).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(draft.name(), *arguments.get(2).unwrap_or(&"my-service"));
        assert!(draft.notes().is_empty(), "{:?}", draft.notes());
        let value: Value = serde_json::from_str(&document).expect("plain JSON");
        editor.accepts(&value).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(value["$schema"], "dialect.schema.json");
        assert!(document.matches("\"//").count() > 10);
    }
    let key = finish(imgtask(&["dialect", "new", "our-images"])).out;
    assert!(key.contains("\"OUR_IMAGES_API_KEY\"") && key.contains("\"title\": \"Our Images\""), "{key}");
    finish(imgtask(&["dialect", "new", "Our Images"])).ends_with(2).says("small letters");
}

#[test]
fn try_says_how_a_body_is_read_and_from_which_pointers() {
    let body = sample("dimilinks_video_processing.json");
    let run = finish(imgtask(&["dialect", "try", "dimilinks", "--body", &body])).ends_with(0);
    let words: Vec<Vec<&str>> = run.lines().iter().map(|line| line.split_whitespace().collect()).collect();
    assert!(words.contains(&vec!["state", "running", "(processing)", "/data/status"]), "{}", run.out);
    assert!(words.contains(&vec!["progress", "35", "%", "/data/progress"]), "{}", run.out);

    let body = sample("lemondata_completed.json");
    let object = finish(imgtask(&["dialect", "try", "lemondata", "--body", &body, "--json"])).ends_with(0).object();
    assert_eq!(
        (&object["state"], &object["progress"], &object["failure"]),
        (&json!("succeeded"), &json!(100), &json!(null))
    );
    assert_eq!(object["images"][0]["url"].as_str().map(|url| url.starts_with("https://")), Some(true));
    assert_eq!((&object["from"]["images/0"], &object["from"]["state"]), (&json!("/data/0/url"), &json!("/status")));
    assert_eq!(object["http"], json!({ "status": 200, "meaning": "ok" }));

    let body = sample("lemondata_failed.json");
    let object = finish(imgtask(&["dialect", "try", "lemondata", "--body", &body, "--json"])).ends_with(0).object();
    assert_eq!(object["failure"]["message"], "Content policy violation");
    assert_eq!(object["from"]["failure/message"], "/error");

    let body = sample("lemondata_error_429_v2.json");
    let arguments = ["dialect", "try", "lemondata", "--body", &body, "--http-status", "429", "--json", "--header"];
    let object = finish(imgtask(&[&arguments[..], &["Retry-After: 60"]].concat())).ends_with(0).object();
    assert_eq!((&object["error"]["status"], &object["wait_ms"]), (&json!("rate_limited"), &json!(60_000)));

    let (body, result) = (sample("survey_fal_completed.json"), sample("survey_fal_result.json"));
    let arguments = ["dialect", "try", "fal", "--body", &body];
    let run = finish(imgtask(&arguments)).ends_with(0).says("--result-body");
    assert!(run.out.contains("/response_url"), "{}", run.out);
    let object =
        finish(imgtask(&[&arguments[..], &["--json", "--result-body", &result]].concat())).ends_with(0).object();
    assert_eq!(object["from"]["images/0"], "second answer: /images/0/url");

    let refused = sample("survey_fal_result_422.json");
    let tried = |more: &[&str]| {
        let arguments = [&arguments[..], &["--json", "--result-body", &refused], more].concat();
        finish(imgtask(&arguments)).ends_with(0).object()
    };
    let object = tried(&["--result-http-status", "422"]);
    assert_eq!((&object["state"], &object["failure"]["action"]), (&json!("failed"), &json!("change_request")));
    assert!(
        object["from"]["failure/message"].as_str().is_some_and(|from| from.starts_with("second answer: /detail/0"))
    );
    assert_eq!(tried(&["--result-http-status", "403"])["error"]["status"], "unauthorized");
    finish(imgtask(&[&arguments[..], &["--result-http-status", "422"]].concat())).ends_with(2).says("--result-body");

    let body = sample("lemondata_create_async.json");
    let arguments = ["dialect", "try", "lemondata", "--submit", "--json", "--body", &body];
    let object = finish(imgtask(&arguments)).ends_with(0).object();
    assert_eq!((&object["state"], &object["from"]["ref"]), (&json!("queued"), &json!("/poll_url")));
}

#[test]
fn try_says_what_a_wait_would_stumble_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dialect, body) = (path(&folder, "own.json"), path(&folder, "body.json"));
    fs::write(&dialect, r#"{"name":"x","poll":{"paths":"/{id}"},"read":{"images":{"items":"/images"}}}"#)
        .expect("written");
    let tried = |text: &str, more: &[&str]| {
        fs::write(&body, text).expect("written");
        finish(imgtask(&[&["dialect", "try", &dialect, "--body", &body], more].concat()))
    };
    tried(r#"{"status":"brewing"}"#, &[]).ends_with(0).says("name it in read.words");
    tried(r#"{"state":"done"}"#, &[]).ends_with(0).says("no status is where read.status says");
    tried(r#"{"status":"failed"}"#, &[]).ends_with(0).says("no words are where read.error.message says");
    assert_eq!(tried(r#"{"status":"queued"}"#, &[]).ends_with(0).err, "");
    tried(r#"{"status":"done","images":[{"url":""}]}"#, &[]).ends_with(0).says("read.images.items");
    let run = tried("<html>", &["--submit"]).ends_with(7).says("cannot be read").says("submit_unknown");
    assert!(run.out.starts_with("http"), "{}", run.out);
    fs::write(&dialect, r#"{"name":"x"}"#).expect("written");
    tried("{}", &[]).ends_with(2).says("own.json: poll is missing");
}

#[test]
fn requests_prints_what_would_be_sent_and_no_key() {
    let run = finish(imgtask(&["dialect", "requests", "lemondata", "--id", "a b"])).ends_with(0);
    assert_eq!(
        run.lines(),
        [
            "submit  POST /v1/images/generations",
            "        Authorization: Bearer <key>",
            "        Content-Type: application/json",
            r#"        {"prompt":"a red apple","async":true}"#,
            "look    GET /v1/images/generations/a%20b",
            "        Authorization: Bearer <key>",
            "cancel  DELETE /v1/tasks/a%20b",
            "        Authorization: Bearer <key>",
        ]
    );
    let folder = tempfile::tempdir().expect("a folder");
    let (dialect, request) = (path(&folder, "own.json"), path(&folder, "request.json"));
    let own = r#"{"name":"x","auth":{"header":"X-Key","prefix":""},"headers":{"X-V":"2"},
        "submit":{"path":"/{model}/go","query":{"mode":"later"}},
        "poll":{"method":"POST","paths":"/look","body":{"which":["{id}"]}}}"#;
    fs::write(&dialect, own).expect("written");
    fs::write(&request, r#"{"model":"fast","prompt":"é"}"#).expect("written");
    let arguments = ["dialect", "requests", &dialect, "--request", &request, "--json"];
    let requests = finish(imgtask(&arguments)).ends_with(0).objects();
    let headers = json!([["X-Key", "<key>"], ["Content-Type", "application/json"], ["X-V", "2"]]);
    assert_eq!(
        requests,
        [
            json!({"name": "submit", "method": "POST", "path": "/fast/go?mode=later", "headers": headers, "body": r#"{"prompt":"é"}"#}),
            json!({"name": "look", "method": "POST", "path": "/look", "headers": headers, "body": r#"{"which":["ID"]}"#}),
        ]
    );
    finish(imgtask(&["dialect", "requests", &dialect])).ends_with(2).says("\"model\" is missing");
    finish(imgtask(&["dialect", "requests", "lemondata", "--id", "a/b"])).ends_with(2).says("it has a /");
}

#[test]
fn a_dialect_that_is_wrong_ends_every_command_with_its_file_and_pointers() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "own.json");
    fs::write(&file, r#"{"name":"x","poll":{"path":"/{id}"}}"#).expect("written");
    for arguments in [
        &["submit", "--prompt", "a fox"][..],
        &["fetch", "img_0"],
        &["wait", "img_0"],
        &["watch", "img_0"],
        &["download", "img_0", "--out", "x.png"],
        &["cancel", "img_0"],
    ] {
        let run = finish(imgtask(&[arguments, &["--dialect", &file]].concat())).ends_with(2);
        run.says("own.json: /poll/path: unknown member; did you mean paths?").says("/poll: paths is missing");
    }
}

#[test]
fn the_documented_providers_are_listed_apart_from_those_that_nobody_tried() {
    let out = finish(imgtask(&["providers"])).ends_with(0).out;
    let (documented, inferred) = out.split_once("\n\n").unwrap_or((&out, ""));
    for provider in imgtask::providers() {
        let part = if provider.documented { documented } else { inferred };
        assert!(part.lines().any(|line| line.split_whitespace().next() == Some(provider.name)), "{out}");
    }
    assert!(inferred.is_empty() || inferred.starts_with("Inferred, from public sources; never tried:\n"), "{out}");
}
