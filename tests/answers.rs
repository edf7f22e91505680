//! Tasks whose images are not in the answer that says that they are done: a second answer holds them, or they are bytes at a path
//! of their own.

mod common;

use std::time::Duration;

use common::{Answer, KEY, PNG, Server, client, json, options, typed};
use imgtask::{Client, Delivery, EventKind, FailureAction, Goal, Job, Options, State, Status};

const SOON: Duration = Duration::from_secs(20);
const ID: &str = "80e732af";

/// A queue as fal's: the status at one address, the result at another, the picture at a third.
fn queue(result: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |asked, before| {
        let host = asked.header("host").expect("a host");
        let at = format!("http://{host}/fal-ai/flux/requests/{ID}");
        let status = |word: &str| {
            format!(r#"{{"status":"{word}","request_id":"{ID}","response_url":"{at}","status_url":"{at}/status"}}"#)
        };
        match asked.path.as_str() {
            "/fal-ai/flux/dev" => json(&status("IN_QUEUE")),
            "/a.png" => typed("image/png", PNG),
            path if path.ends_with("/status") && before < 2 => Answer::Json(202, status("IN_PROGRESS")),
            path if path.ends_with("/status") => json(&status("COMPLETED")),
            _ => result(before),
        }
    })
}

fn with_an_image(_: usize) -> Answer {
    json(r#"{"images":[{"url":"/a.png","width":7,"height":5}],"seed":1}"#)
}

/// The paths that were asked for.
fn paths(server: &Server) -> Vec<String> {
    server.asked().iter().map(|asked| asked.path.clone()).collect()
}

fn answer_paths(server: &Server) -> Vec<String> {
    let status = format!("/fal-ai/flux/requests/{ID}/status");
    let result = format!("/fal-ai/flux/requests/{ID}");
    assert!(paths(server).iter().skip(1).all(|path| *path == status || *path == result || path == "/a.png"));
    paths(server).into_iter().filter(|path| *path == result).collect()
}

const REQUEST: &str = r#"{"model":"fal-ai/flux/dev","prompt":"a red apple"}"#;

#[test]
fn a_wait_takes_the_images_from_the_second_answer() {
    let server = queue(with_an_image);
    let client = client("fal", &server);
    let accepted = client.submit(REQUEST).expect("accepted");
    assert_eq!((accepted.id.as_str(), accepted.state), (ID, State::Queued));
    assert_eq!(accepted.poll_ref, format!("{}/fal-ai/flux/requests/{ID}/status", server.url()));
    let task = client.wait(&accepted.poll_ref, None).expect("done");
    assert_eq!((task.id.as_str(), task.state, task.images.len()), (ID, State::Succeeded, 1));
    assert_eq!((task.images[0].width, task.images[0].height), (7, 5));
    assert!(task.json.as_str().starts_with(r#"{"images""#), "the body is the one with the images");
    assert_eq!(client.download(&task, 0).expect("downloaded").data, PNG);
    assert_eq!(answer_paths(&server).len(), 1, "only a finished task is asked for its result");

    let asked = server.asked();
    assert_eq!(asked[0].body, br#"{"prompt":"a red apple"}"#);
    let (picture, api) = asked.split_last().expect("requests");
    assert!(api.iter().all(|asked| asked.header("authorization") == Some(&format!("Key {KEY}"))));
    assert_eq!((picture.path.as_str(), picture.header("authorization")), ("/a.png", None));
    assert_eq!(client.stats().looks + 2 + 1, client.stats().requests, "a submit, a result and a picture are no looks");
}

#[test]
fn a_job_takes_the_images_from_the_second_answer() {
    let server = queue(with_an_image);
    let client = client("fal", &server);
    client.start(Job::request(REQUEST, Goal::Bytes)).expect("accepted");
    let event = client.next_event(Some(SOON)).expect("open").expect("an event in time");
    assert_eq!((event.kind, event.status()), (EventKind::Final, Status::Ok), "{event:?}");
    let Some(Delivery::Picture(picture)) = &event.image else { panic!("no picture: {event:?}") };
    assert_eq!(picture.data, PNG);
    assert_eq!(answer_paths(&server).len(), 1);
}

#[test]
fn both_requests_of_a_look_pass_the_gate() {
    let server = queue(with_an_image);
    // A burst of 15, then one a second; no look waits so long.
    let limited = Options { max_requests_per_minute: 60, request_timeout_ms: 500, ..options("fal", &server) };
    let client = Client::create(&limited).expect("a client");
    let reference = format!("{}/fal-ai/flux/requests/{ID}/status", server.url());
    let kept = (0..30).find_map(|_| client.fetch(&reference).err()).expect("the gate closes");
    assert_eq!((kept.status(), kept.http_status()), (Status::RateLimited, 0));
    let (results, requests) = (answer_paths(&server).len() as u64, client.stats().requests);
    assert!((1..=8).contains(&results) && requests <= 16, "{results} results in {requests} requests");
    assert_eq!(client.stats().looks + results, requests);
}

#[test]
fn a_second_answer_that_fails_is_asked_for_again() {
    let server = queue(|before| match before {
        0..4 => Answer::Json(503, "{}".into()),
        4..6 => typed("text/html", b"<html>"),
        _ => with_an_image(before),
    });
    let client = client("fal", &server);
    let accepted = client.submit(REQUEST).expect("accepted");
    let task = client.wait(&accepted.poll_ref, None).expect("done");
    assert_eq!((task.state, task.images.len()), (State::Succeeded, 1));
}

#[test]
fn a_refused_result_is_the_failure_of_the_task() {
    let words = r#"{"detail":[{"loc":["body","prompt"],"msg":"flagged by a content checker","type":"content_policy_violation"}]}"#;
    let server = queue(move |_| Answer::Json(422, words.into()));
    let client = client("fal", &server);
    let accepted = client.submit(REQUEST).expect("accepted");
    let task = client.wait(&accepted.poll_ref, None).expect("an answer");
    let failure = task.failure.expect("a reason");
    assert_eq!((task.state, task.progress, task.images.len()), (State::Failed, -1, 0));
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str()),
        ("content_policy_violation", "flagged by a content checker")
    );
    assert_eq!(failure.action, FailureAction::ChangeRequest);
}

#[test]
fn a_result_that_the_key_does_not_open_is_an_error_and_says_nothing_of_the_task() {
    for (http_status, status) in [(401, Status::Unauthorized), (402, Status::Payment), (403, Status::Unauthorized)] {
        let server = queue(move |_| Answer::Json(http_status, r#"{"detail":"no"}"#.into()));
        let client = client("fal", &server);
        let accepted = client.submit(REQUEST).expect("accepted");
        let error = client.wait(&accepted.poll_ref, None).expect_err("refused");
        assert_eq!((error.status(), error.task_id()), (status, ID));
    }
}

#[test]
fn a_result_that_the_way_to_it_refused_is_an_error_and_says_nothing_of_the_task() {
    for http_status in [406, 407, 409, 413, 415, 421, 426, 431, 451] {
        let server = queue(move |_| Answer::Json(http_status, r#"{"detail":"no"}"#.into()));
        let client = client("fal", &server);
        let accepted = client.submit(REQUEST).expect("accepted");
        let error = client.wait(&accepted.poll_ref, None).expect_err("refused");
        assert_eq!((error.status(), error.http_status()), (Status::Rejected, http_status), "{error}");
        assert_eq!(error.task_id(), ID);
    }
}

/// A service whose looks give statuses meanings of their own.
const OWN_MEANINGS: &str = r#"{
    "dialect": 1, "name": "own", "title": "Own", "key_variable": "OWN_API_KEY",
    "submit": {"path": "/make"}, "poll": {"paths": ["/look/{id}"]}, "cancel": {"path": "/cancel/{id}"},
    "http": {"400": "retry", "403": "ok", "404": "retry", "503": "stop"},
    "read": {"failed_if": "/errors", "result_get": "/more"}
}"#;

#[test]
fn own_meanings_of_http_statuses_are_for_looks_and_for_nothing_else() {
    let refusing = |http_status: u16| {
        let server = Server::start(move |asked, _| match asked.path.as_str() {
            "/look/done" => json(r#"{"id":"done","status":"done","more":"/more"}"#),
            _ => Answer::Json(http_status, r#"{"id":"t","errors":["no"],"code":"no"}"#.into()),
        });
        let dialect_json = Some(OWN_MEANINGS.into());
        let options = Options { provider: String::new(), dialect_json, ..options("", &server) };
        (Client::create(&options).expect("a client"), server)
    };
    for (http_status, submit, cancel, result) in [
        (400, Status::Rejected, Status::Rejected, None),
        (403, Status::Unauthorized, Status::Unauthorized, Some(Status::Unauthorized)),
        (404, Status::Rejected, Status::NotFound, Some(Status::NotFound)),
        (503, Status::Server, Status::Server, Some(Status::Server)),
    ] {
        let (client, _server) = refusing(http_status);
        let error = client.submit("{}").expect_err("refused");
        assert_eq!((error.status(), error.http_status()), (submit, http_status), "{error}");
        assert!(!error.message().contains("not known"), "{error}");
        assert_eq!(client.cancel_task("t").expect_err("refused").status(), cancel, "{http_status}");
        let done = client.fetch("done").map(|task| task.state).map_err(|error| error.status());
        assert_eq!(done, result.map_or(Ok(State::Failed), Err), "{http_status}");
    }
    assert_eq!(refusing(404).0.fetch("t").expect_err("a look").status(), Status::Server);
    assert_eq!(refusing(403).0.fetch("t").expect("a look").state, State::Failed);
}

#[test]
fn the_key_does_not_follow_a_result_to_another_origin() {
    let stranger = Server::start(|_, _| json("{}"));
    for elsewhere in [format!("{}/r", stranger.url()), "//127.0.0.1:1/r".into(), "/a/../r".into(), "ftp://h/r".into()] {
        let body = format!(r#"{{"status":"COMPLETED","request_id":"{ID}","response_url":"{elsewhere}"}}"#);
        let server = Server::start(move |_, _| json(&body));
        let error = client("fal", &server).wait(ID, Some(SOON)).expect_err("refused");
        assert_eq!((error.status(), error.task_id()), (Status::Blocked, ID), "{elsewhere}");
        assert!(!error.message().contains("127.0.0.1"), "{error}");
        assert_eq!(server.asked().len(), 1, "a second look would say the same");
    }
    assert!(stranger.asked().is_empty());
}

#[test]
fn an_inline_image_of_a_second_answer_is_read_from_it() {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(PNG);
    let server = queue(move |_| json(&format!(r#"{{"images":[{{"url":"data:image/png;base64,{text}"}}]}}"#)));
    let client = client("fal", &server);
    let accepted = client.submit(REQUEST).expect("accepted");
    let task = client.wait(&accepted.poll_ref, None).expect("done");
    assert_eq!(client.download(&task, 0).expect("decoded").data, PNG);
}

/// The beginning of an MP4.
const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08free";

fn videos() -> Server {
    Server::start(|asked, _| match asked.path.as_str() {
        "/v1/videos/video_1/content" => typed("video/mp4", MP4),
        "/v1/videos/video_2/content" => Answer::Json(404, "{}".into()),
        path => {
            let id = path.rsplit('/').next().expect("an id");
            json(&format!(r#"{{"data":{{"id":"{id}","task_id":"{id}","status":"completed","progress":100}}}}"#))
        }
    })
}

#[test]
fn the_bytes_of_a_finished_video_are_fetched_with_the_key_from_their_path() {
    let server = videos();
    let client = client("dimilinks", &server);
    let task = client.wait("video_1", None).expect("done");
    assert_eq!((task.state, task.images.len()), (State::Succeeded, 1));
    assert_eq!(task.images[0].url(), format!("{}/v1/videos/video_1/content", server.url()));
    let video = client.download(&task, 0).expect("downloaded");
    assert_eq!((video.data.as_slice(), video.info.media_type, video.info.extension), (MP4, "video/mp4", "mp4"));
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.header("authorization") == Some(&format!("Bearer {KEY}"))));

    client.start(Job::reference("video_1", Goal::Bytes)).expect("accepted");
    let event = client.next_event(Some(SOON)).expect("open").expect("an event in time");
    let Some(Delivery::Picture(video)) = &event.image else { panic!("no video: {event:?}") };
    assert_eq!(video.data, MP4);
}

#[test]
fn the_content_path_is_below_the_address_of_the_api() {
    let server = videos();
    for base in ["/v1", "/v1/", "/"] {
        let based = Options { base_url: Some(server.url() + base), ..options("dimilinks", &server) };
        let task = Client::create(&based).expect("a client").fetch("video_1").expect("a look");
        assert_eq!(task.images[0].url(), format!("{}/v1/videos/video_1/content", server.url()), "{base}");
    }
}

#[test]
fn a_finished_image_task_without_images_has_no_content_either() {
    let server = videos();
    let task = client("dimilinks", &server).fetch("img_1").expect("a look");
    assert_eq!((task.state, task.images.len()), (State::Succeeded, 0));
}

#[test]
fn the_key_goes_to_no_other_image_of_such_a_service() {
    let server = videos();
    let client = client("dimilinks", &server);
    let mut task = client.fetch("video_1").expect("a look");
    task.images[0].link = imgtask::Link::Url(format!("{}/v1/videos/video_2/content", server.url()));
    assert!(client.download(&task, 0).is_ok(), "a fresh look names the right one");
    let other = server.asked().into_iter().find(|asked| asked.path == "/v1/videos/video_2/content").expect("asked for");
    assert_eq!(other.header("authorization"), None);
}

#[test]
fn a_cancel_that_is_answered_without_a_word_was_accepted() {
    let server = Server::start(|asked, _| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("DELETE", "/v1/tasks/abc"));
        Answer::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
    });
    let task = client("runway", &server).cancel_task("abc").expect("accepted");
    assert_eq!((task.id.as_str(), task.poll_ref.as_str(), task.state), ("abc", "abc", State::Unknown));
}

#[test]
fn an_id_that_leads_out_of_the_content_path_has_no_content() {
    const CONTENT: &str =
        r#"{"name":"own","poll":{"paths":["/look"],"query":{"id":"{id}"}},"content":{"path":"/v1/{id}/content"}}"#;
    for (id, images) in [("..", 0), (".", 0), ("a/../b", 0), ("video_1", 1)] {
        let server = Server::start(move |_, _| json(&format!(r#"{{"id":"{id}","status":"done"}}"#)));
        let options = Options { provider: String::new(), dialect_json: Some(CONTENT.into()), ..options("", &server) };
        let client = Client::create(&options).expect("a client");
        // The address does not show the id, so that the answer's is taken.
        let task = client.fetch(&format!("{}/look?of=it", server.url())).expect("a look");
        assert_eq!((task.id.as_str(), task.images.len()), (id, images));
    }
}
