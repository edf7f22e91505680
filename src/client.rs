//! The client: what a user can ask for.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::calls::{Calls, InFlight};
use crate::dialect::{Confidence, Dialect};
use crate::error::{Error, Result, Status};
use crate::http::{Http, Url};
use crate::image::{self, Download, Inspector, NewFile, Sink};
use crate::log::{self, LogLevel};
use crate::options::{self, Options, Setup};
use crate::picture::{Picture, PictureInfo, SavedPicture};
use crate::task::{Image, State, Task};
use crate::wait::Wait;

/// Longest message that quotes a task's own words, characters.
const MAX_WORDS: usize = 500;

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

/// One service, one key. Cheap to clone; every call may be made from any thread.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    api: Api,
    calls: Calls,
    setup: Setup,
}

/// The built-in providers, the three documented ones first.
pub fn providers() -> &'static [ProviderInfo] {
    static PROVIDERS: LazyLock<Vec<ProviderInfo>> =
        LazyLock::new(|| Dialect::builtins().iter().map(|dialect| ProviderInfo::of(dialect)).collect());
    &PROVIDERS
}

impl ProviderInfo {
    fn of(dialect: &'static Dialect) -> ProviderInfo {
        let profile = dialect.profile();
        ProviderInfo {
            name: &profile.name,
            title: &profile.title,
            base_url: profile.base_url.as_deref().unwrap_or_default(),
            key_variable: &profile.key_variable,
            can_submit: profile.submit.is_some(),
            can_cancel: profile.cancel.is_some(),
            documented: profile.confidence == Confidence::Documented,
            wait_timeout_ms: profile.timing.wait_timeout_ms.0,
        }
    }
}

