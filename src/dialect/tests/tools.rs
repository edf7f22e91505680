//! What the tools tell: the schema, the whole document, and where a value came from.

use serde_json::Value;

use super::*;
use crate::dialect::tools::{self, Answer, Draft, Trial};
use crate::error::Status;
use crate::task::Link;

fn draft(json: &str) -> Draft {
    Draft::parse(json).unwrap_or_else(|faults| panic!("{faults:?}: {json}"))
}

fn tried(dialect: &str, http_status: u16, body: &str, to_submit: bool) -> Trial {
    draft(dialect).read(Answer { http_status, body, to_submit, result: None, result_http_status: 200 })
}

fn from<'t>(trial: &'t Trial, name: &str) -> &'t str {
    trial.from.iter().find(|(known, _)| known == name).map_or("", |(_, pointer)| pointer)
}

#[test]
fn a_complete_document_says_every_default_and_is_the_same_dialect() {
    for document in Dialect::builtin_names().filter_map(Dialect::builtin_document) {
        let complete = draft(document).complete();
        assert_eq!(draft(&complete).complete(), complete);
        let value: Value = serde_json::from_str(&complete).expect("JSON");
        assert!(value["read"]["images"]["url"].is_array() && value["timing"]["burst"].is_u64(), "{complete}");
        let given: Value = serde_json::from_str(document).expect("JSON");
        assert_eq!(value["name"], given["name"]);
        let (a, b) = (dialect(document), dialect(&complete));
        for file in samples_of("dimilinks").iter().chain(&samples_of("lemondata")) {
            let told =
                |read: crate::error::Result<Reading>| read.map(|r| format!("{:?}", r.task)).map_err(|e| e.to_string());
            assert_eq!(told(a.read_look(sample(file))), told(b.read_look(sample(file))), "{file}");
        }
    }
}

#[test]
fn the_document_of_a_provider_is_found_by_its_name() {
    for provider in Dialect::builtins() {
        let name = &*provider.profile().name;
        let document = tools::document(name).expect("built in");
        assert_eq!((draft(document).name(), draft(document).title()), (name, &*provider.profile().title));
    }
    assert_eq!(tools::document("nobody"), None);
}

#[test]
fn a_value_of_a_sample_stands_where_the_tools_say() {
    let mut checked = 0;
    for (provider, prefix) in
        [("dimilinks", "dimilinks"), ("dimilinks-legacy", "dimilinks_legacy"), ("lemondata", "lemondata")]
    {
        let document = tools::document(provider).expect("built in");
        for file in samples_of(prefix).iter().filter(|file| !file.contains("_error_")) {
            let (body, tree): (String, Value) = (sample(file), serde_json::from_str(&sample(file)).expect("JSON"));
            let to_submit = file.contains("_create_");
            let trial = tried(document, 200, &body, to_submit);
            let task = trial.task.as_ref().unwrap_or_else(|e| panic!("{file}: {e}"));
            let at = |name: &str| {
                tree.pointer(from(&trial, name)).map(|value| value.as_str().map_or(value.to_string(), str::to_owned))
            };
            for (name, text) in
                [("id", &task.id), ("ref", &task.poll_ref), ("model", &task.model), ("billing_id", &task.billing_id)]
            {
                assert_eq!(from(&trial, name).is_empty(), text.is_empty(), "{file}: {name}");
                assert!(text.is_empty() || at(name).as_ref() == Some(text), "{file}: {name} {:?}", trial.from);
            }
            if !task.provider_status.is_empty() && task.state != State::Cancelled {
                assert_eq!(at("state").as_ref(), Some(&task.provider_status), "{file}");
            }
            for (index, image) in task.images.iter().enumerate() {
                let source = from(&trial, &format!("images/{index}"));
                if source == "the dialect's content" {
                    continue;
                }
                let link = tree.pointer(source).unwrap_or_else(|| panic!("{file}: image {index} {:?}", trial.from));
                let text = task.inline_text(image).unwrap_or_else(|| image.url());
                assert_eq!(link.as_str().map(str::trim), Some(text.trim()), "{file}: image {index}");
                checked += 1;
            }
            if let Some(failure) = &task.failure {
                assert_eq!(from(&trial, "failure/message").is_empty(), failure.message == "the service gave no reason");
            }
        }
    }
    assert!(checked > 10, "{checked}");
}

