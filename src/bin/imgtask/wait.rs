//! `imgtask wait`: looks until tasks are final.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};
use imgtask::{Error, Status};

use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::finish::Finish;
use crate::lines::{Line, Lines};
use crate::save::Target;
use crate::service::Service;
use crate::{duration, interrupt};

/// Waits that run side by side; further tasks queue.
const SIDE_BY_SIDE: usize = 32;

/// Wait until tasks are done, side by side
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a line an image: task id, index and link, with tabs between; with --out the path of each saved file. Progress \
goes to the standard error: a bar a task on a terminal, else a line where something changes.

In a list from the standard input empty lines and those that begin with # are passed over.

A timeout or Ctrl-C ends the wait, never the task: the same command takes it up again.

Examples:
  one=$(imgtask submit -p dimilinks --prompt 'a fox')
  two=$(imgtask submit -p dimilinks --prompt 'a hen')
  imgtask wait -p dimilinks \"$one\" --timeout 10m --out fox.png
  imgtask wait -p dimilinks \"$one\" \"$two\" \\
    --out pictures/ --name-pattern '{id}.{ext}'
  printf '%s\\n' \"$one\" \"$two\" | imgtask wait -p dimilinks --json -

Exit codes:
    0  all are done
    3  one failed
    4  one is not finished in time
    5  there is no such task
    6  refused
    7  network
    8  a file
  Of several tasks the first in the list that is not done gives the code")]
pub(crate) struct Wait {
    /// The tasks: ids, or poll addresses that the service gave; - reads them from the standard input, one a line
    #[arg(value_name = "TASK", required = true)]
    tasks: Vec<String>,

    /// Give up after TIME: 90, 90s, 10m, 1h; 0 looks once [env: IMGTASK_TIMEOUT] [default: the provider's]
    #[arg(long, short, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,

    /// Save the images to a file, a folder/, a pattern with {id}, {index}, {ext}, or -
    #[arg(long, short, value_name = "PATH", visible_alias = "download", value_hint = ValueHint::AnyPath)]
    out: Option<PathBuf>,

    /// Name the files in the folder of --out, with {id}, {index}, {ext} [default: {id}-{index}.{ext}]
    #[arg(long, value_name = "PATTERN", requires = "out")]
    name_pattern: Option<String>,

    /// Replace files that exist
    #[arg(long, short, requires = "out")]
    force: bool,

    /// Print each task as one JSON object; `imgtask --help` names its members
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

impl Wait {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let names = context.names(self.name_pattern.as_ref())?;
        let target = self.out.as_deref().map(|out| Target::new(out, names.as_ref(), self.force)).transpose()?;
        let tasks = self.tasks()?;
        if let Some(target) = &target {
            target.check(context.json_source(self.json)?.as_ref(), tasks.len())?;
        }
        let session = self.service.open(context)?;
        let finish = Finish { ui, session: &session, json: self.json, target: target.as_ref(), index: None };
        let timeout = self.timeout.or(session.timeout);
        let begun = Instant::now();
        let width = tasks.iter().map(|task| task.chars().count()).max().unwrap_or(0);
        let workers = tasks.len().min(SIDE_BY_SIDE);
        let queue: Mutex<VecDeque<(usize, String)>> = Mutex::new(tasks.into_iter().enumerate().collect());
        let ends: Mutex<Vec<(usize, Outcome)>> = Mutex::new(Vec::new());
        let next = || {
            if interrupt::pressed() {
                return None;
            }
            queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
        };
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((place, task)) = next() {
                        let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
                        let end = finish.wait(&task, &shown(&task), width, left);
                        ends.lock().unwrap_or_else(PoisonError::into_inner).push((place, end));
                    }
                });
            }
        });
        let mut ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
        ends.sort_by_key(|(place, _)| *place);
        let mut exit = Exit::Done;
        // After Ctrl-C: those that were not begun.
        for (_, task) in queue.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let id = session.client.task_id(&task).unwrap_or_default();
            let error = Error::new(Status::Cancelled, "interrupted before the first look").with_task_id(id);
            exit = exit.and(finish.gave_up(&task, error)?);
        }
        for (_, end) in ends {
            exit = exit.and(end?);
        }
        Ok(exit)
    }

    fn tasks(&self) -> Outcome<Vec<String>> {
        if !self.tasks.iter().any(|task| task == "-") {
            return Ok(self.tasks.clone());
        }
        if self.tasks.len() > 1 {
            return Err(Problem::usage("- stands for all tasks: give it alone"));
        }
        if self.service.reads_stdin() {
            return Err(Problem::usage("the tasks and the key cannot both come from the standard input"));
        }
        let mut tasks = Vec::new();
        for line in Lines::new(std::io::stdin().lock()) {
            match line {
                Line::Task(task, _) => tasks.push(task),
                Line::Unreadable(number, why) => {
                    let words = format!("line {number} of the standard input is no task: {why}");
                    return Err(Problem::usage(words));
                }
                Line::Broken(why) => {
                    return Err(Problem::new(Exit::File, format!("cannot read on from the standard input: {why}")));
                }
            }
        }
        match tasks.is_empty() {
            true => Err(Problem::usage("the standard input names no task")),
            false => Ok(tasks),
        }
    }
}

/// A reference as it may be shown: without a query, which may be a signature.
pub(crate) fn shown(reference: &str) -> String {
    reference.split(['?', '#']).next().unwrap_or_default().to_string()
}
