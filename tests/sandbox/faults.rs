//! Every fault of the catalogue, once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Ending, Line, PATIENCE, Raw, Reply, Sandbox, Service, ask, ask_raw, find};

/// Nothing more is expected when nothing came for so long.
const QUIET: Duration = Duration::from_millis(150);

/// Remembers which faults were tried.
struct Tried<'a> {
    service: &'a Service<'a>,
    names: &'a Mutex<BTreeSet<String>>,
}

impl Tried<'_> {
    fn note(&self, directive: &str) {
        let name = directive.split([':', '*']).next().unwrap_or_default();
        let name = name.split_once('.').map_or(name, |(_, name)| name);
        let name = if name.starts_with("http-") { "http" } else { name };
        self.names.lock().unwrap().insert(name.to_owned());
    }

    /// The address of a look at a task with this directive that has ended.
    fn done(&self, directive: &str) -> String {
        self.note(directive);
        let id = self.service.submit_finished(&format!("a fox [{directive}]"));
        self.service.url(&format!("/v1/tasks/{id}"))
    }

    /// A look at a task that has ended.
    fn look(&self, directive: &str) -> Reply {
        ask("GET", &self.done(directive), &[self.service.bearer()], b"")
    }

    /// The same, byte for byte, until the connection ends or nothing comes.
    fn look_raw(&self, directive: &str) -> Raw {
        ask_raw("GET", &self.done(directive), &[self.service.bearer()], b"", QUIET)
    }

    /// The same, where no byte is expected.
    fn look_silent(&self, directive: &str) -> Raw {
        let url = self.done(directive);
        let mut line = Line::open(&url);
        line.send("GET", &url, &[self.service.bearer()], b"");
        line.read_silence(QUIET)
    }

    /// A look at a task that waits.
    fn look_pending(&self, directive: &str) -> Value {
        self.note(directive);
        let id = self.service.submit(&format!("a fox [hold:queued] [{directive}]"));
        self.service.get(&format!("/v1/tasks/{id}")).json()
    }

    /// The images of a look.
    fn images(&self, directive: &str) -> Vec<Value> {
        let document = self.look(directive).json();
        let data = if document["result"].is_object() { &document["result"]["data"] } else { &document["data"] };
        data.as_array().expect("images").clone()
    }

    /// The first image's address in a look.
    fn address(&self, directive: &str) -> String {
        self.images(directive)[0]["url"].as_str().expect("an address").to_owned()
    }

    /// The first image.
    fn image(&self, directive: &str, headers: &[(&str, String)]) -> Reply {
        ask("GET", &self.service.url(&self.address(directive)), headers, b"")
    }
}

#[test]
fn every_fault_of_the_catalogue_does_what_it_says() {
    let sandbox = Sandbox::start(&["--speed", "100", "--seed", "3", "--duration", "600"]);
    let names = Mutex::default();
    let service = sandbox.dimilinks();
    let lemondata = sandbox.lemondata();
    let tried = Tried { service: &service, names: &names };
    let lemon = Tried { service: &lemondata, names: &names };
    tasks(&tried, &lemon);
    answers(&tried, &lemon, &sandbox);
    documents(&tried, &lemon);
    addresses(&tried, &sandbox);
    pictures(&tried);
    travels(&tried);
    creates(&tried, &sandbox);
    readings(&tried, &sandbox);
    let known = sandbox.control("GET", "/scenarios", "").json();
    let known: BTreeSet<String> =
        known["known"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.into_inner().unwrap(), known, "tried and known");
}

