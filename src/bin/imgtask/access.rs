//! Which service a command speaks to, by which settings, and who said each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use imgtask::{Client, Options, Status};
use serde_json::Value;

use crate::dialect;
use crate::duration;
use crate::exit::{Exit, Outcome, Problem};
use crate::service::{Service, nearest, read_json, read_text, shown};
use crate::settings::members::{self, Member, count, flag, text};
use crate::settings::{Set, Settings, Source};
use crate::shell;
use crate::ui::Ui;

/// Longest key file, bytes.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// Everything that is known of a service before it is asked for anything.
pub(crate) struct Access {
    pub(crate) provider: Set<String>,
    /// The file of a dialect of the user's own.
    pub(crate) dialect: Option<Set<PathBuf>>,
    dialect_json: Option<String>,
    /// The address; `None` where the provider has none and nobody gives one.
    pub(crate) base_url: Option<Set<String>>,
    /// The variable of the key.
    pub(crate) key_variable: String,
    pub(crate) key_file: Option<Set<PathBuf>>,
    pub(crate) network: Network,
    pub(crate) allow_plain_http: Option<Set<bool>>,
    pub(crate) allow_private_images: Option<Set<bool>>,
}

/// What may be set for every provider.
pub(crate) struct Network {
    pub(crate) proxy: Option<Set<String>>,
    pub(crate) ca_file: Option<Set<PathBuf>>,
    pub(crate) interval: Option<Set<Duration>>,
    pub(crate) max_requests_per_minute: Option<Set<u32>>,
    pub(crate) timeout: Option<Set<Duration>>,
}

impl Network {
    /// As `provider` has it, else as every provider has it that says nothing of its own.
    pub(crate) fn new(service: &Service, settings: &Settings, provider: Option<&str>) -> Outcome<Network> {
        let path = |text: &str| Ok(PathBuf::from(text));
        let limit = service.max_requests_per_minute;
        Ok(Network {
            proxy: proxy(settings.choose(&members::PROXY, provider, service.proxy.clone(), text)?)?,
            ca_file: settings.choose(&members::CA_FILE, provider, service.ca_file.clone(), path)?,
            interval: settings.choose(&members::INTERVAL, provider, service.interval, duration::parse)?,
            max_requests_per_minute: settings.choose(&members::MAX_REQUESTS_PER_MINUTE, provider, limit, count)?,
            timeout: settings.choose(&members::TIMEOUT, provider, None, duration::parse)?,
        })
    }
}

impl Access {
    /// Asks the arguments, the environment and the file. Reads a dialect of the user's own, and no key.
    pub(crate) fn new(service: &Service, settings: &Settings) -> Outcome<Access> {
        if service.dialect.is_some() && service.provider.is_some() {
            return Err(Problem::usage("--provider and --dialect both say which service it is: give one of them"));
        }
        let (name, dialect) = match &service.dialect {
            Some(path) => {
                let source = Source::Argument("--dialect".to_string());
                (None, Some(Set { value: path.clone(), source }))
            }
            None => {
                let name = chosen(service, settings)?;
                let dialect = settings.choose(&members::DIALECT, Some(&name.value), None, text)?;
                (Some(name), dialect.map(|set| set.map(PathBuf::from)))
            }
        };
        let json = dialect.as_ref().map(|dialect| read_json(&dialect.value)).transpose()?;
        let about = match (&dialect, &json) {
            (Some(dialect), Some(json)) => About::of_dialect(&dialect.value, json)?,
            _ => About::of_provider(name.as_ref().map_or("", |name| &name.value)),
        };
        let provider = name.unwrap_or_else(|| Set { value: about.name.clone(), source: Source::Default });
        let chooser = Chooser { settings, provider: &provider.value };
        Ok(Access {
            base_url: base_url(service, &chooser, &about)?,
            key_file: key_file(service, &chooser, &about)?,
            network: Network::new(service, settings, Some(&provider.value))?,
            allow_plain_http: chooser.flag(&members::ALLOW_PLAIN_HTTP, service.allow_plain_http)?,
            allow_private_images: chooser.flag(&members::ALLOW_PRIVATE_IMAGES, service.allow_private_images)?,
            key_variable: about.key_variable,
            dialect_json: json,
            dialect,
            provider,
        })
    }

