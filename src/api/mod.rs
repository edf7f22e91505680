//! One service at one address: a submit, a look, a cancel, each one exchange. When to look is not decided here.
//!
//! - [`exchange`]: one request and its whole answer, through the gate. [`refusal`]: what an answer other than success means.
//! - [`entrance`]: the gate with real time. [`calls`]: the blocking calls in flight.
//! - [`outage`]: whether looks are answered. [`outcome`]: what a look says to the policy, and how waits and jobs end.
//! - [`reference`]: what a task reference names. [`submits`]: the client's own submits.
//! - [`result`]: the second answer of a look, where a service keeps the images apart from the status.
//! - [`retrieval`]: an image of a task becomes bytes, its link renewed once.

mod calls;
mod entrance;
mod exchange;
mod outage;
mod outcome;
mod reference;
mod refusal;
mod result;
mod retrieval;
mod submits;

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::calls::Calls;
use self::entrance::Entrance;
use self::exchange::{Answer, HttpDate, Key};
use self::outage::Outage;
use self::submits::Submits;
use crate::dialect::{Dialect, ImageAuth, Meaning, Outgoing, Reading};
use crate::error::{Error, Result, Retry, Status};
use crate::http::{Call, Http, Stop, Url};
use crate::image::{self, Leftovers};
use crate::log::{Log, LogLevel};
use crate::options::Setup;
use crate::task::{Image, Link, State, Task};
use crate::words::{one_line, without_secrets};

pub(crate) use self::entrance::{Kept, Leave};
pub(crate) use self::outcome::{Watched, seen_in};
pub(crate) use self::reference::{Base, Place, Target};
pub(crate) use self::retrieval::Retrieval;

pub(crate) struct Api {
    pub(crate) setup: Setup,
    pub(crate) base: Base,
    pub(crate) entrance: Entrance,
    pub(crate) calls: Calls,
    pub(crate) http: Http,
    pub(crate) submits: Submits,
    pub(crate) log: Log,
    pub(crate) counters: Counters,
    pub(crate) outage: Outage,
    /// What other programs left in the folders of images.
    pub(crate) leftovers: Leftovers,
    key: RwLock<Arc<Key>>,
    /// How far the service's clock is ahead of ours, milliseconds: links expire by its clock.
    ahead_ms: AtomicI64,
    /// The time of day, as written, by which the clock was set last.
    told_time: AtomicU64,
    /// The poll path that answered last: some services moved theirs.
    poll_path: AtomicUsize,
    /// The unknown status words that the log was told of.
    told_words: Mutex<Vec<String>>,
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

/// A status word is not longer in a message.
const MAX_WORD: usize = 64;
/// Unknown words that are remembered at most.
const MAX_TOLD_WORDS: usize = 64;

impl Api {
    pub(crate) fn new(setup: Setup) -> Result<Api> {
        Ok(Api {
            base: Base::new(setup.base.clone()),
            entrance: Entrance::new(&setup),
            calls: Calls::default(),
            http: Http::new(&setup.http)?,
            submits: Submits::default(),
            log: setup.log.clone(),
            counters: Counters::default(),
            outage: Outage::default(),
            leftovers: Leftovers::default(),
            key: RwLock::new(Arc::new(Key::new(&setup.dialect, &setup.key)?)),
            ahead_ms: AtomicI64::new(0),
            told_time: AtomicU64::new(0),
            poll_path: AtomicUsize::new(0),
            told_words: Mutex::default(),
            setup,
        })
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.setup.dialect
    }

    /// Leave to send one request, waited for at most so long.
    pub(crate) fn admit(&self, stop: &Stop, patience: Duration) -> Result<Leave> {
        self.entrance.admit(stop, Instant::now(), patience).map_err(|kept| kept.error(self.title()))
    }

    pub(crate) fn set_key(&self, key: &str) -> Result<()> {
        let key = Arc::new(Key::new(self.dialect(), key)?);
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// The service's name for people.
    pub(crate) fn title(&self) -> &str {
        &self.dialect().profile().title
    }

    /// What `task_ref` names; a task of our own submit is looked at where the service said.
    pub(crate) fn target(&self, task_ref: &str) -> Result<Target> {
        let target = self.base.target(self.dialect(), task_ref)?;
        if let Place::Id = target.place
            && let Some(submitted) = self.submits.get(&target.id, Instant::now())
            && submitted.poll_ref != target.id
            && let Ok(own) = self.base.target(self.dialect(), &submitted.poll_ref)
        {
            // Not every address shows the id.
            return Ok(Target { id: target.id, ..own });
        }
        Ok(target)
    }

    /// The header that an image of the task on the API's own origin wants, where it wants one.
    pub(crate) fn image_auth<'a>(&'a self, key: &'a Key, task: &Task, url: &str) -> Option<(&'a str, &'a str)> {
        let profile = self.dialect().profile();
        let wants_it = profile.read.images.auth == ImageAuth::SameOrigin
            || self.content_url(&task.id).is_some_and(|content| content == url);
        wants_it.then_some((&*profile.auth.header, key.header.as_str()))
    }

