//! What an image's link means, which redirects it may take, and that the key stays behind.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Answer, Asked, KEY, PNG, Server, json, options, redirect, succeeded, task_with_image, typed, within};
use imgtask::{Client, Error, Options, Status};

/// A service whose images want the key.
const WITH_KEY: &str = r#"{
    "dialect": 1, "name": "own", "title": "Own", "key_variable": "OWN_API_KEY",
    "submit": {"path": "/make"}, "poll": {"paths": ["/look/{id}"]},
    "read": {"images": {"items": ["/images"], "url": ["/url"], "auth": "same_origin"}}
}"#;

fn with_key(server: &Server) -> Client {
    let dialect_json = Some(WITH_KEY.into());
    let options = Options { provider: String::new(), dialect_json, allow_private_images: true, ..options("", server) };
    Client::create(&options).expect("a client")
}

fn refused(client: &Client, link: &str) -> Error {
    client.download(&task_with_image(link), 0).expect_err(link)
}

/// The requests that carried the key, by path.
fn keyed(server: &Server) -> Vec<String> {
    let has_key = |asked: &Asked| asked.headers.iter().any(|(_, value)| value.contains(KEY));
    server.asked().into_iter().filter(has_key).map(|asked| asked.path).collect()
}

#[test]
fn the_key_goes_along_on_the_apis_own_origin_only_and_never_again_behind_a_redirect_that_left_it() {
    let elsewhere = Arc::new(Mutex::new(String::new()));
    let (cdn_url, api_url) = (elsewhere.clone(), Arc::new(Mutex::new(String::new())));
    let back = api_url.clone();
    let api = Server::start(move |asked, _| match asked.path.as_str() {
        "/here" => redirect("/image"),
        "/beside" => redirect("image"),
        "/away" => redirect(&format!("{}/image", cdn_url.lock().expect("a lock"))),
        "/away-and-back" => redirect(&format!("{}/back", cdn_url.lock().expect("a lock"))),
        _ => typed("image/png", PNG),
    });
    let cdn = Server::start(move |asked, _| match asked.path.as_str() {
        "/back" => redirect(&format!("{}/came-back", back.lock().expect("a lock"))),
        _ => typed("image/png", PNG),
    });
    *elsewhere.lock().expect("a lock") = cdn.url();
    *api_url.lock().expect("a lock") = api.url();
    let client = with_key(&api);
    let other_name = api.url().replace("127.0.0.1", "localhost");
    for link in [
        format!("{}/image", api.url()),
        format!("{}/here", api.url()),
        format!("{}/beside", api.url()),
        format!("{}/away", api.url()),
        format!("{}/away-and-back", api.url()),
        format!("{}/other-name", other_name),
        format!("{}/other-port", cdn.url()),
        format!("{}/back", cdn.url()),
    ] {
        assert_eq!(client.download(&task_with_image(&link), 0).expect(&link).data, PNG);
    }
    assert_eq!(keyed(&api), ["/image", "/here", "/image", "/beside", "/image", "/away", "/away-and-back"]);
    assert_eq!(keyed(&cdn), [""; 0]);
    assert_eq!(cdn.asked().len(), 4);
    assert!(api.asked().iter().filter(|asked| asked.path == "/came-back").count() == 2);
}

#[test]
fn the_range_goes_along_to_the_last_host_and_the_key_does_not() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let cdn = Server::start(move |asked, _| {
        let head = "Content-Type: image/png\r\nETag: \"v1\"\r\n";
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            let head = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 69\r\n\r\n");
            return Answer::Last([head.as_bytes(), &PNG[..40]].concat());
        }
        assert_eq!((asked.header("range"), asked.header("if-range")), (Some("bytes=40-"), Some("\"v1\"")));
        let head = format!("HTTP/1.1 206 X\r\n{head}Content-Range: bytes 40-68/69\r\nContent-Length: 29\r\n\r\n");
        Answer::Raw([head.as_bytes(), &PNG[40..]].concat())
    });
    let target = format!("{}/a.png?sig=abc", cdn.url());
    let api = Server::start(move |_, _| redirect(&target));
    let picture = with_key(&api).download(&task_with_image(&format!("{}/a", api.url())), 0).expect("downloaded");
    assert_eq!((picture.data.as_slice(), tries.load(Ordering::Relaxed)), (PNG, 2));
    assert_eq!((keyed(&api).len(), keyed(&cdn).len()), (2, 0));
    let known = ["host", "user-agent", "accept-encoding", "accept", "range", "if-range"];
    for asked in cdn.asked() {
        let unknown = asked.headers.iter().find(|(name, _)| !known.contains(&name.as_str()));
        assert!(unknown.is_none(), "{unknown:?} went along");
    }
}

