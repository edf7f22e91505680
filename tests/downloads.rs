//! A file that is right or absent, whatever the link and the network do.

mod common;

use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Answer, Asked, PNG, Server, client, json, succeeded, task_with_image, typed};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use imgtask::Status;

/// How a body's end is told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
}

/// Eight by eight pixels in each format.
fn pictures() -> [(&'static str, Vec<u8>); 3] {
    let pixels: Vec<u8> = (0..8 * 8 * 3).map(|n| (n * 37 % 251) as u8).collect();
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(Cursor::new(&mut jpeg), 1);
    encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).expect("a JPEG");
    // With metadata that hold a preview, which has an end of its own.
    jpeg.splice(2..2, *b"\xFF\xE1\0\x0EExif\0\0\xFF\xD8\xFF\xD9\0\0");
    let mut webp = Vec::new();
    let encoder = WebPEncoder::new_lossless(Cursor::new(&mut webp));
    encoder.write_image(&pixels, 8, 8, ExtendedColorType::Rgb8).expect("a WebP");
    [("png", PNG.to_vec()), ("jpeg", jpeg), ("webp", webp)]
}

/// An answer with `body` from byte `from` on, of which only the bytes up to `cut` arrive.
fn part(body: &[u8], from: usize, cut: Option<usize>, framing: Framing, tag: &str) -> Answer {
    let rest = &body[from..];
    let head = match from {
        0 => "HTTP/1.1 200 OK\r\n".to_owned(),
        _ => format!("HTTP/1.1 206 Partial\r\nContent-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len()),
    };
    let mut bytes = format!("{head}Content-Type: image/x\r\n{tag}").into_bytes();
    let shown = &rest[..cut.map_or(rest.len(), |cut| cut.saturating_sub(from).min(rest.len()))];
    match framing {
        Framing::Length => bytes.extend(format!("Content-Length: {}\r\n\r\n", rest.len()).into_bytes()),
        Framing::Chunked => {
            bytes.extend(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", rest.len()).into_bytes())
        }
        Framing::UntilClose => bytes.extend(b"Connection: close\r\n\r\n"),
    }
    bytes.extend_from_slice(shown);
    if cut.is_none() && framing == Framing::Chunked {
        bytes.extend(b"\r\n0\r\n\r\n");
    }
    if cut.is_some() || framing == Framing::UntilClose { Answer::Last(bytes) } else { Answer::Raw(bytes) }
}

/// The first byte that a request asks for.
fn wanted(asked: &Asked) -> usize {
    let range = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    range.unwrap_or(0)
}

/// A host whose image at `/cut/N` breaks off after N bytes the first time.
fn cutting_host(body: &[u8], framing: Framing, tag: &'static str, ranges: bool) -> Server {
    let body = body.to_vec();
    let seen: Mutex<HashMap<String, usize>> = Mutex::default();
    Server::start(move |asked, _| {
        let times = {
            let mut seen = seen.lock().expect("a lock");
            let times = seen.entry(asked.path.clone()).or_default();
            *times += 1;
            *times
        };
        let cut: usize = asked.path.trim_start_matches("/cut/").parse().expect("a number");
        let from = if ranges { wanted(asked) } else { 0 };
        part(&body, from, (times == 1).then_some(cut), framing, tag)
    })
}

/// Fetches the image of `host` cut at each offset, many at a time, into files of `folder`.
fn fetch_all_cuts(host: &Server, cuts: std::ops::Range<usize>, body: &[u8], folder: &Path, what: &str) {
    let client = client("dimilinks", host);
    let cuts: Vec<usize> = cuts.collect();
    thread::scope(|scope| {
        for cut in cuts {
            let (client, url) = (&client, format!("{}/cut/{cut}", host.url()));
            scope.spawn(move || {
                let path = folder.join(format!("{cut}"));
                let saved = client.download_file(&task_with_image(&url), 0, &path, true);
                let saved = saved.unwrap_or_else(|error| panic!("{what} cut at {cut}: {error}"));
                assert_eq!(fs::read(&path).expect("the file"), body, "{what} cut at {cut}");
                assert_eq!(saved.info.len, body.len() as u64);
            });
        }
    });
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("part")), "{what} left a part behind");
}

/// Connections at a time.
const AT_ONCE: usize = 100;

fn cut_everywhere(framing: Framing, tag: &'static str, ranges: bool) {
    for (format, body) in pictures() {
        // The whole of a body that ends with its connection is no cut one.
        let last = if framing == Framing::UntilClose { body.len() } else { body.len() + 1 };
        for start in (0..last).step_by(AT_ONCE) {
            let host = cutting_host(&body, framing, tag, ranges);
            let folder = tempfile::tempdir().expect("a folder");
            let what = format!("{format} {framing:?} ranges {ranges}");
            fetch_all_cuts(&host, start..last.min(start + AT_ONCE), &body, folder.path(), &what);
            if ranges && start > 0 {
                let asked = host.asked();
                assert!(asked.iter().any(|asked| wanted(asked) >= start), "{what}: no rest was asked for");
            }
        }
    }
}

#[test]
fn a_body_with_a_length_that_is_cut_anywhere_is_resumed_by_its_etag() {
    cut_everywhere(Framing::Length, "ETag: \"v1\"\r\n", true);
}

#[test]
fn a_body_with_a_length_that_is_cut_anywhere_is_resumed_by_its_length() {
    cut_everywhere(Framing::Length, "", true);
}

