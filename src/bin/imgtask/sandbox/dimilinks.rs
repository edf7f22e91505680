//! DimiLinks' answers: the unified and the legacy task route, create and edit, image links, errors.
//!
//! Shapes as documented; in the words of the server where a message has to be invented.

use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::{Answer, Body};
use super::gateway::{Call, Refusal};
use super::http::Request;
use super::order::{self, Invalid};
use super::pictures::Canvas;
use super::store::{Fate, Moment, State, Task};

/// References of a create go by many names.
const REFERENCE_MEMBERS: [&str; 7] =
    ["image_urls", "reference_images", "images", "image", "image_url", "input_image", "input_images"];

/// What a create asks for.
pub(super) struct Wish {
    pub(super) canvas: Canvas,
    pub(super) count: usize,
    pub(super) asynchronous: bool,
    /// Base64 in the answer instead of a link.
    pub(super) b64: bool,
}

/// Whether the old relay's shape is asked for; it implies an asynchronous answer, and numbers as error codes.
pub(super) fn wants_apimart(request: &Request<'_>) -> bool {
    let named = |value: &str| value.trim().eq_ignore_ascii_case("apimart");
    let by_query = ["compat", "response_schema", "schema", "format"]
        .iter()
        .any(|name| request.query(name).is_some_and(|value| named(&value)));
    let by_header = ["x-response-format", "x-api-format", "x-compat-mode"]
        .iter()
        .any(|name| request.header(name).is_some_and(named));
    by_query || by_header || request.query("apimart").and_then(|word| order::truth_word(&word)) == Some(true)
}

/// Reads a create, or an edit, which is synchronous only.
pub(super) fn wish(request: &Request<'_>, members: &Map<String, Value>, edit: bool) -> Result<Wish, Invalid> {
    let canvas = order::canvas(members, &["resolution", "image_size", "scale", "upscale", "quality"])?;
    let count = order::count(members, 4)?;
    let references = REFERENCE_MEMBERS.iter().filter_map(|name| members.get(*name));
    if edit {
        let is_image = |name: &String| {
            name == "image" || name == "images" || name == "image[]" || name == "images[]" || name.starts_with("image_")
        };
        if !members.keys().any(is_image) {
            return Err(Invalid { member: "image", message: "参考图不能为空".into() });
        }
    } else if references.flat_map(flat).any(|reference| !is_reference(reference)) {
        return Err(Invalid { member: "image_urls", message: "参考图解析失败".into() });
    }
    let asked = [
        request.query("async").and_then(|word| order::truth_word(&word)),
        request.query("wait_for_result").and_then(|word| order::truth_word(&word)).map(|wait| !wait),
        members.get("wait_for_result").and_then(order::truth).map(|wait| !wait),
        request.header("prefer").map(|value| value.to_ascii_lowercase().contains("respond-async")),
        Some(wants_apimart(request)),
    ];
    let asynchronous = !edit && asked.contains(&Some(true));
    let b64 = members.get("response_format").and_then(Value::as_str) == Some("b64_json");
    Ok(Wish { canvas, count, asynchronous, b64 })
}

/// The strings within a value, however they are listed.
fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        Value::Object(members) => members.values().filter(|value| value.is_string()).collect(),
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

/// A reference is an HTTP(S) URL, a data URL or bare base64.
fn is_reference(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&byte);
    ["http://", "https://", "data:image/"].iter().any(|scheme| text.starts_with(scheme))
        || (text.len() >= 16 && text.bytes().all(base64))
}

#[derive(Serialize)]
struct Accepted<'a> {
    created: u64,
    task_id: &'a str,
    data: [(); 0],
}

#[derive(Serialize)]
struct AcceptedApimart<'a> {
    code: u16,
    data: [SubmittedApimart<'a>; 1],
}

#[derive(Serialize)]
struct SubmittedApimart<'a> {
    status: &'static str,
    task_id: &'a str,
}

/// The answer to an asynchronous create.
pub(super) fn accepted(task: &Task, apimart: bool) -> Answer {
    if apimart {
        let data = [SubmittedApimart { status: "submitted", task_id: &task.id }];
        return Answer::json(200, &AcceptedApimart { code: 200, data });
    }
    Answer::json(200, &Accepted { created: task.created_ms / 1000, task_id: &task.id, data: [] })
}

#[derive(Serialize)]
struct Picture {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64_json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<String>,
}

#[derive(Serialize)]
struct Finished<'a> {
    created: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    data: Vec<Picture>,
}

