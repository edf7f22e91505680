//! One service at one address: a submit, a look, a cancel, each one exchange. When to look is not decided here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dialect::{Dialect, ImageAuth, Meaning, Outgoing, Reading, Refusal, Verb, status_of};
use crate::error::{Error, Result, Retry, Status};
use crate::http::{Call, Headers, Http, Method, Reply, Request, Stop, Url};
use crate::image;
use crate::log::{Log, LogLevel};
use crate::options::Setup;
use crate::reference::{Base, Place, Target};
use crate::submits::Submits;
use crate::task::{Link, Task};
use crate::words;

pub(crate) struct Api {
    pub(crate) dialect: Arc<Dialect>,
    pub(crate) base: Base,
    pub(crate) http: Http,
    pub(crate) submits: Submits,
    pub(crate) log: Log,
    pub(crate) counters: Counters,
    key: RwLock<Arc<Key>>,
    max_response_bytes: u64,
    look_stall: Duration,
    /// The poll path that answered last: some services moved theirs.
    poll_path: AtomicUsize,
}

/// The key, and the headers of every request that carries it.
pub(crate) struct Key {
    key: String,
    header: String,
    headers: Headers,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) looks: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
}

/// What one look showed.
pub(crate) struct Look {
    pub(crate) task: Task,
    /// The pause that the service asks for before the next look.
    pub(crate) hint: Option<Duration>,
    /// Whether it succeeded and has no usable image, where its dialect knows images.
    pub(crate) without_image: bool,
}

/// An answer read whole.
struct Answer {
    status: u16,
    body: Vec<u8>,
    retry_after: Option<Duration>,
    request_id: String,
    redirect_origin: String,
}

impl Api {
    pub(crate) fn new(setup: &Setup, http: Http) -> Result<Api> {
        Ok(Api {
            base: Base::new(setup.base.clone()),
            http,
            submits: Submits::default(),
            log: setup.log.clone(),
            counters: Counters::default(),
            key: RwLock::new(Arc::new(Key::new(&setup.dialect, &setup.key)?)),
            max_response_bytes: setup.max_response_bytes,
            look_stall: setup.look_stall,
            poll_path: AtomicUsize::new(0),
            dialect: setup.dialect.clone(),
        })
    }

    pub(crate) fn set_key(&self, key: &str) -> Result<()> {
        let key = Arc::new(Key::new(&self.dialect, key)?);
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// The service's name for people.
    pub(crate) fn title(&self) -> &str {
        &self.dialect.profile().title
    }

    /// What `task_ref` names; a task of our own submit is looked at where the service said.
    pub(crate) fn target(&self, task_ref: &str) -> Result<Target> {
        let target = self.base.target(&self.dialect, task_ref)?;
        if let Place::Id = target.place
            && let Some(submitted) = self.submits.get(&target.id, Instant::now())
            && submitted.poll_ref != target.id
        {
            return self.base.target(&self.dialect, &submitted.poll_ref).or(Ok(target));
        }
        Ok(target)
    }

    /// The header that image links on the API's own origin want, where they want one.
    pub(crate) fn image_auth<'a>(&'a self, key: &'a Key) -> Option<(&'a str, &'a str)> {
        let profile = self.dialect.profile();
        (profile.read.images.auth == ImageAuth::SameOrigin).then_some((&*profile.auth.header, key.header.as_str()))
    }

    /// One look at a task.
    pub(crate) fn look(&self, target: &Target, stop: &Arc<Stop>, deadline: Instant) -> Result<Look> {
        let call = Call { stop: stop.clone(), deadline, stall: self.look_stall, stall_before_answer: true };
        self.counters.looks.fetch_add(1, Relaxed);
        let answer = self.look_answer(target, &call).map_err(|error| error.with_task_id(&target.id))?;
        let body = text(answer.body).map_err(|error| error.with_task_id(&target.id))?;
        let reading = self.dialect.read_look(body).map_err(|error| self.named(&error).with_task_id(&target.id))?;
        let hint = longer(reading.wait_hint, answer.retry_after);
        if reading.unknown_word {
            self.log.line(LogLevel::Warn, || {
                format!(
                    "{}: task {} has the unknown status {:?}",
                    self.title(),
                    target.id,
                    reading.task.provider_status
                )
            });
        }
        let names_images = reading.names_images;
        let task = self.finish(reading, target);
        let without_image = names_images && task.state == crate::State::Succeeded && task.images.is_empty();
        Ok(Look { task, hint, without_image })
    }

