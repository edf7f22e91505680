//! Both providers' documented shapes, member by member.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Sandbox, ask, assert_shape, sample, shape, until};

#[test]
fn dimilinks_task_says_each_state_in_the_documented_shape() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit("a fox [hold:queued]");
    let look = || service.get(&format!("/v1/tasks/{id}")).json();
    for state in ["queued", "dispatched"] {
        service.hold(&id, state);
        assert_shape(&look(), "dimilinks_queued");
        assert_eq!((&look()["status"], &look()["progress"]), (&json!("queued"), &json!(0)));
    }
    service.hold(&id, "running");
    assert_shape(&look(), "dimilinks_in_progress");
    assert_eq!((&look()["status"], &look()["progress"]), (&json!("in_progress"), &json!(50)));
    service.finish(&id);
    assert_shape(&look(), "dimilinks_succeeded");
    assert_eq!((&look()["status"], &look()["progress"]), (&json!("succeeded"), &json!(100)));
    assert!(look()["completed_at"].as_u64() >= look()["created_at"].as_u64(), "{}", look());
}

#[test]
fn a_task_walks_in_scaled_time_and_never_back() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let start = Instant::now();
    let path = format!("/v1/tasks/{}", service.submit("a fox"));
    let words = ["queued", "in_progress", "succeeded"];
    let mut last = 0;
    until(|| {
        let seen = service.get(&path).json();
        let place = words.iter().position(|word| seen["status"] == *word).expect("a known word");
        assert!(place >= last, "{seen} after {}", words[last]);
        last = place;
        last == 2
    });
    assert!(start.elapsed() >= Duration::from_millis(990), "60 s at speed 60: {:?}", start.elapsed());
}

#[test]
fn dimilinks_legacy_route_says_the_raw_words_in_its_own_shape() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit("a fox [hold:queued]");
    let look = || service.get(&format!("/v1/images/tasks/{id}")).json();
    for state in ["queued", "dispatched", "running"] {
        service.hold(&id, state);
        assert_shape(&look(), &format!("dimilinks_legacy_{state}"));
        assert_eq!(
            (&look()["status"], &look()["finished_at"], &look()["error"]),
            (&json!(state), &json!(0), &json!(""))
        );
    }
    service.finish(&id);
    assert_shape(&look(), "dimilinks_legacy_success");
    assert_eq!((&look()["status"], &look()["error"]), (&json!("success"), &json!("")));
}

#[test]
fn dimilinks_failure_is_an_object_on_one_route_and_a_string_on_the_other() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit("[duration:0] [fail:upstream_error] a fox");
    let unified = service.get(&format!("/v1/tasks/{id}")).json();
    assert_shape(&unified, "dimilinks_failed");
    assert_eq!(unified["error"], sample("dimilinks_failed")["error"]);
    let legacy = service.get(&format!("/v1/images/tasks/{id}")).json();
    assert_shape(&legacy, "dimilinks_legacy_failed");
    assert_eq!(legacy["error_code"], "upstream_error");
}

#[test]
fn dimilinks_videos_are_wrapped_and_have_words_of_their_own() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let id = service.submit("[video] a fox runs [hold:running]");
    let look = || service.get(&format!("/v1/tasks/{id}")).json();
    assert_shape(&look(), "dimilinks_video_processing");
    assert_eq!(look()["data"]["status"], "processing");
    service.finish(&id);
    assert_shape(&look(), "dimilinks_video_completed");
    assert_eq!(look()["data"]["status"], "completed");
    let failed = service.get(&format!("/v1/tasks/{}", service.submit("[video] [duration:0] [fail] a fox")));
    assert_shape(&failed.json(), "dimilinks_video_failed");
}

#[test]
fn dimilinks_takes_every_documented_wish_for_an_asynchronous_answer() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let route = "/v1/images/generations";
    let prompt = json!({ "prompt": "a fox" });
    for query in ["?async=true", "?async=1", "?async=YES", "?wait_for_result=false", "?wait_for_result=off"] {
        assert_shape(&service.post(&format!("{route}{query}"), &prompt).json(), "dimilinks_create_async");
    }
    let in_body = service.post(route, &json!({ "prompt": "a fox", "wait_for_result": false }));
    assert_shape(&in_body.json(), "dimilinks_create_async");
    let prefer = ("Prefer", "respond-async".to_owned());
    let by_header = ask("POST", &service.url(route), &[service.bearer(), prefer], prompt.to_string().as_bytes());
    assert_shape(&by_header.json(), "dimilinks_create_async");
    for query in ["?compat=apimart", "?response_schema=apimart", "?schema=apimart", "?format=apimart", "?apimart=true"]
    {
        assert_shape(&service.post(&format!("{route}{query}"), &prompt).json(), "dimilinks_create_async_apimart");
    }
    let refused = service.post(&format!("{route}?compat=apimart"), &json!({})).json();
    assert_eq!(refused["error"]["code"], 400);
}

