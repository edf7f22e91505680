//! The control routes below `/sandbox`: no key, JSON in and out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::answer::Answer;
use super::catalogue;
use super::gateway::{Call, Gateway, Route};
use super::http::Request;
use super::scenario::Rule;
use super::store::{Fate, State, Task};
use super::{Service, create, dimilinks, lemondata, order};

/// Answers a control request.
pub(super) fn answer(gateway: &Gateway, request: &Request<'_>) -> Answer {
    let path = request.path.trim_start_matches("/sandbox").trim_matches('/');
    let ok = || Answer::json(200, &json!({ "ok": true }));
    match (request.method, path) {
        ("GET", "stats") => Answer::json(200, &stats(gateway)),
        ("GET", "requests") => Answer::json(200, &gateway.stats.requests()),
        ("GET", "tasks") => {
            let tasks: Value = gateway.store.all().iter().map(|task| describe(gateway, task)).collect();
            Answer::json(200, &tasks)
        }
        ("POST", "tasks") => match make(gateway, request) {
            Ok(made) => Answer::json(200, &json!({ "ids": made.iter().map(|task| &task.id).collect::<Vec<_>>() })),
            Err(message) => Answer::json(400, &json!({ "error": message })),
        },
        ("GET", "scenarios") => {
            Answer::json(200, &json!({ "active": gateway.rules.describe(), "known": catalogue::document() }))
        }
        ("POST", "scenario") => match add(gateway, request.body) {
            Ok(()) => Answer::json(200, &json!({ "active": gateway.rules.describe() })),
            Err(message) => Answer::json(400, &json!({ "error": message })),
        },
        ("DELETE", "scenario") => {
            gateway.rules.clear();
            ok()
        }
        ("POST", "reset") => {
            gateway.rules.clear();
            gateway.store.clear();
            gateway.limit.clear();
            gateway.stats.clear();
            ok()
        }
        ("POST", _) => match path.strip_prefix("tasks/").and_then(|rest| rest.split_once('/')) {
            Some((id, "finish")) => finish(gateway, id, |_| Fate::Success),
            Some((id, "hold")) => hold(gateway, id, &request.query("state").unwrap_or_default()),
            Some((id, "cancel")) => finish(gateway, id, |_| Fate::Cancelled),
            Some((id, "fail")) => {
                let code = request.query("code").unwrap_or_else(|| "upstream_error".into());
                finish(gateway, id, |task| {
                    let message = match task.plan.service {
                        Service::DimiLinks => dimilinks::message_for(&code).to_owned(),
                        Service::LemonData => lemondata::message_for(&code).to_owned(),
                    };
                    Fate::Failure { code: code.clone(), message }
                })
            }
            _ => unknown(),
        },
        _ => unknown(),
    }
}

fn unknown() -> Answer {
    let text = "no such control route; GET /sandbox/scenarios, stats, tasks, requests; POST /sandbox/tasks, scenario, reset, tasks/{id}/hold?state=, tasks/{id}/finish, tasks/{id}/fail?code=, tasks/{id}/cancel; DELETE /sandbox/scenario";
    Answer::json(404, &json!({ "error": text }))
}

fn stats(gateway: &Gateway) -> Value {
    let mut stats = gateway.stats.describe();
    stats["tasks"] = json!(gateway.store.len());
    stats
}

/// Makes many tasks at once.
fn make(gateway: &Gateway, request: &Request<'_>) -> Result<Vec<Arc<Task>>, String> {
    let members = order::members(request).ok_or("the body must be a JSON object")?;
    let service = match members.get("provider").and_then(Value::as_str) {
        Some("dimilinks") => Service::DimiLinks,
        Some("lemondata") => Service::LemonData,
        _ => return Err("provider must be dimilinks or lemondata".into()),
    };
    let count = members.get("count").map_or(Some(1), Value::as_u64).unwrap_or_default();
    let call = Call {
        gateway,
        request,
        route: Route::Create,
        service,
        id: String::new(),
        index: String::new(),
        shape: None,
        result: false,
    };
    create::many(&call, &members, count)
}

/// Takes one scenario or a list of them, as objects or in the short form.
fn add(gateway: &Gateway, body: &[u8]) -> Result<(), String> {
    let document: Value = serde_json::from_slice(body).map_err(|_| "the body must be JSON")?;
    let read = |item: &Value| match item {
        Value::String(text) => Rule::read(text),
        object => Rule::read_json(object),
    };
    let rules = match &document {
        Value::Array(list) => list.iter().map(read).collect::<Result<Vec<_>, _>>()?,
        single => vec![read(single)?],
    };
    rules.into_iter().for_each(|rule| gateway.rules.add(rule));
    Ok(())
}

fn finish(gateway: &Gateway, id: &str, fate: impl Fn(&Task) -> Fate) -> Answer {
    match gateway.store.get(id) {
        None => Answer::json(404, &json!({ "error": "no such task" })),
        Some(task) if task.finish(fate(&task)) => Answer::json(200, &describe(gateway, &task)),
        Some(_) => Answer::json(409, &json!({ "error": "the task has ended already" })),
    }
}

fn hold(gateway: &Gateway, id: &str, state: &str) -> Answer {
    let Some(state) = State::named(state) else {
        return Answer::json(400, &json!({ "error": "state must be queued, dispatched or running" }));
    };
    match gateway.store.get(id) {
        None => Answer::json(404, &json!({ "error": "no such task" })),
        Some(task) if task.hold(state) => Answer::json(200, &describe(gateway, &task)),
        Some(_) => Answer::json(409, &json!({ "error": "the task has ended already" })),
    }
}

fn describe(gateway: &Gateway, task: &Task) -> Value {
    let moment = task.now();
    let state = match (moment.state, &moment.fate) {
        (State::Queued | State::Dispatched, _) => "queued",
        (State::Running, _) => "running",
        (State::Finished, Some(Fate::Failure { .. })) => "failed",
        (State::Finished, Some(Fate::Cancelled)) => "cancelled",
        (State::Finished, _) => "succeeded",
    };
    json!({
        "id": task.id,
        "provider": task.plan.service.name(),
        "prompt": task.plan.prompt,
        "model": task.plan.model,
        "state": state,
        "submits": gateway.store.submits_of(task.plan.service, &task.plan.prompt),
        "looks": task.looks.load(Ordering::Relaxed),
        "image_gets": task.image_gets.load(Ordering::Relaxed),
        "width": task.plan.canvas.width,
        "height": task.plan.canvas.height,
        "format": task.plan.canvas.format.extension(),
        "images": task.plan.count,
    })
}
