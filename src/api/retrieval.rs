//! An image of a task becomes bytes in a sink. Links expire, and a service mints a new one at every look: one that is refused
//! is renewed once.

use std::sync::Arc;
use std::time::Instant;

use super::Api;
use crate::error::{Error, Result, Status};
use crate::http::{Stop, Url};
use crate::image::{self, Download, Inspector, Sink};
use crate::log::LogLevel;
use crate::picture::PictureInfo;
use crate::task::{Image, State, Task};

/// Longest message that quotes a task's own words, characters.
const MAX_WORDS: usize = 500;

impl Api {
    /// Fetches one image of a task.
    pub(crate) fn retrieve(
        &self,
        task: &Task,
        index: usize,
        stop: &Arc<Stop>,
        sink: &mut dyn Sink,
    ) -> Result<PictureInfo> {
        let Some(image) = task.images.get(index) else { return Err(self.no_such_image(task, index)) };
        let fetched = match task.inline_text(image) {
            Some(text) => self.take_inline(text, sink),
            None => self.fetch_linked(task, image, stop, sink),
        };
        match &fetched {
            Ok(info) => self.log.line(LogLevel::Info, || format!("download: {} bytes of task {}", info.len, task.id)),
            Err(error) => self.log.line(LogLevel::Warn, || format!("download: {}: {error}", error.status())),
        }
        fetched.map_err(|error| error.with_task_id(&task.id))
    }

    fn take_inline(&self, text: &str, sink: &mut dyn Sink) -> Result<PictureInfo> {
        let (bytes, declared) = image::decode_inline(text, self.setup.max_image_bytes)?;
        let mut inspector = Inspector::new();
        inspector.feed(&bytes)?;
        sink.write(&bytes)?;
        inspector.finish(declared, true)
    }

    fn fetch_linked(&self, task: &Task, image: &Image, stop: &Arc<Stop>, sink: &mut dyn Sink) -> Result<PictureInfo> {
        let setup = &self.setup;
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
            auth: self.image_auth(&key),
        };
        let expired = match download.fetch(&address(image.url())?, sink) {
            Err(error) if error.status() == Status::LinkExpired => error,
            result => return result,
        };
        // A synchronous answer may name no task that could be looked at.
        let Ok(target) = self.target(if task.poll_ref.is_empty() { &task.id } else { &task.poll_ref }) else {
            return Err(expired);
        };
        let fresh = self
            .admit(stop, setup.request_timeout)
            .and_then(|leave| self.look(&target, stop, Instant::now() + setup.request_timeout, leave));
        let fresh = match fresh {
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
        Error::new(status, self.words(&message, MAX_WORDS)).with_task_id(id)
    }
}

fn address(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|reason| Error::invalid(format!("the image's link cannot be used: {reason}")))
}
