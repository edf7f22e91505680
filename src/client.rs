//! The client: what a user can ask for.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::dialect::{Confidence, Dialect};
use crate::error::{Error, Result};
use crate::fleet::{Event, Fleet, Job};
use crate::image::NewFile;
use crate::log::{self, LogLevel};
use crate::options::{self, Options, Setup};
use crate::pattern::PathPattern;
use crate::picture::{Picture, SavedPicture};
use crate::task::Task;
use crate::wait::{OnLook, Wait};

/// What a client has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs accepted whose final event was not taken yet.
    pub pending: u64,
    /// Events that wait to be taken.
    pub events_waiting: u64,
    /// Requests a minute that the client allows itself now; 0 while the service wants a pause.
    pub gate_per_minute: u32,
    /// Until the gate lets the next request through.
    pub gate_wait: Duration,
    /// How long it takes to look at every watched task once.
    pub sweep: Duration,
    /// Half of the watched tasks were looked at within this time, `None` when none was.
    pub staleness_p50: Option<Duration>,
    /// 95 % of the watched tasks were looked at within this time.
    pub staleness_p95: Option<Duration>,
    /// Calls running now, those of jobs included.
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
    /// Looks that failed one after another, of whichever task; 0 once one is answered. [`Client::outage`] tells why.
    pub consecutive_failures: u64,
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
    /// Whether its dialect is documented by the service. Otherwise it is put together from pages, clients and examples, and was
    /// never tried against the service: no promise. Listed behind the others.
    pub documented: bool,
    /// How long a wait lasts when nobody says, milliseconds.
    pub wait_timeout_ms: u32,
}

/// One service, one key. Cheap to clone; every call may be made from any thread.
#[derive(Clone)]
pub struct Client {
    api: Arc<Api>,
    fleet: Arc<Fleet>,
}