    /// Submits a request. `SubmitUnknown` when it may have arrived and no readable answer came back.
    pub(crate) fn submit(&self, request_json: &str, stop: &Arc<Stop>, deadline: Instant) -> Result<Task> {
        let outgoing = self.dialect.submit(request_json)?;
        let url = self.base.url(&outgoing.path)?;
        let call = Call { stop: stop.clone(), deadline, stall: self.look_stall, stall_before_answer: false };
        let answer = match self.exchange(&outgoing, &url, &call) {
            Ok(answer) => answer,
            Err(failed) if failed.sent => return Err(self.submit_unknown(&failed.error)),
            Err(failed) => return Err(failed.error),
        };
        if self.dialect.meaning(answer.status) != Meaning::Ok {
            return Err(self.submit_refused(&answer));
        }
        let reading = text(answer.body).and_then(|body| self.dialect.read_submit(body));
        let reading = reading.map_err(|error| match error.status() {
            Status::BadResponse => self.submit_unknown(&error),
            // The answer was readable and a refusal.
            _ => self.named(&error),
        })?;
        let nowhere = Target { id: String::new(), place: Place::Id };
        let task = self.finish(reading, &nowhere);
        if task.id.is_empty() && !task.state.is_final() {
            let why = Error::new(Status::BadResponse, "the answer names no task");
            return Err(self.submit_unknown(&why));
        }
        if !task.id.is_empty() && !task.state.is_final() {
            self.submits.remember(&task.id, &task.poll_ref, Instant::now());
        }
        Ok(task)
    }

    /// Asks the service to cancel a task.
    pub(crate) fn cancel(&self, target: &Target, stop: &Arc<Stop>, deadline: Instant) -> Result<Task> {
        let Some(outgoing) = self.dialect.cancel(&target.id) else {
            let message = format!("{} has no call that cancels a task", self.title());
            return Err(Error::new(Status::Unsupported, message).with_task_id(&target.id));
        };
        let url = self.base.url(&outgoing.path)?;
        let call = Call { stop: stop.clone(), deadline, stall: self.look_stall, stall_before_answer: true };
        let answer = self.exchange(&outgoing, &url, &call).map_err(|failed| failed.error.with_task_id(&target.id))?;
        if self.dialect.meaning(answer.status) != Meaning::Ok {
            return Err(self.refused(&answer).with_task_id(&target.id));
        }
        let reading = text(answer.body).and_then(|body| self.dialect.read_look(body));
        Ok(self.finish(reading.map_err(|error| error.with_task_id(&target.id))?, target))
    }

    /// The answer to a look, from the first of the dialect's paths that knows the route.
    fn look_answer(&self, target: &Target, call: &Call) -> Result<Answer> {
        let paths = self.dialect.poll_paths_len();
        let preferred = self.poll_path.load(Relaxed).min(paths.saturating_sub(1));
        let order = std::iter::once(preferred).chain((0..paths).filter(|index| *index != preferred));
        let mut first_refusal = None;
        for index in order {
            let mut outgoing = self.dialect.look(index, &target.id);
            let url = match &target.place {
                Place::Id => self.base.url(&outgoing.path)?,
                Place::Path(path) => self.base.url(path)?,
                Place::Address(url) => url.clone(),
            };
            outgoing.path.clear();
            let answer = self.exchange(&outgoing, &url, call).map_err(|failed| failed.error)?;
            if self.dialect.meaning(answer.status) == Meaning::Ok {
                if index != preferred {
                    self.poll_path.store(index, Relaxed);
                }
                return Ok(answer);
            }
            let refusal = self.refused(&answer);
            let other_path_may_know = matches!(target.place, Place::Id)
                && (answer.status == 405 || answer.status == 404 && !self.dialect.read_refusal(&answer.body).not_found);
            let refusal = first_refusal.take().unwrap_or(refusal);
            if !other_path_may_know {
                return Err(refusal);
            }
            first_refusal = Some(refusal);
        }
        Err(first_refusal.unwrap_or_else(|| Error::new(Status::Unsupported, "the dialect has no poll path")))
    }

