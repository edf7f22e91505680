//! Other services' shapes, one entry of a table each: how they are asked, and what they answer.
//!
//! They are served at the open door below `/as/NAME`, for the key of everything. What each entry writes is taken from the samples of
//! `tests/data`: an id in the query or in the body, a wrapped or a bare task, a list that is a JSON text, an address that is a list,
//! percent as text, an image in the body, a result at a second address. Refusals are in DimiLinks' words.

use serde_json::{Map, Value, json};

use super::http::Request;
use super::store::{Fate, State};

/// How one service is asked, and what it answers.
pub(super) struct Shape {
    /// The provider's name in imgtask.
    pub(super) name: &'static str,
    /// The variable that its key is read from.
    pub(super) key_variable: &'static str,
    /// The header of the key, and what stands before it.
    key: (&'static str, &'static str),
    /// Where a create goes. `*` stands for any text.
    create: &'static str,
    /// Where a task is asked for.
    look: (&'static str, Ask),
    /// Where its result is, if that is another place.
    result: &'static str,
    accepted: fn(&Seen<'_>) -> Value,
    seen: fn(&Seen<'_>) -> Value,
}

/// How a look names its task.
#[derive(Clone, Copy)]
enum Ask {
    /// By `{id}` in the path.
    Path,
    /// By this member of the query.
    Query(&'static str),
    /// By this member of the body of a POST.
    Body(&'static str),
}

/// What is asked for.
pub(super) enum Wanted {
    Create,
    Task(String),
    Result(String),
    /// A picture of a task, by its place.
    Picture(String, String),
}

/// A task as an entry of the table sees it.
pub(super) struct Seen<'a> {
    pub(super) id: &'a str,
    /// Where the shape is served.
    pub(super) base: String,
    pub(super) state: State,
    pub(super) fate: Option<&'a Fate>,
    pub(super) percent: u8,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) changed: u64,
    pub(super) extension: &'static str,
    pub(super) count: usize,
    /// Whether the result is asked for, not the status.
    pub(super) result: bool,
    pub(super) base64: &'a dyn Fn(usize) -> String,
}

impl Seen<'_> {
    /// The word for where the task stands.
    fn word(&self, words: [&'static str; 4]) -> &'static str {
        match (self.state, self.fate) {
            (State::Queued | State::Dispatched, _) => words[0],
            (State::Running, _) => words[1],
            (State::Finished, Some(Fate::Success)) => words[2],
            (State::Finished, _) => words[3],
        }
    }

    fn succeeded(&self) -> bool {
        self.fate == Some(&Fate::Success)
    }

    /// Code and words of a failure.
    fn failure(&self) -> Option<(&str, &str)> {
        match self.fate {
            Some(Fate::Failure { code, message }) => Some((code, message)),
            Some(Fate::Cancelled) => Some(("cancelled", "cancelled")),
            _ => None,
        }
    }

    /// Links to the pictures, none before there are any.
    fn links(&self) -> Vec<String> {
        let link = |index| format!("{}/picture/{}/{index}.{}", self.base, self.id, self.extension);
        (0..if self.succeeded() { self.count } else { 0 }).map(link).collect()
    }
}

const BEARER: (&str, &str) = ("authorization", "Bearer ");

/// The services. A further one is one more entry.
pub(super) const SHAPES: [Shape; 7] = [
    // The result is a list in a JSON text; times in milliseconds.
    Shape {
        name: "kie",
        key_variable: "KIE_API_KEY",
        key: BEARER,
        create: "/api/v1/jobs/createTask",
        look: ("/api/v1/jobs/recordInfo", Ask::Query("taskId")),
        result: "",
        accepted: |task| json!({ "code": 200, "msg": "success", "data": { "taskId": task.id } }),
        seen: |task| {
            let (code, message) = task.failure().unwrap_or_default();
            let list = json!({ "resultUrls": task.links() }).to_string();
            json!({ "code": 200, "message": "success", "data": {
                "taskId": task.id, "state": task.word(["waiting", "generating", "success", "fail"]),
                "resultJson": if task.succeeded() { list } else { String::new() },
                "failCode": code, "failMsg": message,
                "createTime": task.created * 1000, "completeTime": if task.fate.is_some() { task.changed * 1000 } else { 0 },
            } })
        },
    },
    // The model is part of the address; one image, at an address of its own name.
    Shape {
        name: "bfl",
        key_variable: "BFL_API_KEY",
        key: ("x-key", ""),
        create: "/v1/*",
        look: ("/v1/get_result", Ask::Query("id")),
        result: "",
        accepted: |task| json!({ "id": task.id, "polling_url": format!("{}/v1/get_result?id={}", task.base, task.id) }),
        seen: |task| {
            let sample = task.links().into_iter().next().map(|link| json!({ "sample": link, "prompt": "a prompt" }));
            let details = task.failure().map(|(code, _)| json!({ "Moderation Reasons": [code] }));
            let status = task.word(["Pending", "Pending", "Ready", "Request Moderated"]);
            json!({ "id": task.id, "status": status, "result": sample, "details": details })
        },
    },
    // A look is a POST, and a task has no status.
    Shape {
        name: "acedata",
        key_variable: "ACEDATACLOUD_API_TOKEN",
        key: BEARER,
        create: "/nano-banana/images",
        look: ("/nano-banana/tasks", Ask::Body("id")),
        result: "",
        accepted: |task| json!({ "task_id": task.id }),
        seen: |task| {
            let data: Vec<Value> = task.links().iter().map(|link| json!({ "prompt": "", "image_url": link })).collect();
            let response = match (task.fate, task.failure()) {
                (None, _) => return json!({ "id": task.id, "request": {} }),
                (_, Some((code, message))) => {
                    json!({ "success": false, "error": { "code": code, "message": message } })
                }
                _ => json!({ "success": true, "task_id": task.id, "data": data }),
            };
            json!({ "id": task.id, "request": {}, "response": response })
        },
    },
    // Wrapped in data; the address of an image is a list.
    Shape {
        name: "apimart",
        key_variable: "APIMART_API_KEY",
        key: BEARER,
        create: "/v1/images/generations",
        look: ("/v1/tasks/{id}", Ask::Path),
        result: "",
        accepted: |task| json!({ "code": 200, "data": [{ "status": "submitted", "task_id": task.id }] }),
        seen: |task| {
            let mut data = json!({
                "id": task.id, "status": task.word(["pending", "processing", "completed", "failed"]),
                "progress": task.percent, "created": task.created, "estimated_time": 60,
            });
            if task.succeeded() {
                data["result"] = json!({ "images": [{ "url": task.links(), "expires_at": task.changed + 86_400 }] });
                data["completed"] = json!(task.changed);
            }
            if let Some((code, message)) = task.failure() {
                data["error"] = json!({ "code": code, "message": message });
            }
            json!({ "code": 200, "data": data })
        },
    },
    // Percent as text; a preview while it runs.
    Shape {
        name: "midjourney-proxy",
        key_variable: "MIDJOURNEY_PROXY_API_KEY",
        key: ("mj-api-secret", ""),
        create: "/mj/submit/imagine",
        look: ("/mj/task/{id}/fetch", Ask::Path),
        result: "",
        accepted: |task| json!({ "code": 22, "description": "排队中，前面还有1个任务", "result": task.id, "properties": {} }),
        seen: |task| {
            let preview = (task.state == State::Running).then(|| format!("{}/picture/preview", task.base));
            json!({
                "id": task.id, "action": "IMAGINE", "status": task.word(["SUBMITTED", "IN_PROGRESS", "SUCCESS", "FAILURE"]),
                "progress": format!("{}%", task.percent), "submitTime": task.created * 1000,
                "finishTime": task.fate.map(|_| task.changed * 1000),
                "imageUrl": task.links().into_iter().next().or(preview),
                "failReason": task.failure().map(|(_, message)| message),
            })
        },
    },
    // The image is in the body, beside items of other kinds.
    Shape {
        name: "openai-responses",
        key_variable: "OPENAI_API_KEY",
        key: BEARER,
        create: "/v1/responses",
        look: ("/v1/responses/{id}", Ask::Path),
        result: "",
        accepted: |task| response(task),
        seen: |task| response(task),
    },
    // The status at one address, the result at another, both with the application in them.
    Shape {
        name: "fal",
        key_variable: "FAL_KEY",
        key: ("authorization", "Key "),
        create: "/*",
        look: ("*/requests/{id}/status", Ask::Path),
        result: "*/requests/{id}",
        accepted: |task| queue_status(task),
        seen: |task| match task.failure() {
            _ if !task.result => queue_status(task),
            None => {
                let image = |link: &String| json!({ "url": link, "content_type": format!("image/{}", task.extension) });
                json!({ "images": task.links().iter().map(image).collect::<Vec<_>>(), "seed": 1 })
            }
            Some((code, message)) => json!({ "detail": [{ "msg": message, "type": code }] }),
        },
    },
];

fn response(task: &Seen<'_>) -> Value {
    let call = |index| {
        json!({ "id": format!("ig_{index}"), "type": "image_generation_call", "status": "completed",
                "revised_prompt": "A prompt", "result": (task.base64)(index) })
    };
    let mut output = vec![json!({ "id": "rs_1", "type": "reasoning", "summary": [] })];
    output.extend((0..task.count).map(call));
    json!({
        "id": task.id, "object": "response", "created_at": task.created, "model": "gpt-5", "background": true,
        "status": task.word(["queued", "in_progress", "completed", "failed"]),
        "error": task.failure().map(|(code, message)| json!({ "code": code, "message": message })),
        "output": if task.succeeded() { output } else { Vec::new() },
    })
}

fn queue_status(task: &Seen<'_>) -> Value {
    let at = format!("{}/app/requests/{}", task.base, task.id);
    let mut status = json!({
        "status": task.word(["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "COMPLETED"]), "request_id": task.id,
        "response_url": at, "status_url": format!("{at}/status"), "cancel_url": format!("{at}/cancel"),
    });
    if let Some((code, message)) = task.failure() {
        status["error"] = json!(message);
        status["error_type"] = json!(code);
    }
    status
}

impl Shape {
    /// The shape that a path is for, and the rest of the path.
    pub(super) fn of(path: &str) -> Option<(&'static Shape, &str)> {
        let rest = path.strip_prefix("/as/")?;
        let (name, _) = rest.split_once('/')?;
        let shape = SHAPES.iter().find(|shape| shape.name == name)?;
        Some((shape, &rest[name.len()..]))
    }

    /// What a request wants, by what is left of its path.
    pub(super) fn wanted(&self, request: &Request<'_>, path: &str) -> Option<Wanted> {
        if let Some(picture) = path.strip_prefix("/picture/") {
            let (id, name) = picture.split_once('/')?;
            return Some(Wanted::Picture(id.to_owned(), name.split('.').next().unwrap_or_default().to_owned()));
        }
        let (look, ask) = self.look;
        let id = match (ask, request.method) {
            (Ask::Path, "GET") => id_in(look, path),
            (Ask::Query(member), "GET") if path == look => request.query(member).map(|id| id.to_string()),
            (Ask::Body(member), "POST") if path == look => {
                let body: Map<String, Value> = serde_json::from_slice(request.body).unwrap_or_default();
                Some(body.get(member).and_then(Value::as_str).unwrap_or_default().to_owned())
            }
            _ => None,
        };
        if let Some(id) = id {
            return Some(Wanted::Task(id));
        }
        let result = (request.method == "GET" && !self.result.is_empty()).then(|| id_in(self.result, path)).flatten();
        match self.create.strip_suffix('*') {
            _ if result.is_some() => result.map(Wanted::Result),
            _ if request.method != "POST" => None,
            Some(head) => path.strip_prefix(head).filter(|rest| !rest.is_empty()).map(|_| Wanted::Create),
            None => (path == self.create).then_some(Wanted::Create),
        }
    }

    /// The key of a request.
    pub(super) fn key_of<'r>(&self, request: &Request<'r>) -> Option<&'r str> {
        let (header, before) = self.key;
        request.header(header)?.strip_prefix(before).filter(|key| !key.is_empty())
    }

    pub(super) fn accepted(&self, task: &Seen<'_>) -> Value {
        (self.accepted)(task)
    }

    pub(super) fn seen(&self, task: &Seen<'_>) -> Value {
        (self.seen)(task)
    }

    /// The members that say what to draw: at the top, or below `input`.
    pub(super) fn order<'m>(members: &'m Map<String, Value>) -> std::borrow::Cow<'m, Map<String, Value>> {
        match members.get("input") {
            Some(Value::Object(input)) => std::borrow::Cow::Borrowed(input),
            Some(Value::String(prompt)) => {
                std::borrow::Cow::Owned(members.clone().into_iter().chain([("prompt".into(), json!(prompt))]).collect())
            }
            _ => std::borrow::Cow::Borrowed(members),
        }
    }
}

/// The id in a path of the form; `*` before it stands for any text.
fn id_in(form: &str, path: &str) -> Option<String> {
    let (before, after) = form.split_once("{id}")?;
    let rest = match before.strip_prefix('*') {
        Some(before) => &path[path.rfind(before)? + before.len()..],
        None => path.strip_prefix(before)?,
    };
    let id = rest.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then(|| id.to_owned())
}
