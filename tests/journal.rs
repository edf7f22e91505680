//! What becomes of jobs when the program that started them ends: what the journal brings back, and what it does not.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{Answer, PNG, Server, dimilinks, json, options, refusal, succeeded, typed, within};
use imgtask::{
    Client, Delivery, Event, EventKind, Goal, Images, Job, LogLevel, Options, Picture, PixelFormat, PixelOptions,
    Status,
};

const SOON: Duration = Duration::from_secs(20);

/// A journal in a folder of its own.
struct Place {
    folder: tempfile::TempDir,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a folder"), lines: Arc::default() }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("tasks.journal")
    }

    fn options(&self, server: &Server) -> Options {
        let lines = self.lines.clone();
        Options {
            poll_interval_ms: 20,
            journal_path: Some(self.journal()),
            log_level: LogLevel::Info,
            log: Some(Arc::new(move |_, line| lines.lock().expect("a lock").push(line.to_owned()))),
            ..options("dimilinks", server)
        }
    }

    fn client(&self, server: &Server) -> Client {
        Client::create(&self.options(server)).expect("a client")
    }

    /// What a restart after a kill finds: a copy of the journal as it is on the disk now.
    fn after_a_kill(&self) -> Place {
        let place = Place::new();
        fs::copy(self.journal(), place.journal()).expect("copies");
        place
    }

    /// Waits until a restart after a kill would bring so many jobs back.
    fn until_it_brings_back(&self, server: &Server, wanted: usize) {
        let started = Instant::now();
        loop {
            let place = self.after_a_kill();
            // A copy that was made while the file was written may be torn.
            let found = Client::create(&place.options(server)).and_then(|client| client.resume(false));
            if found.as_ref().is_ok_and(|count| *count == wanted) {
                return;
            }
            assert!(started.elapsed() < SOON, "the journal brings back {found:?}, not {wanted}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn told(&self, part: &str) -> bool {
        self.lines.lock().expect("a lock").iter().any(|line| line.contains(part))
    }
}

fn next(client: &Client) -> Event {
    client.next_event(Some(SOON)).expect("open").expect("an event in time")
}

fn last(client: &Client) -> Event {
    loop {
        let event = next(client);
        if event.kind == EventKind::Final {
            return event;
        }
    }
}

/// A job that submits, with a name.
fn order(label: &str, goal: Goal) -> Job {
    Job { label: label.into(), ..Job::request(r#"{"prompt":"a red apple"}"#, goal) }
}

/// Tasks stay queued until the service is told to finish them; each submit makes a task of its own.
fn service(finished: &Arc<AtomicBool>) -> Server {
    let (finished, submits) = (finished.clone(), AtomicUsize::new(0));
    Server::start(move |asked, _| match asked.method.as_str() {
        "POST" => {
            let n = submits.fetch_add(1, Ordering::Relaxed) + 1;
            json(&format!(r#"{{"created":1777080000,"task_id":"img_{n}","data":[]}}"#))
        }
        _ if asked.path.starts_with("/p/img/") => typed("image/png", PNG),
        _ if finished.load(Ordering::Relaxed) => {
            json(&succeeded(&["/p/img/img_1/0?exp=1777166400000&sig=abc", "/p/img/img_1/1?exp=1777166400000&sig=abc"]))
        }
        _ => json(&dimilinks("queued")),
    })
}

fn pending_service() -> Server {
    service(&Arc::default())
}

fn submits(server: &Server) -> usize {
    server.asked().iter().filter(|asked| asked.method == "POST").count()
}

/// Waits until the service was asked for something.
fn until_asked(server: &Server, method: &str, times: usize) {
    let started = Instant::now();
    while server.asked().iter().filter(|asked| asked.method == method).count() < times {
        assert!(started.elapsed() < SOON, "no {method} in time");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_task_comes_back_after_a_kill_with_its_label_and_its_id_and_is_not_submitted_again() {
    let finished = Arc::default();
    let (server, place) = (service(&finished), Place::new());
    let client = place.client(&server);
    client.start(order("apple", Goal::Bytes)).expect("accepted");
    until_asked(&server, "GET", 1);

    let later = place.after_a_kill();
    drop(client);
    let client = later.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    let event = next(&client);
    assert_eq!((event.kind, event.label.as_str(), event.status()), (EventKind::Resumed, "apple", Status::Ok));
    assert_eq!(event.task.map(|task| task.id).as_deref(), Some("img_1"));
    assert_eq!(client.pending(), 1);
    finished.store(true, Ordering::Relaxed);
    let event = last(&client);
    assert_eq!((event.label.as_str(), event.status(), event.goal), ("apple", Status::Ok, Some(Goal::Bytes)));
    assert_eq!(event.task.map(|task| task.id).as_deref(), Some("img_1"));
    assert_eq!(submits(&server), 1);
}

#[test]
fn the_entry_is_on_the_disk_before_the_submit_is_sent_and_the_id_before_the_host_is_told() {
    let place = Place::new();
    let (journal, seen) = (place.journal(), Arc::new(Mutex::new(Vec::new())));
    let before = seen.clone();
    let server = Server::start(move |asked, _| {
        if asked.method == "POST" {
            *before.lock().expect("a lock") = fs::read(&journal).expect("reads");
        }
        json(r#"{"created":1777080000,"task_id":"img_of_the_disk","data":[]}"#)
    });
    let client = place.client(&server);
    client.start(order("order of the disk", Goal::Submitted)).expect("accepted");
    assert_eq!(last(&client).status(), Status::Ok);
    let after = fs::read(place.journal()).expect("reads");
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    let before = seen.lock().expect("a lock");
    assert!(holds(&before, "order of the disk") && !holds(&before, "img_of_the_disk"));
    assert!(holds(&after, "img_of_the_disk"));
    for bytes in [&*before, &after] {
        assert!(
            !holds(bytes, common::KEY) && !holds(bytes, "apple"),
            "neither key nor request belong into the journal"
        );
    }
}

#[test]
fn a_submit_without_an_answer_comes_back_as_unknown_and_is_not_sent_again() {
    let server = Server::start(|_, _| Answer::Silence);
    let place = Place::new();
    let client = place.client(&server);
    client.start(order("lost", Goal::Finished)).expect("accepted");
    until_asked(&server, "POST", 1);

    let copy = place.after_a_kill();
    let client = copy.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    let event = next(&client);
    assert_eq!((event.kind, event.label.as_str(), event.goal), (EventKind::Resumed, "lost", None));
    assert!(event.task.is_none(), "{event:?}");
    let event = next(&client);
    assert_eq!((event.kind, event.label.as_str(), event.goal), (EventKind::Final, "lost", None));
    assert_eq!(event.status(), Status::SubmitUnknown);
    let error = event.error.expect("a reason");
    assert!(error.message().contains("may exist and be charged"), "{error}");
    assert_eq!(error.retry(), imgtask::Retry::Never);
    assert_eq!((client.pending(), submits(&server)), (0, 1));
}

#[test]
fn a_lost_answer_whose_head_named_the_task_comes_back_as_that_task() {
    let place = Place::new();
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "POST" => Answer::Last(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Task-Id: img_7\r\nContent-Length: 900\r\n\r\n{"
                .to_vec(),
        ),
        _ => json(&dimilinks("queued")),
    });
    let client = place.client(&server);
    client.start(order("cut", Goal::Finished)).expect("accepted");
    let event = last(&client);
    assert_eq!(event.status(), Status::SubmitUnknown);
    let named = event.task.map(|task| task.id);
    assert_eq!(named.as_deref(), Some("img_7"));

    let copy = place.after_a_kill();
    let client = copy.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    let event = next(&client);
    assert_eq!((event.label.as_str(), event.task.map(|task| task.id)), ("cut", named));
    until_asked(&server, "GET", 1);
    assert_eq!(submits(&server), 1);
}

#[test]
fn a_final_event_that_was_not_acknowledged_comes_again_and_one_that_was_does_not() {
    let finished = Arc::new(AtomicBool::new(true));
    let (server, place) = (service(&finished), Place::new());
    let client = place.client(&server);
    client.start(order("a", Goal::Finished)).expect("accepted");
    let mut a = last(&client);
    // The commits of this one would take along whatever waits.
    client.start(order("b", Goal::Submitted)).expect("accepted");
    let mut b = last(&client);
    place.until_it_brings_back(&server, 2);
    b.acknowledge();
    place.until_it_brings_back(&server, 1);
    // Nothing else is at work: the one thing left to do is to write this.
    a.acknowledge();
    place.until_it_brings_back(&server, 0);
}

#[test]
fn what_was_acknowledged_is_written_when_the_client_is_dropped_and_the_next_one_has_the_journal_at_once() {
    let finished = Arc::new(AtomicBool::new(true));
    let (server, place) = (service(&finished), Place::new());
    for _ in 0..10 {
        let client = place.client(&server);
        assert_eq!(client.resume(false).expect("reads"), 0);
        client.start(order("a", Goal::Finished)).expect("accepted");
        last(&client).acknowledge();
        assert!(client.close(SOON));
        drop(client);
    }
}

#[test]
fn dropping_a_client_whose_worker_waits_for_the_network_writes_what_was_acknowledged() {
    let place = Place::new();
    let server = Server::start(|asked, _| match asked.path.as_str() {
        path if path.ends_with("img_done") => json(&succeeded(&["/p/img/img_1/0"])),
        _ => Answer::Silence,
    });
    let client = place.client(&server);
    client.start(Job::reference("img_stuck", Goal::Finished)).expect("accepted");
    client.start(Job::reference("img_done", Goal::Finished)).expect("accepted");
    let mut event = last(&client);
    place.until_it_brings_back(&server, 2);
    event.acknowledge();
    within(Duration::from_secs(2), || drop(client));
    let copy = place.after_a_kill();
    let later = copy.client(&server);
    assert_eq!(later.resume(false).expect("reads"), 1);
    assert_eq!(next(&later).task.map(|task| task.id).as_deref(), Some("img_stuck"));
}

#[test]
fn resuming_twice_brings_nothing_twice() {
    let (server, place) = (pending_service(), Place::new());
    let client = place.client(&server);
    client.start(order("a", Goal::Finished)).expect("accepted");
    until_asked(&server, "GET", 1);
    let copy = place.after_a_kill();
    let client = copy.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    assert_eq!(client.resume(false).expect("reads"), 0);
    assert_eq!(client.pending(), 1);
}

#[test]
fn resuming_leaves_alone_what_this_client_has_started_itself() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "POST" => Answer::Silence,
        _ => json(&dimilinks("queued")),
    });
    let place = Place::new();
    let client = place.client(&server);
    client.start(Job::reference("img_9", Goal::Finished)).expect("accepted");
    client.start(order("under way", Goal::Finished)).expect("accepted");
    until_asked(&server, "POST", 1);
    assert_eq!(client.resume(false).expect("reads"), 0);
    assert_eq!(client.pending(), 2);
    assert!(client.next_event(Some(Duration::from_millis(100))).expect("open").is_none());
}

#[test]
fn a_second_client_is_told_that_the_journal_is_in_use() {
    let (server, place) = (pending_service(), Place::new());
    let _client = place.client(&server);
    let refused = Client::create(&place.options(&server)).expect_err("in use");
    assert_eq!(refused.status(), Status::Journal);
    assert!(refused.message().contains("in use"), "{refused}");
}

#[test]
fn tasks_of_another_address_or_provider_stay_where_they_are_and_the_log_says_so() {
    let (server, other, place) = (pending_service(), pending_service(), Place::new());
    let client = place.client(&server);
    client.start(order("mine", Goal::Finished)).expect("accepted");
    until_asked(&server, "GET", 1);
    let place = place.after_a_kill();
    let elsewhere = [place.options(&other), Options { provider: "dimilinks-legacy".into(), ..place.options(&server) }];
    for (told, options) in elsewhere.into_iter().enumerate() {
        let client = Client::create(&options).expect("a client");
        assert_eq!(client.resume(false).expect("reads"), 0);
        assert_eq!(client.forget("img_1").expect_err("not its own").status(), Status::NotFound);
        let lines = place.lines.lock().expect("a lock");
        assert_eq!(lines.iter().filter(|line| line.contains("stay where they are")).count(), told + 1, "{lines:?}");
    }
    // The same address, written in another way.
    let options = Options { base_url: Some(format!("{}/v1/", server.url())), ..place.options(&server) };
    assert_eq!(Client::create(&options).expect("a client").resume(false).expect("reads"), 1);
    assert!(other.asked().is_empty(), "nobody asks one service for the tasks of another");
}

#[test]
fn a_task_is_forgotten_by_its_id_and_by_its_poll_path() {
    let (server, place) = (pending_service(), Place::new());
    let client = place.client(&server);
    for (n, reference) in ["img_1", "/v1/tasks/img_2", "img_3"].into_iter().enumerate() {
        client.start(Job { label: n.to_string(), ..Job::reference(reference, Goal::Finished) }).expect("accepted");
    }
    client.forget("/v1/tasks/img_1").expect("forgets");
    client.forget("img_2").expect("forgets");
    assert_eq!(client.forget("img_2").expect_err("gone").status(), Status::NotFound);
    assert_eq!(client.forget("no/id").expect_err("no reference").status(), Status::InvalidArgument);
    assert_eq!(client.pending(), 3, "the jobs go on");
    let copy = place.after_a_kill();
    let client = copy.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    assert_eq!(next(&client).label, "2");
}

#[test]
fn a_job_about_a_task_of_somebody_else_comes_back_too() {
    let (server, place) = (pending_service(), Place::new());
    let client = place.client(&server);
    let job = Job { label: "theirs".into(), progress: true, ..Job::reference("/v1/tasks/img_5", Goal::Finished) };
    client.start(job).expect("accepted");
    place.until_it_brings_back(&server, 1);
    let copy = place.after_a_kill();
    let client = copy.client(&server);
    client.resume(false).expect("reads");
    let event = next(&client);
    assert_eq!((event.label.as_str(), event.goal), ("theirs", None));
    assert_eq!(event.task.map(|task| (task.id, task.poll_ref)), Some(("img_5".into(), "/v1/tasks/img_5".into())));
    assert_eq!(next(&client).kind, EventKind::Progress, "what was asked for is told again");
}

#[test]
fn a_job_that_was_stopped_is_over_and_one_that_a_close_ended_is_not() {
    let (server, place) = (pending_service(), Place::new());
    let client = place.client(&server);
    let stopped = client.start(order("stopped", Goal::Finished)).expect("accepted");
    until_asked(&server, "GET", 1);
    client.start(order("closed", Goal::Finished)).expect("accepted");
    until_asked(&server, "POST", 2);
    until_asked(&server, "GET", 4);
    client.stop(stopped).expect("known");
    assert!(client.close(SOON));
    for _ in 0..2 {
        let mut event = last(&client);
        assert_eq!(event.status(), Status::Cancelled);
        event.acknowledge();
    }
    drop(client);
    let client = place.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    assert_eq!(next(&client).label, "closed");
}

#[test]
fn a_job_that_was_stopped_just_before_the_close_is_over_too() {
    let (server, place) = (Server::start(|_, _| Answer::Silence), Place::new());
    let client = place.client(&server);
    let ops: Vec<u64> =
        (0..6).map(|n| client.start(Job::reference(format!("img_{n}"), Goal::Finished)).expect("accepted")).collect();
    until_asked(&server, "GET", ops.len());
    ops.iter().for_each(|op| client.stop(*op).expect("known"));
    client.close(SOON);
    ops.iter().for_each(|_| last(&client).acknowledge());
    drop(client);
    assert_eq!(place.client(&server).resume(false).expect("reads"), 0);
}

#[test]
fn an_end_short_of_the_goal_that_was_acknowledged_does_not_come_back() {
    let place = Place::new();
    let server = Server::start(|asked, _| match asked.path.as_str() {
        path if path.ends_with("img_gone") => refusal(404, "not_found"),
        _ => json(&dimilinks("queued")),
    });
    let client = place.client(&server);
    client.start(Job::reference("img_gone", Goal::Finished)).expect("accepted");
    let slow = Job { timeout: Some(Duration::from_millis(100)), ..Job::reference("img_slow", Goal::Finished) };
    client.start(slow).expect("accepted");
    let mut ends = [last(&client), last(&client)];
    let statuses: Vec<Status> = ends.iter().map(Event::status).collect();
    assert!(statuses.contains(&Status::NotFound) && statuses.contains(&Status::Timeout), "{statuses:?}");
    ends[0].acknowledge();
    assert!(client.close(SOON));
    drop((client, ends));
    // The other one was not acknowledged.
    let client = place.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
}

#[test]
fn a_starved_job_that_was_acknowledged_does_not_come_back() {
    let (server, place) = (pending_service(), Place::new());
    let client = Client::create(&Options { max_requests_per_minute: 1, ..place.options(&server) }).expect("a client");
    for reference in ["img_1", "img_2"] {
        let job = Job { timeout: Some(Duration::from_millis(300)), ..Job::reference(reference, Goal::Finished) };
        client.start(job).expect("accepted");
    }
    let mut ends = [last(&client), last(&client)];
    assert!(ends.iter().any(|end| end.status() == Status::Starved), "{ends:?}");
    ends.iter_mut().for_each(Event::acknowledge);
    drop(client);
    assert_eq!(place.client(&server).resume(false).expect("reads"), 0);
}

#[test]
fn a_job_comes_back_to_the_goal_it_had() {
    let finished = Arc::default();
    let (server, place) = (service(&finished), Place::new());
    let client = place.client(&server);
    let out = place.folder.path();
    let file = |name: &str| Some(out.join(name));
    let how = PixelOptions { max_side: 1, flip_y: true, bgra: true, premultiply: true, ..PixelOptions::default() };
    let mut jobs = vec![
        Job { path: file("{id}-{index}.{ext}"), images: Images::One(1), ..order("file", Goal::File) },
        Job { path: file("there.png"), replace: false, ..order("kept", Goal::File) },
        Job { path: file("all-{index}"), images: Images::All, ..order("all", Goal::File) },
        Job { images: Images::One(1), ..order("bytes", Goal::Bytes) },
        Job { images: Images::One(7), ..order("too far", Goal::Bytes) },
        order("finished", Goal::Finished),
        order("submitted", Goal::Submitted),
    ];
    if cfg!(feature = "decode") {
        jobs.push(Job { pixels: how, ..order("pixels", Goal::Pixels) });
    }
    let count = jobs.len();
    for job in jobs {
        client.start(job).expect("accepted");
    }
    until_asked(&server, "POST", count);
    // Before the submit it would have been in nobody's interest to pay.
    fs::write(out.join("there.png"), "mine").expect("writes");
    let _not_acknowledged = last(&client);
    place.until_it_brings_back(&server, count);

    finished.store(true, Ordering::Relaxed);
    let later = place.after_a_kill();
    drop(client);
    let client = later.client(&server);
    assert_eq!(client.resume(false).expect("reads"), count);
    let (mut images, mut ends) = (Vec::new(), Vec::new());
    while ends.len() < count {
        let event = next(&client);
        match event.kind {
            EventKind::Image => images.push((event.label.clone(), event.image_index)),
            EventKind::Final => ends.push(event),
            _ => {}
        }
    }
    let end = |label: &str| ends.iter().find(|event| event.label == label).expect(label);
    for label in ["file", "all", "bytes", "finished", "submitted"] {
        assert_eq!(end(label).status(), Status::Ok, "{label}: {:?}", end(label).error);
    }
    let goals =
        [("file", Goal::File), ("bytes", Goal::Bytes), ("finished", Goal::Finished), ("submitted", Goal::Submitted)];
    for (label, goal) in goals {
        assert_eq!(end(label).goal, Some(goal), "{label}");
    }
    let id = end("file").task.as_ref().map(|task| task.id.clone()).expect("a task");
    let Some(Delivery::Saved(saved)) = &end("file").image else { panic!("no file: {:?}", end("file")) };
    assert_eq!(saved.path, out.join(format!("{id}-1.png")));
    assert_eq!(fs::read(&saved.path).expect("reads"), PNG);
    let Some(Delivery::Picture(picture)) = &end("bytes").image else { panic!("no bytes: {:?}", end("bytes")) };
    assert_eq!((picture.data.as_slice(), end("bytes").image_index), (PNG, 1));
    if cfg!(feature = "decode") {
        let Some(Delivery::Pixels(pixels)) = &end("pixels").image else { panic!("none: {:?}", end("pixels")) };
        let picture = Picture { data: PNG.to_vec(), info: pixels.info.clone() };
        assert_eq!(pixels, &picture.decode(&how).expect("pixels"));
        assert_eq!(pixels.format, PixelFormat::Bgra8);
    }
    assert_eq!(end("kept").status(), Status::File, "a file that must stay stays");
    assert_eq!(fs::read(out.join("there.png")).expect("reads"), b"mine");
    assert_eq!(end("too far").status(), Status::InvalidArgument);
    assert_eq!(images, [("all".to_owned(), 0), ("all".to_owned(), 1)]);
    for name in ["all-0", "all-1"] {
        assert_eq!(fs::read(out.join(name)).expect(name), PNG);
    }
    assert_eq!(submits(&server), count);
}

#[test]
fn a_refused_submit_leaves_nothing_behind() {
    for status in [400, 401, 402, 429] {
        let (server, place) = (Server::start(move |_, _| refusal(status, "no")), Place::new());
        let client = place.client(&server);
        client.start(order("refused", Goal::Finished)).expect("accepted");
        let event = last(&client);
        assert!(event.error.is_some() && event.status() != Status::SubmitUnknown, "{event:?}");
        // Although nobody has acknowledged its end.
        assert!(client.close(SOON));
        drop((client, event));
        assert_eq!(place.client(&server).resume(false).expect("reads"), 0, "after {status}");
    }
}

/// The disk refuses the journal from now on: another file has its name.
fn take_away(journal: &Path) {
    fs::rename(journal, journal.with_extension("away")).expect("renames");
    fs::write(journal, "not a journal").expect("writes");
}

fn give_back(journal: &Path) {
    fs::rename(journal.with_extension("away"), journal).expect("renames");
}

#[test]
fn nothing_is_submitted_that_cannot_be_written_down() {
    let (server, place) = (pending_service(), Place::new());
    let client = place.client(&server);
    take_away(&place.journal());
    client.start(order("unwritten", Goal::Finished)).expect("accepted");
    let event = last(&client);
    assert_eq!((event.status(), event.goal), (Status::Journal, None));
    assert!(event.error.is_some_and(|error| error.message().contains("tasks.journal")));
    assert_eq!(submits(&server), 0);
    give_back(&place.journal());
    client.start(order("written", Goal::Submitted)).expect("accepted");
    assert_eq!(last(&client).status(), Status::Ok);
    assert_eq!(submits(&server), 1);
    drop(client);
    let client = place.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    assert_eq!(next(&client).label, "written");
}

#[test]
fn a_job_goes_on_when_the_disk_dies_between_its_submit_and_its_answer() {
    let place = Place::new();
    let journal = place.journal();
    let server = Server::start(move |asked, _| match asked.method.as_str() {
        "POST" => {
            take_away(&journal);
            json(r#"{"created":1777080000,"task_id":"img_1","data":[]}"#)
        }
        _ => json(&succeeded(&["/p/img/img_1/0"])),
    });
    let client = place.client(&server);
    client.start(order("paid", Goal::Finished)).expect("accepted");
    let event = last(&client);
    assert_eq!((event.label.as_str(), event.status()), ("paid", Status::Ok));
    client.next_event(Some(Duration::ZERO)).expect("open");
    assert!(place.told("tasks.journal") && place.told("tried again"), "{:?}", place.lines.lock());
    // When the disk is back, what it refused is written.
    give_back(&place.journal());
    let started = Instant::now();
    while !fs::read(place.journal()).expect("reads").windows(5).any(|part| part == b"img_1") {
        assert!(started.elapsed() < SOON, "the id is not written");
        thread::sleep(Duration::from_millis(10));
    }
    // The commit that brings it is over when the next one is.
    client.forget("img_of_nobody").expect_err("not there");
    let copy = place.after_a_kill();
    let later = copy.client(&server);
    later.resume(false).expect("reads");
    assert_eq!(next(&later).task.map(|task| task.id).as_deref(), Some("img_1"));
    let refusals = place.lines.lock().expect("a lock").iter().filter(|line| line.contains("tried again")).count();
    assert_eq!(refusals, 1, "a disk that is full for hours does not fill the log");
}

#[test]
fn a_damaged_journal_is_told_and_kept_aside() {
    let (server, place) = (pending_service(), Place::new());
    let client = place.client(&server);
    client.start(order("a", Goal::Submitted)).expect("accepted");
    last(&client);
    drop(client);
    let mut bytes = fs::read(place.journal()).expect("reads");
    let at = bytes.windows(5).position(|part| part == b"img_1").expect("the id is in it");
    bytes[at] ^= 1;
    fs::write(place.journal(), &bytes).expect("writes");
    let refused = Client::create(&place.options(&server)).expect_err("damaged");
    assert_eq!(refused.status(), Status::Journal);
    assert!(refused.message().contains("damaged-1"), "{refused}");
    assert_eq!(fs::read(place.folder.path().join("tasks.journal.damaged-1")).expect("kept"), bytes);
    assert_eq!(place.client(&server).resume(false).expect("a new one"), 0);
}

#[test]
fn without_a_journal_there_is_nothing_to_resume_or_to_forget() {
    let server = pending_service();
    let client = common::client("dimilinks", &server);
    assert_eq!(client.resume(false).expect_err("none").status(), Status::Journal);
    assert_eq!(client.forget("img_1").expect_err("none").status(), Status::Journal);
}

#[test]
fn a_path_that_the_journal_could_not_bring_back_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let (server, place) = (pending_service(), Place::new());
    let job = Job { path: Some(std::ffi::OsStr::from_bytes(b"\xff.png").into()), ..order("a", Goal::File) };
    assert_eq!(place.client(&server).start(job).expect_err("refused").status(), Status::InvalidArgument);
}

#[test]
fn a_file_that_was_saved_right_before_a_kill_is_no_obstacle_when_its_job_comes_back() {
    let finished = Arc::new(AtomicBool::new(true));
    let (server, place) = (service(&finished), Place::new());
    let file = place.folder.path().join("{id}.{ext}");
    let client = place.client(&server);
    let job = Job { path: Some(file), replace: false, ..Job::reference("img_1", Goal::File) };
    client.start(job).expect("accepted");
    assert_eq!(last(&client).status(), Status::Ok);
    place.until_it_brings_back(&server, 1);

    // Saved, but never acknowledged.
    let later = place.after_a_kill();
    drop(client);
    let client = later.client(&server);
    assert_eq!(client.resume(false).expect("reads"), 1);
    let event = last(&client);
    assert_eq!(event.status(), Status::Ok, "{event:?}");
    let saved = place.folder.path().join("img_1.png");
    assert!(matches!(&event.image, Some(Delivery::Saved(picture)) if picture.path == saved), "{event:?}");
    assert_eq!(fs::read(&saved).expect("reads"), PNG);
}

#[test]
fn what_a_host_knows_to_be_done_is_dropped_and_not_taken_up() {
    let (server, place) = (pending_service(), Place::new());
    let client = place.client(&server);
    for label in ["done", "open"] {
        client
            .start(Job { label: label.into(), ..Job::reference(format!("img_{label}"), Goal::Finished) })
            .expect("accepted");
    }
    place.until_it_brings_back(&server, 2);
    let later = place.after_a_kill();
    drop(client);
    let client = later.client(&server);
    let mut asked = Vec::new();
    let count = client.resume_with(false, &mut |reference, label| {
        asked.push((reference.to_owned(), label.to_owned()));
        label != "done"
    });
    assert_eq!(count.expect("reads"), 1);
    assert_eq!(asked, [("img_done".into(), "done".into()), ("img_open".into(), "open".to_string())]);
    let event = next(&client);
    assert_eq!((event.kind, event.label.as_str()), (EventKind::Resumed, "open"));
    drop(client);
    later.until_it_brings_back(&server, 1);
}

#[test]
#[ignore = "a measure, for an optimised build"]
fn what_a_journal_costs() {
    const SUBMITS: usize = 2_000;
    const TASKS: usize = 50_000;
    let server = pending_service();
    let ids = AtomicUsize::new(0);
    let taker = Server::start(move |asked, _| match asked.method.as_str() {
        "POST" => {
            let n = ids.fetch_add(1, Ordering::Relaxed);
            json(&format!(r#"{{"created":1777080000,"task_id":"img_{n:024x}","data":[]}}"#))
        }
        _ => json(&dimilinks("queued")),
    });
    let place = Place::new();
    let told = |options: Options| Options { max_requests_per_minute: 6_000_000, log_level: LogLevel::Off, ..options };
    for journal_path in [None, Some(place.journal())] {
        let options = Options { journal_path, ..told(place.options(&taker)) };
        let client = Client::create(&options).expect("a client");
        let started = Instant::now();
        for n in 0..SUBMITS {
            client.start(order(&format!("order-{n}"), Goal::Submitted)).expect("accepted");
        }
        for _ in 0..SUBMITS {
            assert_eq!(last(&client).status(), Status::Ok);
        }
        let took = started.elapsed();
        let what = if options.journal_path.is_some() { "with a journal" } else { "without" };
        println!("{SUBMITS} submits {what}: {:.0} a second", SUBMITS as f64 / took.as_secs_f64());
    }
    let bytes = fs::metadata(place.journal()).expect("a file").len();
    println!("{SUBMITS} entries: {bytes} bytes on the disk, {} each", bytes / SUBMITS as u64);

    let place = Place::new();
    let client = Client::create(&told(place.options(&server))).expect("a client");
    let started = Instant::now();
    for n in 0..TASKS {
        let job = Job { label: format!("order-{n}"), ..Job::reference(format!("img_{n:024x}"), Goal::Finished) };
        client.start(job).expect("accepted");
    }
    println!("{TASKS} started in {:?}", started.elapsed());
    let started = Instant::now();
    client.close(SOON);
    println!("closed in {:?}", started.elapsed());
    drop(client);
    let bytes = fs::metadata(place.journal()).expect("a file").len();
    println!("{TASKS} entries: {bytes} bytes on the disk, {} each", bytes / TASKS as u64);
    let started = Instant::now();
    let client = Client::create(&told(place.options(&server))).expect("a client");
    println!("opened in {:?}", started.elapsed());
    let started = Instant::now();
    assert_eq!(client.resume(false).expect("reads"), TASKS);
    println!("resumed in {:?}", started.elapsed());
}
