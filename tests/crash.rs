//! No task that was paid for is lost: a host program written in C is killed at random moments and at every step it asks the system
//! for, started again, and at the end every one of its orders is delivered or reported as unknown, none submitted twice.
#![cfg(target_os = "linux")]

mod native;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use native::host::{Chance, Host, SIGKILL, build, sha256};
use native::{has, scratch};
use serde_json::Value;

/// The sandbox takes a key that goes on after its own.
const CANARY: &str = "-canary-7f3a91";
/// What every request of the orders ends in.
const REQUEST: &str = "of apples";

#[test]
fn a_host_that_is_killed_at_20_random_moments_loses_none_of_60_orders() {
    kills_at_random_moments(20, 60);
}

#[test]
#[ignore = "takes a minute: a step of its own"]
fn a_host_that_is_killed_at_200_random_moments_loses_none_of_500_orders() {
    kills_at_random_moments(200, 500);
}

#[test]
fn a_host_that_is_killed_at_any_of_its_steps_loses_no_order() {
    kills_at_every_step(1, 10_000);
}

#[test]
#[ignore = "takes a minute: a step of its own"]
fn a_host_that_is_killed_at_any_of_its_steps_loses_none_of_four_orders() {
    kills_at_every_step(4, 10_000);
}

#[test]
fn no_call_of_a_frame_waits_for_a_slow_disk() {
    const SYNC_MS: &str = "400";
    let Some((shop, steps)) = shop_with_a_disk("slow") else { return };
    // Making a journal is not what is measured.
    shop.finish(1);
    let mut command = shop.command_of("disk", &["slow", SYNC_MS]);
    command.env("LD_PRELOAD", steps).env("STEPS_SYNC_MS", SYNC_MS);
    let (status, said) = Host::start(command).end(Duration::from_secs(120));
    assert!(status.success(), "{status}: {said}");
}

#[test]
fn nothing_is_sent_while_the_disk_is_full() {
    let Some((shop, steps)) = shop_with_a_disk("full") else { return };
    let full = shop.folder.join("full");
    let mut command = shop.command_of("disk", &["full", full.to_str().expect("a path in UTF-8")]);
    command.env("LD_PRELOAD", steps).env("STEPS_FULL", &full);
    let (status, said) = Host::start(command).end(Duration::from_secs(60));
    assert!(status.success(), "{status}: {said}");
    let tasks = shop.sandbox.ask("GET", "/tasks");
    let prompts: Vec<&str> =
        tasks.as_array().expect("a list").iter().filter_map(|task| task["prompt"].as_str()).collect();
    assert_eq!(prompts, ["before of the disk", "after of the disk"]);
    assert_eq!(shop.sandbox.ask("GET", "/stats")["submits"], 2);
    shop.keeps_its_secrets();
}

/// A shop, and what makes its disk slow or full.
fn shop_with_a_disk(name: &str) -> Option<(Shop, PathBuf)> {
    has("cc").then(|| {
        (Shop::new(name, &["--speed", "1000", "--duration", "30"]), build("crash/steps", &["-shared", "-fPIC"]))
    })
}

fn kills_at_random_moments(kills: usize, orders: usize) {
    if !has("cc") {
        return;
    }
    let mut chance = Chance::new();
    let shop = Shop::new(&format!("random-{kills}"), &["--speed", "60", "--duration", "24"]);
    for kill in 0..kills {
        // Every life has orders that are new.
        let known = (orders * (kill + 1)).div_ceil(kills);
        let host = Host::start(shop.command(known, "stay"));
        // One in four dies while it comes up.
        if chance.below(4) == 0 {
            thread::sleep(Duration::from_millis(chance.below(80)));
        } else {
            host.wait_until_it_has_resumed();
            thread::sleep(Duration::from_micros(chance.below(200_000)));
        }
        let (status, said) = host.kill();
        assert_eq!(status.signal(), Some(SIGKILL), "life {kill} ended by itself: {status}: {said}");
        shop.keeps_its_secrets();
    }
    let unfinished = orders - shop.book().labels().count();
    shop.finish(orders);
    let told = shop.nothing_is_lost(orders);
    println!("{kills} kills, {orders} orders, {unfinished} open at the last kill: {told}");
    assert!(told.resumed > kills / 4, "the kills came at moments without work: {told}");
    assert!(told.delivered > orders / 4, "{told}");
}

