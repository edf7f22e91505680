//! `imgtask fetch`: one look.

use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use imgtask::Task;

use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::finish::Finish;
use crate::report::TaskReport;
use crate::service::Service;
use crate::shell::clean;

/// Look at a task once and say where it stands
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints what is known of the task, a line each.

Examples:
  id=$(imgtask submit -p dimilinks --prompt 'a red fox')
  imgtask fetch -p dimilinks \"$id\" || [ $? -eq 4 ]  # 4: not finished yet
  imgtask wait -p dimilinks \"$id\"
  imgtask fetch -p dimilinks --json \"$id\" | jq -r '.images[].url'

Exit codes:
    0  the task succeeded
    3  it failed
    4  it is not finished yet
    5  there is no such task
    6  refused
    7  network")]
pub(crate) struct Fetch {
    /// The task: its id, or the poll address that the service gave
    #[arg(value_name = "TASK")]
    task: String,

    /// Print the task as one JSON object; `imgtask --help` names its members
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

impl Fetch {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let session = self.service.open(context)?;
        let task = match session.client.fetch(&self.task) {
            Ok(task) => task,
            Err(error) => {
                let finish = Finish { ui, session: &session, json: self.json, target: None, index: None };
                return finish.gave_up(&self.task, error);
            }
        };
        if self.json {
            ui.result(&TaskReport::new(&session.provider, &task).line()?)?;
        } else {
            for line in card(&task) {
                ui.result(&line)?;
            }
        }
        let exit = Exit::of_state(task.state);
        match exit {
            Exit::TaskFailed => ui.problem(&Problem::of_task(&task)),
            Exit::NotFinished => ui.note(&format!("wait for it: {}", session.command("wait", &task.id))),
            _ => {}
        }
        Ok(exit)
    }
}

/// What is known of a task, a line each.
fn card(task: &Task) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{name:<9} {}", clean(value)));
        }
    };
    let word = match task.provider_status.as_str() {
        "" => String::new(),
        word if word == task.state.name() => String::new(),
        word => format!(" ({word})"),
    };
    line("task", &task.id);
    line("state", &format!("{}{word}", task.state));
    if task.progress >= 0 {
        line("progress", &format!("{} %", task.progress));
    }
    line("model", &task.model);
    line("prompt", &task.revised_prompt);
    line("created", &time(task.created_at));
    line("completed", &time(task.completed_at));
    line("billing", &task.billing_id);
    if task.credit_cost >= 0 {
        line("credits", &task.credit_cost.to_string());
    }
    for (index, image) in task.images.iter().enumerate() {
        let link = if image.is_inline() { "inside the answer" } else { image.url() };
        line(&format!("image {index}"), link);
    }
    lines
}

fn time(seconds: i64) -> String {
    match u64::try_from(seconds) {
        // Later than the year 9999 is no time of a task, and more than the format can say.
        Ok(seconds @ 1..253_402_300_800) => httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)),
        _ => String::new(),
    }
}
