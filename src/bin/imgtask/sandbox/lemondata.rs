//! LemonData's answers: three status routes, create inline and as a task, cancel, errors.

use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::gateway::{Call, Refusal};
use super::order::{self, Invalid};
use super::pictures::Canvas;
use super::store::{Fate, Moment, State, Task};

/// What a create asks for.
pub(super) struct Wish {
    pub(super) canvas: Canvas,
    pub(super) count: usize,
    pub(super) asynchronous: bool,
    pub(super) b64: bool,
    pub(super) model: String,
}

/// Reads a create or an edit.
pub(super) fn wish(members: &Map<String, Value>) -> Result<Wish, Invalid> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    Ok(Wish {
        canvas: order::canvas(members, &["resolution"])?,
        count: order::count(members, 10)?,
        asynchronous: members.get("async").and_then(order::truth) == Some(true),
        b64: text("response_format") == Some("b64_json"),
        model: text("model").filter(|model| !model.is_empty()).unwrap_or("dall-e-3").to_owned(),
    })
}

#[derive(Serialize, Default)]
struct Picture<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64_json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revised_prompt: Option<&'a str>,
}

#[derive(Serialize)]
struct Inline<'a> {
    created: u64,
    data: Vec<Picture<'a>>,
}

/// One document serves every route: members that a route does not show stay away.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    task_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_url: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_transaction_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<Picture<'a>>>,
}

/// The answer to an asynchronous create.
pub(super) fn accepted(task: &Task) -> Answer {
    let first = task.plan.first_shape;
    let document = Document {
        created: Some(task.created_ms / 1000),
        id: (!first).then_some(&task.id),
        poll_url: Some(poll_url(task)),
        status: "pending",
        data: Some(if first { vec![placeholder(task)] } else { Vec::new() }),
        ..blank(task)
    };
    Answer::json(200, &document).header("X-Task-ID", &*task.id)
}

/// The answer to a create that answers inline, when the work is done.
pub(super) fn finished(call: &Call<'_>, task: &Task, b64: bool) -> Answer {
    if let Some(Fate::Failure { code, message }) = task.now().fate {
        let status = if code == "content_moderation" || code == "content_policy_violation" { 400 } else { 502 };
        let kind = if status == 400 { "invalid_request_error" } else { "upstream_error" };
        return envelope(status, ErrorBody { code: Some(&code), ..ErrorBody::new(&message, kind) }, None);
    }
    let mut data = pictures(call, task);
    if b64 {
        for (index, picture) in data.iter_mut().enumerate() {
            *picture = Picture { b64_json: Some(call.base64(task, index)), ..Picture::default() };
        }
    }
    let answer = Answer::json(200, &Inline { created: task.created_ms / 1000, data });
    answer.header("X-Billing-Transaction-ID", billing_id(task))
}

/// The answer of `GET /v1/images/generations/{id}`, the first status route: no `id`, no `poll_url`.
pub(super) fn look_generation(call: &Call<'_>, task: &Task, moment: &Moment) -> Answer {
    let full = document(call, task, moment, true);
    let slim = Document {
        id: None,
        poll_url: None,
        progress: None,
        model: None,
        updated: None,
        billing_transaction_id: None,
        ..full
    };
    with_headers(Answer::json(200, &slim), task, moment)
}

/// The answer of `GET /v1/tasks/{id}` and `GET /v1/images/{id}`.
pub(super) fn look(call: &Call<'_>, task: &Task, moment: &Moment) -> Answer {
    with_headers(Answer::json(200, &document(call, task, moment, false)), task, moment)
}

fn with_headers(answer: Answer, task: &Task, moment: &Moment) -> Answer {
    let answer = answer.header("X-Task-ID", &*task.id);
    if moment.succeeded() { answer.header("X-Billing-Transaction-ID", billing_id(task)) } else { answer }
}

