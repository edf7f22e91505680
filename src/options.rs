//! How a client is set up, and what comes of it: every option checked once, at creation.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::{Dialect, MAX_DOCUMENT};
use crate::error::{Error, Result};
use crate::http::{ProxyChoice, Scheme, Settings, Url};
use crate::log::{Log, LogLevel, LogSink};
use crate::picture::PixelOptions;
use crate::poll::{Limit, Timing};
use crate::words::of_disk;

/// How a client is set up. Every 0, `None` and "" means the default.
#[derive(Clone, Default)]
pub struct Options {
    /// Name of a built-in provider (`dimilinks`, `dimilinks-legacy`, `lemondata`); "" with `dialect_json`.
    pub provider: String,
    /// An own dialect instead of a built-in provider: a JSON document, or the path of a file that holds one. It is taken
    /// for a document when its first character that is no white space is `{`.
    pub dialect_json: Option<String>,
    /// Where the API is: `https://host[:port][/path]`. Default: the variable `<NAME>_BASE_URL`, then the dialect's host.
    pub base_url: Option<String>,
    /// The key. Default: the dialect's environment variable.
    pub api_key: Option<String>,
    /// Sent as User-Agent. Default: `imgtask/<version>`.
    pub user_agent: Option<String>,
    /// `http://[user:password@]host:port`, or `env` to read the environment's proxy variables. Default: direct.
    pub proxy_url: Option<String>,
    /// PEM file of the trusted roots. Default: the bundled ones.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds for one connect with TLS. Default 5,000.
    pub connect_timeout_ms: u32,
    /// Milliseconds for one look. Default 20,000.
    pub request_timeout_ms: u32,
    /// Milliseconds for one submit. Default: the dialect's (600,000: a synchronous create answers when the image is done).
    pub submit_timeout_ms: u32,
    /// Milliseconds without a byte after which a look (default 10,000) or a download (default 30,000) is given up.
    pub stall_timeout_ms: u32,
    /// Milliseconds that a wait lasts when the call does not say. Default: the dialect's.
    pub wait_timeout_ms: u32,
    /// A fixed pace of looks in milliseconds instead of the dialect's. Not below 1,000 unless the API is on loopback.
    pub poll_interval_ms: u32,
    /// The service's limit of requests a minute, of which 90 % are used. Default: the dialect's; where it names none, what the
    /// service turns out to bear (300 a minute at first, 900 at most).
    pub max_requests_per_minute: u32,
    /// Threads that work on jobs, at most; more than 64 are 64. Default 7. None is started before the first job.
    pub max_workers: u32,
    /// Jobs accepted and not yet finally delivered, at most. Default 100,000.
    pub max_pending: usize,
    /// File of the journal, which keeps outstanding jobs through a crash. Default: none.
    pub journal_path: Option<PathBuf>,
    /// Longest JSON body that is read, bytes. Default 64 MiB.
    pub max_response_bytes: u64,
    /// Longest image that is read, bytes. Default 64 MiB.
    pub max_image_bytes: u64,
    /// Largest image that is made pixels of, in pixels. Default 67,108,864 (8192 x 8192).
    pub max_image_pixels: u64,
    /// Whether links to private addresses are followed although the API itself is public. Where the API is at a private
    /// address, they are. Through a proxy, which looks names up itself, links are judged by the addresses in them alone.
    pub allow_private_images: bool,
    /// Whether the API may be at a plain `http://` address that is not on loopback.
    pub allow_plain_http: bool,
    /// How much is told to `log`.
    pub log_level: LogLevel,
    /// Receives the log's lines, on the thread of the call that caused them.
    pub log: Option<LogSink>,
}