    /// Where the bytes of a finished task are that names no image, for tasks that have any.
    fn content_url(&self, id: &str) -> Option<String> {
        let path = self.dialect().content(id)?;
        Some(self.base.url(&path).ok()?.as_str().to_owned())
    }

    /// One look at a task.
    pub(crate) fn look(&self, target: &Target, stop: &Arc<Stop>, deadline: Instant, leave: Leave) -> Result<Look> {
        let call = Call { stop: stop.clone(), deadline, stall: self.setup.look_stall, stall_before_answer: true };
        let answer = self.look_answer(target, &call, leave).map_err(|error| self.look_failed(error, &target.id))?;
        let hint = answer.retry_after;
        let mut reading = self.read_task(answer, target).map_err(|error| self.look_failed(error, &target.id))?;
        let second;
        let mut from = self.origin(target);
        if !reading.result.is_empty() {
            // Not every address shows the id.
            let id = if target.id.is_empty() { reading.task.id.clone() } else { target.id.clone() };
            second = self.take_result(&mut reading, target, &call).map_err(|error| self.look_failed(error, &id))?;
            from = &second;
        }
        self.look_answered();
        let hint = longer(reading.wait_hint, hint);
        if reading.unknown_word {
            self.tell_unknown_word(&reading.task.provider_status, target);
        }
        let names_images = reading.names_images;
        let task = self.finish(reading, target, from);
        let without_image = names_images && task.state == State::Succeeded && task.images.is_empty();
        Ok(Look { task, hint, without_image })
    }

    /// The provider's own JSON request as it will be sent.
    pub(crate) fn prepare(&self, request_json: &str) -> Result<Outgoing> {
        self.dialect().submit(request_json)
    }

