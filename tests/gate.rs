//! The request budget: one gate for every call of a client, blocking or not.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Answer, Server, client, dimilinks, json, options, within};
use imgtask::{Client, Goal, Job, LogLevel, Options, Retry, Status};

/// A client that was told the service's limit of requests a minute.
fn told(server: &Server, per_minute: u32) -> Options {
    Options { max_requests_per_minute: per_minute, ..options("dimilinks", server) }
}

#[test]
fn a_fetch_that_the_budget_lets_through_too_late_sends_nothing_and_names_the_time() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let options = Options { request_timeout_ms: 300, ..told(&server, 60) };
    let client = Client::create(&options).expect("a client");
    let mut passed = 0;
    let error = loop {
        match client.fetch("img_1") {
            Ok(_) => passed += 1,
            Err(error) => break error,
        }
        assert!(passed < 30, "no gate");
    };
    assert_eq!(error.status(), Status::RateLimited);
    let Retry::After(pause) = error.retry() else { panic!("no time: {error}") };
    assert!(pause > Duration::from_millis(300) && pause < Duration::from_secs(3), "{pause:?}");
    assert_eq!(error.task_id(), "img_1");
    assert_eq!(server.asked().len(), passed, "the refused one was not sent");
    assert!(client.stats().gate_per_minute <= 54);
}

#[test]
fn a_service_on_this_machine_with_no_limit_told_is_looked_at_as_fast_as_it_answers() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let client = client("dimilinks", &server);
    within(Duration::from_secs(10), || {
        for _ in 0..200 {
            client.fetch("img_1").expect("a look");
        }
    });
}

#[test]
fn a_pause_that_the_service_asks_for_holds_for_every_call_of_the_client() {
    let server = Server::start(|_, before| match before {
        0 => Answer::Raw(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
        _ => json(&dimilinks("queued")),
    });
    let options = Options { request_timeout_ms: 200, ..options("dimilinks", &server) };
    let client = Client::create(&options).expect("a client");
    assert_eq!(client.fetch("img_1").expect_err("limited").status(), Status::RateLimited);
    let held = client.fetch("img_2").expect_err("the gate is closed");
    assert_eq!((held.status(), held.http_status()), (Status::RateLimited, 0));
    assert_eq!(server.asked().len(), 1, "nothing was sent through the closed gate");
    // Another call, that may wait, comes through when the pause is over.
    let task = client.wait("img_3", Some(Duration::from_secs(5))).expect_err("still queued");
    assert_eq!(task.status(), Status::Timeout);
    assert!(server.asked().len() >= 2);
}

#[test]
fn the_log_is_told_once_when_the_budget_cannot_carry_all_tasks() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&lines);
    let options = Options {
        log_level: LogLevel::Warn,
        log: Some(Arc::new(move |_, line| kept.lock().expect("lines").push(line.to_owned()))),
        ..told(&server, 600)
    };
    let client = Client::create(&options).expect("a client");
    for n in 0..200 {
        client.start(Job::reference(format!("img_{n}"), Goal::Finished)).expect("accepted");
    }
    let told = || lines.lock().expect("lines").iter().filter(|line| line.contains("saturated")).count();
    within(Duration::from_secs(20), || {
        while told() == 0 {
            client.next_event(Some(Duration::from_millis(20))).expect("open");
        }
    });
    for _ in 0..10 {
        client.next_event(Some(Duration::from_millis(20))).expect("open");
    }
    assert_eq!(told(), 1);
    assert!(client.stats().sweep >= Duration::from_secs(20), "{:?}", client.stats().sweep);
}
