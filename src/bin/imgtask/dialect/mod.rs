//! `imgtask dialect`: write down how a service speaks, and see whether it is right before anything is sent.

mod advice;
mod check;
mod new;
mod requests;
mod schema;
mod show;
mod try_body;

use std::path::Path;

use clap::{Args, Subcommand};
use imgtask::dialects::{self, Draft, Fault};

use crate::context::Context;
use crate::exit::{Outcome, Problem};
use crate::service::{read_text, shown};

/// Longest dialect that is read to say what is wrong with it, bytes; the library takes 1 MiB.
const MAX_FILE: u64 = 16 << 20;

/// Describe a service that is not built in: start a dialect, check it, try it on the service's own examples
#[derive(Debug, Args)]
#[command(after_long_help = "\
A dialect is one JSON document; docs/dialects.md leads from a service's page to a checked one. Every command that takes \
--provider takes --dialect FILE.

Examples:
  imgtask dialect new my-service > my-service.json
  imgtask dialect check my-service.json
  imgtask dialect requests my-service.json
  echo '{\"id\": \"1\", \"status\": \"queued\"}' > answer.json
  imgtask dialect try my-service.json --body answer.json
  imgtask dialect show dimilinks > mine.json
  imgtask submit --dialect mine.json --prompt 'a red fox' --out fox.png")]
pub(crate) struct Dialect {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Show),
    Check(check::Check),
    Try(try_body::Try),
    Requests(requests::Requests),
    New(new::New),
    Schema(schema::Schema),
}

impl Dialect {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.command {
            Command::Show(show) => show.run(context),
            Command::Check(check) => check.run(context),
            Command::Try(try_body) => try_body.run(context),
            Command::Requests(requests) => requests.run(context),
            Command::New(new) => new.run(context),
            Command::Schema(schema) => schema.run(context),
        }
    }
}

/// The document in a file, or that of a built-in provider; `-` is the standard input.
fn document(name: &str) -> Outcome<String> {
    let path = Path::new(name);
    match dialects::document(name) {
        // A file of that name goes first, as it does with every other command.
        Some(document) if !path.exists() => Ok(document.to_string()),
        _ => read_text(path, MAX_FILE)
            .map_err(|problem| problem.hint("give a file, or the name of a built-in provider: `imgtask providers`")),
    }
}

/// The dialect in a file, ready to be used.
fn draft(name: &str) -> Outcome<Draft> {
    parse(name, &document(name)?)
}

/// Reads a dialect; the problem names the file and everything that is wrong with it.
pub(crate) fn parse(file: &str, json: &str) -> Outcome<Draft> {
    Draft::parse(json).map_err(|faults| {
        let file = shown(Path::new(file));
        let document = advice::read(json);
        let mut lines = faults.iter().map(|fault| line(fault, advice::of(fault, &document).as_deref()));
        let first = lines.next().unwrap_or_default();
        let problem = Problem::usage(format!("{file}: {first}"));
        lines.fold(problem, Problem::hint).hint(format!("`imgtask dialect check {file}` says when it is right"))
    })
}

/// A fault in one line, with what would be right.
fn line(fault: &Fault, hint: Option<&str>) -> String {
    let place = if fault.pointer.is_empty() { String::new() } else { format!("{}: ", fault.pointer) };
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{place}{}{hint}", fault.message)
}