#[test]
fn dimilinks_synchronous_create_answers_when_the_work_is_done() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let start = Instant::now();
    let reply = service.post("/v1/images/generations", &json!({ "prompt": "a fox [duration:30]", "size": "64x64" }));
    assert!(start.elapsed().as_millis() >= 500, "30 s at speed 60 are half a second: {:?}", start.elapsed());
    assert_shape(&reply.json(), "dimilinks_create_sync");
    let wish = json!({ "prompt": "a fox [duration:0]", "size": "64x64", "response_format": "b64_json" });
    let inline = service.post("/v1/images/generations", &wish).json();
    assert_shape(&inline, "dimilinks_create_sync_b64");
    assert!(inline["data"][0]["b64_json"].as_str().is_some_and(|text| text.starts_with("iVBORw0KGgo")));
}

#[test]
fn dimilinks_edits_take_a_form_with_an_image_and_refuse_one_without() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    let form = ("Content-Type", "multipart/form-data; boundary=edge".to_owned());
    let field = |name: &str, value: &str| {
        format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = "--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n";
    let prompt = field("prompt", "wider [duration:0]");
    let whole = format!("{prompt}{file}--edge--\r\n");
    let url = service.url("/v1/images/edits");
    let reply = ask("POST", &url, &[service.bearer(), form.clone()], whole.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_shape(&reply.json(), "dimilinks_create_sync");
    let without = format!("{prompt}--edge--\r\n");
    let reply = ask("POST", &url, &[service.bearer(), form.clone()], without.as_bytes());
    assert_eq!((reply.status, reply.json()["error"]["code"].clone()), (400, json!("invalid_reference_image")));
    let broken = ask("POST", &url, &[service.bearer(), form], prompt.as_bytes());
    assert_eq!(broken.status, 400);
}

#[test]
fn dimilinks_errors_have_the_documented_envelopes() {
    let sandbox = Sandbox::quick();
    let service = sandbox.dimilinks();
    for status in [401, 402, 403, 404, 429, 500, 502, 503] {
        let id = service.submit(&format!("[http-{status}] a fox"));
        let reply = service.get(&format!("/v1/tasks/{id}"));
        assert_eq!(reply.status, status);
        assert_eq!(reply.json(), sample(&format!("dimilinks_error_{status}")));
        assert_eq!(reply.header("retry-after"), None);
    }
    let route = "/v1/images/generations";
    let no_prompt = service.post(route, &json!({ "prompt": "  " }));
    assert_eq!((no_prompt.status, no_prompt.json()), (400, sample("dimilinks_error_400")));
    let reference = service.post(route, &json!({ "prompt": "a", "image_urls": ["file:///etc/passwd"] }));
    assert_eq!((reference.status, reference.json()), (400, sample("dimilinks_error_400_reference")));
    let missing = ask("GET", &service.url("/v1/tasks/img_1"), &[], b"");
    assert_eq!((missing.status, missing.json()["error"]["code"].clone()), (401, json!("missing_api_key")));
    let wrong = ask("GET", &service.url("/v1/tasks/img_1"), &[("Authorization", "Bearer sk-other".into())], b"");
    assert_eq!((wrong.status, wrong.json()), (401, sample("dimilinks_error_401")));
    let unknown = service.get("/v1/tasks/img_1");
    assert_eq!((unknown.status, unknown.json()), (404, sample("dimilinks_error_404")));
}

#[test]
fn dimilinks_legacy_is_served_at_the_same_address() {
    let sandbox = Sandbox::quick();
    assert_eq!(sandbox.base("dimilinks"), sandbox.base("dimilinks-legacy"));
}

#[test]
fn lemondata_task_says_each_state_in_the_documented_shapes_on_all_three_routes() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let create = service.post("/v1/images/generations", &json!({ "prompt": "a fox [hold:queued]", "async": true }));
    assert_shape(&create.json(), "lemondata_create_async");
    let id = create.json()["task_id"].as_str().unwrap().to_owned();
    assert_eq!(create.header("x-task-id").as_deref(), Some(&*id));
    assert_eq!(create.json()["poll_url"], format!("/v1/tasks/{id}"));
    let routes = [format!("/v1/tasks/{id}"), format!("/v1/images/{id}"), format!("/v1/images/generations/{id}")];
    for route in &routes[..2] {
        assert_shape(&service.get(route).json(), "lemondata_tasks_pending");
    }
    assert_shape(&service.get(&routes[2]).json(), "lemondata_pending");
    assert_eq!(service.get(&routes[2]).json()["data"][0]["url"], "");
    service.hold(&id, "running");
    for route in &routes[..2] {
        assert_shape(&service.get(route).json(), "lemondata_tasks_processing");
    }
    assert_shape(&service.get(&routes[2]).json(), "lemondata_processing");
    service.finish(&id);
    let mut documented = shape(&sample("lemondata_tasks_completed"));
    documented.extend(shape(&sample("lemondata_tasks_completed_billing")));
    for route in &routes[..2] {
        let reply = service.get(route);
        assert_eq!(shape(&reply.json()), documented);
        let billing = reply.json()["billing_transaction_id"].as_str().map(str::to_owned);
        assert_eq!(reply.header("x-billing-transaction-id"), billing);
        assert!(billing.is_some());
    }
    assert_shape(&service.get(&routes[2]).json(), "lemondata_completed");
}