fn tasks(tried: &Tried<'_>, lemon: &Tried<'_>) {
    let state_soon = |tried: &Tried<'_>, directive: &str| {
        tried.note(directive);
        let id = tried.service.submit(&format!("a fox [{directive}]"));
        let path = format!("/v1/tasks/{id}");
        // Far past the hundredth of a second that a quick task takes, far before the six of a usual one.
        std::thread::sleep(Duration::from_millis(50));
        tried.service.get(&path).json()
    };
    assert_eq!(state_soon(tried, "fast")["status"], "succeeded");
    assert_eq!(state_soon(tried, "duration:1")["status"], "succeeded");
    assert_eq!(state_soon(tried, "slow:100")["status"], "queued");
    assert_eq!(state_soon(tried, "hold:running")["status"], "in_progress");
    tried.note("never");
    let endless = tried.service.submit("a fox [duration:0] [never]");
    assert_ne!(tried.service.get(&format!("/v1/tasks/{endless}")).json()["status"], "succeeded");
    let failed = tried.service.submit("a fox [duration:0] [fail:content_moderation]");
    tried.note("fail");
    assert_eq!(tried.service.get(&format!("/v1/tasks/{failed}")).json()["error"]["code"], "content_moderation");
    lemon.note("cancelled");
    let cancelled = lemon.service.submit("a fox [duration:0] [cancelled]");
    assert_eq!(lemon.service.get(&format!("/v1/tasks/{cancelled}")).json()["cancelled"], true);
    assert!(tried.look_pending("video")["data"].is_object());
    lemon.note("v1");
    assert!(lemon.service.submit("a fox [v1]").starts_with("img_"));
}

fn answers(tried: &Tried<'_>, lemon: &Tried<'_>, sandbox: &Sandbox) {
    assert_eq!(tried.look("poll.http-503").status, 503);
    let limited = tried.look("poll.rate-limited:Wed, 21 Oct 2026 07:28:00 GMT");
    assert_eq!(
        (limited.status, limited.header("retry-after").as_deref()),
        (429, Some("Wed, 21 Oct 2026 07:28:00 GMT"))
    );
    assert_eq!(lemon.look("poll.http-429:7").header("retry-after").as_deref(), Some("7"));
    let html = tried.look("poll.html");
    assert!(html.status == 200 && html.text().starts_with("<!DOCTYPE html>"));
    let empty = tried.look("poll.empty");
    assert!(empty.status == 200 && empty.body.is_empty());
    let nothing = tried.look("poll.no-content");
    assert!(nothing.status == 204 && nothing.header("content-length").is_none());
    assert_eq!(tried.look("poll.body:{\"status\":1}").text(), "{\"status\":1}");
    let raw = tried.look_raw("poll.raw:HTTP/1.1 099 Odd\\r\\nX: \\x01\\r\\n\\r\\n");
    assert_eq!((&raw.bytes[..], raw.ending), (&b"HTTP/1.1 099 Odd\r\nX: \x01\r\n\r\n"[..], Ending::Fin));
    let first_then_second = |directive: &str| {
        let url = tried.done(directive);
        let look = || ask("GET", &url, &[tried.service.bearer()], b"").status;
        (look(), look())
    };
    assert_eq!(first_then_second("missing*1"), (404, 200));
    assert_eq!(first_then_second("poll.http-500*1"), (500, 200));
    let silent = tried.look_silent("poll.silent");
    assert!(silent.bytes.is_empty() && silent.ending == Ending::Open);
    let closed = tried.look_raw("poll.close");
    assert!(closed.bytes.is_empty() && closed.ending == Ending::Fin);
    let reset = tried.look_raw("poll.reset");
    assert!(reset.bytes.is_empty() && reset.ending == Ending::Reset);
    for (directive, ending) in [("poll.reset-reuse", Ending::Reset), ("poll.close-reuse", Ending::Fin)] {
        let url = tried.done(directive);
        let mut line = Line::open(&url);
        line.send("GET", &url, &[tried.service.bearer()], b"");
        assert_eq!(line.read_reply().status, 200);
        line.send("GET", &url, &[tried.service.bearer()], b"");
        let second = line.read_all(PATIENCE);
        assert!(second.bytes.is_empty() && second.ending == ending, "{directive}");
    }
    let half = tried.look_raw("poll.raw-open:HTTP/1.1 200 OK\\r\\nContent-");
    assert!(half.bytes.ends_with(b"OK\r\nContent-") && half.ending == Ending::Open);

    let target = |directive: &str| {
        let url = tried.done(directive);
        let path = url.strip_prefix(&tried.service.base).unwrap().to_owned();
        let reply = ask("GET", &url, &[tried.service.bearer()], b"");
        (reply.status, reply.header("location").unwrap_or_default(), path)
    };
    let (status, location, path) = target("poll.redirect:307");
    assert_eq!((status, location), (307, format!("{}{path}", sandbox.open_door().base)));
    let (_, location, path) = target("poll.redirect-host");
    assert_eq!(location, format!("{}{path}", tried.service.base.replace("127.0.0.1", "localhost")));
    let (_, location, path) = target("poll.redirect-loop");
    assert_eq!(location, path);
    assert_eq!(target("poll.redirect-to:file:///etc/passwd").1, "file:///etc/passwd");
    // An image that is redirected to another port is there.
    let moved = tried.image("image.redirect*1", &[]);
    let location = moved.header("location").unwrap();
    assert!(moved.status == 302 && !location.starts_with(&tried.service.base));
    assert_eq!(ask("GET", &location, &[], b"").status, 200);
}

