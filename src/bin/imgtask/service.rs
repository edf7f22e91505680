//! Which service a command speaks to, and with which key.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command, ValueHint};
use imgtask::{Client, Error, Options, State, Status, Task};

use crate::exit::{Exit, Outcome, Problem};
use crate::{dialect, interrupt, shell};

const PROVIDER: &str = "IMGTASK_PROVIDER";
/// How the library says that a submit's answer was there, and no id in it.
const NAMELESS: [&str; 2] = ["names no task", "names neither a task"];
/// Longest key file, bytes.
const MAX_KEY_FILE: u64 = 64 * 1024;
/// Longest file of a request or dialect, bytes: an image to image request holds images.
const MAX_JSON_FILE: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct Service {
    /// The provider, one of `imgtask providers`
    #[arg(long, short = 'p', value_name = "NAME", env = PROVIDER, hide_env_values = true)]
    #[arg(value_parser = ProviderName, hide_possible_values = true)]
    provider: Option<String>,

    /// Speak a dialect of your own, a JSON file, instead of a provider's; `imgtask dialect` helps to write one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    dialect: Option<PathBuf>,

    /// Another address of the API [env: <NAME>_BASE_URL]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    base_url: Option<String>,

    /// Read the key from FILE, - is the standard input [default: the provider's variable]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,

    /// Go through http://host:port, or `env` for HTTPS_PROXY and its kin
    #[arg(long, value_name = "URL", help_heading = "Network")]
    proxy: Option<String>,

    /// Trust the roots of this PEM file instead of the built-in ones
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Network")]
    ca_file: Option<PathBuf>,

    /// Look at this pace instead of the provider's, at least 1s (shorter only on this machine)
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse, help_heading = "Network")]
    interval: Option<Duration>,

    /// Let the API be at a plain http:// address that is not on this machine
    #[arg(long, help_heading = "Network")]
    allow_plain_http: bool,

    /// Follow image links into private networks although the API is public
    #[arg(long, help_heading = "Network")]
    allow_private_images: bool,
}

/// Reads any name, and lets shells complete those of the built-in providers.
#[derive(Clone)]
pub(crate) struct ProviderName;

impl TypedValueParser for ProviderName {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(imgtask::providers().iter().map(|provider| PossibleValue::new(provider.name))))
    }
}

/// A client, and how to reach the same service again.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// The provider's name, as results show it.
    pub(crate) provider: String,
    /// The arguments that name the service, ready for a shell.
    arguments: String,
    /// The file of a dialect of the user's own, ready for a shell.
    dialect: Option<String>,
}

impl Service {
    /// Whether the key comes from the standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.key_file.as_deref() == Some(Path::new("-"))
    }

    /// Reads the key and makes the client. Opens no connection.
    pub(crate) fn open(&self) -> Outcome<Session> {
        self.open_with(Options::default())
    }

    /// As `open`, with options that are the command's own.
    pub(crate) fn open_with(&self, own: Options) -> Outcome<Session> {
        // The variable is for all commands; an argument is for this one.
        let variable = std::env::var(PROVIDER).ok();
        if self.dialect.is_some() && self.provider.as_ref().is_some_and(|name| Some(name) != variable.as_ref()) {
            return Err(Problem::usage("--provider and --dialect both say which service it is: give one of them"));
        }
        let dialect_json = self.dialect.as_deref().map(|path| read_text(path, MAX_JSON_FILE)).transpose()?;
        let provider = match (&dialect_json, self.provider.as_deref()) {
            (Some(json), _) => self.dialect_name(json)?,
            (None, Some(name)) if !name.is_empty() => name.to_string(),
            _ => {
                let documented = imgtask::providers().iter().filter(|p| p.documented);
                let names: Vec<&str> = documented.map(|p| p.name).collect();
                return Err(Problem::usage("which provider?").hint(format!(
                    "give --provider NAME or set IMGTASK_PROVIDER: {}, or another of `imgtask providers`",
                    names.join(", ")
                )));
            }
        };
        if self.proxy.as_deref().is_some_and(|proxy| proxy.contains('@')) {
            return Err(Problem::usage("--proxy with a password: others on this machine can read your arguments")
                .hint("set HTTPS_PROXY and give --proxy env"));
        }
        let api_key = self.key_file.as_deref().map(read_key).transpose()?;
        let options = Options {
            provider: if dialect_json.is_some() { String::new() } else { provider.clone() },
            dialect_json,
            base_url: self.base_url.clone(),
            api_key,
            user_agent: Some(format!("imgtask-cli/{}", env!("CARGO_PKG_VERSION"))),
            proxy_url: self.proxy.clone(),
            ca_file: self.ca_file.clone(),
            poll_interval_ms: self.interval.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
            allow_private_images: self.allow_private_images,
            allow_plain_http: self.allow_plain_http,
            ..own
        };
        let client = Client::create(&options).map_err(|error| {
            let invalid = error.status() == Status::InvalidArgument;
            let mut problem = Problem::from(error);
            let keyless = problem.message.strip_prefix("no API key: pass one or set the variable ").map(str::to_string);
            if let Some(variable) = keyless {
                problem.message = "no API key".to_string();
                return problem.hint(format!("set {variable}, or give --key-file FILE (- reads the standard input)"));
            }
            let is_unknown = imgtask::providers().iter().all(|known| known.name != provider);
            match invalid && self.dialect.is_none() && is_unknown {
                true => problem.hint(unknown_provider(&provider)),
                false => problem,
            }
        })?;
        interrupt::reaches(&client);
        let dialect = self.dialect.as_ref().map(|path| shell::quote(&path.display().to_string()));
        Ok(Session { client, provider, arguments: self.arguments(), dialect })
    }

    /// The name that the dialect gives itself. What is wrong with it is told with the name of its file.
    fn dialect_name(&self, json: &str) -> Outcome<String> {
        let file = self.dialect.as_deref().map_or_else(String::new, |path| path.display().to_string());
        dialect::parse(&file, json).map(|draft| draft.name().to_string())
    }

    /// The options that name the service, as they were given; never a key.
    fn arguments(&self) -> String {
        let mut words = Vec::new();
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                words.push(format!("{flag} {}", shell::quote(&value)));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        add("--provider", if self.dialect.is_none() { self.provider.clone() } else { None });
        add("--dialect", path(&self.dialect));
        add("--base-url", self.base_url.clone());
        add("--key-file", path(&self.key_file));
        add("--proxy", self.proxy.clone());
        add("--ca-file", path(&self.ca_file));
        if self.allow_plain_http {
            words.push("--allow-plain-http".to_string());
        }
        if self.allow_private_images {
            words.push("--allow-private-images".to_string());
        }
        words.join(" ")
    }
}