fn document<'a>(call: &Call<'_>, task: &'a Task, moment: &'a Moment, placeholder_while_running: bool) -> Document<'a> {
    let known = Document {
        created: Some(task.created_ms / 1000),
        id: (!task.plan.first_shape).then_some(&*task.id),
        poll_url: Some(poll_url(task)),
        ..blank(task)
    };
    let running = Document { model: Some(&task.plan.model), updated: Some(moment.changed_at), ..blank(task) };
    match (moment.state, &moment.fate) {
        (State::Queued | State::Dispatched, _) => {
            Document { status: "pending", data: Some(vec![placeholder(task)]), ..known }
        }
        (State::Running, _) => Document {
            status: "processing",
            progress: Some(moment.percent),
            model: running.model,
            updated: running.updated,
            data: Some(if placeholder_while_running { vec![placeholder(task)] } else { Vec::new() }),
            ..known
        },
        (State::Finished, Some(Fate::Success) | None) => Document {
            status: "completed",
            model: running.model,
            updated: running.updated,
            billing_transaction_id: Some(billing_id(task)),
            data: Some(pictures(call, task)),
            ..known
        },
        (State::Finished, Some(Fate::Failure { message, .. })) => {
            Document { status: "failed", error: Some(message), data: Some(Vec::new()), ..known }
        }
        (State::Finished, Some(Fate::Cancelled)) => Document {
            created: None,
            status: "failed",
            cancelled: Some(true),
            cancellation_status: Some("cancelled"),
            error: Some("Task cancelled before execution"),
            ..known
        },
    }
}

fn blank(task: &Task) -> Document<'_> {
    Document {
        created: None,
        id: None,
        task_id: &task.id,
        poll_url: None,
        status: "pending",
        cancelled: None,
        cancellation_status: None,
        progress: None,
        model: None,
        updated: None,
        billing_transaction_id: None,
        error: None,
        data: None,
    }
}

fn poll_url(task: &Task) -> String {
    let path = if task.plan.first_shape { "/v1/images/generations/" } else { "/v1/tasks/" };
    format!("{path}{}", task.id)
}

fn placeholder(task: &Task) -> Picture<'_> {
    Picture { url: Some(String::new()), b64_json: None, revised_prompt: Some(&task.plan.prompt) }
}

fn pictures<'a>(call: &Call<'_>, task: &'a Task) -> Vec<Picture<'a>> {
    let picture = |index| Picture {
        url: Some(call.cdn_link(task, index)),
        b64_json: None,
        revised_prompt: Some(&task.plan.prompt),
    };
    (0..task.plan.count).map(picture).collect()
}

fn billing_id(task: &Task) -> String {
    format!("txn_{}", task.id.rsplit('_').next().unwrap_or_default())
}

