//! The client: what a user can ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Result, Status};
use crate::task::Task;

/// How a client is set up. Every 0, `None` and "" means the default.
#[derive(Clone, Default)]
pub struct Options {
    /// Name of a built-in provider (`dimilinks`, `dimilinks-legacy`, `lemondata`); "" with `dialect_json`.
    pub provider: String,
    /// An own dialect as JSON, instead of `provider`.
    pub dialect_json: Option<String>,
    /// Where the API is: `https://host[:port][/path]`. Default: the variable `<NAME>_BASE_URL`, then the dialect's host.
    pub base_url: Option<String>,
    /// The key. Default: the dialect's environment variable.
    pub api_key: Option<String>,
    /// Sent as User-Agent. Default: `imgtask/<version>`.
    pub user_agent: Option<String>,
    /// `http://[user:password@]host:port`, or `env` to read the environment's proxy variables. Default: direct.
    pub proxy_url: Option<String>,
    /// PEM file of the trusted roots. Default: the bundled ones.
    pub ca_file: Option<PathBuf>,
    /// Milliseconds for one connect with TLS. Default 5,000.
    pub connect_timeout_ms: u32,
    /// Milliseconds for one look. Default 20,000.
    pub request_timeout_ms: u32,
    /// Milliseconds for one submit. Default: the dialect's (600,000: a synchronous create answers when the image is done).
    pub submit_timeout_ms: u32,
    /// Milliseconds without a byte after which a look (default 10,000) or a download (default 30,000) is given up.
    pub stall_timeout_ms: u32,
    /// Milliseconds that a wait lasts when the call does not say. Default: the dialect's.
    pub wait_timeout_ms: u32,
    /// A fixed pace of looks in milliseconds instead of the dialect's. Not below 1,000 unless the API is on loopback.
    pub poll_interval_ms: u32,
    /// The service's limit of requests a minute, where it is known better than the dialect does.
    pub max_requests_per_minute: u32,
    /// Longest JSON body that is read, bytes. Default 64 MiB.
    pub max_response_bytes: u64,
    /// Longest image that is read, bytes. Default 64 MiB.
    pub max_image_bytes: u64,
    /// Whether links to private addresses are followed although the API itself is public.
    pub allow_private_images: bool,
    /// Whether the API may be at a plain `http://` address that is not on loopback.
    pub allow_plain_http: bool,
}

/// What a client has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Calls running now.
    pub in_flight: u64,
    /// Status requests sent.
    pub looks: u64,
    /// All requests sent, downloads included.
    pub requests: u64,
    /// Answers with HTTP 429.
    pub rate_limited: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Body bytes received.
    pub bytes_received: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Threads of ours that live now.
    pub threads: u64,
}

/// A built-in provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderInfo {
    /// What to pass as `Options::provider`.
    pub name: &'static str,
    /// The service's name for people.
    pub title: &'static str,
    /// Its default address, "" where none is confirmed and the caller must give one.
    pub base_url: &'static str,
    /// The environment variable of its key.
    pub key_variable: &'static str,
    /// Whether it can be submitted to.
    pub can_submit: bool,
    /// Whether it can be asked to cancel a task.
    pub can_cancel: bool,
    /// Whether its dialect is documented by the service; otherwise it is inferred.
    pub documented: bool,
    /// How long a wait lasts when nobody says, milliseconds.
    pub wait_timeout_ms: u32,
}

/// What is known of an image's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PictureInfo {
    /// Length in bytes.
    pub len: u64,
    /// The type read from the bytes: `image/png`.
    pub media_type: &'static str,
    /// The type the server named, "" when it named none.
    pub declared_media_type: String,
    /// The usual file extension of `media_type`, without a dot: `png`.
    pub extension: &'static str,
    /// Pixels across, 0 unknown.
    pub width: u32,
    /// Pixels down, 0 unknown.
    pub height: u32,
    /// SHA-256 of the bytes, 64 hex digits in lower case.
    pub sha256: String,
}

/// An image's bytes as the service encoded them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The encoded image.
    pub data: Vec<u8>,
    /// What is known of it.
    pub info: PictureInfo,
}

/// An image that was written to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPicture {
    /// The file.
    pub path: PathBuf,
    /// What is known of the bytes in it.
    pub info: PictureInfo,
}

/// One service, one key. Cheap to clone; every call may be made from any thread.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {}

/// The built-in providers, the three documented ones first.
pub fn providers() -> &'static [ProviderInfo] {
    todo!()
}

impl Client {
    /// Checks and copies the options. Opens no connection and starts no thread.
    ///
    /// # Errors
    /// `InvalidArgument` for an option that cannot be used; a missing key names its environment variable.
    pub fn create(options: &Options) -> Result<Client> {
        let _ = options;
        todo!()
    }

    /// Uses another key from the next request on: for short-lived tokens.
    pub fn set_key(&self, api_key: &str) -> Result<()> {
        let _ = (api_key, &self.shared);
        todo!()
    }

    /// Ends every call in flight with `Cancelled`; the client stays usable.
    pub fn interrupt(&self) {
        todo!()
    }

    /// Refuses new calls with `Closed`, ends those in flight and waits for them up to `timeout`.
    ///
    /// Returns whether all had ended. May be called again.
    pub fn close(&self, timeout: Duration) -> bool {
        let _ = timeout;
        todo!()
    }

    /// What this client has done so far.
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Submits the provider's own JSON request. A finished synchronous answer comes back as a final task.
    ///
    /// Never sent twice once a byte of it was written: a lost answer is `SubmitUnknown`, with what is known.
    pub fn submit(&self, request_json: &str) -> Result<Task> {
        let _ = request_json;
        todo!()
    }

    /// One look. A task that failed is `Ok` with state `Failed`.
    pub fn fetch(&self, task_ref: &str) -> Result<Task> {
        let _ = task_ref;
        todo!()
    }

    /// Looks until the task is final or the time is over. `Ok` for every final state.
    ///
    /// `None` = the options' time, then the dialect's; zero = one look. On `Timeout` the error holds the last task seen.
    pub fn wait(&self, task_ref: &str, timeout: Option<Duration>) -> Result<Task> {
        self.wait_with(task_ref, timeout, &mut |_| {})
    }

    /// As [`Client::wait`], and calls `on_look` on this thread after every look that was understood.
    pub fn wait_with(&self, task_ref: &str, timeout: Option<Duration>, on_look: &mut dyn FnMut(&Task)) -> Result<Task> {
        let _ = (task_ref, timeout, on_look);
        todo!()
    }

    /// Asks the provider to cancel. `Unsupported` where the dialect has no such call.
    pub fn cancel_task(&self, task_ref: &str) -> Result<Task> {
        let _ = task_ref;
        todo!()
    }

    /// The bytes of one image (`image_index` counts `task.images`).
    pub fn download(&self, task: &Task, image_index: usize) -> Result<Picture> {
        let _ = (task, image_index);
        todo!()
    }

    /// One image into a file: whole and checked under its final name, or absent.
    ///
    /// With `replace` false an existing file is `File`, and stays as it is.
    pub fn download_file(&self, task: &Task, image_index: usize, path: &Path, replace: bool) -> Result<SavedPicture> {
        let _ = (task, image_index, path, replace, Status::Ok);
        todo!()
    }
}