#[test]
fn lemondata_first_shape_has_an_img_id_and_polls_on_the_image_path() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let create = service.post("/v1/images/generations", &json!({ "prompt": "[v1] a fox", "async": true })).json();
    assert_shape(&create, "lemondata_create_async_v1");
    let poll = create["poll_url"].as_str().unwrap();
    assert_eq!(poll, format!("/v1/images/generations/{}", create["task_id"].as_str().unwrap()));
    assert_eq!(service.get(poll).json()["status"], "pending");
    // The alias takes public ids only.
    assert_eq!(service.get(&format!("/v1/images/{}", create["task_id"].as_str().unwrap())).status, 404);
}

#[test]
fn lemondata_failure_is_a_string() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let id = service.submit("[duration:0] [fail:content_moderation] a fox");
    let generation = service.get(&format!("/v1/images/generations/{id}")).json();
    assert_shape(&generation, "lemondata_failed");
    assert_eq!(generation["error"], "Content policy violation");
    assert_shape(&service.get(&format!("/v1/tasks/{id}")).json(), "lemondata_tasks_failed");
}

#[test]
fn lemondata_create_without_async_answers_inline() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let mut wish = json!({ "prompt": "[duration:0] a fox", "size": "64x64", "n": 2 });
    let inline = service.post("/v1/images/generations", &wish);
    assert_shape(&inline.json(), "lemondata_create_inline");
    assert_eq!(inline.json()["data"].as_array().map(Vec::len), Some(2));
    assert!(inline.header("x-billing-transaction-id").is_some());
    wish["response_format"] = json!("b64_json");
    assert_shape(&service.post("/v1/images/generations", &wish).json(), "lemondata_create_inline_b64");
}

#[test]
fn lemondata_cancels_queued_videos_and_nothing_else() {
    let sandbox = Sandbox::start(&["--seed", "7", "--duration", "600"]);
    let service = sandbox.lemondata();
    let image = service.delete(&format!("/v1/tasks/{}", service.submit("a fox")));
    assert_eq!((image.status, image.json()), (400, sample("lemondata_error_cancel_400")));
    let path = format!("/v1/tasks/{}", service.submit("[video] a fox runs"));
    let cancelled = service.delete(&path);
    assert_eq!(cancelled.status, 200);
    assert_shape(&cancelled.json(), "lemondata_cancelled");
    assert_eq!(service.get(&path).json(), cancelled.json());
    let again = service.delete(&path);
    assert_eq!((again.status, again.json()), (409, sample("lemondata_error_cancel_409")));
    let unknown = service.delete("/v1/tasks/ldtask_0");
    assert_eq!((unknown.status, unknown.json()), (404, sample("lemondata_error_404_task")));
}

