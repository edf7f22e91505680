//! What helps to write a dialect: its JSON Schema, everything that is wrong with a document, how an answer is read and from
//! where. Feature `dialect-tools`.

use std::time::Duration;

use super::describe::{self, Described};
use super::reading::fails_the_task;
use super::{Dialect, Meaning, Outgoing, Reading, trace};
use crate::error::{Error, Status};
use crate::task::{Image, State, Task};

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer to the member, "" for the document itself.
    pub pointer: String,
    /// What is wrong with it, or what would be right; never the value that stands there.
    pub message: String,
}

/// An answer of a service, as its pages show it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its HTTP status.
    pub http_status: u16,
    /// Its body.
    pub body: &'a str,
    /// Whether it answers a submit; otherwise a look.
    pub to_submit: bool,
    /// The body of the second answer, in which the images are, for services that keep them apart.
    pub result: Option<&'a str>,
    /// The HTTP status of that second answer. 400 and 422 are the failure of the task.
    pub result_http_status: u16,
}

/// How an answer is read.
#[derive(Debug)]
pub struct Trial {
    /// What its HTTP status means: `ok`, `gone`, `rate_limited`, `retry` or `stop`.
    pub meaning: &'static str,
    /// The task, or why there is none.
    pub task: Result<Task, Error>,
    /// How long the body asks to wait.
    pub wait: Option<Duration>,
    /// Whether the status is a word that neither the dialect nor the shared vocabulary knows: the task is looked at again.
    pub unknown_word: bool,
    /// Whether the task succeeded without an image although the dialect names images: a wait looks again, then fails.
    pub without_image: bool,
    /// The address of the second answer, in which the images are, "" for services that do not keep them apart.
    pub result: String,
    /// Each value that was read, by its name in a task, and the pointer that it came from, in the order of the task's
    /// members. `images/0` and so on for the links of images.
    pub from: Vec<(String, String)>,
}

/// A request as it would be sent, but for the host and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `submit`, `look` or `cancel`.
    pub name: &'static str,
    /// `GET` and so on.
    pub method: &'static str,
    /// Path and query on the API's origin.
    pub path: String,
    /// Every header that the dialect adds. That of the key has `<key>` in its place.
    pub headers: Vec<(String, String)>,
    /// The JSON body, where there is one.
    pub body: Option<String>,
}

/// A dialect as its author sees it.
#[derive(Debug)]
pub struct Draft(Dialect);

/// The JSON Schema of dialect documents, draft 2020-12.
pub fn schema() -> String {
    format!("{:#}\n", describe::json_schema())
}

/// Every member of a dialect document as Markdown tables.
pub fn members() -> String {
    describe::table()
}

/// The document of a built-in provider.
pub fn document(provider: &str) -> Option<&'static str> {
    Dialect::builtin_document(provider)
}

impl Draft {
    /// Reads a document.
    ///
    /// # Errors
    /// Everything that is wrong with it, at most a hundred faults.
    pub fn parse(json: &str) -> Result<Draft, Vec<Fault>> {
        let public = |fault: super::Fault| Fault { pointer: fault.pointer, message: fault.message };
        Dialect::compile(json).map(Draft).map_err(|faults| faults.into_iter().map(public).collect())
    }

    /// Its name, as `provider` would name it.
    pub fn name(&self) -> &str {
        &self.0.profile.name
    }

    /// The service's name for people.
    pub fn title(&self) -> &str {
        &self.0.profile.title
    }

    /// The document with every default written out.
    pub fn complete(&self) -> String {
        format!("{:#}\n", self.0.profile.json())
    }