    /// Reads the key, where a file holds it, and makes the client. Opens no connection.
    pub(crate) fn client(&self, own: Options) -> Outcome<Client> {
        let api_key = self.key_file.as_ref().map(|file| read_key(&file.value)).transpose()?;
        // The library reads the variable itself, and names it where it is wrong.
        let said = |url: &&Set<String>| matches!(url.source, Source::Argument(_) | Source::File(..));
        let ms = |time: &Set<Duration>| u32::try_from(time.value.as_millis()).unwrap_or(u32::MAX);
        let options = Options {
            provider: if self.dialect_json.is_some() { String::new() } else { self.provider.value.clone() },
            dialect_json: self.dialect_json.clone(),
            base_url: self.base_url.as_ref().filter(said).map(|url| url.value.clone()),
            api_key,
            user_agent: Some(format!("imgtask-cli/{}", env!("CARGO_PKG_VERSION"))),
            proxy_url: self.network.proxy.as_ref().map(|proxy| proxy.value.clone()),
            ca_file: self.network.ca_file.as_ref().map(|file| file.value.clone()),
            poll_interval_ms: self.network.interval.as_ref().map_or(0, ms),
            max_requests_per_minute: self.network.max_requests_per_minute.as_ref().map_or(0, |limit| limit.value),
            allow_private_images: self.allow_private_images.as_ref().is_some_and(|allowed| allowed.value),
            allow_plain_http: self.allow_plain_http.as_ref().is_some_and(|allowed| allowed.value),
            ..own
        };
        Client::create(&options).map_err(|error| {
            let invalid = error.status() == Status::InvalidArgument;
            let mut problem = Problem::from(error);
            let keyless = problem.message.strip_prefix("no API key: pass one or set the variable ").map(str::to_string);
            if let Some(variable) = keyless {
                problem.message = "no API key".to_string();
                return problem.hint(format!("set {variable}, or give --key-file FILE (- reads the standard input)"));
            }
            match invalid && self.dialect.is_none() && is_unknown(&self.provider.value) {
                true => problem.hint(unknown_provider(&self.provider.value)),
                false => problem,
            }
        })
    }

    /// Who said what, for those who want to see it: never a key.
    pub(crate) fn tell(&self, ui: &Ui) {
        ui.verbose(&format!("provider {} ({})", self.provider.value, self.provider.source));
        if let Some(url) = &self.base_url {
            ui.verbose(&format!("address {} ({})", without_secrets(&url.value), url.source));
        }
        match &self.key_file {
            Some(file) => ui.verbose(&format!("key from {} ({})", shown_key_file(&file.value), file.source)),
            None => ui.verbose(&format!("key from {}", self.key_variable)),
        }
        if let Some(proxy) = &self.network.proxy {
            ui.verbose(&format!("proxy {} ({})", without_secrets(&proxy.value), proxy.source));
        }
    }
}

/// The settings as one provider sees them.
struct Chooser<'a> {
    settings: &'a Settings,
    provider: &'a str,
}

impl Chooser<'_> {
    fn text(&self, member: &Member, given: Option<String>) -> Outcome<Option<Set<String>>> {
        self.settings.choose(member, Some(self.provider), given, text)
    }

    fn path(&self, member: &Member, given: Option<PathBuf>) -> Outcome<Option<Set<PathBuf>>> {
        self.settings.choose(member, Some(self.provider), given, |text| Ok(PathBuf::from(text)))
    }

    /// An argument can only say yes.
    fn flag(&self, member: &Member, given: bool) -> Outcome<Option<Set<bool>>> {
        self.settings.choose(member, Some(self.provider), given.then_some(true), flag)
    }
}

/// What the provider or its dialect says itself.
struct About {
    name: String,
    base_url: String,
    key_variable: String,
}

impl About {
    fn of_provider(name: &str) -> About {
        let known = imgtask::providers().iter().find(|known| known.name == name);
        About {
            name: name.to_string(),
            base_url: known.map_or_else(String::new, |known| known.base_url.to_string()),
            key_variable: known.map_or_else(String::new, |known| known.key_variable.to_string()),
        }
    }

