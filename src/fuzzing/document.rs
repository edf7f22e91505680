//! Dialects that users write.

use crate::api::Base;
use crate::dialect::tools::Draft;
use crate::dialect::{Dialect, assert_sane, essence, rewritten};
use crate::http::Url;

const IDS: [&str; 3] = ["img_1", "a/b?c#d e", "\u{56fe}%2F{id}"];

/// Bytes as a dialect document.
pub fn document(data: &[u8]) {
    let Ok(json) = std::str::from_utf8(data) else { return };
    let dialect = match Dialect::parse(json) {
        Ok(dialect) => dialect,
        Err(error) => {
            assert!(!error.message().is_empty());
            let faults = Draft::parse(json).expect_err("refused once");
            assert!((1..=100).contains(&faults.len()));
            assert!(faults.iter().all(|fault| !fault.message.is_empty()));
            assert!(faults.iter().all(|fault| fault.pointer.is_empty() || fault.pointer.starts_with('/')));
            return;
        }
    };
    told(json);
    sends(&dialect);
    reads(&dialect);
}

/// With every default written out it is the same document.
fn told(json: &str) {
    let draft = Draft::parse(json).expect("accepted once");
    let complete = draft.complete();
    let again = Draft::parse(&complete).unwrap_or_else(|faults| panic!("{faults:?}: {complete}"));
    assert_eq!(again.complete(), complete);
    assert!(!draft.name().is_empty() && !draft.title().is_empty());
    draft.notes();
    if let Ok(requests) = draft.requests(r#"{"prompt":"a fox","model":"a/b"}"#, "img_1") {
        assert!(!requests.is_empty() && requests.iter().all(|request| request.path.starts_with('/')));
    }
}

/// Whatever the id is, every request goes to an address on the API's origin.
fn sends(dialect: &Dialect) {
    let api = Url::parse("https://api.example/v1").expect("an address");
    let base = Base::new(api.clone());
    let check = |path: &str| {
        let url = base.url(path).unwrap_or_else(|error| panic!("{error}: {path}"));
        assert!(url.same_origin(&api), "{path}");
    };
    for id in IDS {
        for index in 0..=dialect.poll_paths_len() {
            let look = dialect.look(index, id);
            check(&look.path);
            assert!(look.headers.iter().all(|(name, value)| is_header(name, value)));
            assert!(look.body.is_none_or(|body| serde_json::from_slice::<serde_json::Value>(&body).is_ok()));
        }
        let more = [dialect.cancel(id).map(|cancel| cancel.path), dialect.content(id)];
        more.iter().flatten().for_each(|path| check(path));
        let _ = base.target(dialect, id);
    }
    for request in [r#"{"prompt":"a fox","model":"a/b"}"#, "{}", r#"{"id":".."}"#, "[]"] {
        let Ok(submit) = dialect.submit(request) else { continue };
        check(&submit.path);
        assert!(submit.headers.iter().all(|(name, value)| is_header(name, value)));
        let body: serde_json::Value = serde_json::from_slice(&submit.body.unwrap_or_default()).expect("JSON");
        assert!(body.is_object());
    }
}

fn is_header(name: &str, value: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()) && value.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// Bodies of every kind of shape give tasks or errors.
fn reads(dialect: &Dialect) {
    let data_url = "data:image/png;base64,AAAA";
    let bodies = [
        r#"{"id":"a","status":"queued","progress":"12%","data":[{"url":"/a.png"}]}"#.to_owned(),
        format!(r#"{{"id":1,"status":"done","progress":1,"data":[{{"url":["/a","{data_url}"]}},"/b",null,{{}}]}}"#),
        format!(r#"{{"data":{{"0":{{"url":"{data_url}"}}}},"status":2,"error":{{"message":"m","code":404}}}}"#),
        r#"{"a":{"a":{"a":{"a":[[[["/x"]]]]}}},"error":"code: words","status":"failed"}"#.to_owned(),
        r#"{"resultJson":"{\"resultUrls\":[\"/a\"],\"data\":[{\"url\":\"/b\"}]}","state":"success"}"#.to_owned(),
        r#"[{"id":"a","status":"ready"}]"#.to_owned(),
    ];
    for body in bodies {
        let other = rewritten(&body).expect("JSON");
        let essences = [&body, &other].map(|body| {
            let readings = [dialect.read_look(body.clone()), dialect.read_submit(body.clone())];
            readings.iter().flatten().for_each(|reading| assert_sane(&reading.task));
            readings.map(|reading| reading.map(essence).map_err(|error| error.to_string()))
        });
        assert_eq!(essences[0], essences[1], "the same JSON, written otherwise, reads as something else");
        dialect.read_refusal(body.as_bytes());
    }
}
