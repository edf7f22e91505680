//! What a client does with a service that behaves, and with one that does not.

mod common;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use common::{
    Answer, KEY, PNG, Server, client, dimilinks, json, options, refusal, succeeded, task_with_image, typed, within,
};
use imgtask::{Client, Error, LogLevel, Options, Retry, State, Status, Task};

#[test]
fn a_task_is_submitted_waited_for_and_downloaded() {
    let server = Server::start(|asked, before| match (asked.method.as_str(), before) {
        ("POST", _) => json(r#"{"created":1777080000,"task_id":"img_1","data":[]}"#),
        (_, 1) => json(&dimilinks("queued")),
        (_, 2) => json(&dimilinks("in_progress")),
        _ if asked.path.starts_with("/p/img/") => typed("image/png", PNG),
        _ => json(&succeeded(&["/p/img/img_1/0?exp=1777166400000&sig=abc"])),
    });
    let client = client("dimilinks", &server);
    let accepted = client.submit(r#"{"prompt":"a red apple"}"#).expect("accepted");
    assert_eq!((accepted.id.as_str(), accepted.state), ("img_1", State::Queued));

    let mut seen = Vec::new();
    let task = client.wait_with("img_1", None, &mut |look| seen.extend(look.map(|task| task.state))).expect("done");
    assert_eq!(seen, [State::Queued, State::Running, State::Succeeded]);
    assert_eq!(task.images[0].url(), format!("{}/p/img/img_1/0?exp=1777166400000&sig=abc", server.url()));
    assert_eq!(task.images[0].expires_at, 1_777_166_400);

    let picture = client.download(&task, 0).expect("downloaded");
    assert_eq!((picture.data.as_slice(), picture.info.media_type), (PNG, "image/png"));
    assert_eq!((picture.info.width, picture.info.height), (1, 1));

    let asked = server.asked();
    assert_eq!(asked[0].path, "/v1/images/generations?async=true");
    assert_eq!(asked[0].body, br#"{"prompt":"a red apple"}"#);
    for request in &asked {
        let names: HashSet<&String> = request.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), request.headers.len(), "a header came twice: {:?}", request.headers);
    }
    assert!(asked[..4].iter().all(|a| a.header("authorization") == Some(&format!("Bearer {KEY}"))));
    assert!(asked[1..4].iter().all(|a| a.path == "/v1/tasks/img_1"));
    let image = asked.last().expect("asked");
    assert_eq!(
        (image.header("authorization"), image.path.as_str()),
        (None, "/p/img/img_1/0?exp=1777166400000&sig=abc")
    );
    assert_eq!(server.connections(), 1, "one kept-alive connection serves it all");
}

#[test]
fn a_failed_task_is_an_answer_and_not_an_error() {
    let body =
        r#"{"id":"img_1","status":"failed","progress":100,"error":{"code":"content_moderation","message":"blocked"}}"#;
    let server = Server::start(move |_, _| json(body));
    let client = client("dimilinks", &server);
    for task in [client.fetch("img_1"), client.wait("img_1", None)] {
        let task = task.expect("an answer");
        let failure = task.failure.expect("a reason");
        assert_eq!((task.state, task.progress), (State::Failed, -1));
        assert_eq!(
            (failure.code.as_str(), failure.action),
            ("content_moderation", imgtask::FailureAction::ChangeRequest)
        );
    }
}

#[test]
fn each_refusal_has_its_status_its_words_and_the_task() {
    let cases = [
        (400, "invalid_request_error", Status::Rejected),
        (401, "invalid_api_key", Status::Unauthorized),
        (402, "insufficient_balance", Status::Payment),
        (403, "model_not_allowed", Status::Unauthorized),
        (404, "not_found", Status::NotFound),
        (410, "gone", Status::NotFound),
        (409, "conflict", Status::Rejected),
        (422, "bad", Status::Rejected),
        (429, "rate_limit_rpm", Status::RateLimited),
        (408, "timeout", Status::Server),
        (500, "internal_error", Status::Server),
        (503, "service_unavailable", Status::Server),
    ];
    for (http_status, code, status) in cases {
        let server = Server::start(move |_, _| refusal(http_status, code));
        let error = client("dimilinks", &server).fetch("img_1").expect_err("refused");
        assert_eq!((error.status(), error.http_status(), error.provider_code()), (status, http_status, code));
        assert_eq!(error.task_id(), "img_1");
        assert!(error.message().contains("DimiLinks") && error.message().contains(": no"), "{}", error.message());
    }
}

#[test]
fn a_service_that_repeats_the_key_does_not_bring_it_into_the_message() {
    let body = format!(
        r#"{{"error":{{"message":"Incorrect key {KEY}: see https://x.example/a?sig=s3cret","code":"{KEY}"}}}}"#
    );
    let server = Server::start(move |_, _| Answer::Json(401, body.clone()));
    let error = client("dimilinks", &server).fetch("img_1").expect_err("refused");
    let told = format!("{error} {error:?} {}", error.provider_code());
    assert!(!told.contains("CANARY") && !told.contains("s3cret"), "{told}");
}

#[test]
fn looks_that_fail_do_not_end_the_wait() {
    let server = Server::start(|_, before| match before {
        0 => refusal(500, "internal_error"),
        1 => Answer::HangUp,
        2 => typed("text/html", b"<html>portal</html>"),
        3 => Answer::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":".to_vec()),
        4 => Answer::Json(503, String::new()),
        5 => Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        6 => json(r#"{"id":"img_1","status":"dancing"}"#),
        _ => json(&succeeded(&["https://cdn.example/a.png"])),
    });
    let task = client("dimilinks", &server).wait("img_1", Some(Duration::from_secs(20))).expect("done");
    assert_eq!(task.state, State::Succeeded);
}

#[test]
fn a_wait_ends_at_once_when_looking_again_cannot_help() {
    for (http_status, code, status) in [
        (401, "invalid_api_key", Status::Unauthorized),
        (404, "not_found", Status::NotFound),
        (402, "x", Status::Payment),
    ] {
        let server = Server::start(move |_, _| refusal(http_status, code));
        let error = client("dimilinks", &server).wait("img_1", None).expect_err("refused");
        assert_eq!((error.status(), server.asked().len()), (status, 1));
    }
}

#[test]
fn a_wait_that_times_out_is_back_in_time_and_tells_what_it_saw() {
    let server = Server::start(|_, _| json(&dimilinks("in_progress")));
    let client = client("dimilinks", &server);
    let started = Instant::now();
    let mut error = client.wait("img_1", Some(Duration::from_millis(300))).expect_err("not finished");
    assert!((200..=550).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!((error.status(), error.retry()), (Status::Timeout, Retry::Now));
    let task = error.take_task().expect("the task");
    assert_eq!((task.id.as_str(), task.state, task.progress, task.json.as_str()), ("img_1", State::Running, 50, ""));
}

#[test]
fn a_wait_on_a_silent_service_is_back_in_time_and_knows_the_task_at_least_by_name() {
    let server = Server::start(|_, _| Answer::Silence);
    let client = client("dimilinks", &server);
    within(Duration::from_millis(750), || {
        let mut error = client.wait("img_1", Some(Duration::from_millis(500))).expect_err("silent");
        assert_eq!(error.status(), Status::Timeout);
        let task = error.take_task().expect("the task");
        assert_eq!((task.id.as_str(), task.state), ("img_1", State::Unknown));
    });
}

#[test]
fn a_wait_for_an_own_submit_uses_its_time_before_the_last_look() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "POST" => json(r#"{"created":1,"task_id":"img_1","data":[]}"#),
        _ => json(&dimilinks("queued")),
    });
    let options = Options { poll_interval_ms: 0, ..options("dimilinks", &server) };
    let client = Client::create(&options).expect("a client");
    client.submit(r#"{"prompt":"x"}"#).expect("accepted");
    let started = Instant::now();
    let error = client.wait("img_1", Some(Duration::from_millis(500))).expect_err("not finished");
    assert_eq!((error.status(), server.asked().len()), (Status::Timeout, 2));
    assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
}

#[test]
fn no_time_is_one_look() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let error = client("dimilinks", &server).wait("img_1", Some(Duration::ZERO)).expect_err("not finished");
    assert_eq!((error.status(), server.asked().len()), (Status::Timeout, 1));
}

