//! `imgtask cancel`: asks the provider to end tasks.

use clap::Args;

use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::finish::Finish;
use crate::report::TaskReport;
use crate::service::Service;
use crate::shell::row;

/// Ask the provider to cancel tasks
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a line a task: id and state, with a tab between. What has begun is mostly not cancelled any more: the provider \
refuses, and the task goes on. `imgtask providers` says who can cancel at all.

Examples:
  id=$(imgtask submit -p lemondata --prompt 'a clip' --set model=seedance)
  imgtask cancel -p lemondata \"$id\" || [ $? -eq 6 ]  # 6: it has begun already

Exit codes:
    0  all are cancelled
    2  the provider has no way to cancel
    5  there is no such task
    6  refused
    7  network")]
pub(crate) struct Cancel {
    /// The tasks: ids, or poll addresses that the service gave
    #[arg(value_name = "TASK", required = true)]
    tasks: Vec<String>,

    /// Print each task as one JSON object; `imgtask --help` names its members
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

impl Cancel {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let session = self.service.open(context)?;
        let known = imgtask::providers().iter().find(|known| known.name == session.provider);
        if known.is_some_and(|known| !known.can_cancel) {
            return Err(Problem::usage(format!("{} has no way to cancel a task", session.provider)));
        }
        let finish = Finish { ui, session: &session, json: self.json, target: None, index: None };
        let mut exit = Exit::Done;
        for reference in &self.tasks {
            exit = exit.and(match session.client.cancel_task(reference) {
                Ok(task) => {
                    ui.result(&match self.json {
                        true => TaskReport::new(&session.provider, &task).line()?,
                        false => row(&[&task.id, task.state.name()]),
                    })?;
                    Exit::Done
                }
                Err(error) => finish.gave_up(reference, error)?,
            });
        }
        Ok(exit)
    }
}
