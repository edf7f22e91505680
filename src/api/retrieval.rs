//! An image of a task becomes bytes in a sink. Links expire, and a service mints a new one at every look: one that is refused, or
//! about to be, is renewed once, also in the middle of a download.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{Api, unix_ms};
use crate::error::{Error, Result, Retry, Status};
use crate::http::{Stop, Url};
use crate::image::{self, Download, Inspector, Pause, Progress, Sink, Tried};
use crate::log::LogLevel;
use crate::picture::PictureInfo;
use crate::task::{Image, State, Task};

/// Longest message that quotes a task's own words, characters.
const MAX_WORDS: usize = 500;
/// A link that ends within this time is renewed before it is used.
const EXPIRES_SOON_MS: i64 = 3_000;

/// One image on its way into a sink.
pub(crate) struct Retrieval {
    progress: Progress,
    /// Where it is fetched from now.
    url: Option<Url>,
    /// Whether its link was renewed.
    renewed: bool,
    /// Why its link has to be renewed, and by when the gate must have let a look through for that.
    refused: Option<Error>,
    renew_by: Option<Instant>,
    /// Whether a caller sleeps until then, and not longer.
    hurried: bool,
}

impl Retrieval {
    /// Bytes of memory that it holds, at most.
    pub(crate) const MOST_BYTES: usize = Progress::MOST_BYTES;

    pub(crate) fn new() -> Retrieval {
        Retrieval {
            progress: Progress::new(),
            url: None,
            renewed: false,
            refused: None,
            renew_by: None,
            hurried: false,
        }
    }

    /// The sink has lost what it took.
    pub(crate) fn forget(&mut self) {
        self.progress.forget();
    }

    /// How long the image's host wants to be left alone, when the last try ended with its word on that.
    pub(crate) fn pause_of_host(&self) -> Option<Duration> {
        self.progress.pause_of_host()
    }

    /// What comes of a look that told nothing: it is made again.
    fn look_later(&mut self, error: Error, patience: Duration) -> Result<Tried> {
        let by = *self.renew_by.get_or_insert_with(|| Instant::now() + patience);
        match error.retry() {
            Retry::After(time) if self.hurried && time > by.saturating_duration_since(Instant::now()) => Err(error),
            // Nothing was sent: the gate says when it may be.
            Retry::After(time) if error.http_status() == 0 => Ok(Tried::Again(Pause { time, of_host: false })),
            _ => self.progress.after_look(error),
        }
    }
}

impl Api {
    /// Fetches one image of a task, and sleeps where the next try has to wait.
    pub(crate) fn retrieve(
        &self,
        task: &Task,
        index: usize,
        stop: &Arc<Stop>,
        sink: &mut dyn Sink,
    ) -> Result<PictureInfo> {
        let mut retrieval = Retrieval { hurried: true, ..Retrieval::new() };
        loop {
            match self.go_on(&mut retrieval, task, index, stop, sink)? {
                Tried::Whole(info) => return Ok(info),
                Tried::Again(pause) if stop.sleep(pause.time) => {}
                Tried::Again(_) => {
                    let error = Error::new(Status::Cancelled, "the download was interrupted");
                    return Err(error.with_task_id(&task.id));
                }
            }
        }
    }

    /// One try to fetch an image of a task, whose sink has what earlier tries of the same `retrieval` brought.
    pub(crate) fn go_on(
        &self,
        retrieval: &mut Retrieval,
        task: &Task,
        index: usize,
        stop: &Arc<Stop>,
        sink: &mut dyn Sink,
    ) -> Result<Tried> {
        let Some(image) = task.images.get(index) else { return Err(self.no_such_image(task, index)) };
        let fetched = match task.inline_text(image) {
            Some(text) => self.take_inline(text, sink),
            None => self.fetch_linked(retrieval, task, index, stop, sink),
        };
        match &fetched {
            Ok(Tried::Again(pause)) => {
                let ms = pause.time.as_millis();
                self.log.line(LogLevel::Info, || format!("download: task {}: tried again in {ms} ms", task.id));
            }
            Ok(Tried::Whole(info)) => {
                self.log.line(LogLevel::Info, || format!("download: {} bytes of task {}", info.len, task.id))
            }
            Err(error) => self.log.line(LogLevel::Warn, || format!("download: {}: {error}", error.status())),
        }
        fetched.map_err(|error| error.with_task_id(&task.id))
    }

