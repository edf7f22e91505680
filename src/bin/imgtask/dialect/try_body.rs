//! `imgtask dialect try`: how an example from a service's pages is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use imgtask::dialects::{Answer, Trial};
use imgtask::{Error, State, Status, Task};
use serde::Serialize;

use crate::context::Context;
use crate::duration;
use crate::exit::{Exit, Outcome, Problem};
use crate::report::{TaskReport, to_line};
use crate::service::read_json;
use crate::shell::clean;

/// Say how a dialect reads an answer, and from which pointers each value came
#[derive(Debug, Args)]
#[command(after_long_help = "\
Nothing is sent. A refusal counts as an answer that can be read.

Members with --json: those of a task, which `imgtask --help` names, and
  http               status, meaning: ok gone rate_limited retry stop
  wait_ms            how long the answer asks to wait
  result             the address of a second answer with the images
  from               the pointer that each value came from, by the value's name
  notes[]            what a wait would make of it, where that may surprise

Examples:
  echo '{\"id\": \"img_1\", \"status\": \"failed\"}' > failed.json
  imgtask dialect try dimilinks --body failed.json
  echo '{\"error\": {\"message\": \"too many\"}}' > refused.json
  imgtask dialect try lemondata --body refused.json \\
    --http-status 429 --header 'Retry-After: 8'

Exit codes:
    0  the answer can be read
    7  it cannot
    2  the dialect is wrong")]
pub(crate) struct Try {
    /// A file with a dialect, or the name of a built-in provider
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    dialect: String,

    /// File with the answer's body, as the service's pages show it; - is the standard input
    #[arg(long, value_name = "SAMPLE", value_hint = ValueHint::FilePath)]
    body: PathBuf,

    /// File with the body of the second answer, where the first only says where the images are
    #[arg(long, value_name = "SAMPLE", value_hint = ValueHint::FilePath)]
    result_body: Option<PathBuf>,

    /// The second answer's HTTP status; 400 and 422 are the failure of the task
    #[arg(long, value_name = "N", default_value_t = 200, requires = "result_body",
        value_parser = clap::value_parser!(u16).range(100..600))]
    result_http_status: u16,

    /// The answer's HTTP status
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(100..600))]
    http_status: u16,

    /// A header of the answer; Retry-After counts, others are passed over
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// Read it as the answer to a submit instead of a look
    #[arg(long)]
    submit: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    task: TaskReport<'a>,
    http: Http,
    wait_ms: Option<u64>,
    result: Option<&'a str>,
    from: BTreeMap<&'a str, &'a str>,
    notes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Http {
    status: u16,
    meaning: &'static str,
}

impl Try {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let draft = super::draft(&self.dialect)?;
        let asked = self.header.iter().map(|header| retry_after(header)).collect::<Outcome<Vec<_>>>()?;
        let body = read_json(&self.body)?;
        let result = self.result_body.as_deref().map(read_json).transpose()?;
        let (http_status, to_submit) = (self.http_status, self.submit);
        let mut trial = draft.read(Answer {
            http_status,
            body: &body,
            to_submit,
            result: result.as_deref(),
            result_http_status: self.result_http_status,
        });
        trial.wait = trial.wait.into_iter().chain(asked.into_iter().flatten()).max();
        let notes = self.notes(&trial);
        if self.json {
            ui.result(&self.report(draft.name(), &trial, notes)?)?;
        } else {
            for line in self.card(&trial) {
                ui.result(&clean(&line))?;
            }
            for note in notes {
                ui.warn(note);
            }
        }
        match &trial.task {
            Err(error) if error.status() == Status::BadResponse => Err(Problem::new(Exit::Network, error.message())),
            _ => Ok(Exit::Done),
        }
    }

    fn report(&self, name: &str, trial: &Trial, notes: Vec<&'static str>) -> Outcome<String> {
        let unseen = Task::unseen("", "");
        let task = match &trial.task {
            Ok(task) => TaskReport::new(name, task),
            Err(error) => TaskReport::new(name, &unseen).with_error(error),
        };
        to_line(&Report {
            task,
            http: Http { status: self.http_status, meaning: trial.meaning },
            wait_ms: trial.wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            result: (!trial.result.is_empty()).then_some(trial.result.as_str()),
            from: trial.from.iter().map(|(name, pointer)| (name.as_str(), pointer.as_str())).collect(),
            notes,
        })
    }

    fn notes(&self, trial: &Trial) -> Vec<&'static str> {
        let unread = trial.task.as_ref().is_err_and(|error| error.status() == Status::BadResponse);
        let is_in = |name: &str| trial.from.iter().any(|(known, _)| known == name);
        let stateless = trial.task.as_ref().is_ok_and(|task| task.state == State::Unknown && !is_in("state"));
        let wordless = trial.task.as_ref().is_ok_and(|task| task.failure.is_some() && !is_in("failure/message"));
        let notes = [
            (stateless, "no status is where read.status says, so a wait looks on"),
            (wordless, "no words are where read.error.message says"),
            (trial.unknown_word, "nobody knows this status word, so a wait looks on: name it in read.words"),
            (
                trial.without_image,
                "no image is where read.images.items says: a wait looks again, then ends in no_image",
            ),
            (
                !trial.result.is_empty() && self.result_body.is_none(),
                "the images are in a second answer, which a client asks for: give it with --result-body",
            ),
            (unread && self.submit, "a submit would end in submit_unknown: the task may exist and be paid for"),
        ];
        notes.into_iter().filter(|(is_so, _)| *is_so).map(|(_, note)| note).collect()
    }

    /// A line each: what was read, and from where.
    fn card(&self, trial: &Trial) -> Vec<String> {
        let mut rows =
            vec![("http".to_string(), self.http_status.to_string(), what_it_means(trial.meaning).to_string())];
        let from = |name: &str| trial.from.iter().find(|(known, _)| known == name).map(|(_, pointer)| pointer.clone());
        let mut row = |name: &str, value: String, source: &str| {
            if !value.is_empty() {
                rows.push((name.to_string(), value, from(source).unwrap_or_default()));
            }
        };
        match &trial.task {
            Ok(task) => task_rows(task, &mut row),
            Err(error) => error_rows(error, &mut row),
        }
        row("result", trial.result.clone(), "result");
        row("wait", trial.wait.map_or_else(String::new, duration::words), "wait");
        let width =
            |cell: fn(&(String, String, String)) -> &str| rows.iter().map(|row| cell(row).chars().count()).max();
        let (names, values) = (width(|row| &row.0).unwrap_or(0), width(|row| &row.1).unwrap_or(0).min(MAX_COLUMN));
        let line = |(name, value, from): &(String, String, String)| format!("{name:names$}  {value:values$}  {from}");
        rows.iter().map(|row| line(row).trim_end().to_string()).collect()
    }
}