// Neither the key nor an address belongs into a log.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("provider", &self.shared.api.title()).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks and copies the options. Opens no connection and starts no thread.
    ///
    /// # Errors
    /// `InvalidArgument` for an option that cannot be used; a missing key names its environment variable.
    pub fn create(options: &Options) -> Result<Client> {
        let setup = Setup::new(options)?;
        let http = Http::new(&setup.http)?;
        let api = Api::new(&setup, http)?;
        Ok(Client { shared: Arc::new(Shared { api, calls: Calls::default(), setup }) })
    }

    /// Uses another key from the next request on: for short-lived tokens.
    ///
    /// # Errors
    /// `InvalidArgument` for a key that cannot be sent in a header; the old one stays.
    pub fn set_key(&self, api_key: &str) -> Result<()> {
        options::check_key(api_key)?;
        self.shared.api.set_key(api_key)
    }

    /// Ends every call in flight with `Cancelled`, also one blocked in the network; the client stays usable.
    pub fn interrupt(&self) {
        self.shared.calls.interrupt();
    }

    /// Refuses new calls with `Closed`, ends those in flight and waits for them up to `timeout`.
    ///
    /// Returns whether all had ended. May be called again.
    pub fn close(&self, timeout: Duration) -> bool {
        let ended = self.shared.calls.close(timeout);
        self.shared.api.http.shutdown();
        ended
    }

    /// What this client has done so far.
    pub fn stats(&self) -> Stats {
        let Shared { api, calls, .. } = &*self.shared;
        Stats {
            in_flight: calls.len() as u64,
            looks: api.counters.looks.load(Relaxed),
            requests: api.counters.requests.load(Relaxed),
            rate_limited: api.counters.rate_limited.load(Relaxed),
            retries: api.http.retries(),
            bytes_received: api.counters.bytes_received.load(Relaxed),
            connections_opened: api.http.connections_opened(),
            threads: api.http.helper_threads(),
        }
    }

    /// Submits the provider's own JSON request. A finished synchronous answer comes back as a final task.
    ///
    /// Never sent twice once a byte of it was written: a lost answer is `SubmitUnknown`, with what is known.
    ///
    /// # Errors
    /// `InvalidArgument` for a request that is no JSON object; `SubmitUnknown`; what the service answered.
    pub fn submit(&self, request_json: &str) -> Result<Task> {
        self.told("submit", || {
            let call = self.shared.calls.enter()?;
            let deadline = Instant::now() + self.shared.setup.submit_timeout;
            self.shared.api.submit(request_json, &call.stop, deadline)
        })
    }

    /// One look. A task that failed is `Ok` with state `Failed`.
    ///
    /// # Errors
    /// `InvalidArgument` for a reference that is none; what the network or the service answered.
    pub fn fetch(&self, task_ref: &str) -> Result<Task> {
        self.told("fetch", || {
            let call = self.shared.calls.enter()?;
            let target = self.shared.api.target(task_ref)?;
            let deadline = Instant::now() + self.shared.setup.request_timeout;
            Ok(self.shared.api.look(&target, &call.stop, deadline)?.task)
        })
    }

    /// Looks until the task is final or the time is over. `Ok` for every final state.
    ///
    /// `None` = the options' time, then the dialect's; zero = one look, however long it takes. Otherwise the call is back
    /// by its deadline: the last look starts early enough for that.
    ///
    /// # Errors
    /// `Timeout` with the last task seen (state `Unknown` when no look succeeded): the task goes on at the service.
    /// `NoImage` with the task when it succeeded and stays without a usable image. A failed look is no error of the
    /// wait unless it cannot get better: a wrong key, an unknown task.
    pub fn wait(&self, task_ref: &str, timeout: Option<Duration>) -> Result<Task> {
        self.wait_with(task_ref, timeout, &mut |_| {})
    }

    /// As [`Client::wait`], and calls `on_look` on this thread after every look that was understood.
    pub fn wait_with(&self, task_ref: &str, timeout: Option<Duration>, on_look: &mut dyn FnMut(&Task)) -> Result<Task> {
        self.told("wait", || {
            let call = self.shared.calls.enter()?;
            let target = self.shared.api.target(task_ref)?;
            let wait = Wait {
                api: &self.shared.api,
                timing: &self.shared.setup.timing,
                request_timeout: self.shared.setup.request_timeout,
                stop: &call.stop,
                target: &target,
            };
            wait.run(timeout.unwrap_or(self.shared.setup.wait_timeout), on_look)
        })
    }

    /// Asks the provider to cancel.
    ///
    /// # Errors
    /// `Unsupported` where the dialect has no such call; `Rejected` when the service does not cancel this task: it goes on.
    pub fn cancel_task(&self, task_ref: &str) -> Result<Task> {
        self.told("cancel", || {
            let call = self.shared.calls.enter()?;
            let target = self.shared.api.target(task_ref)?;
            let deadline = Instant::now() + self.shared.setup.request_timeout;
            self.shared.api.cancel(&target, &call.stop, deadline)
        })
    }

    /// The bytes of one image (`image_index` counts `task.images`).
    ///
    /// # Errors
    /// `NoImage` for a task without images (it failed, or is not finished), `InvalidArgument` for an index that is none,
    /// `BadImage` for bytes that are no whole image, `TooLarge`, `Blocked`, `LinkExpired` when a fresh look at the task gave
    /// no better link, and what the network answered.
    pub fn download(&self, task: &Task, image_index: usize) -> Result<Picture> {
        let mut data = Vec::new();
        let info = self.fetch_image(task, image_index, &mut data)?;
        Ok(Picture { data, info })
    }

    /// One image into a file: whole and checked under its final name, or absent.
    ///
    /// With `replace` an existing file or link goes (a link is never written through); without it, it stays and the
    /// error is `File`. Devices, pipes and folders are never replaced.
    ///
    /// # Errors
    /// As [`Client::download`], and `File` when the file cannot be written.
    pub fn download_file(&self, task: &Task, image_index: usize, path: &Path, replace: bool) -> Result<SavedPicture> {
        let about = |error: Error| error.with_task_id(&task.id);
        let mut file = NewFile::create(path, replace).map_err(about)?;
        let info = self.fetch_image(task, image_index, &mut file)?;
        Ok(SavedPicture { path: file.finish().map_err(about)?, info })
    }

    fn fetch_image(&self, task: &Task, index: usize, sink: &mut dyn Sink) -> Result<PictureInfo> {
        let call = self.shared.calls.enter()?;
        let Some(image) = task.images.get(index) else { return Err(self.no_such_image(task, index)) };
        let fetched = match task.inline_text(image) {
            Some(text) => self.take_inline(text, sink),
            None => self.fetch_linked(task, image, &call, sink),
        };
        let log = &self.shared.api.log;
        match &fetched {
            Ok(info) => log.line(LogLevel::Info, || format!("download: {} bytes of task {}", info.len, task.id)),
            Err(error) => log.line(LogLevel::Warn, || format!("download: {}: {error}", error.status())),
        }
        fetched.map_err(|error| error.with_task_id(&task.id))
    }

    /// Tells the log how a call about a task ended.
    fn told(&self, what: &str, call: impl FnOnce() -> Result<Task>) -> Result<Task> {
        let result = call();
        let log = &self.shared.api.log;
        match &result {
            Ok(task) => log.line(LogLevel::Info, || format!("{what}: {}", log::task_line(task))),
            Err(error) => log.line(LogLevel::Warn, || format!("{what}: {}: {error}", error.status())),
        }
        result
    }

    /// Tells the log of a bug that the C ABI caught, and closes the client.
    pub(crate) fn broke(&self, error: &Error) {
        self.shared.api.log.line(LogLevel::Error, || error.message().to_owned());
        self.close(Duration::ZERO);
    }

    fn take_inline(&self, text: &str, sink: &mut dyn Sink) -> Result<PictureInfo> {
        let (bytes, declared) = image::decode_inline(text, self.shared.setup.max_image_bytes)?;
        let mut inspector = Inspector::new();
        inspector.feed(&bytes)?;
        sink.write(&bytes)?;
        inspector.finish(declared, true)
    }

    /// Links expire, and a service mints a new one at every look: one that is refused is renewed once.
    fn fetch_linked(&self, task: &Task, image: &Image, call: &InFlight, sink: &mut dyn Sink) -> Result<PictureInfo> {
        let Shared { api, setup, .. } = &*self.shared;
        let key = api.key();
        let download = Download {
            http: &api.http,
            stop: &call.stop,
            stall: setup.download_stall,
            max_bytes: setup.max_image_bytes,
            api: api.base.url_of_api(),
            allow_private: setup.allow_private_images,
            rebase: api.dialect.profile().read.images.rebase.as_deref(),
            requests: &api.counters.requests,
            bytes_received: &api.counters.bytes_received,
            auth: api.image_auth(&key),
        };
        let expired = match download.fetch(&address(image.url())?, sink) {
            Err(error) if error.status() == Status::LinkExpired => error,
            result => return result,
        };
        // A synchronous answer may name no task that could be looked at.
        let Ok(target) = api.target(if task.poll_ref.is_empty() { &task.id } else { &task.poll_ref }) else {
            return Err(expired);
        };
        let fresh = match api.look(&target, &call.stop, Instant::now() + setup.request_timeout) {
            Ok(look) => look.task,
            Err(error) if error.status() == Status::Cancelled => return Err(error),
            Err(_) => return Err(expired),
        };
        let renewed = fresh.images.iter().find(|fresh| fresh.source_index == image.source_index);
        match renewed.map(|renewed| (fresh.inline_text(renewed), renewed.url())) {
            Some((Some(text), _)) => {
                sink.restart()?;
                self.take_inline(text, sink)
            }
            Some((None, url)) if url != image.url() => {
                sink.restart()?;
                download.fetch(&address(url)?, sink)
            }
            _ => Err(expired),
        }
    }

    fn no_such_image(&self, task: &Task, index: usize) -> Error {
        let Task { id, state, images, failure, .. } = task;
        let stands = match state {
            State::Succeeded => "succeeded, but has no image",
            State::Failed => "failed and has no image",
            State::Cancelled => "was cancelled and has no image",
            State::Expired => "has expired and has no image",
            _ => "is not finished and has no image yet",
        };
        let (status, message) = match (images.len(), failure) {
            (0, Some(failure)) => (Status::NoImage, format!("task {id} {stands}: {}", failure.message)),
            (0, None) => (Status::NoImage, format!("task {id} {stands}")),
            (count, _) => (Status::InvalidArgument, format!("no image {index}: task {id} has {count}")),
        };
        Error::new(status, self.shared.api.words(&message, MAX_WORDS)).with_task_id(id)
    }
}

fn address(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|reason| Error::invalid(format!("the image's link cannot be used: {reason}")))
}
