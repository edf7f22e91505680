//! The options that name a service, and what a command does with the service.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command, ValueHint};
use imgtask::{Client, Error, Options, State, Status, Task};

use crate::access::Access;
use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::{interrupt, shell};

/// How the library says that a submit's answer was there, and no id in it.
const NAMELESS: [&str; 2] = ["names no task", "names neither a task"];
/// Longest file of a request or dialect, bytes: an image to image request holds images.
const MAX_JSON_FILE: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct Service {
    /// The provider, one of `imgtask providers` [env: IMGTASK_PROVIDER]
    #[arg(long, short = 'p', value_name = "NAME", value_parser = ProviderName, hide_possible_values = true)]
    pub(crate) provider: Option<String>,

    /// Speak a dialect of your own, a JSON file, instead of a provider's; `imgtask dialect` helps to write one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) dialect: Option<PathBuf>,

    /// Another address of the API [env: <NAME>_BASE_URL]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) base_url: Option<String>,

    /// Read the key from FILE, - is the standard input [default: the provider's variable]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key_file: Option<PathBuf>,

    /// Go through http://host:port, or `env` for HTTPS_PROXY and its kin [env: IMGTASK_PROXY]
    #[arg(long, value_name = "URL", help_heading = "Network")]
    pub(crate) proxy: Option<String>,

    /// Trust the roots of this PEM file instead of the built-in ones [env: IMGTASK_CA_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Network")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Look at this pace instead of the provider's, at least 1s (shorter only on this machine) [env: IMGTASK_INTERVAL]
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse, help_heading = "Pace")]
    pub(crate) interval: Option<Duration>,

    /// The service's limit, of which 90 % are used [env: IMGTASK_MAX_REQUESTS_PER_MINUTE] [default: the provider's, or what
    /// it bears]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Pace")]
    pub(crate) max_requests_per_minute: Option<u32>,

    /// Let the API be at a plain http:// address that is not on this machine
    #[arg(long, help_heading = "Network")]
    pub(crate) allow_plain_http: bool,

    /// Follow image links into private networks although the API is public
    #[arg(long, help_heading = "Network")]
    pub(crate) allow_private_images: bool,
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
    /// How long a wait lasts where no argument says.
    pub(crate) timeout: Option<Duration>,
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
    pub(crate) fn open(&self, context: &Context) -> Outcome<Session> {
        self.open_with(context, Options::default())
    }

    /// As `open`, with options that are the command's own.
    pub(crate) fn open_with(&self, context: &Context, own: Options) -> Outcome<Session> {
        let access = Access::new(self, &context.settings)?;
        access.tell(&context.ui);
        let (log_level, log) = context.ui.log();
        let client = access.client(Options { log_level, log, ..own })?;
        interrupt::reaches(&client);
        Ok(Session {
            client,
            arguments: self.arguments(&access, context),
            timeout: access.network.timeout.map(|timeout| timeout.value),
            dialect: access.dialect.map(|file| shell::quote(&file.value.display().to_string())),
            provider: access.provider.value,
        })
    }

    /// The options that name the service, as they were given; never a key. What the environment and the file say is said there
    /// the next time as well, but for the provider: it is what people look for.
    fn arguments(&self, access: &Access, context: &Context) -> String {
        let mut words = Vec::new();
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                words.push(format!("{flag} {}", shell::quote(&value)));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        add("--provider", if self.dialect.is_none() { Some(access.provider.value.clone()) } else { None });
        add("--dialect", path(&self.dialect));
        add("--base-url", self.base_url.clone());
        add("--key-file", path(&self.key_file));
        add("--proxy", self.proxy.clone());
        add("--ca-file", path(&self.ca_file));
        add("--config", context.settings.given_file().map(|path| path.display().to_string()));
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

/// What is nearly the same word, if one is.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (far, near) = known.map(|known| (distance(word, known), known)).min()?;
    (far <= 2).then_some(near)
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
