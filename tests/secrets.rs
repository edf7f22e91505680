//! The key and the queries of signed links stay inside, whatever goes wrong with a download and however often a host repeats them.
//!
//! All that is said is printed too: `tests/run.sh` looks through it once more, together with the output of every other test.

mod command;
mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Answer, Asked, KEY, PNG, Server, json, options, redirect, succeeded, task_with_image};
use imgtask::{Client, EventKind, Goal, Job, LogLevel, Options, Source, Status};
use serde_json::Value;

const SIGNED: &str = "exp=9999999999999&sig=CANARYSIG";

/// What can go wrong with an image, by the name of its task; and what comes of it.
const FAULTS: [(&str, Status); 26] = [
    ("400", Status::Rejected),
    ("401", Status::LinkExpired),
    ("403", Status::LinkExpired),
    ("404", Status::LinkExpired),
    ("410", Status::LinkExpired),
    ("418", Status::Rejected),
    ("429", Status::RateLimited),
    ("500", Status::Server),
    ("503", Status::Server),
    ("page", Status::BadImage),
    ("problem", Status::BadImage),
    ("empty", Status::BadImage),
    ("cut", Status::Io),
    ("cut-image", Status::BadImage),
    ("hang-up", Status::Io),
    ("silence", Status::Timeout),
    ("garbage", Status::Protocol),
    ("long-head", Status::Protocol),
    ("part", Status::Protocol),
    ("gzip", Status::Protocol),
    ("too-large", Status::TooLarge),
    ("nowhere", Status::Rejected),
    ("loop", Status::Rejected),
    ("refusing", Status::Connect),
    ("plain", Status::Tls),
    ("inline", Status::BadImage),
];

/// A service that repeats every secret it knows wherever it can.
fn echoing(asked: &Asked, plain: u16) -> Answer {
    let secrets = format!("{KEY} http://u:CANARY@127.0.0.1/a?{SIGNED} {asked:?}");
    let (path, _) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let mode = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("/v1/") {
        let link = match mode {
            "refusing" => format!("http://127.0.0.1:1/{mode}?{SIGNED}"),
            "plain" => format!("https://127.0.0.1:{plain}/{mode}?{SIGNED}"),
            "inline" => format!("data:image/png;base64,CANARY!!!!{KEY}"),
            _ => format!("/p/img/{mode}?{SIGNED}"),
        };
        return json(&succeeded(&[&link]).replace("img_1", mode));
    }
    let echo = format!("X-Echo: {KEY} {SIGNED}\r\nETag: \"{KEY}\"\r\nContent-Type: {KEY}/{SIGNED}\r\n");
    let with_body = |status: &str, more: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status} {KEY}\r\n{echo}{more}Content-Length: {}\r\n\r\n", body.len());
        Answer::Raw([head.as_bytes(), body].concat())
    };
    match mode {
        "page" => with_body("200", "", format!("<html>{secrets}</html>").as_bytes()),
        "problem" => with_body("200", "", format!("{{\"error\":{secrets:?}}}").as_bytes()),
        "empty" => with_body("200", "", b""),
        "cut-image" => with_body("200", "", &PNG[..40]),
        "cut" => Answer::Last([b"HTTP/1.1 200 X\r\nContent-Length: 69\r\n\r\n", &PNG[..40]].concat()),
        "hang-up" => Answer::HangUp,
        "silence" => Answer::Own(Box::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 69\r\n\r\n");
            let _ = stream.read(&mut [0]);
        })),
        "garbage" => Answer::Last(format!("{KEY} {SIGNED}\r\n\r\n").into_bytes()),
        "long-head" => Answer::Last(format!("HTTP/1.1 200 X\r\nX: {}\r\n\r\n", KEY.repeat(5_000)).into_bytes()),
        "part" => with_body("206", &format!("Content-Range: {SIGNED}\r\n"), PNG),
        "gzip" => with_body("200", &format!("Content-Encoding: gzip, {KEY}\r\n"), PNG),
        "too-large" => Answer::Last(b"HTTP/1.1 200 X\r\nContent-Length: 1099511627776\r\n\r\n".to_vec()),
        "nowhere" => redirect(&format!("http://u:{KEY}@127.0.0.1/?{SIGNED}")),
        "loop" => redirect(&asked.path),
        "429" => with_body("429", "Retry-After: 3600\r\n", secrets.as_bytes()),
        status => with_body(status, "", secrets.as_bytes()),
    }
}

fn service() -> Server {
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = plain.local_addr().expect("an address").port();
    // No TLS here; ends with the test program.
    thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.write_all(format!("HTTP/1.1 400 {KEY}\r\n\r\n{SIGNED}").as_bytes());
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    Server::start(move |asked, _| echoing(asked, port))
}

/// All that was said, which must hold no secret.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn add(&self, words: impl Into<String>) {
        self.0.lock().expect("a lock").push(words.into());
    }

    fn options(&self, server: &Server) -> Options {
        let log = self.clone();
        Options {
            log_level: LogLevel::Debug,
            log: Some(Arc::new(move |level, line: &str| log.add(format!("{level:?}: {line}")))),
            stall_timeout_ms: 200,
            max_workers: 64,
            ..options("dimilinks", server)
        }
    }

    fn check(&self) {
        let said = self.0.lock().expect("a lock");
        for words in &*said {
            println!("{words}");
            assert!(!words.to_uppercase().contains("CANARY") && !words.contains("sig="), "{words}");
        }
        assert!(said.len() > FAULTS.len(), "{said:?}");
    }
}

