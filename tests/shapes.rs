//! Shapes of other services, the whole way: the built-in dialect of each against the sandbox, which writes its answers by itself.

mod command;

use std::time::Duration;

use command::{Sandbox, imgtask};
use imgtask::{Client, Delivery, EventKind, FailureAction, Goal, Job, Options, State, Status, Task};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// How a service words a request.
type Request = fn(&str) -> Value;

/// Each shape, and how its service words a request.
fn shapes() -> Vec<(&'static str, Request)> {
    vec![
        // The id in the query, the images in a JSON text.
        ("kie", |prompt| json!({ "model": "m", "input": { "prompt": prompt, "size": "64x48" } })),
        // The model in the address, the id in the query, a poll address of the service's own.
        ("bfl", |prompt| json!({ "model": "flux-pro-1.1", "prompt": prompt, "size": "64x48" })),
        // A look is a POST, and there is no status.
        (
            "acedata",
            |prompt| json!({ "action": "generate", "prompt": prompt, "callback_url": "https://h", "size": "64x48" }),
        ),
        // A wrapped task, a list in the place of an address.
        ("apimart", |prompt| json!({ "model": "m", "prompt": prompt, "size": "64x48" })),
        // Percent as text, a header of its own for the key.
        ("midjourney-proxy", |prompt| json!({ "prompt": prompt, "size": "64x48" })),
        // The image in the body.
        ("openai-responses", |prompt| json!({ "model": "m", "input": prompt, "size": "64x48", "tools": [] })),
        // The result at a second address.
        ("fal", |prompt| json!({ "model": "fal-ai/flux/dev", "prompt": prompt, "size": "64x48" })),
    ]
}

fn client(sandbox: &Sandbox, provider: &str) -> Client {
    let access = |member: &str| sandbox.providers[provider][member].as_str().expect(member).to_owned();
    let options = Options {
        provider: provider.into(),
        base_url: Some(access("base_url")),
        api_key: Some(access("key")),
        poll_interval_ms: 20,
        max_requests_per_minute: 1_000_000,
        ..Options::default()
    };
    Client::create(&options).unwrap_or_else(|error| panic!("{provider}: {error}"))
}

/// A sandbox whose tasks take a few tenths of a second.
fn sandbox() -> Sandbox {
    Sandbox::start(&["--speed", "200", "--duration", "60"])
}

fn wait_for(client: &Client, task: &Task) -> (Task, Vec<State>) {
    let mut seen = Vec::new();
    let mut on_look = |look: Result<&Task, &imgtask::Error>| seen.extend(look.map(|task| task.state));
    let done = client.wait_with(&task.poll_ref, Some(SOON), &mut on_look).expect("done");
    seen.dedup();
    (done, seen)
}

#[test]
fn every_shape_goes_from_a_prompt_to_the_picture() {
    let sandbox = sandbox();
    for (provider, request) in shapes() {
        let client = client(&sandbox, provider);
        let accepted = client.submit(&request("a red fox").to_string()).expect(provider);
        assert_eq!(accepted.state, State::Queued, "{provider}");
        let (task, seen) = wait_for(&client, &accepted);
        assert_eq!(
            (task.id.as_str(), task.state, task.progress),
            (accepted.id.as_str(), State::Succeeded, 100),
            "{provider}"
        );
        assert!(seen.contains(&State::Running) && !seen.contains(&State::Unknown), "{provider}: {seen:?}");
        assert_eq!(task.images.len(), 1, "{provider}");
        let picture = client.download(&task, 0).expect(provider);
        assert_eq!(
            (picture.info.width, picture.info.height, picture.info.media_type),
            (64, 48, "image/png"),
            "{provider}"
        );
        // What can be looked at by an id alone is found without the address that the submit named.
        if provider != "fal" {
            assert_eq!(client.fetch(&task.id).expect(provider).state, State::Succeeded, "{provider}");
        }
    }
    let stats = sandbox.control("GET", "/stats", "");
    assert_eq!(
        (stats["credentials_on_images"].as_u64(), stats["keys_in_targets"].as_u64()),
        (Some(0), Some(0)),
        "{stats}"
    );
}

