//! What is here, whatever service is asked: versions, settings, the clock, proxies, the terminal.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Fact;
use crate::access::{is_set, without_secrets};
use crate::context::Context;
use crate::duration;
use crate::exit::Exit;
use crate::service::nearest;
use crate::settings::members::MEMBERS;
use crate::ui::window;

/// IMGTASK_ABI_VERSION of the library inside.
const ABI: u32 = 0;
/// What the feature `cli` brings with it.
const FEATURES: &str = "cli decode dialect-tools journal";
/// No clock that is right says an earlier time: 2026-01-01.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// What other programs of this project read.
const OTHERS: [&str; 10] =
    ["CONFIG", "SANDBOX", "LIBRARY", "COMMAND", "LIB_DIR", "ALL_TOOLS", "RUSTC", "NIGHTLY", "UPDATE", "MANY_TASKS"];
/// In the order in which `env` takes them.
const PROXIES: [&str; 5] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "http_proxy"];

pub(super) fn versions() -> Vec<Fact> {
    let version = env!("CARGO_PKG_VERSION");
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    let family = match () {
        () if cfg!(target_env = "gnu") => "-gnu",
        () if cfg!(target_env = "musl") => "-musl",
        () if cfg!(target_env = "msvc") => "-msvc",
        () => "",
    };
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let clock = Fact::new("Machine", "clock", duration::utc(since));
    vec![
        Fact::new("Versions", "command", version),
        Fact::new("Versions", "library", format!("{version}, inside the command")),
        Fact::new("Versions", "abi", ABI.to_string()),
        Fact::new("Versions", "features", FEATURES),
        Fact::new("Versions", "target", format!("{arch}-{os}{family}, {build}")),
        match since < EARLIEST {
            true => clock.wrong(
                Exit::Network,
                "set the clock: certificates and links cannot be judged by one that is years behind",
            ),
            false => clock,
        },
    ]
}

/// The file of settings, and variables that look like settings and are none.
pub(super) fn settings(context: &Context) -> Vec<Fact> {
    const ABOUT: &str = "Settings";
    let settings = &context.settings;
    let mut facts = Vec::new();
    // Whatever provider is asked, and whether or not one is set.
    for member in MEMBERS.into_iter().filter(|member| member.general) {
        if let Err(problem) = settings.choose(member, None, None, |text| member.check(text)) {
            facts.push(Fact::problem(ABOUT, member.name, &problem));
        }
    }
    match (settings.place(), &settings.fault) {
        (_, Some(problem)) if facts.iter().any(|fact| fact.value == problem.message) => {}
        (_, Some(problem)) => facts.push(Fact::problem(ABOUT, "file", problem)),
        (None, None) => facts.push(Fact::new(ABOUT, "file", "none: there is no home folder")),
        (Some(place), None) => {
            let there = if settings.file().is_some() { "" } else { ", not there" };
            facts.push(Fact::new(ABOUT, "file", format!("{}{there}", place.value.display())).from(&place.source));
        }
    }
    if let Some(file) = settings.file() {
        for (name, line) in file.strangers() {
            let what = format!("[providers.{name}] is of no built-in provider, and names no dialect");
            let fact = Fact::new(ABOUT, "provider", what).from(format!("{}:{line}", file.path.display()));
            facts.push(match nearest(name, imgtask::providers().iter().map(|known| known.name)) {
                Some(near) => fact.note(format!("did you mean [providers.{near}]?")),
                None => fact.note("give it dialect = FILE, or the name of one of `imgtask providers`"),
            });
        }
    }
    let known: Vec<String> = MEMBERS.iter().map(|member| member.variable()).filter(|name| !name.is_empty()).collect();
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix("IMGTASK_") else { continue };
        let is_other = OTHERS.contains(&rest) || rest.starts_with("TEST") || rest.starts_with("CARGO");
        if !is_other && known.iter().all(|known| known != name) {
            let fact = Fact::new(ABOUT, "variable", format!("{name} is read by nobody"));
            facts.push(match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => fact.note(format!("did you mean {near}?")),
                None => fact.note(
                    "`imgtask config` lists the settings; key and address have variables of the provider's: \
                     `imgtask providers`, <NAME>_BASE_URL",
                ),
            });
        }
    }
    facts
}

/// Proxies that the environment names, and whether they are used. `uses_proxy`: whether requests to the service go through one,
/// where a service is known.
pub(super) fn proxies(facts: &[Fact], uses_proxy: Option<bool>) -> Vec<Fact> {
    let setting = facts.iter().find(|fact| fact.name == "proxy").map(|fact| fact.value.clone());
    let mut found: Vec<Fact> = Vec::new();
    let mut first = true;
    for name in PROXIES.into_iter().filter(|name| is_set(name)) {
        let value = without_secrets(&std::env::var(name).unwrap_or_default());
        let used = setting.as_deref() == Some("env") && first;
        first = false;
        let words = match uses_proxy {
            _ if !used => "not used".to_string(),
            Some(false) => format!("not used: {}", if is_set("NO_PROXY") { "NO_PROXY" } else { "no_proxy" }),
            _ => "used".to_string(),
        };
        let value = format!("{value}, {words}");
        let fact = Fact::new("Environment", name, value);
        found.push(match setting.as_deref() {
            Some("none") => fact.note("give --proxy env to go through it"),
            _ => fact,
        });
    }
    for name in ["NO_PROXY", "no_proxy"].into_iter().filter(|name| is_set(name)) {
        found.push(Fact::new("Environment", name, std::env::var(name).unwrap_or_default()));
    }
    found
}

pub(super) fn terminal(context: &Context) -> Vec<Fact> {
    const ABOUT: &str = "Terminal";
    let kind = |is_terminal| if is_terminal { "a terminal" } else { "no terminal" };
    let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let variables = ["TERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"].into_iter().filter(|name| is_set(name));
    let told: Vec<String> =
        variables.map(|name| format!("{name}={}", std::env::var(name).unwrap_or_default())).collect();
    let colours = if context.ui.out_paint().is_on() { "on" } else { "off" };
    let colours = format!("{colours} ({})", context.settings.voice.color.word());
    vec![
        Fact::new(ABOUT, "stdout", kind(out)),
        Fact::new(
            ABOUT,
            "stderr",
            match (err, window()) {
                (true, Some((rows, columns))) => format!("a terminal, {columns} columns, {rows} rows"),
                (true, None) => "a terminal".to_string(),
                (false, _) => "no terminal: no progress is drawn".to_string(),
            },
        ),
        match told.is_empty() {
            true => Fact::new(ABOUT, "colours", colours),
            false => Fact::new(ABOUT, "colours", colours).from(told.join(" ")),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_abi_is_the_header_s() {
        let header =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/include/imgtask.h")).expect("a header");
        assert!(header.lines().any(|line| line == format!("#define IMGTASK_ABI_VERSION {ABI}")), "another ABI");
    }
}
