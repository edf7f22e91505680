//! `imgtask demo`: the whole way, at every provider side by side, against a sandbox of its own.

mod page;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};
use imgtask::{Client, Error, Options, PathPattern, ProviderInfo, SavedPicture, State, Status, Task};
use serde_json::json;

use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::report::TaskReport;
use crate::sandbox::{self, RunningSandbox, SandboxOptions};
use crate::save;
use crate::ui::{Track, Ui, table};
use crate::{duration, interrupt};

/// Pace of the looks: the sandbox is on this machine and minds no haste.
const LOOK_EVERY_MS: u32 = 250;
/// The same tasks take the same time at every run: with this seed from 2.6 to 6.0 s at the usual speed.
const SEED: u64 = 14_720;
/// No task of the sandbox takes longer, before the speed is applied.
const LONGEST_SECONDS: f64 = 400.0;
/// Allowed beyond that, on a machine that is busy.
const PATIENCE_SECONDS: f64 = 30.0;

/// See it work: submit, wait and download at every provider side by side, offline
#[derive(Debug, Args)]
#[command(after_long_help = "\
Starts a sandbox on 127.0.0.1 and contacts nothing else; no key is needed. Writes the images and a contact sheet, \
index.html, into the folder. A table of the images goes to the standard output, progress to the standard error.

Examples:
  imgtask demo --speed 100
  imgtask demo --out pictures --speed 60 --json

Exit codes:
    0  all images are there
    8  a file could not be written
  130  interrupted")]
pub(crate) struct Demo {
    /// The folder for the images and index.html
    #[arg(long, short, value_name = "DIR", default_value = "imgtask-demo", value_hint = ValueHint::DirPath)]
    out: PathBuf,

    /// How many times faster than a real service the sandbox works
    #[arg(long, value_name = "N", default_value_t = 12.0, value_parser = sandbox::positive)]
    speed: f64,

    /// Print each task as one JSON object; `imgtask --help` names its members
    #[arg(long)]
    json: bool,
}

/// What is asked for.
struct Order {
    provider: &'static ProviderInfo,
    /// The status route, as the page shows it.
    route: &'static str,
    /// Its place among the provider's orders, from 1.
    number: usize,
    prompt: &'static str,
    size: &'static str,
    format: &'static str,
}

/// What came of it.
struct Frame {
    provider: &'static ProviderInfo,
    route: &'static str,
    prompt: String,
    task: Task,
    saved: SavedPicture,
    /// Since the demo began.
    submitted: Duration,
    finished: Duration,
    looks: Vec<(Duration, State)>,
}

impl Frame {
    fn took(&self) -> Duration {
        self.finished.saturating_sub(self.submitted)
    }

    fn file_name(&self) -> String {
        self.saved.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl Demo {
    pub(crate) fn run(mut self, context: &Context) -> Outcome {
        self.json = context.json(self.json)?;
        let index = self.out.join("index.html");
        check_folder(&self.out, &index)?;
        let ui = &context.ui;
        let sandbox =
            sandbox::start(&SandboxOptions { speed: self.speed, seed: Some(SEED), ..SandboxOptions::default() })
                .map_err(|error| Problem::new(Exit::Network, format!("the sandbox did not start: {error}")))?;
        let orders = orders();
        ui.note(&format!("A sandbox of {} providers at {}", PLANS.len(), sandbox.url));

        let begun = Instant::now();
        let ends = self.work(&orders, &sandbox, ui, begun);
        let took = begun.elapsed();
        if interrupt::pressed() {
            return Err(Problem::new(Exit::Interrupted, "interrupted: the sandbox and its tasks are gone"));
        }

        let mut frames = Vec::new();
        let mut exit = Exit::Done;
        for (order, end) in orders.iter().zip(ends) {
            match end {
                Ok(frame) => frames.push(frame),
                Err(error) => {
                    let mut problem = Problem::from(error);
                    problem.message = format!("{}: {}", order.provider.name, problem.message);
                    exit = exit.and(problem.exit);
                    ui.problem(&problem);
                }
            }
        }
        if exit != Exit::Done {
            return Ok(exit);
        }
        write_whole(&index, &page::write(&frames, took))?;
        self.tell(ui, &frames, took, &index)?;
        Ok(Exit::Done)
    }

    /// Every order on a thread of its own.
    fn work(&self, orders: &[Order], sandbox: &RunningSandbox, ui: &Ui, begun: Instant) -> Vec<Result<Frame, Error>> {
        let width = orders.iter().map(|order| order.provider.name.len()).max().unwrap_or(0) + 2;
        // Before the threads, so that the bars stand in the order of the orders.
        let tracks: Vec<Track<'_>> =
            orders.iter().map(|order| ui.track(&format!("{} {}", order.provider.name, order.number), width)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> = orders
                .iter()
                .zip(tracks)
                .map(|(order, track)| {
                    let client = client(order, sandbox);
                    scope.spawn(move || self.one(order, &client?, track, begun))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|_| Err(Error::new(Status::Panic, "a thread of the demo broke")))
                })
                .collect()
        })
    }

