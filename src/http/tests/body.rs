//! Bodies.

use super::*;
use crate::http::Framing;

#[test]
fn a_body_of_known_length_that_is_cut_is_never_a_success() {
    let answer = ok("0123456789");
    let body_at = answer.len() - 10;
    for reset in [false, true] {
        for cut in 0..10 {
            let part = answer.as_bytes()[..body_at + cut].to_vec();
            let server = Server::new(move |peer, _| {
                peer.request();
                peer.send(&part);
                if reset {
                    std::thread::sleep(Duration::from_millis(20));
                    peer.reset();
                }
            });
            let error = assert_status(fetch(&http(), &server.url("/")), Status::Io);
            assert_eq!(error.http_status(), 200);
        }
    }
}

#[test]
fn a_chunked_body_that_is_cut_is_never_a_success() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const BODY: &str = "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n";
    for cut in 0..BODY.len() {
        let server = Server::closing(format!("{HEAD}{}", &BODY[..cut]));
        let result = fetch(&http(), &server.url("/"));
        // With the last chunk there, only an empty line is missing.
        if BODY[..cut].ends_with("0\r\n") || BODY[..cut].ends_with("0\r\n\r") {
            assert!(result.is_err() || result.unwrap().1 == b"0123456789");
        } else {
            assert!(matches!(assert_status(result, Status::Io).http_status(), 200), "{cut}");
        }
    }
    let server = Server::answering(format!("{HEAD}{BODY}"));
    assert_eq!(fetch(&http(), &server.url("/")).unwrap().1, b"0123456789");
}

#[test]
fn a_body_without_length_is_cut_by_a_reset_and_unproven_by_an_end() {
    let server = Server::new(|peer, n| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\n0123456789");
        if n == 0 {
            std::thread::sleep(Duration::from_millis(50));
            peer.reset();
        }
    });
    let http = http();
    assert_status(fetch(&http, &server.url("/")), Status::Io);
    let url = server.url("/");
    let reply = send(&http, &get(&url)).unwrap();
    assert_eq!((reply.framing(), reply.content_length()), (Framing::UntilClose, None));
    assert_eq!(reply.read_to_vec(100).unwrap(), b"0123456789");
}

#[test]
fn the_framing_is_told() {
    for (head, framing) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Framing::Length),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Framing::Length),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n", Framing::Chunked),
        ("HTTP/1.1 204 OK\r\n\r\n", Framing::None),
    ] {
        let server = Server::answering(head);
        let url = server.url("/");
        assert_eq!(send(&http(), &get(&url)).unwrap().framing(), framing, "{head}");
    }
}

#[test]
fn lengths_that_make_no_sense_are_protocol() {
    for length in ["+5", "-1", "18446744073709551616", "5x", "", "5, 6", "0x5"] {
        let server = Server::closing(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n01234"));
        assert_status(fetch(&http(), &server.url("/")), Status::Protocol);
    }
    let server = Server::closing("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n012345");
    assert_status(fetch(&http(), &server.url("/")), Status::Protocol);
    let server = Server::closing("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n01234");
    assert_eq!(fetch(&http(), &server.url("/")).unwrap().1, b"01234");
}

#[test]
fn chunks_win_over_a_length() {
    let server = Server::closing(
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    );
    assert_eq!(fetch(&http(), &server.url("/")).unwrap().1, b"{}");
}

#[test]
fn framing_bytes_are_never_data() {
    for head in [
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n",
    ] {
        let server = Server::closing(format!("{head}2\r\n{{}}\r\n0\r\n\r\n"));
        assert_status(fetch(&http(), &server.url("/")), Status::Protocol);
    }
}

#[test]
fn chunk_sizes_that_make_no_sense_are_protocol() {
    let long = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(300 * 1024));
    for body in [
        "xyz\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}xx0\r\n\r\n",
        &long,
    ] {
        let server = Server::answering(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
        assert_status(fetch(&http(), &server.url("/")), Status::Protocol);
    }
}

#[test]
fn many_small_chunks_are_read_quickly() {
    let body = format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(200_000));
    let server = Server::answering(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
    let started = Instant::now();
    assert_eq!(fetch(&http(), &server.url("/")).unwrap().1.len(), 200_000);
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn an_encoding_that_was_not_asked_for_is_never_data() {
    for encoding in ["gzip", "GZIP", "x-gzip", "br", "deflate", "gzip, gzip", "identity, gzip", "zstd"] {
        let server = Server::answering(format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 2\r\n\r\n{{}}"
        ));
        assert_status(fetch(&http(), &server.url("/")), Status::Protocol);
    }
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-encoding: Identity\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(fetch(&http(), &server.url("/")).unwrap().1, b"{}");
    // The status of an error is kept, its body is not read.
    let server = Server::answering("HTTP/1.1 502 Bad\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}");
    let url = server.url("/");
    let reply = send(&http(), &get(&url)).unwrap();
    assert_eq!(reply.status(), 502);
    assert_status(reply.read_to_vec(10), Status::Protocol);
}

#[test]
fn a_body_may_be_as_long_as_its_limit_and_no_longer() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n".to_owned();
    for answer in [ok("0123456789"), chunked] {
        let server = Server::answering(answer);
        let http = http();
        for _ in 0..2 {
            let body = fetch_within(&http, &server.url("/"), &call(5_000), 10).unwrap().1;
            assert_eq!(body, b"0123456789");
            assert!(body.capacity() > body.len(), "a NUL fits behind it");
        }
        assert_eq!(server.connections(), 1);
        let error = assert_status(fetch_within(&http, &server.url("/"), &call(5_000), 9), Status::TooLarge);
        assert!(error.message().contains("9 bytes"));
    }
}

