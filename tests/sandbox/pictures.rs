//! The pictures and their links.

use serde_json::json;

use crate::harness::{Reply, Sandbox, Service, ask, find, until};

/// Format, width and height, read from the file itself.
fn measure(file: &[u8]) -> (&'static str, u32, u32) {
    let big = |at: usize, bytes: usize| file[at..at + bytes].iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
    if file.starts_with(b"\x89PNG\r\n\x1a\n") {
        assert!(file.ends_with(b"IEND\xae\x42\x60\x82"));
        return ("png", big(16, 4), big(20, 4));
    }
    if file.starts_with(b"\xff\xd8") {
        assert!(file.ends_with(b"\xff\xd9"));
        let mut at = 2;
        loop {
            assert_eq!(file[at], 0xff);
            if (0xc0..=0xc2).contains(&file[at + 1]) {
                return ("jpeg", big(at + 7, 2), big(at + 5, 2));
            }
            at += 2 + big(at + 2, 2) as usize;
        }
    }
    assert!(file.starts_with(b"RIFF") && &file[8..16] == b"WEBPVP8L");
    let bits = u32::from_le_bytes([file[21], file[22], file[23], file[24]]);
    ("webp", (bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1)
}

/// Creates synchronously; returns the first picture's answer.
fn picture(service: &Service<'_>, members: serde_json::Value) -> Reply {
    let reply = service.post("/v1/images/generations", &members);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let url = service.url(reply.json()["data"][0]["url"].as_str().unwrap());
    ask("GET", &url, &[], b"")
}

#[test]
fn pictures_have_the_format_and_the_size_that_was_asked_for() {
    let sandbox = Sandbox::quick();
    for service in [sandbox.dimilinks(), sandbox.lemondata()] {
        for (format, media_type) in [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp")] {
            let wish = json!({ "prompt": "[duration:0] a fox", "size": "253x187", "output_format": format });
            let reply = picture(&service, wish);
            assert_eq!(reply.header("content-type").as_deref(), Some(media_type));
            assert_eq!(measure(&reply.body), (format, 253, 187));
        }
    }
    let ratio = json!({ "prompt": "[duration:0] a fox", "size": "16:9" });
    assert_eq!(measure(&picture(&sandbox.dimilinks(), ratio).body), ("png", 1024, 576));
    let usual = json!({ "prompt": "[duration:0] a fox" });
    assert_eq!(measure(&picture(&sandbox.lemondata(), usual).body), ("png", 1024, 1024));
}

#[test]
fn a_size_that_is_too_big_or_no_size_is_refused() {
    let sandbox = Sandbox::quick();
    for size in ["5000x5000", "0x10", "wide"] {
        for service in [sandbox.dimilinks(), sandbox.lemondata()] {
            let reply = service.post("/v1/images/generations?async=true", &json!({ "prompt": "a", "size": size }));
            assert_eq!(reply.status, 400, "{size}");
        }
    }
}

#[test]
fn pictures_differ_by_prompt_by_place_and_by_provider_and_stay_the_same_otherwise() {
    let sandbox = Sandbox::quick();
    let draw = |service: &Service<'_>, prompt: &str| {
        let wish = json!({ "prompt": format!("[duration:0] {prompt}"), "size": "64x64" });
        picture(service, wish).body
    };
    let (dimilinks, lemondata) = (sandbox.dimilinks(), sandbox.lemondata());
    let fox = draw(&dimilinks, "a fox");
    assert!(fox == draw(&dimilinks, "a fox"));
    assert!(fox != draw(&dimilinks, "a hen"));
    assert!(fox != draw(&lemondata, "a fox"));
    let pair =
        lemondata.post("/v1/images/generations", &json!({ "prompt": "[duration:0] a fox", "n": 2, "size": "64x64" }));
    let file = |index: usize| ask("GET", pair.json()["data"][index]["url"].as_str().unwrap(), &[], b"").body;
    assert!(file(0) != file(1));
}

/// The link of a finished DimiLinks task.
fn link(service: &Service<'_>, id: &str) -> String {
    let task = service.get(&format!("/v1/tasks/{id}")).json();
    task["result"]["data"][0]["url"].as_str().expect("a link").to_owned()
}