#[test]
fn a_chunked_body_that_is_cut_anywhere_comes_whole() {
    cut_everywhere(Framing::Chunked, "ETag: \"v1\"\r\n", true);
}

#[test]
fn a_body_that_ends_with_its_connection_and_is_cut_anywhere_comes_whole() {
    cut_everywhere(Framing::UntilClose, "", false);
}

#[test]
fn an_image_that_changed_meanwhile_comes_anew_and_is_never_mixed() {
    let (old, new) = (PNG.to_vec(), pictures()[2].1.clone());
    let expected = new.clone();
    let server = Server::start(move |asked, before| match (before, asked.header("if-range")) {
        (0, _) => part(&old, 0, Some(40), Framing::Length, "ETag: \"v1\"\r\n"),
        // The condition does not hold any more: the whole of the new one.
        (_, Some("\"v1\"")) => part(&new, 0, None, Framing::Length, "ETag: \"v2\"\r\n"),
        (_, other) => panic!("asked with {other:?}"),
    });
    let picture = client("dimilinks", &server).download(&task_with_image(&format!("{}/a", server.url())), 0);
    assert_eq!(picture.expect("downloaded").data, expected);
}

#[test]
fn a_rest_that_does_not_fit_is_thrown_away_once_and_refused_twice() {
    let misfit = |bytes: &'static [u8]| {
        Server::start(move |asked, before| match (before, asked.header("range")) {
            (0, _) => part(PNG, 0, Some(40), Framing::Length, ""),
            (_, Some(_)) => Answer::Raw(bytes.to_vec()),
            (_, None) => part(PNG, 0, None, Framing::Length, ""),
        })
    };
    for odd in [
        &b"HTTP/1.1 206 X\r\nContent-Range: bytes 39-68/69\r\nContent-Length: 1\r\n\r\nx"[..],
        b"HTTP/1.1 206 X\r\nContent-Range: bytes 40-98/99\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 206 X\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 416 X\r\nContent-Length: 0\r\n\r\n",
    ] {
        let server = misfit(odd);
        let picture = client("dimilinks", &server).download(&task_with_image(&format!("{}/a", server.url())), 0);
        assert_eq!(picture.expect("downloaded").data, PNG);
    }
    let part = b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-68/69\r\nContent-Length: 69\r\n\r\n";
    let server = Server::start(move |_, _| Answer::Raw([&part[..], PNG].concat()));
    let error = client("dimilinks", &server).download(&task_with_image(&format!("{}/a", server.url())), 0);
    assert_eq!(error.expect_err("nobody asked for a part").status(), Status::Protocol);
}

/// A service whose clock is `ahead` of ours, and whose links live for two seconds and are good once their time is right.
fn minting_service(ahead: i64) -> (Server, Arc<Mutex<usize>>) {
    let looks: Arc<Mutex<usize>> = Arc::default();
    let counted = Arc::clone(&looks);
    let now =
        move || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64 + ahead * 1000;
    let server = Server::start(move |asked, _| {
        if let Some((_, query)) = asked.path.split_once("?exp=") {
            let exp: i64 = query.split('&').next().and_then(|exp| exp.parse().ok()).expect("a number");
            return if now() < exp { typed("image/png", PNG) } else { common::refusal(403, "expired") };
        }
        *counted.lock().expect("a lock") += 1;
        let body = succeeded(&[&format!("/p/img/img_1/0?exp={}&sig=abc", now() + 2_000)]);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now() as u64));
        let head = format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: ");
        Answer::Raw(format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes())
    });
    (server, looks)
}

#[test]
fn links_that_live_for_two_seconds_arrive_under_any_clock_with_one_more_look_at_most() {
    for ahead in [-600, 0, 600] {
        let (server, looks) = minting_service(ahead);
        let client = client("dimilinks", &server);
        let task = client.fetch("img_1").expect("a task");
        thread::sleep(Duration::from_millis(if ahead == 0 { 2_100 } else { 0 }));
        let picture = client.download(&task, 0).unwrap_or_else(|error| panic!("{ahead} s ahead: {error}"));
        assert_eq!(picture.data, PNG);
        assert!(*looks.lock().expect("a lock") <= 2, "{ahead} s ahead: {} looks", looks.lock().expect("a lock"));
    }
}

#[test]
fn a_link_that_is_refused_in_the_middle_is_renewed_and_goes_on_from_there() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/p/img/img_1/0?exp=9999999999999&sig=old" if asked.header("range").is_none() => {
            part(PNG, 0, Some(40), Framing::Length, "ETag: \"v1\"\r\n")
        }
        "/p/img/img_1/0?exp=9999999999999&sig=old" => common::refusal(403, "expired"),
        "/p/img/img_1/0?exp=9999999999999&sig=new" => {
            assert_eq!((asked.header("range"), asked.header("if-range")), (Some("bytes=40-"), Some("\"v1\"")));
            part(PNG, 40, None, Framing::Length, "ETag: \"v1\"\r\n")
        }
        _ => json(&succeeded(&["/p/img/img_1/0?exp=9999999999999&sig=new"])),
    });
    let client = client("dimilinks", &server);
    let task = task_with_image(&format!("{}/p/img/img_1/0?exp=9999999999999&sig=old", server.url()));
    assert_eq!(client.download(&task, 0).expect("downloaded").data, PNG);
    assert!(server.asked().iter().any(|asked| asked.path.ends_with("sig=new")));
}