#[test]
fn a_length_over_the_limit_is_refused_before_a_byte_is_read() {
    let server = Server::new(|peer, _| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n");
        peer.hold();
    });
    let started = Instant::now();
    assert_status(fetch(&http(), &server.url("/")), Status::TooLarge);
    assert!(started.elapsed() < Duration::from_secs(1));
    // Under the limit, memory still follows what has come.
    let server = Server::closing("HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\nshort");
    assert_status(fetch_within(&http(), &server.url("/"), &call(5_000), u64::MAX), Status::Io);
}

#[test]
fn an_endless_body_ends_at_its_limit() {
    for head in ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
        let server = Server::new(move |peer, _| {
            peer.request();
            peer.send(head);
            let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
            for _ in 0..20_000 {
                if !peer.send(&chunk) {
                    return;
                }
            }
            panic!("nobody stopped reading");
        });
        assert_status(fetch_within(&http(), &server.url("/"), &call(5_000), 100_000), Status::TooLarge);
    }
}

#[test]
fn a_large_body_comes_whole_by_both_ways_of_reading() {
    let body: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    let server = Server::answering(answer);
    let http = http();
    assert!(fetch_within(&http, &server.url("/"), &call(10_000), 1 << 30).unwrap().1 == body);
    let url = server.url("/");
    let mut reply = http.send(&get(&url), &call(10_000)).unwrap();
    let mut read = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        match reply.read(&mut buffer).unwrap() {
            0 => break,
            n => read.extend_from_slice(&buffer[..n]),
        }
    }
    assert_eq!(reply.read(&mut buffer).unwrap(), 0);
    assert!(read == body);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_small_body_is_drained_to_keep_the_connection() {
    let server = Server::answering(ok(&"x".repeat(1000)));
    let http = http();
    let url = server.url("/");
    for _ in 0..3 {
        send(&http, &get(&url)).unwrap().drain();
    }
    assert_eq!(server.connections(), 1);
    drop(send(&http, &get(&url)).unwrap());
    fetch(&http, &url).unwrap();
    assert_eq!(server.connections(), 2, "a body left unread costs the connection");

    let server = Server::answering(ok(&"x".repeat(70_000)));
    send(&http, &get(&server.url("/"))).unwrap().drain();
    fetch(&http, &server.url("/")).unwrap();
    assert_eq!(server.connections(), 2);

    let server = Server::new(|peer, _| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        peer.hold();
    });
    let started = Instant::now();
    send(&http, &get(&server.url("/"))).unwrap().drain();
    assert!(started.elapsed() < Duration::from_millis(600));
}

#[test]
fn a_204_with_a_body_does_not_poison_the_next_answer() {
    let server = Server::new(|peer, n| {
        peer.request();
        peer.send(format!("HTTP/1.1 204 No Content\r\n\r\n{}", ok("\"poison\"")));
        if n > 0 {
            return;
        }
        peer.hold();
    });
    let http = http();
    for _ in 0..2 {
        assert_eq!(fetch(&http, &server.url("/")).unwrap(), (204, Vec::new()));
    }
    assert_eq!(server.connections(), 2);
}