/// Whether an id has the form that `GET /v1/images/{id}` takes.
pub(super) fn is_public_id(id: &str) -> bool {
    id.strip_prefix("ldtask_").is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The answer of `DELETE /v1/tasks/{id}`.
pub(super) fn cancel(call: &Call<'_>, task: &Task) -> Answer {
    if !task.plan.is_video {
        let text = "Task cancellation is not supported for this task.";
        let error =
            ErrorBody { code: Some("unsupported_task_cancel"), ..ErrorBody::new(text, "invalid_request_error") };
        return envelope(400, error, None);
    }
    let queued = matches!(task.now().state, State::Queued | State::Dispatched);
    if !queued || !task.finish(Fate::Cancelled) {
        let text = "Task is no longer cancellable.";
        let error = ErrorBody { code: Some("task_not_cancellable"), ..ErrorBody::new(text, "invalid_request_error") };
        return envelope(409, error, None);
    }
    look(call, task, &task.now())
}

/// The words of a failed task.
pub(super) fn message_for(code: &str) -> &str {
    match code {
        "content_moderation" | "content_policy_violation" => "Content policy violation",
        "upstream_error" => "The upstream provider returned an error",
        "timeout_error" => "The upstream provider timed out",
        "all_channels_failed" => "All channels failed",
        other => other,
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_errors: Option<[ValidationError<'a>; 1]>,
}

#[derive(Serialize)]
struct ValidationError<'a> {
    field: &'a str,
    message: &'a str,
}

#[derive(Serialize, Default)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestions: Option<[Suggestion; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct Suggestion {
    id: &'static str,
}

impl<'a> ErrorBody<'a> {
    fn new(message: &'a str, kind: &'a str) -> Self {
        Self { message, kind, ..Self::default() }
    }
}

fn envelope(status: u16, error: ErrorBody<'_>, validation: Option<ValidationError<'_>>) -> Answer {
    Answer::json(status, &Envelope { error, validation_errors: validation.map(|single| [single]) })
}

/// A refused request.
pub(super) fn refuse(refusal: &Refusal) -> Answer {
    let invalid = |member: &'static str, message: &str| {
        let text = format!("{member}: {message}");
        let error = ErrorBody { param: Some(member), ..ErrorBody::new(&text, "invalid_request_error") };
        envelope(400, error, Some(ValidationError { field: member, message }))
    };
    match refusal {
        Refusal::MissingKey | Refusal::InvalidKey => refuse(&Refusal::Status(401)),
        Refusal::UnknownTask => refuse(&Refusal::Status(404)),
        Refusal::UnknownRoute => envelope(404, ErrorBody::new("Not found", "invalid_request_error"), None),
        Refusal::NoPrompt => invalid("prompt", "Prompt is required"),
        Refusal::Unreadable => envelope(400, ErrorBody::new("Invalid request body", "invalid_request_error"), None),
        Refusal::Invalid(Invalid { member, message }) => invalid(member, message),
        Refusal::Limited(exceeded) => {
            let reset = super::unix_ms() / 1000 + exceeded.seconds();
            refuse(&Refusal::Status(429))
                .header("Retry-After", exceeded.seconds().to_string())
                .header("X-RateLimit-Limit", exceeded.most.to_string())
                .header("X-RateLimit-Remaining", "0")
                .header("X-RateLimit-Reset", reset.to_string())
        }
        Refusal::TooSlow => refuse(&Refusal::Status(504)),
        Refusal::Status(status) => envelope(*status, for_status(*status), None),
    }
}

fn for_status(status: u16) -> ErrorBody<'static> {
    let coded = |message, kind, code| ErrorBody { code: Some(code), ..ErrorBody::new(message, kind) };
    match status {
        401 => ErrorBody::new("Invalid API key provided", "invalid_api_key"),
        402 => {
            let text = "Insufficient balance: need ~$0.3500 for gpt-image-2, but balance is $0.1200.";
            ErrorBody {
                balance_usd: Some(0.12),
                estimated_cost_usd: Some(0.35),
                suggestions: Some([Suggestion { id: "flux-schnell" }, Suggestion { id: "flux-dev" }]),
                hint: Some("Try a cheaper model or add balance."),
                ..coded(text, "insufficient_balance", "insufficient_balance")
            }
        }
        403 => coded("You don't have permission to access this model", "access_denied", "model_not_allowed"),
        404 => coded("Task not found or no longer available.", "invalid_request_error", "async_task_not_found"),
        413 => coded("Input size exceeds maximum allowed", "invalid_request_error", "payload_too_large"),
        429 => coded("Rate limit exceeded. Please retry later.", "rate_limit_error", "rate_limit_exceeded"),
        502 => ErrorBody::new("The upstream provider returned an error", "upstream_error"),
        503 => ErrorBody::new("All channels failed", "all_channels_failed"),
        504 => ErrorBody::new("The upstream provider timed out", "timeout_error"),
        400..500 => ErrorBody::new("Invalid request", "invalid_request_error"),
        _ => ErrorBody::new("An internal error occurred", "server_error"),
    }
}