#[test]
fn five_redirects_are_followed_and_no_sixth() {
    let api = Server::start(|asked, _| match asked.path.trim_start_matches('/').parse::<u32>() {
        Ok(0) => typed("image/png", PNG),
        Ok(left) => redirect(&format!("/{}", left - 1)),
        Err(_) => redirect(&asked.path),
    });
    let client = common::client("dimilinks", &api);
    assert_eq!(client.download(&task_with_image(&format!("{}/5", api.url())), 0).expect("five").data, PNG);
    let five = api.asked().len();
    for link in ["6", "loop"] {
        let before = api.asked().len();
        let error = refused(&client, &format!("{}/{link}", api.url()));
        assert_eq!((error.status(), api.asked().len() - before), (Status::Rejected, 6), "{error}");
        assert!(error.message().contains("more than 5 times"), "{error}");
    }
    assert_eq!(five, 6);
    assert_eq!(api.connections(), 1, "one connection serves all hops");
}

#[test]
fn every_kind_of_redirect_is_followed_and_a_status_that_is_none_is_not() {
    let api = Server::start(|asked, _| match asked.path.trim_start_matches('/').parse::<u16>() {
        Ok(status) => {
            let head = format!("HTTP/1.1 {status} X\r\nLocation: /image\r\nContent-Length: 0\r\n\r\n");
            Answer::Raw(head.into_bytes())
        }
        Err(_) => typed("image/png", PNG),
    });
    let client = common::client("dimilinks", &api);
    for status in [301, 302, 303, 307, 308] {
        let link = format!("{}/{status}", api.url());
        assert_eq!(client.download(&task_with_image(&link), 0).expect(&link).data, PNG);
    }
    for status in [300, 305, 306] {
        let error = refused(&client, &format!("{}/{status}", api.url()));
        assert_eq!((error.status(), error.http_status()), (Status::Rejected, status));
    }
}

#[test]
fn a_redirect_with_an_endless_body_costs_a_moment() {
    let api = Server::start(|asked, _| match asked.path.as_str() {
        "/endless" => Answer::Own(Box::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 302 X\r\nLocation: /image\r\nTransfer-Encoding: chunked\r\n\r\n");
            while stream.write_all(b"1\r\nx\r\n").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        })),
        // The place is known, but the head is not over.
        "/half" => Answer::Own(Box::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 302 X\r\nLocation: /image\r\n");
            let _ = stream.read(&mut [0; 1]);
        })),
        _ => typed("image/png", PNG),
    });
    let options = Options { stall_timeout_ms: 300, ..options("dimilinks", &api) };
    let client = Client::create(&options).expect("a client");
    within(Duration::from_secs(2), || {
        let link = format!("{}/endless", api.url());
        assert_eq!(client.download(&task_with_image(&link), 0).expect("an image").data, PNG);
    });
    thread::scope(|scope| {
        let running = scope.spawn(|| refused(&client, &format!("{}/half", api.url())));
        // Asked again: the first try is over.
        while api.asked().iter().filter(|asked| asked.path == "/half").count() < 2 && !running.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        client.interrupt();
        assert_eq!(running.join().expect("joins").status(), Status::Cancelled);
    });
    assert_eq!(api.asked().iter().filter(|asked| asked.path == "/image").count(), 1, "half a head was followed");
}

#[test]
fn a_redirect_to_what_is_no_address_is_refused_without_repeating_it() {
    let location = Arc::new(Mutex::new(Vec::new()));
    let told = location.clone();
    let api = Server::start(move |_, _| {
        let location = told.lock().expect("a lock").clone();
        Answer::Raw([b"HTTP/1.1 302 X\r\n", &location[..], b"Content-Length: 0\r\n\r\n"].concat())
    });
    let client = common::client("dimilinks", &api);
    let long = format!("Location: /canary{}\r\n", "a".repeat(70_000));
    let cases: [(&str, Status); 16] = [
        ("", Status::Rejected),
        ("Location:\r\n", Status::Rejected),
        ("Location: ../canary\r\n", Status::Rejected),
        ("Location: file:///canary\r\n", Status::Rejected),
        ("Location: javascript:canary\r\n", Status::Rejected),
        ("Location: data:image/png;base64,canary\r\n", Status::Rejected),
        ("Location: ftp://canary.example/\r\n", Status::Rejected),
        ("Location: /a canary\r\n", Status::Rejected),
        ("Location: /\u{fc}canary\r\n", Status::Rejected),
        ("Location: http://canary\u{fc}.example/\r\n", Status::Rejected),
        ("Location: http://canary:p@127.0.0.1/\r\n", Status::Rejected),
        ("Location: //canary@127.0.0.1/\r\n", Status::Rejected),
        ("Location: http://127.0.0.1:99999/canary\r\n", Status::Rejected),
        ("Location: /\\canary\r\n", Status::Rejected),
        ("Location: http:///canary\r\n", Status::Rejected),
        (&long, Status::Protocol),
    ];
    for (header, status) in cases {
        *location.lock().expect("a lock") = header.as_bytes().to_vec();
        let before = api.asked().len();
        let error = refused(&client, &format!("{}/a?sig=CANARYSIG", api.url()));
        assert_eq!((error.status(), api.asked().len() - before), (status, 1), "{header:.60}: {error}");
        assert!(!format!("{error:?}").to_lowercase().contains("canary"), "{error:?}");
    }
}

