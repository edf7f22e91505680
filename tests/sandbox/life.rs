//! Start, end, control and connections.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Ending, Line, PATIENCE, Sandbox, ask, ask_raw, assert_shape};

#[test]
fn one_line_tells_the_address_and_the_key_of_every_provider() {
    let sandbox = Sandbox::start(&[]);
    for provider in ["dimilinks", "dimilinks-legacy", "lemondata"] {
        let access = &sandbox.line["providers"][provider];
        assert!(access["base_url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{provider}");
        assert!(access["key"].as_str().is_some_and(|key| key.starts_with("sk-")), "{provider}");
    }
    assert!(sandbox.line["url"].is_string() && sandbox.line["key"].is_string() && sandbox.line["control"].is_string());
}

#[test]
fn it_ends_when_its_standard_input_ends_even_with_connections_open() {
    let sandbox = Sandbox::start(&["--duration", "600"]);
    let service = sandbox.dimilinks();
    let id = service.submit("[poll.silent] a fox");
    let url = service.url(&format!("/v1/tasks/{id}"));
    let mut waiting = Line::open(&url);
    waiting.send("GET", &url, &[service.bearer()], b"");
    let mut idle = Line::open(&url);
    let took = sandbox.close();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_ne!(waiting.read_all(PATIENCE).ending, Ending::Open);
    assert_ne!(idle.read_all(PATIENCE).ending, Ending::Open);
}

#[cfg(unix)]
#[test]
fn it_ends_when_its_parent_is_gone_although_nobody_holds_its_input() {
    let start = Instant::now();
    let script = format!("'{}' sandbox < /dev/null & read -r go", env!("CARGO_BIN_EXE_imgtask"));
    let mut shell =
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut stdout = shell.stdout.take().expect("a pipe");
    std::thread::spawn(move || {
        use std::io::Read;
        let mut first = [0; 1];
        let _ = sender.send(stdout.read_exact(&mut first).is_ok());
        // The pipe ends when its last writer, the sandbox, is gone.
        let mut rest = Vec::new();
        let _ = sender.send(stdout.read_to_end(&mut rest).is_ok());
    });
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true), "the sandbox did not start");
    drop(shell.stdin.take());
    shell.wait().expect("the shell ends");
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true), "the sandbox did not end");
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_scenario_that_does_not_exist_is_refused_at_the_start() {
    let output = Command::new(env!("CARGO_BIN_EXE_imgtask"))
        .args(["sandbox", "--scenario", "no-such-thing"])
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-thing"));
}

