//! `imgtask download`: the images of a finished task.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::context::Context;
use crate::exit::{Outcome, Problem};
use crate::finish::Finish;
use crate::save::Target;
use crate::service::Service;
use crate::settings::members::OUT;

/// Save the images of a task that is done
#[derive(Debug, Args)]
#[command(after_long_help = "\
Looks once: a task that is not finished ends with 4 (`imgtask wait --out` waits first). Prints the path of each saved \
file. A file under its name is whole and checked, or absent.

In a name {id} is the task, {index} the image's place, {ext} the extension of its type, whatever the link says. Several \
images for one name are numbered: cat-0.png, cat-1.png. One that --index chose has the name as it is.

Without --force no file is replaced. In a folder, the very same image that is there already counts as saved, a different \
file of that name ends with 8; one named whole, as cat.png, is refused before anything is asked.

Examples:
  id=$(imgtask submit -p dimilinks --prompt 'a fox' --wait --quiet | cut -f 1)
  imgtask download -p dimilinks \"$id\" --out fox.png
  imgtask download -p dimilinks \"$id\" --index 0 --out pictures/
  imgtask download -p dimilinks \"$id\" --out 'all/{id}/{index}.{ext}' --force
  imgtask download -p dimilinks \"$id\" --out - > copy.png

Exit codes:
    0  all are saved
    3  the task failed
    4  it is not finished
    5  no such task, or its image is gone
    6  refused
    7  network
    8  a file")]
pub(crate) struct Download {
    /// The task: its id, or the poll address that the service gave
    #[arg(value_name = "TASK")]
    task: String,

    /// Which image, counted from 0, or all
    #[arg(long, short, value_name = "N", default_value = "all")]
    index: String,

    /// A file, a folder/, a pattern with {id}, {index}, {ext}, or - for the standard output [env: IMGTASK_OUT]
    /// [default: the folder that the command is run in]
    #[arg(long, short, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    out: Option<PathBuf>,

    /// Name the files in the folder of --out, with {id}, {index}, {ext} [default: {id}-{index}.{ext}]
    #[arg(long, value_name = "PATTERN")]
    name_pattern: Option<String>,

    /// Replace files that exist
    #[arg(long, short)]
    force: bool,

    /// Print the task as one JSON object, its files included; `imgtask --help` names its members
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

impl Download {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let index = match self.index.as_str() {
            "all" => None,
            number => Some(number.parse().map_err(|_| Problem::usage("--index is a number from 0, or all"))?),
        };
        let names = context.names(self.name_pattern.as_ref())?;
        let out = context.settings.choose(&OUT, None, self.out.clone(), |out| Ok(PathBuf::from(out)))?;
        let out = out.map_or_else(|| PathBuf::from("."), |out| out.value);
        let target = Target::new(&out, names.as_ref(), self.force)?;
        target.check(context.json_source(self.json)?.as_ref(), 1)?;
        let session = self.service.open(context)?;
        let finish = Finish { ui, session: &session, json: self.json, target: Some(&target), index };
        match session.client.fetch(&self.task) {
            Ok(task) => finish.deliver(&task),
            Err(error) => finish.gave_up(&self.task, error),
        }
    }
}
