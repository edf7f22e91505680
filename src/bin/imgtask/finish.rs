//! The way from a task to its images, the same for `wait`, `submit` and `download`.

use std::io::{self, IsTerminal};
use std::time::Duration;

use imgtask::{Error, SavedPicture, State, Status, Task};

use crate::exit::{Exit, Outcome, Problem};
use crate::report::TaskReport;
use crate::save::{self, Target};
use crate::service::Session;
use crate::ui::Ui;
use crate::{duration, interrupt};

/// What to do with a task that ends.
pub(crate) struct Finish<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) session: &'a Session,
    pub(crate) json: bool,
    /// Where images go; without it their links are printed.
    pub(crate) target: Option<&'a Target>,
    /// The one image that is wanted; all without it.
    pub(crate) index: Option<usize>,
}

impl Finish<'_> {
    /// Waits for a task and delivers it. `name` is what its progress is shown under.
    pub(crate) fn wait(&self, reference: &str, name: &str, width: usize, timeout: Option<Duration>) -> Outcome {
        let track = self.ui.track(name, width);
        let waited = self.session.client.wait_with(reference, timeout, &mut |look| track.look(look));
        track.clear();
        match waited {
            Ok(task) => self.deliver(&task),
            Err(error) => self.gave_up(reference, error),
        }
    }

    /// Prints a task that was seen, or saves its images.
    pub(crate) fn deliver(&self, task: &Task) -> Outcome {
        if task.state != State::Succeeded {
            if self.json {
                self.ui.result(&TaskReport::new(&self.session.provider, task).line()?)?;
            }
            let problem = match task.state.is_final() {
                true => Problem::of_task(task),
                false => Problem::not_finished(task, &self.session.command("wait", &task.id)),
            };
            self.ui.problem(&problem);
            return Ok(problem.exit);
        }
        self.ui.done(&summary(task));
        match self.target {
            Some(target) => self.save(task, target),
            None => self.print_links(task),
        }
    }

    /// Says why there is no task to deliver, and how to go on.
    pub(crate) fn gave_up(&self, reference: &str, mut error: Error) -> Outcome {
        let known = error.take_task().unwrap_or_else(|| Task::unseen(error.task_id(), reference));
        if self.json {
            self.ui.result(&TaskReport::new(&self.session.provider, &known).with_error(&error).line()?)?;
        }
        let status = error.status();
        let mut problem = self.session.problem(error, &known);
        if matches!(status, Status::Timeout | Status::Starved | Status::Cancelled) {
            if status == Status::Cancelled && interrupt::pressed() {
                problem.message = "interrupted".to_string();
            }
            // An address may carry a signature, which no message repeats.
            let reference = if known.id.is_empty() { reference } else { &known.id };
            problem = match reference.contains('?') {
                true => problem.hint("the task goes on: the same command waits for it again"),
                false => problem.hint(format!("the task goes on: {}", self.session.command("wait", reference))),
            };
        }
        self.ui.problem(&problem);
        Ok(problem.exit)
    }

    fn wanted(&self, task: &Task) -> Vec<usize> {
        match self.index {
            Some(index) => vec![index],
            None => (0..task.images.len()).collect(),
        }
    }

    fn save(&self, task: &Task, target: &Target) -> Outcome {
        let mut report = TaskReport::new(&self.session.provider, task);
        let mut exit = Exit::Done;
        let mut errors = Vec::new();
        if target.is_stdout() && self.wanted(task).len() > 1 {
            let problem = Problem::usage(format!("the task has {} images, and - takes one", task.images.len()));
            self.ui.problem(
                &problem.hint(format!("choose one: {}", self.session.command("download --index 0 --out -", &task.id))),
            );
            return Ok(Exit::Usage);
        }
        if task.images.is_empty() {
            errors.push(
                Error::new(Status::NoImage, "the task is done, but there is no image in it").with_task_id(&task.id),
            );
        }
        let several = self.wanted(task).len() > 1;
        for index in self.wanted(task) {
            match target.save(&self.session.client, task, index, several) {
                Ok(saved) => {
                    if save::name_misleads(&saved) {
                        let kind = save::kind(&saved.info);
                        self.ui.warn(&format!("{} holds a {kind} image", saved.path.display()));
                    }
                    match self.json {
                        true => report = report.with_file(index, &saved),
                        false if target.is_stdout() => self.ui.done(&save::words(&saved.info)),
                        false => self.print_path(&saved)?,
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if self.json {
            if let Some(error) = errors.first() {
                report = report.with_error(error);
            }
            self.ui.result(&report.line()?)?;
        }
        let last = errors.len().saturating_sub(1);
        for (place, error) in errors.into_iter().enumerate() {
            let missing = matches!(error.status(), Status::InvalidArgument | Status::NoImage);
            let interrupted = error.status() == Status::Cancelled && interrupt::pressed();
            let hint = target.hint(&error);
            let mut problem = self.session.problem(error, task);
            if let Some(hint) = hint {
                problem = problem.hint(hint);
            }
            if interrupted {
                problem.message = "interrupted".to_string();
            }
            // The image is paid for; with --quiet nothing else has named its task.
            if place == last && !missing && !task.id.is_empty() {
                let again = self.session.command("download", &task.id);
                problem = problem.hint(format!("the task is done, and can be downloaded again: {again}"));
            }
            exit = exit.and(problem.exit);
            self.ui.problem(&problem);
        }
        Ok(exit)
    }

    /// The path alone where a program reads it; with its size where a person does.
    fn print_path(&self, saved: &SavedPicture) -> Outcome<()> {
        let (path, words) = (saved.path.display(), save::words(&saved.info));
        if io::stdout().is_terminal() {
            return self.ui.result(&format!("{path}  {words}"));
        }
        self.ui.done(&format!("{path}: {words}"));
        self.ui.result(&path.to_string())
    }

    /// One line an image: id, index, link, with tabs between.
    fn print_links(&self, task: &Task) -> Outcome {
        if self.json {
            self.ui.result(&TaskReport::new(&self.session.provider, task).line()?)?;
        } else {
            let id = if task.id.is_empty() { "-" } else { &task.id };
            for index in self.wanted(task) {
                if let Some(image) = task.images.get(index) {
                    let link = if image.is_inline() { "inline" } else { image.url() };
                    self.ui.result(&crate::shell::row(&[id, &index.to_string(), link]))?;
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// `img_1 succeeded after 42 s: 2 images`.
fn summary(task: &Task) -> String {
    let name = if task.id.is_empty() { "task" } else { &task.id };
    let took = u64::try_from(task.completed_at.saturating_sub(task.created_at)).unwrap_or(0);
    let after = match task.created_at > 0 && task.completed_at > 0 && took > 0 {
        true => format!(" after {}", duration::words(Duration::from_secs(took))),
        false => String::new(),
    };
    let images = match task.images.len() {
        1 => "1 image".to_string(),
        count => format!("{count} images"),
    };
    format!("{name} succeeded{after}: {images}")
}
