//! The gateway in a box: `imgtask sandbox`.
//!
//! It serves the documented contracts of DimiLinks and LemonData on loopback, and misbehaves on request, so that the tests, the
//! demo, the examples and a user's own offline tests need no service. It shares no code with the library: its answers come from
//! the documented shapes, never from the library's reader.
//!
//! [`start`] runs one inside this process, [`run`] is the program. Doors, keys, routes, control routes, scenarios and directives
//! are told by [`help`], which `imgtask sandbox --help` prints; the faults are the table in `catalogue.rs`.
//!
//! A request goes: `http` (framing) -> `gateway` (which route, who asks) -> `dimilinks` or `lemondata` (what is said; `create` for creates) -> `twist`
//! (what is made of it) -> `answer` (how it travels).

mod answer;
mod catalogue;
#[cfg_attr(
    any(target_os = "linux", target_os = "freebsd", target_os = "netbsd", target_vendor = "apple"),
    path = "child.rs"
)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd", target_vendor = "apple")),
    path = "child_elsewhere.rs"
)]
mod child;
mod command;
mod control;
mod create;
mod dimilinks;
mod gateway;
mod http;
mod lemondata;
mod limit;
mod links;
mod order;
mod pictures;
mod scenario;
mod shapes;
mod stats;
mod stop;
mod store;
mod twist;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) use command::run_command;
use gateway::{ANY_KEY, Gateway};
use http::Server;
use scenario::Rule;
use stop::Stop;

/// A service that the sandbox plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Service {
    DimiLinks,
    LemonData,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::DimiLinks => "dimilinks",
            Self::LemonData => "lemondata",
        }
    }

    /// The key it takes; any key that begins so is taken too, and is another user.
    fn key(self) -> &'static str {
        match self {
            Self::DimiLinks => "sk-dimilinks-sandbox",
            Self::LemonData => "sk-lemondata-sandbox",
        }
    }
}

/// How the sandbox is to behave.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SandboxOptions {
    /// First of three ports on 127.0.0.1 (open door, DimiLinks, LemonData); 0 lets the system choose all three.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// How many times faster than real time tasks go: 60 makes a 60 s task take 1 s.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub(crate) speed: f64,
    /// Seconds that every task takes, before --speed [default: log-normal, median 60].
    #[arg(long, value_parser = not_negative)]
    pub(crate) duration: Option<f64>,
    /// Makes ids and durations the same in every run; they follow from the prompt and how often it was submitted.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// API requests per key in a (scaled) minute, answered 429 beyond; 0: no limit.
    #[arg(long, default_value_t = 0)]
    pub(crate) rate_limit: u32,
    /// Seconds that a signed image link lives (real time).
    #[arg(long, default_value_t = 86_400.0, value_parser = not_negative)]
    pub(crate) link_life: f64,
    /// A fault for everybody, such as http-503*3, image.silent or missing*1/task; may be given again.
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) scenario: Vec<String>,
    /// Stop when standard input ends, whatever it is [default: only if it is a pipe or a socket].
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
    /// Go on when standard input ends and when the parent process is gone.
    #[arg(long, conflicts_with = "until_stdin_closes")]
    pub(crate) keep_running: bool,
    /// Runs this with every provider's address and key in its environment (DIMILINKS_BASE_URL, DIMILINKS_API_KEY, ...), and
    /// ends with it. Prints no line then.
    #[arg(last = true, value_name = "COMMAND", value_hint = clap::ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            port: 0,
            speed: 1.0,
            duration: None,
            seed: None,
            rate_limit: 0,
            link_life: 86_400.0,
            scenario: Vec::new(),
            until_stdin_closes: false,
            keep_running: false,
            command: Vec::new(),
        }
    }
}

/// A speed: more than nothing.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    let number = not_negative(text)?;
    if (0.001..=1_000_000.0).contains(&number) { Ok(number) } else { Err("from 0.001 to 1000000".into()) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=1e9).contains(&number) { Ok(number) } else { Err("from 0 to 1000000000".into()) }
}

/// Where one provider is served.
#[derive(Clone, Debug)]
pub(crate) struct ProviderAccess {
    /// The provider's name in imgtask.
    pub(crate) name: &'static str,
    /// `http://127.0.0.1:PORT`.
    pub(crate) base_url: String,
    /// A key that it takes.
    pub(crate) key: &'static str,
    /// The variable that the library reads the key from.
    pub(crate) key_variable: &'static str,
}

/// A sandbox in this process. It stops when this is dropped.
pub(crate) struct RunningSandbox {
    /// The open door: every provider, told apart by key and id.
    pub(crate) url: String,
    /// A key that every provider takes.
    pub(crate) key: &'static str,
    /// The control routes.
    pub(crate) control: String,
    /// Each provider with a port of its own.
    pub(crate) providers: Vec<ProviderAccess>,
    server: Server,
}

