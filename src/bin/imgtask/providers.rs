//! `imgtask providers`: what can be spoken to.

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::report::to_line;
use crate::ui::table;

/// List the providers, their addresses and the variable each one's key is read from
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a table: first the services whose own pages were read, then those that are put together from public sources and \
were never tried. A key is told as set or not set, and never shown.

Members with --json, one object a line: name, title, base_url, key_variable, key_set, can_submit, can_cancel, \
documented, wait_timeout_ms.

Examples:
  imgtask providers
  imgtask providers --json | jq -r 'select(.key_set) | .name'")]
pub(crate) struct Providers {
    /// Print one JSON object a provider
    #[arg(long)]
    json: bool,
}

const INFERRED: &str = "Inferred, from public sources; never tried:";

#[derive(Debug, Serialize)]
struct ProviderReport {
    name: &'static str,
    title: String,
    base_url: Option<&'static str>,
    key_variable: &'static str,
    key_set: bool,
    can_submit: bool,
    can_cancel: bool,
    documented: bool,
    wait_timeout_ms: u32,
}

impl Providers {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let mut known: Vec<ProviderReport> = imgtask::providers().iter().map(ProviderReport::new).collect();
        // Those whose own pages say it first, each group in its order.
        known.sort_by_key(|provider| !provider.documented);
        if self.json {
            for provider in &known {
                ui.result(&to_line(provider)?)?;
            }
            return Ok(Exit::Done);
        }
        let head = ["NAME", "SERVICE", "ADDRESS", "KEY", "", "SUBMIT", "CANCEL", "CONTRACT"];
        let mut rows = vec![head.map(str::to_string).to_vec()];
        rows.extend(known.iter().map(ProviderReport::row));
        // One table, so that the columns of both groups are in line.
        let documented = known.iter().filter(|provider| provider.documented).count();
        for (number, line) in table(&rows, ui.out_paint()).iter().enumerate() {
            if number == documented + 1 {
                ui.result("")?;
                ui.result(INFERRED)?;
            }
            ui.result(line)?;
        }
        Ok(Exit::Done)
    }
}

impl ProviderReport {
    fn new(info: &imgtask::ProviderInfo) -> ProviderReport {
        // Two shapes of one service: say which one is for new programs.
        let old = info.name.ends_with("-legacy") && !info.title.contains("for old clients");
        ProviderReport {
            name: info.name,
            title: if old { format!("{} (for old clients)", info.title) } else { info.title.to_string() },
            base_url: (!info.base_url.is_empty()).then_some(info.base_url),
            key_variable: info.key_variable,
            key_set: std::env::var_os(info.key_variable).is_some_and(|key| !key.is_empty()),
            can_submit: info.can_submit,
            can_cancel: info.can_cancel,
            documented: info.documented,
            wait_timeout_ms: info.wait_timeout_ms,
        }
    }

    fn row(&self) -> Vec<String> {
        let yes = |can| if can { "yes" } else { "no" };
        [
            self.name,
            &self.title,
            self.base_url.unwrap_or("give --base-url"),
            self.key_variable,
            if self.key_set { "set" } else { "not set" },
            yes(self.can_submit),
            yes(self.can_cancel),
            if self.documented { "documented" } else { "inferred" },
        ]
        .map(str::to_string)
        .to_vec()
    }
}