#[test]
fn progress_never_runs_backwards_within_a_wait() {
    let server = Server::start(|_, before| match before {
        0 => json(r#"{"id":"img_1","status":"in_progress","progress":70}"#),
        1 => json(r#"{"id":"img_1","status":"in_progress","progress":20}"#),
        2 => json(r#"{"id":"img_1","status":"in_progress"}"#),
        _ => json(&succeeded(&["https://cdn.example/a.png"])),
    });
    let mut seen = Vec::new();
    let mut on_look = |look: Result<&Task, &Error>| seen.extend(look.map(|task| task.progress));
    client("dimilinks", &server).wait_with("img_1", None, &mut on_look).expect("done");
    assert_eq!(seen, [70, 70, 70, 100]);
}

#[test]
fn a_rate_limit_is_waited_out_as_long_as_the_service_says() {
    let server = Server::start(|_, before| match before {
        0 => Answer::Raw(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
        _ => json(&succeeded(&["https://cdn.example/a.png"])),
    });
    let started = Instant::now();
    client("dimilinks", &server).wait("img_1", None).expect("done");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_pause_past_the_deadline_is_told_at_once() {
    let server =
        Server::start(|_, _| Answer::Raw(b"HTTP/1.1 429 X\r\nRetry-After: 60\r\nContent-Length: 2\r\n\r\n{}".to_vec()));
    within(Duration::from_secs(2), || {
        let error = client("dimilinks", &server).wait("img_1", Some(Duration::from_secs(10))).expect_err("too long");
        assert_eq!((error.status(), error.retry()), (Status::RateLimited, Retry::After(Duration::from_secs(60))));
    });
}

#[test]
fn a_success_without_an_image_is_looked_at_again_and_then_told_with_the_task() {
    let server = Server::start(|_, _| json(&succeeded(&[])));
    let client = client("dimilinks", &server);
    assert_eq!(client.fetch("img_1").expect("an answer").images.len(), 0);
    let error = client.wait("img_1", None).expect_err("no image");
    assert_eq!((error.status(), server.asked().len()), (Status::NoImage, 5));
    assert_eq!(error.task().map(|task| task.state), Some(State::Succeeded));
}

#[test]
fn not_found_right_after_the_own_submit_is_not_yet_found() {
    let server = Server::start(|asked, before| match (asked.method.as_str(), before) {
        ("POST", _) => json(r#"{"created":1,"task_id":"img_1","data":[]}"#),
        (_, 1..=3) => refusal(404, "not_found"),
        _ => json(&succeeded(&["https://cdn.example/a.png"])),
    });
    let client = client("dimilinks", &server);
    client.submit(r#"{"prompt":"x"}"#).expect("accepted");
    assert_eq!(client.wait("img_1", None).expect("done").state, State::Succeeded);
    assert_eq!(client.wait("img_2", Some(Duration::ZERO)).expect("served").state, State::Succeeded);
}

#[test]
fn a_lost_answer_to_a_submit_is_unknown_and_the_request_was_sent_once() {
    type Lost = fn() -> Answer;
    let lost: [(&str, Lost); 4] = [
        ("hang-up", || Answer::HangUp),
        ("half a head", || Answer::Last(b"HTTP/1.1 200 OK\r\nConte".to_vec())),
        ("half a body", || Answer::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"task".to_vec())),
        ("no JSON", || typed("text/html", b"<html>")),
    ];
    for (name, answer) in lost {
        let server = Server::start(move |_, _| answer());
        let error = client("dimilinks", &server).submit(r#"{"prompt":"x"}"#).expect_err(name);
        assert_eq!((error.status(), server.asked().len()), (Status::SubmitUnknown, 1), "{name}");
        assert_eq!(error.retry(), Retry::Never, "{name}");
        assert!(error.task().is_some(), "{name}");
    }
}

#[test]
fn a_submit_on_a_connection_that_died_idle_is_never_sent_twice() {
    let posts = Arc::new(AtomicUsize::new(0));
    let count = posts.clone();
    let server = Server::start(move |asked, _| {
        if asked.method == "POST" {
            count.fetch_add(1, Ordering::Relaxed);
            return Answer::HangUp;
        }
        json(&dimilinks("queued"))
    });
    let client = client("dimilinks", &server);
    client.fetch("img_1").expect("warms the connection up");
    let error = client.submit(r#"{"prompt":"x"}"#).expect_err("lost");
    assert_eq!((error.status(), posts.load(Ordering::Relaxed)), (Status::SubmitUnknown, 1));
}

#[test]
fn nothing_listening_is_a_connect_error_and_no_unknown_submit() {
    let server = Server::start(|_, _| Answer::HangUp);
    let options = options("dimilinks", &server);
    drop(server);
    let client = Client::create(&options).expect("a client");
    assert_eq!(client.submit(r#"{"prompt":"x"}"#).expect_err("refused").status(), Status::Connect);
}

#[test]
fn a_look_on_a_connection_that_died_is_repeated_at_once() {
    let server = Server::start(|_, before| match before {
        1 => Answer::HangUp,
        _ => json(&dimilinks("queued")),
    });
    let client = client("dimilinks", &server);
    for _ in 0..3 {
        client.fetch("img_1").expect("served");
    }
    assert_eq!((server.asked().len(), client.stats().retries), (4, 1));
}

#[test]
fn redirects_of_api_calls_are_not_followed_and_get_no_key() {
    let thief = Server::start(|_, _| json("{}"));
    let target = format!("{}/v1/tasks/img_1?x=s3cret", thief.url());
    let server = Server::start(move |_, _| {
        Answer::Raw(format!("HTTP/1.1 302 X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n").into_bytes())
    });
    let error = client("dimilinks", &server).fetch("img_1").expect_err("a redirect");
    assert_eq!((error.status(), thief.connections()), (Status::Rejected, 0));
    assert!(error.message().contains(&thief.url()) && !error.message().contains("s3cret"), "{}", error.message());
}

#[test]
fn a_poll_address_elsewhere_gets_no_key() {
    let thief = Server::start(|_, _| json("{}"));
    let elsewhere = format!("{}/v1/tasks/t", thief.url());
    let server = Server::start(move |asked, _| match asked.method.as_str() {
        "POST" => json(&format!(r#"{{"task_id":"t","status":"pending","poll_url":"{elsewhere}","data":[]}}"#)),
        _ => json(r#"{"task_id":"t","status":"completed","data":[{"url":"https://cdn.example/a.png"}]}"#),
    });
    let client = client("lemondata", &server);
    let task = client.submit(r#"{"prompt":"x","model":"m"}"#).expect("accepted");
    assert_eq!(task.poll_ref, "t");
    client.wait(&task.poll_ref, None).expect("done");
    assert!(client.fetch(&format!("{}/v1/tasks/t", thief.url())).is_err());
    assert_eq!(thief.connections(), 0);
}

#[test]
fn the_services_own_poll_address_is_preferred() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "POST" => json(r#"{"task_id":"t","status":"pending","poll_url":"/v1/tasks/t","data":[]}"#),
        _ => json(r#"{"task_id":"t","status":"completed","data":[{"url":"https://cdn.example/a.png"}]}"#),
    });
    let client = client("lemondata", &server);
    let task = client.submit(r#"{"prompt":"x","model":"m"}"#).expect("accepted");
    assert_eq!(task.poll_ref, "/v1/tasks/t");
    client.wait("t", None).expect("done");
    client.wait(&task.poll_ref, None).expect("done");
    assert!(server.asked()[1..].iter().all(|a| a.path == "/v1/tasks/t"));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&server.asked()[0].body).expect("JSON")["async"], true);
}

#[test]
fn a_moved_poll_route_is_found_and_remembered() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/v1/tasks/t" => json(r#"{"task_id":"t","status":"processing","data":[]}"#),
        _ => Answer::Json(404, "<html>no such page</html>".into()),
    });
    let client = client("lemondata", &server);
    client.fetch("t").expect("found");
    client.fetch("t").expect("found");
    let paths: Vec<String> = server.asked().into_iter().map(|a| a.path).collect();
    assert_eq!(paths, ["/v1/images/generations/t", "/v1/tasks/t", "/v1/tasks/t"]);
}

#[test]
fn the_services_own_not_found_is_believed_on_the_first_route() {
    let server = Server::start(|_, _| refusal(404, "async_task_not_found"));
    let error = client("lemondata", &server).fetch("t").expect_err("unknown");
    assert_eq!((error.status(), server.asked().len()), (Status::NotFound, 1));
}

#[test]
fn interrupt_and_close_end_a_blocked_call_within_a_tenth_of_a_second() {
    type Call = fn(&Client, &Server) -> Status;
    let calls: [(&str, Call); 4] = [
        ("fetch", |c, _| c.fetch("img_1").expect_err("silent").status()),
        ("wait", |c, _| c.wait("img_1", None).expect_err("silent").status()),
        ("submit", |c, _| c.submit("{}").expect_err("silent").status()),
        ("download", |c, s| {
            let task = task_with_image(&format!("{}/p/img/img_1/0", s.url()));
            c.download(&task, 0).expect_err("silent").status()
        }),
    ];
    for (name, call) in &calls {
        for close in [false, true] {
            let server = Server::start(|_, _| Answer::Silence);
            let client = client("dimilinks", &server);
            let ended = thread::scope(|scope| {
                let running = scope.spawn(|| {
                    let status = call(&client, &server);
                    (status, Instant::now())
                });
                while server.asked().is_empty() {
                    thread::yield_now();
                }
                let stopped = Instant::now();
                if close {
                    assert!(client.close(Duration::from_secs(5)), "{name}");
                } else {
                    client.interrupt();
                }
                let (status, ended) = running.join().expect("joins");
                let want = if *name == "submit" { Status::SubmitUnknown } else { Status::Cancelled };
                assert_eq!(status, want, "{name}");
                ended.saturating_duration_since(stopped)
            });
            assert!(ended < Duration::from_millis(100), "{name} ended after {ended:?}");
            let after = client.wait("img_1", Some(Duration::from_millis(50))).map(|_| ()).map_err(|e| e.status());
            assert_eq!(after == Err(Status::Closed), close, "{name}");
        }
    }
}

#[test]
fn a_sleeping_wait_is_interrupted_too() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let options = Options { poll_interval_ms: 60_000, ..options("dimilinks", &server) };
    let client = Client::create(&options).expect("a client");
    thread::scope(|scope| {
        let running = scope.spawn(|| client.wait("img_1", None));
        while server.asked().is_empty() {
            thread::yield_now();
        }
        within(Duration::from_millis(500), || {
            client.interrupt();
            let error = running.join().expect("joins").expect_err("interrupted");
            assert_eq!(error.status(), Status::Cancelled);
            assert_eq!(error.task().map(|t| t.id.as_str()), Some("img_1"));
        });
    });
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A service whose task has the given link, and that serves `image` on every other path.
fn with_image(link: &'static str, image: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(
        move |asked, before| {
            if asked.path.starts_with("/v1/") { json(&succeeded(&[link])) } else { image(before) }
        },
    )
}

#[test]
fn an_image_is_saved_whole_under_its_name() {
    let server = with_image("/p/img/img_1/0?sig=abc", |_| typed("image/jpeg", PNG));
    let client = client("dimilinks", &server);
    let folder = folder();
    let path = folder.path().join("a.png");
    let task = client.fetch("img_1").expect("served");
    let saved = client.download_file(&task, 0, &path, true).expect("saved");
    assert_eq!(fs::read(&path).expect("reads"), PNG);
    assert_eq!((saved.info.media_type, saved.info.declared_media_type.as_str()), ("image/png", "image/jpeg"));
    let refused = client.download_file(&task, 0, &path, false).expect_err("exists");
    assert_eq!((refused.status(), refused.task_id()), (Status::File, task.id.as_str()));
    assert_eq!(client.download(&task, 1).expect_err("no such image").status(), Status::InvalidArgument);
}

#[test]
fn what_is_no_whole_image_leaves_no_file() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n";
    type Lie = fn(&[u8]) -> Answer;
    let lies: [(&str, Lie, Status); 5] = [
        ("half of it, honestly measured", |_| typed("image/png", &PNG[..40]), Status::BadImage),
        ("a page", |_| typed("image/png", b"<html>not an image at all</html>"), Status::BadImage),
        ("nothing", |_| typed("image/png", b""), Status::BadImage),
        ("expired", |_| Answer::Json(403, String::new()), Status::LinkExpired),
        ("cut", |head| Answer::Last([head, b"\r\n", &PNG[..40]].concat()), Status::Io),
    ];
    for (name, answer, status) in lies {
        let server = with_image("/p/img/img_1/0?sig=abc", move |_| answer(head));
        let client = client("dimilinks", &server);
        let folder = folder();
        let task = client.fetch("img_1").expect("served");
        let error = client.download_file(&task, 0, &folder.path().join("a.png"), true).expect_err(name);
        assert_eq!((error.status(), error.task_id()), (status, "img_1"), "{name}: {error}");
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 0, "{name}");
    }
}

#[test]
fn an_expired_link_is_renewed_once_by_a_fresh_look() {
    let looks = AtomicUsize::new(0);
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        "/v1/tasks/img_1" => {
            let look = looks.fetch_add(1, Ordering::Relaxed);
            json(&succeeded(&[&format!("/p/img/img_1/0?sig={look}")]))
        }
        "/p/img/img_1/0?sig=0" => Answer::Json(403, String::new()),
        _ => typed("image/png", PNG),
    });
    let client = client("dimilinks", &server);
    let task = client.fetch("img_1").expect("served");
    assert_eq!(client.download(&task, 0).expect("renewed").data, PNG);
    assert_eq!(client.stats().looks, 2);
}

/// A service whose links are refused until `renewal` gives a good one, which answers the looks after the first.
fn renewing(renewal: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Server {
    let looks = AtomicUsize::new(0);
    Server::start(move |asked, _| match asked.path.as_str() {
        "/v1/tasks/img_1" => match looks.fetch_add(1, Ordering::Relaxed) {
            0 => json(&succeeded(&["/p/img/img_1/0?exp=1&sig=old"])),
            look => renewal(look),
        },
        path if path.ends_with("old") => Answer::Json(403, String::new()),
        _ => typed("image/png", PNG),
    })
}

fn looks_at(server: &Server) -> usize {
    server.asked().iter().filter(|asked| asked.path == "/v1/tasks/img_1").count()
}

#[test]
fn a_look_that_fails_while_it_renews_a_link_is_made_again() {
    let fresh = || json(&succeeded(&["/p/img/img_1/0?exp=1&sig=new"]));
    type Fails = fn() -> Answer;
    let failures: [Fails; 3] = [
        || refusal(503, "busy"),
        || Answer::Last(Vec::new()),
        || Answer::Raw(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec()),
    ];
    for fails in failures {
        let server = renewing(move |look| if look == 1 { fails() } else { fresh() });
        let client = client("dimilinks", &server);
        let task = client.fetch("img_1").expect("served");
        assert_eq!(client.download(&task, 0).expect("renewed").data, PNG);
        assert_eq!(looks_at(&server), 3);
    }
    let server = renewing(|_| refusal(503, "busy"));
    let client = client("dimilinks", &server);
    let task = client.fetch("img_1").expect("served");
    let error = client.download(&task, 0).expect_err("no new link");
    assert_eq!((error.status(), error.http_status(), error.task_id()), (Status::Server, 503, "img_1"));
    assert_eq!(looks_at(&server), 6, "five tries");
}

#[test]
fn an_image_larger_than_the_limit_is_refused() {
    let server = with_image("/p/img/img_1/0", |_| typed("image/png", PNG));
    let options = Options { max_image_bytes: PNG.len() as u64 - 1, ..options("dimilinks", &server) };
    let client = Client::create(&options).expect("a client");
    let task = client.fetch("img_1").expect("served");
    assert_eq!(client.download(&task, 0).expect_err("too large").status(), Status::TooLarge);
}

#[test]
fn an_image_host_gets_no_key_also_behind_a_redirect() {
    let cdn = Server::start(|_, _| typed("image/png", PNG));
    let target = format!("{}/a.png?sig=abc", cdn.url().replace("127.0.0.1", "localhost"));
    let server = with_image("/p/img/img_1/0", move |_| {
        Answer::Raw(format!("HTTP/1.1 302 X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n").into_bytes())
    });
    let options = Options { allow_private_images: true, ..options("dimilinks", &server) };
    let client = Client::create(&options).expect("a client");
    let task = client.fetch("img_1").expect("served");
    assert_eq!(client.download(&task, 0).expect("downloaded").data, PNG);
    let asked = &cdn.asked()[0];
    assert!(asked.headers.iter().all(|(_, value)| !value.contains("CANARY")), "{asked:?}");
}

#[test]
fn an_inline_image_needs_no_request() {
    let sample = fs::read_to_string(data("dimilinks_succeeded_data_url.json")).expect("a sample");
    let server = Server::start(move |_, _| json(&sample));
    let client = client("dimilinks", &server);
    let task = client.fetch("img_xxx").expect("served");
    assert!(task.images[0].is_inline() && task.images[0].url().is_empty());
    assert_eq!(client.download(&task, 0).expect("decoded").data, PNG);
    assert_eq!(client.stats().requests, 1);
}

fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect()
}

#[test]
fn an_unknown_word_is_told_in_the_log_and_no_line_holds_a_secret() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let server = Server::start(|asked, before| match before {
        0 => json(r#"{"id":"img_1","status":"dancing"}"#),
        _ if asked.path.starts_with("/p/") => typed("image/png", PNG),
        _ => json(&succeeded(&["/p/img/img_1/0?sig=s3cret"])),
    });
    let options = Options {
        log_level: LogLevel::Debug,
        log: Some(Arc::new(move |_, line: &str| sink.lock().expect("a lock").push(line.to_owned()))),
        ..options("dimilinks", &server)
    };
    let client = Client::create(&options).expect("a client");
    let task = client.wait("img_1", None).expect("done");
    client.download(&task, 0).expect("downloaded");
    let told = lines.lock().expect("a lock").join("\n");
    assert!(told.contains("unknown status \"dancing\""), "{told}");
    assert!(!told.contains("CANARY") && !told.contains("s3cret"), "{told}");
}

#[test]
fn an_outage_is_told_as_it_begins_and_ends_and_every_failed_look_to_whoever_waits() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let server = Server::start(|_, before| match before {
        0 | 1 => refusal(503, "overloaded"),
        _ => json(&succeeded(&["https://cdn.example/a.png"])),
    });
    let options = Options {
        log_level: LogLevel::Info,
        log: Some(Arc::new(move |_, line: &str| sink.lock().expect("a lock").push(line.to_owned()))),
        ..options("dimilinks", &server)
    };
    let client = Client::create(&options).expect("a client");
    let mut failures = Vec::new();
    let mut on_look = |look: Result<&Task, &Error>| {
        let known = (client.stats().consecutive_failures, client.outage());
        match look {
            Ok(_) => assert_eq!(known, (0, None)),
            Err(error) => {
                assert_eq!(known.1.as_deref(), Some(error.message()));
                failures.push((known.0, error.http_status()));
            }
        }
    };
    client.wait_with("img_1", None, &mut on_look).expect("done");
    assert_eq!(failures, [(1, 503), (2, 503)]);
    let told = lines.lock().expect("a lock").clone();
    let told: Vec<&str> = told.iter().map(String::as_str).filter(|line| !line.starts_with("wait: ")).collect();
    assert!(
        matches!(told[..], [began, "DimiLinks answers again"] if began.starts_with("DimiLinks: a look failed: ")),
        "{told:?}"
    );
}

#[test]
fn what_is_no_fault_of_the_service_is_no_outage() {
    let server = Server::start(|asked, _| match asked.path.rsplit('/').next() {
        Some("img_none") => refusal(404, "task_not_found"),
        Some("img_limited") => refusal(429, "rate_limited"),
        _ => refusal(401, "invalid_api_key"),
    });
    let client = client("dimilinks", &server);
    for task in ["img_none", "img_refused", "img_limited"] {
        client.fetch(task).expect_err("refused");
        assert_eq!((client.stats().consecutive_failures, client.outage()), (0, None), "{task}");
    }
}

#[test]
fn a_task_without_an_image_says_why_when_it_is_downloaded() {
    let server = Server::start(|_, before| match before {
        0 => json(r#"{"id":"img_1","status":"failed","error":{"code":"x","message":"no such model"}}"#),
        _ => json(&dimilinks("queued")),
    });
    let client = client("dimilinks", &server);
    for words in ["failed and has no image: no such model", "is not finished and has no image yet"] {
        let task = client.fetch("img_1").expect("served");
        let error = client.download(&task, 0).expect_err("no image");
        assert_eq!(error.status(), Status::NoImage);
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn words_of_a_service_break_no_line_and_tell_no_secret() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let body = format!(
        r#"{{"id":"img_1\nx","status":"failed","error":{{"message":"{KEY}\r\nsee \u001b[31m(/p/a?sig=s3cret) {}"}}}}"#,
        "long ".repeat(10_000)
    );
    let server = Server::start(move |_, _| json(&body));
    let options = Options {
        log_level: LogLevel::Debug,
        log: Some(Arc::new(move |_, line: &str| sink.lock().expect("a lock").push(line.to_owned()))),
        ..options("dimilinks", &server)
    };
    let client = Client::create(&options).expect("a client");
    let task = client.fetch("img_1").expect("served");
    let error = client.download(&task, 0).expect_err("no image");
    assert_eq!(error.status(), Status::NoImage);
    let mut told = lines.lock().expect("a lock").clone();
    assert!(told.len() >= 3, "{told:?}");
    told.push(error.message().to_owned());
    for line in told {
        assert!(!line.contains(char::is_control) && line.len() < 2_000, "{line:?}");
        assert!(!line.contains("CANARY") && !line.contains("s3cret"), "{line}");
    }
}

#[test]
fn another_key_is_used_from_the_next_request_on() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let client = client("dimilinks", &server);
    client.fetch("img_1").expect("served");
    client.set_key("sk-second").expect("a key");
    assert!(client.set_key("sk-third\r\nx: y").is_err());
    client.fetch("img_1").expect("served");
    let keys: Vec<_> = server.asked().iter().map(|a| a.header("authorization").map(str::to_owned)).collect();
    assert_eq!(keys, [Some(format!("Bearer {KEY}")), Some("Bearer sk-second".into())]);
}

#[test]
fn lemondata_is_asked_to_cancel_and_dimilinks_cannot_be() {
    let server = Server::start(|_, _| refusal(409, "task_not_cancellable"));
    let error = client("lemondata", &server).cancel_task("t").expect_err("too late");
    assert_eq!((error.status(), error.provider_code()), (Status::Rejected, "task_not_cancellable"));
    assert_eq!((server.asked()[0].method.as_str(), server.asked()[0].path.as_str()), ("DELETE", "/v1/tasks/t"));
    assert_eq!(client("dimilinks", &server).cancel_task("t").expect_err("cannot").status(), Status::Unsupported);
}

#[test]
fn bad_input_sends_nothing() {
    let server = Server::start(|_, _| json("{}"));
    let client = client("dimilinks", &server);
    for bad in [
        "",
        "a/b",
        "a?b",
        "a#b",
        "..",
        "a\nb",
        "//x/v1/tasks/a",
        "/v1/images/tasks/a",
        "https://evil.example/v1/tasks/a",
    ] {
        assert_eq!(client.fetch(bad).expect_err(bad).status(), Status::InvalidArgument, "{bad:?}");
    }
    for bad in ["", "[]", "\"x\"", "{", "{} {}"] {
        assert_eq!(client.submit(bad).expect_err(bad).status(), Status::InvalidArgument, "{bad:?}");
    }
    assert_eq!(server.connections(), 0);
}