/// The answer to a synchronous create whose work is done.
pub(super) fn finished(call: &Call<'_>, task: &Task, b64: bool) -> Answer {
    match task.now().fate {
        Some(Fate::Failure { code, message }) => failure(&code, &message),
        Some(Fate::Cancelled) => failure("interrupted", "任务已取消"),
        Some(Fate::Success) | None => {
            let data = if b64 {
                let encoded = (0..task.plan.count).map(|index| call.base64(task, index));
                encoded.map(|text| Picture { url: None, b64_json: Some(text), file_id: None }).collect()
            } else {
                pictures(call, task)
            };
            Answer::json(200, &Finished { created: task.created_ms / 1000, task_id: Some(&task.id), data })
        }
    }
}

/// A failed synchronous create is an HTTP error.
fn failure(code: &str, message: &str) -> Answer {
    let (status, kind) = match code {
        "content_moderation" | "invalid_reference_image" => (400, "invalid_request_error"),
        _ => (502, "service_unavailable"),
    };
    envelope(status, message, kind, code, false)
}

fn pictures(call: &Call<'_>, task: &Task) -> Vec<Picture> {
    let picture = |index| Picture {
        url: Some(call.gateway.links.mint(&task.id, index, super::unix_ms())),
        b64_json: None,
        file_id: Some(format!("file_{}{index:02}", task.id.trim_start_matches("img_"))),
    };
    (0..task.plan.count).map(picture).collect()
}

#[derive(Serialize)]
struct Unified<'a> {
    id: &'a str,
    task_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'static str>,
    status: &'static str,
    progress: u8,
    created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Finished<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TaskError<'a>>,
}

#[derive(Serialize)]
struct TaskError<'a> {
    code: &'a str,
    message: &'a str,
}

/// The video route's wrapping.
#[derive(Serialize)]
struct Wrapped<'a> {
    data: Unified<'a>,
}

/// The answer of `GET /v1/tasks/{id}`.
pub(super) fn look(call: &Call<'_>, task: &Task, moment: &Moment) -> Answer {
    let video = task.plan.is_video;
    let created = task.created_ms / 1000;
    let (status, progress) = match (moment.state, &moment.fate) {
        (State::Queued | State::Dispatched, _) => ("queued", 0),
        (State::Running, _) if video => ("processing", moment.percent),
        (State::Running, _) => ("in_progress", 50),
        (State::Finished, Some(Fate::Success)) if video => ("completed", 100),
        (State::Finished, Some(Fate::Success)) => ("succeeded", 100),
        (State::Finished, Some(Fate::Cancelled)) if video => ("cancelled", 100),
        (State::Finished, _) => ("failed", 100),
    };
    let error = match &moment.fate {
        Some(Fate::Failure { code, message }) => Some(TaskError { code, message }),
        Some(Fate::Cancelled) => Some(TaskError { code: "interrupted", message: "任务已取消" }),
        _ => None,
    };
    // A finished video carries no address here.
    let result =
        (moment.succeeded() && !video).then(|| Finished { created, task_id: None, data: pictures(call, task) });
    let unified = Unified {
        id: &task.id,
        task_id: &task.id,
        object: (!video).then_some("image.task"),
        status,
        progress,
        created_at: created,
        completed_at: moment.is_finished().then_some(moment.changed_at),
        result,
        error,
    };
    if video { Answer::json(200, &Wrapped { data: unified }) } else { Answer::json(200, &unified) }
}

/// The bytes of a finished video: the beginning of an MP4, which is all that tells one.
pub(super) fn video(task: &Task, moment: &Moment) -> Answer {
    if !task.plan.is_video || !moment.succeeded() {
        return refuse(&Refusal::UnknownTask, false);
    }
    let mut bytes = b"\0\0\0\x1cftypisom\0\0\x02\0isomiso2mp41".to_vec();
    // A box of the kind that players skip.
    bytes.extend(u32::try_from(task.plan.prompt.len() + 8).unwrap_or(8).to_be_bytes());
    bytes.extend(b"free");
    bytes.extend(task.plan.prompt.as_bytes());
    Answer::with_body(200, "video/mp4", Body::Own(bytes))
}

#[derive(Serialize)]
struct Legacy<'a> {
    task_id: &'a str,
    status: &'static str,
    conversation_id: String,
    created: u64,
    finished_at: u64,
    error: String,
    credit_cost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<&'static str>,
    data: Vec<Picture>,
    #[serde(flatten)]
    reasons: Option<Reasons<'a>>,
}

/// The same reason under all its names.
#[derive(Serialize)]
struct Reasons<'a> {
    error_code: &'a str,
    error_message: &'a str,
    error_msg: &'a str,
    message: &'a str,
    failure_reason: &'a str,
    failed_reason: &'a str,
    fail_reason: &'a str,
    error_detail: &'a str,
}

