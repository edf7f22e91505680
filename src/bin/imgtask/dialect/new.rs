//! `imgtask dialect new`: a dialect to start from.

use clap::Args;

use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};

/// A dialect that says what each member is for.
const START: &str = include_str!("new.json");
/// Its name, and the beginning of its key's variable.
const NAME: &str = "my-service";
const VARIABLE: &str = "MY_SERVICE";
/// Its name for people.
const TITLE: &str = "My Service";

/// Print a dialect to start from, with comments
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  imgtask dialect new my-service > my-service.json
  imgtask dialect schema > dialect.schema.json     # for the editor")]
pub(crate) struct New {
    /// Its name: small letters, digits and dashes
    #[arg(value_name = "NAME", default_value = NAME)]
    name: String,
}

impl New {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let variable = self.name.to_ascii_uppercase().replace('-', "_");
        let text = START.replace(NAME, &self.name).replace(VARIABLE, &variable).replace(TITLE, &title(&self.name));
        if imgtask::dialects::Draft::parse(&text).is_err() {
            return Err(Problem::usage("the name must be 1 to 64 small letters, digits and dashes"));
        }
        context.ui.result(text.trim_end())?;
        Ok(Exit::Done)
    }
}

/// A name as people would write it: `my-service` is My Service.
fn title(name: &str) -> String {
    let words = name.split('-').filter(|word| !word.is_empty()).map(|word| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    });
    words.collect::<Vec<_>>().join(" ")
}
