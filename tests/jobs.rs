//! Jobs: what a host starts, and the events that it is told.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{PNG, Server, client, dimilinks, json, options, refusal, succeeded, typed, within};
use imgtask::{Client, Delivery, Event, EventKind, Goal, Images, Job, Options, State, Status};

const SOON: Duration = Duration::from_secs(20);

/// The next event, which must come.
fn next(client: &Client) -> Event {
    client.next_event(Some(SOON)).expect("open").expect("an event in time")
}

/// The events of one job up to its final one.
fn events(client: &Client) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = next(client);
        let last = event.kind == EventKind::Final;
        events.push(event);
        if last {
            return events;
        }
    }
}

fn paced(server: &Server) -> Options {
    Options { poll_interval_ms: 20, ..options("dimilinks", server) }
}

/// A service whose tasks are done at their third look.
fn service() -> Server {
    Server::start(|asked, _| match asked.method.as_str() {
        "POST" => json(r#"{"created":1777080000,"task_id":"img_1","data":[]}"#),
        _ if asked.path.starts_with("/p/img/") => typed("image/png", PNG),
        _ => {
            static LOOKS: AtomicUsize = AtomicUsize::new(0);
            match LOOKS.fetch_add(1, Ordering::Relaxed) % 3 {
                0 => json(&dimilinks("queued")),
                1 => json(&dimilinks("in_progress")),
                _ => json(&succeeded(&["/p/img/img_1/0?exp=1777166400000&sig=abc"])),
            }
        }
    })
}

#[test]
fn one_job_goes_from_a_prompt_to_the_bytes() {
    let server = service();
    let client = Client::create(&paced(&server)).expect("a client");
    let mut job = Job::request(r#"{"prompt":"a red apple"}"#, Goal::Bytes);
    (job.label, job.user_data, job.progress) = ("apple".into(), 7, true);
    let op = client.start(job).expect("accepted");
    assert!(op > 0 && client.pending() == 1);

    let events = events(&client);
    let (last, before) = events.split_last().expect("events");
    assert!(before.iter().all(|event| event.kind == EventKind::Progress && event.op == op), "{before:?}");
    assert_eq!((last.op, last.user_data, last.label.as_str(), last.status()), (op, 7, "apple", Status::Ok));
    assert_eq!(last.goal, Some(Goal::Bytes));
    assert_eq!(last.task.as_ref().map(|task| task.state), Some(State::Succeeded));
    let Some(Delivery::Picture(picture)) = &last.image else { panic!("no picture: {last:?}") };
    assert_eq!(picture.data, PNG);
    assert_eq!(client.pending(), 0);
    assert!(client.next_event(Some(Duration::ZERO)).expect("open").is_none());
}

#[test]
fn a_job_that_is_stopped_gets_its_one_final_event() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let client = Client::create(&paced(&server)).expect("a client");
    let op = client.start(Job::reference("img_1", Goal::Finished)).expect("accepted");
    while server.asked().is_empty() {
        std::thread::yield_now();
    }
    client.stop(op).expect("known");
    let event = next(&client);
    assert_eq!((event.op, event.kind, event.status()), (op, EventKind::Final, Status::Cancelled));
    assert_eq!(event.task.map(|task| task.id), Some("img_1".into()));
    assert_eq!(client.stop(op).expect_err("delivered").status(), Status::UnknownOp);
    assert_eq!(client.stop(99).expect_err("never started").status(), Status::UnknownOp);
}

#[test]
#[cfg(feature = "journal")]
fn a_client_that_was_closed_leaves_its_journal_to_the_next_at_once() {
    let server = service();
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { journal_path: Some(folder.path().join("journal")), ..paced(&server) };
    // The last thread to leave may be anywhere on its way out.
    for round in 0..200 {
        let client = Client::create(&options).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let _ = client.start(Job::reference("img_1", Goal::Looked)).expect("accepted");
        assert!(client.close(SOON));
        let _ = next(&client);
    }
}

#[test]
fn close_ends_a_thousand_jobs_and_calls_in_flight_within_a_second() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(5));
        json(&dimilinks("queued"))
    });
    let client = Client::create(&paced(&server)).expect("a client");
    for n in 0..1_000 {
        client.start(Job::reference(format!("img_{n}"), Goal::Finished)).expect("accepted");
    }
    while server.asked().len() < 8 {
        std::thread::yield_now();
    }
    within(Duration::from_secs(1), || assert!(client.close(Duration::from_secs(5))));
    let mut ended = 0;
    loop {
        match client.next_event(Some(SOON)) {
            Ok(Some(event)) => {
                assert_eq!((event.kind, event.status()), (EventKind::Final, Status::Cancelled));
                ended += 1;
            }
            Ok(None) => panic!("an event or the end must come"),
            Err(error) => {
                assert_eq!(error.status(), Status::Closed);
                break;
            }
        }
    }
    assert_eq!((ended, client.pending()), (1_000, 0));
    assert_eq!(client.start(Job::reference("img_1", Goal::Finished)).expect_err("closed").status(), Status::Closed);
}

#[test]
fn every_image_of_a_task_has_an_event_of_its_own() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/p/img/img_1/1" => refusal(404, "gone"),
        path if path.starts_with("/p/img/") => typed("image/png", PNG),
        _ => json(&succeeded(&["/p/img/img_1/0", "/p/img/img_1/1", "/p/img/img_1/2"])),
    });
    let client = client("dimilinks", &server);
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = Job::reference("img_1", Goal::File);
    job.images = Images::All;
    job.path = Some(folder.path().join("{id}-{index}.{ext}"));
    client.start(job).expect("accepted");
    let events = events(&client);
    let told: Vec<_> = events.iter().map(|event| (event.kind, event.image_index, event.status())).collect();
    assert_eq!(
        told,
        [
            (EventKind::Image, 0, Status::Ok),
            (EventKind::Image, 1, Status::LinkExpired),
            (EventKind::Image, 2, Status::Ok),
            (EventKind::Final, 0, Status::LinkExpired),
        ]
    );
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["img_1-0.png", "img_1-2.png"]);
}

