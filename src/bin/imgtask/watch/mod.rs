//! `imgtask watch`: many tasks, from a list that need not end.
//!
//! [`list`]: what is to be watched. [`memory`], [`manifest`]: what was, here and in earlier runs. [`watcher`]: from one to the
//! other. [`tally`], [`table`]: how it goes, for people.

mod list;
mod manifest;
mod memory;
mod table;
mod tally;
mod watcher;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use imgtask::{Options, PathPattern};

use self::list::{Input, List};
use self::manifest::{Manifest, Wanted};
use self::watcher::Watcher;
use crate::context::Context;
use crate::duration;
use crate::exit::{Outcome, Problem};
use crate::save::{in_folder, is_pattern, pattern};
use crate::service::Service;
use crate::settings::Set;

/// How long a task is watched where neither the user nor the provider says.
const USUAL_TIME: Duration = Duration::from_secs(600);

const SHORTEST_TIME: Duration = Duration::from_secs(1);

/// Watch many tasks, from a list that may be endless, and save their images
#[derive(Debug, Args)]
#[command(after_long_help = "\
Prints a line a task when it is over: id, state and each link or saved file, with tabs \
between; without success id, state or reason as one word, and what was said. On a \
terminal a live table shows where the tasks stand. Empty lines of the list and those \
that begin with # are passed over; a task that is given twice is watched once.

With --json an object a line: event (final, with --progress also progress), line (its \
place in the list, null for an argument), and the members of a task that \
`imgtask --help` names; ref is as it was given.

--manifest gets an object for each task that is over: ref, id, provider, state, images \
(how many there are), files[] (index, path, media_type, extension, width, height, \
byte_size, sha256), failure, error, looked_at_ms. The next run leaves out what is done: \
tasks that failed, were cancelled, have expired, gave no image, or succeeded with the \
files that --download wants. What ended for a passing reason, such as a timeout or the \
network, is tried again. A last line that a kill has torn is taken off.

--journal keeps the tasks that are watched until they are done in the sense of the \
manifest: after a crash, and after an end for a passing reason, the same command goes on \
with them first, each with the folder, the names and the time that it was given with. \
Lines that were read ahead, a thousand or two, are not in it: give the list again, and \
what is known of it is passed over.

Ctrl-C ends politely and leaves open tasks to the next run; a second Ctrl-C ends at once. \
A key that the service refuses ends it, too.

Examples:
  for n in 1 2 3; do
    imgtask submit -p dimilinks --prompt \"fox $n\"
  done > ids.txt
  imgtask watch -p dimilinks --from ids.txt \\
    --download pictures/ --manifest done.jsonl
  imgtask watch -p dimilinks --from ids.txt \\
    --download named/ --name-pattern '{id}.{ext}'
  imgtask watch -p dimilinks --timeout 5m --json $(cat ids.txt)
  cat ids.txt | imgtask watch -p dimilinks - \\
    --download pictures/ --journal open.journal

Exit codes:
    0  all are done
    4  a task is not finished in time
    7  network
    3  a task failed
    5  there is no such task
    2  usage
    6  refused, or no more tasks are asked for with this key
    8  a file
  130  interrupted
  The gravest end gives the code: of these the one that stands last.")]
pub(crate) struct Watch {
    /// The tasks: ids, or poll addresses that the service gave; - reads them from the standard input
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,

    /// Read the tasks from FILE, one a line, no further ahead than needed; - is the standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    from: Option<PathBuf>,

    /// Save the image of each task into the folder DIR, or under a pattern with {id}, {index}, {ext}
    #[arg(long, short = 'o', value_name = "DIR", visible_alias = "out", value_hint = ValueHint::AnyPath)]
    download: Option<PathBuf>,

    /// Save all images of each task, not only the first
    #[arg(long, requires = "download")]
    all: bool,

    /// Name the files in the folder of --download, with {id}, {index}, {ext} [default: {id}-{index}.{ext}]
    #[arg(long, value_name = "PATTERN", requires = "download")]
    name_pattern: Option<String>,

    /// Replace files that exist
    #[arg(long, short, requires = "download")]
    force: bool,

    /// Write a line for each task that is over, and leave out what an earlier run has done
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    manifest: Option<PathBuf>,

    /// Keep the tasks that are watched in FILE, and after a crash go on with them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    journal: Option<PathBuf>,

    /// Give each task up after TIME: 90, 90s, 10m, 1h; at least 1s [env: IMGTASK_TIMEOUT] [default: the provider's]
    #[arg(long, short, value_name = "TIME", value_parser = at_least_a_second)]
    timeout: Option<Duration>,

