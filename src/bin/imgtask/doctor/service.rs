//! Who would be asked, and by which settings.

use std::fs;
use std::path::Path;

use imgtask::Options;

use super::{Fact, Verdict};
use crate::access::{Access, Network, base_url_variable, is_set, shown_key_file, without_secrets};
use crate::context::Context;
use crate::duration;
use crate::exit::{Exit, Problem, reason};
use crate::service::Service;
use crate::settings::members::{self, PROVIDER};
use crate::settings::{Set, Source};

const ABOUT: &str = "Service";

/// Gives what is known of the service, where one is named and its settings can be read, and whether a proxy is on the way to it.
pub(super) fn facts(
    service: &Service,
    context: &Context,
    needed: bool,
    facts: &mut Vec<Fact>,
) -> Option<(Access, bool)> {
    let named = context.settings.choose(&PROVIDER, None, service.provider.clone(), members::text);
    if let (Ok(None), None, false) = (&named, &service.dialect, needed) {
        let fact = Fact::new(ABOUT, "provider", "none is set, so that each command needs --provider");
        facts.push(fact.note("export IMGTASK_PROVIDER=NAME, or put provider = \"NAME\" into the file of settings"));
        facts.extend(keys());
        match Network::new(service, &context.settings, None) {
            Ok(set) => network(&set, facts),
            Err(problem) if facts.iter().any(|fact| fact.value == problem.message) => {}
            Err(problem) => facts.push(Fact::problem(ABOUT, "network", &problem)),
        }
        return None;
    }
    let access = match Access::new(service, &context.settings) {
        Ok(access) => access,
        Err(problem) => {
            // A setting that cannot be meant is told already, by its name.
            if facts.iter().all(|fact| fact.value != problem.message) {
                facts.push(Fact::problem(ABOUT, "provider", &problem));
            }
            return None;
        }
    };
    let known = imgtask::providers().iter().find(|known| known.name == access.provider.value);
    let title = known.map_or_else(String::new, |known| format!(", {}", known.title));
    let provider = Fact::new(ABOUT, "provider", format!("{}{title}", access.provider.value));
    facts.push(match &access.dialect {
        Some(dialect) => provider.from(format!("{}: {}", dialect.source, dialect.value.display())),
        None => provider.from(&access.provider.source),
    });
    if let Some(url) = &access.base_url {
        let source = match &url.source {
            Source::Default => "its own".to_string(),
            source => source.to_string(),
        };
        facts.push(Fact::new(ABOUT, "address", without_secrets(&url.value)).from(source));
    }
    facts.push(key(&access));
    facts.extend(access.key_file.as_ref().and_then(|file| readable_by_others(&file.value)));
    network(&access.network, facts);
    // Opens no connection, and finds everything that a command would end with before it asks anybody.
    match access.client(Options::default()) {
        Ok(client) => Some((access, client.uses_proxy())),
        Err(problem) => {
            refused(&problem, facts);
            None
        }
    }
}

/// Why there can be no client: at the fact that it is about, where there is one.
fn refused(problem: &Problem, facts: &mut Vec<Fact>) {
    let about = match problem.message.as_str() {
        "no API key" => "key",
        message if message.starts_with("ca_file ") => "roots",
        _ => "client",
    };
    match facts.iter_mut().find(|fact| fact.name == about) {
        Some(fact) if fact.verdict == Verdict::Wrong => {}
        Some(fact) => {
            let value =
                if about == "key" { fact.value.clone() } else { format!("{}: {}", fact.value, problem.message) };
            *fact = Fact { value, from: fact.from.take(), ..Fact::problem(ABOUT, about, problem) };
        }
        None => facts.push(Fact::problem(ABOUT, about, problem)),
    }
}

/// What is set for every provider.
fn network(network: &Network, facts: &mut Vec<Fact>) {
    facts.push(match &network.proxy {
        Some(proxy) => Fact::new(ABOUT, "proxy", without_secrets(&proxy.value)).from(&proxy.source),
        None => Fact::new(ABOUT, "proxy", "none"),
    });
    facts.push(match &network.ca_file {
        Some(file) => roots(&file.value).from(&file.source),
        None => Fact::new(ABOUT, "roots", "built in: Mozilla's, as of the build"),
    });
    let mut time = |name, set: &Option<Set<std::time::Duration>>| {
        if let Some(Set { value, source }) = set {
            facts.push(Fact::new(ABOUT, name, duration::words(*value)).from(source));
        }
    };
    time("interval", &network.interval);
    time("timeout", &network.timeout);
    if let Some(limit) = &network.max_requests_per_minute {
        facts.push(Fact::new(ABOUT, "limit", format!("{} requests a minute", limit.value)).from(&limit.source));
    }
}

/// The roots of a file of the user's.
fn roots(file: &Path) -> Fact {
    let (path, fact) = (file.display(), |value: String| Fact::new(ABOUT, "roots", value));
    // A command ends so, where it makes its client.
    let wrong = |value| fact(value).wrong(Exit::Usage, "give --ca-file a PEM file of certificates");
    match fs::read(file) {
        Err(error) => wrong(format!("cannot read {path}: {}", reason(&error))),
        Ok(text) => match String::from_utf8_lossy(&text).matches("-----BEGIN CERTIFICATE-----").count() {
            0 => wrong(format!("no certificate in {path}")),
            count => fact(format!("{count} in {path}")),
        },
    }
}

/// Where the key comes from; never what it is.
fn key(access: &Access) -> Fact {
    let variable = &access.key_variable;
    match &access.key_file {
        Some(file) => Fact::new(ABOUT, "key", format!("in {}", shown_key_file(&file.value))).from(&file.source),
        None if is_set(variable) => Fact::new(ABOUT, "key", format!("{variable} is set")),
        None if variable.is_empty() => Fact::new(ABOUT, "key", "unknown"),
        None => Fact::new(ABOUT, "key", format!("{variable} is not set")),
    }
}

/// A key that other users of the machine can read.
#[cfg(unix)]
fn readable_by_others(file: &Path) -> Option<Fact> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file).ok().filter(fs::Metadata::is_file)?.permissions().mode();
    let who = match mode & 0o044 {
        0 => return None,
        0o040 => "its group",
        _ => "every user of this machine",
    };
    let file = file.display();
    Some(Fact::new(ABOUT, "key file", format!("{file} can be read by {who}")).note(format!("chmod 600 {file}")))
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<Fact> {
    None
}

/// The keys and addresses that the environment has, where no provider is named.
fn keys() -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    for provider in imgtask::providers() {
        if is_set(provider.key_variable) && facts.iter().all(|fact| fact.name != provider.key_variable) {
            facts.push(Fact::new(ABOUT, provider.key_variable, "is set"));
        }
    }
    if facts.is_empty() {
        let fact = Fact::new(ABOUT, "keys", "no provider's variable is set");
        facts.push(fact.note("`imgtask providers` names them; `imgtask demo` and `imgtask sandbox` need none"));
    }
    for provider in imgtask::providers() {
        let variable = base_url_variable(provider.name);
        if is_set(&variable) {
            let url = without_secrets(&std::env::var(&variable).unwrap_or_default());
            facts.push(Fact::new(ABOUT, "address", format!("{}: {url}", provider.name)).from(variable));
        }
    }
    facts
}