/// Kills the program at its first step, its second, and so on, until it comes to its end before.
fn kills_at_every_step(orders: usize, most: usize) {
    if !has("cc") {
        return;
    }
    let shop = Shop::new(&format!("steps-{orders}"), &["--speed", "1000", "--duration", "30"]);
    let steps = build("crash/steps", &["-shared", "-fPIC"]);
    let (mut delivered, mut unknown) = (0, 0);
    for step in 1..=most {
        shop.begin_again();
        let mut command = shop.command(orders, "leave");
        command.env("LD_PRELOAD", &steps).env("STEPS_KILL_AT", step.to_string());
        let (status, said) = Host::start(command).end(Duration::from_secs(60));
        if status.success() {
            println!("{orders} orders, killed at each of {} steps: {delivered} delivered, {unknown} unknown", step - 1);
            assert!(step > 40 && delivered > unknown && unknown > 0, "{step} steps: {delivered}, {unknown}");
            return;
        }
        assert_eq!(status.signal(), Some(SIGKILL), "step {step}: {status}: {said}");
        shop.keeps_its_secrets();
        shop.finish(orders);
        let told = shop.nothing_is_lost(orders);
        (delivered, unknown) = (delivered + told.delivered, unknown + told.unknown);
    }
    panic!("no end after {most} steps");
}

/// What the orders came to.
struct Told {
    delivered: usize,
    unknown: usize,
    /// How often the journal brought one back.
    resumed: usize,
    /// How often one was delivered that was delivered before.
    again: usize,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Told { delivered, unknown, resumed, again } = self;
        write!(
            f,
            "{delivered} delivered, {unknown} unknown, {resumed} times brought back, {again} times delivered again"
        )
    }
}

/// A host program with its files, and the service that it orders from.
struct Shop {
    program: PathBuf,
    folder: PathBuf,
    sandbox: Sandbox,
}

impl Shop {
    fn new(name: &str, sandbox: &[&str]) -> Shop {
        let shop = Shop {
            program: build("crash/orders", &[]),
            folder: scratch().join(format!("{name}-{}", std::process::id())),
            sandbox: Sandbox::start(sandbox),
        };
        shop.begin_again();
        shop
    }

    /// Forgets everything that was.
    fn begin_again(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        for folder in ["journal", "files"] {
            fs::create_dir_all(self.folder.join(folder)).expect("the target folder is writable");
        }
        self.sandbox.ask("POST", "/reset");
    }

    fn command(&self, orders: usize, end: &str) -> Command {
        let mut command = self.with_service(&self.program);
        command.args(["book", "trace", "files"].map(|name| self.folder.join(name)));
        command.arg(orders.to_string()).arg(end);
        command
    }

    /// Another program with the same journal.
    fn command_of(&self, name: &str, words: &[&str]) -> Command {
        let mut command = self.with_service(&build(&format!("crash/{name}"), &[]));
        command.args(words);
        command
    }

    fn with_service(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg(self.folder.join("journal/tasks.journal"));
        command.env("IMGTASK_TEST_URL_dimilinks", &self.sandbox.url);
        command.env("IMGTASK_TEST_KEY_dimilinks", format!("{}{CANARY}", self.sandbox.key));
        command
    }

    /// Lets the program come to its end.
    fn finish(&self, orders: usize) {
        let (status, said) = Host::start(self.command(orders, "leave")).end(Duration::from_secs(60));
        assert!(status.success(), "{status}: {said}");
        self.keeps_its_secrets();
    }