    /// Submits a request. `SubmitUnknown` when it may have arrived and no readable answer came back.
    pub(crate) fn submit(
        &self,
        outgoing: &Outgoing,
        stop: &Arc<Stop>,
        deadline: Instant,
        leave: Leave,
    ) -> Result<Task> {
        let url = self.base.url(&outgoing.path)?;
        let call = Call { stop: stop.clone(), deadline, stall: self.setup.look_stall, stall_before_answer: false };
        let answer = match self.exchange(outgoing, &url, &call, leave) {
            Ok(answer) => answer,
            Err(failed) if failed.sent => return Err(self.submit_unknown(&failed.error, &failed.task_id)),
            Err(failed) => return Err(failed.error),
        };
        if answer.meaning != Meaning::Ok {
            return Err(self.refused(&answer, None));
        }
        let Answer { body, task_id, key, date, .. } = answer;
        let reading = text(body).and_then(|body| self.dialect().read_submit(body));
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
        self.set_clock(date, &reading.task);
        let task = self.finish(reading, &nowhere, self.base.url_of_api());
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
    pub(crate) fn cancel(&self, target: &Target, stop: &Arc<Stop>, patience: Duration) -> Result<Task> {
        let profile = self.dialect().profile();
        if profile.cancel.is_some() && target.id.is_empty() {
            return Err(Error::invalid("the task reference shows no task id, which a cancel needs"));
        }
        let Some(outgoing) = self.dialect().cancel(&target.id) else {
            let message = format!("{} has no call that cancels a task", self.title());
            return Err(Error::new(Status::Unsupported, message).with_task_id(&target.id));
        };
        let url = self.base.url(&outgoing.path)?;
        let leave = self.admit(stop, patience).map_err(|error| error.with_task_id(&target.id))?;
        let deadline = Instant::now() + patience;
        let call = Call { stop: stop.clone(), deadline, stall: self.setup.look_stall, stall_before_answer: true };
        let answer =
            self.exchange(&outgoing, &url, &call, leave).map_err(|failed| failed.error.with_task_id(&target.id))?;
        if answer.meaning != Meaning::Ok {
            return Err(self.refused(&answer, Some(target)).with_task_id(&target.id));
        }
        if answer.body.trim_ascii().is_empty() {
            // Accepted, and nothing said.
            return Ok(Task::unseen(&target.id, target.reference()));
        }
        Ok(self.finish(self.read_task(answer, target)?, target, self.base.url_of_api()))
    }

    /// The task in the body of a success.
    fn read_task(&self, answer: Answer, target: &Target) -> Result<Reading> {
        let Answer { body, key, date, .. } = answer;
        let reading = text(body).and_then(|body| self.dialect().read_look(body));
        let reading = reading.map_err(|error| self.named(&error, error.status(), &key).with_task_id(&target.id))?;
        self.set_clock(date, &reading.task);
        Ok(reading)
    }

    /// Learns the service's time where its links have an end.
    fn set_clock(&self, date: Option<HttpDate>, task: &Task) {
        if task.images.iter().any(|image| image.expires_at > 0)
            && let Some(date) = date.as_ref()
            && let Ok(time_of_day) = date[17..25].try_into().map(u64::from_ne_bytes)
            // Looks come many a second, and to read a date costs a thousand instructions.
            && self.told_time.swap(time_of_day, Relaxed) != time_of_day
            && let Ok(date) = std::str::from_utf8(date)
            && let Some(date) =
                httpdate::parse_http_date(date).ok().and_then(|date| date.duration_since(UNIX_EPOCH).ok())
        {
            // Whole seconds, cut off.
            let date_ms = i64::try_from(date.as_millis()).unwrap_or(i64::MAX).saturating_add(500);
            self.ahead_ms.store(date_ms.saturating_sub(unix_ms()), Relaxed);
        }
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
    fn look_answer(&self, target: &Target, call: &Call, leave: Leave) -> Result<Answer> {
        let mut leave = Some(leave);
        let paths = self.dialect().poll_paths_len();
        let preferred = self.poll_path.load(Relaxed).min(paths.saturating_sub(1));
        let order = std::iter::once(preferred).chain((0..paths).filter(|index| *index != preferred));
        let mut first_refusal = None;
        for index in order {
            let mut outgoing = self.dialect().look(index, &target.id);
            let url = match &target.place {
                Place::Id => self.base.url(&outgoing.path)?,
                Place::Path(path) => self.base.url(path)?,
                Place::Address(url) => url.clone(),
            };
            outgoing.path.clear();
            self.counters.looks.fetch_add(1, Relaxed);
            let leave = match leave.take() {
                Some(leave) => leave,
                None => self.admit(&call.stop, call.deadline.saturating_duration_since(Instant::now()))?,
            };
            let answer = self.exchange(&outgoing, &url, call, leave).map_err(|failed| failed.error)?;
            if answer.meaning == Meaning::Ok {
                if index != preferred {
                    self.poll_path.store(index, Relaxed);
                }
                return Ok(answer);
            }
            let refusal = self.refused(&answer, Some(target));
            let other_path_may_know = matches!(target.place, Place::Id)
                && (answer.status == 405
                    || answer.status == 404 && !self.dialect().read_refusal(&answer.body).not_found);
            if !other_path_may_know {
                return Err(refusal);
            }
            first_refusal.get_or_insert(refusal);
        }
        Err(first_refusal.unwrap_or_else(|| Error::new(Status::Unsupported, "the dialect has no poll path")))
    }

    /// Where looks at `target` are answered.
    fn origin<'a>(&'a self, target: &'a Target) -> &'a Url {
        match &target.place {
            Place::Address(url) => url,
            Place::Id | Place::Path(_) => self.base.url_of_api(),
        }
    }

    /// The task as it is handed out: seen now, with absolute links only, and with a reference that works. A relative link
    /// belongs to the origin that wrote it, which is that of `from`.
    fn finish(&self, reading: Reading, target: &Target, from: &Url) -> Task {
        let mut task = reading.task;
        task.looked_at_ms = unix_ms();
        task.images.retain_mut(|image| match &mut image.link {
            Link::Url(link) => match image::resolve(link, from) {
                Ok(absolute) => {
                    *link = absolute;
                    true
                }
                Err(reason) => {
                    let id = self.words(&task.id, MAX_WORD);
                    let line = || format!("{}: a link of task {id} {reason}", self.title());
                    self.log.line(LogLevel::Warn, line);
                    false
                }
            },
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
        if task.state == State::Succeeded && task.images.is_empty() {
            task.images.extend(self.content_url(&task.id).map(Image::at));
        }
        if !task.poll_ref.is_empty() {
            match self.base.target(self.dialect(), &task.poll_ref) {
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

/// By this machine's clock.
pub(crate) fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn text(body: Vec<u8>) -> Result<String> {
    String::from_utf8(body).map_err(|_| Error::new(Status::BadResponse, "the answer is not UTF-8 text"))
}

fn longer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.max(b)
}
