//! Starts the program, speaks HTTP to it in bytes, and never waits without a bound.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No single exchange may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running `imgtask sandbox`. It is ended by closing its standard input.
pub(crate) struct Sandbox {
    child: Child,
    pub(crate) line: Value,
}

impl Sandbox {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_imgtask"))
            .arg("sandbox")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("its output is a pipe");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(line);
        });
        let line = receiver.recv_timeout(PATIENCE).expect("a line comes");
        let line = serde_json::from_str(&line).expect("the line is JSON");
        Self { child, line }
    }

    /// A sandbox whose minute takes a second and whose ids are the same in every run.
    pub(crate) fn quick() -> Self {
        Self::start(&["--speed", "60", "--seed", "7", "--duration", "60"])
    }

    fn access(&self, provider: &str, member: &str) -> String {
        let text = self.line["providers"][provider][member].as_str();
        text.unwrap_or_else(|| panic!("{provider} has a {member}")).to_owned()
    }

    pub(crate) fn base(&self, provider: &str) -> String {
        self.access(provider, "base_url")
    }

    pub(crate) fn dimilinks(&self) -> Service<'_> {
        Service { sandbox: self, base: self.base("dimilinks"), key: self.access("dimilinks", "key") }
    }

    pub(crate) fn lemondata(&self) -> Service<'_> {
        Service { sandbox: self, base: self.base("lemondata"), key: self.access("lemondata", "key") }
    }

    /// The door for everything.
    pub(crate) fn open_door(&self) -> Service<'_> {
        let text = |name: &str| self.line[name].as_str().expect("the line says").to_owned();
        Service { sandbox: self, base: text("url"), key: text("key") }
    }

    /// Asks a control route.
    pub(crate) fn control(&self, method: &str, path: &str, body: &str) -> Reply {
        let control = self.line["control"].as_str().expect("the line says where");
        ask(method, &format!("{control}{path}"), &[], body.as_bytes())
    }

    pub(crate) fn stats(&self) -> Value {
        self.control("GET", "/stats", "").json()
    }

    /// Closes standard input; returns how long the end took.
    pub(crate) fn close(mut self) -> Duration {
        let start = Instant::now();
        drop(self.child.stdin.take());
        until(|| self.child.try_wait().expect("the child can be asked").is_some());
        start.elapsed()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let end = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// One provider's door, with a key.
pub(crate) struct Service<'a> {
    sandbox: &'a Sandbox,
    pub(crate) base: String,
    pub(crate) key: String,
}

impl Service<'_> {
    pub(crate) fn bearer(&self) -> (&'static str, String) {
        ("Authorization", format!("Bearer {}", self.key))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        if path.contains("://") { path.to_owned() } else { format!("{}{path}", self.base) }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        ask("GET", &self.url(path), &[self.bearer()], b"")
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        ask("DELETE", &self.url(path), &[self.bearer()], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        let json = ("Content-Type", "application/json".to_owned());
        ask("POST", &self.url(path), &[self.bearer(), json], body.to_string().as_bytes())
    }

    /// Creates a task, asynchronously in both providers' ways, and returns its id.
    pub(crate) fn submit(&self, prompt: &str) -> String {
        let body = serde_json::json!({ "prompt": prompt, "model": "gpt-image-2", "async": true, "size": "64x48" });
        let reply = self.post("/v1/images/generations?async=true", &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["task_id"].as_str().expect("a task id").to_owned()
    }

    /// Ends a task now, if it has not ended by itself.
    pub(crate) fn finish(&self, id: &str) {
        let status = self.sandbox.control("POST", &format!("/tasks/{id}/finish"), "").status;
        assert!([200, 409].contains(&status), "{status}");
    }

    /// Keeps a task in a state.
    pub(crate) fn hold(&self, id: &str, state: &str) {
        assert_eq!(self.sandbox.control("POST", &format!("/tasks/{id}/hold?state={state}"), "").status, 200);
    }

    /// Creates a task and ends it now.
    pub(crate) fn submit_finished(&self, prompt: &str) -> String {
        let id = self.submit(prompt);
        self.finish(&id);
        id
    }
}

/// How a connection ended after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Still open: nothing more came for a while.
    Open,
    Fin,
    Reset,
}

/// What came back, byte for byte.
pub(crate) struct Raw {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ending: Ending,
    pub(crate) took: Duration,
}

impl Raw {
    /// The header part, without its empty line.
    pub(crate) fn head(&self) -> String {
        let end = find(&self.bytes, b"\r\n\r\n").unwrap_or(self.bytes.len());
        String::from_utf8_lossy(&self.bytes[..end]).into_owned()
    }

