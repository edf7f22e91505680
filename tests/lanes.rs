//! Downloads of jobs whose host wants to be left alone, or breaks off: they wait for their next try, and no thread waits with them.

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Answer, PNG, Server, json, options, refusal, succeeded, task_with_image, typed, within};
use imgtask::{Client, Delivery, Event, EventKind, Goal, Job, Options, Source, State, Status};

const SOON: Duration = Duration::from_secs(20);

/// A finished task with one image at `server`.
fn job(server: &Server, goal: Goal) -> Job {
    let mut task = task_with_image(&format!("{}/a", server.url()));
    task.state = State::Succeeded;
    Job::new(Source::Task(Box::new(task)), goal)
}

/// Few threads: two downloads at a time, one from each host.
fn few(server: &Server) -> Client {
    Client::create(&Options { max_workers: 3, ..options("dimilinks", server) }).expect("a client")
}

fn next_end(client: &Client) -> Event {
    loop {
        let event = client.next_event(Some(SOON)).expect("open").expect("an event in time");
        if event.kind == EventKind::Final {
            return event;
        }
    }
}

fn busy(seconds: u32) -> Answer {
    Answer::Raw(format!("HTTP/1.1 429 X\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

/// Breaks off after 40 bytes, then wants to be left alone for a second, then gives the rest.
fn busy_in_the_middle() -> Server {
    Server::start(|asked, before| match before {
        0 => {
            let head = format!("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: {}\r\n\r\n", PNG.len());
            Answer::Last([head.as_bytes(), &PNG[..40]].concat())
        }
        1 => busy(1),
        _ => {
            assert_eq!((asked.header("range"), asked.header("if-range")), (Some("bytes=40-"), Some("\"v1\"")));
            let (last, length) = (PNG.len() - 1, PNG.len());
            let head = format!("HTTP/1.1 206 X\r\nContent-Range: bytes 40-{last}/{length}\r\nContent-Length: ");
            Answer::Raw([format!("{head}{}\r\n\r\n", length - 40).as_bytes(), &PNG[40..]].concat())
        }
    })
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Waits until `server` was asked so often and nothing is under way any more.
fn until_it_pauses(client: &Client, server: &Server, asked: usize) {
    let since = Instant::now();
    while server.asked().len() < asked || client.stats().in_flight > 0 {
        assert!(since.elapsed() < SOON, "{} asked, {} in flight", server.asked().len(), client.stats().in_flight);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn hosts_that_want_to_be_left_alone_hold_up_no_other_host_and_are_asked_once() {
    let opened = Arc::new(AtomicBool::new(false));
    let times: [Arc<Mutex<Vec<Instant>>>; 2] = Default::default();
    let shut = times.each_ref().map(|times| {
        let (opened, times) = (Arc::clone(&opened), Arc::clone(times));
        Server::start(move |_, _| {
            times.lock().expect("a lock").push(Instant::now());
            if opened.load(Ordering::SeqCst) { typed("image/png", PNG) } else { busy(3) }
        })
    });
    let open = Server::start(|_, _| typed("image/png", PNG));
    let client = few(&open);
    for n in 0..3 {
        for server in &shut {
            client.start(Job { user_data: n, ..job(server, Goal::Bytes) }).expect("accepted");
        }
    }
    for server in &shut {
        until_it_pauses(&client, server, 1);
    }
    for n in 100..120 {
        client.start(Job { user_data: n, ..job(&open, Goal::Bytes) }).expect("accepted");
    }
    let ends: Vec<u64> = (0..20).map(|_| next_end(&client).user_data).collect();
    assert!(ends.iter().all(|n| *n >= 100), "they waited: {ends:?}");
    opened.store(true, Ordering::SeqCst);
    for _ in 0..6 {
        let end = next_end(&client);
        assert_eq!((end.status(), end.user_data < 100), (Status::Ok, true));
    }
    for times in &times {
        let times = times.lock().expect("a lock");
        // None was sent while its host was closed: all but the last three found it so.
        let closed = times.len() - 3;
        let pauses: Vec<Duration> = times.windows(2).take(closed).map(|pair| pair[1] - pair[0]).collect();
        assert!(closed > 0 && pauses.iter().all(|pause| *pause >= Duration::from_secs(3)), "{pauses:?}");
    }
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_asked_for_one_image_when_the_time_is_over_and_then_for_the_rest() {
    const LASTS: Duration = Duration::from_millis(500);
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&times);
    let server = Server::start(move |_, before| {
        noted.lock().expect("a lock").push(Instant::now());
        let image = [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PNG.len()).as_bytes(), PNG].concat();
        let half = image.len().div_ceil(2);
        match before {
            // The three that were sent beside it have their answers a moment later.
            0 => {
                let since = Instant::now();
                while noted.lock().expect("a lock").len() < 4 && since.elapsed() < SOON {
                    std::thread::sleep(Duration::from_millis(1));
                }
                busy(2)
            }
            1..=4 => Answer::Drip(image, half, LASTS),
            _ => Answer::Raw(image),
        }
    });
    let client = Client::create(&Options { max_workers: 8, ..options("dimilinks", &server) }).expect("a client");
    for _ in 0..10 {
        client.start(job(&server, Goal::Bytes)).expect("accepted");
    }
    for _ in 0..10 {
        assert_eq!(next_end(&client).status(), Status::Ok);
    }
    let times = times.lock().expect("a lock");
    assert_eq!(times.len(), 11);
    assert!(times[4] - times[3] >= Duration::from_secs(2), "it was asked while it wanted to be left alone: {times:?}");
    assert!(times[5] - times[4] >= LASTS, "the first one had no answer yet: {times:?}");
}

#[test]
fn links_that_wait_for_the_gate_to_be_renewed_hold_up_no_other_host() {
    let refusing = [1, 2].map(|_| {
        Server::start(|asked, _| if asked.path == "/a" { refusal(403, "expired") } else { typed("image/png", PNG) })
    });
    let links: Vec<String> = refusing.iter().map(|server| format!("{}/fresh", server.url())).collect();
    // The service is busy when it is asked first; then it has a new link for each of the two tasks.
    let (opened, given) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_open, gives) = (Arc::clone(&opened), Arc::clone(&given));
    let api = Server::start(move |asked, _| {
        if !is_open.load(Ordering::SeqCst) {
            return busy(3);
        }
        gives.fetch_add(1, Ordering::SeqCst);
        json(&succeeded(&[&links[usize::from(asked.path.ends_with("img_2"))]]))
    });
    let open = Server::start(|_, _| typed("image/png", PNG));
    let client = few(&api);
    let started = Instant::now();
    assert_eq!(client.fetch("img_1").expect_err("busy").status(), Status::RateLimited);
    for (server, id) in refusing.iter().zip(["img_1", "img_2"]) {
        let mut job = job(server, Goal::Bytes);
        let Source::Task(task) = &mut job.source else { panic!("it has a task") };
        (task.id, task.poll_ref) = (id.to_owned(), id.to_owned());
        client.start(job).expect("accepted");
    }
    for server in &refusing {
        until_it_pauses(&client, server, 1);
    }
    for n in 100..120 {
        client.start(Job { user_data: n, ..job(&open, Goal::Bytes) }).expect("accepted");
    }
    let ends: Vec<u64> = (0..20).map(|_| next_end(&client).user_data).collect();
    assert!(ends.iter().all(|n| *n >= 100), "they waited: {ends:?}");
    opened.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let end = next_end(&client);
        assert_eq!(end.status(), Status::Ok, "{end:?}");
    }
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    for server in &refusing {
        let paths: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
        assert_eq!(paths, ["/a", "/fresh"], "a link that was refused is not tried again");
    }
    assert_eq!(given.load(Ordering::SeqCst), 2, "one look for each");
}

#[test]
fn what_has_come_is_kept_while_a_download_waits_for_its_host() {
    for goal in [Goal::Bytes, Goal::File] {
        let server = busy_in_the_middle();
        let folder = tempfile::tempdir().expect("a folder");
        let path = (goal == Goal::File).then(|| folder.path().join("{id}.{ext}"));
        let client = few(&server);
        client.start(Job { path, ..job(&server, goal) }).expect("accepted");
        let end = next_end(&client);
        assert_eq!(end.status(), Status::Ok, "{end:?}");
        match end.image {
            Some(Delivery::Picture(picture)) => assert_eq!(picture.data, PNG),
            Some(Delivery::Saved(saved)) => assert_eq!(fs::read(saved.path).expect("the file"), PNG),
            other => panic!("{other:?}"),
        }
        assert_eq!(server.asked().len(), 3);
        assert!(goal == Goal::Bytes || names(folder.path()) == ["img_1.png"]);
    }
}

#[test]
fn a_download_that_waits_for_its_host_is_stopped_at_once_and_leaves_nothing() {
    for close in [false, true] {
        let server = Server::start(|_, _| busy(50));
        let folder = tempfile::tempdir().expect("a folder");
        let client = few(&server);
        let path = Some(folder.path().join("a.png"));
        let op = client.start(Job { path, ..job(&server, Goal::File) }).expect("accepted");
        until_it_pauses(&client, &server, 1);
        assert_eq!((names(folder.path()).len(), client.pending()), (1, 1), "its file is in the making");
        within(SOON, || {
            if close {
                assert!(client.close(Duration::from_secs(10)));
            } else {
                client.stop(op).expect("it is there");
            }
            assert_eq!(next_end(&client).status(), Status::Cancelled);
            assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
        });
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_host_that_wants_to_be_left_alone_for_longer_than_a_download_waits_is_left_alone_by_the_others() {
    let server = Server::start(|_, _| busy(120));
    let client = few(&server);
    for _ in 0..10 {
        client.start(job(&server, Goal::Bytes)).expect("accepted");
    }
    let end = next_end(&client);
    assert_eq!((end.status(), client.pending()), (Status::RateLimited, 9));
    // No other one begins, however long this waits.
    assert!(client.next_event(Some(Duration::from_millis(300))).expect("open").is_none());
    assert_eq!((server.asked().len(), client.stats().in_flight), (1, 0));
}

#[test]
fn a_host_that_stays_busy_is_given_up_after_five_tries() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(|_, _| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Answer::Raw(b"HTTP/1.1 503 X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let client = few(&server);
    client.start(job(&server, Goal::Bytes)).expect("accepted");
    let end = next_end(&client);
    assert_eq!((end.status(), ASKED.load(Ordering::Relaxed)), (Status::Server, 5));
}

#[test]
fn downloads_that_wait_for_their_hosts_hold_few_files_open_and_come_whole_all_the_same() {
    const HOSTS: usize = 80;
    static OPENED: AtomicBool = AtomicBool::new(false);
    let busy_host =
        |_| Server::start(|_, _| if OPENED.load(Ordering::SeqCst) { typed("image/png", PNG) } else { busy(5) });
    let hosts: Vec<Server> = (0..HOSTS).map(busy_host).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let client = few(&hosts[0]);
    for (n, host) in hosts.iter().enumerate() {
        let path = Some(folder.path().join(format!("{n}.png")));
        client.start(Job { path, ..job(host, Goal::File) }).expect("accepted");
    }
    for host in &hosts {
        until_it_pauses(&client, host, 1);
    }
    // One that is asked once more meanwhile has its file for that time.
    let since = Instant::now();
    while names(folder.path()).len() != 64 {
        assert!(since.elapsed() < SOON, "{} files", names(folder.path()).len());
        std::thread::sleep(Duration::from_millis(1));
    }
    OPENED.store(true, Ordering::SeqCst);
    for _ in 0..HOSTS {
        assert_eq!(next_end(&client).status(), Status::Ok);
    }
    assert_eq!(names(folder.path()).len(), HOSTS);
    assert!(names(folder.path()).iter().all(|name| name.ends_with(".png")));
}