/// A host whose certificate the returned file's authority signed, and that answers the head of a request once for each connection.
fn secure_host(answer: impl Fn(&str) -> String + Send + 'static) -> (u16, tempfile::TempDir, PathBuf) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("an authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).expect("a root").pem();
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned(), "eu.pictures.example".to_owned()]).expect("a leaf");
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).expect("signed");
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, root).expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let config = Arc::new(config);
    // Ends with the test program.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let answer = answer(&String::from_utf8_lossy(&head));
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, folder, ca_file)
}

/// A proxy whose tunnels all end at one port of this machine, whatever they were asked for.
fn proxy_to(port: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    // Ends with the test program.
    thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && near.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
            }
            near.write_all(b"HTTP/1.1 200 X\r\n\r\n").expect("told");
            let mut far = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the host");
            let (mut from_near, mut to_far) = (near.try_clone().expect("two"), far.try_clone().expect("two"));
            thread::spawn(move || std::io::copy(&mut from_near, &mut to_far));
            let _ = std::io::copy(&mut far, &mut near);
        }
    });
    format!("http://{address}")
}

#[test]
fn a_redirect_down_to_plain_http_is_refused_and_nothing_is_asked_there() {
    let plain = Server::start(|_, _| typed("image/png", PNG));
    let target = format!("{}/a.png?sig=CANARYSIG", plain.url());
    let (port, _folder, ca_file) =
        secure_host(move |_| format!("HTTP/1.1 302 X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"));
    let base_url = Some(format!("https://localhost:{port}"));
    for allow_private_images in [false, true] {
        let ca_file = Some(ca_file.clone());
        let options =
            Options { base_url: base_url.clone(), ca_file, allow_private_images, ..options("dimilinks", &plain) };
        let error = refused(&Client::create(&options).expect("a client"), &format!("https://localhost:{port}/a"));
        assert_eq!(error.status(), Status::Blocked, "{error}");
        assert!(error.message().contains("plain http") && !error.message().contains("CANARYSIG"), "{error}");
    }
    assert_eq!(plain.connections(), 0);
}

