//! `imgtask submit`: a request becomes a task.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args, ValueHint};
use imgtask::Status;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::duration;
use crate::exit::{Exit, Outcome, Problem};
use crate::finish::Finish;
use crate::report::TaskReport;
use crate::save::{Asked, Target};
use crate::service::{Service, read_json};

/// Submit a request and print the task's id
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["prompt", "request"]).required(true).multiple(true)))]
#[command(after_long_help = "\
Prints the task's id and nothing else; with --wait a line an image: id, index and link, with tabs between; with --out \
the path of each saved file. Progress and what helps go to the standard error.

The request is the provider's own JSON. It is sent once: when the answer is lost, the command ends with 9 and never \
submits again by itself. What cannot work, such as a name that is taken, is refused before anything is paid for.

Examples:
  id=$(imgtask submit -p dimilinks --prompt 'a red fox')
  imgtask wait -p dimilinks \"$id\" --out fox.png
  imgtask submit -p lemondata --prompt 'a lighthouse in fog' \\
    --set model=gpt-image-2 --out fog.png
  imgtask submit -p dimilinks --prompt 'two foxes' \\
    --set n=2 --set resolution=2k \\
    --out foxes/ --name-pattern 'fox-{index}.{ext}'
  echo '{\"prompt\": \"a hen\"}' | imgtask submit -p dimilinks --request - --wait

Exit codes:
    0  done
    2  the request cannot be used or there is no key
    3  the task failed
    4  not finished in time
    6  refused
    7  network
    8  a file
    9  sent, but the answer was lost
  `imgtask --help` has the table")]
pub(crate) struct Submit {
    /// What the image shows
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,

    /// Set a member of the request; a value that is JSON is taken as JSON, else as text
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,

    /// Read the request from FILE, - is the standard input; --prompt and --set replace its members
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    request: Option<PathBuf>,

    /// Wait for the task and print its images' links
    #[arg(long, short)]
    wait: bool,

    /// Wait and save the images to a file, a folder/, a pattern with {id}, {index}, {ext}, or -
    #[arg(long, short, value_name = "PATH", visible_alias = "download", value_hint = ValueHint::AnyPath)]
    out: Option<PathBuf>,

    /// Name the files in the folder of --out, with {id}, {index}, {ext} [default: {id}-{index}.{ext}]
    #[arg(long, value_name = "PATTERN", requires = "out")]
    name_pattern: Option<String>,

    /// Replace files that exist
    #[arg(long, short, requires = "out")]
    force: bool,

    /// Give up waiting after TIME: 90, 90s, 10m, 1h [env: IMGTASK_TIMEOUT] [default: the provider's]
    #[arg(long, short, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,

    /// Print the task as one JSON object; `imgtask --help` names its members
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

impl Submit {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let names = context.names(self.name_pattern.as_ref())?;
        let mut target = self.out.as_deref().map(|out| Target::new(out, names.as_ref(), self.force)).transpose()?;
        if let Some(target) = &target {
            // Before anything is paid for.
            target.check(context.json_source(self.json)?.as_ref(), 1)?;
        }
        if self.timeout.is_some() && !self.wait && target.is_none() {
            return Err(Problem::usage("--timeout is for the wait: give --wait or --out"));
        }
        let request = self.request()?;
        if let Some(target) = &target {
            target.check_images(&Asked::of(&request))?;
        }
        let session = self.service.open(context)?;
        if let Some(target) = &target {
            target.prepare()?;
        }
        let task = match session.client.submit(&request) {
            Ok(task) => task,
            Err(error) => {
                let finish = Finish { ui, session: &session, json: self.json, target: None, index: None };
                return match error.status() {
                    // A task is known only when its id is; otherwise there is nothing to wait for.
                    Status::Cancelled if error.task_id().is_empty() => Err(Problem::new(
                        Exit::Interrupted,
                        "interrupted before the request was sent: nothing was submitted",
                    )),
                    _ => finish.gave_up("", error),
                };
            }
        };
        // An answer with the images in it and no id to ask again: saved, rather than lost.
        if target.is_none() && task.id.is_empty() && task.images.iter().any(imgtask::Image::is_inline) {
            ui.warn("the service sent the images at once and they cannot be asked for again: saving them here");
            target = Some(Target::new(Path::new("."), None, false)?);
        }
        let waits = self.wait || target.is_some() || task.id.is_empty();
        let finish = Finish { ui, session: &session, json: self.json, target: target.as_ref(), index: None };
        if !waits {
            ui.result(&match self.json {
                true => TaskReport::new(&session.provider, &task).line()?,
                false => crate::shell::clean(&task.id),
            })?;
            match task.state.is_final() {
                true => ui.note(&format!("done already: {}", session.command("download", &task.id))),
                false => ui.note(&format!("wait for it: {}", session.command("wait", &task.id))),
            }
            return Ok(Exit::Done);
        }
        if task.state.is_final() {
            return finish.deliver(&task);
        }
        // Said at once: whatever happens to this process, the task can be found again.
        ui.note(&format!("submitted {}", task.id));
        finish.wait(&task.poll_ref, &task.id, 0, self.timeout.or(session.timeout))
    }

    /// The request as JSON.
    fn request(&self) -> Outcome<String> {
        let Some(path) = self.request.as_deref() else {
            return self.edited(Map::new());
        };
        if path == Path::new("-") && self.service.reads_stdin() {
            return Err(Problem::usage("the request and the key cannot both come from the standard input"));
        }
        let text = read_json(path)?;
        let problem = |error: serde_json::Error| {
            // The position only: the text of such an error quotes the file.
            Problem::usage(format!(
                "the request in {} is not a JSON object (line {}, column {})",
                path.display(),
                error.line(),
                error.column()
            ))
        };
        let object: Map<String, Value> = serde_json::from_str(&text).map_err(problem)?;
        if self.prompt.is_none() && self.set.is_empty() { Ok(text) } else { self.edited(object) }
    }

    /// `object` with `--prompt` and `--set` put in.
    fn edited(&self, mut object: Map<String, Value>) -> Outcome<String> {
        if let Some(prompt) = &self.prompt {
            object.insert("prompt".to_string(), Value::from(prompt.as_str()));
        }
        for pair in &self.set {
            let (name, value) = pair
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| Problem::usage("--set wants NAME=VALUE").hint("for example: --set size=1024x1024"))?;
            object.insert(name.to_string(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)));
        }
        Ok(Value::Object(object).to_string())
    }
}
