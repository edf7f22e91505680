//! Answers to the request for an image that lie, stop, stall or are no image: the file is right or absent, and the client works on.

mod common;

use std::fs;
use std::io::{Cursor, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use common::{Answer, PNG, Server, client, options, task_with_image, typed, within};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use imgtask::{Client, Error, Options, SavedPicture, Status};

/// Downloads into a folder that must hold the image or nothing afterwards.
fn save(client: &Client, server: &Server) -> Result<(SavedPicture, Vec<u8>), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.png");
    let saved = client.download_file(&task_with_image(&format!("{}/a?sig=CANARYSIG", server.url())), 0, &path, true);
    let names: Vec<PathBuf> =
        fs::read_dir(folder.path()).expect("reads").map(|e| e.expect("an entry").path()).collect();
    match saved {
        Ok(saved) => {
            assert_eq!(names, std::slice::from_ref(&path));
            Ok((saved, fs::read(path).expect("reads")))
        }
        Err(error) => {
            assert!(names.is_empty(), "{error}: {names:?} was left");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            Err(error)
        }
    }
}

fn raw(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\r\n\r\n", body].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: image/png";

fn with_length(length: &str, body: &[u8]) -> Vec<u8> {
    raw(&format!("{OK}\r\nContent-Length: {length}"), body)
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    raw(&format!("{OK}\r\nTransfer-Encoding: chunked"), body)
}

fn until_close(body: &[u8]) -> Vec<u8> {
    raw(&format!("{OK}\r\nConnection: close"), body)
}

#[test]
fn what_cannot_become_an_image_is_refused_at_its_first_answer() {
    let chunks = chunked(PNG);
    let page = b"<!doctype html><html>this is a portal</html>";
    let problem = br#"{"error":{"message":"canary","code":"CANARY"}}"#;
    let encoded = |coding: &str| raw(&format!("{OK}\r\nContent-Encoding: {coding}\r\nContent-Length: 69"), PNG);
    let cases: Vec<(&str, Vec<u8>, Status, &str)> = vec![
        ("a page", with_length("44", page), Status::BadImage, "a web page"),
        ("a page in chunks", in_chunks(&chunked(page)), Status::BadImage, "a web page"),
        ("a page of unknown length", until_close(page), Status::BadImage, "a web page"),
        ("an error with 200", with_length("46", problem), Status::BadImage, "a JSON text"),
        ("other bytes", with_length("20", &[7; 20]), Status::BadImage, "no known image format"),
        ("nothing", with_length("0", b""), Status::BadImage, "is empty"),
        ("nothing in chunks", in_chunks(b"0\r\n\r\n"), Status::BadImage, "is empty"),
        ("three bytes", with_length("3", &PNG[..3]), Status::BadImage, "no known image format"),
        ("204", raw("HTTP/1.1 204 X", b""), Status::Rejected, "HTTP 204"),
        ("205", raw("HTTP/1.1 205 X\r\nContent-Length: 0", b""), Status::Rejected, "HTTP 205"),
        ("304", raw("HTTP/1.1 304 X", b""), Status::Protocol, "HTTP 304"),
        ("a part unasked", raw("HTTP/1.1 206 X\r\nContent-Length: 69", PNG), Status::Protocol, "part of the image"),
        ("a length too short", with_length("68", PNG), Status::BadImage, "its end is missing"),
        ("a negative length", with_length("-1", PNG), Status::Protocol, "HTTP"),
        ("a length of 2^64", with_length("18446744073709551616", PNG), Status::Protocol, "HTTP"),
        ("two lengths", with_length("69\r\nContent-Length: 70", PNG), Status::Protocol, "HTTP"),
        ("a length of 2^64 - 1", with_length("18446744073709551615", PNG), Status::TooLarge, "limit"),
        ("a terabyte", with_length("1099511627776", PNG), Status::TooLarge, "limit"),
        ("chunks of HTTP/1.0", [b"HTTP/1.0 2", &in_chunks(&chunks)[10..]].concat(), Status::Protocol, "coding"),
        ("no chunk size", in_chunks(b"canary\r\n"), Status::Protocol, "HTTP"),
        ("a chunk of 2^64", in_chunks(b"10000000000000000\r\n"), Status::Protocol, "HTTP"),
        ("gzip", encoded("gzip"), Status::Protocol, "compressed"),
        ("br", encoded("br"), Status::Protocol, "compressed"),
        ("GZIP, gzip", encoded("GZIP, gzip"), Status::Protocol, "compressed"),
    ];
    for (name, answer, status, words) in cases {
        let server = Server::start(move |asked, _| match asked.path.as_str() {
            "/good" => typed("image/png", PNG),
            _ => Answer::Last(answer.clone()),
        });
        let client = client("dimilinks", &server);
        let error = save(&client, &server).expect_err(name);
        assert_eq!((error.status(), server.asked().len()), (status, 1), "{name}: {error}");
        assert!(error.message().contains(words), "{name}: {error}");
        // Nothing of it is read as part of the next answer.
        let good = client.download(&task_with_image(&format!("{}/good", server.url())), 0);
        assert_eq!(good.expect(name).data, PNG);
    }
}

#[test]
fn the_type_is_told_by_the_bytes_whatever_the_server_says() {
    for declared in
        ["text/html", "application/json", "application/octet-stream", "image/jpeg", "IMAGE/PNG; x=y", "\u{fc}"]
    {
        let server = Server::start(move |_, _| typed(declared, PNG));
        let (saved, data) = save(&client("dimilinks", &server), &server).expect(declared);
        assert_eq!((data.as_slice(), saved.info.media_type, saved.info.extension), (PNG, "image/png", "png"));
    }
    let server = Server::start(|_, _| Answer::Raw(raw("HTTP/1.1 200 OK\r\nContent-Length: 69", PNG)));
    let (saved, _) = save(&client("dimilinks", &server), &server).expect("no type");
    assert_eq!((saved.info.media_type, saved.info.declared_media_type.as_str()), ("image/png", ""));
}

#[test]
fn an_image_that_the_service_itself_cut_is_refused_wherever_it_was_cut() {
    let pixels: Vec<u8> = (0..8 * 8 * 3).map(|n| (n * 37 % 251) as u8).collect();
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(Cursor::new(&mut jpeg), 50);
    encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).expect("a JPEG");
    let mut webp = Vec::new();
    let encoder = WebPEncoder::new_lossless(Cursor::new(&mut webp));
    encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).expect("a WebP");
    for (format, body) in [("png", PNG.to_vec()), ("jpeg", jpeg), ("webp", webp)] {
        let whole = body.clone();
        let server = Server::start(move |asked, _| {
            let cut = asked.path.trim_start_matches('/').parse::<usize>().expect("a number");
            typed("image/x", &whole[..cut])
        });
        let client = client("dimilinks", &server);
        for cut in 0..=body.len() {
            let picture = client.download(&task_with_image(&format!("{}/{cut}", server.url())), 0);
            match picture {
                Ok(picture) => assert_eq!((cut, picture.data.len()), (body.len(), cut), "{format} cut at {cut}"),
                Err(error) => {
                    assert_eq!(error.status(), Status::BadImage, "{format} cut at {cut}: {error}");
                    assert!(cut < body.len(), "{format}: {error}");
                }
            }
        }
        assert_eq!(server.asked().len(), body.len() + 1, "{format}: a cut of the service's own is not asked for again");
    }
}