impl RunningSandbox {
    /// The line that `imgtask sandbox` prints: one JSON document.
    pub(crate) fn announcement(&self) -> Value {
        let providers: serde_json::Map<String, Value> = self
            .providers
            .iter()
            .map(|access| (access.name.to_owned(), json!({ "base_url": access.base_url, "key": access.key })))
            .collect();
        json!({ "url": self.url, "key": self.key, "providers": providers, "control": self.control })
    }
}

impl Drop for RunningSandbox {
    fn drop(&mut self) {
        self.server.close();
    }
}

/// Starts a sandbox in this process.
///
/// # Errors
///
/// A scenario that cannot be read (`InvalidInput`), or a port or a thread that the system refuses.
pub(crate) fn start(options: &SandboxOptions) -> io::Result<RunningSandbox> {
    let rules = scenario::Rules::default();
    for text in &options.scenario {
        let rule = Rule::read(text).map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        rules.add(rule);
    }
    let port = |door: u16| match options.port {
        0 => Ok(0),
        first => {
            first.checked_add(door).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "--port is too high"))
        }
    };
    let listeners = [http::listen(port(0)?)?, http::listen(port(1)?)?, http::listen(port(2)?)?];
    let address = |door: usize| listeners[door].local_addr();
    let doors: [SocketAddr; 3] = [address(0)?, address(1)?, address(2)?];
    let seed = options.seed.unwrap_or_else(|| unix_ms() ^ (u64::from(std::process::id()) << 40));
    let secret = Sha256::new().chain_update("links").chain_update(seed.to_le_bytes()).finalize().into();
    let stop = Arc::new(Stop::default());
    let gateway = Arc::new(Gateway {
        speed: options.speed,
        seed,
        duration: options.duration,
        doors,
        store: store::Store::default(),
        links: links::Links::new(secret, (options.link_life * 1000.0) as u64),
        pictures: pictures::Pictures::default(),
        limit: limit::Limit::new(options.rate_limit, options.speed),
        rules,
        stats: stats::Stats::default(),
        stop: Arc::clone(&stop),
    });
    let mut server = Server::new(Arc::clone(&gateway) as Arc<dyn http::Handler>, stop);
    for (door, listener) in listeners.into_iter().enumerate() {
        if let Err(error) = server.open(door, listener) {
            server.close();
            return Err(error);
        }
    }
    Ok(RunningSandbox {
        url: gateway.origin(0),
        key: ANY_KEY,
        control: format!("{}/sandbox", gateway.origin(0)),
        providers: providers(&gateway),
        server,
    })
}

fn providers(gateway: &Gateway) -> Vec<ProviderAccess> {
    let access = |name, door, service: Service, key_variable| ProviderAccess {
        name,
        base_url: gateway.origin(door),
        key: service.key(),
        key_variable,
    };
    let shape = |shape: &shapes::Shape| ProviderAccess {
        name: shape.name,
        base_url: gateway.shape_base(shape),
        key: ANY_KEY,
        key_variable: shape.key_variable,
    };
    let own = [
        access("dimilinks", 1, Service::DimiLinks, "DIMILINKS_API_KEY"),
        access("dimilinks-legacy", 1, Service::DimiLinks, "DIMILINKS_API_KEY"),
        access("lemondata", 2, Service::LemonData, "LEMONDATA_API_KEY"),
    ];
    own.into_iter().chain(shapes::SHAPES.iter().map(shape)).collect()
}

/// Runs a sandbox until its time is over: the program behind `imgtask sandbox`.
///
/// # Errors
///
/// As [`start`], and a standard output that takes no line.
pub(crate) fn run(options: &SandboxOptions) -> io::Result<()> {
    // Asked before the line is printed: who reads it may end the parent at once.
    let parent = parent();
    let sandbox = start(options)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", sandbox.announcement())?;
    out.flush()?;
    drop(out);
    let over = Arc::new(Stop::default());
    if !options.keep_running && (options.until_stdin_closes || stdin_is_a_channel()) {
        let over = Arc::clone(&over);
        std::thread::Builder::new().name("sandbox-stdin".into()).spawn(move || {
            let mut sink = [0; 4096];
            let mut stdin = io::stdin().lock();
            while matches!(stdin.read(&mut sink), Ok(read) if read > 0) {}
            over.set();
        })?;
    }
    while !over.sleep(Duration::from_millis(250)) {
        if !options.keep_running && parent != self::parent() {
            break;
        }
    }
    Ok(())
}

/// Whether standard input is a pipe or a socket: something that a parent holds the other end of. A terminal and /dev/null
/// are not.
#[cfg(unix)]
fn stdin_is_a_channel() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    let Ok(owned) = io::stdin().as_fd().try_clone_to_owned() else { return false };
    let kind = std::fs::File::from(owned).metadata().map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

#[cfg(not(unix))]
fn stdin_is_a_channel() -> bool {
    use std::io::IsTerminal;
    !io::stdin().is_terminal()
}

/// The parent process, as far as the system tells.
#[cfg(unix)]
fn parent() -> Option<u32> {
    Some(std::os::unix::process::parent_id())
}

#[cfg(not(unix))]
fn parent() -> Option<u32> {
    None
}

