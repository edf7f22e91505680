//! Requests and heads.

use std::thread;

use super::*;

#[test]
fn a_request_carries_what_it_was_given_and_nothing_else() {
    let server = Server::answering(ok("{}"));
    let http = http();
    let url = server.url("/v1/tasks/7?sig=a%2Fb==&x");
    let headers = Headers::new([("Authorization", "Bearer key"), ("Accept", "application/json")]).unwrap();
    send(&http, &Request { headers: &headers, ..get(&url) }).unwrap();
    send(&http, &post(&url, b"{\"prompt\":1}")).unwrap();
    send(&http, &Request { method: Method::Post, ..get(&url) }).unwrap();
    send(&http, &Request { method: Method::Delete, ..get(&url) }).unwrap();
    let requests: Vec<String> = server.requests().iter().map(|request| request.to_lowercase()).collect();
    let port = server.port();
    let lines: Vec<&str> = requests[0].lines().collect();
    assert_eq!(lines[0], "get /v1/tasks/7?sig=a%2fb==&x http/1.1");
    let mut lines = lines[1..].to_vec();
    lines.sort_unstable();
    let host = format!("host: 127.0.0.1:{port}");
    assert_eq!(
        lines,
        [
            "",
            "accept-encoding: identity",
            "accept: application/json",
            "authorization: bearer key",
            &host,
            "user-agent: imgtask-test/1"
        ]
    );
    assert!(requests[1].contains("content-length: 12\r\n") && requests[1].ends_with("\r\n\r\n{\"prompt\":1}"));
    assert!(requests[2].starts_with("post ") && requests[2].contains("content-length: 0\r\n"));
    assert!(requests[3].starts_with("delete ") && !requests[3].contains("content-length"));
}

#[test]
fn a_request_that_cannot_be_sent_sends_nothing() {
    let server = Server::answering(ok("{}"));
    let http = http();
    let url = server.url("/");
    let long = "a".repeat(16 * 1024);
    for header in [
        ("authorization", "Bearer canary\r\nx: y"),
        ("authorization", "canary\0"),
        ("authorization", "canary\u{7f}"),
        ("authorization", "k\u{e9}y canary"),
        ("canary header", "x"),
        ("", "canary"),
        ("canary:", "x"),
        ("canary\r\n", "x"),
        ("Host", "canary"),
        ("content-length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
        ("Connection", "close"),
        ("x-long", &long),
    ] {
        let refused = Headers::new([header]).and_then(|headers| {
            send(&http, &Request { headers: &headers, ..get(&url) }).map(drop).map_err(|failure| {
                assert!(!failure.sent);
                failure.error
            })
        });
        let error = refused.unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument, "{header:?}");
        assert!(!error.message().contains("canary"), "{error}");
    }
    assert_eq!((server.connections(), http.connections_opened()), (0, 0));
}

#[test]
fn settings_that_cannot_work_are_refused_at_creation() {
    for user_agent in ["", "a\r\nb", "a\0", "\u{fc}", &"a".repeat(257)] {
        assert_status(Http::new(&Settings { user_agent: user_agent.into(), ..settings() }), Status::InvalidArgument);
    }
    let proxy = ProxyChoice::Url("socks5://127.0.0.1:1".into());
    assert_status(Http::new(&Settings { proxy, ..settings() }), Status::InvalidArgument);
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for path in [empty, broken, folder.path().join("missing.pem"), folder.path().to_owned()] {
        assert_status(Http::new(&Settings { ca_file: Some(path), ..settings() }), Status::InvalidArgument);
    }
    for connect_timeout in [Duration::ZERO, Duration::MAX] {
        let http = Http::new(&Settings { connect_timeout, max_idle_per_host: 0, ..settings() }).unwrap();
        let server = Server::answering(ok("{}"));
        let _ = fetch(&http, &server.url("/"));
    }
}

