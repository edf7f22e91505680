//! `imgtask config`: which settings hold, and who said each.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::access::{Access, Network, shown_key_file, without_secrets};
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::report::to_line;
use crate::service::Service;
use crate::settings::members::{self, MEMBERS, Member};
use crate::settings::{Set, Source};
use crate::shell::clean;
use crate::ui::table;

/// Show the settings that hold, and where each was said
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a line a setting: its name, its value, and who said it: an argument, a variable, the line of a file, or the \
default. Settings of a service are shown for --provider, or for the provider that is set. No key is ever shown, and none \
belongs into the file: `key_file` names a file of its own.

An argument goes before the environment, that before the file, there the provider's table before the rest, and the file \
before the provider's own values. A setting that nobody knows, and a value that cannot be meant, is an error with its line.

In a file, key_file, ca_file and dialect are taken from the folder that the file is in, or with ~/ from the home folder; out \
is taken from where the command is run. IMGTASK_CONFIG=/dev/null reads no file.

Members with --json: file: path, exists, from; settings: of each name value, from.

Examples:
  imgtask config
  imgtask config -p lemondata --json
  imgtask config --new > config.toml
  imgtask config --config config.toml -p dimilinks")]
pub(crate) struct Config {
    /// Print a file of settings to start from, with all of them as comments
    #[arg(long)]
    pub(crate) new: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    value: Value,
    from: String,
}

impl Config {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        if self.new {
            context.ui.result(template().trim_end())?;
            return Ok(Exit::Done);
        }
        self.json = context.json(self.json)?;
        let rows = self.rows(context)?;
        if let Some(file) = context.settings.file() {
            for (name, line) in file.strangers() {
                let place = format!("{}:{line}", file.path.display());
                context
                    .ui
                    .warn(&format!("{place}: [providers.{name}] is of no built-in provider, and names no dialect"));
            }
        }
        let place = context.settings.place();
        let path = place.map(|place| place.value.display().to_string());
        let exists = context.settings.file().is_some();
        if self.json {
            let settings: Map<String, Value> = rows
                .into_iter()
                .map(|row| (row.name.to_string(), json!({ "value": row.value, "from": row.from })))
                .collect();
            let from = place.map(|place| place.source.to_string());
            let file = json!({ "path": path, "exists": exists, "from": from });
            context.ui.result(&to_line(&json!({ "file": file, "settings": settings }))?)?;
            return Ok(Exit::Done);
        }
        let mut lines = vec![["SETTING", "VALUE", "FROM"].map(str::to_string).to_vec()];
        let there = if exists { "" } else { " (not there)" };
        let file = path.map_or_else(|| "none".to_string(), |path| format!("{path}{there}"));
        let from = place.map_or_else(String::new, |place| place.source.to_string());
        lines.push(vec!["file".to_string(), file, from]);
        lines.extend(rows.into_iter().map(|row| {
            let value = match row.value {
                Value::String(text) => clean(&text),
                Value::Null => "-".to_string(),
                value => value.to_string(),
            };
            vec![row.name.to_string(), value, row.from]
        }));
        for line in table(&lines, context.ui.out_paint()) {
            context.ui.result(&line)?;
        }
        Ok(Exit::Done)
    }

    fn rows(&self, context: &Context) -> Outcome<Vec<Row>> {
        let settings = &context.settings;
        let mut rows = Vec::new();
        for member in MEMBERS.into_iter().filter(|member| !member.of_provider && member.name != members::PROVIDER.name)
        {
            let said = settings.choose(member, None, None, members::text)?;
            rows.push(match member.name {
                // What arguments and other variables make of it.
                "quiet" => effective(member, settings.voice.quiet.into(), said),
                "verbose" => effective(member, settings.voice.verbose.into(), said),
                "color" => effective(member, settings.voice.color.word().into(), said),
                _ => row(member, said.map(|set| set.map(Value::from))),
            });
        }
        let provider = settings.choose(&members::PROVIDER, None, self.service.provider.clone(), members::text)?;
        if provider.is_none() && self.service.dialect.is_none() {
            rows.insert(0, row(&members::PROVIDER, None));
            rows.extend(of_network(&Network::new(&self.service, settings, None)?));
            return Ok(rows);
        }
        let access = Access::new(&self.service, settings)?;
        rows.insert(0, row(&members::PROVIDER, Some(access.provider.clone().map(Value::from))));
        rows.extend(of_network(&access.network));
        let flag = |set: &Option<Set<bool>>| set.clone().map(|set| set.map(Value::from));
        let key_file = access.key_file.clone().map(|set| set.map(|file| shown_key_file(&file).into()));
        rows.extend([
            row(&members::BASE_URL, address(&access.base_url)),
            row(&members::KEY_FILE, key_file),
            row(&members::DIALECT, path(&access.dialect)),
            row(&members::ALLOW_PLAIN_HTTP, flag(&access.allow_plain_http)),
            row(&members::ALLOW_PRIVATE_IMAGES, flag(&access.allow_private_images)),
        ]);
        Ok(rows)
    }
}

