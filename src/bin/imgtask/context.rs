//! What every command is given.

use crate::exit::Outcome;
use crate::settings::members::{JSON, NAME_PATTERN, flag, text};
use crate::settings::{Set, Settings, Source};
use crate::ui::Ui;

pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) settings: Settings,
}

impl Context {
    pub(crate) fn new(settings: Settings) -> Context {
        Context { ui: Ui::new(settings.voice), settings }
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self, given: bool) -> Outcome<bool> {
        let json = self.settings.choose(&JSON, None, given.then_some(true), flag)?;
        Ok(json.is_some_and(|json| json.value))
    }

    /// Who wants JSON, where somebody does: a setting, else the argument.
    pub(crate) fn json_source(&self, json: bool) -> Outcome<Option<Source>> {
        let said = self.settings.choose(&JSON, None, None, flag)?.filter(|said| said.value);
        Ok(json.then(|| said.map_or_else(|| Source::Argument(JSON.argument()), |said| said.source)))
    }

    /// How files in a folder are named, where somebody says.
    pub(crate) fn names(&self, given: Option<&String>) -> Outcome<Option<Set<String>>> {
        self.settings.choose(&NAME_PATTERN, None, given.cloned(), text)
    }
}