    /// Threads that look and download, at most 64 [default: 7]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Pace")]
    workers: Option<u32>,

    /// Watch at most N tasks at a time [default: what can be looked at often enough, at most 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=50_000), help_heading = "Pace")]
    max_pending: Option<u64>,

    /// Also print a line when a task moves on
    #[arg(long)]
    progress: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    service: Service,
}

impl Watch {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let ui = &context.ui;
        let names = context.names(self.name_pattern.as_ref())?;
        let path = self.path(names.as_ref())?;
        for (option, file) in [("--manifest", &self.manifest), ("--journal", &self.journal)] {
            if file.as_deref() == Some(Path::new("-")) {
                return Err(Problem::usage(format!("{option} wants a file, which it reads and writes, and - is none")));
            }
        }
        let (arguments, input) = self.input()?;
        let session = self.service.open_with(
            context,
            Options {
                max_workers: self.workers.unwrap_or(0),
                journal_path: self.journal.clone(),
                ..Options::default()
            },
        )?;
        self.timeout = self.timeout.or(session.timeout);
        if self.timeout.is_some_and(|time| time < SHORTEST_TIME) {
            return Err(Problem::usage("the timeout of a watch is at least 1s: give --timeout"));
        }
        let wanted = match (&path, self.all) {
            (None, _) => Wanted::End,
            (Some(_), false) => Wanted::OneImage,
            (Some(_), true) => Wanted::AllImages,
        };
        let manifest = match &self.manifest {
            Some(path) => Some(Manifest::open(path, &session.provider, wanted)?),
            None => None,
        };
        if let Some(folder) =
            path.as_ref().and_then(|path| path.as_path().parent()).filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(|error| Problem::file("make", folder, &error))?;
        }
        let list = List::read(arguments, input, &session.client)?;
        let mut watcher = Watcher::new(ui, &session, &self, path, list, manifest);
        let done = watcher.watch();
        let left = watcher.leave();
        done.and(left)
    }

    /// The references among the arguments, and where others come from.
    fn input(&self) -> Outcome<(Vec<String>, Input)> {
        let dashes = self.tasks.iter().filter(|task| *task == "-").count();
        let from = match (&self.from, dashes) {
            (Some(_), 1..) | (None, 2..) => {
                return Err(Problem::usage("the standard input, or --from: give one of them"));
            }
            (Some(path), 0) => Some(path.as_path()),
            (None, 1) => Some(Path::new("-")),
            (None, 0) => None,
        };
        if from == Some(Path::new("-")) && self.service.reads_stdin() {
            return Err(Problem::usage("the tasks and the key cannot both come from the standard input"));
        }
        if from.is_none() && self.tasks.is_empty() && self.journal.is_none() {
            return Err(Problem::usage("which tasks?").hint("give ids, --from FILE, or - for the standard input"));
        }
        let tasks = self.tasks.iter().filter(|task| *task != "-").cloned().collect();
        Ok((tasks, from.map_or(Ok(Input::Arguments), Input::open)?))
    }

    /// Where images go, with what is to be filled in.
    fn path(&self, names: Option<&Set<String>>) -> Outcome<Option<PathPattern>> {
        let Some(given) = &self.download else { return Ok(None) };
        let Some(text) = given.to_str() else {
            return Err(Problem::usage("--download wants a name in UTF-8"));
        };
        let path = match !names.is_some_and(Set::is_given) && is_pattern(text) {
            true => pattern(given)?,
            false if given.is_file() => {
                return Err(Problem::usage(format!("--download wants a folder, and {text} is a file")));
            }
            false => in_folder(given, names)?,
        };
        if path.as_path().parent().and_then(Path::to_str).is_some_and(is_pattern) {
            return Err(Problem::usage("--download fills in the name of the file only, not that of a folder"));
        }
        if !path.has_id() || self.all && !path.has_index() {
            return Err(Problem::usage(
                "the images need {id} in their name, and with --all {index}: each image needs its own",
            ));
        }
        Ok(Some(path))
    }

    /// How long each task has.
    fn time(&self, provider: &str) -> Duration {
        let known = || imgtask::providers().iter().find(|known| known.name == provider);
        self.timeout
            .or_else(|| known().map(|known| Duration::from_millis(known.wait_timeout_ms.into())))
            .unwrap_or(USUAL_TIME)
    }
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if time < SHORTEST_TIME { Err("at least 1s".to_string()) } else { Ok(time) }
}