#[test]
fn an_interrupt_ends_the_waiting_for_an_event_and_no_job() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let client = Client::create(&paced(&server)).expect("a client");
    client.start(Job::reference("img_1", Goal::Finished)).expect("accepted");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.next_event(None).expect_err("interrupted").status());
        let started = Instant::now();
        while !waiting.is_finished() && started.elapsed() < SOON {
            client.interrupt();
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(waiting.join().expect("no panic"), Status::Cancelled);
    });
    assert_eq!(client.pending(), 1);
}

#[test]
fn a_host_that_takes_no_event_holds_the_fetching_back_and_loses_nothing() {
    const BODY: usize = 16 * 1024 * 1024;
    const JOBS: usize = 40;
    let body = succeeded(&["/p/img/img_1/0"]);
    let padded = format!(r#"{{"padding":"{}",{}"#, "x".repeat(BODY), body.trim_start_matches('{'));
    let server = Server::start(move |_, _| json(&padded));
    let client = client("dimilinks", &server);
    for n in 0..JOBS {
        client.start(Job::reference(format!("img_{n}"), Goal::Finished)).expect("accepted");
    }
    // 256 MiB are 16 bodies; the threads may have one more each.
    let held = 256 * 1024 * 1024 / BODY;
    within(Duration::from_secs(60), || {
        // Until the threads rest.
        while (client.stats().events_waiting as usize) < held || client.stats().in_flight > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let asked = server.asked().len();
    assert!((held..=held + 8).contains(&asked), "{asked} bodies were fetched");
    let mut ops: Vec<u64> = (0..JOBS).map(|_| next(&client).op).collect();
    ops.sort_unstable();
    ops.dedup();
    assert_eq!((ops.len(), client.pending()), (JOBS, 0));
}

#[test]
fn a_job_about_all_images_that_is_stopped_in_the_middle_tells_what_came_and_is_not_done() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/p/img/img_1/0" => typed("image/png", PNG),
        path if path.starts_with("/p/img/") => common::Answer::Silence,
        _ => json(&succeeded(&["/p/img/img_1/0", "/p/img/img_1/1", "/p/img/img_1/2"])),
    });
    let client = client("dimilinks", &server);
    let op = client.start(Job { images: Images::All, ..Job::reference("img_1", Goal::Bytes) }).expect("accepted");
    let first = next(&client);
    assert_eq!((first.kind, first.image_index, first.status()), (EventKind::Image, 0, Status::Ok));
    assert!(matches!(first.image, Some(Delivery::Picture(_))));
    client.stop(op).expect("known");
    let last = next(&client);
    assert_eq!((last.kind, last.status()), (EventKind::Final, Status::Cancelled));
    assert_eq!(last.task.map(|task| task.images.len()), Some(3));
}

#[test]
fn thousands_of_jobs_that_end_at_one_time_hold_no_call_up_for_long() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    // One look a second: nobody gets another one before the time is over.
    let options = Options { max_requests_per_minute: 60, ..options("dimilinks", &server) };
    let client = Client::create(&options).expect("a client");
    const JOBS: usize = 10_000;
    for n in 0..JOBS {
        let job =
            Job { timeout: Some(Duration::from_millis(1_500)), ..Job::reference(format!("img_{n}"), Goal::Finished) };
        client.start(job).expect("accepted");
    }
    let mut longest = Duration::ZERO;
    within(Duration::from_secs(60), || {
        while (client.stats().events_waiting as usize) < JOBS {
            let started = Instant::now();
            client.stop(u64::MAX).expect_err("no such job");
            longest = longest.max(started.elapsed());
        }
    });
    println!("the longest call while {JOBS} jobs ended: {longest:?}");
    let mut starved = 0;
    for _ in 0..JOBS {
        starved += usize::from(next(&client).status() == Status::Starved);
    }
    assert!(starved > JOBS - 100, "{starved}");
}

#[test]
fn a_path_that_cannot_be_meant_is_refused_and_one_that_leads_nowhere_costs_nothing() {
    let server = service();
    let client = client("dimilinks", &server);
    let folder = tempfile::tempdir().expect("a folder");
    let to = |path: &str| Job {
        path: Some(folder.path().join(path)),
        ..Job::request(r#"{"prompt":"a red apple"}"#, Goal::File)
    };
    for odd in ["{name}.{ext}", "{id.png", "{id}}.png", "{ext}/{id}.png"] {
        assert_eq!(client.start(to(odd)).expect_err(odd).status(), Status::InvalidArgument);
    }
    std::fs::create_dir(folder.path().join("folder")).expect("a folder");
    std::fs::write(folder.path().join("kept"), b"kept").expect("writes");
    for (path, words) in [
        ("nowhere/{id}.{ext}", "does not exist"),
        (&"x".repeat(300), "too long"),
        ("folder", "is a folder"),
        ("kept", "exists already"),
    ] {
        client.start(Job { replace: false, ..to(path) }).expect("accepted");
        let event = next(&client);
        assert_eq!(event.status(), Status::File);
        let message = event.error.expect("why").message().to_owned();
        assert!(message.contains("nothing was submitted") && message.contains(words), "{message}");
    }
    assert!(server.asked().is_empty(), "nobody paid");
}