#[test]
fn no_failed_download_tells_a_secret_in_errors_log_or_debug_output() {
    let (server, said) = (service(), Said::default());
    let client = Client::create(&said.options(&server)).expect("a client");
    said.add(format!("{client:?} {:?}", client.stats()));
    let folder = tempfile::tempdir().expect("a folder");
    thread::scope(|scope| {
        for (mode, status) in FAULTS {
            let (client, said, folder) = (&client, &said, folder.path());
            scope.spawn(move || {
                let task = client.fetch(mode).expect(mode);
                said.add(format!("{task:?}"));
                let error = client.download(&task, 0).expect_err(mode);
                assert_eq!(error.status(), status, "{mode}: {error}");
                said.add(format!("{error} {error:?} {} {}", error.message(), error.provider_code()));
                assert_eq!(error.task_id(), mode);
                if status == Status::BadImage {
                    let path = folder.join(mode);
                    let error = client.download_file(&task, 0, &path, true).expect_err(mode);
                    said.add(format!("{error} {error:?}"));
                }
            });
        }
    });
    for link in [
        "http://u:CANARY@127.0.0.1/a?sig=CANARYSIG",
        "ftp://CANARY/a?sig=CANARYSIG",
        "CANARY",
        "http://127.0.0.1:CANARY/",
        "https://CANARY\u{fc}.example/?sig=CANARYSIG",
    ] {
        let error = client.download(&task_with_image(link), 0).expect_err(link);
        assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        said.add(format!("{error} {error:?}"));
    }
    let public = Options { base_url: Some("https://1.1.1.1".into()), ..said.options(&server) };
    let blocked = Client::create(&public).expect("a client");
    let error = blocked.download(&task_with_image(&format!("{}/a?{SIGNED}", server.url())), 0).expect_err("blocked");
    assert_eq!(error.status(), Status::Blocked);
    said.add(format!("{error} {error:?}"));
    said.check();
}

#[test]
fn no_failed_download_of_a_job_tells_a_secret_in_its_events() {
    let (server, said) = (service(), Said::default());
    let client = Client::create(&said.options(&server)).expect("a client");
    // The host that wants to be left alone for an hour is left alone: nothing comes of it after that.
    for alone in [false, true] {
        let mut left = 0;
        for (at, (mode, _)) in FAULTS.iter().enumerate().filter(|(_, (mode, _))| (*mode == "429") == alone) {
            let task = client.fetch(mode).expect(mode);
            let job = Job::new(Source::Task(Box::new(task)), Goal::Bytes);
            let job = Job { progress: true, user_data: at as u64, ..job };
            said.add(format!("{job:?}"));
            client.start(job).expect("accepted");
            left += 1;
        }
        while left > 0 {
            let event = client.next_event(Some(Duration::from_secs(60))).expect("open").expect("an event in time");
            said.add(format!("{event:?} {:?} {:?} {:?}", event.task, event.image, event.error));
            if event.kind == EventKind::Final {
                let (mode, status) = FAULTS[event.user_data as usize];
                assert_eq!(event.status(), status, "{mode}: {event:?}");
                left -= 1;
            }
        }
    }
    said.check();
}

#[test]
fn no_failed_download_of_the_command_tells_a_secret() {
    let (server, said) = (service(), Said::default());
    let folder = tempfile::tempdir().expect("a folder");
    thread::scope(|scope| {
        // Its silence may last for half a minute.
        let faults = FAULTS.into_iter().filter(|(mode, _)| *mode != "silence");
        for (at, (mode, _)) in faults.enumerate() {
            let (server, said, folder) = (&server, &said, folder.path());
            scope.spawn(move || {
                let path = folder.join(mode);
                let path = path.to_str().expect("a path");
                let mut arguments = vec!["download", "-p", "dimilinks", mode, "-o", path];
                // As text, as JSON.
                if at % 2 == 0 {
                    arguments.push("--json");
                }
                let mut command = command::imgtask(&arguments);
                command.env("DIMILINKS_API_KEY", KEY).env("DIMILINKS_BASE_URL", server.url());
                command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
                let run = command::finish(command);
                assert!(run.code != 0 && !run.err.is_empty(), "{mode}: {}", run.err);
                said.add(format!("{mode}: {}", run.err));
                for line in run.out.lines() {
                    // Whoever asks for the task as data gets its links, there and nowhere else.
                    let mut task: Value = serde_json::from_str(line).expect("a line of JSON");
                    task["images"]
                        .as_array_mut()
                        .expect("images")
                        .iter_mut()
                        .for_each(|image| image["url"] = Value::Null);
                    said.add(format!("{mode}: {task}"));
                }
            });
        }
    });
    assert_eq!(command::names(folder.path()), [""; 0]);
    said.check();
}