    /// One image, from its prompt to its file.
    fn one(&self, order: &Order, client: &Client, track: Track<'_>, begun: Instant) -> Result<Frame, Error> {
        let submitted = begun.elapsed();
        let request = json!({ "prompt": order.prompt, "size": order.size, "output_format": order.format });
        let task = client.submit(&request.to_string())?;
        let longest = Duration::from_secs_f64(LONGEST_SECONDS / self.speed + PATIENCE_SECONDS);
        let mut looks = Vec::new();
        let task = client.wait_with(&task.poll_ref, Some(longest), &mut |look| {
            looks.extend(look.map(|task| (begun.elapsed(), task.state)));
            track.look(look);
        })?;
        if task.state != State::Succeeded {
            return Err(Error::new(Status::NoImage, Problem::of_task(&task).message));
        }
        let name = format!("{}-{}.{{ext}}", order.provider.name, order.number);
        let saved = client.download_as(&task, 0, &PathPattern::new(self.out.join(name))?, true)?;
        track.end("saved");
        let (provider, route, prompt) = (order.provider, order.route, order.prompt.to_string());
        Ok(Frame { provider, route, prompt, task, saved, submitted, finished: begun.elapsed(), looks })
    }

    /// The table, and where everything is.
    fn tell(&self, ui: &Ui, frames: &[Frame], took: Duration, index: &Path) -> Outcome<()> {
        if self.json {
            for frame in frames {
                let report = TaskReport::new(frame.provider.name, &frame.task).with_file(0, &frame.saved);
                ui.result(&report.line()?)?;
            }
        } else {
            let head = ["PROVIDER", "IMAGE", "SIZE", "TYPE", "LENGTH", "TIME", "LOOKS", "SHA-256"];
            let mut rows = vec![head.map(str::to_string).to_vec()];
            rows.extend(frames.iter().map(|frame| {
                let info = &frame.saved.info;
                vec![
                    frame.provider.name.to_string(),
                    frame.file_name(),
                    format!("{} x {}", info.width, info.height),
                    save::kind(info),
                    save::bytes(info.len),
                    duration::words(frame.took()),
                    frame.looks.len().to_string(),
                    info.sha256.chars().take(12).collect(),
                ]
            }));
            ui.result("")?;
            for line in table(&rows, ui.out_paint()) {
                ui.result(&line)?;
            }
            ui.result("")?;
        }
        ui.done(&format!("{} images in {}", frames.len(), duration::words(took)));
        match self.json {
            true => ui.note(&format!("Contact sheet: {}", index.display())),
            false => ui.result(&format!("Contact sheet: {}", index.display()))?,
        }
        Ok(())
    }
}