/// Wider values push the pointer out of line rather than all the others.
const MAX_COLUMN: usize = 48;

fn task_rows(task: &Task, row: &mut dyn FnMut(&str, String, &str)) {
    let word = match task.provider_status.as_str() {
        "" => String::new(),
        word if word == task.state.name() => String::new(),
        word => format!(" ({word})"),
    };
    row("state", format!("{}{word}", task.state), "state");
    row("progress", if task.progress < 0 { String::new() } else { format!("{} %", task.progress) }, "progress");
    row("id", task.id.clone(), "id");
    row("look at", task.poll_ref.clone(), "ref");
    for (index, image) in task.images.iter().enumerate() {
        let link = if image.is_inline() { "inside the answer" } else { image.url() };
        row(&format!("image {index}"), link.to_string(), &format!("images/{index}"));
    }
    if let Some(failure) = &task.failure {
        row("failure", failure.message.clone(), "failure/message");
        row("code", failure.code.clone(), "failure/code");
        row("type", failure.kind.clone(), "failure/type");
        row("action", failure.action.name().to_string(), "");
    }
    let time = |seconds: i64| if seconds > 0 { seconds.to_string() } else { String::new() };
    row("created", time(task.created_at), "created_at");
    row("completed", time(task.completed_at), "completed_at");
    row("prompt", task.revised_prompt.clone(), "revised_prompt");
    row("model", task.model.clone(), "model");
    row("conversation", task.conversation_id.clone(), "conversation_id");
    row("billing", task.billing_id.clone(), "billing_id");
    row("credits", if task.credit_cost < 0 { String::new() } else { task.credit_cost.to_string() }, "credit_cost");
}

fn error_rows(error: &Error, row: &mut dyn FnMut(&str, String, &str)) {
    row("error", error.status().name().to_string(), "");
    row("message", error.message().to_string(), "error/message");
    row("code", error.provider_code().to_string(), "error/provider_code");
    row("request id", error.request_id().to_string(), "error/request_id");
}

fn what_it_means(meaning: &str) -> &'static str {
    match meaning {
        "ok" => "ok: the body is an answer",
        "gone" => "gone: no such task, or no longer",
        "rate_limited" => "rate_limited: too many requests, the gate closes",
        "retry" => "retry: this look failed, the next may not",
        _ => "stop: looking on is of no use",
    }
}

/// The pause that a header asks for, if it is the one that does.
fn retry_after(header: &str) -> Outcome<Option<Duration>> {
    let Some((name, value)) = header.split_once(':') else {
        return Err(Problem::usage("--header wants NAME: VALUE"));
    };
    if !name.trim().eq_ignore_ascii_case("retry-after") {
        return Ok(None);
    }
    let seconds = value.trim().parse().map_err(|_| Problem::usage("--header Retry-After: give whole seconds here"))?;
    Ok(Some(Duration::from_secs(seconds)))
}
