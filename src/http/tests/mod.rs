//! The door against a server that misbehaves.

mod body;
mod names;
mod server;
mod time;
mod tls;
mod wire;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use self::server::Server;
use super::{Call, Failure, Headers, Http, Method, ProxyChoice, Reply, Request, Settings, Stop, Url};
use crate::error::{Error, Result, Status};

fn settings() -> Settings {
    Settings {
        user_agent: "imgtask-test/1".into(),
        proxy: ProxyChoice::Direct,
        ca_file: None,
        connect_timeout: Duration::from_secs(5),
        max_idle_per_host: 8,
    }
}

fn http() -> Http {
    Http::new(&settings()).unwrap()
}

/// A call that may last so many milliseconds, and be silent as long.
fn call(ms: u64) -> Call {
    let limit = Duration::from_millis(ms);
    Call { stop: Stop::new(), deadline: Instant::now() + limit, stall: limit, stall_before_answer: true }
}

static NO_HEADERS: LazyLock<Headers> = LazyLock::new(|| Headers::new([]).unwrap());
static OF_JSON: LazyLock<Headers> = LazyLock::new(|| Headers::new([("content-type", "application/json")]).unwrap());

fn get(url: &Url) -> Request<'_> {
    Request { method: Method::Get, url, headers: &NO_HEADERS, body: None, public_only: false }
}

fn post<'a>(url: &'a Url, body: &'a [u8]) -> Request<'a> {
    Request { method: Method::Post, url, headers: &OF_JSON, body: Some(body), public_only: false }
}

fn send(http: &Http, request: &Request<'_>) -> Result<Reply, Failure> {
    http.send(request, &call(5_000))
}

/// The status and the body of a GET.
fn fetch(http: &Http, url: &Url) -> Result<(u16, Vec<u8>)> {
    fetch_within(http, url, &call(5_000), 1 << 20)
}

fn fetch_within(http: &Http, url: &Url, call: &Call, limit: u64) -> Result<(u16, Vec<u8>)> {
    let reply = http.send(&get(url), call).map_err(|failure| failure.error)?;
    Ok((reply.status(), reply.read_to_vec(limit)?))
}

#[track_caller]
fn assert_status<T>(result: Result<T>, status: Status) -> Error {
    match result {
        Ok(_) => panic!("expected {status}, got an answer"),
        Err(error) => {
            assert_eq!(error.status(), status, "{error}");
            error
        }
    }
}

/// An answer with a body of known length.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