impl Session {
    /// A command for a task at the same service, ready for a shell.
    pub(crate) fn command(&self, verb: &str, reference: &str) -> String {
        let reference = shell::quote(reference);
        let end = if reference.starts_with('-') { "-- " } else { "" };
        format!("imgtask {verb} {} {end}{reference}", self.arguments)
    }

    /// Why a call failed. Where a dialect of the user's own may be wrong, that is looked into before anything is paid again.
    pub(crate) fn problem(&self, error: Error, known: &Task) -> Problem {
        let suspect = self.dialect.as_deref().and_then(|file| suspect(file, &error, known));
        Problem::of_error(error, suspect)
    }
}

/// The member of an own dialect that an error points at, and how to see what it reads.
fn suspect(file: &str, error: &Error, known: &Task) -> Option<String> {
    let (what, more) = match error.status() {
        Status::NoImage => ("`read.images` of the dialect finds no image in the answer".to_string(), ""),
        Status::SubmitUnknown if NAMELESS.iter().any(|words| error.message().contains(words)) => {
            ("`read.id` of the dialect finds no id in the answer".to_string(), " --submit")
        }
        Status::Timeout | Status::Starved if known.state == State::Unknown && known.looked_at_ms > 0 => {
            match known.provider_status.as_str() {
                "" => ("`read.status` of the dialect finds no status in the answer".to_string(), ""),
                word => (format!("`read.words` of the dialect does not say what {word:?} means"), ""),
            }
        }
        _ => return None,
    };
    Some(format!("{what}; with the answer in a file: imgtask dialect try {file} --body ANSWER{more}"))
}

/// What may have been meant by a name that no provider has.
fn unknown_provider(name: &str) -> String {
    if name.ends_with(".json") {
        return format!("a dialect of your own is given as --dialect {}", shell::quote(name));
    }
    let known = imgtask::providers().iter().map(|known| (distance(name, known.name), known.name));
    match known.min() {
        Some((..=2, near)) => format!("did you mean {near}? `imgtask providers` lists them"),
        _ => "`imgtask providers` lists them".to_string(),
    }
}

/// How many letters have to be put in, taken out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, left) in one.chars().take(64).enumerate() {
        let mut before = line;
        let mut last = line + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(other.chars()) {
            let changed = before + usize::from(left != right);
            before = *cell;
            last = changed.min(before + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// The key: the first line of a file or of the standard input.
fn read_key(path: &Path) -> Outcome<String> {
    let text = read_text(path, MAX_KEY_FILE)?;
    let key = text.lines().next().unwrap_or_default().trim();
    if key.is_empty() {
        return Err(Problem::usage(format!("the first line of {} holds no key", shown(path))));
    }
    Ok(key.to_string())
}

/// A whole text file, or the standard input for `-`.
pub(crate) fn read_text(path: &Path, limit: u64) -> Outcome<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text))
    };
    match read {
        Ok(length) if length as u64 > limit => {
            Err(Problem::new(Exit::File, format!("{} is longer than {limit} bytes", shown(path))))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Problem::new(Exit::File, format!("{} is not UTF-8 text", shown(path))))
        }
        Err(error) => Err(Problem::file("read", path, &error)),
    }
}

/// A whole JSON file of the user's, or the standard input for `-`.
pub(crate) fn read_json(path: &Path) -> Outcome<String> {
    read_text(path, MAX_JSON_FILE)
}

pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "the standard input".to_string() } else { path.display().to_string() }
}
