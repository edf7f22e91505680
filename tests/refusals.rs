//! What a client makes of a service that refuses, loses its answers, moves or repeats secrets: no task gets lost, nothing is
//! offered for a second submit, and every message says what to do.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{
    Answer, KEY, PNG, Server, client, dimilinks, json, options, refusal, succeeded, task_with_image, typed, within,
};
use imgtask::{Client, LogLevel, Options, Retry, State, Status};

const DONE: &str = r#"{"task_id":"t","status":"completed","data":[{"url":"https://cdn.example/a.png"}]}"#;

/// An answer that breaks off in its body.
fn cut(head: &str) -> Answer {
    Answer::Last(format!("HTTP/1.1 {head}\r\nContent-Length: 99\r\n\r\n{{\"error").into_bytes())
}

#[test]
fn a_busy_second_route_does_not_make_a_task_unknown() {
    let busy = AtomicUsize::new(0);
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        "/v1/tasks/t" if busy.fetch_add(1, Ordering::Relaxed) < 2 => refusal(503, "overloaded"),
        "/v1/tasks/t" => json(DONE),
        _ => Answer::Json(404, "<html>no such page</html>".into()),
    });
    let client = client("lemondata", &server);
    assert_eq!(client.fetch("t").expect_err("busy").status(), Status::Server);
    assert_eq!(client.wait("t", None).expect("done").state, State::Succeeded);
}

