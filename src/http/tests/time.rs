//! Deadlines, stall limits and stops, in every phase.

use std::thread;

use super::*;
use crate::http::stop::tests::assert_stops;

/// What a call may overrun its deadline by, whatever the server does.
const GRACE: Duration = Duration::from_millis(250);

#[track_caller]
fn assert_over(http: &Http, request: &Request<'_>, mut call: Call, within: Duration) -> Failure {
    let started = Instant::now();
    call.deadline = call.deadline.min(started + within);
    let result = http.send(request, &call);
    let failure = match result {
        Ok(reply) => {
            let error = assert_status(reply.read_to_vec(1 << 20), Status::Timeout);
            Failure { error, sent: true, answered: true }
        }
        Err(failure) => failure,
    };
    let took = started.elapsed();
    assert_eq!(failure.error.status(), Status::Timeout, "{}", failure.error);
    assert!(
        took >= within.min(call.stall) - Duration::from_millis(20) && took < within.min(call.stall) + GRACE,
        "{took:?}"
    );
    failure
}

fn dripping(head_from: usize) -> Server {
    Server::new(move |peer, _| {
        peer.request();
        let answer =
            format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 500\r\n\r\n{}", "a".repeat(500), "b".repeat(500));
        peer.send(&answer.as_bytes()[..head_from]);
        peer.drip(&answer.as_bytes()[head_from..], Duration::from_millis(40));
    })
}

#[test]
fn a_silent_server_ends_at_the_deadline_and_says_what_was_sent() {
    let server = Server::new(|peer, _| peer.hold());
    let url = server.url("/");
    let failure = assert_over(&http(), &post(&url, b"{}"), call(10_000), Duration::from_millis(300));
    assert!(failure.sent && !failure.answered);
    assert!(failure.error.message().starts_with("the time was over while waiting for 127.0.0.1:"), "{}", failure.error);
}

#[test]
fn a_stall_ends_before_the_deadline() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01"] {
        let server = Server::new(move |peer, _| {
            peer.request();
            peer.send(answer);
            peer.hold();
        });
        let url = server.url("/");
        let call = Call { stall: Duration::from_millis(200), ..call(10_000) };
        let failure = assert_over(&http(), &get(&url), call, Duration::from_secs(10));
        assert!(failure.error.message().contains("silent for 200 ms"), "{}", failure.error);
        assert_eq!(failure.answered, !answer.is_empty());
    }
}

#[test]
fn a_submit_may_wait_long_for_its_answer_but_not_within_it() {
    let server = Server::new(|peer, n| {
        peer.request();
        thread::sleep(Duration::from_millis(400));
        let answer = ok("0123456789");
        peer.send(&answer.as_bytes()[..answer.len() - n]);
        if n > 0 {
            peer.hold();
        }
    });
    let http = http();
    let url = server.url("/");
    let patient = || Call { stall: Duration::from_millis(150), stall_before_answer: false, ..call(5_000) };
    assert_eq!(http.send(&post(&url, b"{}"), &patient()).unwrap().read_to_vec(10).unwrap(), b"0123456789");
    thread::sleep(Duration::from_millis(50));
    let reply = http.send(&post(&url, b"{}"), &patient()).unwrap();
    assert_status(reply.read_to_vec(10), Status::Timeout);
}

#[test]
fn a_drip_ends_at_the_deadline_in_head_and_body() {
    for head_from in [0, 20, 560] {
        let server = dripping(head_from);
        let url = server.url("/");
        assert_over(&http(), &get(&url), call(10_000), Duration::from_millis(400));
    }
}