#[test]
fn dimilinks_mints_a_new_link_at_every_look_and_takes_the_old_one_too() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit_finished("a fox");
    let first = link(&service, &id);
    let mut second = first.clone();
    until(|| {
        second = link(&service, &id);
        second != first
    });
    let file = |link: &str| ask("GET", &service.url(link), &[], b"");
    assert_eq!((file(&first).status, file(&second).status), (200, 200));
    assert_eq!(file(&first).header("cache-control").as_deref(), Some("private, max-age=3600"));
    assert!(first.starts_with(&format!("/p/img/{id}/0?exp=")), "{first}");
    let signature = first.split_once("&sig=").unwrap().1;
    assert!(signature.len() == 24 && signature.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn dimilinks_refuses_bad_links_without_a_body() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit_finished("a fox");
    let good = link(&service, &id);
    let status = |link: &str| {
        let reply = ask("GET", &service.url(link), &[service.bearer()], b"");
        assert!(reply.body.is_empty(), "{link}: {}", reply.text());
        reply.status
    };
    let (path, query) = good.split_once('?').unwrap();
    let (exp, sig) = query.split_once('&').unwrap();
    assert_eq!(status(path), 400);
    assert_eq!(status(&format!("{path}?{exp}")), 400);
    assert_eq!(status(&format!("{path}?{exp}&sig=zz")), 400);
    assert_eq!(status(&format!("{path}?exp=soon&{sig}")), 400);
    assert_eq!(status(&good.replace("/0?", "/65?")), 400);
    assert_eq!(status(&good.replace("/0?", "/x?")), 400);
    assert_eq!(status(&format!("{path}?{exp}&sig={}", "0".repeat(24))), 403);
    assert_eq!(status(&good.replace("/0?", "/1?")), 403);
    assert_eq!(status(&good.replace(&*id, "img_000000000000000000000000")), 403);
}

#[test]
fn a_link_dies_after_its_life() {
    let sandbox = Sandbox::start(&["--link-life", "0.2", "--speed", "60"]);
    let service = sandbox.dimilinks();
    let id = service.submit_finished("a fox");
    let old = service.url(&link(&service, &id));
    until(|| ask("GET", &old, &[], b"").status == 403);
    assert_eq!(ask("GET", &service.url(&link(&service, &id)), &[], b"").status, 200);
}

#[test]
fn an_image_can_be_had_in_parts() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let id = service.submit_finished("a fox");
    let url = service.url(&format!("/generated/{id}-0.png"));
    let whole = ask("GET", &url, &[], b"");
    let etag = whole.header("etag").unwrap();
    let part = |range: &str, tag: &str| ask("GET", &url, &[("Range", range.into()), ("If-Range", tag.into())], b"");
    let rest = part("bytes=100-", &etag);
    assert_eq!(rest.status, 206);
    assert_eq!(rest.header("content-range"), Some(format!("bytes 100-{}/{}", whole.body.len() - 1, whole.body.len())));
    assert!(rest.body == whole.body[100..]);
    assert!(part("bytes=0-9", &etag).body == whole.body[..10]);
    assert!(part("bytes=-9", &etag).body == whole.body[whole.body.len() - 9..]);
    assert_eq!(part("bytes=100-", "\"other\"").status, 200);
    assert_eq!(part("bytes=999999999-", &etag).status, 416);
}

#[test]
fn an_image_of_an_unfinished_task_or_an_unknown_place_is_not_there() {
    let sandbox = Sandbox::start(&["--duration", "600"]);
    let service = sandbox.lemondata();
    let id = service.submit("a fox");
    let status = |place: &str| ask("GET", &service.url(&format!("/generated/{id}-{place}.png")), &[], b"").status;
    assert_eq!(status("0"), 404);
    service.finish(&id);
    assert_eq!((status("0"), status("1"), status("x")), (200, 404, 404));
}

#[test]
fn a_key_that_comes_with_an_image_request_is_noticed() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let id = service.submit_finished("a fox");
    let path = format!("/generated/{id}-0.png");
    ask("GET", &service.url(&path), &[], b"");
    let stats = sandbox.stats();
    assert_eq!((&stats["image_gets"], &stats["credentials_on_images"]), (&json!(1), &json!(0)));
    service.get(&path);
    ask("GET", &service.url(&format!("{path}?key={}", service.key)), &[], b"");
    let stats = sandbox.stats();
    assert_eq!((&stats["credentials_on_images"], &stats["keys_in_targets"]), (&json!(1), &json!(1)));
    let requests = sandbox.control("GET", "/requests", "").body;
    assert!(find(&requests, b"Bearer (lemondata key)").is_some());
}