/// A provider, its status route, and two images each in another format: prompt, size, format.
type Plan = (&'static str, &'static str, [(&'static str, &'static str, &'static str); 2]);

const PLANS: [Plan; 3] = [
    (
        "dimilinks",
        "GET /v1/tasks/{id}",
        [
            ("Late September, the hills gone red", "1536x1024", "jpeg"),
            ("Fog lifts from the hills after the rain", "1024x1024", "png"),
        ],
    ),
    (
        "dimilinks-legacy",
        "GET /v1/images/tasks/{id}",
        [
            ("Hills at midnight, drawn from memory", "1536x1024", "png"),
            ("Golden hour over the vineyards", "1024x1024", "webp"),
        ],
    ),
    (
        "lemondata",
        "GET /v1/images/generations/{id}",
        [
            ("A still life with oranges and limes", "1536x1024", "webp"),
            ("A kitchen table in Sicily, seen from above", "1024x1024", "jpeg"),
        ],
    ),
];

fn orders() -> Vec<Order> {
    let mut orders = Vec::new();
    for (name, route, images) in PLANS {
        // A provider that this build does not have is left out of the demo.
        let Some(provider) = imgtask::providers().iter().find(|provider| provider.name == name) else { continue };
        for (place, (prompt, size, format)) in images.into_iter().enumerate() {
            orders.push(Order { provider, route, number: place + 1, prompt, size, format });
        }
    }
    orders
}

fn client(order: &Order, sandbox: &RunningSandbox) -> Result<Client, Error> {
    let access = sandbox.providers.iter().find(|access| access.name == order.provider.name);
    let access = access.ok_or_else(|| Error::invalid("the sandbox does not play this provider"))?;
    let client = Client::create(&Options {
        provider: order.provider.name.to_string(),
        base_url: Some(access.base_url.clone()),
        api_key: Some(access.key.to_string()),
        poll_interval_ms: LOOK_EVERY_MS,
        ..Options::default()
    })?;
    interrupt::reaches(&client);
    Ok(client)
}

/// Makes the folder, and refuses one whose page is somebody else's.
fn check_folder(folder: &Path, index: &Path) -> Outcome<()> {
    fs::create_dir_all(folder).map_err(|error| Problem::file("make the folder", folder, &error))?;
    match fs::read_to_string(index) {
        Ok(page) if page.contains(page::MARK) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(Problem::new(Exit::File, format!("{} exists and is not a page of imgtask", index.display()))
            .hint("give another folder with --out")),
        Err(error) => Err(Problem::file("read", index, &error)),
    }
}

/// A file that is whole under its name, or as it was.
fn write_whole(path: &Path, text: &str) -> Outcome<()> {
    let problem = |error: std::io::Error| Problem::file("write", path, &error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".imgtask-").suffix(".part").tempfile_in(folder).map_err(problem)?;
    file.write_all(text.as_bytes()).map_err(problem)?;
    #[cfg(unix)]
    {
        // A page is for everyone who may read the folder; a temporary file is for its owner alone.
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(problem)?;
    }
    file.persist(path).map_err(|refused| problem(refused.error))?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use imgtask::PictureInfo;

    pub(super) fn frame(prompt: &str) -> Frame {
        let ms = Duration::from_millis;
        Frame {
            provider: &ProviderInfo {
                name: "dimilinks",
                title: "DimiLinks",
                base_url: "",
                key_variable: "DIMILINKS_API_KEY",
                can_submit: true,
                can_cancel: false,
                documented: true,
                wait_timeout_ms: 600_000,
            },
            route: "GET /v1/tasks/{id}",
            prompt: prompt.to_string(),
            task: Task::unseen("img_1", "img_1"),
            saved: SavedPicture {
                path: "out/dimilinks-1.png".into(),
                info: PictureInfo {
                    media_type: "image/png",
                    extension: "png",
                    width: 8,
                    height: 8,
                    ..Default::default()
                },
            },
            submitted: ms(10),
            finished: ms(3000),
            looks: vec![(ms(500), State::Queued), (ms(1000), State::Running), (ms(2800), State::Succeeded)],
        }
    }
}