    /// What is wrong with a dialect is told with the name of its file.
    fn of_dialect(path: &Path, json: &str) -> Outcome<About> {
        let draft = dialect::parse(&path.display().to_string(), json)?;
        let whole: Value = serde_json::from_str(&draft.complete()).unwrap_or_default();
        let text = |member: &str| whole[member].as_str().unwrap_or_default().to_string();
        Ok(About { name: draft.name().to_string(), base_url: text("base_url"), key_variable: text("key_variable") })
    }
}

/// The provider that is meant.
fn chosen(service: &Service, settings: &Settings) -> Outcome<Set<String>> {
    let given = service.provider.clone().filter(|name| !name.is_empty());
    settings.choose(&members::PROVIDER, None, given, text)?.ok_or_else(|| {
        let documented = imgtask::providers().iter().filter(|provider| provider.documented);
        let names: Vec<&str> = documented.map(|provider| provider.name).collect();
        Problem::usage("which provider?").hint(format!(
            "give --provider NAME or set IMGTASK_PROVIDER: {}, or another of `imgtask providers`",
            names.join(", ")
        ))
    })
}

/// The argument, the provider's own variable, the file, the provider's own address.
fn base_url(service: &Service, chooser: &Chooser<'_>, about: &About) -> Outcome<Option<Set<String>>> {
    let variable = base_url_variable(&about.name);
    if service.base_url.is_none() && is_set(&variable) {
        let value = std::env::var(&variable).unwrap_or_default();
        return Ok(Some(Set { value, source: Source::Variable(variable) }));
    }
    let own = (!about.base_url.is_empty()).then(|| Set { value: about.base_url.clone(), source: Source::Default });
    Ok(chooser.text(&members::BASE_URL, service.base_url.clone())?.or(own))
}

/// The argument, and the file where the key's variable is not set.
fn key_file(service: &Service, chooser: &Chooser<'_>, about: &About) -> Outcome<Option<Set<PathBuf>>> {
    if service.key_file.is_none() && is_set(&about.key_variable) {
        return Ok(None);
    }
    chooser.path(&members::KEY_FILE, service.key_file.clone())
}

/// A password stands in the environment, or nowhere.
fn proxy(proxy: Option<Set<String>>) -> Outcome<Option<Set<String>>> {
    match &proxy {
        Some(Set { value, source }) if value.contains('@') && !matches!(source, Source::Variable(_)) => {
            let problem = match source {
                Source::Argument(_) => {
                    Problem::usage("--proxy with a password: others on this machine can read your arguments")
                }
                source => Problem::usage(format!("{source}: a proxy with a password does not belong into this file")),
            };
            Err(problem.hint("set HTTPS_PROXY and give --proxy env"))
        }
        _ => Ok(proxy),
    }
}

/// What stands for an address that may be a secret as a whole.
const NOT_SHOWN: &str = "(not shown)";

/// An address without what may be a secret: user name and password, query and fragment.
///
/// Nothing of an address is shown where a password, unescaped, may go on behind what looks like its end.
pub(crate) fn without_secrets(url: &str) -> String {
    let (before, rest) = url.rsplit_once('@').map_or(("", url), |(before, rest)| (before, rest));
    let (scheme, user) = match before.is_empty() {
        true => rest.split_once("://").map_or(("", ""), |(scheme, _)| (scheme, "")),
        false => before.split_once("://").unwrap_or(("", before)),
    };
    let rest = if before.is_empty() { rest.split_once("://").map_or(rest, |(_, rest)| rest) } else { rest };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let is_known = ["", "http", "https", "socks4", "socks4a", "socks5", "socks5h"].contains(&scheme);
    if !is_known || user.contains(['/', '?', '#']) || !is_host(rest.split('/').next().unwrap_or_default()) {
        return NOT_SHOWN.to_string();
    }
    if scheme.is_empty() { rest.to_string() } else { format!("{scheme}://{rest}") }
}