#[test]
fn every_shape_runs_as_a_job() {
    let sandbox = sandbox();
    for (provider, request) in shapes() {
        let client = client(&sandbox, provider);
        let op = client.start(Job::request(request("a blue fox").to_string(), Goal::Bytes)).expect(provider);
        let event = client.next_event(Some(SOON)).expect("open").unwrap_or_else(|| panic!("{provider}: no event"));
        assert_eq!((event.op, event.kind, event.status()), (op, EventKind::Final, Status::Ok), "{provider}: {event:?}");
        let Some(Delivery::Picture(picture)) = &event.image else { panic!("{provider}: {event:?}") };
        assert_eq!((picture.info.width, picture.info.height), (64, 48), "{provider}");
    }
}

#[test]
fn every_shape_says_why_a_task_failed() {
    let sandbox = sandbox();
    for (provider, request) in shapes() {
        let client = client(&sandbox, provider);
        let accepted = client.submit(&request("a fox [fail:content_moderation]").to_string()).expect(provider);
        let (task, _) = wait_for(&client, &accepted);
        let failure = task.failure.unwrap_or_else(|| panic!("{provider} gives a reason"));
        assert_eq!((task.state, task.images.len()), (State::Failed, 0), "{provider}");
        assert!(failure.message != "the service gave no reason", "{provider}: {failure:?}");
        // One shape has words alone.
        if provider != "midjourney-proxy" {
            assert_eq!(failure.action, FailureAction::ChangeRequest, "{provider}: {failure:?}");
        }
    }
}

#[test]
fn a_shape_takes_its_own_key_at_its_own_place() {
    let sandbox = sandbox();
    for (provider, request) in shapes() {
        let client = client(&sandbox, provider);
        client.set_key("sk-canary").expect("a key");
        let refused = client.submit(&request("a fox").to_string()).expect_err(provider);
        assert_eq!((refused.status(), refused.http_status()), (Status::Unauthorized, 401), "{provider}: {refused}");
    }
}

#[test]
fn a_fault_strikes_a_shape_as_it_does_the_documented_services() {
    let sandbox = sandbox();
    for (provider, request) in shapes() {
        let client = client(&sandbox, provider);
        let accepted = client.submit(&request("a fox [poll.http-503*2]").to_string()).expect(provider);
        let (task, _) = wait_for(&client, &accepted);
        assert_eq!(task.state, State::Succeeded, "{provider}");
    }
    let stats = sandbox.control("GET", "/stats", "");
    assert_eq!(stats["routes"]["dimilinks"]["poll"]["503"].as_u64(), Some(2 * shapes().len() as u64), "{stats}");
}

#[test]
fn a_video_of_dimilinks_comes_with_the_key_from_its_path() {
    let sandbox = sandbox();
    let client = client(&sandbox, "dimilinks");
    let request = json!({ "model": "grok-imagine-video", "prompt": "a fox runs", "wait_for_result": false });
    let accepted = client.submit(&request.to_string()).expect("accepted");
    let (task, _) = wait_for(&client, &accepted);
    assert_eq!((task.state, task.images.len()), (State::Succeeded, 1));
    assert_eq!(client.download(&task, 0).expect("downloaded").info.media_type, "video/mp4");
}

#[cfg(unix)]
#[test]
fn a_command_in_the_sandbox_finds_the_address_and_the_key_of_every_shape() {
    let mut command = imgtask(&["sandbox", "--", "env"]);
    command.env_clear();
    // Not as the other runs: what is printed here are keys, those of the sandbox.
    let variables = String::from_utf8(command.output().expect("it runs").stdout).expect("text");
    let has = |name: &str, begins: &str| variables.lines().any(|line| line.starts_with(&format!("{name}={begins}")));
    for (shape, _) in shapes() {
        let known = imgtask::providers().iter().find(|known| known.name == shape).expect("a provider");
        let name = shape.to_ascii_uppercase().replace('-', "_");
        assert!(has(&format!("{name}_BASE_URL"), "http://127.0.0.1:"), "{shape}");
        assert!(has(known.key_variable, "sk-sandbox"), "{shape}: {}", known.key_variable);
    }
    assert!(has("DIMILINKS_API_KEY", "sk-dimilinks") && has("LEMONDATA_API_KEY", "sk-lemondata"));
}