#[test]
fn a_refusal_counts_also_when_its_words_are_lost() {
    let lost: [fn(u16) -> Answer; 3] = [
        |status| cut(&format!("{status} X")),
        |status| {
            Answer::Raw(format!("HTTP/1.1 {status} X\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n??").into())
        },
        |status| Answer::Last(format!("HTTP/1.1 {status} X\r\nContent-Length: 2000000\r\n\r\n{{").into()),
    ];
    for answer in lost {
        let server = Server::start(move |asked, _| answer(if asked.method == "POST" { 402 } else { 401 }));
        let client = client("dimilinks", &server);
        assert_eq!(client.submit(r#"{"prompt":"x"}"#).expect_err("refused").status(), Status::Payment);
        let error = client.wait("img_1", Some(Duration::from_secs(5))).expect_err("refused");
        assert_eq!((error.status(), error.http_status(), server.asked().len()), (Status::Unauthorized, 401, 2));
    }
}

#[test]
fn a_submit_that_may_have_made_a_task_is_not_offered_again() {
    let envelope = |code: u16| json(&format!(r#"{{"error":{{"message":"no","code":{code}}}}}"#));
    type Case = (&'static str, Box<dyn Fn() -> Answer + Send + Sync>, Status, Retry);
    let cases: [Case; 6] = [
        ("500", Box::new(|| refusal(500, "internal_error")), Status::Server, Retry::Never),
        ("504", Box::new(|| Answer::Json(504, "<html>".into())), Status::Server, Retry::Never),
        ("503", Box::new(|| refusal(503, "overloaded")), Status::Server, Retry::Now),
        ("200 with 500 inside", Box::new(move || envelope(500)), Status::Server, Retry::Never),
        ("200 with 404 inside", Box::new(move || envelope(404)), Status::Rejected, Retry::Never),
        ("404", Box::new(|| refusal(404, "model_not_found")), Status::Rejected, Retry::Never),
    ];
    for (name, answer, status, retry) in cases {
        let server = Server::start(move |_, _| answer());
        let error = client("dimilinks", &server).submit(r#"{"prompt":"x"}"#).expect_err(name);
        assert_eq!((error.status(), error.retry(), server.asked().len()), (status, retry, 1), "{name}: {error}");
    }
}

#[test]
fn a_lost_answer_whose_head_names_the_task_does_not_lose_the_task() {
    let server = Server::start(|asked, before| match (asked.method.as_str(), before) {
        ("POST", _) => cut("200 OK\r\nX-Task-ID: t"),
        (_, 1) => refusal(404, "async_task_not_found"),
        _ => json(DONE),
    });
    let client = client("lemondata", &server);
    let mut error = client.submit(r#"{"prompt":"x"}"#).expect_err("lost");
    assert_eq!((error.status(), error.task_id()), (Status::SubmitUnknown, "t"));
    assert!(error.message().contains("task t exists"), "{error}");
    let task = error.take_task().expect("what is known");
    // Our own submit: that it is not found yet is forgiven.
    assert_eq!(client.wait(&task.poll_ref, None).expect("done").state, State::Succeeded);
}

/// A service whose submit answers with an address alone.
const ADDRESS_ONLY: &str = r#"{
    "dialect": 1, "name": "own", "title": "Own", "key_variable": "OWN_API_KEY",
    "submit": {"path": "/make"},
    "poll": {"paths": ["/look/{id}"], "follow": "/where"},
    "cancel": {"method": "DELETE", "path": "/look/{id}"}
}"#;

fn own_client(server: &Server) -> Client {
    let dialect = Options { provider: String::new(), dialect_json: Some(ADDRESS_ONLY.into()), ..options("", server) };
    Client::create(&dialect).expect("a client")
}

#[test]
fn an_address_without_an_id_is_a_task_too() {
    let port = Arc::new(Mutex::new(String::new()));
    let url = port.clone();
    let server = Server::start(move |asked, _| match asked.method.as_str() {
        "POST" => json(&format!(r#"{{"status":"queued","where":"{}/at?job=7"}}"#, url.lock().expect("a lock"))),
        _ => json(r#"{"status":"queued"}"#),
    });
    *port.lock().expect("a lock") = server.url();
    let client = own_client(&server);
    let address = format!("{}/at?job=7", server.url());
    let task = client.submit("{}").expect("accepted");
    assert_eq!((task.id.as_str(), &task.poll_ref), ("", &address));
    let error = client.wait(&task.poll_ref, Some(Duration::from_millis(50))).expect_err("queued");
    assert_eq!(error.task().map(|task| &task.poll_ref), Some(&address), "the way back to the task stays known");
    assert_eq!(server.asked().last().map(|asked| asked.path.clone()), Some("/at?job=7".into()));
    let sent = server.asked().len();
    assert_eq!(client.cancel_task(&address).expect_err("no id").status(), Status::InvalidArgument);
    assert_eq!(server.asked().len(), sent, "nothing is deleted that has no id");
}

#[test]
fn an_unseen_task_keeps_the_reference_it_was_asked_by() {
    let server = Server::start(|_, _| Answer::Json(503, String::new()));
    let error = client("lemondata", &server).wait("/v1/tasks/t", Some(Duration::ZERO)).expect_err("busy");
    let task = error.task().expect("the task");
    assert_eq!((task.id.as_str(), task.poll_ref.as_str()), ("t", "/v1/tasks/t"));
}

#[test]
fn the_id_that_was_asked_for_stays_the_tasks_id() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    assert_eq!(client("dimilinks", &server).fetch("img_2").expect("served").id, "img_2");
}

#[test]
fn a_private_apis_images_may_be_private_and_a_public_ones_may_not() {
    let cdn = Server::start(|_, _| typed("image/png", PNG));
    let api = Server::start(|_, _| json("{}"));
    let task = task_with_image(&format!("{}/a.png", cdn.url()));
    for host in ["127.0.0.1", "localhost"] {
        let base_url = Some(api.url().replace("127.0.0.1", host));
        let client = Client::create(&Options { base_url, ..options("dimilinks", &api) }).expect("a client");
        assert_eq!(client.download(&task, 0).expect("both private").data, PNG, "{host}");
    }
    let before = cdn.connections();
    let base_url = Some("https://1.1.1.1".into());
    let public = Client::create(&Options { base_url, ..options("dimilinks", &api) }).expect("a client");
    let error = public.download(&task, 0).expect_err("blocked");
    assert_eq!((error.status(), cdn.connections()), (Status::Blocked, before));
    assert!(error.message().contains("allow_private_images"), "{error}");
}

#[test]
fn a_server_error_that_stays_ends_the_wait() {
    let stays: [fn() -> Answer; 3] = [
        || Answer::Json(501, String::new()),
        || Answer::Json(505, String::new()),
        || Answer::Json(500, r#"{"error":{"message":"no","retryable":false}}"#.into()),
    ];
    for answer in stays {
        let server = Server::start(move |_, _| answer());
        let error = client("lemondata", &server).wait("t", Some(Duration::from_secs(5))).expect_err("refused");
        assert_eq!((error.status(), error.retry(), server.asked().len()), (Status::Server, Retry::Never, 1));
    }
}

#[test]
fn a_success_without_an_image_is_no_unfinished_task_when_the_time_is_over() {
    let server = Server::start(|_, before| match before {
        0 => json(&succeeded(&[])),
        _ => refusal(500, "internal_error"),
    });
    let error = client("dimilinks", &server).wait("img_1", Some(Duration::from_millis(600))).expect_err("no image");
    assert_eq!(error.status(), Status::NoImage);
    assert_eq!(error.task().map(|task| task.state), Some(State::Succeeded));
}

#[test]
fn a_look_without_a_word_is_a_look_that_succeeded() {
    let server = Server::start(|_, before| match before {
        0 => json(r#"{"id":"img_1"}"#),
        _ => refusal(500, "internal_error"),
    });
    let error = client("dimilinks", &server).wait("img_1", Some(Duration::from_millis(600))).expect_err("unfinished");
    assert_eq!(error.status(), Status::Timeout);
    assert!(!error.message().contains("no look succeeded"), "{error}");
}

#[test]
fn no_time_is_too_long_for_a_wait() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "POST" => json(r#"{"created":1,"task_id":"img_1","data":[]}"#),
        _ => json(&succeeded(&["https://cdn.example/a.png"])),
    });
    let client = client("dimilinks", &server);
    client.submit(r#"{"prompt":"x"}"#).expect("accepted");
    for seconds in [u64::MAX, i64::MAX as u64 - (1 << 32)] {
        within(Duration::from_secs(5), || {
            client.wait("img_1", Some(Duration::from_secs(seconds))).expect("done");
        });
    }
}

#[test]
fn messages_name_the_task_and_the_file() {
    let server = Server::start(|_, _| refusal(404, "not_found"));
    let client = client("dimilinks", &server);
    let error = client.fetch("img_1").expect_err("unknown");
    assert!(error.message().contains("no task img_1"), "{error}");
    let path = std::path::Path::new("/nowhere/at all/a.png");
    let error = client.download_file(&task_with_image(&server.url()), 0, path, true).expect_err("no folder");
    assert_eq!(error.status(), Status::File);
    assert!(error.message().contains("/nowhere/at all/a.png"), "{error}");
}

#[test]
fn a_key_that_a_long_answer_cuts_off_is_not_told_in_part() {
    for filler in 280..300 {
        let body = format!(r#"{{"error":{{"message":"{}{KEY} and more words","code":"x"}}}}"#, "y".repeat(filler));
        let server = Server::start(move |_, _| Answer::Json(401, body.clone()));
        let told = client("dimilinks", &server).fetch("img_1").expect_err("refused").to_string();
        assert!(!told.contains("sk-C"), "{told}");
    }
}

#[test]
fn a_cancel_that_is_refused_inside_a_success_tells_no_key() {
    let body = format!(r#"{{"error":{{"message":"bad key {KEY}","code":"{KEY}"}}}}"#);
    let server = Server::start(move |_, _| json(&body));
    let error = client("lemondata", &server).cancel_task("t").expect_err("refused");
    let told = format!("{error} {error:?} {}", error.provider_code());
    assert!(told.contains("LemonData") && !told.contains("CANARY"), "{told}");
}

#[test]
fn a_key_that_was_changed_meanwhile_is_not_told_either() {
    let body = format!(r#"{{"error":{{"message":"bad key {KEY}"}}}}"#);
    let slot: Arc<Mutex<Option<Client>>> = Arc::default();
    let changed = slot.clone();
    let server = Server::start(move |_, _| {
        changed.lock().expect("a lock").as_ref().expect("a client").set_key("sk-other").expect("a key");
        Answer::Json(401, body.clone())
    });
    let client = client("dimilinks", &server);
    *slot.lock().expect("a lock") = Some(client.clone());
    let told = client.fetch("img_1").expect_err("refused").to_string();
    assert!(!told.contains("CANARY"), "{told}");
}

#[test]
fn a_line_of_the_log_is_one_line_and_an_unknown_word_is_told_once() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let server = Server::start(|_, _| json(r#"{"id":"img_1","status":"danc\ning\u001b[31m"}"#));
    let options = Options {
        log_level: LogLevel::Debug,
        log: Some(Arc::new(move |_, line: &str| sink.lock().expect("a lock").push(line.to_owned()))),
        ..options("dimilinks", &server)
    };
    let client = Client::create(&options).expect("a client");
    for _ in 0..3 {
        client.fetch("img_1").expect("served");
    }
    let lines = lines.lock().expect("a lock");
    assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("unknown status")).count(), 1, "{lines:?}");
}

#[test]
fn debug_output_holds_no_image_and_no_key() {
    let server = Server::start(|_, _| typed("image/png", PNG));
    let client = client("dimilinks", &server);
    let picture = client.download(&task_with_image(&format!("{}/a.png", server.url())), 0).expect("downloaded");
    let told = format!("{picture:?} {client:?}");
    assert!(told.contains("69 bytes") && !told.contains("137, 80") && !told.contains("CANARY"), "{told}");
}