#[test]
fn the_help_names_every_scenario() {
    let output = Command::new(env!("CARGO_BIN_EXE_imgtask")).args(["sandbox", "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let known = Sandbox::start(&[]).control("GET", "/scenarios", "").json();
    for entry in known["known"].as_array().expect("a list") {
        let name = entry["name"].as_str().expect("a name");
        assert!(help.contains(&format!(" {name}")), "{name}");
    }
}

#[test]
fn a_connection_serves_many_requests_and_pipelined_ones_in_order() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let url = service.url("/v1/tasks/img_1");
    let mut line = Line::open(&url);
    for _ in 0..3 {
        line.send("GET", &url, &[service.bearer()], b"");
        assert_eq!(line.read_reply().status, 404);
    }
    line.send("GET", &url, &[service.bearer()], b"");
    line.send("GET", &url, &[], b"");
    assert_eq!((line.read_reply().status, line.read_reply().status), (404, 401));
    line.send("GET", &url, &[("Connection", "close".into())], b"");
    assert_eq!(line.read_all(PATIENCE).ending, Ending::Fin);
    assert_eq!(sandbox.stats()["connections"], 1);
}

#[test]
fn a_chunked_request_and_an_expecting_one_are_read() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let url = service.url("/v1/images/generations?async=true");
    let mut line = Line::open(&url);
    let head = format!(
        "POST /v1/images/generations?async=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n",
        service.key
    );
    line.send_raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"pro\r\n").as_bytes());
    line.send_raw(b"c\r\nmpt\":\"a fox\"\r\n1\r\n}\r\n0\r\nTrailer: 1\r\n\r\n");
    assert_shape(&line.read_reply().json(), "dimilinks_create_async");
    line.send_raw(format!("{head}Content-Length: 18\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(line.read_reply().status, 100);
    line.send_raw(br#"{"prompt":"a fox"}"#);
    assert_shape(&line.read_reply().json(), "dimilinks_create_async");
}

#[test]
fn what_is_not_http_is_refused_and_the_connection_closed() {
    let sandbox = Sandbox::quick();
    let url = sandbox.dimilinks().url("/");
    for bytes in [
        &b"SSH-2.0-x\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut line = Line::open(&url);
        line.send_raw(bytes);
        let raw = line.read_all(PATIENCE);
        assert!(raw.head().starts_with("HTTP/1.1 400 "), "{}", raw.head());
        assert_eq!(raw.ending, Ending::Fin);
    }
    let mut line = Line::open(&url);
    line.send_raw(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n");
    assert!(line.read_all(PATIENCE).head().starts_with("HTTP/1.1 413 "));
    let mut line = Line::open(&url);
    line.send_raw(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(70_000)).as_bytes());
    assert!(line.read_all(PATIENCE).head().starts_with("HTTP/1.1 431 "));
}

#[test]
fn control_adds_scenarios_clears_them_and_forgets_everything() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit("a fox");
    let path = format!("/v1/tasks/{id}");
    let add = |body: &str| sandbox.control("POST", "/scenario", body);
    assert_eq!(add(r#"{"name":"http","value":502,"route":"poll","times":2,"after":1}"#).status, 200);
    let statuses: Vec<u16> = (0..4).map(|_| service.get(&path).status).collect();
    assert_eq!(statuses, [200, 502, 502, 200]);
    assert_eq!(add(r#"["http-500", {"name":"delay","value":1}]"#).status, 200);
    assert_eq!(service.get(&path).status, 500);
    assert_eq!(sandbox.stats()["faults"], json!({ "http": 3, "delay": 1 }));
    assert_eq!(sandbox.control("DELETE", "/scenario", "").status, 200);
    assert_eq!(service.get(&path).status, 200);
    for bad in ["", "{}", r#"{"name":"nothing"}"#, r#"{"name":"drip","tiems":1}"#, r#""drip*x:y.z""#] {
        let refused = add(bad);
        assert!(refused.status == 400 || bad == r#""drip*x:y.z""#, "{bad}");
    }
    assert_eq!(sandbox.control("POST", "/reset", "").status, 200);
    assert_eq!(service.get(&path).status, 404);
    assert_eq!(sandbox.stats()["submits"], 0);
    assert_eq!(sandbox.control("GET", "/nothing", "").status, 404);
}

#[test]
fn control_ends_a_task_in_three_ways() {
    let sandbox = Sandbox::start(&["--duration", "600"]);
    let service = sandbox.lemondata();
    let end = |id: &str, how: &str| sandbox.control("POST", &format!("/tasks/{id}/{how}"), "").status;
    let status = |id: &str| service.get(&format!("/v1/tasks/{id}")).json();
    let [first, second, third] = ["a", "b", "c"].map(|prompt| service.submit(prompt));
    assert_eq!((end(&first, "finish"), end(&first, "finish")), (200, 409));
    assert_eq!(status(&first)["status"], "completed");
    assert_eq!(end(&second, "fail?code=content_moderation"), 200);
    assert_eq!(status(&second)["error"], "Content policy violation");
    assert_eq!(end(&third, "cancel"), 200);
    assert_eq!(status(&third)["cancelled"], true);
    assert_eq!(
        (end("ldtask_0", "finish"), end(&first, "hold?state=queued"), end(&first, "hold?state=odd")),
        (404, 409, 400)
    );
}

#[test]
fn control_counts_submits_looks_and_images_per_task() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit_finished("a fox");
    service.submit("a fox");
    let link = service.get(&format!("/v1/tasks/{id}")).json()["result"]["data"][0]["url"].as_str().unwrap().to_owned();
    ask("GET", &service.url(&link), &[], b"");
    let tasks = sandbox.control("GET", "/tasks", "").json();
    let task = tasks.as_array().unwrap().iter().find(|task| task["id"] == *id).unwrap();
    assert_eq!((&task["submits"], &task["looks"], &task["image_gets"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&task["state"], &task["width"], &task["height"]), (&json!("succeeded"), &json!(64), &json!(48)));
}

#[test]
fn a_head_request_is_answered_without_a_body() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let id = service.submit_finished("a fox");
    let url = service.url(&format!("/generated/{id}-0.png"));
    let raw = ask_raw("HEAD", &url, &[("Connection", "close".into())], b"", PATIENCE);
    assert!(raw.head().starts_with("HTTP/1.1 200 ") && raw.body().is_empty());
    assert!(raw.header("content-length").is_some_and(|length| length != "0"));
}

#[test]
fn many_tasks_are_made_at_once_without_a_create_for_each() {
    let sandbox = Sandbox::start(&[]);
    let order = json!({ "provider": "dimilinks", "count": 3_000, "prompt": "fox {n} [duration:0]", "size": "16x16" });
    let made = sandbox.control("POST", "/tasks", &order.to_string()).json();
    let ids: Vec<&str> = made["ids"].as_array().expect("ids").iter().filter_map(|id| id.as_str()).collect();
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (3_000, 3_000));
    assert_eq!((&sandbox.stats()["submits"], &sandbox.stats()["tasks"]), (&json!(0), &json!(3_000)));

    let service = sandbox.dimilinks();
    let picture = |id: &str| {
        let task = service.get(&format!("/v1/tasks/{id}")).json();
        assert_eq!(task["status"], "succeeded", "{task}");
        service.get(task["result"]["data"][0]["url"].as_str().expect("a link")).body
    };
    let (first, last) = (picture(ids[0]), picture(ids[2_999]));
    assert!(first.starts_with(b"\x89PNG") && first.len() < 2_000, "{} bytes", first.len());
    assert_ne!(first, last, "the number is part of the prompt");
}

#[test]
fn tasks_are_not_made_at_once_from_an_order_that_cannot_be() {
    let sandbox = Sandbox::start(&[]);
    for order in ["[]", r#"{"count": 2}"#, r#"{"provider": "nobody"}"#, r#"{"provider": "lemondata", "count": 0}"#] {
        let reply = sandbox.control("POST", "/tasks", order);
        assert!(reply.status == 400 && reply.json()["error"].is_string(), "{order}: {}", reply.status);
    }
    assert_eq!(sandbox.stats()["tasks"], 0);
}