/// A name or number of a host, with or without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_right = match inner {
        Some(inner) => inner.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.')),
        None => host.chars().all(is_name),
    };
    !host.is_empty() && is_right && port.chars().all(|c| c.is_ascii_digit())
}

/// Whether what was given as the name of a key file may be the key itself: nothing is there, and it looks like one.
fn may_be_key(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let looks = name.starts_with("sk-") || name.len() >= 20 && !name.contains(['.', '\\']);
    looks && !path.exists()
}

/// The name of a key file as it may be shown.
pub(crate) fn shown_key_file(path: &Path) -> String {
    if may_be_key(path) { "a file whose name may be a key: (not shown)".to_string() } else { shown(path) }
}

/// The variable of another address: `DIMILINKS_LEGACY_BASE_URL`.
pub(crate) fn base_url_variable(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let word: String = upper.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    word + "_BASE_URL"
}

pub(crate) fn is_set(variable: &str) -> bool {
    !variable.is_empty() && std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn is_unknown(provider: &str) -> bool {
    imgtask::providers().iter().all(|known| known.name != provider)
}

/// What may have been meant by a name that no provider has.
fn unknown_provider(name: &str) -> String {
    if name.ends_with(".json") {
        return format!("a dialect of your own is given as --dialect {}", shell::quote(name));
    }
    match nearest(name, imgtask::providers().iter().map(|known| known.name)) {
        Some(near) => format!("did you mean {near}? `imgtask providers` lists them"),
        None => "`imgtask providers` lists them".to_string(),
    }
}

/// The key: the first line of a file or of the standard input.
fn read_key(path: &Path) -> Outcome<String> {
    if may_be_key(path) {
        return Err(Problem::new(Exit::File, "cannot read the key file of that name: no such file")
            .hint("--key-file wants the name of a file whose first line is the key"));
    }
    let text = read_text(path, MAX_KEY_FILE)?;
    let key = text.lines().next().unwrap_or_default().trim();
    if key.is_empty() {
        return Err(Problem::usage(format!("the first line of {} holds no key", shown(path))));
    }
    Ok(key.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets_or_not_at_all() {
        for (address, told) in [
            ("https://gateway.example/v1", "https://gateway.example/v1"),
            ("https://gateway.example/v1?sig=canary#canary", "https://gateway.example/v1"),
            ("http://user:canary@proxy.example:8080", "http://proxy.example:8080"),
            ("http://user:c@n@ry@proxy.example:8080/", "http://proxy.example:8080/"),
            ("user:canary@proxy.example", "proxy.example"),
            ("socks5h://[::1]:1080", "socks5h://[::1]:1080"),
            ("http://[::1]", "http://[::1]"),
            ("proxy.example:8080", "proxy.example:8080"),
            ("env", "env"),
            ("http://user:canary#2@proxy.example:8080", NOT_SHOWN),
            ("http://user:canary?2@proxy.example:8080", NOT_SHOWN),
            ("http://user:canary/2@proxy.example:8080", NOT_SHOWN),
            ("user:canary/2@proxy.example:8080", NOT_SHOWN),
            ("canary://2@proxy.example", NOT_SHOWN),
            ("user:canary://2@proxy.example", NOT_SHOWN),
            ("https://gateway.example/?key=a@canary", NOT_SHOWN),
            ("user:canary", NOT_SHOWN),
            ("http://user:canary@", NOT_SHOWN),
            ("http://user:canary", NOT_SHOWN),
            ("", NOT_SHOWN),
        ] {
            assert_eq!(without_secrets(address), told, "{address}");
        }
    }

    #[test]
    fn a_key_in_the_place_of_a_file_s_name_is_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        for key in ["sk-canary", "canary0canary0canary0canary0"] {
            assert!(!shown_key_file(Path::new(key)).contains("canary"));
            let joined = folder.path().join(key);
            assert!(!shown_key_file(&joined).contains("canary"));
            std::fs::write(&joined, "a key").expect("written");
            assert!(shown_key_file(&joined).ends_with(key), "a file that is there");
        }
        assert_eq!(shown_key_file(Path::new("my-long-named-service.key")), "my-long-named-service.key");
        assert_eq!(shown_key_file(Path::new("-")), "the standard input");
    }
}
