//! What holds when an argument does not say: argument > environment > file > the provider's own.

pub(crate) mod file;
pub(crate) mod members;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueHint};

use self::file::SettingsFile;
use self::members::{COLOR, Kind, Member, QUIET, VERBOSE, flag, level};
use crate::exit::{Outcome, Problem};
use crate::ui::{Color, Voice};

/// The variable that names the file.
const CONFIG: &str = "IMGTASK_CONFIG";

/// The options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Show results and errors only
    #[arg(long, short, global = true)]
    quiet: bool,

    /// Tell what is asked and answered; -vv every look as well
    #[arg(long, short, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// Colours: auto, always or never [default: auto]
    #[arg(long, value_name = "WHEN", global = true, value_parser = ["auto", "always", "never"])]
    #[arg(hide_possible_values = true)]
    color: Option<String>,

    /// Read the settings from FILE; `imgtask config` shows them
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Argument(String),
    Variable(String),
    File(PathBuf, usize),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Argument(name) | Source::Variable(name) => f.write_str(name),
            Source::File(path, line) => write!(f, "{}:{line}", path.display()),
            Source::Default => f.write_str("default"),
        }
    }
}

/// A value, and who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

impl<T> Set<T> {
    /// Whether it is for this command, and not for all.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self.source, Source::Argument(_))
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Set<U> {
        Set { value: change(self.value), source: self.source }
    }
}

/// What the environment and the file say.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    file: Option<SettingsFile>,
    /// Where the file is or would be, and who said so.
    place: Option<Set<PathBuf>>,
    pub(crate) voice: Voice,
    /// Why the file or the environment is not used, for who is to tell it.
    pub(crate) fault: Option<Problem>,
}

impl Settings {
    pub(crate) fn load(globals: &Globals) -> Outcome<Settings> {
        let mut settings = Settings { place: place(globals.config.as_deref()), ..Settings::default() };
        if let Some(Set { value: path, source }) = &settings.place {
            // Only one that was asked for must be there.
            if *source != Source::Default || path.exists() {
                settings.file = Some(SettingsFile::read(path)?);
            }
        }
        settings.voice = settings.voice(globals)?;
        Ok(settings)
    }

    /// What holds without a file, for the commands that must work whatever is in it.
    pub(crate) fn without_file(globals: &Globals, fault: Problem) -> Settings {
        let place = place(globals.config.as_deref());
        let mut settings = Settings { place, fault: Some(fault), ..Settings::default() };
        settings.voice = settings.voice(globals).unwrap_or_default();
        settings
    }

    fn voice(&self, globals: &Globals) -> Outcome<Voice> {
        let given = (globals.verbose > 0).then_some(globals.verbose);
        let verbose = self.choose(&VERBOSE, None, given, level)?.map_or(0, |set| set.value);
        // -v is for this command; what the environment or the file say is for all.
        let quiet = match (globals.quiet, given) {
            (true, _) => true,
            (false, Some(_)) => false,
            (false, None) => self.choose(&QUIET, None, None, flag)?.is_some_and(|set| set.value),
        };
        let verbose = if globals.quiet { 0 } else { verbose };
        let given = globals.color.as_deref().and_then(|color| Color::read(color).ok());
        let color = self.choose(&COLOR, None, given, Color::read)?;
        Ok(Voice { quiet, verbose, color: Color::decide(color) })
    }

    /// Where the file is or would be; nowhere where there is no home.
    pub(crate) fn place(&self) -> Option<&Set<PathBuf>> {
        self.place.as_ref()
    }

    /// The file that an argument named.
    pub(crate) fn given_file(&self) -> Option<&Path> {
        self.place
            .as_ref()
            .filter(|place| matches!(place.source, Source::Argument(_)))
            .map(|place| place.value.as_path())
    }

    pub(crate) fn file(&self) -> Option<&SettingsFile> {
        self.file.as_ref()
    }

    /// The value that holds: what the argument gave, else the environment, else the file, there the provider's table first.
    pub(crate) fn choose<T>(
        &self,
        member: &Member,
        provider: Option<&str>,
        given: Option<T>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Outcome<Option<Set<T>>> {
        if let Some(value) = given {
            return Ok(Some(Set { value, source: Source::Argument(member.argument()) }));
        }
        let variable = member.variable();
        let said = match self.variable(&variable)? {
            Some(text) => Some((text, Source::Variable(variable))),
            None => self.in_file(member, provider),
        };
        let Some((text, source)) = said else { return Ok(None) };
        let value = read(&text).map_err(|why| Problem::usage(format!("{source}: {why}")))?;
        Ok(Some(Set { value, source }))
    }

    fn variable(&self, name: &str) -> Outcome<Option<String>> {
        if name.is_empty() {
            return Ok(None);
        }
        match std::env::var(name) {
            Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(_) => Err(Problem::usage(format!("{name} is not UTF-8"))),
        }
    }

    fn in_file(&self, member: &Member, provider: Option<&str>) -> Option<(String, Source)> {
        let file = self.file.as_ref()?;
        let entry = file.get(member, provider)?;
        let text = match member.kind {
            Kind::Path => from_folder_of(&file.path, &entry.text).to_string_lossy().into_owned(),
            _ => entry.text.clone(),
        };
        Some((text, Source::File(file.path.clone(), entry.line)))
    }
}

/// The file: the argument's, the variable's, or `imgtask/config.toml` where the system keeps such files.
fn place(given: Option<&Path>) -> Option<Set<PathBuf>> {
    if let Some(path) = given {
        return Some(Set { value: path.to_path_buf(), source: Source::Argument("--config".to_string()) });
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(value) = set(CONFIG) {
        return Some(Set { value, source: Source::Variable(CONFIG.to_string()) });
    }
    // A relative folder is not to be used, as its standard says.
    let folder = set("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(Set { value: folder.join("imgtask/config.toml"), source: Source::Default })
}

/// A path as a file of settings means it: from the home, or from the folder that the file is in.
fn from_folder_of(file: &Path, text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => file.parent().unwrap_or(Path::new("")).join(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_file_is_taken_from_its_folder() {
        let file = Path::new("/a/config.toml");
        assert_eq!(from_folder_of(file, "b.key"), Path::new("/a/b.key"));
        assert_eq!(from_folder_of(file, "/c/b.key"), Path::new("/c/b.key"));
    }
}
