//! What services do to those who read them carelessly.

use std::time::Duration;

use super::*;
use crate::error::Status;
use crate::task::{FailureAction, Link};

/// State of a look that says only this about its status.
fn state(dialect: &Dialect, status: &str) -> State {
    look(dialect, &format!(r#"{{"id":"a","status":{status}}}"#)).task.state
}

fn urls(task: &Task) -> Vec<&str> {
    task.images.iter().map(|image| image.url()).collect()
}

/// A finished task of a dialect that finds images at `/data`, holding this.
fn finished_with(data: &str) -> Task {
    let dialect = reads(r#"{"images":{"items":"/data"}}"#);
    look(&dialect, &format!(r#"{{"id":"a","status":"done","data":{data}}}"#)).task
}

#[test]
fn a_status_word_is_known_however_it_is_written() {
    for (status, known) in [
        (r#""Succeeded""#, State::Succeeded),
        (r#""  IN_PROGRESS\n""#, State::Running),
        (r#""aborted""#, State::Cancelled),
        (r#""CANCELLED""#, State::Cancelled),
        (r#""Request Moderated""#, State::Failed),
        (r#""TASK_STATUS_QUEUED""#, State::Queued),
        (r#""succ\u0065ss""#, State::Succeeded),
        (r#""expired""#, State::Expired),
    ] {
        assert_eq!(state(&builtin("dimilinks"), status), known, "{status}");
    }
}

#[test]
fn a_word_that_nobody_knows_is_no_end_and_is_said_so() {
    for status in [r#""thinking""#, r#""готово""#, "7", "true", r#""succeeded!""#] {
        let reading =
            look(&builtin("lemondata"), &format!(r#"{{"id":"a","status":{status},"data":[{{"url":"/x"}}]}}"#));
        assert_eq!((reading.task.state, reading.unknown_word), (State::Unknown, true), "{status}");
        assert!(!reading.task.state.is_final() && reading.task.images.is_empty());
        assert_eq!(reading.task.provider_status, status.trim_matches('"'));
    }
    assert!(!look(&builtin("lemondata"), r#"{"id":"a"}"#).unknown_word, "no word is no unknown word");
}

#[test]
fn every_shared_word_has_one_state_and_only_ends_are_final() {
    use crate::dialect::vocabulary::STATES;
    for (word, known) in STATES {
        assert_eq!(state(&builtin("dimilinks"), &format!("\"{word}\"")), *known);
        assert_eq!(STATES.iter().filter(|(other, _)| other == word).count(), 1, "{word}");
        assert_eq!(known.is_final(), !matches!(known, State::Queued | State::Running));
    }
}

#[test]
fn a_dialect_overrides_words_also_for_numbers_and_booleans() {
    let dialect = reads(
        r#"{"words":{"Pending":"running","2":"succeeded","true":"succeeded","false":"failed","готово":"succeeded"}}"#,
    );
    assert_eq!(state(&dialect, r#""pending""#), State::Running);
    assert_eq!(state(&dialect, "2"), State::Succeeded);
    assert_eq!(state(&dialect, r#""2""#), State::Succeeded);
    assert_eq!(state(&dialect, "true"), State::Succeeded);
    assert_eq!(state(&dialect, "false"), State::Failed);
    assert_eq!(state(&dialect, r#""ГОТОВО""#), State::Succeeded);
    assert_eq!(state(&dialect, r#""queued""#), State::Queued, "the shared words stay");
}

#[test]
fn completed_with_an_error_is_a_failure_where_the_dialect_says_so() {
    let fal = reads(r#"{"id":"/request_id","failed_if":"/error","error":{"message":"/error","type":"/error_type"}}"#);
    let task = look(
        &fal,
        r#"{"status":"COMPLETED","request_id":"r","error":"Runner disconnected","error_type":"runner_disconnected"}"#,
    )
    .task;
    let failure = task.failure.expect("failed");
    assert_eq!(
        (task.state, &*failure.message, &*failure.kind),
        (State::Failed, "Runner disconnected", "runner_disconnected")
    );
    for no_error in ["null", r#""""#, "false", "0"] {
        let body = format!(r#"{{"status":"COMPLETED","request_id":"r","error":{no_error}}}"#);
        assert_eq!(look(&fal, &body).task.state, State::Succeeded, "{no_error}");
    }
    let running = r#"{"status":"IN_PROGRESS","request_id":"r","error":"warming up"}"#;
    assert_eq!(look(&fal, running).task.state, State::Running, "only an end can turn out a failure");
}

#[test]
fn failed_and_cancelled_is_cancelled() {
    let lemondata = builtin("lemondata");
    for flag in ["true", "1", r#""true""#, r#""yes""#] {
        let task = look(&lemondata, &format!(r#"{{"id":"a","status":"failed","cancelled":{flag}}}"#)).task;
        assert_eq!(task.state, State::Cancelled, "{flag}");
    }
    for flag in ["false", "0", "null", r#""""#, r#""false""#] {
        let task = look(&lemondata, &format!(r#"{{"id":"a","status":"failed","cancelled":{flag}}}"#)).task;
        assert_eq!(task.state, State::Failed, "{flag}");
    }
    let late = look(&lemondata, r#"{"id":"a","status":"completed","cancelled":true,"data":["https://h/a"]}"#).task;
    assert_eq!(late.state, State::Succeeded, "a cancel that came too late takes no image away");
}

#[test]
fn empty_places_are_no_images_but_keep_their_number() {
    let task = finished_with(r#"[{"url":""},null,{"url":null},{"url":"https://h/3"},7,{},[],"  ","/5\u0026a"]"#);
    assert_eq!(urls(&task), ["https://h/3", "/5&a"]);
    assert_eq!(task.images.iter().map(|image| image.source_index).collect::<Vec<_>>(), [3, 8]);
}

#[test]
fn a_submit_with_an_id_and_no_data_is_accepted() {
    let task = submitted(&builtin("dimilinks"), r#"{"created":1,"task_id":"img_a","data":[]}"#).task;
    assert_eq!((task.state, &*task.id, task.created_at), (State::Queued, "img_a", 1));
}

#[test]
fn a_submit_with_data_is_finished_with_and_without_an_id() {
    let with = submitted(&builtin("dimilinks"), r#"{"task_id":"img_a","data":[{"url":"/p/img/a/0"}]}"#).task;
    assert_eq!((with.state, &*with.id, urls(&with)), (State::Succeeded, "img_a", vec!["/p/img/a/0"]));
    let without = submitted(&builtin("lemondata"), r#"{"data":[{"b64_json":"AAAA"}]}"#).task;
    assert_eq!((without.state, &*without.id, without.images.len()), (State::Succeeded, "", 1));
}

#[test]
fn a_submit_with_neither_task_nor_image_is_no_answer() {
    for body in [
        "{}",
        r#"{"created":1,"data":[]}"#,
        r#"{"data":[{"url":""}]}"#,
        r#"{"status":"pending"}"#,
        r#"{"status":"odd"}"#,
    ] {
        let error = builtin("lemondata").read_submit(body.to_owned()).expect_err(body);
        assert_eq!(error.status(), Status::BadResponse, "{body}");
    }
    let refused = r#"{"error":{"message":"no such model","code":"model_not_found"}}"#;
    let error = builtin("lemondata").read_submit(refused.to_owned()).expect_err("refused");
    assert_eq!((error.status(), error.provider_code()), (Status::Rejected, "model_not_found"));
    assert_eq!(error.message(), "the service refused: no such model");
}

#[test]
fn images_and_errors_before_the_end_are_ignored() {
    let lemondata = builtin("lemondata");
    for status in ["pending", "processing", "partial", "thinking"] {
        let body = format!(r#"{{"id":"a","status":"{status}","data":[{{"url":"/preview"}}],"error":{{"code":"x"}}}}"#);
        let task = look(&lemondata, &body).task;
        assert!(task.images.is_empty() && task.failure.is_none() && !task.state.is_final(), "{status}");
    }
    let failed = look(&lemondata, r#"{"id":"a","status":"failed","data":[{"url":"/x"}]}"#).task;
    assert!(failed.images.is_empty(), "a failure has no images");
    let done = look(&lemondata, r#"{"id":"a","status":"completed","data":[{"url":"/x"}],"error":"old"}"#).task;
    assert!(done.failure.is_none(), "a success has no failure");
}

#[test]
fn progress_never_decides_and_is_read_in_every_form() {
    let whole = reads("{}");
    let fraction = reads(r#"{"progress_scale":1}"#);
    let progress = |dialect: &Dialect, status: &str, progress: &str| {
        look(dialect, &format!(r#"{{"id":"a","status":"{status}","progress":{progress}}}"#)).task.progress
    };
    for (written, read) in [
        ("62", 62),
        ("62.9", 62),
        ("100", 99),
        ("250", 99),
        ("0", 0),
        (r#""62%""#, 62),
        (r#""62""#, 62),
        (r#""100%""#, 99),
        ("1e1", 10),
        ("-3", -1),
        ("null", -1),
        (r#""""#, -1),
        (r#""half""#, -1),
        (r#""NaN""#, -1),
        ("1e999", -1),
        ("18446744073709551616", 99),
        ("[50]", -1),
        (r#"{"value":50}"#, -1),
        ("true", -1),
    ] {
        assert_eq!(progress(&whole, "running", written), read, "{written}");
    }
    for (written, read) in [("0.29", 29), ("0.5", 50), ("1", 99), ("0.999", 99), (r#""7%""#, 7)] {
        assert_eq!(progress(&fraction, "running", written), read, "{written}");
    }
    assert_eq!(progress(&whole, "failed", "100"), -1);
    assert_eq!(progress(&whole, "done", "40"), 100);
    assert_eq!(look(&whole, r#"{"id":"a","status":"running"}"#).task.progress, -1);
}

#[test]
fn an_id_is_found_under_each_of_its_names_as_text_and_number() {
    let id = |body: &str| look(&builtin("lemondata"), body).task.id;
    assert_eq!(id(r#"{"id":"a","task_id":"a","status":"pending"}"#), "a");
    assert_eq!(id(r#"{"task_id":"b","status":"pending"}"#), "b");
    assert_eq!(id(r#"{"id":null,"task_id":"b","status":"pending"}"#), "b");
    assert_eq!(id(r#"{"id":"","task_id":"b","status":"pending"}"#), "b");
    assert_eq!(id(r#"{"id":123456789012345678901234567890,"status":"pending"}"#), "123456789012345678901234567890");
    assert_eq!(id(r#"{"id":{"x":1},"status":"pending"}"#), "");
}

#[test]
fn times_are_seconds_whatever_the_service_writes_and_zero_is_not_yet() {
    let dialect = reads(r#"{"created_at":["/created_at","/createdAt"],"completed_at":"/finished"}"#);
    let times = |members: &str| {
        let task = look(&dialect, &format!(r#"{{"id":"a","status":"done",{members}}}"#)).task;
        (task.created_at, task.completed_at)
    };
    assert_eq!(times(r#""created_at":1777080000,"finished":1777080060000"#), (1_777_080_000, 1_777_080_060));
    assert_eq!(times(r#""createdAt":"2026-04-25T01:20:00Z","finished":0"#), (1_777_080_000, 0));
    assert_eq!(times(r#""created_at":"","finished":null"#), (0, 0));
    assert_eq!(times(r#""created_at":1e999,"finished":-5"#), (0, 0));
}

#[test]
fn a_reason_is_found_as_text_object_and_flattened_and_never_made_up() {
    let reason = |dialect: &Dialect, rest: &str| {
        let failure = look(dialect, &format!(r#"{{"id":"a","status":"failed"{rest}}}"#)).task.failure.expect("failed");
        (failure.message, failure.code, failure.kind)
    };
    let known = |message: &str, code: &str, kind: &str| (message.to_owned(), code.to_owned(), kind.to_owned());
    let none = known("the service gave no reason", "", "");
    let lemondata = builtin("lemondata");
    assert_eq!(reason(&lemondata, r#","error":"out of luck""#), known("out of luck", "", ""));
    assert_eq!(reason(&lemondata, r#","error":"line\nbreak""#), known("line\nbreak", "", ""));
    let commands = r#","error":{"message":"a\u001b[2Jb","code":"c\u0007","type":"t\u009bA"}"#;
    assert_eq!(reason(&lemondata, commands), known("a[2Jb", "c", "tA"), "nothing that a terminal would obey");
    assert_eq!(reason(&lemondata, r#","error":{"message":"m","code":"c","type":"t"}"#), known("m", "c", "t"));
    assert_eq!(reason(&lemondata, r#","error":{"message":"m","code":400}"#), known("m", "400", ""));
    for nothing in [
        "",
        r#","error":"""#,
        r#","error":null"#,
        r#","error":{}"#,
        r#","error":[]"#,
        r#","error":{"code":0,"message":""}"#,
    ] {
        assert_eq!(reason(&lemondata, nothing), none, "{nothing}");
    }
    let flat = reads(r#"{"error":{"message":["/fail_reason","/failMsg"],"code":"/failCode"}}"#);
    assert_eq!(reason(&flat, r#","fail_reason":"","failMsg":"nsfw","failCode":501"#), known("nsfw", "501", ""));
    assert_eq!(
        reason(&builtin("dimilinks"), r#","error":{"code":"upstream_error","detail":"d"}"#),
        known("d", "upstream_error", "")
    );
}

#[test]
fn the_legacy_error_text_is_split_into_code_and_words() {
    let failure = |error: &str| {
        let body = format!(r#"{{"task_id":"a","status":"failed","error":"{error}"}}"#);
        let failure = look(&builtin("dimilinks-legacy"), &body).task.failure.expect("failed");
        (failure.code, failure.message, failure.action)
    };
    let known = |code: &str, words: &str, action| (code.to_owned(), words.to_owned(), action);
    use FailureAction::{ChangeRequest, CheckAccount, Resubmit};
    assert_eq!(
        failure("content_moderation: blocked: nsfw"),
        known("content_moderation", "blocked: nsfw", ChangeRequest)
    );
    assert_eq!(failure("account_forbidden"), known("account_forbidden", "account_forbidden", CheckAccount));
    assert_eq!(failure("interrupted: "), known("interrupted", "the service gave no reason", Resubmit));
    assert_eq!(failure("Something broke: twice"), known("", "Something broke: twice", Resubmit));
    assert_eq!(failure(""), known("", "the service gave no reason", Resubmit));
}

#[test]
fn a_code_before_the_words_is_read_however_it_is_spelled() {
    use FailureAction::{ChangeRequest, Resubmit};
    let codes =
        r#"{"INK-42":"change_request","E42":"change_request","NSFW":"change_request","sorry":"change_request"}"#;
    let dialect = reads(&format!(r#"{{"error":{{"message":"/why","code_in_message":true,"action_codes":{codes}}}}}"#));
    let failure = |why: &str| {
        let failure = look(&dialect, &format!(r#"{{"id":"a","status":"failed","why":"{why}"}}"#)).task.failure;
        let failure = failure.expect("failed");
        (failure.code, failure.message, failure.action)
    };
    for code in ["INK-42", "ink-42", "E42", "e42", "NSFW"] {
        let read = (code.to_owned(), "this motif is not allowed".to_owned(), ChangeRequest);
        assert_eq!(failure(&format!("{code}: this motif is not allowed")), read);
    }
    for code in ["INK_42", "ink_42", "42", "safety.blocked", "ModerationBlocked"] {
        assert_eq!(failure(&format!("{code}: no")), (code.to_owned(), "no".to_owned(), Resubmit));
    }
    assert_eq!(failure("E42"), ("E42".to_owned(), "E42".to_owned(), ChangeRequest));
    let long = format!("{}: no", "a".repeat(65));
    for words in
        ["Error: no", "error: no", "ERROR", "Sorry: no", "Not this: no", "Blocked.", "http://a/b", ": no", &long]
    {
        assert_eq!(failure(words), (String::new(), words.to_owned(), Resubmit));
    }
}

#[test]
fn a_failure_says_what_helps_by_code_then_class_then_word() {
    use FailureAction::{ChangeRequest, CheckAccount, Resubmit};
    let dialect = reads(r#"{"error":{"action_codes":{"nsfw":"change_request","insufficient_balance":"resubmit"}}}"#);
    let action = |code: &str, kind: &str, word: &str| {
        let body = format!(r#"{{"id":"a","status":"{word}","error":{{"code":"{code}","type":"{kind}"}}}}"#);
        look(&dialect, &body).task.failure.expect("failed").action
    };
    assert_eq!(action("nsfw", "", "failed"), ChangeRequest);
    assert_eq!(action("NSFW", "", "failed"), ChangeRequest);
    assert_eq!(action("insufficient_balance", "", "failed"), Resubmit, "the dialect's own table goes first");
    assert_eq!(action("quota_exceeded", "", "failed"), CheckAccount);
    assert_eq!(action("", "authentication_error", "failed"), CheckAccount);
    assert_eq!(action("whatever", "", "Content Moderated"), ChangeRequest);
    assert_eq!(action("upstream_error", "", "failed"), Resubmit);
    assert_eq!(action("", "", "cancelled"), Resubmit);
}

#[test]
fn a_refusal_inside_http_200_is_a_refusal() {
    let dialect = dialect(
        r#"{"name":"kie","poll":{"paths":["/r"],"query":{"taskId":"{id}"}},"not_found_codes":["3"],
            "read":{"root":"/data","status":"/state","envelope_ok":{"pointer":"/code","values":[200,"success"]}}}"#,
    );
    let status = |body: &str| dialect.read_look(body.to_owned()).expect_err(body).status();
    assert_eq!(status(r#"{"code":401,"msg":"bad key","data":null}"#), Status::Unauthorized);
    assert_eq!(status(r#"{"code":429,"msg":"slow down"}"#), Status::RateLimited);
    assert_eq!(status(r#"{"code":3,"msg":"task not found"}"#), Status::NotFound);
    assert_eq!(
        status(r#"{"code":1,"msg":"sorry"}"#),
        Status::Server,
        "no word of the task's end: a look may be repeated"
    );
    let told = dialect.read_look(r#"{"code":402,"msg":"top up"}"#.to_owned()).expect_err("refused");
    assert_eq!(
        (told.status(), told.message(), told.provider_code()),
        (Status::Payment, "the service refused: top up", "402")
    );
    for good in [
        r#"{"code":200,"data":{"id":"a","state":"success"}}"#,
        r#"{"code":"success","data":{"id":"a","state":"success"}}"#,
    ] {
        assert_eq!(look(&dialect, good).task.state, State::Succeeded);
    }
}

#[test]
fn a_look_that_says_nothing_keeps_looking_and_an_error_without_a_task_is_one() {
    for provider in ["dimilinks", "dimilinks-legacy", "lemondata"] {
        assert_eq!(look(&builtin(provider), "{}").task.state, State::Unknown);
    }
    let gone = r#"{"error":{"message":"Task not found","code":"async_task_not_found"}}"#;
    let error = builtin("lemondata").read_look(gone.to_owned()).expect_err("gone");
    assert_eq!(error.status(), Status::NotFound);
    let error = builtin("lemondata").read_look(r#"{"error":"try later"}"#.to_owned()).expect_err("refused");
    assert_eq!((error.status(), error.message()), (Status::Server, "the service refused: try later"));
    let ace = reads(r#"{"absent":"running"}"#);
    assert_eq!(look(&ace, r#"{"id":"a"}"#).task.state, State::Running);
}

#[test]
fn a_wrapped_body_reads_as_a_bare_one() {
    let dimilinks = builtin("dimilinks");
    let inner = r#"{"id":"a","status":"succeeded","created_at":5,"result":{"data":[{"url":"/x"}]}}"#;
    let bare = look(&dimilinks, inner).task;
    for wrapped in [format!(r#"{{"data":{inner}}}"#), format!(r#"{{"code":200,"data":[{inner}]}}"#)] {
        let task = look(&dimilinks, &wrapped).task;
        assert_eq!(
            (&task.id, task.state, task.created_at, urls(&task)),
            (&bare.id, bare.state, 5, urls(&bare)),
            "{wrapped}"
        );
    }
    let refused = dimilinks.read_refusal(br#"{"data":{"error":{"message":"m","code":"c"}}}"#);
    assert_eq!((&*refused.message, &*refused.code), ("m", "c"));
}

#[test]
fn images_are_found_as_objects_texts_lists_and_alone() {
    for data in [
        r#"[{"url":"https://h/a"}]"#,
        r#"["https://h/a"]"#,
        r#"{"url":"https://h/a"}"#,
        r#""https://h/a""#,
        r#"[{"url":["https://h/a"]}]"#,
        r#"{"url":["","https://h/a",null]}"#,
        r#"["https:\/\/h\/a"]"#,
        r#""https:\u002f/h/a""#,
    ] {
        assert_eq!(urls(&finished_with(data)), ["https://h/a"], "{data}");
    }
    let two = finished_with(r#"[{"url":["https://h/a","data:,b"],"file_id":"f"}]"#);
    assert_eq!(
        two.images.iter().map(|image| (&*image.file_id, image.source_index)).collect::<Vec<_>>(),
        [("f", 0), ("f", 0)]
    );
    assert_eq!(two.inline_text(&two.images[1]), Some("data:,b"));
    assert!(finished_with("null").images.is_empty() && finished_with("7").images.is_empty());
}

#[test]
fn images_are_found_in_a_json_text_inside_the_body() {
    let kie = reads(
        r#"{"root":"/data","id":"/taskId","status":"/state",
            "images":{"json_string":"/resultJson","items":["/resultUrls","/images"]}}"#,
    );
    let body = |text: &str| format!(r#"{{"data":{{"taskId":"t","state":"success","resultJson":{text}}}}}"#);
    let task = look(&kie, &body(r#""{\"resultUrls\":[\"https://h/a\",\"data:,x\"]}""#)).task;
    assert_eq!(task.images[0].url(), "https://h/a");
    assert_eq!(task.inline_text(&task.images[1]), Some("data:,x"));
    for broken in ["null", r#""""#, r#""{""#, r#""[]""#, "{}"] {
        assert!(look(&kie, &body(broken)).task.images.is_empty(), "{broken}");
    }
}

#[test]
fn stars_step_into_lists_and_objects() {
    let comfy = reads(
        r#"{"root":"/*","status":"/status/status_str","images":{"items":"/outputs/*/images","url":"/filename"}}"#,
    );
    let body = r#"{"p1":{"status":{"status_str":"success"},"outputs":{"9":{"images":[{"filename":"/a"}]},"12":{"images":[{"filename":"/b"}]}}}}"#;
    assert_eq!(urls(&look(&comfy, body).task), ["/a", "/b"]);
}

#[test]
fn the_first_pointer_that_yields_something_wins_and_lists_are_never_joined() {
    let dialect = reads(r#"{"images":{"items":["/output/*","/output","/other"]},"model":["/a","/b"]}"#);
    let task = |rest: &str| look(&dialect, &format!(r#"{{"id":"a","status":"done",{rest}}}"#)).task;
    assert_eq!(urls(&task(r#""output":["/1","/2"],"other":["/3"]"#)), ["/1", "/2"]);
    assert_eq!(urls(&task(r#""other":["/3"],"output":[""]"#)), ["/3"]);
    assert_eq!(task(r#""b":"second","a":"first""#).model, "first");
    assert_eq!(task(r#""b":"second","a":"""#).model, "second");
}

#[test]
fn of_a_member_given_twice_the_last_one_counts() {
    let dimilinks = builtin("dimilinks");
    let twice = r#"{"id":"a","id":"b","status":"queued","status":"succeeded",
        "result":{"data":[{"url":"/1"},{"url":"/2"}]},"result":{"data":[{"url":"/3","url":"/4"}]}}"#;
    let task = look(&dimilinks, twice).task;
    assert_eq!((&*task.id, task.state, urls(&task)), ("b", State::Succeeded, vec!["/4"]));
    assert_eq!(task.images[0].source_index, 0);
    let emptied =
        look(&dimilinks, r#"{"id":"a","status":"succeeded","result":{"data":[{"url":"/1"}]},"result":null}"#).task;
    assert!(emptied.images.is_empty());
}

#[test]
fn an_image_of_megabytes_inside_the_body_is_not_copied() {
    let pixels = "A".repeat(3 << 20);
    for member in ["url", "b64_json"] {
        let prefix = if member == "url" { "DATA:image/png;base64," } else { "" };
        let body = format!(r#"{{"id":"a","status":"completed","data":[{{"{member}":" {prefix}{pixels}"}}]}}"#);
        let task = look(&builtin("lemondata"), &body).task;
        let Link::InBody(range) = &task.images[0].link else { panic!("{member} was copied") };
        assert_eq!(range.len(), prefix.len() + pixels.len());
        assert_eq!(task.inline_text(&task.images[0]).map(str::len), Some(range.len()));
        assert!(format!("{task:?}").len() < 2000, "nor shown");
    }
    let escaped = finished_with(r#"[{"url":"data:image\/png;base64,AA\/A"}]"#);
    assert_eq!(escaped.inline_text(&escaped.images[0]), Some("data:image/png;base64,AA/A"));
}

#[test]
fn a_link_needs_a_scheme_or_a_slash() {
    for usable in [
        "https://h/a?exp=1&sig=a%2Fb",
        "HTTP://h/a",
        "/p/img/a/0?exp=1",
        "//h/a",
        "data:,a",
        "DATA:image/png;base64,AA",
    ] {
        assert_eq!(finished_with(&format!("[\"{usable}\"]")).images.len(), 1, "{usable}");
    }
    for not in
        ["iVBORw0KGgoAAAA", "/9j/4AAQSkZJRgABAQ", "UklGRiIAAABXRUJQ", "images/a.png", "a:b", "://h", "?a=/b", "#/"]
    {
        assert!(finished_with(&format!("[\"{not}\"]")).images.is_empty(), "{not}");
    }
}

#[test]
fn a_signed_link_keeps_its_bytes_and_tells_when_it_expires() {
    let image = |url: &str| finished_with(&format!("[\"{url}\"]")).images.remove(0);
    assert_eq!(image(r"/p/0?exp=1777166400000\u0026sig=a%2Fb+c").url(), "/p/0?exp=1777166400000&sig=a%2Fb+c");
    for (url, expires_at) in [
        ("/p/0?exp=1777166400000&sig=a", 1_777_166_400),
        ("/p/0?sig=a&exp=1777166400", 1_777_166_400),
        ("/p/0?noexp=1777166400", 0),
        ("/p/0?exp=soon", 0),
        ("/p/0?exp=", 0),
        ("/p/0?exp=99999999999999999999999", 0),
        ("/p/0#exp=1777166400", 0),
        ("/p/exp=1777166400", 0),
    ] {
        assert_eq!(image(url).expires_at, expires_at, "{url}");
    }
    let apimart = reads(
        r#"{"images":{"items":"/data","expires_at":"/expires_at","width":"/w","height":"/h","byte_size":"/size"}}"#,
    );
    let body = r#"{"id":"a","status":"done","data":[{"url":"https://h/a?exp=5","expires_at":1763174708,"w":64,"h":"32","size":1e3}]}"#;
    let image = look(&apimart, body).task.images.remove(0);
    assert_eq!((image.expires_at, image.width, image.height, image.byte_size), (1_763_174_708, 64, 32, 1000));
}

#[test]
fn a_hint_to_wait_is_read_from_body_and_refusal() {
    let lemondata = builtin("lemondata");
    let hint = |value: &str| {
        let body =
            format!(r#"{{"error":{{"message":"m","retry_after":{value},"retryable":true}},"request_id":"r-1"}}"#);
        let refusal = lemondata.read_refusal(body.as_bytes());
        assert_eq!((refusal.retryable, &*refusal.request_id), (Some(true), "r-1"));
        refusal.retry_after
    };
    assert_eq!(hint("8"), Some(Duration::from_secs(8)));
    assert_eq!(hint("0.5"), Some(Duration::from_millis(500)));
    assert_eq!(hint(r#""8""#), Some(Duration::from_secs(8)));
    for nothing in ["0", "-1", "null", "1e999", "1e300", r#""soon""#] {
        assert_eq!(hint(nothing), None, "{nothing}");
    }
    let reading = look(&lemondata, r#"{"id":"a","status":"pending","error":{"retry_after":3}}"#);
    assert_eq!(reading.wait_hint, Some(Duration::from_secs(3)));
}

#[test]
fn no_state_hangs_on_the_words_of_a_message() {
    let body = r#"{"id":"a","status":"processing","error":"任务失败 failed thất bại","message":"completed"}"#;
    assert_eq!(look(&builtin("lemondata"), body).task.state, State::Running);
}

#[test]
fn ids_are_taken_as_they_come() {
    for id in ["img_0123456789abcdef01234567", "b5a1-8e", "42", "Zz9", "任务-1", "a b%2F&=+"] {
        let task = look(&builtin("dimilinks"), &format!(r#"{{"task_id":"{id}","status":"queued"}}"#)).task;
        assert_eq!(task.id, id);
    }
}

#[test]
fn a_flag_of_nothing_is_not_set_however_it_is_written() {
    // `/error` holds what the reader looks for, too: it walks into it.
    let walked = reads(r#"{"failed_if":"/error"}"#);
    let whole = reads(r#"{"failed_if":"/error","error":{"message":"/m","code":"/c","type":"/t"}}"#);
    for dialect in [walked, whole] {
        let state =
            |error: &str| look(&dialect, &format!(r#"{{"id":"a","status":"done","error":{error}}}"#)).task.state;
        for nothing in [
            "null",
            "false",
            "0",
            "{}",
            "{ \n }",
            "[]",
            "[ ]",
            r#""""#,
            r#"" ""#,
            r#""\u0020\n\u00a0""#,
            r#""\u006eo""#,
        ] {
            assert_eq!(state(nothing), State::Succeeded, "{nothing}");
        }
        for something in ["true", "1", r#"{"a":null}"#, "[0]", "[[]]", r#""quota""#, r#""\/""#] {
            assert_eq!(state(something), State::Failed, "{something}");
        }
    }
}

#[test]
fn a_text_of_white_space_says_nothing_however_it_is_written() {
    let dialect = reads(r#"{"id":["/id","/task_id"]}"#);
    for blank in ["", " ", "\\n", "\\u0020\\t", "\u{3000}", "\\u3000"] {
        let body = format!(r#"{{"id":"{blank}","task_id":"b","status":"queued"}}"#);
        assert_eq!(look(&dialect, &body).task.id, "b", "{blank:?}");
    }
    for text in ["\\/", "\\u0000", "\\b", " \\u0061"] {
        let body = format!(r#"{{"id":"{text}","task_id":"b","status":"queued"}}"#);
        assert_ne!(look(&dialect, &body).task.id, "b", "{text:?}");
    }
}