fn documents(tried: &Tried<'_>, lemon: &Tried<'_>) {
    assert_eq!(tried.look_pending("word:musing")["status"], "musing");
    assert_eq!(tried.look("word:musing").json()["status"], "succeeded");
    let early = tried.look_pending("early-result");
    assert!(early["status"] == "queued" && early["result"].is_object() && early["error"].is_object());
    assert_eq!(tried.look("done-word:perfected").json()["status"], "perfected");
    assert_eq!(tried.images("empty-data"), [] as [Value; 0]);
    assert_eq!(tried.images("empty-url")[0]["url"], "");
    assert_eq!(tried.images("many-images:500").len(), 500);
    lemon.note("fail-object");
    let failed = lemon.service.submit("a fox [duration:0] [fail] [fail-object]");
    assert!(lemon.service.get(&format!("/v1/tasks/{failed}")).json()["error"]["message"].is_string());
    assert_eq!(tried.look("wrong-id:img_other").json()["task_id"], "img_other");
    let nameless = tried.look("no-id").json();
    assert!(nameless.get("id").is_none() && nameless.get("task_id").is_none());
    let nulls = tried.look("nulls").json();
    assert!(nulls["result"].is_null() && nulls["progress"].is_null() && nulls["status"] == "succeeded");
    assert_eq!(tried.look("progress:\"62%\"").json()["progress"], "62%");
    let padded = tried.look("padding:5000");
    assert!(padded.body.len() > 5000 && padded.json()["status"] == "succeeded");
    let deep = tried.look("depth:50");
    assert!(find(&deep.body, &b"[".repeat(50)).is_some() && deep.json()["status"] == "succeeded");
}

fn addresses(tried: &Tried<'_>, sandbox: &Sandbox) {
    let base = &tried.service.base;
    let loads = |address: &str| ask("GET", &tried.service.url(address), &[], b"").status;
    assert!(tried.address("data-url").starts_with("data:image/png;base64,iVBOR"));
    let absolute = tried.address("absolute");
    assert!(absolute.starts_with(&format!("{base}/p/img/")) && loads(&absolute) == 200);
    let lemondata = sandbox.lemondata();
    let relative = Tried { service: &lemondata, names: tried.names }.address("relative");
    assert!(relative.starts_with("/generated/"));
    let other_host = tried.address("other-host");
    assert!(other_host.starts_with("http://localhost:") && loads(&other_host) == 200);
    let other_port = tried.address("other-port");
    assert!(other_port.starts_with(&sandbox.open_door().base) && loads(&other_port) == 200);
    assert_eq!(tried.address("address:http://127.0.0.1:1/y"), "http://127.0.0.1:1/y");
    // The first link is dead on arrival, the next one works.
    let url = tried.done("expired*1");
    let link = || {
        let task = ask("GET", &url, &[tried.service.bearer()], b"").json();
        loads(task["result"]["data"][0]["url"].as_str().unwrap())
    };
    assert_eq!((link(), link()), (403, 200));
    assert_eq!(loads(&tried.address("link-life:0")), 403);
}

