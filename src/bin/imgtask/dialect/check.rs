//! `imgtask dialect check`: what is wrong with a dialect.

use clap::{Args, ValueHint};
use imgtask::dialects::{Draft, Fault};
use serde::Serialize;

use super::advice;
use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::report::to_line;
use crate::shell::clean;
use crate::ui::Ui;

/// Say everything that is wrong with a dialect
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a line for each fault: the file, the JSON pointer to the member, and what would be right. What is no fault and may \
still not be meant is noted on the standard error.

Members with --json, one object a file: file, ok, name, title, faults[]: pointer, message, hint; notes[].

Examples:
  imgtask dialect new my-service > my-service.json
  imgtask dialect check my-service.json lemondata
  imgtask dialect check --json - < my-service.json

Exit codes:
    0  all are right
    2  one is not
    8  a file cannot be read")]
pub(crate) struct Check {
    /// Files with dialects, or names of built-in providers; - is the standard input
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    files: Vec<String>,

    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a str,
    ok: bool,
    name: Option<&'a str>,
    title: Option<&'a str>,
    faults: Vec<FaultReport<'a>>,
    notes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct FaultReport<'a> {
    pointer: &'a str,
    message: &'a str,
    hint: Option<String>,
    #[serde(skip)]
    fault: &'a Fault,
}

impl Check {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let mut exit = Exit::Done;
        for file in &self.files {
            let checked = super::document(file).map(|document| (Draft::parse(&document), document));
            let ended = match checked {
                Ok((Ok(draft), _)) => self.right(ui, file, &draft),
                Ok((Err(faults), document)) => self.wrong(ui, file, &faults, &document),
                Err(problem) => {
                    ui.problem(&problem);
                    Ok(problem.exit)
                }
            };
            exit = exit.and(ended?);
        }
        Ok(exit)
    }

    fn right(&self, ui: &Ui, file: &str, draft: &Draft) -> Outcome {
        let notes = draft.notes();
        if self.json {
            let (name, title) = (Some(draft.name()), Some(draft.title()));
            ui.result(&to_line(&Report { file, ok: true, name, title, faults: Vec::new(), notes })?)?;
            return Ok(Exit::Done);
        }
        ui.result(&clean(&format!("{file}: right, a dialect for {} named {}", draft.title(), draft.name())))?;
        for note in notes {
            ui.warn(note);
        }
        Ok(Exit::Done)
    }

    fn wrong(&self, ui: &Ui, file: &str, faults: &[Fault], document: &str) -> Outcome {
        let document = advice::read(document);
        let faults: Vec<FaultReport<'_>> = faults
            .iter()
            .map(|fault @ Fault { pointer, message }| {
                let hint = advice::of(fault, &document);
                FaultReport { pointer, message, hint, fault }
            })
            .collect();
        if self.json {
            let report = Report { file, ok: false, name: None, title: None, faults, notes: Vec::new() };
            ui.result(&to_line(&report)?)?;
            return Ok(Exit::Usage);
        }
        for FaultReport { fault, hint, .. } in &faults {
            ui.result(&clean(&format!("{file}: {}", super::line(fault, hint.as_deref()))))?;
        }
        let count = if faults.len() == 1 { "one fault".to_string() } else { format!("{} faults", faults.len()) };
        ui.problem(&Problem::usage(format!("{file} cannot be used: {count}")));
        Ok(Exit::Usage)
    }
}
