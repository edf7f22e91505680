//! Work that a client does without blocking its caller, and how far it goes.

use std::path::PathBuf;
use std::time::Duration;

use crate::picture::PixelOptions;
use crate::task::Task;

/// Longest label of a job, bytes.
pub(crate) const MAX_LABEL_BYTES: usize = 256;

/// How far a job goes. Each goal holds the ones before it, as far as they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Goal {
    /// The service has accepted the request and named a task.
    Submitted = 1,
    /// The task was looked at once.
    Looked = 2,
    /// The task is final.
    Finished = 3,
    /// The image's bytes are here.
    Bytes = 4,
    /// The image's pixels are here, decoded on a thread of the library. UNSUPPORTED in a build without pixels.
    Pixels = 5,
    /// The image is in a file.
    File = 6,
}

impl Goal {
    /// Every goal, in the order of their numbers.
    pub const ALL: &[Goal] = &[Goal::Submitted, Goal::Looked, Goal::Finished, Goal::Bytes, Goal::Pixels, Goal::File];

    /// The goal as a word in lower case: `finished`.
    pub fn name(self) -> &'static str {
        match self {
            Goal::Submitted => "submitted",
            Goal::Looked => "looked",
            Goal::Finished => "finished",
            Goal::Bytes => "bytes",
            Goal::Pixels => "pixels",
            Goal::File => "file",
        }
    }
}

/// Where a job begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The provider's own JSON request, which is submitted.
    Request(String),
    /// A task's id, or the poll address that the service gave.
    Reference(String),
    /// A task as it was seen: a finished one is downloaded without another look.
    Task(Box<Task>),
}

/// Which images a job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// The one at this place of `task.images`.
    One(usize),
    /// All of them, each with an event of its own.
    All,
}

/// Work that a client does without blocking its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where it begins.
    pub source: Source,
    /// How far it goes.
    pub goal: Goal,
    /// Whether progress is told on the way.
    pub progress: bool,
    /// Which images, where the goal is about images.
    pub images: Images,
    /// How long it may take until the task is final. `None`: the options' `wait_timeout_ms`, else the dialect's.
    pub timeout: Option<Duration>,
    /// How the image becomes pixels (`Goal::Pixels`).
    pub pixels: PixelOptions,
    /// Where the image goes (`Goal::File`): a [`PathPattern`](crate::PathPattern), whose `{id}`, `{index}` and `{ext}` are filled
    /// in.
    pub path: Option<PathBuf>,
    /// Whether an existing file is replaced. One that holds the very image may stay: the job has its goal.
    pub replace: bool,
    /// The caller's name for it, at most 256 bytes; kept in the journal.
    pub label: String,
    /// The caller's own number; comes back with every event.
    pub user_data: u64,
}

impl Job {
    /// A job with nothing but a beginning and a goal.
    pub fn new(source: Source, goal: Goal) -> Job {
        Job {
            source,
            goal,
            progress: false,
            images: Images::One(0),
            timeout: None,
            pixels: PixelOptions::default(),
            path: None,
            replace: true,
            label: String::new(),
            user_data: 0,
        }
    }

    /// Submits the provider's own JSON request, and goes on to `goal`.
    pub fn request(request_json: impl Into<String>, goal: Goal) -> Job {
        Job::new(Source::Request(request_json.into()), goal)
    }

    /// Goes on with a task that exists.
    pub fn reference(task_ref: impl Into<String>, goal: Goal) -> Job {
        Job::new(Source::Reference(task_ref.into()), goal)
    }
}
