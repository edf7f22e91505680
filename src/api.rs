//! One service at one address: a submit, a look, a cancel, each one exchange. When to look is not decided here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dialect::{Dialect, ImageAuth, Meaning, Outgoing, Reading, Refusal, Verb, status_of};
use crate::error::{Error, Result, Retry, Status};
use crate::http::{Call, Headers, Http, Method, Reply, Request, Stop, Url};
use crate::image;
use crate::log::{Log, LogLevel};
use crate::options::Setup;
use crate::reference::{Base, Place, Target};
use crate::submits::Submits;
use crate::task::{Link, State, Task};
use crate::words::{one_line, without_secrets};

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
    /// The unknown status words that the log was told of.
    told_words: Mutex<Vec<String>>,
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
    /// The task that a header names, "" where none does.
    task_id: String,
    /// The key it was asked with.
    key: Arc<Key>,
}

/// Why a service refused needs no more; what is longer is taken for no reason.
const MAX_REFUSAL_BYTES: u64 = 1024 * 1024;
/// A status word is not longer in a message.
const MAX_WORD: usize = 64;
/// Unknown words that are remembered at most.
const MAX_TOLD_WORDS: usize = 64;

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
            told_words: Mutex::default(),
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
            && let Ok(own) = self.base.target(&self.dialect, &submitted.poll_ref)
        {
            // Not every address shows the id.
            return Ok(Target { id: target.id, ..own });
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
        let answer = self.look_answer(target, &call).map_err(|error| error.with_task_id(&target.id))?;
        let hint = answer.retry_after;
        let reading = self.read_task(answer, target)?;
        let hint = longer(reading.wait_hint, hint);
        if reading.unknown_word {
            self.tell_unknown_word(&reading.task.provider_status, target);
        }
        let names_images = reading.names_images;
        let task = self.finish(reading, target);
        let without_image = names_images && task.state == State::Succeeded && task.images.is_empty();
        Ok(Look { task, hint, without_image })
    }

    /// Submits a request. `SubmitUnknown` when it may have arrived and no readable answer came back.
    pub(crate) fn submit(&self, request_json: &str, stop: &Arc<Stop>, deadline: Instant) -> Result<Task> {
        let outgoing = self.dialect.submit(request_json)?;
        let url = self.base.url(&outgoing.path)?;
        let call = Call { stop: stop.clone(), deadline, stall: self.look_stall, stall_before_answer: false };
        let answer = match self.exchange(&outgoing, &url, &call) {
            Ok(answer) => answer,
            Err(failed) if failed.sent => return Err(self.submit_unknown(&failed.error, &failed.task_id)),
            Err(failed) => return Err(failed.error),
        };
        if self.dialect.meaning(answer.status) != Meaning::Ok {
            return Err(self.refused(&answer, None));
        }
        let Answer { body, task_id, key, .. } = answer;
        let reading = text(body).and_then(|body| self.dialect.read_submit(body));
        let reading = reading.map_err(|error| match error.status() {
            Status::BadResponse => self.submit_unknown(&error, &task_id),
            // The answer was readable and a refusal, which is about the request and never about a task.
            Status::NotFound => self.named(&error, Status::Rejected, &key),
            Status::Server if error.provider_code() != "503" => {
                self.named(&error, Status::Server, &key).with_retry(Retry::Never)
            }
            status => self.named(&error, status, &key),
        })?;
        let nowhere = Target { id: String::new(), place: Place::Id };
        let task = self.finish(reading, &nowhere);
        if task.poll_ref.is_empty() && !task.state.is_final() {
            let why = Error::new(Status::BadResponse, "the answer names no task that can be looked at");
            return Err(self.submit_unknown(&why, &task_id));
        }
        if !task.id.is_empty() && !task.state.is_final() {
            self.submits.remember(&task.id, &task.poll_ref, Instant::now());
        }
        Ok(task)
    }

    /// Asks the service to cancel a task.
    pub(crate) fn cancel(&self, target: &Target, stop: &Arc<Stop>, deadline: Instant) -> Result<Task> {
        let profile = self.dialect.profile();
        if profile.cancel.is_some() && target.id.is_empty() {
            return Err(Error::invalid("the task reference shows no task id, which a cancel needs"));
        }
        let Some(outgoing) = self.dialect.cancel(&target.id) else {
            let message = format!("{} has no call that cancels a task", self.title());
            return Err(Error::new(Status::Unsupported, message).with_task_id(&target.id));
        };
        let url = self.base.url(&outgoing.path)?;
        let call = Call { stop: stop.clone(), deadline, stall: self.look_stall, stall_before_answer: true };
        let answer = self.exchange(&outgoing, &url, &call).map_err(|failed| failed.error.with_task_id(&target.id))?;
        if self.dialect.meaning(answer.status) != Meaning::Ok {
            return Err(self.refused(&answer, Some(target)).with_task_id(&target.id));
        }
        Ok(self.finish(self.read_task(answer, target)?, target))
    }

    /// The task in the body of a success.
    fn read_task(&self, answer: Answer, target: &Target) -> Result<Reading> {
        let Answer { body, key, .. } = answer;
        let reading = text(body).and_then(|body| self.dialect.read_look(body));
        reading.map_err(|error| self.named(&error, error.status(), &key).with_task_id(&target.id))
    }

    /// Once for each word, however often it is seen.
    fn tell_unknown_word(&self, word: &str, target: &Target) {
        let word = self.words(word, MAX_WORD);
        let mut told = self.told_words.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(&word) {
            return;
        }
        if told.len() >= MAX_TOLD_WORDS {
            told.clear();
        }
        told.push(word.clone());
        drop(told);
        let line = || format!("{}: task {} has the unknown status {word:?}", self.title(), target.id);
        self.log.line(LogLevel::Warn, line);
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
            self.counters.looks.fetch_add(1, Relaxed);
            let answer = self.exchange(&outgoing, &url, call).map_err(|failed| failed.error)?;
            if self.dialect.meaning(answer.status) == Meaning::Ok {
                if index != preferred {
                    self.poll_path.store(index, Relaxed);
                }
                return Ok(answer);
            }
            let refusal = self.refused(&answer, Some(target));
            let other_path_may_know = matches!(target.place, Place::Id)
                && (answer.status == 405 || answer.status == 404 && !self.dialect.read_refusal(&answer.body).not_found);
            if !other_path_may_know {
                return Err(refusal);
            }
            first_refusal.get_or_insert(refusal);
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
            let unsent = |error| Failed { error, sent: false, task_id: String::new() };
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
        let reply = self.http.send(&request, call).map_err(|failure| Failed {
            error: failure.error,
            sent: failure.sent,
            task_id: String::new(),
        })?;
        let answer = self.read(reply, key)?;
        self.counters.bytes_received.fetch_add(answer.body.len() as u64, Relaxed);
        if answer.status == 429 {
            self.counters.rate_limited.fetch_add(1, Relaxed);
        }
        self.log
            .line(LogLevel::Debug, || format!("{}: HTTP {} from {}", self.title(), answer.status, url.without_query()));
        Ok(answer)
    }

    fn read(&self, reply: Reply, key: Arc<Key>) -> Result<Answer, Failed> {
        let status = reply.status();
        let retry_after = reply.retry_after(SystemTime::now);
        let header = |name| reply.header(name).unwrap_or_default();
        let request_id = header("x-request-id").chars().take(128).collect();
        // LemonData names the task here too, where a body that is cut does not take it away.
        let named_task = Some(header("x-task-id")).filter(|id| !id.is_empty() && self.dialect.check_id(id).is_ok());
        let task_id = named_task.unwrap_or_default().to_owned();
        let location = if (300..400).contains(&status) { reply.header("location") } else { None };
        let redirect_origin = location.and_then(|link| Url::parse(link).ok()).map(|url| url.origin().to_string());
        let redirect_origin = redirect_origin.unwrap_or_default();
        let body = if self.dialect.meaning(status) == Meaning::Ok {
            reply.read_to_vec(self.max_response_bytes)
        } else {
            // A refusal's status is worth more than its words, which may be cut, too long or compressed.
            match reply.read_to_vec(self.max_response_bytes.min(MAX_REFUSAL_BYTES)) {
                Err(error) if error.status() != Status::Cancelled => Ok(Vec::new()),
                body => body,
            }
        };
        match body {
            Ok(body) => Ok(Answer { status, body, retry_after, request_id, redirect_origin, task_id, key }),
            Err(error) => Err(Failed { error, sent: true, task_id }),
        }
    }

    /// The task as it is handed out: seen now, with absolute links only, and with a reference that works.
    fn finish(&self, reading: Reading, target: &Target) -> Task {
        let mut task = reading.task;
        task.looked_at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        // A relative link belongs to the origin that wrote it.
        let origin = match &target.place {
            Place::Address(url) => url,
            Place::Id | Place::Path(_) => self.base.url_of_api(),
        };
        task.images.retain_mut(|image| match &mut image.link {
            Link::Url(link) => image::resolve(link, origin).is_some_and(|absolute| {
                *link = absolute;
                true
            }),
            _ => true,
        });
        if !target.id.is_empty() && task.id != target.id {
            if !task.id.is_empty() {
                let told = self.words(&task.id, MAX_WORD);
                let line = || format!("{}: asked for task {}, told of {told:?}", self.title(), target.id);
                self.log.line(LogLevel::Warn, line);
            }
            // The id that was asked for is the one that works.
            task.id.clone_from(&target.id);
        }
        if !task.poll_ref.is_empty() {
            match self.base.target(&self.dialect, &task.poll_ref) {
                Ok(own) if task.id.is_empty() => task.id = own.id,
                Ok(_) => {}
                Err(_) => {
                    let id = self.words(&task.id, MAX_WORD);
                    let line = || format!("{}: task {id} has a poll address elsewhere", self.title());
                    self.log.line(LogLevel::Warn, line);
                    task.poll_ref.clear();
                }
            }
        }
        if task.poll_ref.is_empty() {
            task.poll_ref = match &target.place {
                Place::Id => task.id.clone(),
                Place::Path(_) | Place::Address(_) => target.reference().to_owned(),
            };
        }
        task
    }

    /// The dialect's error with the service's name before it and without the key, as `status`.
    fn named(&self, error: &Error, status: Status, key: &Key) -> Error {
        let clean = |text| without_secrets(text, &key.key);
        let named = Error::new(status, format!("{}: {}", self.title(), clean(error.message())))
            .with_provider_code(clean(error.provider_code()))
            .with_request_id(clean(error.request_id()));
        if status != error.status() || error.retry() == named.retry() { named } else { named.with_retry(error.retry()) }
    }

    /// What an answer other than success means, in words. `target` is the task it is about, `None` after a submit.
    fn refused(&self, answer: &Answer, target: Option<&Target>) -> Error {
        let refusal = self.dialect.read_refusal(&answer.body);
        let status = match self.status_of(answer.status, &refusal) {
            // After a submit it is about the route or the model, never about a task.
            Status::NotFound if target.is_none() => Status::Rejected,
            status => status,
        };
        let title = self.title();
        // Whether a server's error came before or after the task was made, only the service itself can say.
        let may_have_submitted = target.is_none() && answer.status != 503 && refusal.retryable != Some(true);
        let what = match status {
            Status::Unauthorized if answer.status == 403 => format!("{title} says this key is not allowed to do that"),
            Status::Unauthorized => format!("{title} did not accept the key"),
            Status::Payment => format!("{title} says the account has no balance"),
            Status::NotFound => match target {
                Some(Target { id, .. }) if !id.is_empty() => format!("{title} knows no task {id} of this key"),
                _ => format!("{title} knows no such task of this key"),
            },
            Status::RateLimited => format!("{title} asks for fewer requests"),
            Status::Server if may_have_submitted => {
                format!("{title} cannot answer now, and whether it made a task is not known")
            }
            Status::Server => format!("{title} cannot answer now"),
            _ if (300..400).contains(&answer.status) => {
                format!("{title} redirects to {}, which API calls do not follow", known(&answer.redirect_origin))
            }
            _ => format!("{title} refused the request"),
        };
        // Each part by itself: what was cut to its length may end inside the key.
        let clean = |text: &str| without_secrets(text, &answer.key.key);
        let code = clean(if refusal.code.is_empty() { &refusal.kind } else { &refusal.code });
        let mut message = match code.as_str() {
            "" => format!("{what} (HTTP {})", answer.status),
            code => format!("{what} (HTTP {}, {code})", answer.status),
        };
        if !refusal.message.is_empty() {
            message += ": ";
            message += &clean(&refusal.message);
        }
        let request_id = if answer.request_id.is_empty() { &refusal.request_id } else { &answer.request_id };
        let error = Error::new(status, message)
            .with_http_status(answer.status)
            .with_provider_code(code)
            .with_request_id(clean(request_id));
        // 501 and 505 are a server's error that stays.
        let stays = status == Status::Server && self.dialect.meaning(answer.status) == Meaning::Stop;
        match longer(refusal.retry_after, answer.retry_after) {
            _ if refusal.retryable == Some(false) || stays => error.with_retry(Retry::Never),
            _ if status == Status::Server && may_have_submitted => error.with_retry(Retry::Never),
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

    /// A service's words as a message or the log may show them: one line, not longer than `limit`, without secrets.
    pub(crate) fn words(&self, text: &str, limit: usize) -> String {
        one_line(&without_secrets(text, &self.key().key), limit)
    }

    pub(crate) fn key(&self) -> Arc<Key> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The outcome of a submit whose answer was lost; `task_id` is the task that the answer's head named, or "".
    fn submit_unknown(&self, why: &Error, task_id: &str) -> Error {
        let (title, why_words) = (self.title(), why.message());
        let advice = match task_id {
            "" => "the task may exist and be charged: look for it before submitting again".to_owned(),
            id => format!("task {id} exists: wait for it, and do not submit again"),
        };
        if !task_id.is_empty() {
            self.submits.remember(task_id, task_id, Instant::now());
        }
        let message = format!("the request reached {title} and its answer was lost ({why_words}); {advice}");
        Error::new(Status::SubmitUnknown, message)
            .with_http_status(why.http_status())
            .with_task(Task::unseen(task_id, task_id))
    }
}

/// A failed exchange, and whether a byte of the request may have reached the service.
struct Failed {
    error: Error,
    sent: bool,
    /// The task that the answer's head named, "" where it named none.
    task_id: String,
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