/// The answer of `GET /v1/images/tasks/{id}`.
pub(super) fn look_legacy(call: &Call<'_>, task: &Task, moment: &Moment) -> Answer {
    let status = match (moment.state, &moment.fate) {
        (State::Queued, _) => "queued",
        (State::Dispatched, _) => "dispatched",
        (State::Running, _) => "running",
        (State::Finished, Some(Fate::Success)) => "success",
        (State::Finished, _) => "failed",
    };
    let failure = match &moment.fate {
        Some(Fate::Failure { code, message }) => Some((code.as_str(), message.as_str())),
        Some(Fate::Cancelled) => Some(("interrupted", "任务已取消")),
        _ => None,
    };
    let started = !matches!(moment.state, State::Queued | State::Dispatched);
    let name = task.id.trim_start_matches("img_");
    let legacy = Legacy {
        task_id: &task.id,
        status,
        conversation_id: if started && failure.is_none() { format!("conv_{name}") } else { String::new() },
        created: task.created_ms / 1000,
        finished_at: if moment.is_finished() { moment.changed_at } else { 0 },
        error: failure.map(|(code, message)| format!("{code}: {message}")).unwrap_or_default(),
        credit_cost: if moment.succeeded() { 123 } else { 0 },
        resolution: failure.map(|_| "1k"),
        data: if moment.succeeded() { pictures(call, task) } else { Vec::new() },
        reasons: failure.map(|(code, message)| Reasons {
            error_code: code,
            error_message: message,
            error_msg: message,
            message,
            failure_reason: message,
            failed_reason: message,
            fail_reason: message,
            error_detail: message,
        }),
    };
    Answer::json(200, &legacy)
}

/// The words of a failed task.
pub(super) fn message_for(code: &str) -> &'static str {
    match code {
        "content_moderation" => "内容未通过安全审核",
        "no_available_account" => "暂无可用账号",
        "poll_timeout" => "生成超时",
        "interrupted" => "服务重启，任务中断，请重新提交",
        "rate_limited" => "上游限流",
        "reference_image_too_large" => "参考图过大",
        "download_failed" => "图片下载失败",
        _ => "上游返回错误",
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    code: Value,
}

fn envelope(status: u16, message: &str, kind: &str, code: &str, apimart: bool) -> Answer {
    let code = if apimart { Value::from(status) } else { Value::from(code) };
    Answer::json(status, &Envelope { error: ErrorBody { message, kind, code } })
}

/// A refused request.
pub(super) fn refuse(refusal: &Refusal, apimart: bool) -> Answer {
    let (status, message, kind, code) = match refusal {
        Refusal::MissingKey => (401, "缺少 API Key", "authentication_error", "missing_api_key"),
        Refusal::InvalidKey => (401, "API Key 无效", "authentication_error", "invalid_api_key"),
        Refusal::UnknownTask => (404, "任务不存在", "invalid_request_error", "not_found"),
        Refusal::UnknownRoute => (404, "接口不存在", "invalid_request_error", "not_found"),
        Refusal::NoPrompt => (400, "prompt 不能为空", "invalid_request_error", "invalid_request_error"),
        Refusal::Unreadable => (400, "请求体解析失败", "invalid_request_error", "invalid_request_error"),
        Refusal::Invalid(Invalid { member: "image" | "image_urls", message }) => {
            (400, message.as_str(), "invalid_request_error", "invalid_reference_image")
        }
        Refusal::Invalid(invalid) => (400, invalid.message.as_str(), "invalid_request_error", "invalid_request_error"),
        // No Retry-After is documented here.
        Refusal::Limited(_) => return refuse(&Refusal::Status(429), apimart),
        Refusal::TooSlow => (503, "生成超时", "service_unavailable", "poll_timeout"),
        Refusal::Status(status) => {
            let (message, kind, code) = for_status(*status);
            (*status, message, kind, code)
        }
    };
    envelope(status, message, kind, code, apimart)
}

fn for_status(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        401 => ("API Key 无效", "authentication_error", "invalid_api_key"),
        402 => ("余额不足", "payment_required", "insufficient_balance"),
        403 => ("当前 API Key 无权调用模型", "invalid_request_error", "model_not_allowed"),
        404 => ("任务不存在", "invalid_request_error", "not_found"),
        429 => ("触发每分钟请求数限制 (RPM),请稍后再试", "rate_limit_error", "rate_limit_rpm"),
        500 => ("查询任务失败", "server_error", "internal_error"),
        502 => ("上游返回错误", "service_unavailable", "upstream_error"),
        503 => ("上游暂时不可用，请稍后再试", "service_unavailable", "service_unavailable"),
        400..500 => ("请求参数错误", "invalid_request_error", "invalid_request_error"),
        _ => ("上游返回错误", "service_unavailable", "upstream_error"),
    }
}