    /// What is no fault and may still not be meant.
    pub fn notes(&self) -> Vec<&'static str> {
        let profile = &self.0.profile;
        let documented = profile.confidence == super::Confidence::Documented;
        let plain_http = profile.base_url.as_ref().is_some_and(|url| url.starts_with("http://"));
        let notes = [
            (profile.base_url.is_none(), "no base_url: whoever uses it has to give the address of the API"),
            (plain_http, "base_url is plain http: a client takes it on this machine only, or with allow_plain_http"),
            (profile.submit.is_none(), "no submit: tasks can be looked at, not submitted"),
            (profile.read.images.items.is_empty(), "no read.images.items: a task that succeeded has no images"),
            (documented && profile.sources.is_empty(), "documented, but sources does not say where"),
        ];
        notes.into_iter().filter(|(is_so, _)| *is_so).map(|(_, note)| note).collect()
    }

    /// What would be sent: the submit of this JSON, a look at the task of this id and its cancel, as far as the service has them.
    ///
    /// # Errors
    /// `InvalidArgument` for JSON that cannot be submitted and for an id that can be none.
    pub fn requests(&self, submit: &str, id: &str) -> Result<Vec<Request>, Error> {
        let dialect = &self.0;
        dialect.check_id(id)?;
        let submit = dialect.profile.submit.as_ref().map(|_| dialect.submit(submit)).transpose()?;
        let all = [("submit", submit), ("look", Some(dialect.look(0, id))), ("cancel", dialect.cancel(id))];
        Ok(all.into_iter().filter_map(|(name, outgoing)| Some(self.request(name, outgoing?))).collect())
    }

    fn request(&self, name: &'static str, outgoing: Outgoing) -> Request {
        let auth = &self.0.profile.auth;
        let key = (auth.header.to_string(), format!("{}<key>", &*auth.prefix));
        Request {
            name,
            method: outgoing.method.name(),
            path: outgoing.path,
            headers: [key].into_iter().chain(outgoing.headers).collect(),
            body: outgoing.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        }
    }

    /// Reads an answer as a client would.
    pub fn read(&self, answer: Answer<'_>) -> Trial {
        let dialect = &self.0;
        // The dialect's own meanings are for looks.
        let meaning =
            if answer.to_submit { Meaning::of(answer.http_status) } else { dialect.meaning(answer.http_status) };
        let mut trial = Trial {
            meaning: meaning.name(),
            task: Ok(Task::unseen("", "")),
            wait: None,
            unknown_word: false,
            without_image: false,
            result: String::new(),
            from: Vec::new(),
        };
        if meaning != Meaning::Ok {
            let refusal = dialect.read_refusal(answer.body.as_bytes());
            let status = match refusal.status(meaning, answer.http_status) {
                Status::NotFound if answer.to_submit => Status::Rejected,
                status => status,
            };
            trial.wait = refusal.retry_after;
            trial.from = trace::refusal(dialect, answer.body);
            trial.task = Err(refusal.into_error(status).with_http_status(answer.http_status));
            return trial;
        }
        let body = answer.body.to_owned();
        let reading = if answer.to_submit { dialect.read_submit(body) } else { dialect.read_look(body) };
        match reading {
            Ok(reading) => trial.take(dialect, reading, &answer),
            Err(error) => trial.task = Err(error.with_http_status(answer.http_status)),
        }
        trial
    }
}

impl Trial {
    fn take(&mut self, dialect: &Dialect, mut reading: Reading, answer: &Answer<'_>) {
        self.from = trace::task(dialect, &reading.task, answer.body);
        if let Some(body) = answer.result.filter(|_| !reading.result.is_empty()) {
            let http_status = answer.result_http_status;
            match Meaning::of(http_status) {
                Meaning::Ok => {
                    if let Err(error) = dialect.read_result(&mut reading, body.to_owned()) {
                        self.task = Err(error);
                        return;
                    }
                    self.from.extend(trace::images(dialect, &reading.task, body));
                }
                _ if fails_the_task(http_status) => {
                    dialect.read_failed_result(&mut reading, body.as_bytes());
                    let second = |(name, pointer): (String, String)| {
                        (
                            name.replace("error/", "failure/").replace("provider_code", "code"),
                            format!("second answer: {pointer}"),
                        )
                    };
                    self.from.extend(trace::refusal(dialect, body).into_iter().map(second));
                }
                meaning => {
                    let refusal = dialect.read_refusal(body.as_bytes());
                    let status = refusal.status(meaning, http_status);
                    self.task = Err(refusal.into_error(status).with_http_status(http_status));
                    return;
                }
            }
        }
        let mut task = reading.task;
        let done = task.state == State::Succeeded && task.images.is_empty();
        match dialect.content(&task.id).filter(|_| done) {
            Some(path) => {
                task.images.push(Image::at(path));
                self.from.push(("images/0".to_owned(), "the dialect's content".to_owned()));
            }
            None => {
                let is_whole = reading.result.is_empty() || answer.result.is_some();
                self.without_image = done && reading.names_images && is_whole;
            }
        }
        self.wait = reading.wait_hint;
        self.unknown_word = reading.unknown_word;
        self.result = reading.result;
        self.task = Ok(task);
    }
}