/// The options after every check: nothing in here can be wrong.
pub(crate) struct Setup {
    pub(crate) dialect: Arc<Dialect>,
    pub(crate) base: Url,
    pub(crate) key: String,
    pub(crate) http: Settings,
    pub(crate) timing: Arc<Timing>,
    pub(crate) limit: Limit,
    /// Whether the caller gave the limit.
    pub(crate) limit_is_told: bool,
    pub(crate) max_workers: usize,
    pub(crate) max_pending: usize,
    pub(crate) journal_path: Option<PathBuf>,
    pub(crate) request_timeout: Duration,
    pub(crate) submit_timeout: Duration,
    pub(crate) look_stall: Duration,
    pub(crate) download_stall: Duration,
    pub(crate) wait_timeout: Duration,
    pub(crate) max_response_bytes: u64,
    pub(crate) max_image_bytes: u64,
    pub(crate) max_image_pixels: u64,
    pub(crate) allow_private_images: bool,
    pub(crate) log: Log,
}

const MEBIBYTE: u64 = 1024 * 1024;
/// A client is used by a handful of threads at once; further connections are opened and closed.
const MAX_IDLE_PER_HOST: usize = 8;
/// Threads that work on jobs when nobody says, which makes eight with the program's own, and at most.
const WORKERS: usize = 7;
const MAX_WORKERS: u32 = 64;
/// Jobs that wait or run when nobody says.
const MAX_PENDING: usize = 100_000;
/// The longest key, user agent or address that is plausible.
const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Nobody may look faster than this at a service that is not on this machine.
const PACE_FLOOR_MS: u64 = 1_000;

impl Setup {
    pub(crate) fn new(options: &Options) -> Result<Setup> {
        let dialect = dialect(options)?;
        let profile = dialect.profile();
        let base = base_url(options, &dialect)?;
        let key = key(options, &profile.key_variable, |name| env::var(name).ok())?;
        let user_agent = given(&options.user_agent).unwrap_or(concat!("imgtask/", env!("CARGO_PKG_VERSION")));
        check_header("the user agent", user_agent)?;
        Ok(Setup {
            http: Settings {
                user_agent: user_agent.to_owned(),
                proxy: match given(&options.proxy_url) {
                    None => ProxyChoice::Direct,
                    Some("env") => ProxyChoice::Env,
                    Some(url) => ProxyChoice::Url(url.to_owned()),
                },
                ca_file: options.ca_file.clone().filter(|path| !path.as_os_str().is_empty()),
                connect_timeout: ms_or(options.connect_timeout_ms, 5_000),
                max_idle_per_host: MAX_IDLE_PER_HOST.max(workers(options.max_workers)),
            },
            timing: Arc::new(timing(options, &dialect, &base)),
            limit: limit(options, &dialect),
            limit_is_told: options.max_requests_per_minute != 0,
            max_workers: workers(options.max_workers),
            max_pending: if options.max_pending == 0 { MAX_PENDING } else { options.max_pending },
            journal_path: options.journal_path.clone().filter(|path| !path.as_os_str().is_empty()),
            request_timeout: ms_or(options.request_timeout_ms, 20_000),
            submit_timeout: ms_or(options.submit_timeout_ms, submit_timeout_ms(&dialect)),
            look_stall: ms_or(options.stall_timeout_ms, 10_000),
            download_stall: ms_or(options.stall_timeout_ms, 30_000),
            wait_timeout: ms_or(options.wait_timeout_ms, dialect.profile().timing.wait_timeout_ms.0.into()),
            max_response_bytes: or(options.max_response_bytes, 64 * MEBIBYTE),
            max_image_bytes: or(options.max_image_bytes, 64 * MEBIBYTE),
            max_image_pixels: or(options.max_image_pixels, PixelOptions::MAX_PIXELS),
            allow_private_images: options.allow_private_images,
            log: Log::new(options.log_level, options.log.clone()),
            key,
            base,
            dialect,
        })
    }
}

/// Checks a key as it will be sent in a header. The message never holds it.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::invalid("the API key is empty"));
    }
    check_header("the API key", key)
}

fn check_header(what: &str, value: &str) -> Result<()> {
    if value.len() > MAX_TEXT_BYTES {
        return Err(Error::invalid(format!("{what} is longer than {MAX_TEXT_BYTES} bytes")));
    }
    if value.bytes().any(|b| !(b' '..=b'~').contains(&b)) {
        let message = format!("{what} may hold printable ASCII only: no line break, no NUL, no other character");
        return Err(Error::invalid(message));
    }
    if value.trim() != value {
        return Err(Error::invalid(format!("{what} begins or ends with a space")));
    }
    Ok(())
}