#[test]
fn a_connection_serves_many_calls_whatever_the_status_and_framing() {
    let server = Server::new(|peer, _| {
        let mut answers = Vec::new();
        for status in [200, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503] {
            answers.push(format!("HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\n{{ }}\n"));
        }
        answers
            .push("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\n{ \r\n2\r\n}\n\r\n0\r\n\r\n".into());
        answers.push("HTTP/1.1 204 No Content\r\n\r\n".into());
        answers.push("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into());
        answers.push("HTTP/1.1 301 Moved\r\nlocation: http://canary.example/\r\ncontent-length: 0\r\n\r\n".into());
        for answer in answers.iter().cycle() {
            if peer.request().is_none() {
                return;
            }
            peer.send(answer);
        }
    });
    let http = http();
    let mut statuses = Vec::new();
    for _ in 0..15 {
        let (status, body) = fetch(&http, &server.url("/")).unwrap();
        assert!(body == b"{ }\n" || body.is_empty());
        statuses.push(status);
    }
    assert_eq!(statuses, [200, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503, 200, 204, 200, 301]);
    assert_eq!((server.connections(), http.connections_opened(), http.retries()), (1, 1, 0));
}

#[test]
fn parallel_calls_get_their_own_answers_and_share_the_pool() {
    let server = Server::new(|peer, _| {
        while let Some(request) = peer.request() {
            let path = request.split(' ').nth(1).unwrap().to_owned();
            peer.send(ok(&path));
        }
    });
    let http = http();
    thread::scope(|scope| {
        for t in 0..8 {
            let (http, server) = (&http, &server);
            scope.spawn(move || {
                for n in 0..50 {
                    let path = format!("/{t}/{n}");
                    assert_eq!(fetch(http, &server.url(&path)).unwrap().1, path.as_bytes());
                }
            });
        }
    });
    assert!(server.connections() <= 8, "{}", server.connections());
}

#[test]
fn two_clients_never_share_a_connection() {
    let server = Server::answering(ok("{}"));
    for key in ["one", "two"] {
        let http = http();
        for _ in 0..2 {
            let url = server.url("/");
            let headers = Headers::new([("x-api-key", key)]).unwrap();
            send(&http, &Request { headers: &headers, ..get(&url) }).unwrap().read_to_vec(10).unwrap();
        }
    }
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_refused_connection_is_connect_and_may_be_tried_again() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = Url::parse(&format!("http://{closed}/v1?canary=1")).unwrap();
    let failure = send(&http(), &post(&url, b"x")).err().unwrap();
    assert_eq!(failure.error.status(), Status::Connect);
    assert_eq!(failure.error.message(), format!("{closed} refused the connection"));
    assert!(!failure.sent && !failure.answered);
    assert_eq!(failure.error.retry(), crate::error::Retry::Now);
}

#[test]
fn a_name_that_does_not_exist_is_resolve() {
    let url = Url::parse("http://no-such-host.invalid/").unwrap();
    let failure = send(&http(), &get(&url)).err().unwrap();
    assert_eq!(failure.error.status(), Status::Resolve, "{}", failure.error);
    assert!(!failure.sent);
}

#[test]
fn an_end_before_any_answer_is_io_and_says_whether_the_request_was_sent() {
    let server = Server::new(|peer, n| {
        match n % 3 {
            0 => {}
            1 => drop(peer.request()),
            _ => {
                peer.request();
                peer.reset();
            }
        };
    });
    let http = http();
    let url = server.url("/");
    for n in 0..6 {
        let failure = send(&http, &post(&url, b"{}")).err().unwrap();
        assert_eq!(failure.error.status(), Status::Io, "{n}: {}", failure.error);
        assert!(!failure.answered);
        assert!(failure.sent || n % 3 == 0);
    }
    assert_eq!(
        (server.connections(), http.retries()),
        (6, 0),
        "a fresh connection that died is never tried again here"
    );
}

#[test]
fn half_a_head_is_an_answer_that_was_cut() {
    let server = Server::closing("HTTP/1.1 200 OK\r\ncontent-le");
    let url = server.url("/");
    let failure = send(&http(), &get(&url)).err().unwrap();
    assert_eq!(failure.error.status(), Status::Io, "{}", failure.error);
    assert!(failure.sent && failure.answered);
}

/// Serves one call, then ends or resets the connection when the next request has come.
fn dies_on_second(reset: bool) -> Server {
    Server::new(move |peer, n| {
        peer.request();
        peer.send(ok("{}"));
        if n == 0 {
            peer.request();
            if reset {
                peer.reset();
            }
        } else {
            while peer.request().is_some() {
                peer.send(ok("{}"));
            }
        }
    })
}

#[test]
fn a_get_whose_reused_connection_died_is_sent_once_more_on_a_new_one() {
    for reset in [false, true] {
        let server = dies_on_second(reset);
        let http = http();
        for _ in 0..3 {
            assert_eq!(fetch(&http, &server.url("/")).unwrap(), (200, b"{}".to_vec()));
        }
        assert_eq!((server.connections(), http.retries(), server.requests().len()), (2, 1, 4));
    }
}

#[test]
fn a_second_death_is_reported() {
    let server = Server::new(|peer, n| {
        peer.request();
        if n == 0 {
            peer.send(ok("{}"));
            peer.request();
        }
    });
    let http = http();
    fetch(&http, &server.url("/")).unwrap();
    assert_status(fetch(&http, &server.url("/")), Status::Io);
    assert_eq!((server.connections(), http.retries()), (2, 1));
}

#[test]
fn a_post_whose_reused_connection_died_is_not_sent_again() {
    let server = dies_on_second(true);
    let http = http();
    let url = server.url("/");
    send(&http, &post(&url, b"1")).unwrap().read_to_vec(10).unwrap();
    let failure = send(&http, &post(&url, b"2")).err().unwrap();
    assert_eq!(failure.error.status(), Status::Io);
    assert!(failure.sent && !failure.answered);
    assert_eq!((server.requests().len(), http.retries()), (2, 0));
}

#[test]
fn a_post_uses_no_connection_that_was_idle_for_long() {
    let server = Server::answering(ok("{}"));
    let http = http();
    let url = server.url("/");
    fetch(&http, &url).unwrap();
    send(&http, &post(&url, b"1")).unwrap().read_to_vec(10).unwrap();
    assert_eq!(server.connections(), 1);
    thread::sleep(Duration::from_millis(1100));
    send(&http, &post(&url, b"2")).unwrap().read_to_vec(10).unwrap();
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_noticed() {
    for reset in [false, true] {
        let server = Server::new(move |peer, _| {
            peer.request();
            peer.send(ok("{}"));
            if reset {
                peer.reset();
            }
        });
        let http = http();
        let url = server.url("/");
        for _ in 0..3 {
            send(&http, &post(&url, b"{}")).unwrap().read_to_vec(10).unwrap();
            // Long enough for the end to arrive on loopback; were it late, the POST would fail and not pass by luck.
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!((server.connections(), server.requests().len(), http.retries()), (3, 3, 0));
    }
}

#[test]
fn bytes_that_nobody_asked_for_never_become_an_answer() {
    for at_once in [true, false] {
        let server = Server::new(move |peer, n| {
            while peer.request().is_some() {
                let poison = ok("\"poison\"");
                let good = ok(&format!("{n}"));
                if at_once {
                    peer.send(format!("{good}{poison}"));
                } else {
                    peer.send(good);
                    thread::sleep(Duration::from_millis(20));
                    peer.send(poison);
                }
            }
        });
        let http = http();
        for n in 0..3 {
            assert_eq!(fetch(&http, &server.url("/")).unwrap().1, n.to_string().as_bytes());
            thread::sleep(Duration::from_millis(60));
        }
    }
}

#[test]
fn a_refusal_in_the_middle_of_an_upload_is_read() {
    let server = Server::new(|peer, _| {
        use std::io::Read;
        let _ = peer.stream.read(&mut [0; 1000]);
        peer.send("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig");
        let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        // The rest of the upload is met with a reset.
    });
    let http = http();
    let url = server.url("/");
    let body = vec![b'x'; 8 << 20];
    let mut read = 0;
    for _ in 0..5 {
        match send(&http, &post(&url, &body)) {
            Ok(reply) => {
                assert_eq!(reply.status(), 413);
                assert_eq!(reply.read_to_vec(10).unwrap(), b"big");
                read += 1;
            }
            Err(failure) => {
                assert_eq!(failure.error.status(), Status::Io);
                assert!(failure.sent);
            }
        }
    }
    assert!(read > 0, "the kernel keeps what came before the reset");
    assert_eq!(server.connections(), 5);
}

#[test]
fn statuses_that_nobody_asked_for_are_protocol() {
    for status in ["099", "101", "304", "600", "999", "1000", "2OO"] {
        let server = Server::answering(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"));
        let url = server.url("/");
        let failure = send(&http(), &get(&url)).err().unwrap();
        assert_eq!(failure.error.status(), Status::Protocol, "{status}: {}", failure.error);
    }
}

#[test]
fn informational_heads_are_passed_over() {
    let server = Server::answering(format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{}",
        ok("1")
    ));
    assert_eq!(fetch(&http(), &server.url("/")).unwrap(), (200, b"1".to_vec()));
}

#[test]
fn what_is_not_http_is_protocol() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "<html>canary</html>\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncanary\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        let server = Server::answering(answer);
        let error = assert_status(fetch(&http(), &server.url("/")), Status::Protocol);
        assert!(!error.message().contains("canary"), "{error}");
    }
}

#[test]
fn an_answer_with_any_byte_changed_ends_as_an_answer_or_an_error() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\n01234\r\n0\r\nx: y\r\n\r\n".to_owned();
    for answer in [ok("01234"), chunked] {
        let whole = answer.clone().into_bytes();
        let server = Server::new(move |peer, n| {
            let mut bytes = whole.clone();
            bytes[n / 8] = b"\0\n\r :0\xff~"[n % 8];
            peer.request();
            peer.send(bytes);
        });
        let http = http();
        for _ in 0..answer.len() * 8 {
            let started = Instant::now();
            if let Err(error) = fetch(&http, &server.url("/")) {
                assert!(matches!(error.status(), Status::Protocol | Status::Io), "{error}");
            }
            assert!(started.elapsed() < Duration::from_secs(2));
        }
        assert_eq!(server.connections(), answer.len() * 8);
    }
}