    fn take_inline(&self, text: &str, sink: &mut dyn Sink) -> Result<Tried> {
        let (bytes, declared) = image::decode_inline(text, self.setup.max_image_bytes)?;
        let mut inspector = Inspector::new();
        inspector.feed(&bytes)?;
        sink.write(&bytes)?;
        inspector.finish(declared, true).map(Tried::Whole)
    }

    fn fetch_linked(
        &self,
        retrieval: &mut Retrieval,
        task: &Task,
        index: usize,
        stop: &Arc<Stop>,
        sink: &mut dyn Sink,
    ) -> Result<Tried> {
        let Retrieval { progress, url, renewed, refused, .. } = retrieval;
        let (setup, image) = (&self.setup, &task.images[index]);
        let key = self.key();
        let download = Download {
            http: &self.http,
            stop,
            stall: setup.download_stall,
            max_bytes: setup.max_image_bytes,
            api: self.base.url_of_api(),
            allow_private: setup.allow_private_images,
            rebase: self.dialect().profile().read.images.rebase.as_deref(),
            requests: &self.counters.requests,
            bytes_received: &self.counters.bytes_received,
            auth: self.image_auth(&key, task, image.url()),
        };
        if refused.is_none() && (*renewed || !self.expires_soon(image)) {
            let url = match url {
                Some(url) => url,
                None => url.insert(address(image.url())?),
            };
            match download.fetch(url, progress, sink) {
                Err(error) if error.status() == Status::LinkExpired && !*renewed => *refused = Some(error),
                result => return result,
            }
        }
        let mut unlooked = None;
        let fresh = match self.look_again(task, stop) {
            Ok(fresh) => fresh,
            Err(error) if error.status() == Status::Cancelled => return Err(error),
            Err(error) => {
                self.log.line(LogLevel::Warn, || format!("download: no new link of task {}: {error}", task.id));
                if error.retry() != Retry::Never {
                    if refused.is_some() {
                        return retrieval.look_later(error, setup.request_timeout);
                    }
                    unlooked = Some(error);
                }
                None
            }
        };
        *renewed = unlooked.is_none();
        let fresh = fresh.as_ref().and_then(|fresh| {
            // An item of the service's list may hold several images.
            let same_item = |other: &&Image| other.source_index == image.source_index;
            let before = task.images[..index].iter().filter(same_item).count();
            let renewed = fresh.images.iter().filter(same_item).nth(before)?;
            Some((fresh.inline_text(renewed), renewed.url()))
        });
        let link = match (fresh, refused.take()) {
            (Some((Some(text), _)), _) => {
                sink.restart()?;
                return self.take_inline(text, sink);
            }
            (Some((None, fresh)), refused) if refused.is_none() || fresh != image.url() => fresh,
            (_, Some(refused)) => return Err(refused),
            // It was only likely to be refused.
            (_, None) => image.url(),
        };
        let link = address(link)?;
        progress.move_on(url.as_ref(), &link);
        match (download.fetch(url.insert(link), progress, sink), unlooked) {
            (Err(error), Some(unlooked)) if error.status() == Status::LinkExpired => {
                *refused = Some(error);
                retrieval.look_later(unlooked, setup.request_timeout)
            }
            (result, _) => result,
        }
    }

    /// Whether a link is over, or nearly, by the clock of the service that minted it.
    fn expires_soon(&self, image: &Image) -> bool {
        let now_ms = unix_ms().saturating_add(self.ahead_ms.load(Relaxed));
        image.expires_at > 0 && image.expires_at.saturating_mul(1000) <= now_ms.saturating_add(EXPIRES_SOON_MS)
    }

    /// The task as it is now; `None` where it names nothing to look at, as a synchronous answer may.
    fn look_again(&self, task: &Task, stop: &Arc<Stop>) -> Result<Option<Task>> {
        let Ok(target) = self.target(if task.poll_ref.is_empty() { &task.id } else { &task.poll_ref }) else {
            return Ok(None);
        };
        let leave = self.admit(stop, Duration::ZERO)?;
        let look = self.look(&target, stop, Instant::now() + self.setup.request_timeout, leave)?;
        Ok(Some(look.task))
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
        Error::new(status, self.words(&message, MAX_WORDS)).with_task_id(id)
    }
}

fn address(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|reason| Error::invalid(format!("the image's link cannot be used: {reason}")))
}
