//! A wrong document says what is wrong, and where.

use super::*;
use crate::error::Status;

#[test]
fn a_document_error_names_the_pointer_and_what_would_be_right() {
    let whole = |rest: &str| format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"]}}{rest}}}"#);
    let poll = |poll: &str| format!(r#"{{"name":"x","poll":{poll}}}"#);
    for (document, message) in [
        ("".to_owned(), "not JSON from line 1, column 0 on"),
        ("{\n]".to_owned(), "not JSON from line 2, column 1 on"),
        (whole("") + "x", "not JSON from line 1, column 40 on"),
        ("[]".to_owned(), "must be an object"),
        ("{}".to_owned(), "name is missing; poll is missing"),
        (r#"{"name":"x"}"#.to_owned(), "poll is missing"),
        (poll("{}"), "/poll: paths is missing"),
        (poll("[]"), "/poll: must be an object"),
        (poll(r#"{"paths":["/x"]}"#), "/poll/paths/0: must contain {id}"),
        (poll(r#"{"paths":["/{id}","/{id}/{id}"]}"#), "/poll/paths/1: must contain {id} once"),
        (poll(r#"{"paths":["{id}"]}"#), "/poll/paths/0: must start with one /"),
        (poll(r#"{"paths":["//h/{id}"]}"#), "/poll/paths/0: must start with one /"),
        (poll(r#"{"paths":["/{id} "]}"#), "/poll/paths/0: must be printable ASCII without spaces and fragment"),
        (poll(r#"{"paths":["/`{id}"]}"#), "/poll/paths/0: must be printable ASCII without spaces and fragment"),
        (poll(r#"{"paths":[]}"#), "/poll/paths: must not be empty"),
        (poll(r#"{"paths":{}}"#), "/poll/paths: must be a string"),
        (poll(r#"{"paths":["/{id}"],"method":"PATCH"}"#), "/poll/method: must be one of GET, POST, PUT, DELETE"),
        (poll(r#"{"pahts":[]}"#), "/poll/pahts: unknown member; did you mean paths?; /poll: paths is missing"),
        (
            whole(r#","auth":{"a":1,"A/~":2}"#),
            "/auth/A~1~0: unknown member; known are header, prefix; /auth/a: unknown member; known are header, prefix",
        ),
        (whole(r#","headers":{"a":"1","a":"2"}"#), "/headers/a: given twice"),
        (whole(r#","poll":{"paths":"/{id}"}"#), "/poll: given twice"),
        (whole(" // why"), "not JSON from line 1, column 40 on; a comment is a member whose name begins with //"),
        (
            whole(&format!(r#","submit":{{"path":"/","body_defaults":{{"a":{}}}}}"#, "[".repeat(200))),
            &format!("/submit/body_defaults/a{}: nested deeper than 32 levels", "/0".repeat(29)),
        ),
        (whole(r#","dialect":2"#), "/dialect: this library reads version 1"),
        (whole(r#","read":{"status":["/a",3]}"#), "/read/status/1: must be a string"),
        (whole(r#","read":{"status":3}"#), "/read/status: must be a string"),
        (whole(r#","read":{"status":"status"}"#), "/read/status: must be a JSON pointer: empty, or starting with /"),
        (whole(r#","read":{"status":"/a~b"}"#), "/read/status: ~ in a JSON pointer must be written ~0"),
        (
            whole(r#","read":{"words":{"a/b":"finished"}}"#),
            "/read/words/a~1b: must be one of unknown, queued, running, succeeded, failed, cancelled, expired",
        ),
        (whole(r#","read":{"progress_scale":0}"#), "/read/progress_scale: must be a number more than 0"),
        (
            whole(r#","read":{"error":{"action_codes":{"a":"cry"}}}"#),
            "/read/error/action_codes/a: must be one of resubmit, change_request, check_account",
        ),
        (whole(r#","read":{"images":{"auth":"always"}}"#), "/read/images/auth: must be one of never, same_origin"),
        (whole(r#","http":{"+404":"gone"}"#), "/http/+404: must be an HTTP status, 100 to 599"),
        (whole(r#","http":{"99":"gone"}"#), "/http/99: must be an HTTP status, 100 to 599"),
        (whole(r#","http":{"404":"gona"}"#), "/http/404: must be one of ok, gone, rate_limited, retry, stop"),
        (whole(r#","timing":{"floor_ms":-1}"#), "/timing/floor_ms: must be a whole number, 0 to 4294967295"),
        (whole(r#","timing":{"wait_timeout_ms":0}"#), "/timing/wait_timeout_ms: must not be 0"),
        (whole(r#","timing":{"intervals_ms":[[0,1],[0,2]]}"#), "/timing/intervals_ms: ages must rise from 0"),
        (whole(r#","timing":{"intervals_ms":[[0]]}"#), "/timing/intervals_ms/0: must be a pair"),
        (whole(r#","headers":{"a b":"c"}"#), "/headers/a b: must be a header name"),
        (whole(r#","headers":{"a":"b\r\nc: d"}"#), "/headers/a: must be printable ASCII on one line"),
        (whole(r#","headers":{"authorization":"x"}"#), "/headers/authorization: this header is set by the library"),
        (
            poll(r#"{"paths":["/{task_id}/{id}"]}"#),
            "/poll/paths/0: {task_id} is filled by nobody: only {id} is known here",
        ),
        (
            poll(r#"{"paths":["/x"],"query":{"a":"{id}","b":"{ID}"}}"#),
            "/poll/query/b: {ID} is filled by nobody: only {id} is known here",
        ),
        (
            poll(r#"{"paths":["/x"],"method":"POST","body":{"a/b":["{id}","{name}"]}}"#),
            "/poll/body/a~1b/1: {name} is filled by nobody: only {id} is known here",
        ),
        (poll(r#"{"paths":["/x"],"method":"POST","body":{"{id}":1}}"#), "/poll/paths/0: must contain {id}"),
        (poll(r#"{"paths":["/{id}"],"body":{}}"#), "/poll/body: a GET has no body: give the method"),
        (
            whole(r#","cancel":{"path":"/{id}/{a}"},"content":{"path":"/{b}/{id}"}"#),
            "/cancel/path: {a} is filled by nobody: only {id} is known here; \
             /content/path: {b} is filled by nobody: only {id} is known here",
        ),
        (whole(r#","headers":{"X-A":"1","x-a":"2"}"#), "/headers/x-a: this header is given twice"),
        (
            whole(r#","headers":{"X-A":"1"},"submit":{"path":"/","headers":{"x-a":"2","X-B":"3"}}"#),
            "/submit/headers/x-a: this header is given twice",
        ),
        (whole(r#","auth":{"header":"Host"}"#), "/auth/header: this header is set by the library"),
        (
            whole(r#","auth":{"header":"X-Key"},"headers":{"x-key":"x"}"#),
            "/headers/x-key: this header is set by the library",
        ),
        (whole(r#","base_url":"example.com""#), "/base_url: must start with https:// or http://"),
        (whole(r#","key_variable":"my key""#), "/key_variable: must be capital letters, digits and _"),
        (whole(r#","cancel":{"path":"/x"}"#), "/cancel/path: must contain {id}"),
        (whole(r#","content":{"path":"/x"}"#), "/content/path: must contain {id}"),
        (whole(r#","submit":{"path":"/x/{"}"#), "/submit/path: { and } must enclose the name of a member"),
        (whole(r#","submit":{"path":"/x}/{a}"}"#), "/submit/path: { and } must enclose the name of a member"),
        (whole(r#","submit":{"path":"/{a/b}"}"#), "/submit/path: { and } must enclose the name of a member"),
        (
            r#"{"name":"My Service","poll":{"paths":["/{id}"]}}"#.to_owned(),
            "/name: must be 1 to 64 small letters, digits and dashes",
        ),
    ] {
        let error = Dialect::parse(&document).expect_err(&document);
        assert_eq!(
            (error.status(), error.message()),
            (Status::InvalidArgument, &*format!("dialect: {message}")),
            "{document}"
        );
    }
}

#[test]
fn every_fault_of_a_document_is_told_and_of_very_many_the_first() {
    let error = Dialect::parse(
        r#"{"name":"X","dialect":2,"poll":{"paths":["{id}","//"],"method":"get"},"read":{"status":[1,"s"],"words":{"a":"b","c":"d"}},
            "timing":{"floor_ms":"1s","intervals_ms":[[0,-1],[0]]}}"#,
    );
    let error = error.expect_err("full of faults");
    let told: Vec<&str> = error.message().split("; ").map(|fault| fault.split(": ").next().unwrap_or(fault)).collect();
    let first =
        ["dialect", "/name", "/poll/method", "/poll/paths/0", "/poll/paths/1", "/read/status/0", "/read/status/1"];
    assert_eq!(told, [&first[..], &["/read/words/a", "and more"]].concat());
    assert!(error.message().starts_with("dialect: /dialect: this library reads version 1; /name: must be 1 to 64"));

    let many: Vec<String> = (0..20_000).map(|n| format!("\"m{n}\":0")).collect();
    let error = Dialect::parse(&format!("{{{}}}", many.join(","))).expect_err("unknown members");
    assert!(error.message().len() < 4096, "{}", error.message().len());

    // What members cannot say of themselves is told all at once, too.
    let error = Dialect::parse(
        r#"{"name":"x","poll":{"paths":["/x","/{id}/{id}"]},"cancel":{"path":"/x"},"timing":{"intervals_ms":[[5,0]]}}"#,
    );
    assert_eq!(
        error.expect_err("four faults").message(),
        "dialect: /poll/paths/0: must contain {id}; /poll/paths/1: must contain {id} once; /cancel/path: must contain {id}; \
         /timing/intervals_ms: ages must rise from 0; /timing/intervals_ms: an interval must not be 0"
    );
}

#[test]
fn a_member_whose_name_begins_with_two_slashes_is_a_comment_wherever_the_schema_names_members() {
    let commented = dialect(
        r#"{"//":"a","// more":["b"],"//":"c","name":"x","poll":{"//":1,"paths":["/{id}"],"method":"POST","body":{"//":"sent"}},
            "read":{"words":{"//":"from its page","brewing":"running"}},"headers":{"//":"none"},
            "submit":{"path":"/s","body_defaults":{"//":"sent"}}}"#,
    );
    assert_eq!(look(&commented, r#"{"status":"brewing"}"#).task.state, State::Running);
    assert!(commented.profile().headers.is_empty());
    // What is sent to the service is the user's own.
    assert_eq!(commented.look(0, "a").body.as_deref(), Some(&br#"{"//":"sent"}"#[..]));
    assert_eq!(commented.submit("{}").expect("a submit").body.as_deref(), Some(&br#"{"//":"sent"}"#[..]));
    let error = Dialect::parse(r#"{"/":"a","name":"x","poll":{"paths":["/{id}"]}}"#).expect_err("one slash");
    assert!(error.message().starts_with("dialect: /~1: unknown member"), "{error}");
}

#[test]
fn a_document_error_does_not_repeat_values() {
    for document in [
        r#"{"name":"x","poll":"sk-SECRET"}"#,
        r#"{"name":"x","poll":{"paths":["/{id}"],"method":"sk-SECRET"}}"#,
        r#"{"name":"x","poll":{"paths":["/{id}"]},"timing":{"floor_ms":"sk-SECRET, expected at line "}}"#,
        r#"{"name":"sk-SECRET","poll":{"paths":["/{id}"]}}"#,
        r#"{"name":"x","poll":{"paths":["/{id}"]},"auth":{"prefix":"sk-SECRET\n"}}"#,
    ] {
        let error = Dialect::parse(document).expect_err(document);
        assert!(!error.message().contains("SECRET"), "{error}");
    }
}

#[test]
fn a_document_cut_or_flipped_at_any_byte_is_an_error_or_a_dialect() {
    let document = include_str!("../builtin/lemondata.json");
    for at in (0..document.len()).step_by(3) {
        assert!(Dialect::parse(&document[..at]).is_err());
        let mut bytes = document.as_bytes().to_vec();
        bytes[at] ^= 0x04;
        if let Ok(dialect) = Dialect::parse(&String::from_utf8_lossy(&bytes)) {
            assert!(dialect.read_look(sample("lemondata_completed.json")).is_ok());
        }
    }
}

#[test]
fn pointers_that_would_eat_memory_are_refused() {
    let stars: Vec<String> = (0..16).map(|name| format!("\"{}/a{name}\"", "/*".repeat(name))).collect();
    let list = stars.join(",");
    let read = format!(r#"{{"id":[{list}],"status":[{list}],"model":[{list}],"progress":[{list}]}}"#);
    let few = format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"]}},"read":{read}}}"#);
    assert!(Dialect::parse(&few).is_ok());
    let ways = |at: usize| {
        (0..16).map(|step| if step == at { "a".into() } else { "*".into() }).collect::<Vec<String>>().join("/")
    };
    let list = (0..16).map(|at| format!("\"/{}\"", ways(at))).collect::<Vec<_>>().join(",");
    let many = format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"]}},"read":{{"id":[{list}]}}}}"#);
    let error = Dialect::parse(&many).expect_err("multiplies");
    assert_eq!(error.message(), "dialect: /read: too many pointers, or * on too many levels");
    let list = (0..20_000).map(|n| format!("\"/a{n}\"")).collect::<Vec<_>>().join(",");
    let wide = format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"]}},"read":{{"id":[{list}]}}}}"#);
    assert_eq!(Dialect::parse(&wide).expect_err("wide").message(), error.message());
    let long = format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"]}},"read":{{"id":"{}"}}}}"#, "/a".repeat(17));
    assert_eq!(
        Dialect::parse(&long).expect_err("long").message(),
        "dialect: /read/id: must not have more than 16 steps"
    );
}

#[test]
fn a_list_of_one_may_be_written_without_brackets() {
    let one = dialect(r#"{"name":"x","poll":{"paths":"/{id}"},"read":{"status":"/s","root":""}}"#);
    assert_eq!(one.look(0, "a").path, "/a");
    assert_eq!(look(&one, r#"{"s":"done"}"#).task.state, State::Succeeded);
}

#[test]
fn an_editor_may_name_the_schema() {
    dialect(
        r#"{"$schema":"https://example.org/dialect.schema.json","dialect":1,"name":"x","poll":{"paths":["/{id}"]}}"#,
    );
}

#[test]
fn a_header_that_every_request_has_or_that_frames_it_is_refused_before_a_request_fails() {
    for name in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Expect",
        "Connection",
        "Upgrade",
        "Accept-Encoding",
        "User-Agent",
        "Content-Type",
        "Accept",
        "Cache-Control",
        "Authorization",
    ] {
        let rest = format!(r#""headers":{{"{name}":"x"}}"#);
        for (place, members) in [("", rest.clone()), ("/submit", format!(r#""submit":{{"path":"/",{rest}}}"#))] {
            let document = format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"]}},{members}}}"#);
            let error = Dialect::parse(&document).expect_err(&document);
            let message = format!("dialect: {place}/headers/{name}: this header is set by the library");
            assert_eq!(error.message(), message);
        }
    }
}

#[test]
fn a_base_url_is_a_host_with_or_without_a_port_and_a_path() {
    let document = |url: &str| format!(r#"{{"name":"x","base_url":"{url}","poll":{{"paths":["/{{id}}"]}}}}"#);
    for bad in [
        "https://",
        "https:///v1",
        "https://u:p@h",
        "https://h?x=1",
        "https://h/v1?x=1",
        "https://h/v1#x",
        "https://h ost",
        "https://h..i",
        "https://h:",
        "https://h:0",
        "https://h:65536",
        "https://h:+1",
        "https://[::1",
        "https://[h]",
    ] {
        let error = Dialect::parse(&document(bad)).expect_err(bad);
        assert_eq!(
            error.message(),
            "dialect: /base_url: must be https:// or http://, a host, and perhaps a port and a path"
        );
    }
    for good in ["https://h", "https://H.example/", "https://h:8443/v1/", "http://127.0.0.1:80", "http://[::1]:8080/v1"]
    {
        dialect(&document(good));
    }
}

#[test]
fn a_host_that_the_key_may_go_to_is_named_whole() {
    let document =
        |host: &str| format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"],"follow_hosts":["a.example","{host}"]}}}}"#);
    for bad in [
        "",
        "*",
        "*.",
        "*.ai",
        "*bfl.ai",
        "*.*.bfl.ai",
        "a.*.ai",
        "API.x.com",
        "https://x.com",
        "x.com:443",
        "x.com/",
        "x..com",
        ".x.com",
        "x.com.",
        "localhost",
    ] {
        let error = Dialect::parse(&document(bad)).expect_err(bad);
        let message = "must be a host in small letters: api.example.com, or *.example.com";
        assert_eq!(error.message(), format!("dialect: /poll/follow_hosts/1: {message}"), "{bad}");
    }
    for good in ["api.x.com", "*.bfl.ai", "eu-1.bfl.ai"] {
        dialect(&document(good));
    }
}

#[test]
fn what_members_lack_together_is_told_beside_what_is_wrong_with_one() {
    let error = Dialect::parse(
        r#"{"poll":{"paths":["x","/y",3],"method":"get","body":{}},"cancel":{"path":"z"},"headers":{"Host":"h"},
            "timing":{"first_look_ms":"1s","intervals_ms":[["a",0]]}}"#,
    );
    assert_eq!(
        error.expect_err("faults of both kinds").message(),
        "dialect: name is missing; /poll/method: must be one of GET, POST, PUT, DELETE; /poll/paths/0: must start with one /; \
         /poll/paths/2: must be a string; /cancel/path: must start with one /; \
         /timing/first_look_ms: must be a whole number, 0 to 4294967295; \
         /timing/intervals_ms/0/0: must be a whole number, 0 to 4294967295; /poll/paths/0: must contain {id}; and more"
    );
    let error = Dialect::parse(r#"{"name":"x","poll":{"paths":["x"]},"headers":{"Host":"h"}}"#).expect_err("three");
    assert_eq!(
        error.message(),
        "dialect: /poll/paths/0: must start with one /; /poll/paths/0: must contain {id}; \
         /headers/Host: this header is set by the library"
    );
}

#[test]
fn a_version_is_a_number_however_it_is_written_and_a_body_of_null_is_none() {
    let one = dialect(r#"{"name":"x","dialect":1.0,"poll":{"paths":["/{id}"],"body":null}}"#);
    assert_eq!(one.look(0, "a").body, None);
}

#[test]
fn very_many_pointers_of_a_refusal_are_refused() {
    for count in [65_500, 65_520, 65_530] {
        let list = vec![r#""/a""#; count].join(",");
        let document =
            format!(r#"{{"name":"x","poll":{{"paths":["/{{id}}"]}},"read":{{"error":{{"message":[{list}]}}}}}}"#);
        let result = Dialect::parse(&document).map(drop).map_err(|error| error.message().to_owned());
        let refused = Err("dialect: /read: too many pointers, or * on too many levels".to_owned());
        assert_eq!(result, if count == 65_500 { Ok(()) } else { refused }, "{count}");
    }
}
