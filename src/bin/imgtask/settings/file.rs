//! The file of settings: TOML, read whole, every fault told with its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::members::{DIALECT, Kind, MEMBERS, Member};
use crate::exit::{Outcome, Problem};
use crate::service::{nearest, read_text};

/// Longest file that is read, bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// The tables of providers.
const PROVIDERS: &str = "providers";
/// What people call a key.
const KEYS: [&str; 7] = ["api_key", "apikey", "key", "token", "secret", "bearer", "password"];

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) line: usize,
}

type Entries = BTreeMap<&'static str, Entry>;

#[derive(Debug, Default)]
pub(crate) struct SettingsFile {
    pub(crate) path: PathBuf,
    general: Entries,
    providers: BTreeMap<String, Entries>,
    /// Where their tables begin.
    lines: BTreeMap<String, usize>,
}

impl SettingsFile {
    pub(crate) fn read(path: &Path) -> Outcome<SettingsFile> {
        let text = read_text(path, MAX_FILE)?;
        SettingsFile::parse(path, &text).map_err(|faults| {
            let mut faults = faults.into_iter().map(|(line, what)| format!("{}:{line}: {what}", path.display()));
            let problem = Problem::usage(faults.next().unwrap_or_default());
            faults.fold(problem, Problem::hint).hint("`imgtask config --new` prints a file to start from")
        })
    }

    /// What a file says, or each line that is wrong and why.
    fn parse(path: &Path, text: &str) -> Result<SettingsFile, Vec<(usize, String)>> {
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            // Without the line itself, which the error would quote.
            let at = error.span().map_or(0, |span| span.start);
            vec![(line(at), error.message().to_string())]
        })?;
        let mut file = SettingsFile { path: path.to_path_buf(), ..SettingsFile::default() };
        let mut faults = Vec::new();
        let mut general = Vec::new();
        for (name, value) in table.into_inner() {
            let at = line(name.span().start);
            match (name.get_ref().as_ref(), value.into_inner()) {
                (PROVIDERS, DeValue::Table(tables)) => {
                    for (provider, value) in tables {
                        let at = line(provider.span().start);
                        let DeValue::Table(members) = value.into_inner() else {
                            faults.push((at, "a provider is a table: [providers.dimilinks]".to_string()));
                            continue;
                        };
                        let members = members
                            .into_iter()
                            .map(|(name, value)| (line(name.span().start), name.into_inner(), value.into_inner()));
                        let entries = read_entries(members, |member| member.of_provider, &mut faults);
                        let provider = provider.into_inner().into_owned();
                        file.lines.insert(provider.clone(), at);
                        file.providers.insert(provider, entries);
                    }
                }
                (PROVIDERS, _) => faults.push((at, "providers are tables: [providers.NAME]".to_string())),
                ("provider", DeValue::Table(_)) => {
                    faults.push((at, "what is for one provider stands in [providers.NAME]".to_string()));
                }
                (_, value) => general.push((at, name.into_inner(), value)),
            }
        }
        file.general = read_entries(general.into_iter(), |member| member.general, &mut faults);
        faults.sort();
        if faults.is_empty() { Ok(file) } else { Err(faults) }
    }

    /// What the file says of a setting: for this provider, else for all.
    pub(crate) fn get(&self, member: &Member, provider: Option<&str>) -> Option<&Entry> {
        let own = provider.and_then(|provider| self.providers.get(provider)?.get(member.name));
        own.or_else(|| self.general.get(member.name))
    }

    /// The tables that are of no built-in provider and name no dialect, and their lines: they hold for nothing but a dialect of
    /// that name that an argument gives.
    pub(crate) fn strangers(&self) -> impl Iterator<Item = (&str, usize)> {
        let is_stranger = |name: &str, entries: &Entries| {
            !entries.contains_key(DIALECT.name) && imgtask::providers().iter().all(|known| known.name != name)
        };
        let strangers = self.providers.iter().filter(move |(name, entries)| is_stranger(name, entries));
        strangers.map(|(name, _)| (name.as_str(), self.lines.get(name).copied().unwrap_or_default()))
    }
}

fn read_entries<'a>(
    members: impl Iterator<Item = (usize, std::borrow::Cow<'a, str>, DeValue<'a>)>,
    belongs: impl Fn(&Member) -> bool,
    faults: &mut Vec<(usize, String)>,
) -> Entries {
    let mut entries = Entries::new();
    for (line, name, value) in members {
        match entry(&name, &value, &belongs) {
            Ok((name, text)) => drop(entries.insert(name, Entry { text, line })),
            Err(what) => faults.push((line, what)),
        }
    }
    entries
}