#[test]
fn a_head_that_is_too_long_is_protocol_and_not_a_lost_connection() {
    let mut heads = Vec::new();
    for kb in [31, 32, 33, 64, 70, 1000] {
        heads.push(format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(kb * 1024)));
    }
    heads.push(format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(150)));
    heads.push(format!(
        "HTTP/1.1 200 OK\r\n{}",
        "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(20_000)
    ));
    for head in heads {
        let server = Server::answering(head);
        assert_status(fetch(&http(), &server.url("/")), Status::Protocol);
    }
    let server =
        Server::answering(format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 1\r\n\r\n1", "a".repeat(29 * 1024)));
    assert_eq!(fetch(&http(), &server.url("/")).unwrap().1, b"1");
}

#[test]
fn waits_that_the_service_asks_for_are_read() {
    use std::time::SystemTime;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let date = |offset: i64| {
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs((1_700_000_000 + offset) as u64))
    };
    let wish = |headers: &str| {
        let server = Server::answering(format!("HTTP/1.1 429 Slow\r\n{headers}content-length: 0\r\n\r\n"));
        send(&http(), &get(&server.url("/"))).unwrap().retry_after(|| now)
    };
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(wish(""), None);
    assert_eq!(wish("retry-after: 0\r\n"), seconds(0));
    assert_eq!(wish("Retry-After:  7 \r\n"), seconds(7));
    assert_eq!(wish("retry-after: 7\r\nretry-after: 9\r\nretry-after: 8\r\n"), seconds(9));
    assert_eq!(wish(&format!("retry-after: {}\r\nretry-after: 8\r\n", date(30))), seconds(30));
    assert_eq!(wish(&format!("retry-after: {}\r\n", date(-30))), seconds(0));
    // The clock that wrote the time counts, not ours, which may be hours away from it.
    assert_eq!(wish(&format!("date: {}\r\nretry-after: {}\r\n", date(7_200), date(7_230))), seconds(30));
    for garbage in ["soon", "-1", "1e12", "+5", "1.5", ""] {
        assert_eq!(wish(&format!("retry-after: {garbage}\r\n")), None, "{garbage}");
    }
    for huge in ["1000000000000", "99999999999999999999999999"] {
        assert_eq!(wish(&format!("retry-after: {huge}\r\n")), seconds(366 * 24 * 3600));
    }
}