    /// One request and its whole answer.
    fn exchange(&self, outgoing: &Outgoing, url: &Url, call: &Call) -> Result<Answer, Failed> {
        let key = self.key();
        let with_more;
        let headers = if outgoing.headers.is_empty() {
            &key.headers
        } else {
            let more = outgoing.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let unsent = |error| Failed { error, sent: false };
            with_more = headers(&self.dialect, &key.header, more).map_err(unsent)?;
            &with_more
        };
        let method = match outgoing.method {
            Verb::Get => Method::Get,
            Verb::Post => Method::Post,
            Verb::Put => Method::Put,
            Verb::Delete => Method::Delete,
        };
        let request = Request { method, url, headers, body: outgoing.body.as_deref(), public_only: false };
        self.counters.requests.fetch_add(1, Relaxed);
        let reply =
            self.http.send(&request, call).map_err(|failure| Failed { error: failure.error, sent: failure.sent })?;
        let answer = self.read(reply).map_err(|error| Failed { error, sent: true })?;
        self.counters.bytes_received.fetch_add(answer.body.len() as u64, Relaxed);
        if answer.status == 429 {
            self.counters.rate_limited.fetch_add(1, Relaxed);
        }
        self.log
            .line(LogLevel::Debug, || format!("{}: HTTP {} from {}", self.title(), answer.status, url.without_query()));
        Ok(answer)
    }

    fn read(&self, reply: Reply) -> Result<Answer> {
        let status = reply.status();
        let retry_after = reply.retry_after(SystemTime::now);
        let request_id = reply.header("x-request-id").unwrap_or_default().chars().take(128).collect();
        let location = if (300..400).contains(&status) { reply.header("location") } else { None };
        let redirect_origin = location.and_then(|link| Url::parse(link).ok()).map(|url| url.origin().to_string());
        let redirect_origin = redirect_origin.unwrap_or_default();
        let body = reply.read_to_vec(self.max_response_bytes)?;
        Ok(Answer { status, body, retry_after, request_id, redirect_origin })
    }

    /// The task as it is handed out: seen now, with absolute links only, and with a reference that works.
    fn finish(&self, reading: Reading, target: &Target) -> Task {
        let mut task = reading.task;
        task.looked_at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        task.images.retain_mut(|image| match &mut image.link {
            Link::Url(link) => image::resolve(link, self.base.url_of_api()).is_some_and(|absolute| {
                *link = absolute;
                true
            }),
            _ => true,
        });
        if task.id.is_empty() {
            task.id.clone_from(&target.id);
        } else if !target.id.is_empty() && task.id != target.id {
            self.log.line(LogLevel::Warn, || {
                format!("{}: asked for task {}, told of {}", self.title(), target.id, task.id)
            });
        }
        if !task.poll_ref.is_empty() && self.base.target(&self.dialect, &task.poll_ref).is_err() {
            self.log
                .line(LogLevel::Warn, || format!("{}: task {} has a poll address elsewhere", self.title(), task.id));
            task.poll_ref.clear();
        }
        if task.poll_ref.is_empty() {
            task.poll_ref.clone_from(match &target.place {
                Place::Path(path) => path,
                _ => &task.id,
            });
        }
        task
    }

    /// The dialect's error with the service's name before it.
    fn named(&self, error: &Error) -> Error {
        let named = Error::new(error.status(), format!("{}: {}", self.title(), self.without_secrets(error.message())))
            .with_provider_code(error.provider_code())
            .with_request_id(error.request_id());
        if error.retry() == named.retry() { named } else { named.with_retry(error.retry()) }
    }