/// A member's name and its value as text.
fn entry(name: &str, value: &DeValue<'_>, belongs: &dyn Fn(&Member) -> bool) -> Result<(&'static str, String), String> {
    if KEYS.contains(&name.to_ascii_lowercase().replace('-', "_").as_str()) {
        return Err(
            "a key does not belong into this file, which people copy and commit: put it into a file of its own, \
                    readable by you alone, and give key_file, or set the provider's variable"
                .to_string(),
        );
    }
    let Some(member) = MEMBERS.into_iter().find(|member| member.name == name) else {
        let near = nearest(name, MEMBERS.into_iter().filter(|member| belongs(member)).map(|member| member.name));
        return Err(match near {
            Some(near) => format!("there is no setting of that name; did you mean {near}?"),
            None => "there is no setting of that name".to_string(),
        });
    };
    if !belongs(member) {
        return Err(match member.of_provider {
            true => format!("{name} belongs to one provider: put it under [providers.NAME]"),
            false => format!("{name} is for all providers: put it before the first [providers.NAME]"),
        });
    }
    let wrong = |kind: &str| Err(format!("{name} wants {kind}"));
    let text = match (member.kind, value) {
        (Kind::Text | Kind::Path | Kind::Time | Kind::Color, DeValue::String(text)) => text.to_string(),
        (Kind::Time | Kind::Count | Kind::Level, DeValue::Integer(number)) if number.radix() == 10 => {
            number.as_str().to_string()
        }
        (Kind::Flag, DeValue::Boolean(flag)) => flag.to_string(),
        (Kind::Text | Kind::Path | Kind::Color, _) => return wrong("text, in quotes"),
        (Kind::Time, _) => return wrong("a time, such as \"10m\""),
        (Kind::Count | Kind::Level, _) => return wrong("a number"),
        (Kind::Flag, _) => return wrong("true or false"),
    };
    member.check(&text).map_err(|why| format!("{name}: {why}"))?;
    Ok((member.name, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::members::{BASE_URL, PROXY, TIMEOUT};

    fn parse(text: &str) -> Result<SettingsFile, Vec<(usize, String)>> {
        SettingsFile::parse(Path::new("config.toml"), text)
    }

    #[test]
    fn what_is_said_for_a_provider_goes_before_what_is_said_for_all() {
        let file =
            parse("timeout = 90\nproxy = 'env'\n\n[providers.lemondata]\ntimeout = \"5m\"\nbase_url = \"http://a\"\n")
                .expect("right");
        let text = |member, provider| file.get(member, provider).map(|entry| (entry.text.as_str(), entry.line));
        assert_eq!(text(&TIMEOUT, Some("lemondata")), Some(("5m", 5)));
        assert_eq!(text(&TIMEOUT, Some("dimilinks")), Some(("90", 1)));
        assert_eq!(text(&PROXY, Some("lemondata")), Some(("env", 2)));
        assert_eq!(text(&BASE_URL, Some("dimilinks")), None);
    }

    #[test]
    fn a_table_that_is_of_no_provider_is_known_with_its_line() {
        let text = "[providers.lemondata]\n[providers.mine]\ndialect = 'a.json'\n[providers.nosuch]\ntimeout = 3\n";
        assert_eq!(parse(text).expect("right").strangers().collect::<Vec<_>>(), [("nosuch", 4)]);
    }

    #[test]
    fn a_list_of_providers_is_told_how_tables_are_written() {
        let faults = parse("[[providers]]\nname = 'dimilinks'\n").expect_err("wrong");
        assert_eq!(faults, [(1, "providers are tables: [providers.NAME]".to_string())]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line_and_what_would_be_right() {
        let faults = parse(
            "tiemout = 3\nbase_url = 'x'\njson = 'yes'\ntimeout = 'soon'\n[providers.lemondata]\ncolor = 'auto'\n\
             api_key = 'sk-canary'\nsomething = 1\ninterval = true\n[providers]\ndimilinks = 3\n",
        )
        .expect_err("wrong");
        let told: Vec<String> = faults.iter().map(|(line, what)| format!("{line}: {what}")).collect();
        for (place, words) in [
            "1: there is no setting of that name; did you mean timeout?",
            "2: base_url belongs to one provider",
            "3: json wants true or false",
            "4: timeout: write it as 90",
            "6: color is for all providers",
            "7: a key does not belong into this file",
            "8: there is no setting of that name",
            "9: interval wants a time",
            "11: a provider is a table",
        ]
        .into_iter()
        .enumerate()
        {
            assert!(told[place].starts_with(words), "{told:#?}");
        }
        assert_eq!(told.len(), 9);
        assert!(!told.concat().contains("canary"));
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line_and_never_quoted() {
        let faults = parse("json = true\napi_key = sk-canary\n").expect_err("wrong");
        assert_eq!(faults[0].0, 2);
        assert!(!faults[0].1.contains("canary"), "{faults:?}");
        assert!(parse("json = true\njson = false\n").is_err());
    }
}