#[test]
fn endless_hints_end_at_the_deadline() {
    let server = Server::new(|peer, _| {
        peer.request();
        while peer.send("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n") {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let url = server.url("/");
    assert_over(&http(), &get(&url), call(10_000), Duration::from_millis(300));
}

#[test]
fn an_upload_that_nobody_takes_ends_at_the_deadline_or_the_stall_limit() {
    let body = vec![b'x'; 16 << 20];
    let slow = Server::new(|peer, _| {
        use std::io::Read;
        while matches!(peer.stream.read(&mut [0; 2048]), Ok(1..)) {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let silent = Server::new(|peer, _| peer.sleep());
    for server in [&slow, &silent] {
        let url = server.url("/");
        let failure = assert_over(&http(), &post(&url, &body), call(10_000), Duration::from_millis(400));
        assert!(failure.sent && !failure.answered);
    }
    let url = silent.url("/");
    let call = Call { stall: Duration::from_millis(200), stall_before_answer: false, ..call(10_000) };
    // The kernel moves a few bytes when it probes the closed window, so that the limit may begin anew.
    let started = Instant::now();
    let failure = http().send(&post(&url, &body), &call).err().unwrap();
    assert!(failure.error.message().contains("silent for 200 ms while sending to it"), "{}", failure.error);
    assert!(started.elapsed() < Duration::from_millis(1500));
}

#[test]
fn a_call_whose_time_is_over_ends_before_it_begins() {
    let server = Server::answering(ok("{}"));
    let http = http();
    fetch(&http, &server.url("/")).unwrap();
    let url = server.url("/");
    let late = Call { deadline: Instant::now(), ..call(0) };
    let failure = http.send(&post(&url, b"{}"), &late).err().unwrap();
    assert_eq!(failure.error.status(), Status::Timeout);
    assert!(!failure.sent);
    assert_eq!(server.requests().len(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_host_that_takes_no_connection_ends_at_the_connect_limit_the_deadline_and_a_stop() {
    let (listener, _held) = crate::http::connect::tests::black_hole();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let failure = assert_over(&http(), &post(&url, b"{}"), call(10_000), Duration::from_millis(300));
    assert!(
        failure.error.message().starts_with("the time was over while connecting to 127.0.0.1:"),
        "{}",
        failure.error
    );

    let hasty = Http::new(&Settings { connect_timeout: Duration::from_millis(200), ..settings() }).unwrap();
    let started = Instant::now();
    let failure = send(&hasty, &post(&url, b"{}")).err().unwrap();
    assert_eq!(failure.error.status(), Status::Timeout);
    assert!(
        failure.error.message().starts_with("no connection within 200 ms while connecting to"),
        "{}",
        failure.error
    );
    assert!(started.elapsed() < Duration::from_millis(200) + GRACE);

    let http = http();
    let failure = assert_stops(|stop| http.send(&get(&url), &Call { stop, ..call(10_000) }).err().unwrap());
    assert_eq!(failure.error.status(), Status::Cancelled);
    assert!(!failure.sent);
}

#[test]
fn a_stopped_call_ends_at_once_in_every_phase_and_the_next_one_works() {
    // Nothing, half a head, half a body, a body without length (whose end would look like success).
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nconte",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123",
        "HTTP/1.1 200 OK\r\n\r\n123",
    ] {
        let server = Server::new(move |peer, _| {
            if peer.request().unwrap_or_default().starts_with("GET /good ") {
                peer.send(ok("{}"));
                return;
            }
            peer.send(answer);
            peer.hold();
        });
        let http = http();
        let url = server.url("/");
        let result = assert_stops(|stop| fetch_within(&http, &url, &Call { stop, ..call(10_000) }, 100));
        assert_status(result, Status::Cancelled);
        assert_eq!(fetch(&http, &server.url("/good")).unwrap().1, b"{}");
    }
    let server = Server::new(|peer, _| peer.sleep());
    let url = server.url("/");
    let body = vec![b'x'; 16 << 20];
    let http = http();
    let failure = assert_stops(|stop| http.send(&post(&url, &body), &Call { stop, ..call(10_000) }).err().unwrap());
    assert_eq!(failure.error.status(), Status::Cancelled);
    assert!(failure.sent);
}

#[test]
fn a_call_stopped_before_it_begins_sends_nothing() {
    let server = Server::answering(ok("{}"));
    let http = http();
    fetch(&http, &server.url("/")).unwrap();
    for url in [server.url("/"), Url::parse("http://nowhere.invalid/").unwrap()] {
        let call = call(5_000);
        call.stop.stop();
        let failure = http.send(&get(&url), &call).err().unwrap();
        assert_eq!(failure.error.status(), Status::Cancelled);
        assert!(!failure.sent);
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn stops_that_race_with_answers_hurt_no_other_call() {
    let server = Server::new(|peer, _| {
        while let Some(request) = peer.request() {
            let path = request.split(' ').nth(1).unwrap().to_owned();
            peer.send(ok(&path));
        }
    });
    let http = http();
    let until = Instant::now() + Duration::from_secs(2);
    let counts = std::sync::Mutex::new([0u32; 2]);
    thread::scope(|scope| {
        for t in 0..4u32 {
            let (http, server, counts) = (&http, &server, &counts);
            scope.spawn(move || {
                for n in 0u32.. {
                    if Instant::now() >= until {
                        return;
                    }
                    let path = format!("/{t}/{n}");
                    // Every second thread is never stopped, and so must never fail.
                    let hunted = t % 2 == 0;
                    let call = call(5_000);
                    let stop = Arc::clone(&call.stop);
                    let result = thread::scope(|inner| {
                        if hunted {
                            inner.spawn(move || {
                                for _ in 0..(n % 64) * 20 {
                                    std::hint::spin_loop();
                                }
                                stop.stop();
                            });
                        }
                        fetch_within(http, &server.url(&path), &call, 100)
                    });
                    match result {
                        Ok((200, body)) => {
                            assert_eq!(body, path.as_bytes());
                            counts.lock().unwrap()[0] += 1;
                        }
                        Err(error) if hunted && error.status() == Status::Cancelled => counts.lock().unwrap()[1] += 1,
                        other => panic!("{path}: {other:?}"),
                    }
                }
            });
        }
    });
    let [finished, cancelled] = *counts.lock().unwrap();
    assert!(finished > 100 && cancelled > 10, "{finished} finished, {cancelled} cancelled");
}

#[test]
fn a_dripping_proxy_ends_at_the_deadline_and_at_the_connect_limit() {
    let proxy = Server::new(|peer, _| {
        peer.request();
        peer.drip(
            "HTTP/1.1 200 OK\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
            Duration::from_millis(100),
        );
    });
    let url = Url::parse("https://api.example/").unwrap();
    let choice = ProxyChoice::Url(format!("http://127.0.0.1:{}", proxy.port()));
    let through = |connect_ms| {
        let connect_timeout = Duration::from_millis(connect_ms);
        Http::new(&Settings { proxy: choice.clone(), connect_timeout, ..settings() }).unwrap()
    };
    let failure = assert_over(&through(10_000), &post(&url, b"{}"), call(10_000), Duration::from_millis(400));
    assert!(!failure.sent);
    let started = Instant::now();
    let failure = send(&through(300), &post(&url, b"{}")).err().unwrap();
    assert_eq!(failure.error.status(), Status::Timeout);
    assert_eq!(
        failure.error.message(),
        "no connection within 300 ms while asking for a tunnel from the proxy for api.example"
    );
    assert!(started.elapsed() < Duration::from_millis(300) + GRACE);
}

fn through(proxy: &Server, user: &str) -> Http {
    let proxy = ProxyChoice::Url(format!("http://{user}127.0.0.1:{}", proxy.port()));
    Http::new(&Settings { proxy, ..settings() }).unwrap()
}

#[test]
fn a_proxy_carries_the_call_and_sees_no_key() {
    let proxy = Server::new(|peer, _| {
        let connect = peer.request().unwrap();
        assert!(connect.starts_with("CONNECT api.example:80 HTTP/1.1\r\n"), "{connect}");
        assert!(!connect.contains("key") && connect.contains("Proxy-Authorization: Basic dXNlcjpwYXNz"), "{connect}");
        peer.send("HTTP/1.1 200 Connection established\r\n\r\n");
        while peer.request().is_some() {
            peer.send(ok("{}"));
        }
    });
    let http = through(&proxy, "user:pass@");
    let url = Url::parse("http://api.example/").unwrap();
    for _ in 0..3 {
        let headers = Headers::new([("authorization", "key")]).unwrap();
        let reply = send(&http, &Request { headers: &headers, public_only: true, ..get(&url) }).unwrap();
        assert_eq!(reply.read_to_vec(10).unwrap(), b"{}");
    }
    assert_eq!((proxy.connections(), http.helper_threads()), (1, 0));
    for host in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "localhost",
        "LocalHost.",
        "2130706433",
        "0x7f.1",
        "012.1",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
    ] {
        let url = Url::parse(&format!("http://{host}/")).unwrap();
        let failure = send(&http, &Request { public_only: true, ..get(&url) }).err().unwrap();
        assert_eq!(failure.error.status(), Status::Blocked, "{host}");
    }
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn what_a_proxy_does_wrong_is_proxy_and_nothing_is_sent() {
    let headers = "x: y\r\n".repeat(25);
    let many = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    for (answer, text) in [
        ("HTTP/1.1 407 Auth\r\ncontent-length: 0\r\n\r\n", "refused a tunnel with HTTP 407"),
        ("HTTP/1.1 502 Bad\r\n\r\n", "refused a tunnel with HTTP 502"),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "sent more than an answer"),
        (&many, "tunnel"),
        ("garbage canary\r\n\r\n", "tunnel"),
        ("", "tunnel"),
    ] {
        let proxy = Server::closing(answer);
        let http = through(&proxy, "canary:canary@");
        let url = Url::parse("http://api.example/").unwrap();
        let failure = send(&http, &post(&url, b"{}")).err().unwrap();
        assert_eq!(failure.error.status(), Status::Proxy, "{answer}: {}", failure.error);
        assert!(failure.error.message().contains(text), "{}", failure.error);
        assert!(!failure.error.message().contains("canary") && !failure.sent, "{}", failure.error);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let http = Http::new(&Settings { proxy: ProxyChoice::Url(format!("http://{closed}")), ..settings() }).unwrap();
    let url = Url::parse("http://api.example/").unwrap();
    let failure = send(&http, &post(&url, b"{}")).err().unwrap();
    assert_eq!(failure.error.status(), Status::Proxy, "{}", failure.error);
}