#[test]
fn no_redirect_of_the_api_itself_is_followed_or_changes_a_submit_into_a_look() {
    let elsewhere = Server::start(|_, _| json(r#"{"id":"img_1","status":"queued"}"#));
    let target = format!("{}/v1/tasks/img_1?sig=CANARYSIG", elsewhere.url());
    for status in [301, 302, 303, 307, 308] {
        for location in [&target, "/v1/tasks/img_1?sig=CANARYSIG", "//u:CANARY@127.0.0.1/"] {
            let head = format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            let api = Server::start(move |_, _| Answer::Raw(head.clone().into_bytes()));
            let client = common::client("dimilinks", &api);
            let errors = [client.fetch("img_1").expect_err("a look"), client.submit("{}").expect_err("a submit")];
            for error in errors {
                assert_eq!((error.status(), error.http_status()), (Status::Rejected, status), "{error}");
                assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            }
            assert_eq!((api.asked().len(), elsewhere.connections()), (2, 0), "{status} {location}");
        }
    }
}

#[test]
fn a_relative_link_belongs_to_the_host_that_the_poll_address_was_followed_to() {
    let body = r#"{"id":"t","status":"done","images":[{"url":"/a.png?sig=1"},{"url":"//cdn.example/b.png"}]}"#;
    let length = body.len();
    let (port, _folder, ca_file) =
        secure_host(move |_| format!("HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\n{body}"));
    let hosts = r#""follow": "/where", "follow_hosts": ["*.pictures.example"], "paths""#;
    let api = Server::start(|_, _| json("{}"));
    let options = Options {
        provider: String::new(),
        dialect_json: Some(WITH_KEY.replace(r#""paths""#, hosts)),
        ca_file: Some(ca_file),
        proxy_url: Some(proxy_to(port)),
        ..options("", &api)
    };
    let client = Client::create(&options).expect("a client");
    let task = client.fetch("https://eu.pictures.example/at?job=7").expect("followed");
    let links: Vec<_> = task.images.iter().map(|image| image.url()).collect();
    assert_eq!(links, ["https://eu.pictures.example/a.png?sig=1", "https://cdn.example/b.png"]);
    for elsewhere in [format!("https://eu.pictures.example:{port}/at"), "http://eu.pictures.example/at".to_owned()] {
        let error = client.fetch(&elsewhere).expect_err("a port of its own, or no TLS");
        assert!(error.message().contains("the key goes nowhere else"), "{error}");
    }
    assert_eq!(api.connections(), 0);
}

#[test]
fn a_relative_second_answer_and_its_links_belong_to_the_host_that_wrote_them() {
    let (port, _folder, ca_file) = secure_host(|head| {
        let body = match head.split(' ').nth(1) {
            Some("/at?job=7") => r#"{"id":"t","status":"done","more":"/result?job=7"}"#,
            Some("/look/t") => r#"{"id":"t","status":"done","more":"https://eu.pictures.example/result?job=7"}"#,
            Some("/result?job=7") if head.contains("eu.pictures.example") && head.contains(KEY) => {
                r#"{"images":[{"url":"/a.png?sig=1"}]}"#
            }
            _ => "{}",
        };
        format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let hosts = r#""follow": "/where", "follow_hosts": ["*.pictures.example"], "paths""#;
    let dialect = WITH_KEY.replace(r#""paths""#, hosts).replace(r#""read": {"#, r#""read": {"result_get": "/more", "#);
    let options = Options {
        dialect_json: Some(dialect),
        api_key: Some(KEY.into()),
        base_url: Some(format!("https://localhost:{port}")),
        ca_file: Some(ca_file),
        proxy_url: Some(proxy_to(port)),
        ..Options::default()
    };
    let client = Client::create(&options).expect("a client");
    for reference in ["https://eu.pictures.example/at?job=7", "t"] {
        let task = client.fetch(reference).expect("followed");
        let links: Vec<_> = task.images.iter().map(|image| image.url()).collect();
        assert_eq!(links, ["https://eu.pictures.example/a.png?sig=1"], "{reference}");
    }
}

#[test]
fn a_link_that_is_none_leaves_the_others_in_their_places_and_is_told_without_its_text() {
    let api = Server::start(|_, _| {
        json(&succeeded(&[
            "ftp://CANARY.example/",
            "",
            "https://u:CANARY@h/",
            "/p/\u{56fe}.png?sig=%2f",
            "https://h:0/",
        ]))
    });
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let options = Options {
        log_level: imgtask::LogLevel::Warn,
        log: Some(Arc::new(move |_, line: &str| sink.lock().expect("a lock").push(line.to_owned()))),
        ..options("dimilinks", &api)
    };
    let task = Client::create(&options).expect("a client").fetch("img_1").expect("served");
    let images: Vec<_> = task.images.iter().map(|image| (image.source_index, image.url().to_owned())).collect();
    assert_eq!(images, [(3, format!("{}/p/%E5%9B%BE.png?sig=%2f", api.url()))]);
    let told = lines.lock().expect("a lock").join("\n");
    for words in ["must begin with https://", "user name or a password", "has a port"] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("CANARY"), "{told}");
}

#[test]
fn a_second_image_of_one_item_is_renewed_as_itself() {
    let dialect = r#"{
        "dialect": 1, "name": "own", "title": "Own", "key_variable": "OWN_API_KEY",
        "submit": {"path": "/make"}, "poll": {"paths": ["/look/{id}"]},
        "read": {"images": {"items": ["/images"], "url": ["/url"]}}
    }"#;
    let looks = AtomicUsize::new(0);
    let api = Server::start(move |asked, _| match asked.path.as_str() {
        "/look/t" => {
            let n = looks.fetch_add(1, Ordering::Relaxed);
            let links = |item| format!(r#"{{"url":["/{item}0?sig={n}","","/{item}1?sig={n}"]}}"#);
            json(&format!(r#"{{"id":"t","status":"done","images":[{},{}]}}"#, links("a"), links("b")))
        }
        path if path.ends_with("sig=0") => Answer::Json(403, String::new()),
        // Which image it is stands behind its end.
        path => typed("image/png", &[PNG, &path.as_bytes()[1..3]].concat()),
    });
    let dialect_json = Some(dialect.into());
    let options = Options { provider: String::new(), dialect_json, ..options("", &api) };
    let client = Client::create(&options).expect("a client");
    let task = client.fetch("t").expect("served");
    let told: Vec<_> = (0..4)
        .map(|index| {
            let data = client.download(&task, index).expect("renewed").data;
            String::from_utf8_lossy(&data[PNG.len()..]).into_owned()
        })
        .collect();
    assert_eq!(told, ["a0", "a1", "b0", "b1"]);
}