    pub(crate) fn body(&self) -> &[u8] {
        find(&self.bytes, b"\r\n\r\n").map_or(&[], |end| &self.bytes[end + 4..])
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head(), name)
    }
}

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// One request on a connection of its own.
pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, String)], body: &[u8]) -> Reply {
    let mut line = Line::open(url);
    line.send(method, url, headers, body);
    line.read_reply()
}

/// One request on a connection of its own, read until the end or until nothing comes for so long.
pub(crate) fn ask_raw(method: &str, url: &str, headers: &[(&str, String)], body: &[u8], quiet: Duration) -> Raw {
    let mut line = Line::open(url);
    line.send(method, url, headers, body);
    line.read_all(quiet)
}

/// A kept connection.
pub(crate) struct Line {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Line {
    pub(crate) fn open(url: &str) -> Self {
        let (host, _) = split(url);
        let stream = TcpStream::connect(host.replace("localhost", "127.0.0.1")).expect("the sandbox listens");
        stream.set_nodelay(true).expect("an option of the socket");
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, method: &str, url: &str, headers: &[(&str, String)], body: &[u8]) {
        let (host, path) = split(url);
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.send_raw(&bytes);
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the sandbox reads");
    }

    /// Reads one answer with a true Content-Length.
    pub(crate) fn read_reply(&mut self) -> Reply {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(head_end) = find(&self.received, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.received[..head_end]).into_owned();
                let length = header(&head, "content-length").map_or(0, |text| text.parse().expect("a length"));
                let whole = head_end + 4 + length;
                if self.received.len() >= whole {
                    let body = self.received[head_end + 4..whole].to_vec();
                    self.received.drain(..whole);
                    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
                    return Reply { status, head, body };
                }
            }
            assert!(Instant::now() < end, "no whole answer in time");
            match self.read_more(PATIENCE) {
                Ok(read) if read > 0 => {}
                other => panic!("no whole answer: {other:?} after {:?}", String::from_utf8_lossy(&self.received)),
            }
        }
    }

    /// Reads until the connection ends, or until nothing more comes for so long; the first byte may take its time.
    pub(crate) fn read_all(&mut self, quiet: Duration) -> Raw {
        self.read(PATIENCE, quiet)
    }

    /// Reads until the connection ends, or until nothing comes for so long, not even a first byte.
    pub(crate) fn read_silence(&mut self, quiet: Duration) -> Raw {
        self.read(quiet, quiet)
    }

    fn read(&mut self, first: Duration, quiet: Duration) -> Raw {
        let start = Instant::now();
        let ending = loop {
            assert!(start.elapsed() < PATIENCE * 2, "the answer does not end");
            match self.read_more(if self.received.is_empty() { first } else { quiet }) {
                Ok(0) => break Ending::Fin,
                Ok(_) => {}
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => break Ending::Open,
                Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break Ending::Reset,
                Err(other) => panic!("{other}"),
            }
        };
        Raw { bytes: std::mem::take(&mut self.received), ending, took: start.elapsed() }
    }

    fn read_more(&mut self, patience: Duration) -> Result<usize, ErrorKind> {
        self.stream.set_read_timeout(Some(patience)).map_err(|error| error.kind())?;
        let mut piece = [0; 16 << 10];
        let read = self.stream.read(&mut piece).map_err(|error| error.kind())?;
        self.received.extend_from_slice(&piece[..read]);
        Ok(read)
    }
}

fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is not http"));
    rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash))
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Waits until something is so, at most for [`PATIENCE`].
pub(crate) fn until(mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "it did not become so in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A documented body.
pub(crate) fn sample(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(&path).unwrap_or_else(|_| panic!("{path} is there"));
    serde_json::from_slice(&text).unwrap_or_else(|_| panic!("{path} is JSON"))
}

/// Every member of a document as a path, with the kind of its value: `/result/data/[]/url string`.
pub(crate) fn shape(document: &Value) -> std::collections::BTreeSet<String> {
    fn walk(value: &Value, path: &str, out: &mut std::collections::BTreeSet<String>) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        out.insert(format!("{path} {kind}"));
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}/[]"), out)),
            Value::Object(members) => {
                members.iter().for_each(|(name, member)| walk(member, &format!("{path}/{name}"), out));
            }
            _ => {}
        }
    }
    let mut out = std::collections::BTreeSet::new();
    walk(document, "", &mut out);
    out
}

/// Asserts that a document has exactly the members of a documented body.
#[track_caller]
pub(crate) fn assert_shape(document: &Value, sample_name: &str) {
    assert_eq!(shape(document), shape(&sample(sample_name)), "{sample_name}: {document}");
}