    /// Neither the key nor a request nor a link's signature is in any file that the journal has made; none was found damaged.
    fn keeps_its_secrets(&self) {
        for entry in fs::read_dir(self.folder.join("journal")).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(!name.contains("damaged"), "a kill has damaged the journal: {name}");
            // Found much faster in a text than in bytes.
            let text = String::from_utf8_lossy(&fs::read(&path).expect("reads")).into_owned();
            for secret in [CANARY, &self.sandbox.key, REQUEST, "gpt-image", "sig=", "exp="] {
                // Not shown: it is one.
                assert!(!text.contains(secret), "{name} holds a secret of {} bytes", secret.len());
            }
        }
    }

    fn book(&self) -> Book {
        let text = fs::read_to_string(self.folder.join("book")).unwrap_or_default();
        let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let [label, id, came_to, path, sha256] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("a line of the book: {line:?}")
            };
            let line = Line {
                id: id.to_owned(),
                came_to: came_to.to_owned(),
                path: path.to_owned(),
                sha256: sha256.to_owned(),
            };
            lines.entry(label.to_owned()).or_default().push(line);
        }
        Book { lines }
    }

    /// Compares the host's book and what the library told it with what the service saw.
    fn nothing_is_lost(&self, orders: usize) -> Told {
        let book = self.book();
        let tasks = self.sandbox.ask("GET", "/tasks");
        let mut by_prompt: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for task in tasks.as_array().expect("a list") {
            by_prompt.entry(task["prompt"].as_str().expect("a prompt")).or_default().push(task);
        }
        let (mut delivered, mut unknown) = (0, 0);
        for number in 0..orders {
            let label = format!("order-{number}");
            let lines = book.lines.get(&label).unwrap_or_else(|| panic!("{label} is lost"));
            let made = by_prompt.get(&*format!("{label} {REQUEST}")).map_or(&[][..], |tasks| tasks);
            assert!(made.len() <= 1, "{label} was made {} times", made.len());
            assert!(made.iter().all(|task| task["submits"] == 1), "{label} was submitted twice: {made:?}");
            let done: Vec<&Line> = lines.iter().filter(|line| line.came_to == "ok").collect();
            if done.is_empty() {
                assert!(lines.iter().all(|line| line.came_to == "submit_unknown"), "{label} came to nothing");
                unknown += 1;
                continue;
            }
            assert_eq!(done.len(), lines.len(), "{label} is known and unknown");
            assert_eq!(made.len(), 1, "{label} was delivered without a submit");
            for line in done {
                assert_eq!(made[0]["id"], *line.id, "{label} came with another task");
                if !line.path.is_empty() {
                    let bytes = fs::read(&line.path).unwrap_or_else(|error| panic!("the file of {label}: {error}"));
                    assert_eq!(sha256(&bytes), line.sha256, "the file of {label} is another one");
                }
            }
            delivered += 1;
        }
        let submits = self.sandbox.ask("GET", "/stats")["submits"].as_u64();
        assert_eq!(submits, Some(by_prompt.len() as u64), "every submit made one task");
        let again = book.lines.values().map(|lines| lines.len() - 1).sum();
        Told { delivered, unknown, resumed: self.brought_back(&by_prompt), again }
    }

    /// How often a job came back, each time with the task that it had.
    fn brought_back(&self, by_prompt: &BTreeMap<&str, Vec<&Value>>) -> usize {
        let text = fs::read_to_string(self.folder.join("trace")).expect("reads");
        let mut count = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("resumed\t")) {
            let (label, id) = line.split_once('\t').expect("a label and an id");
            if id != "-" {
                let made = by_prompt.get(&*format!("{label} {REQUEST}")).expect("a task that came back was made");
                assert_eq!(made[0]["id"], id, "{label} came back with another task");
            }
            count += 1;
        }
        count
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What the host has written down, by label.
struct Book {
    lines: BTreeMap<String, Vec<Line>>,
}

struct Line {
    id: String,
    came_to: String,
    path: String,
    sha256: String,
}

impl Book {
    fn labels(&self) -> impl Iterator<Item = &String> {
        self.lines.keys()
    }
}

/// `imgtask sandbox`; ends with this process, which holds its stdin.
struct Sandbox {
    process: Child,
    control: String,
    url: String,
    key: String,
}

impl Sandbox {
    fn start(words: &[&str]) -> Sandbox {
        let mut process = Command::new(env!("CARGO_BIN_EXE_imgtask"))
            .arg("sandbox")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it was asked for"))
            .read_line(&mut line)
            .expect("it says where it is");
        let said: Value = serde_json::from_str(&line).expect("it says it in JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let access = &said["providers"]["dimilinks"];
        let (url, key) = (text(&access["base_url"]), text(&access["key"]));
        Sandbox { process, control: text(&said["control"]), url, key }
    }

    /// Asks a control route.
    fn ask(&self, method: &str, path: &str) -> Value {
        let (authority, prefix) =
            self.control.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
        let mut stream = TcpStream::connect(authority).expect("the sandbox listens");
        let ask = format!(
            "{method} /{prefix}{path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).expect("the sandbox listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the sandbox answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
