//! `imgtask doctor`: what a command would do here, and what is wrong with it.
//!
//! [`machine`]: versions, the clock, the terminal. [`service`]: who would be asked, by which settings. [`journal`]: the state of a
//! journal's file. [`connection`]: one harmless question.

mod connection;
mod journal;
mod machine;
mod service;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::Serialize;

use crate::access::Access;
use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::report::to_line;
use crate::service::Service;
use crate::shell::clean;
use crate::ui::Face;

/// Say what would be contacted and how, and what is wrong
#[derive(Debug, Args)]
#[command(after_long_help = "\
Contacts nobody, unless --connect is given, and changes nothing. Prints a line a fact: a mark, what it is about, and where \
it was said; ! is a note, and a wrong thing is marked with an x and followed by its cure. No key is read out, not even its \
length.

--connect sends one GET request with the key, for a task that does not exist: a service answers 401 to a key that it \
refuses, and mostly 404, with an error of its own, to one that it takes; a 404 without is of some other server. Nothing is submitted and nothing is paid for. The answer's date is compared \
with this machine's clock.

Ends with 0 when nothing is wrong; else with the code that a command would end with: 2 settings or key, 6 refused, 7 network, \
8 a file.

Members with --json: ok, facts[]: about, name, value, from, verdict: fine note wrong, cure.

Examples:
  imgtask doctor
  imgtask doctor -p dimilinks
  imgtask doctor -p lemondata --connect --json")]
pub(crate) struct Doctor {
    /// Ask the service one harmless question
    #[arg(long)]
    connect: bool,

    /// Look into the journal of `imgtask watch`, too
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    journal: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

/// The task that no service has.
const NO_TASK: &str = "imgtask-doctor";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Fine,
    Note,
    Wrong,
}

/// Something that was found out.
#[derive(Debug, Serialize)]
struct Fact {
    about: &'static str,
    name: &'static str,
    value: String,
    from: Option<String>,
    verdict: Verdict,
    cure: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Fact {
    fn new(about: &'static str, name: &'static str, value: impl Into<String>) -> Fact {
        Fact { about, name, value: value.into(), from: None, verdict: Verdict::Fine, cure: None, exit: Exit::Done }
    }

    fn from(mut self, source: impl ToString) -> Fact {
        self.from = Some(source.to_string());
        self
    }

    fn note(mut self, cure: impl Into<String>) -> Fact {
        self.verdict = Verdict::Note;
        self.cure = Some(cure.into());
        self
    }

    fn wrong(mut self, exit: Exit, cure: impl Into<String>) -> Fact {
        self.verdict = Verdict::Wrong;
        self.exit = exit;
        self.cure = Some(cure.into()).filter(|cure: &String| !cure.is_empty());
        self
    }

    /// What a command would end with.
    fn problem(about: &'static str, name: &'static str, problem: &Problem) -> Fact {
        Fact::new(about, name, &problem.message).wrong(problem.exit, problem.hints.join("; "))
    }
}

impl Doctor {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        // A setting of it that cannot be meant is among the facts.
        self.json = context.json(self.json).unwrap_or(false);
        let facts = self.facts(context);
        let wrong = facts.iter().filter(|fact| fact.verdict == Verdict::Wrong).count();
        if self.json {
            context.ui.result(&to_line(&serde_json::json!({ "ok": wrong == 0, "facts": facts }))?)?;
        } else {
            show(context, &facts)?;
            let words = match wrong {
                0 => "Nothing is wrong".to_string(),
                1 => "One thing is wrong".to_string(),
                count => format!("{count} things are wrong"),
            };
            context.ui.note(&words);
        }
        Ok(facts.iter().fold(Exit::Done, |exit, fact| exit.or_graver(fact.exit)))
    }

    fn facts(&self, context: &Context) -> Vec<Fact> {
        let mut facts = machine::versions();
        facts.extend(machine::settings(context));
        let wants_service = self.connect || self.journal.is_some();
        let known = service::facts(&self.service, context, wants_service, &mut facts);
        let uses_proxy = known.as_ref().map(|(_, uses_proxy)| *uses_proxy);
        if let Some((access, _)) = known {
            self.with_service(&access, context, &mut facts);
        }
        facts.extend(machine::proxies(&facts, uses_proxy));
        facts.extend(machine::terminal(context));
        facts
    }

    fn with_service(&self, access: &Access, context: &Context, facts: &mut Vec<Fact>) {
        if let Some(path) = &self.journal {
            facts.push(journal::fact(path, access));
        }
        if self.connect {
            facts.extend(connection::facts(access, context));
        }
    }
}

/// The facts as people read them: under headings, names and values in columns.
fn show(context: &Context, facts: &[Fact]) -> Outcome<()> {
    let (ui, paint) = (&context.ui, context.ui.out_paint());
    let width = facts.iter().map(|fact| fact.name.chars().count()).max().unwrap_or(0);
    let mut abouts: Vec<&str> = Vec::new();
    for fact in facts {
        if !abouts.contains(&fact.about) {
            abouts.push(fact.about);
        }
    }
    for about in abouts {
        ui.result(&paint.on(Face::Strong, about))?;
        for fact in facts.iter().filter(|fact| fact.about == about) {
            let mark = match fact.verdict {
                Verdict::Fine => paint.on(Face::Good, "✓"),
                Verdict::Note => paint.on(Face::Hint, "!"),
                Verdict::Wrong => paint.on(Face::Bad, "✗"),
            };
            let from = fact.from.as_ref().map_or_else(String::new, |from| format!("  ({})", clean(from)));
            ui.result(&format!("  {mark} {:width$}  {}{from}", fact.name, clean(&fact.value)))?;
            if let Some(cure) = &fact.cure {
                ui.result(&format!("    {:width$}  {} {}", "", paint.on(Face::Hint, "cure:"), clean(cure)))?;
            }
        }
    }
    Ok(())
}