fn given(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

fn or(given: u64, default: u64) -> u64 {
    if given == 0 { default } else { given }
}

fn ms_or(given: u32, default_ms: u64) -> Duration {
    Duration::from_millis(or(given.into(), default_ms))
}

fn dialect(options: &Options) -> Result<Arc<Dialect>> {
    match (given(&options.dialect_json), options.provider.as_str()) {
        (Some(text), "") if is_document(text) => Dialect::parse(text).map(Arc::new),
        (Some(path), "") => dialect_file(path).map(Arc::new),
        (Some(_), _) => Err(Error::invalid("give a provider or a dialect, not both")),
        (None, "") => Err(Error::invalid(format!("no provider: give one of {}", names()))),
        (None, name) => Dialect::builtin(name)
            .ok_or_else(|| Error::invalid(format!("no provider {}; the built-in ones are {}", shown(name), names()))),
    }
}

/// Whether a dialect is given as itself, and not as the path of its file.
fn is_document(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
}

fn dialect_file(path: &str) -> Result<Dialect> {
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there is more.
    let read =
        open_regular(Path::new(path)).and_then(|file| file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::InvalidInput => "it is no regular file".to_owned(),
            _ => of_disk(&error),
        };
        return Err(Error::invalid(format!("the dialect file {} cannot be read: {why}", shown_path(path))));
    }
    match str::from_utf8(&bytes) {
        Ok(json) => Dialect::parse_file(&shown_path(path), json),
        Err(_) => Err(Error::invalid(format!("the dialect file {} is not UTF-8", shown_path(path)))),
    }
}

/// Opens a file, and nothing that could keep the caller waiting: no pipe, no device.
fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path)?;
    let kind = file.metadata()?.file_type();
    // That of a folder fails to be read, in words of its own.
    if kind.is_file() || kind.is_dir() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// A path in a message. What does not look like one may be a key at the wrong place.
fn shown_path(path: &str) -> String {
    let is_path = path.len() <= 256 && path.contains(['.', '/', '\\']) && !path.contains(char::is_control);
    if is_path { path.to_owned() } else { "of that name".to_owned() }
}

/// The key of the options, else of the environment. A variable that is set to nothing is not set.
fn key(options: &Options, variable: &str, read: impl Fn(&str) -> Option<String>) -> Result<String> {
    if let Some(key) = given(&options.api_key) {
        check_key(key)?;
        return Ok(key.to_owned());
    }
    match read(variable) {
        Some(key) if !key.is_empty() => {
            check_header(&format!("the API key in the variable {variable}"), &key)?;
            Ok(key)
        }
        _ => Err(Error::invalid(format!("no API key: pass one or set the variable {variable}"))),
    }
}

/// The name of a provider that there is none of. A long one may be a key at the wrong place.
fn shown(name: &str) -> String {
    if name.len() <= 20 { format!("{name:?}") } else { "of that name".to_owned() }
}

fn names() -> String {
    const TOLD: usize = 3;
    let all: Vec<&str> = Dialect::builtin_names().collect();
    let (told, more) = all.split_at(TOLD.min(all.len()));
    format!("{} and {} more", told.join(", "), more.len())
}

fn base_url(options: &Options, dialect: &Dialect) -> Result<Url> {
    let profile = dialect.profile();
    let variable = base_url_variable(&profile.name);
    let from_variable = env::var(&variable).ok().filter(|value| !value.is_empty());
    let (what, text) = match (given(&options.base_url), &from_variable, &profile.base_url) {
        (Some(text), ..) => ("the base URL", text),
        (None, Some(text), _) => (variable.as_str(), text.as_str()),
        (None, None, Some(text)) => ("the dialect's base URL", &**text),
        (None, None, None) => {
            let message = format!("no address of {} is confirmed: pass its base URL or set {variable}", profile.title);
            return Err(Error::invalid(message));
        }
    };
    let url = Url::parse(text).map_err(|reason| Error::invalid(format!("{what} cannot be used: {reason}")))?;
    if url.path_and_query().contains('?') || text.contains('#') {
        return Err(Error::invalid(format!("{what} cannot be used: it has a query or a fragment")));
    }
    if url.scheme() == Scheme::Http && !url.is_loopback_host() && !options.allow_plain_http {
        let message =
            format!("{what} is plain http, which shows the key to the network; use https or allow_plain_http");
        return Err(Error::invalid(message));
    }
    Ok(url)
}