#[test]
fn the_size_limit_is_exact_however_the_end_is_told() {
    let framings = [
        ("by a length", with_length("69", PNG)),
        ("by chunks", in_chunks(&chunked(PNG))),
        ("by the connection", until_close(PNG)),
    ];
    for (name, answer) in framings {
        let server = Server::start(move |_, _| Answer::Last(answer.clone()));
        let limited = |max_image_bytes| {
            let options = Options { max_image_bytes, ..options("dimilinks", &server) };
            save(&Client::create(&options).expect("a client"), &server)
        };
        assert_eq!(limited(69).expect(name).1, PNG);
        let error = limited(68).expect_err(name);
        assert_eq!(error.status(), Status::TooLarge, "{name}: {error}");
        assert!(error.message().contains("68 bytes"), "{error}");
    }
}

#[test]
fn a_body_without_end_ends_at_the_limit() {
    for head in [in_chunks(b""), until_close(b"")] {
        let server = Server::start(move |_, _| {
            let head = head.clone();
            Answer::Own(Box::new(move |stream| {
                let _ = stream.write_all(&head);
                let in_chunks = head.windows(7).any(|word| word == b"chunked");
                let piece = [PNG[..16].to_vec(), vec![7; 1008]].concat();
                let piece = if in_chunks { [b"400\r\n", &piece[..], b"\r\n"].concat() } else { piece };
                for _ in 0..100_000 {
                    if stream.write_all(&piece).is_err() {
                        return;
                    }
                }
            }))
        });
        let options = Options { max_image_bytes: 1 << 20, ..options("dimilinks", &server) };
        let client = Client::create(&options).expect("a client");
        within(Duration::from_secs(5), || {
            assert_eq!(save(&client, &server).expect_err("endless").status(), Status::TooLarge);
        });
        assert!(client.stats().bytes_received <= (1 << 20) + 64 * 1024, "{}", client.stats().bytes_received);
        assert_eq!(server.asked().len(), 1);
    }
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// Sends half of it, waits until that has been read, and breaks the connection.
fn broken(bytes: Vec<u8>, by_reset: bool) -> Answer {
    Answer::Own(Box::new(move |stream| {
        let _ = stream.write_all(&bytes);
        if by_reset {
            // What a reset overtakes is lost; here the head must have arrived.
            thread::sleep(Duration::from_millis(20));
            reset(stream);
        }
    }))
}

/// A way to serve an image badly, at every try.
type Fault = fn() -> Answer;

const HALF: usize = 40;

const FAULTS: [(&str, Fault, Status); 12] = [
    ("a length and an end", || broken(with_length("69", &PNG[..HALF]), false), Status::Io),
    ("a length and a reset", || broken(with_length("69", &PNG[..HALF]), true), Status::Io),
    ("a length too long by one", || broken(with_length("70", PNG), false), Status::Io),
    ("half a chunk and an end", || broken(in_chunks(&chunked(PNG)[..HALF]), false), Status::Io),
    ("half a chunk and a reset", || broken(in_chunks(&chunked(PNG)[..HALF]), true), Status::Io),
    ("all chunks but the last", || broken(in_chunks(&chunked(PNG)[..4 + PNG.len() + 2]), false), Status::Io),
    ("no length and an end", || broken(until_close(&PNG[..HALF]), false), Status::Io),
    ("no length and a reset", || broken(until_close(&PNG[..HALF]), true), Status::Io),
    ("no length, all of it and a reset", || broken(until_close(PNG), true), Status::Io),
    ("no length and nothing", || broken(until_close(b""), false), Status::Io),
    ("half a head", || broken(OK.into(), false), Status::Io),
    (
        "half of it and silence",
        || {
            Answer::Own(Box::new(|stream| {
                let _ = stream.write_all(&with_length("69", &PNG[..HALF]));
                let _ = std::io::Read::read(stream, &mut [0]);
            }))
        },
        Status::Timeout,
    ),
];

#[test]
fn a_body_that_breaks_off_at_every_try_is_an_error_after_five_and_leaves_nothing() {
    thread::scope(|scope| {
        for (name, fault, status) in FAULTS {
            scope.spawn(move || {
                let server = Server::start(move |_, _| fault());
                let options = Options { stall_timeout_ms: 300, ..options("dimilinks", &server) };
                let error = save(&Client::create(&options).expect("a client"), &server).expect_err(name);
                assert_eq!((error.status(), server.asked().len()), (status, 5), "{name}: {error}");
            });
        }
    });
}

#[test]
fn a_body_that_breaks_off_twice_comes_whole_the_third_time() {
    thread::scope(|scope| {
        for (name, fault, _) in FAULTS {
            scope.spawn(move || {
                let server = Server::start(move |_, before| match before {
                    0 | 1 => fault(),
                    _ => typed("image/png", PNG),
                });
                let options = Options { stall_timeout_ms: 300, ..options("dimilinks", &server) };
                let (_, data) = save(&Client::create(&options).expect("a client"), &server).expect(name);
                assert_eq!((data.as_slice(), server.asked().len()), (PNG, 3), "{name}");
            });
        }
    });
}

#[test]
fn a_rest_that_is_longer_than_the_image_is_refused() {
    let server = Server::start(|asked, _| match asked.header("range") {
        None => broken(with_length("69", &PNG[..HALF]), false),
        Some(_) => {
            let head = "HTTP/1.1 206 X\r\nContent-Range: bytes 40-68/69\r\nTransfer-Encoding: chunked";
            Answer::Last(raw(head, &chunked(&[&PNG[HALF..], b"and more"].concat())))
        }
    });
    let error = save(&client("dimilinks", &server), &server).expect_err("longer");
    assert_eq!(error.status(), Status::Protocol, "{error}");
}

/// One byte at a time, each after a pause.
fn dripping(pause: Duration) -> Answer {
    Answer::Own(Box::new(move |stream| {
        for byte in with_length("69", PNG) {
            thread::sleep(pause);
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
    }))
}

#[test]
fn only_silence_is_too_slow() {
    // Three stall limits until the last byte, and none without one.
    let server = Server::start(|_, _| dripping(Duration::from_millis(15)));
    let options_of = |stall_timeout_ms| Options { stall_timeout_ms, ..options("dimilinks", &server) };
    let steady = Client::create(&options_of(700)).expect("a client");
    assert_eq!(save(&steady, &server).expect("slow").1, PNG);
    assert_eq!(server.asked().len(), 1);

    // A gateway that fetches the image itself gives its first byte late.
    let server = Server::start(|_, _| {
        thread::sleep(Duration::from_millis(600));
        typed("image/png", PNG)
    });
    let patient = Client::create(&Options { stall_timeout_ms: 5_000, ..options("dimilinks", &server) });
    assert_eq!(save(&patient.expect("a client"), &server).expect("late").1, PNG);
    assert_eq!(server.asked().len(), 1);
}

#[test]
#[ignore = "twenty seconds"]
fn a_first_byte_after_twenty_seconds_is_soon_enough_without_any_option() {
    let server = Server::start(|_, _| {
        thread::sleep(Duration::from_secs(20));
        typed("image/png", PNG)
    });
    assert_eq!(save(&client("dimilinks", &server), &server).expect("late").1, PNG);
    assert_eq!(server.asked().len(), 1);
}
