//! `imgtask dialect show`: how a service is described.

use clap::Args;

use crate::context::Context;
use crate::exit::{Exit, Outcome};

/// Print the dialect of a provider
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  imgtask dialect show lemondata
  imgtask dialect show dimilinks --full > mine.json")]
pub(crate) struct Show {
    /// A built-in provider, or a file with a dialect; - is the standard input
    #[arg(value_name = "NAME|FILE", value_parser = crate::service::ProviderName, hide_possible_values = true)]
    name: String,

    /// Print every member, those too that are left to their defaults
    #[arg(long)]
    full: bool,
}

impl Show {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let ui = &context.ui;
        let document = super::document(&self.name)?;
        let text = if self.full { super::parse(&self.name, &document)?.complete() } else { document };
        ui.result(text.trim_end())?;
        Ok(Exit::Done)
    }
}