/// The environment variable that overrides a provider's address: `DIMILINKS_LEGACY_BASE_URL`.
pub(crate) fn base_url_variable(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let word: String = upper.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    word + "_BASE_URL"
}

fn submit_timeout_ms(dialect: &Dialect) -> u64 {
    // Without a submit it is never asked for.
    dialect.profile().submit.as_ref().map_or(0, |submit| submit.timeout_ms.0.into())
}

fn limit(options: &Options, dialect: &Dialect) -> Limit {
    let timing = &dialect.profile().timing;
    let per_minute = match options.max_requests_per_minute {
        0 => timing.requests_per_minute.map(|limit| limit.0),
        told => Some(told),
    };
    Limit { per_minute, burst: timing.burst.0 }
}

fn workers(given: u32) -> usize {
    match given {
        0 => WORKERS,
        _ => given.min(MAX_WORKERS) as usize,
    }
}

fn timing(options: &Options, dialect: &Dialect, base: &Url) -> Timing {
    let timing = &dialect.profile().timing;
    let own = Timing {
        first_look_ms: timing.first_look_ms.into(),
        intervals_ms: timing.intervals_ms.iter().map(|(age, interval)| ((*age).into(), (*interval).into())).collect(),
        floor_ms: timing.floor_ms.into(),
        not_found_grace_ms: timing.not_found_grace_ms.into(),
        retry_ms: Timing::RETRY_MS,
        no_image_ms: Timing::NO_IMAGE_MS,
        paced: false,
    };
    match options.poll_interval_ms {
        0 => own,
        ms => own.paced(ms.into(), if base.is_loopback_host() { 1 } else { PACE_FLOOR_MS }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { provider: "dimilinks".into(), api_key: Some("sk-test".into()), ..Options::default() }
    }

    fn refusal(options: &Options) -> String {
        Setup::new(options).err().expect("refused").message().to_owned()
    }

    #[test]
    fn a_provider_and_a_key_are_enough() {
        let setup = Setup::new(&options()).expect("a setup");
        // Who runs this may have an address in the environment.
        let named = env::var(base_url_variable("dimilinks")).ok().filter(|address| !address.is_empty());
        let address = named.as_deref().unwrap_or("https://dimilinks.com");
        assert_eq!(setup.base.as_str().trim_end_matches('/'), address.trim_end_matches('/'));
        assert_eq!(setup.wait_timeout, Duration::from_secs(600));
    }

    #[test]
    fn a_dialect_is_a_document_or_the_path_of_one() {
        const OWN: &str = r#"{"name":"own","base_url":"https://own.example","poll":{"paths":["/{id}"]}}"#;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("own.json");
        let with = |dialect: &str| Options {
            provider: String::new(),
            dialect_json: Some(dialect.into()),
            api_key: Some("k".into()),
            ..Options::default()
        };
        let path = file.to_str().expect("UTF-8");
        std::fs::write(&file, format!("\u{feff} {OWN}")).expect("written");
        for dialect in [OWN, &format!("\u{feff}\n {OWN}"), path] {
            let setup = Setup::new(&with(dialect)).unwrap_or_else(|e| panic!("{dialect}: {e}"));
            assert_eq!(&*setup.dialect.profile().name, "own");
        }
        std::fs::write(&file, r#"{"name":"Own","pol":{}}"#).expect("written");
        let told = refusal(&with(path));
        for part in [&*format!("dialect {path}: /pol: unknown member"), "; /name: must be 1 to 64", "; poll is missing"]
        {
            assert!(told.contains(part), "{told}");
        }
        std::fs::write(&file, [0xff, b'{']).expect("written");
        assert_eq!(refusal(&with(path)), format!("the dialect file {path} is not UTF-8"));
        std::fs::write(&file, vec![b' '; MAX_DOCUMENT + 9]).expect("written");
        assert!(refusal(&with(path)).ends_with(": the document is longer than 1 MiB"));
        let folder = folder.path().to_str().expect("UTF-8");
        assert_eq!(refusal(&with(folder)), format!("the dialect file {folder} cannot be read: the path is a folder"));
        if cfg!(unix) {
            let pipe = format!("{folder}/pipe.json");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.is_ok_and(|status| status.success()));
            for path in [&*pipe, "/dev/zero"] {
                let told = refusal(&with(path));
                assert!(told.ends_with(" cannot be read: it is no regular file"), "{told}");
            }
        }
        assert_eq!(refusal(&with("sk-CANARY")), "the dialect file of that name cannot be read: there is no such file");
        let both = Options { provider: "dimilinks".into(), ..with(path) };
        assert_eq!(refusal(&both), "give a provider or a dialect, not both");
    }

    #[test]
    fn a_missing_key_names_its_variable() {
        let mut options = options();
        options.api_key = None;
        options.provider = "lemondata".into();
        let own = dialect(&options).expect("a dialect");
        let refused = key(&options, &own.profile().key_variable, |_| None).expect_err("refused");
        assert!(refused.message().contains("LEMONDATA_API_KEY"));
    }

    #[test]
    fn a_variable_that_is_empty_holds_no_key_and_one_that_cannot_be_sent_is_named() {
        let without = Options { api_key: Some(String::new()), ..options() };
        let from = |value: &'static str| key(&without, "X_API_KEY", move |_| Some(value.to_owned()));
        assert_eq!(from("sk-a").expect("a key"), "sk-a");
        let refused = |value| from(value).expect_err("refused").message().to_owned();
        assert!(refused("").contains("set the variable X_API_KEY"));
        let odd = refused("sk-CANARY\n");
        assert!(odd.contains("in the variable X_API_KEY") && !odd.contains("CANARY"), "{odd}");
    }

    #[test]
    fn a_key_or_user_agent_that_could_break_a_header_is_refused_and_not_repeated() {
        for bad in ["sk-CANARY\r\nx: y", "sk-CANARY\n", "sk-CANARY\0", " sk-CANARY", "sk-CANARY-ü"] {
            let refused = refusal(&Options { api_key: Some(bad.into()), ..options() });
            assert!(!refused.contains("CANARY"), "{refused}");
            assert!(Setup::new(&Options { user_agent: Some(bad.into()), ..options() }).is_err());
        }
    }

    #[test]
    fn a_base_url_that_is_not_strictly_one_is_refused() {
        for bad in [
            "dimilinks.com",
            "ftp://h/v1",
            "https://u:p@h/v1",
            "https://h:0/v1",
            "https://h:99999",
            "https://h:80abc",
            "https://h:-1",
            "https://h/v1?x=1",
            "https://[::1",
            "https://h ost/",
            "http://gateway.example/v1",
        ] {
            assert!(Setup::new(&Options { base_url: Some(bad.into()), ..options() }).is_err(), "{bad}");
        }
        for good in
            ["https://h/v1/", "https://h", "http://127.0.0.1:8080/v1", "http://localhost:1", "http://[::1]:8080"]
        {
            assert!(Setup::new(&Options { base_url: Some(good.into()), ..options() }).is_ok(), "{good}");
        }
    }

    #[test]
    fn an_own_pace_is_not_below_a_second_unless_the_api_is_on_this_machine() {
        let pace = |base: &str| {
            let options = Options { poll_interval_ms: 50, base_url: Some(base.into()), ..options() };
            Setup::new(&options).expect("a setup").timing.interval_ms(0)
        };
        assert_eq!(pace("https://h"), 1_000);
        assert_eq!(pace("http://127.0.0.1:9"), 50);
    }

    #[test]
    fn an_unknown_provider_is_told_the_known_ones() {
        let refused = refusal(&Options { provider: "sk-CANARY-0123456789abcdef".into(), ..options() });
        assert!(!refused.contains("CANARY"), "{refused}");
        let refused = refusal(&Options { provider: "nobody".into(), ..options() });
        assert!(refused.contains("\"nobody\"") && refused.contains("dimilinks") && refused.contains("lemondata"));
    }
}