/// The built-in providers, the three documented ones first.
pub fn providers() -> &'static [ProviderInfo] {
    static PROVIDERS: LazyLock<Vec<ProviderInfo>> =
        LazyLock::new(|| Dialect::builtins().map(|dialect| ProviderInfo::of(dialect)).collect());
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
        f.debug_struct("Client").field("provider", &self.api.title()).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks and copies the options. Opens no connection and starts no thread.
    ///
    /// # Errors
    /// `InvalidArgument` for an option that cannot be used; a missing key names its environment variable.
    pub fn create(options: &Options) -> Result<Client> {
        let api = Arc::new(Api::new(Setup::new(options)?)?);
        let fleet = Arc::new(Fleet::new(Arc::clone(&api))?);
        Ok(Client { api, fleet })
    }

    /// Uses another key from the next request on: for short-lived tokens.
    ///
    /// # Errors
    /// `InvalidArgument` for a key that cannot be sent in a header; the old one stays.
    pub fn set_key(&self, api_key: &str) -> Result<()> {
        options::check_key(api_key)?;
        self.api.set_key(api_key)
    }

    /// Ends every blocking call in flight with `Cancelled`, also one blocked in the network or waiting for an event. Jobs go on, and
    /// the client stays usable.
    pub fn interrupt(&self) {
        self.api.calls.interrupt();
        self.fleet.interrupt();
    }

    /// Refuses new calls and jobs with `Closed`, ends those there are and waits for calls and workers up to `timeout`.
    ///
    /// Returns whether all had ended. May be called again. Events can still be taken: every job gets its final one. What the journal
    /// was told is written, which waits for the disk.
    pub fn close(&self, timeout: Duration) -> bool {
        let Client { api, fleet } = self;
        let started = Instant::now();
        // Both first stop what they have, so neither waits for the other.
        fleet.close_soon();
        let ended = api.calls.close(timeout);
        api.http.shutdown();
        fleet.close(timeout.saturating_sub(started.elapsed())) && ended
    }

    /// Starts work that runs on its own: from a request, a reference or a task up to the job's goal. Gives the job's number.
    ///
    /// Never waits for the network or the disk. Exactly one event of the kind `Final` follows, whatever happens; see
    /// [`Client::next_event`]. The first job starts a thread, further ones up to `max_workers`.
    ///
    /// # Errors
    /// `InvalidArgument` for what cannot be a job, `Unsupported`, `Busy` at `max_pending`, `Closed`, `Resource`. Everything else
    /// arrives as the job's final event.
    pub fn start(&self, job: Job) -> Result<u64> {
        self.fleet.start(job).inspect_err(|error| self.refused("start", error))
    }

    /// Ends a job here; the task goes on at the service. Its final event still comes: `Cancelled`, or what it came to meanwhile.
    /// Of many jobs that submit, stop the one that was started last first: each that ends lets the next in line begin.
    ///
    /// # Errors
    /// `UnknownOp` for a number that no job has, or whose final event was taken.
    pub fn stop(&self, op: u64) -> Result<()> {
        self.fleet.stop(op)
    }

    /// Takes the next event, and tells the log what the workers had to say. `None` when none came in time.
    ///
    /// `timeout`: zero never waits, `None` waits until there is an event. One thread at a time is meant to ask.
    ///
    /// # Errors
    /// `Cancelled` when it waited and [`Client::interrupt`] was called; `Closed` after [`Client::close`] when every event was
    /// taken.
    pub fn next_event(&self, timeout: Option<Duration>) -> Result<Option<Event>> {
        self.fleet.next_event(timeout)
    }

    /// A descriptor that is readable while events wait or the client is closed, for epoll and its like. The client's own: neither
    /// read from it nor close it.
    ///
    /// # Errors
    /// `Unsupported` where the system has none; `Resource`.
    pub fn event_fd(&self) -> Result<i32> {
        self.fleet.event_fd()
    }

    /// Takes up what the journal held of this service when the client was created, and gives how many jobs came back. Each is told
    /// by an event of the kind `Resumed`, and goes on to the goal it had, its time limit counted anew; a submit whose answer was
    /// never written down ends in `SubmitUnknown`. Of its options a job's own `PixelOptions::max_pixels` is not kept: the client's
    /// limit holds. What does not come back was acknowledged, refused, or never sent. A second call
    /// brings nothing.
    ///
    /// # Errors
    /// `Journal` without a journal, or when it cannot be read; `Unsupported` in a build without journal; `Closed`; `Resource`.
    pub fn resume(&self, progress: bool) -> Result<usize> {
        self.resume_with(progress, &mut |_, _| true)
    }

    /// As [`Client::resume`], for a host with a record of its own: `keep` is asked with the reference and the label of each task,
    /// and what it refuses is dropped from the journal and not taken up. A submit whose answer was never seen is not asked for.
    ///
    /// # Errors
    /// As [`Client::resume`].
    pub fn resume_with(&self, progress: bool, keep: &mut dyn FnMut(&str, &str) -> bool) -> Result<usize> {
        self.fleet.resume(progress, keep)
    }

    /// Drops a task from the journal: it does not come back. Waits for the disk.
    ///
    /// # Errors
    /// `NotFound` when the journal has no such task; `InvalidArgument`; `Journal`; `Unsupported` in a build without journal.
    pub fn forget(&self, task_ref: &str) -> Result<()> {
        self.fleet.forget(task_ref)
    }

    /// Jobs accepted whose final event was not taken yet.
    pub fn pending(&self) -> usize {
        self.fleet.pending()
    }

    /// What this client has done so far, and what it is at. Costs a pass over all tasks that are watched.
    pub fn stats(&self) -> Stats {
        let Client { api, fleet } = self;
        let outlook = fleet.outlook();
        let now_ms = api.entrance.clock.now_ms();
        let pace = api.entrance.pace();
        Stats {
            pending: outlook.pending as u64,
            events_waiting: outlook.events_waiting as u64,
            gate_per_minute: pace.gate.per_minute(now_ms),
            gate_wait: Duration::from_millis(pace.gate.wait_ms(now_ms)),
            sweep: Duration::from_millis(outlook.sweep_ms),
            staleness_p50: outlook.staleness_p50_ms.map(Duration::from_millis),
            staleness_p95: outlook.staleness_p95_ms.map(Duration::from_millis),
            in_flight: (api.calls.len() + outlook.in_flight) as u64,
            looks: api.counters.looks.load(Relaxed),
            requests: api.counters.requests.load(Relaxed),
            rate_limited: api.counters.rate_limited.load(Relaxed),
            retries: api.http.retries(),
            bytes_received: api.counters.bytes_received.load(Relaxed),
            connections_opened: api.http.connections_opened(),
            threads: api.http.helper_threads() + outlook.threads as u64,
            consecutive_failures: api.outage.failures().into(),
        }
    }

    /// Why the last look failed, of whichever task, until one is answered. Looking goes on meanwhile.
    pub fn outage(&self) -> Option<String> {
        self.api.outage.reason()
    }

    /// Whether requests to the API go through a proxy: not where there is none, and not where the environment's has an exception
    /// for the API's host. Asks nobody.
    pub fn uses_proxy(&self) -> bool {
        self.api.http.is_proxied(self.api.base.url_of_api())
    }

    /// The id that a task reference names, "" for an address that does not show it. Asks nobody.
    ///
    /// # Errors
    /// `InvalidArgument` for a reference that is none.
    pub fn task_id(&self, task_ref: &str) -> Result<String> {
        Ok(self.api.target(task_ref)?.id)
    }

    /// Submits the provider's own JSON request. A finished synchronous answer comes back as a final task.
    ///
    /// Never sent twice once a byte of it was written: a lost answer is `SubmitUnknown`, with what is known.
    ///
    /// # Errors
    /// `InvalidArgument` for a request that is no JSON object; `SubmitUnknown`; what the service answered.
    pub fn submit(&self, request_json: &str) -> Result<Task> {
        self.told("submit", || {
            let api = &*self.api;
            let call = api.calls.enter()?;
            let outgoing = api.prepare(request_json)?;
            let leave = api.admit(&call.stop, api.setup.request_timeout)?;
            api.submit(&outgoing, &call.stop, Instant::now() + api.setup.submit_timeout, leave)
        })
    }

    /// One look. A task that failed is `Ok` with state `Failed`.
    ///
    /// # Errors
    /// `InvalidArgument` for a reference that is none; what the network or the service answered.
    pub fn fetch(&self, task_ref: &str) -> Result<Task> {
        self.told("fetch", || {
            let api = &*self.api;
            let call = api.calls.enter()?;
            let target = api.target(task_ref)?;
            let now = Instant::now();
            let leave = api.entrance.admit(&call.stop, now, api.setup.request_timeout);
            let leave = leave.map_err(|kept| kept.error(api.title()).with_task_id(&target.id))?;
            // The look's own time begins when it may be sent.
            let deadline = api.entrance.clock.instant(leave.at_ms).max(now) + api.setup.request_timeout;
            Ok(api.look(&target, &call.stop, deadline, leave)?.task)
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

    /// As [`Client::wait`], and calls `on_look` on this thread: with the task after every look that was understood, and with the
    /// error after every other one that the wait survives.
    pub fn wait_with(&self, task_ref: &str, timeout: Option<Duration>, on_look: &mut OnLook<'_>) -> Result<Task> {
        self.told("wait", || {
            let call = self.api.calls.enter()?;
            let target = self.api.target(task_ref)?;
            let wait = Wait { api: &self.api, stop: &call.stop, target: &target };
            wait.run(timeout.unwrap_or(self.api.setup.wait_timeout), on_look)
        })
    }

    /// Asks the provider to cancel.
    ///
    /// # Errors
    /// `Unsupported` where the dialect has no such call; `Rejected` when the service does not cancel this task: it goes on.
    pub fn cancel_task(&self, task_ref: &str) -> Result<Task> {
        self.told("cancel", || {
            let call = self.api.calls.enter()?;
            let target = self.api.target(task_ref)?;
            self.api.cancel(&target, &call.stop, self.api.setup.request_timeout)
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
        let call = self.api.calls.enter()?;
        let info = self.api.retrieve(task, image_index, &call.stop, &mut data)?;
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
        // Under way until the file has its name, or is gone.
        let call = self.api.calls.enter()?;
        let mut file = NewFile::create(path, replace, &self.api.leftovers).map_err(about)?;
        let info = self.api.retrieve(task, image_index, &call.stop, &mut file)?;
        Ok(SavedPicture { path: file.finish().map_err(about)?, info })
    }

    /// Most pixels that an image of this client may have to be decoded.
    pub(crate) fn max_image_pixels(&self) -> u64 {
        self.api.setup.max_image_pixels
    }

    /// One image into a file whose name is complete when the image is known: its folder must exist, see
    /// [`PathPattern::folder`].
    ///
    /// With `replace` an existing file goes; without it, it stays, and the error is `File` unless it holds this very image.
    ///
    /// # Errors
    /// As [`Client::download_file`].
    pub fn download_as(
        &self,
        task: &Task,
        image_index: usize,
        pattern: &PathPattern,
        replace: bool,
    ) -> Result<SavedPicture> {
        let about = |error: Error| error.with_task_id(&task.id);
        let draft = pattern.draft(&task.id, image_index);
        let call = self.api.calls.enter()?;
        let mut file = NewFile::create(&draft, true, &self.api.leftovers).map_err(about)?;
        let info = self.api.retrieve(task, image_index, &call.stop, &mut file)?;
        file.name(&pattern.fill(&task.id, image_index, &info), replace).map_err(about)?;
        Ok(SavedPicture { path: file.finish().map_err(about)?, info })
    }

    /// Tells the log how a call about a task ended.
    fn told(&self, what: &str, call: impl FnOnce() -> Result<Task>) -> Result<Task> {
        let result = call();
        let log = &self.api.log;
        match &result {
            Ok(task) => log.line(LogLevel::Info, || format!("{what}: {}", log::task_line(task))),
            Err(error) => log.line(LogLevel::Warn, || format!("{what}: {}: {error}", error.status())),
        }
        result
    }

    /// Tells the log why a call was refused that hands out no error.
    pub(crate) fn refused(&self, what: &str, error: &Error) {
        self.api.log.line(LogLevel::Warn, || format!("{what}: {}: {error}", error.status()));
    }

    /// Tells the log of a bug that the C ABI caught, and closes the client.
    pub(crate) fn broke(&self, error: &Error) {
        self.api.log.line(LogLevel::Error, || error.message().to_owned());
        self.close(Duration::ZERO);
    }
}
