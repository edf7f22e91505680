//! `imgtask dialect requests`: what would be sent to a service.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use imgtask::dialects::Request;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::report::to_line;
use crate::service::read_json;
use crate::shell::clean;

/// Print the requests that a dialect makes of a prompt and of an id; nothing is sent
#[derive(Debug, Args)]
#[command(after_long_help = "\
Members with --json, one object a request: name: submit look cancel; method, path, headers, body. The header of the key has \
<key> in its place.

Examples:
  imgtask dialect new my-service > my-service.json
  imgtask dialect requests my-service.json
  imgtask dialect requests lemondata --json --id task_1")]
pub(crate) struct Requests {
    /// A file with a dialect, or the name of a built-in provider; - is the standard input
    #[arg(value_name = "FILE|NAME", value_hint = ValueHint::FilePath)]
    dialect: String,

    /// File with the JSON of a submit [default: {"prompt":"a red apple"}]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    request: Option<PathBuf>,

    /// The task's id
    #[arg(long, value_name = "ID", default_value = "ID")]
    id: String,

    /// Print one JSON object a request
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    name: &'static str,
    method: &'static str,
    path: &'a str,
    headers: Vec<[&'a str; 2]>,
    body: Option<&'a str>,
}

impl Requests {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let draft = super::draft(&self.dialect)?;
        let given = self.request.as_deref().map(read_json).transpose()?;
        let submit = given.as_deref().unwrap_or(r#"{"prompt":"a red apple"}"#);
        for request in draft.requests(submit, &self.id)? {
            if self.json {
                ui.result(&report(&request)?)?;
            } else {
                for line in lines(&request) {
                    ui.result(&clean(&line))?;
                }
            }
        }
        Ok(Exit::Done)
    }
}

fn report(request: &Request) -> Outcome<String> {
    to_line(&Report {
        name: request.name,
        method: request.method,
        path: &request.path,
        headers: request.headers.iter().map(|(name, value)| [name.as_str(), value.as_str()]).collect(),
        body: request.body.as_deref(),
    })
}

fn lines(request: &Request) -> Vec<String> {
    let headers = request.headers.iter().map(|(name, value)| format!("        {name}: {value}"));
    let body = request.body.iter().map(|body| format!("        {body}"));
    let first = format!("{:<7} {} {}", request.name, request.method, request.path);
    [first].into_iter().chain(headers).chain(body).collect()
}