#[test]
fn every_link_of_every_surveyed_service_has_its_place() {
    let mut checked = 0;
    for provider in Dialect::builtin_names() {
        let document = tools::document(provider).expect("built in");
        for file in samples_of(&format!("survey_{}_", provider.replace('-', "_"))) {
            let body = sample(&file);
            let trial = tried(document, 200, &body, file.contains("_submit"));
            let Ok(task) = &trial.task else { continue };
            let tree: Value = serde_json::from_str(&body).expect("JSON");
            for (index, image) in task.images.iter().enumerate() {
                let source = from(&trial, &format!("images/{index}"));
                let (outer, inner) = source.split_once(", read as JSON: ").unwrap_or((source, ""));
                let place = tree.pointer(outer).unwrap_or_else(|| panic!("{file}: image {index} {:?}", trial.from));
                let inside =
                    place.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
                let place = if inner.is_empty() { place } else { inside.pointer(inner).expect("inside") };
                let text = task.inline_text(image).unwrap_or_else(|| image.url());
                let is_it = |value: &Value| value.as_str().is_some_and(|link| link.trim() == text.trim());
                let found = is_it(place) || place.as_array().is_some_and(|list| list.iter().any(is_it));
                assert!(found, "{file}: image {index} {:?}", trial.from);
                checked += 1;
            }
        }
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn a_star_a_root_a_flag_and_a_text_of_json_are_told_as_what_they_stood_for() {
    let document = r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"root":["/data/0","/data"],"status":"/info/*/state",
        "failed_if":"/flags/bad","images":{"items":["/none","/out/*/pictures"],"url":["/big","/small"]},"progress":"/done"}}"#;
    let body = r#"{"data":{"id":"a","info":{"a":{},"b":{"state":"done"}},
        "out":[{"pictures":[{"small":""},{"small":"https://h/1"}]},{"pictures":{"big":["","https://h/2"]}}]}}"#;
    let trial = tried(document, 200, body, false);
    assert_eq!(trial.task.as_ref().map(|task| task.images.len()).ok(), Some(2), "{trial:?}");
    let told: Vec<(&str, &str)> = trial.from.iter().map(|(name, pointer)| (&**name, &**pointer)).collect();
    assert_eq!(
        told,
        [
            ("id", "/data/id"),
            ("state", "/data/info/b/state"),
            ("images/0", "/data/out/0/pictures/1/small"),
            ("images/1", "/data/out/1/pictures/big"),
        ]
    );
    let failed = tried(document, 200, r#"{"data":[{"info":[{"state":"done"}],"flags":{"bad":1}}]}"#, false);
    assert_eq!(failed.task.as_ref().map(|task| task.state).ok(), Some(State::Failed));
    assert_eq!(from(&failed, "state"), "/data/0/flags/bad");

    let inner =
        r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"images":{"json_string":"/result","items":"/urls"}}}"#;
    let trial = tried(inner, 200, r#"{"status":"done","result":"{\"urls\":[\"https://h/1\"]}"}"#, false);
    assert_eq!(from(&trial, "images/0"), "/result, read as JSON: /urls/0");

    let alone = r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"images":{"items":"/a~1b"}}}"#;
    let trial = tried(alone, 200, r#"{"status":"done","a/b":"data:,x"}"#, false);
    assert!(matches!(trial.task.as_ref().map(|task| &task.images[0].link), Ok(Link::InBody(_))));
    assert_eq!(from(&trial, "images/0"), "/a~1b");
}