    /// What an answer other than success means, in words.
    fn refused(&self, answer: &Answer) -> Error {
        let refusal = self.dialect.read_refusal(&answer.body);
        let status = self.status_of(answer.status, &refusal);
        let title = self.title();
        let what = match status {
            Status::Unauthorized if answer.status == 403 => format!("{title} says this key is not allowed to do that"),
            Status::Unauthorized => format!("{title} did not accept the key"),
            Status::Payment => format!("{title} says the account has no balance"),
            Status::NotFound => format!("{title} knows no such task of this key"),
            Status::RateLimited => format!("{title} asks for fewer requests"),
            Status::Server => format!("{title} cannot answer now"),
            _ if (300..400).contains(&answer.status) => {
                format!("{title} redirects to {}, which API calls do not follow", known(&answer.redirect_origin))
            }
            _ => format!("{title} refused the request"),
        };
        let code = if refusal.code.is_empty() { &refusal.kind } else { &refusal.code };
        let mut message = match code.as_str() {
            "" => format!("{what} (HTTP {})", answer.status),
            code => format!("{what} (HTTP {}, {code})", answer.status),
        };
        if !refusal.message.is_empty() {
            message += ": ";
            message += &refusal.message;
        }
        let request_id = if answer.request_id.is_empty() { &refusal.request_id } else { &answer.request_id };
        let error = Error::new(status, self.without_secrets(&message))
            .with_http_status(answer.status)
            .with_provider_code(self.without_secrets(code))
            .with_request_id(self.without_secrets(request_id));
        match longer(refusal.retry_after, answer.retry_after) {
            _ if refusal.retryable == Some(false) => error.with_retry(Retry::Never),
            Some(pause) if matches!(status, Status::RateLimited | Status::Server) => {
                error.with_retry(Retry::After(pause))
            }
            _ => error,
        }
    }

    fn status_of(&self, http_status: u16, refusal: &Refusal) -> Status {
        match self.dialect.meaning(http_status) {
            Meaning::Gone => Status::NotFound,
            Meaning::RateLimited => Status::RateLimited,
            Meaning::Retry => Status::Server,
            // Some services say "no such task" with another status.
            Meaning::Ok | Meaning::Stop if refusal.not_found => Status::NotFound,
            Meaning::Ok | Meaning::Stop => status_of(http_status),
        }
    }

    /// A text that may repeat what the service said, fit for a message.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        words::without_secrets(text, &self.key().key)
    }

    pub(crate) fn key(&self) -> Arc<Key> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A refused submit. Whether a server error came before or after the task was made cannot be known, so that only the
    /// service itself can say that trying again is safe.
    fn submit_refused(&self, answer: &Answer) -> Error {
        let error = self.refused(answer);
        let retryable = self.dialect.read_refusal(&answer.body).retryable;
        match error.status() {
            Status::Server if answer.status != 503 && retryable != Some(true) => error.with_retry(Retry::Never),
            // 404 on a submit is about the route or the model, never about a task.
            Status::NotFound => Error::new(
                Status::Rejected,
                error.message().replace("knows no such task of this key", "refused the request"),
            )
            .with_http_status(answer.status)
            .with_provider_code(error.provider_code())
            .with_request_id(error.request_id()),
            _ => error,
        }
    }

    fn submit_unknown(&self, why: &Error) -> Error {
        let message = format!(
            "the request reached {} and its answer was lost ({}); the task may exist and be charged: look for it before submitting again",
            self.title(),
            why.message()
        );
        Error::new(Status::SubmitUnknown, message).with_http_status(why.http_status()).with_task(Task::unseen("", ""))
    }
}

/// A failed exchange, and whether a byte of the request may have reached the service.
struct Failed {
    error: Error,
    sent: bool,
}

impl Key {
    fn new(dialect: &Dialect, key: &str) -> Result<Key> {
        let header = [&*dialect.profile().auth.prefix, key].concat();
        let headers = headers(dialect, &header, [])?;
        Ok(Key { key: key.to_owned(), header, headers })
    }
}

/// The headers of every request, and `more`.
fn headers<'a>(
    dialect: &'a Dialect,
    key_header: &'a str,
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Headers> {
    // A cached answer would show the past.
    let own =
        [(&*dialect.profile().auth.header, key_header), ("accept", "application/json"), ("cache-control", "no-cache")];
    Headers::new(own.into_iter().chain(more))
}

fn text(body: Vec<u8>) -> Result<String> {
    String::from_utf8(body).map_err(|_| Error::new(Status::BadResponse, "the answer is not UTF-8 text"))
}

fn known(origin: &str) -> &str {
    if origin.is_empty() { "another address" } else { origin }
}

fn longer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.max(b)
}