#[test]
fn the_head_can_be_read() {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nX-Request-Id: r1\r\nX-Odd: \u{fc}\r\ncontent-length: 2\r\n\r\n{}",
    );
    let url = server.url("/");
    let reply = send(&http(), &get(&url)).unwrap();
    assert_eq!(reply.header("x-request-id"), Some("r1"));
    assert_eq!((reply.header("x-odd"), reply.header("x-none"), reply.header("not a name")), (None, None, None));
    assert_eq!(reply.content_length(), Some(2));
}

#[test]
fn a_closed_client_refuses_calls() {
    let server = Server::answering(ok("{}"));
    let http = http();
    fetch(&http, &server.url("/")).unwrap();
    http.shutdown();
    http.shutdown();
    assert_status(fetch(&http, &server.url("/")), Status::Closed);
    let url = server.url("/");
    let failure = send(&http, &Request { public_only: true, ..get(&url) }).err().unwrap();
    assert_eq!(failure.error.status(), Status::Closed);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_link_to_this_machine_or_its_network_is_blocked() {
    let server = Server::answering(ok("{}"));
    let http = http();
    fetch(&http, &server.url("/")).unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "127.9.9.9"] {
        let url = Url::parse(&format!("http://{host}:{}/", server.port())).unwrap();
        let failure = send(&http, &Request { public_only: true, ..get(&url) }).err().unwrap();
        assert_eq!(failure.error.status(), Status::Blocked, "{host}: {}", failure.error);
        assert!(!failure.sent);
    }
    assert_eq!((server.connections(), http.connections_opened()), (1, 1));
}