fn pictures(tried: &Tried<'_>) {
    assert!(tried.image("image-html", &[]).text().contains("<html>"));
    let garbage = tried.image("image-garbage", &[]);
    assert!(garbage.header("content-type").as_deref() == Some("image/png") && !garbage.body.starts_with(b"\x89PNG"));
    assert!(tried.image("image-empty", &[]).body.is_empty());
    let half = tried.image("image-half", &[]);
    assert!(half.body.starts_with(b"\x89PNG") && find(&half.body, b"IEND").is_none());
    let mislabelled = tried.image("image-wrong-type", &[]);
    assert!(
        mislabelled.header("content-type").as_deref() == Some("image/jpeg") && mislabelled.body.starts_with(b"\x89PNG")
    );
    let huge = tried.image("image-huge", &[]);
    assert_eq!(huge.body[16..24], [0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let range = ("Range", "bytes=10-".to_owned());
    assert_eq!(tried.image("range-ignored", std::slice::from_ref(&range)).status, 200);
    let wrong = tried.image("range-wrong", &[range]);
    assert!(wrong.status == 206 && wrong.header("content-range").is_some_and(|told| told.starts_with("bytes 11-")));
}

fn travels(tried: &Tried<'_>) {
    let url = tried.done("poll.delay:200");
    let start = Instant::now();
    assert_eq!(ask("GET", &url, &[tried.service.bearer()], b"").status, 200);
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    let slow = tried.look_raw("poll.drip:1");
    assert!(slow.took >= Duration::from_millis(slow.body().len() as u64), "{:?}", slow.took);
    let slower = tried.look_raw("poll.drip-head:1");
    assert!(slower.took >= Duration::from_millis(slower.bytes.len() as u64), "{:?}", slower.took);

    let length = |raw: &Raw| raw.header("content-length").unwrap().parse::<usize>().unwrap();
    for (directive, ending) in [("poll.cut:11", Ending::Fin), ("poll.cut-silent:11", Ending::Open)] {
        let raw = tried.look_raw(directive);
        assert_eq!((raw.body().len(), raw.ending), (11, ending), "{directive}");
        assert!(length(&raw) > 11);
    }
    let reset = tried.look_raw("poll.cut-reset:11");
    assert_eq!(reset.ending, Ending::Reset);
    let idle = tried.look_raw("poll.close-idle");
    assert!(idle.ending == Ending::Fin && idle.header("connection").is_none() && idle.body().len() == length(&idle));
    let short = tried.look_raw("poll.length-short");
    assert!(short.body().len() > length(&short));
    let long = tried.look_raw("poll.length-long");
    assert!(long.body().len() + 10 == length(&long) && long.ending == Ending::Fin);
    assert_eq!(tried.look_raw("poll.length:+5").header("content-length").as_deref(), Some("+5"));
    let chunked = tried.look_raw("poll.chunked:16");
    assert!(chunked.header("content-length").is_none() && chunked.body().starts_with(b"10\r\n"));
    assert!(chunked.body().ends_with(b"0\r\n\r\n") && chunked.ending == Ending::Open);
    let unfinished = tried.look_raw("poll.chunked-cut:16");
    assert!(!unfinished.body().ends_with(b"0\r\n\r\n") && unfinished.ending == Ending::Fin);
    let open_ended = tried.look_raw("poll.until-close");
    assert!(open_ended.header("content-length").is_none() && open_ended.ending == Ending::Fin);
    assert!(serde_json::from_slice::<Value>(open_ended.body()).is_ok());
    assert_eq!(tried.look_raw("poll.until-close-reset").ending, Ending::Reset);
    let extra = tried.look_raw("poll.extra-bytes");
    assert!(extra.body().len() > length(&extra) && extra.ending == Ending::Open);
    assert_eq!(tried.look("poll.huge-header:70000").header("x-sandbox-huge").map(|value| value.len()), Some(70_000));
    assert_eq!(tried.look("poll.many-headers:150").head.matches("X-Sandbox-").count(), 150);
    assert_eq!(tried.look("poll.header:X-Odd: 1").header("x-odd").as_deref(), Some("1"));
    assert_eq!(tried.look("poll.content-type:text/html").header("content-type").as_deref(), Some("text/html"));
    let lie = tried.look("poll.gzip-lie");
    assert!(lie.header("content-encoding").as_deref() == Some("gzip") && lie.json()["status"] == "succeeded");
    let bulky = tried.service.submit_finished("a fox [gzip] [padding:200000] [nulls]");
    let bulky = tried.service.get(&format!("/v1/tasks/{bulky}")).body;
    assert!(bulky.starts_with(b"\x1f\x8b\x08") && bulky.len() > 200_000, "whatever the order, gzip is last");
    let zipped = tried.look("poll.gzip");
    assert!(zipped.header("content-encoding").as_deref() == Some("gzip") && zipped.body.starts_with(b"\x1f\x8b\x08"));
    let skewed = tried.look("poll.date-skew:-86400").header("date");
    assert_ne!(skewed, tried.look("poll.delay:0").header("date"));
    let hints = tried.look_raw("poll.early-hints:2");
    assert!(hints.bytes.starts_with(&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2)));
    let old = tried.look_raw("poll.http10");
    assert!(old.head().starts_with("HTTP/1.0 200 ") && old.ending == Ending::Fin);
}

fn creates(tried: &Tried<'_>, sandbox: &Sandbox) {
    tried.note("lost-reply");
    let wish = json!({ "prompt": "a lost fox [lost-reply*1]" }).to_string();
    let url = tried.service.url("/v1/images/generations?async=true");
    let lost = ask_raw("POST", &url, &[tried.service.bearer()], wish.as_bytes(), PATIENCE);
    assert!(lost.bytes.is_empty() && lost.ending == Ending::Reset);
    let tasks = || {
        let all = sandbox.control("GET", "/tasks", "").json();
        let all = all.as_array().unwrap().clone();
        all.into_iter().filter(|task| task["prompt"].as_str().unwrap().starts_with("a lost fox")).collect::<Vec<_>>()
    };
    assert_eq!(tasks().len(), 1, "the task is made, although the answer is lost");
    assert_eq!(tasks()[0]["submits"], 1);
    // The same prompt a second time is answered, and is another task.
    assert_eq!(ask("POST", &url, &[tried.service.bearer()], wish.as_bytes()).status, 200);
    assert_eq!((tasks().len(), tasks()[0]["submits"].clone()), (2, json!(2)));
    // A refused create makes none.
    let refused = json!({ "prompt": "a lost fox, refused [create.http-503]" }).to_string();
    assert_eq!(ask("POST", &url, &[tried.service.bearer()], refused.as_bytes()).status, 503);
    assert_eq!(tasks().len(), 2);
}

fn readings(tried: &Tried<'_>, sandbox: &Sandbox) {
    let add = |scenario: &str| {
        tried.note(scenario);
        assert_eq!(sandbox.control("POST", "/scenario", &json!(scenario).to_string()).status, 200);
    };
    let url = tried.service.url("/v1/images/generations?async=true");
    let wish = |bytes: usize| json!({ "prompt": "a fox", "padding": "x".repeat(bytes) }).to_string();
    let post = |body: &str| ask("POST", &url, &[tried.service.bearer()], body.as_bytes());
    add("slow-read:100*1");
    let start = Instant::now();
    assert_eq!(post(&wish(10_000)).status, 200);
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
    assert_eq!(post(&wish(0)).status, 200, "once only");
    add("early:413*1");
    let mut line = Line::open(&url);
    line.send_raw(b"POST /v1/images/generations HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n{");
    assert!(line.read_all(PATIENCE).head().starts_with("HTTP/1.1 413 "));
    add("deaf*1");
    let before = sandbox.stats()["submits"].as_u64();
    let mut unheard = Line::open(&url);
    unheard.send("POST", &url, &[tried.service.bearer()], wish(100_000).as_bytes());
    let deaf = unheard.read_silence(QUIET);
    assert!(deaf.bytes.is_empty() && deaf.ending == Ending::Open);
    assert_eq!(sandbox.stats()["submits"].as_u64(), before.map(|count| count + 1));
}

#[test]
fn a_scenario_counted_for_each_task_meets_every_new_task() {
    let sandbox = Sandbox::start(&["--scenario", "missing*1/task"]);
    let service = sandbox.dimilinks();
    for prompt in ["a fox", "a hen"] {
        let path = format!("/v1/tasks/{}", service.submit(prompt));
        assert_eq!((service.get(&path).status, service.get(&path).status), (404, 200));
    }
}

#[test]
fn a_synchronous_create_that_never_ends_is_given_up() {
    let sandbox = Sandbox::start(&["--speed", "10000"]);
    let wish = json!({ "prompt": "a fox [never]" });
    let dimilinks = sandbox.dimilinks().post("/v1/images/generations", &wish);
    assert_eq!((dimilinks.status, dimilinks.json()["error"]["code"].clone()), (503, json!("poll_timeout")));
    let lemondata = sandbox.lemondata().post("/v1/images/generations", &wish);
    assert_eq!((lemondata.status, lemondata.json()["error"]["type"].clone()), (504, json!("timeout_error")));
}
