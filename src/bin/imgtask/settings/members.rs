//! Every setting: its name in a file, its variable, its argument, and what may be said there.

use crate::duration;
use crate::ui::Color;

/// What a setting takes, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A path in a file of settings is taken from that file's folder.
    Path,
    Time,
    /// From 1.
    Count,
    Flag,
    /// How much is told: 0, 1 or 2.
    Level,
    Color,
}

/// A setting. The same name everywhere: `ca_file`, `IMGTASK_CA_FILE`, `--ca-file`.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether it may stand before the first table of a file, for every provider.
    pub(crate) general: bool,
    /// Whether it may stand in the table of a provider.
    pub(crate) of_provider: bool,
    /// Whether it has a variable `IMGTASK_<NAME>`.
    pub(crate) in_environment: bool,
    /// An example, as a file says it.
    pub(crate) example: &'static str,
    pub(crate) help: &'static str,
}

const fn general(name: &'static str, kind: Kind, example: &'static str, help: &'static str) -> Member {
    Member { name, kind, general: true, of_provider: false, in_environment: true, example, help }
}

const fn anywhere(name: &'static str, kind: Kind, example: &'static str, help: &'static str) -> Member {
    Member { name, kind, general: true, of_provider: true, in_environment: true, example, help }
}

const fn of_provider(name: &'static str, kind: Kind, example: &'static str, help: &'static str) -> Member {
    Member { name, kind, general: false, of_provider: true, in_environment: false, example, help }
}

pub(crate) const PROVIDER: Member =
    general("provider", Kind::Text, "\"dimilinks\"", "the provider when --provider is not given");
pub(crate) const OUT: Member =
    general("out", Kind::Text, "\"pictures/\"", "where `imgtask download` saves, from where the command is run");
pub(crate) const NAME_PATTERN: Member =
    general("name_pattern", Kind::Text, "\"{id}-{index}.{ext}\"", "how files in a folder are named");
pub(crate) const JSON: Member = general("json", Kind::Flag, "false", "print JSON");
pub(crate) const COLOR: Member = general("color", Kind::Color, "\"auto\"", "auto, always or never");
pub(crate) const QUIET: Member = general("quiet", Kind::Flag, "false", "show results and errors only");
pub(crate) const VERBOSE: Member =
    general("verbose", Kind::Level, "0", "1: what is asked and answered; 2: every look as well");
pub(crate) const TIMEOUT: Member =
    anywhere("timeout", Kind::Time, "\"10m\"", "how long a wait lasts, and each task of a watch");
pub(crate) const INTERVAL: Member =
    anywhere("interval", Kind::Time, "\"5s\"", "the pace of looks instead of the provider's");
pub(crate) const MAX_REQUESTS_PER_MINUTE: Member =
    anywhere("max_requests_per_minute", Kind::Count, "300", "the service's limit, of which 90 % are used");
pub(crate) const PROXY: Member =
    anywhere("proxy", Kind::Text, "\"env\"", "http://host:port, or env for HTTPS_PROXY and its kin");
pub(crate) const CA_FILE: Member =
    anywhere("ca_file", Kind::Path, "\"roots.pem\"", "the trusted roots instead of the built-in ones");
pub(crate) const BASE_URL: Member =
    of_provider("base_url", Kind::Text, "\"https://gateway.example/v1\"", "another address of the API");
pub(crate) const KEY_FILE: Member =
    of_provider("key_file", Kind::Path, "\"dimilinks.key\"", "the file whose first line is the key");
pub(crate) const DIALECT: Member =
    of_provider("dialect", Kind::Path, "\"my-service.json\"", "the dialect that a provider of your own speaks");
pub(crate) const ALLOW_PLAIN_HTTP: Member =
    of_provider("allow_plain_http", Kind::Flag, "false", "let the API be at a plain http:// address");
pub(crate) const ALLOW_PRIVATE_IMAGES: Member =
    of_provider("allow_private_images", Kind::Flag, "false", "follow image links into private networks");

/// All of them, in the order in which they are shown.
pub(crate) const MEMBERS: [&Member; 17] = [
    &PROVIDER,
    &OUT,
    &NAME_PATTERN,
    &JSON,
    &COLOR,
    &QUIET,
    &VERBOSE,
    &TIMEOUT,
    &INTERVAL,
    &MAX_REQUESTS_PER_MINUTE,
    &PROXY,
    &CA_FILE,
    &BASE_URL,
    &KEY_FILE,
    &DIALECT,
    &ALLOW_PLAIN_HTTP,
    &ALLOW_PRIVATE_IMAGES,
];

impl Member {
    /// Its variable, "" where it has none.
    pub(crate) fn variable(&self) -> String {
        if self.in_environment { format!("IMGTASK_{}", self.name.to_uppercase()) } else { String::new() }
    }

    pub(crate) fn argument(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// What is wrong with this text as its value. The text is not repeated: it may be a key at the wrong place.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        match self.kind {
            Kind::Text | Kind::Path => Ok(()),
            Kind::Time => duration::parse(text).map(drop),
            Kind::Count => count(text).map(drop),
            Kind::Flag => flag(text).map(drop),
            Kind::Level => level(text).map(drop),
            Kind::Color => Color::read(text).map(drop),
        }
    }
}

/// A number from 1.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("give a whole number from 1 to {}", u32::MAX))
}

pub(crate) fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("give true or false".to_string()),
    }
}

pub(crate) fn level(text: &str) -> Result<u8, String> {
    text.parse().ok().filter(|level| *level <= 2).ok_or_else(|| "give 0, 1 or 2".to_string())
}

pub(crate) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_shown_once_and_its_example_is_right() {
        let names: std::collections::BTreeSet<_> = MEMBERS.iter().map(|member| member.name).collect();
        assert_eq!(names.len(), MEMBERS.len());
        for member in MEMBERS {
            assert!(member.general || member.of_provider, "{} may stand nowhere", member.name);
            assert_eq!(member.check(member.example.trim_matches('"')), Ok(()), "{}", member.name);
        }
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused_and_not_repeated() {
        for (member, wrong) in [
            (&TIMEOUT, "canary"),
            (&MAX_REQUESTS_PER_MINUTE, "0"),
            (&JSON, "canary"),
            (&VERBOSE, "3"),
            (&COLOR, "canary"),
        ] {
            let said = member.check(wrong).expect_err(member.name);
            assert!(!said.contains("canary"), "{said}");
        }
    }
}
