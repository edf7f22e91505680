//! What the sandbox saw: counts, the last requests, and whether a key came where no key belongs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::Service;
use super::catalogue::Place;
use super::gateway::{ANY_KEY, Call};
use super::scenario::Fault;

/// The last requests kept.
const KEPT: usize = 1024;

/// Counts since the start or the last reset.
#[derive(Default)]
pub(super) struct Stats {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    requests: u64,
    /// Per service, place and status.
    answers: BTreeMap<(&'static str, &'static str, u16), u64>,
    faults: BTreeMap<String, u64>,
    /// Connections that brought a request.
    connections: u64,
    /// Requests for an image that carried a credential.
    credentials_on_images: u64,
    /// Names of headers that came with requests for images.
    image_headers: BTreeMap<String, u64>,
    /// Requests with a key in the path or the query.
    keys_in_targets: u64,
    last: VecDeque<Noted>,
}

struct Noted {
    head: Vec<u8>,
    place: &'static str,
    service: &'static str,
    status: u16,
    connection: u64,
    body_bytes: usize,
    at_ms: u64,
}

impl Stats {
    /// Remembers a request and the status of its answer; 0: none was sent.
    pub(super) fn note(&self, call: &Call<'_>, status: u16) {
        let request = call.request;
        let place = call.route.place().map_or("other", Place::name);
        let service = call.service.name();
        let mut inner = self.lock();
        inner.requests += 1;
        *inner.answers.entry((service, place, status)).or_default() += 1;
        if request.served_before == 0 {
            inner.connections += 1;
        }
        let is_image = call.route.place() == Some(Place::Image);
        if is_image {
            for header in request.headers {
                let name = header.name.to_ascii_lowercase();
                if is_credential(&name) {
                    inner.credentials_on_images += 1;
                }
                *inner.image_headers.entry(name).or_default() += 1;
            }
        }
        if holds_key(request.path) || holds_key(request.query) {
            inner.keys_in_targets += 1;
        }
        let mut noted = if inner.last.len() < KEPT { None } else { inner.last.pop_front() };
        let mut head = noted.as_mut().map(|noted| std::mem::take(&mut noted.head)).unwrap_or_default();
        head.clear();
        head.extend_from_slice(request.head);
        inner.last.push_back(Noted {
            head,
            place,
            service,
            status,
            connection: request.connection,
            body_bytes: request.body.len(),
            at_ms: super::unix_ms(),
        });
    }

    /// Counts a fault that struck.
    pub(super) fn strike(&self, fault: &Fault) {
        *self.lock().faults.entry(fault.name().to_owned()).or_default() += 1;
    }

    pub(super) fn clear(&self) {
        *self.lock() = Inner::default();
    }

    /// The counts, as `GET /sandbox/stats` gives them.
    pub(super) fn describe(&self) -> Value {
        let inner = self.lock();
        let count =
            |place: &str| inner.answers.iter().filter(|(key, _)| key.1 == place).map(|(_, count)| count).sum::<u64>();
        let mut routes = serde_json::Map::new();
        for ((service, place, status), count) in &inner.answers {
            let name = if *status == 0 { "none".to_owned() } else { status.to_string() };
            routes.entry(*service).or_insert_with(|| json!({}))[*place][name] = json!(count);
        }
        let limited = inner.answers.iter().filter(|(key, _)| key.2 == 429).map(|(_, count)| count).sum::<u64>();
        json!({
            "requests": inner.requests,
            "connections": inner.connections,
            "submits": count("create"),
            "polls": count("poll"),
            "image_gets": count("image"),
            "cancels": count("cancel"),
            "rate_limited": limited,
            "routes": routes,
            "faults": inner.faults,
            "credentials_on_images": inner.credentials_on_images,
            "image_headers": inner.image_headers,
            "keys_in_targets": inner.keys_in_targets,
        })
    }

    /// The last requests, as `GET /sandbox/requests` gives them. Keys are told by whose they are.
    pub(super) fn requests(&self) -> Value {
        self.lock().last.iter().map(describe_request).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe_request(noted: &Noted) -> Value {
    let head = String::from_utf8_lossy(&noted.head);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers: Vec<Value> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            let value = value.trim();
            let name = name.to_ascii_lowercase();
            let shown = if is_credential(&name) { whose(value) } else { value };
            json!([name, shown])
        })
        .collect();
    json!({
        "method": method,
        "target": target,
        "provider": noted.service,
        "route": noted.place,
        "status": noted.status,
        "connection": noted.connection,
        "body_bytes": noted.body_bytes,
        "at_ms": noted.at_ms,
        "headers": headers,
    })
}

/// Which key an Authorization header carries, without showing one that is not the sandbox's own.
fn whose(value: &str) -> &'static str {
    let key = value.strip_prefix("Bearer ").unwrap_or_default();
    match key {
        _ if key.starts_with(Service::DimiLinks.key()) => "Bearer (dimilinks key)",
        _ if key.starts_with(Service::LemonData.key()) => "Bearer (lemondata key)",
        ANY_KEY => "Bearer (sandbox key)",
        _ => "(unknown)",
    }
}

fn is_credential(name: &str) -> bool {
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-key", "mj-api-secret"].contains(&name)
}

fn holds_key(text: &str) -> bool {
    text.contains(ANY_KEY) || text.contains(Service::DimiLinks.key()) || text.contains(Service::LemonData.key())
}