fn of_network(network: &Network) -> [Row; 5] {
    let time =
        |set: &Option<Set<Duration>>| set.clone().map(|set| set.map(|time| format!("{}s", time.as_secs_f64()).into()));
    let limit = network.max_requests_per_minute.clone().map(|set| set.map(Value::from));
    [
        row(&members::TIMEOUT, time(&network.timeout)),
        row(&members::INTERVAL, time(&network.interval)),
        row(&members::MAX_REQUESTS_PER_MINUTE, limit),
        row(&members::PROXY, address(&network.proxy)),
        row(&members::CA_FILE, path(&network.ca_file)),
    ]
}

fn path(set: &Option<Set<PathBuf>>) -> Option<Set<Value>> {
    set.clone().map(|set| set.map(|path| path.display().to_string().into()))
}

fn address(set: &Option<Set<String>>) -> Option<Set<Value>> {
    set.clone().map(|set| set.map(|url| without_secrets(&url).into()))
}

fn row(member: &Member, said: Option<Set<Value>>) -> Row {
    let Set { value, source } = said.unwrap_or(Set { value: Value::Null, source: Source::Default });
    Row { name: member.name, value, from: source.to_string() }
}

/// A setting of how a command speaks, as it is now.
fn effective(member: &Member, value: Value, said: Option<Set<String>>) -> Row {
    let agrees = |set: &Set<String>| match &value {
        Value::String(text) => *text == set.value,
        Value::Bool(flag) => members::flag(&set.value) == Ok(*flag),
        value => value.as_u64() == set.value.parse().ok(),
    };
    let from = match said {
        Some(set) if agrees(&set) => set.source.to_string(),
        // Else it is as it is by an argument, or by NO_COLOR and its kin.
        Some(_) => "command".to_string(),
        None => Source::Default.to_string(),
    };
    Row { name: member.name, value, from }
}

/// A file with every setting as a comment.
fn template() -> String {
    let mut text = String::from(
        "# Settings of the command imgtask. An argument goes before the environment, and that before this file.\n\
         # `imgtask config` shows what holds and who said it. Keys stay out of here.\n\n",
    );
    let line = |member: &Member| format!("# {}\n#{} = {}\n", member.help, member.name, member.example);
    for member in MEMBERS.into_iter().filter(|member| member.general) {
        text += &line(member);
    }
    text += "\n# For one provider alone; what is said above may be said here, too, from timeout on.\n#[providers.dimilinks]\n";
    for member in MEMBERS.into_iter().filter(|member| member.of_provider && !member.general) {
        text += &line(member);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::file::SettingsFile;

    #[test]
    fn the_file_to_start_from_says_every_setting_and_is_right_without_its_marks() {
        let text = template();
        let plain: String = text
            .lines()
            .filter(|line| !line.starts_with("# "))
            .map(|line| line.trim_start_matches('#').to_string() + "\n")
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, &plain).expect("written");
        let file = SettingsFile::read(&path).expect("right");
        for member in MEMBERS {
            assert!(file.get(member, Some("dimilinks")).is_some(), "no {} in\n{plain}", member.name);
        }
        std::fs::write(&path, &text).expect("written");
        let file = SettingsFile::read(&path).expect("right");
        assert!(MEMBERS.into_iter().all(|member| file.get(member, Some("dimilinks")).is_none()));
    }
}