#[test]
fn a_second_answer_and_bytes_at_a_path_are_read_as_a_client_would() {
    let fal = tools::document("fal").expect("built in");
    let (status, result) = (sample("survey_fal_completed.json"), sample("survey_fal_result.json"));
    let trial = tried(fal, 200, &status, false);
    assert!(trial.result.contains("/requests/") && !trial.without_image, "{trial:?}");
    assert_eq!(from(&trial, "result"), "/response_url");
    let answer = |result| Answer {
        http_status: 200,
        body: &status,
        to_submit: false,
        result: Some(result),
        result_http_status: 200,
    };
    let trial = draft(fal).read(answer(&*result));
    assert_eq!(trial.task.as_ref().map(|task| task.images.len()).ok(), Some(1), "{trial:?}");
    assert_eq!(from(&trial, "images/0"), "second answer: /images/0/url");
    assert!(draft(fal).read(answer("{}")).without_image);
    assert!(draft(fal).read(answer("<html>")).task.is_err());

    let video = sample("dimilinks_video_completed.json");
    let trial = tried(tools::document("dimilinks").expect("built in"), 200, &video, false);
    let links: Vec<&str> = trial.task.iter().flat_map(|task| task.images.iter().map(|image| image.url())).collect();
    assert_eq!(links, ["/v1/videos/video_xxx/content"], "{trial:?}");
    assert!(!trial.without_image);
}

#[test]
fn a_refusal_is_told_as_a_client_would_take_it_and_from_where() {
    let document = tools::document("lemondata").expect("built in");
    for (http_status, file, to_submit, status, meaning) in [
        (404, "lemondata_error_404_task.json", false, Status::NotFound, "gone"),
        (404, "lemondata_error_404_task.json", true, Status::Rejected, "gone"),
        (429, "lemondata_error_429_v2.json", false, Status::RateLimited, "rate_limited"),
        (500, "lemondata_error_500.json", false, Status::Server, "retry"),
        (401, "lemondata_error_401.json", false, Status::Unauthorized, "stop"),
    ] {
        let trial = tried(document, http_status, &sample(file), to_submit);
        let error = trial.task.as_ref().expect_err(file);
        assert_eq!((error.status(), error.http_status(), trial.meaning), (status, http_status, meaning), "{file}");
        assert_eq!(from(&trial, "error/message"), "/error/message", "{file}");
    }
    let trial = tried(document, 200, "<html>", false);
    assert_eq!(trial.task.expect_err("no JSON").status(), Status::BadResponse);
}

#[test]
fn what_surprises_later_is_noted_at_once() {
    let all = draft(r#"{"name":"x","confidence":"documented","poll":{"paths":["/{id}"]}}"#).notes();
    assert_eq!(all.len(), 4, "{all:?}");
    // Without the feature the library carries no sources.
    let whole = cfg!(feature = "dialect-tools");
    assert_eq!(draft(tools::document("lemondata").expect("built in")).notes().is_empty(), whole);
    let unknown = tried(r#"{"name":"x","poll":{"paths":["/{id}"]}}"#, 200, r#"{"status":"brewing"}"#, false);
    assert!(unknown.unknown_word && !unknown.without_image);
    let named = r#"{"name":"x","poll":{"paths":["/{id}"]},"read":{"images":{"items":"/i"}}}"#;
    assert!(tried(named, 200, r#"{"status":"done"}"#, false).without_image);
}

#[test]
fn a_known_name_is_proposed_for_one_that_is_nearly_it() {
    use crate::dialect::describe::nearest;
    let known = ["paths", "url", "query", "base_url"];
    for (name, near) in [
        ("path", Some("paths")),
        ("pahts", Some("paths")),
        ("Base_URL", Some("base_url")),
        ("baseurl", Some("base_url")),
        ("ur", Some("url")),
        ("urls", Some("url")),
        ("id", None),
        ("body", None),
        ("", None),
        (&"x".repeat(10_000), None),
    ] {
        assert_eq!(nearest(name, &known), near, "{name:.20}");
    }
}
