//! `imgtask dialect schema`: what a dialect may say.

use clap::Args;
use imgtask::dialects;

use crate::context::Context;
use crate::exit::{Exit, Outcome};

/// Print the JSON Schema of dialects, by which editors complete and check them
#[derive(Debug, Args)]
#[command(after_long_help = "\
Name the file in the dialect's own \"$schema\". The members are the same as in docs/dialects.md.

Examples:
  imgtask dialect schema > dialect.schema.json
  imgtask dialect schema --table")]
pub(crate) struct Schema {
    /// Print the members as Markdown tables instead
    #[arg(long)]
    table: bool,
}

impl Schema {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let text = if self.table { dialects::members() } else { dialects::schema() };
        context.ui.result(text.trim_end())?;
        Ok(Exit::Done)
    }
}
