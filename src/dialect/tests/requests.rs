//! What a dialect sends, and which references are its own.

use super::*;
use crate::dialect::{Confidence, ImageAuth, Meaning, Outgoing, Verb, status_of};
use crate::error::Status;

fn body(outgoing: &Outgoing) -> &str {
    std::str::from_utf8(outgoing.body.as_deref().expect("a body")).expect("UTF-8")
}

fn json_header() -> (String, String) {
    ("Content-Type".to_owned(), "application/json".to_owned())
}

#[test]
fn a_submit_adds_what_the_caller_left_open_and_keeps_the_rest_byte_by_byte() {
    let dimilinks = builtin("dimilinks");
    let request = "{ \"prompt\": \"a \\u00e9 }\",  \"n\":1.0, \"n\": 2 }";
    let sent = dimilinks.submit(request).expect("a request");
    assert_eq!(
        (sent.method, &*sent.path, body(&sent)),
        (Verb::Post, "/v1/images/generations?async=true", "{ \"prompt\": \"a \\u00e9 }\",  \"n\":1.0, \"n\": 2}")
    );
    assert_eq!(sent.headers, [json_header()]);
    for own in [
        r#"{"prompt":"x","async":false}"#,
        r#"{"prompt":"x","wait_for_result":true}"#,
        r#"{"wait\u005ffor_result":true}"#,
    ] {
        let sent = dimilinks.submit(own).expect("a request");
        assert_eq!((&*sent.path, body(&sent)), ("/v1/images/generations", own), "the caller's choice stands");
    }

    for same in [r#"{"prompt":"x","async":true}"#, r#"{"async":"true"}"#] {
        let sent = dimilinks.submit(same).expect("a request");
        let asked = ("/v1/images/generations?async=true", same);
        assert_eq!((&*sent.path, body(&sent)), asked, "this service reads it in the query alone");
    }

    let lemondata = builtin("lemondata");
    for (request, sent) in [
        (r#"{"prompt":"x"}"#, r#"{"prompt":"x","async":true}"#),
        ("{}", r#"{"async":true}"#),
        (" {\n } ", r#"{"async":true}"#),
        (r#"{"async":false}"#, r#"{"async":false}"#),
        (r#"{"a":{"async":1}}"#, r#"{"a":{"async":1},"async":true}"#),
    ] {
        let outgoing = lemondata.submit(request).expect("a request");
        assert_eq!((&*outgoing.path, body(&outgoing)), ("/v1/images/generations", sent), "{request}");
    }
}

#[test]
fn a_submit_that_is_no_json_object_is_refused_with_the_place_and_without_the_text() {
    for (request, why) in [
        ("", "request: must be a JSON object"),
        ("a red fox", "request: must be a JSON object"),
        ("[]", "request: must be a JSON object"),
        ("\u{feff}{}", "request: must be a JSON object"),
        (r#"{"prompt":"SECRET}"#, "request: must be a JSON object; it stops being JSON at line 1, column 18"),
        (r#"{"prompt":SECRET}"#, "request: must be a JSON object; it stops being JSON at line 1, column 11"),
        (r#"{"prompt":"SECRET"} x"#, "request: must be a JSON object; it stops being JSON at line 1, column 21"),
    ] {
        let error = builtin("dimilinks").submit(request).expect_err(request);
        assert_eq!((error.status(), error.message()), (Status::InvalidArgument, why), "{request}");
    }
}

#[test]
fn what_is_part_of_the_address_is_taken_out_of_the_request() {
    let dialect = dialect(
        r#"{"name":"x","poll":{"paths":["/{id}"]},"submit":{"path":"/v1/{model}/go","body_defaults":{"b":1}}}"#,
    );
    for (request, path, sent) in [
        (
            r#"{"model":"flux-pro-1.1", "n" : 1.0,"a":"\u00e9"}"#,
            "/v1/flux-pro-1.1/go",
            r#"{"n":1.0,"a":"\u00e9","b":1}"#,
        ),
        (r#"{"n":2,"model":"a","model":"fal-ai/flux dev"}"#, "/v1/fal-ai/flux%20dev/go", r#"{"n":2,"b":1}"#),
        (r#"{"model":"a?b#c","b":2}"#, "/v1/a%3Fb%23c/go", r#"{"b":2}"#),
        (r#"{"model":"m"}"#, "/v1/m/go", r#"{"b":1}"#),
    ] {
        let outgoing = dialect.submit(request).expect(request);
        assert_eq!((&*outgoing.path, body(&outgoing)), (path, sent), "{request}");
    }
    for (request, why) in [
        ("{}", "is missing: it is part of the address"),
        (r#"{"model":3}"#, "must be a text: it is part of the address"),
        (r#"{"model":""}"#, "cannot be part of an address"),
        (r#"{"model":"/a"}"#, "cannot be part of an address"),
        (r#"{"model":"a/../b"}"#, "cannot be part of an address"),
    ] {
        let error = dialect.submit(request).expect_err(request);
        let message = format!("request: the member \"model\" {why}");
        assert_eq!((error.status(), error.message()), (Status::InvalidArgument, &*message), "{request}");
    }
}

#[test]
fn the_default_of_what_is_part_of_the_address_goes_there() {
    let dialect = dialect(
        r#"{"name":"x","poll":{"paths":["/{id}"]},"submit":{"path":"/v1/{model}","body_defaults":{"model":"flux","b":1}}}"#,
    );
    for (request, path) in [("{}", "/v1/flux"), (r#"{"model":"own"}"#, "/v1/own")] {
        let outgoing = dialect.submit(request).expect(request);
        assert_eq!((&*outgoing.path, body(&outgoing)), (path, r#"{"b":1}"#), "{request}");
    }
}

#[test]
fn a_dialect_without_submit_says_so() {
    let error = reads("{}").submit("{}").expect_err("no submit");
    assert_eq!((error.status(), error.message()), (Status::Unsupported, "test: this dialect has no submit"));
    assert!(reads("{}").cancel("a").is_none());
}

#[test]
fn an_id_is_one_segment_of_the_path() {
    let lemondata = builtin("lemondata");
    assert_eq!(lemondata.poll_paths_len(), 3);
    let path = |index, id| lemondata.look(index, id).path;
    assert_eq!(path(0, "img_a-1.b~c"), "/v1/images/generations/img_a-1.b~c");
    assert_eq!(path(1, "a b%2F&ü"), "/v1/tasks/a%20b%252F%26%C3%BC");
    assert_eq!(path(2, "x"), "/v1/images/x");
    assert_eq!(path(9, "x"), "/v1/images/generations/x", "no such path: the first");
    let look = lemondata.look(0, "x");
    assert_eq!((look.method, look.body, look.headers), (Verb::Get, None, vec![]));
    let cancel = lemondata.cancel("a/b").expect("can cancel");
    assert_eq!((cancel.method, &*cancel.path), (Verb::Delete, "/v1/tasks/a%2Fb"));
    assert_eq!(builtin("dimilinks").look(0, "x").path, "/v1/tasks/x");
    assert_eq!(builtin("dimilinks-legacy").look(0, "x").path, "/v1/images/tasks/x");
}

#[test]
fn an_id_goes_into_query_and_body_where_the_service_wants_it() {
    let bfl = dialect(
        r#"{"name":"bfl","headers":{"X-A":"1"},"poll":{"paths":["/v1/get_result?v=2"],"query":{"id":"{id}","k":"a b"}}}"#,
    );
    let look = bfl.look(0, "a&b=1");
    assert_eq!(
        (&*look.path, look.headers),
        ("/v1/get_result?v=2&id=a%26b%3D1&k=a%20b", vec![("X-A".into(), "1".into())])
    );
    assert_eq!(bfl.match_poll_path("/v1/get_result?id=a%26b").as_deref(), Some("a&b"));
    assert_eq!(bfl.match_poll_path("/v1/get_result"), None);

    let ace = dialect(
        r#"{"name":"ace","poll":{"method":"POST","paths":["/tasks"],"body":{"id":"{id}","action":"retrieve","n":[1,"{id}"]}}}"#,
    );
    let look = ace.look(0, r#"a"b\"#);
    assert_eq!(
        (look.method, body(&look), &*look.path),
        (Verb::Post, r#"{"action":"retrieve","id":"a\"b\\","n":[1,"a\"b\\"]}"#, "/tasks")
    );
    assert_eq!(look.headers, [json_header()]);
}

#[test]
fn a_bad_id_is_refused_with_the_reason_and_not_repeated() {
    let long = "x".repeat(513);
    for (id, reason) in [
        ("", "it is empty"),
        (".", "a dot segment is no id"),
        ("..", "a dot segment is no id"),
        ("a/b", "it has a / and is no address of this service"),
        ("a?b", "it has a ? or #"),
        ("a#b", "it has a ? or #"),
        ("a\r\nX: y", "it has a control character"),
        ("a\0", "it has a control character"),
        ("a\u{85}", "it has a control character"),
        (&*long, "it is longer than 512 bytes"),
    ] {
        let error = builtin("dimilinks").check_id(id).expect_err(id);
        assert_eq!((error.status(), error.message()), (Status::InvalidArgument, &*format!("task reference: {reason}")));
    }
    for id in ["a", "...", "img_0123", "a b", "%2e%2e", &"x".repeat(512)] {
        assert!(builtin("dimilinks").check_id(id).is_ok(), "{id}");
    }
}

#[test]
fn a_path_is_a_reference_only_on_the_dialects_own_routes() {
    let id = |provider: &str, path: &str| builtin(provider).match_poll_path(path);
    assert_eq!(id("dimilinks", "/v1/tasks/img_a").as_deref(), Some("img_a"));
    assert_eq!(id("lemondata", "/v1/tasks/ldtask_a").as_deref(), Some("ldtask_a"));
    assert_eq!(id("lemondata", "/v1/images/generations/a%20b?x=1").as_deref(), Some("a b"));
    assert_eq!(id("lemondata", "/v1/images/a").as_deref(), Some("a"));
    assert_eq!(id("dimilinks-legacy", "/v1/images/tasks/img_a").as_deref(), Some("img_a"));
    for foreign in [
        "/v1/images/tasks/img_a",
        "/v1/tasks/",
        "/v1/tasks",
        "/v1/tasks/a/b",
        "/v1/tasks/a%2Fb",
        "/v1/tasks/%2e%2e",
        "/v1/tasks/..",
        "/v1/tasks/a#b",
        "/v1/tasks/a%00",
        "/v1/tasks/%ff",
        "/v2/tasks/a",
        "v1/tasks/a",
        "//v1/tasks/a",
        "/V1/tasks/a",
        "",
        "/",
    ] {
        assert_eq!(id("dimilinks", foreign), None, "{foreign}");
    }
    assert_eq!(id("lemondata", "/v1/images/generations"), None, "where submits go is no task");
}

#[test]
fn a_status_means_what_the_dialect_says_else_what_http_says() {
    let lemondata = builtin("lemondata");
    for (http, meaning) in [
        (200, Meaning::Ok),
        (202, Meaning::Ok),
        (301, Meaning::Stop),
        (400, Meaning::Stop),
        (401, Meaning::Stop),
        (402, Meaning::Stop),
        (403, Meaning::Stop),
        (404, Meaning::Gone),
        (408, Meaning::Retry),
        (409, Meaning::Stop),
        (410, Meaning::Gone),
        (413, Meaning::Stop),
        (422, Meaning::Stop),
        (425, Meaning::Retry),
        (429, Meaning::RateLimited),
        (500, Meaning::Retry),
        (501, Meaning::Stop),
        (503, Meaning::Retry),
        (505, Meaning::Stop),
        (524, Meaning::Retry),
        (600, Meaning::Stop),
    ] {
        assert_eq!(lemondata.meaning(http), meaning, "{http}");
    }
    let own = dialect(r#"{"name":"x","poll":{"paths":["/{id}"]},"http":{"404":"retry","403":"stop","204":"gone"}}"#);
    assert_eq!((own.meaning(404), own.meaning(204), own.meaning(410)), (Meaning::Retry, Meaning::Gone, Meaning::Gone));
    for (http, status) in [
        (400, Status::Rejected),
        (301, Status::Rejected),
        (401, Status::Unauthorized),
        (403, Status::Unauthorized),
        (402, Status::Payment),
        (404, Status::NotFound),
        (410, Status::NotFound),
        (408, Status::Server),
        (425, Status::Server),
        (501, Status::Server),
        (429, Status::RateLimited),
    ] {
        assert_eq!(status_of(http), status, "{http}");
    }
}

#[test]
fn the_documented_services_are_looked_at_when_their_pages_advise() {
    let timing = |name: &str| {
        let t = builtin(name).profile().timing.clone();
        let limits = (t.requests_per_minute.map(|n| n.0), t.burst.0);
        (t.first_look_ms, t.intervals_ms, t.floor_ms, t.wait_timeout_ms.0, t.not_found_grace_ms, limits)
    };
    let dimilinks = (3000, vec![(0, 2500), (120_000, 4000), (300_000, 6000)], 2000, 600_000, 5000, (None, 15));
    assert_eq!(timing("dimilinks"), dimilinks);
    assert_eq!(timing("dimilinks-legacy"), dimilinks);
    assert_eq!(timing("lemondata"), (8000, vec![(0, 4000), (120_000, 5000)], 3000, 300_000, 10_000, (Some(1000), 15)));
    let shared = reads("{}").profile().timing.clone();
    assert_eq!(shared.intervals_ms, [(0, 3000), (120_000, 5000), (300_000, 10_000)]);
    assert_eq!((shared.first_look_ms, shared.floor_ms, shared.wait_timeout_ms.0), (1000, 1000, 600_000));
    assert_eq!((shared.not_found_grace_ms, shared.requests_per_minute, shared.burst.0), (0, None, 15));
}

#[test]
fn the_documented_services_say_who_they_are() {
    for (name, base_url, key) in [
        ("dimilinks", "https://dimilinks.com", "DIMILINKS_API_KEY"),
        ("dimilinks-legacy", "https://dimilinks.com", "DIMILINKS_API_KEY"),
        ("lemondata", "https://api.lemondata.cc", "LEMONDATA_API_KEY"),
    ] {
        let dialect = builtin(name);
        let profile = dialect.profile();
        assert_eq!((profile.base_url.as_deref(), &*profile.key_variable), (Some(base_url), key));
        assert_eq!((&*profile.auth.header, &*profile.auth.prefix), ("Authorization", "Bearer "));
        assert_eq!((profile.confidence, profile.read.images.auth), (Confidence::Documented, ImageAuth::Never));
        assert_eq!(profile.read.images.rebase.as_deref(), if name == "lemondata" { None } else { Some("/p/img/") });
        assert_eq!(profile.submit.as_ref().map(|submit| submit.timeout_ms.0), Some(600_000));
        assert!(!profile.title.is_empty());
    }
    assert!(Dialect::builtin("Dimilinks").is_none());
    let own = dialect(r#"{"name":"my-service","poll":{"paths":["/{id}"]}}"#);
    assert_eq!((&*own.profile().key_variable, &*own.profile().title), ("MY_SERVICE_API_KEY", "my-service"));
    assert_eq!((own.profile().confidence, &own.profile().base_url), (Confidence::Inferred, &None));
}