/// Wall time in Unix milliseconds.
fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What `--help` says after the options.
pub(crate) fn help() -> String {
    format!("{GUIDE}\n{}", catalogue::text())
}

const GUIDE: &str = r#"It plays DimiLinks and LemonData on 127.0.0.1, for demos and offline tests. It
prints one JSON line when it serves:
  {"url", "key", "control",
   "providers": {"dimilinks": {"base_url", "key"}, "dimilinks-legacy": {..},
                 "lemondata": {..}, "bfl": {..}, ..}}

Doors:
  Each provider has a port of its own: image paths are relative to the origin.
  "url" is a third port that serves both and tells them apart by key and id.

Keys:
  sk-dimilinks-sandbox, sk-lemondata-sandbox. A key that begins so is taken
  too, and is another user, who is told that the first one's tasks do not
  exist. sk-sandbox is taken everywhere and sees everything.

Routes of DimiLinks
  POST   /v1/images/generations     asynchronous by ?async=true,
                                    ?wait_for_result=false, the header
                                    Prefer: respond-async or the member
                                    "wait_for_result": false;
                                    ?compat=apimart: that shape
  POST   /v1/images/edits           a form with an image; synchronous
  GET    /v1/tasks/{id}             unified
  GET    /v1/images/tasks/{id}      legacy
  GET    /p/img/{id}/{i}?exp=&sig=  no key; a new link at every look;
                                    400, 403 and 404 have no body
  GET    /v1/videos/{id}/content    the bytes of a finished video

Routes of LemonData
  POST   /v1/images/generations     asynchronous by "async": true
  POST   /v1/images/edits           a form or JSON
  GET    /v1/tasks/{id}, /v1/images/generations/{id}, /v1/images/{id}
  DELETE /v1/tasks/{id}             queued video tasks only: a model with
                                    "seedance", or [video] in the prompt
  GET    /generated/{id}-{i}.{ext}  no key


Shapes of other services
  acedata, apimart, bfl, fal, kie, midjourney-proxy and openai-responses are
  served below "url"/as/NAME, with the key sk-sandbox: a create, looks and
  pictures, as their pages show them. Refusals are in DimiLinks' words.

Time
  A task is queued for a tenth of its time, then runs; a synchronous create
  answers at its end. --speed divides task times and the minute of
  --rate-limit. Links, delays and Retry-After are in real time.

Pictures
  Real PNG, JPEG and WebP of the size asked for ("253x187", or "16:9" with
  "resolution" 1k, 2k, 4k; at most 4096 a side), drawn from the prompt.

Examples:
  imgtask sandbox --speed 60 -- \
    imgtask submit -p dimilinks --prompt 'a fox' --out fox.png
  imgtask sandbox --speed 60 --scenario 'poll.http-503*2' -- \
    imgtask submit -p dimilinks --prompt 'a fox' --out fox-2.png

End:
  When standard input ends, if that is a pipe or a socket; when the parent
  process is gone; by Ctrl-C. --keep-running stays for the first two,
  --until-stdin-closes watches a file and /dev/null as well.
  With a COMMAND it ends when that does, with its code; SIGTERM, SIGINT,
  SIGHUP and SIGQUIT are passed on to it.

Control (no key; JSON):
  GET    /sandbox/stats       submits, polls, image_gets, rate_limited,
                              answers per route and status, faults,
                              credentials_on_images, keys_in_targets
  GET    /sandbox/tasks       state, submits of the prompt, looks, image_gets
  GET    /sandbox/requests    the last 1024, with headers; keys not shown
  GET    /sandbox/scenarios   what is active, and what there is
  POST   /sandbox/scenario    "http-503*3", or {"name", "route", "value",
                              "times", "after", "each_task"}, or a list
  DELETE /sandbox/scenario    back to honesty
  POST   /sandbox/reset       forgets scenarios, tasks, counts and limits
  POST   /sandbox/tasks       {"provider", "count", and a create's members}:
                              so many tasks at once, answered {"ids": [..]};
                              an n in braces in the prompt is the task's
                              number, [duration:0] makes tasks that are done
  POST   /sandbox/tasks/{id}/finish, /cancel, /fail?code=CODE
                              ends a task now
  POST   /sandbox/tasks/{id}/hold?state=queued|dispatched|running
                              keeps a task there until it is moved or ended

Scenarios are faults: [route.]name[:value][*times[/task]], with the route
create, poll, image, cancel or any.
  http-503*3        the next three requests are answered 503
  poll.http-429:7   every look is answered 429 with Retry-After: 7
  image.cut:1000*1  the next image ends after 1000 bytes
  missing*1/task    the first look at every new task finds nothing
In brackets in a prompt they are directives and concern that prompt's task
alone, so that tests can share a sandbox; any means the looks then.
  "a fox [fail:content_moderation]"
  "a fox [duration:3] [poll.http-502*2] [image.drip:5*1]"
  "a fox [create.http-503*1]"     counted over the submits of this prompt
"#;