#[test]
fn lemondata_errors_have_the_documented_envelopes() {
    let sandbox = Sandbox::quick();
    let service = sandbox.lemondata();
    let documented = [
        (401, "lemondata_error_401"),
        (402, "lemondata_error_402"),
        (403, "lemondata_error_403"),
        (404, "lemondata_error_404_task"),
        (413, "lemondata_error_413"),
        (429, "lemondata_error_429_v2"),
        (500, "lemondata_error_500"),
    ];
    for (status, name) in documented {
        let id = service.submit(&format!("[http-{status}] a fox"));
        let reply = service.get(&format!("/v1/tasks/{id}"));
        assert_eq!(reply.status, status);
        assert_shape(&reply.json(), name);
        assert_eq!(reply.json()["error"]["type"], sample(name)["error"]["type"]);
        assert_eq!(reply.json()["error"]["code"], sample(name)["error"]["code"]);
        assert_eq!(reply.header("retry-after").is_some(), status == 429);
    }
    let invalid = service.post("/v1/images/generations", &json!({ "model": "gpt-image-2" }));
    assert_eq!(invalid.status, 400);
    assert_shape(&invalid.json(), "lemondata_error_400_validation");
    let no_key = ask("GET", &service.url("/v1/tasks/ldtask_1"), &[], b"");
    assert_eq!((no_key.status, no_key.json()), (401, sample("lemondata_error_401")));
}

#[test]
fn the_open_door_tells_the_providers_apart_by_key_and_by_id() {
    let sandbox = Sandbox::quick();
    let (dimilinks, lemondata, open) = (sandbox.dimilinks(), sandbox.lemondata(), sandbox.open_door());
    let with = |key: &str| ("Authorization", format!("Bearer {key}"));
    let url = open.url("/v1/images/generations?async=true");
    let body = json!({ "prompt": "a fox", "async": true }).to_string();
    let first = ask("POST", &url, &[with(&dimilinks.key)], body.as_bytes()).json();
    assert_shape(&first, "dimilinks_create_async");
    let second = ask("POST", &url, &[with(&lemondata.key)], body.as_bytes()).json();
    assert_shape(&second, "lemondata_create_async");
    let look = |create: &Value| open.get(&format!("/v1/tasks/{}", create["task_id"].as_str().unwrap())).json();
    assert_eq!(look(&first)["object"], "image.task");
    assert_eq!(look(&second)["poll_url"], second["poll_url"]);
}

#[test]
fn a_task_is_told_to_the_key_that_made_it_only() {
    let sandbox = Sandbox::quick();
    for service in [sandbox.dimilinks(), sandbox.lemondata()] {
        let url = service.url(&format!("/v1/tasks/{}", service.submit("a fox")));
        let look = |key: String| ask("GET", &url, &[("Authorization", format!("Bearer {key}"))], b"").status;
        assert_eq!(look(service.key.clone()), 200);
        assert_eq!(look(format!("{}-someone-else", service.key)), 404);
        assert_eq!(look("sk-sandbox".into()), 200);
    }
}

#[test]
fn the_rate_limit_counts_per_key_and_tells_the_time_where_that_is_documented() {
    let sandbox = Sandbox::start(&["--rate-limit", "2", "--duration", "60"]);
    for service in [sandbox.dimilinks(), sandbox.lemondata()] {
        let path = format!("/v1/tasks/{}", service.submit("a fox"));
        assert_eq!(service.get(&path).status, 200);
        let limited = service.get(&path);
        assert_eq!(limited.status, 429);
        let wait = limited.header("retry-after");
        if service.key.contains("lemon") {
            assert_shape(&limited.json(), "lemondata_error_429_v2");
            assert!((1..=60).contains(&wait.unwrap().parse::<u64>().unwrap()));
            assert_eq!(limited.header("x-ratelimit-limit").as_deref(), Some("2"));
        } else {
            assert_eq!(limited.json(), sample("dimilinks_error_429"));
            assert_eq!(wait, None);
        }
        let other = ("Authorization", format!("Bearer {}-other", service.key));
        assert_eq!(ask("GET", &service.url(&path), &[other], b"").status, 404);
    }
    assert_eq!(sandbox.stats()["rate_limited"], 2);
}

#[test]
fn the_rate_limit_opens_again_after_its_minute() {
    let sandbox = Sandbox::start(&["--rate-limit", "1", "--speed", "200"]);
    let service = sandbox.lemondata();
    service.submit("a fox");
    until(|| service.get("/v1/tasks/ldtask_1").status == 404);
}

#[test]
fn ids_follow_from_the_seed_and_the_prompt() {
    let ids = |seed: &str| {
        let sandbox = Sandbox::start(&["--seed", seed]);
        let service = sandbox.dimilinks();
        [service.submit("a fox"), service.submit("a fox"), service.submit("a hen")]
    };
    let first = ids("7");
    assert_eq!(first, ids("7"));
    assert_ne!(first, ids("8"));
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert!(first.iter().all(|id| id.len() == 28 && id.starts_with("img_")));
}
