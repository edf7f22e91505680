//! The only door to the network: one request, one answer, and every fault of the way named.
//!
//! HTTP/1.1 and the pool are ureq's, TLS is rustls'; everything that waits is ours, so that a deadline, a stall limit and a stop reach the
//! look-up, the connect, TLS, the request, the head and the body. No call starts a thread, a kept-alive one costs three system
//! calls (a look whether the connection is still good, one send, one receive), and no message holds more of an address than host
//! and port.
//!
//! - `url`: addresses, read strictly. `address`: which of them are on the public internet.
//! - `stop`: the token that ends one call from another thread.
//! - `proxy`: which proxy is used.
//! - `resolve`: names to addresses. `connect`: addresses to one socket. `tls`: a socket secured. `door`: all of them and a
//!   proxy's tunnel as ureq's connector.
//! - `ongoing`: the call that this thread is in, and its notes. `transport`: the socket that looks there before it waits.
//! - `reply`: the answer. `fault`: what went wrong, for people.
//!
//! What is sent twice: a request whose reused connection died before a byte of the answer came. A GET is then sent once more on a
//! new connection; anything else only when no byte of it had been written.

mod address;
mod connect;
mod door;
mod fault;
mod ongoing;
mod proxy;
mod reply;
mod resolve;
mod stop;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod url;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{self, HeaderMap, HeaderName, HeaderValue, header};
use ureq::{Agent, AsSendBody, Proxy};

use self::door::{Door, NoLookup, Shared};
use self::ongoing::{Ongoing, within};
use self::resolve::Resolver;
use crate::error::{Error, Result, Status};

pub(crate) use self::proxy::ProxyChoice;
pub(crate) use self::reply::{Framing, Reply};
pub(crate) use self::stop::Stop;
pub(crate) use self::url::{Origin, Scheme, Url};

/// A head larger than this is refused; it must fit into the input buffer.
const MAX_HEAD_BYTES: usize = 30 * 1024;
const INPUT_BYTES: usize = 32 * 1024;
const OUTPUT_BYTES: usize = 16 * 1024;
/// What the caller's headers and path may take of the output buffer.
const MAX_REQUEST_HEAD_BYTES: usize = OUTPUT_BYTES - 1024;
/// Idle connections of a client at most.
const MAX_IDLE: usize = 64;
/// Looks are seconds apart; a server that closes earlier is noticed when its connection is taken.
const MAX_IDLE_AGE: Duration = Duration::from_secs(30);
const MAX_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a client speaks to the network.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Sent as User-Agent: visible ASCII and spaces, 1 to 256 bytes.
    pub(crate) user_agent: String,
    pub(crate) proxy: ProxyChoice,
    /// PEM file of the trusted roots, `None` for the bundled ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// For look-up, connect, tunnel and TLS together; at least a millisecond.
    pub(crate) connect_timeout: Duration,
    /// Idle connections to one host that are kept at most, at least 1.
    pub(crate) max_idle_per_host: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// What to send.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a Headers,
    pub(crate) body: Option<&'a [u8]>,
    /// The host must be on the public internet, judged by the address that is connected to. Through a proxy, which looks the
    /// name up itself, only a literal address and `localhost` can be judged.
    pub(crate) public_only: bool,
}

/// Headers of requests, checked once for as many requests as there are.
pub(crate) struct Headers {
    /// Those that every request of ours has stand in it already, so that no request makes it grow.
    map: HeaderMap,
    /// Their length as they are sent.
    bytes: usize,
}

impl Headers {
    /// Names in any case. Framing (Host, Content-Length and their like) is not the caller's.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that cannot be sent; never shows it.
    pub(crate) fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Headers> {
        let mut map = HeaderMap::with_capacity(8);
        // ureq sets these where they are missing, and works the host out anew each time: a tenth of all that a request costs.
        map.insert(header::HOST, HeaderValue::from_static(""));
        map.insert(header::USER_AGENT, HeaderValue::from_static(""));
        map.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut bytes = 0;
        for (name, value) in headers {
            bytes += name.len() + value.len() + 4;
            let odd = |what| Error::invalid(format!("a header {what}"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| odd("name is not an HTTP token"))?;
            if FRAMING.contains(&name) {
                return Err(odd("that frames the request cannot be set"));
            }
            let mut value = plain(value).ok_or_else(|| odd("value must be one line of visible ASCII"))?;
            value.set_sensitive(true);
            map.append(name, value);
        }
        Ok(Headers { map, bytes })
    }

    /// Those of one request.
    fn of_request(&self, host: HeaderValue, user_agent: HeaderValue) -> HeaderMap {
        let mut map = self.map.clone();
        // `new` set these two first, and a map keeps its order while nothing is removed: found so, they need no hash.
        for (place, value) in map.values_mut().zip([host, user_agent]) {
            debug_assert!(place.is_empty());
            *place = value;
        }
        map
    }
}

/// Until when, and who may end it.
pub(crate) struct Call {
    pub(crate) stop: Arc<Stop>,
    /// For everything up to the last byte of the body.
    pub(crate) deadline: Instant,
    /// Longest time without a byte once a connection stands.
    pub(crate) stall: Duration,
    /// Whether the stall limit holds before the first byte of the answer: not for a submit that may take minutes.
    pub(crate) stall_before_answer: bool,
}

/// A request without an answer that can be used.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// A byte of the request may have reached the host.
    pub(crate) sent: bool,
    /// A byte of an answer has come.
    #[allow(dead_code)] // The tests tell a cut answer from a missing one by it.
    pub(crate) answered: bool,
}

/// The door to the network of one client.
pub(crate) struct Http {
    /// For the API's own origin.
    any: Agent,
    /// For addresses that must be public. With a pool of its own, so that no connection made without that rule serves it.
    public: Agent,
    shared: Arc<Shared>,
    user_agent: HeaderValue,
    retries: AtomicU64,
    closed: AtomicBool,
}

impl Http {
    /// Checks the settings. Opens no connection and starts no thread.
    ///
    /// # Errors
    /// `InvalidArgument` for a user agent, a proxy or a `ca_file` that cannot be used.
    pub(crate) fn new(settings: &Settings) -> Result<Http> {
        Http::with(settings, Resolver::system())
    }

    fn with(settings: &Settings, resolver: Resolver) -> Result<Http> {
        let user_agent = plain(&settings.user_agent).filter(|value| (1..=256).contains(&value.len()));
        let user_agent =
            user_agent.ok_or_else(|| Error::invalid("user_agent must be 1 to 256 characters of visible ASCII"))?;
        let proxy = settings.proxy.resolve(|name| std::env::var(name).ok())?;
        let tls = tls::config(settings.ca_file.as_deref())?;
        let connect_timeout = settings.connect_timeout.clamp(Duration::from_millis(1), MAX_TIMEOUT);
        let shared = Arc::new(Shared { resolver, tls, connect_timeout, opened: AtomicU64::new(0) });
        let agent = || {
            let config = config(settings, proxy.clone());
            Agent::with_parts(config, Door::new(Arc::clone(&shared)), NoLookup)
        };
        let (any, public) = (agent(), agent());
        Ok(Http { any, public, shared, user_agent, retries: AtomicU64::new(0), closed: AtomicBool::new(false) })
    }

    /// Sends a request and reads the head of the answer, whatever its status from 200 to 599. Redirects are not followed.
    ///
    /// # Errors
    /// Named by where it happened: `Resolve`, `Connect`, `Proxy`, `Tls`, `Io`, `Protocol`; `Timeout`, `Cancelled`, `Blocked`,
    /// `Resource`; `InvalidArgument` for headers that cannot be sent; `Closed` after a shutdown.
    pub(crate) fn send(&self, request: &Request<'_>, call: &Call) -> Result<Reply, Failure> {
        let repeatable = request.method == Method::Get;
        let mut fresh = false;
        loop {
            let mut ongoing = Some(Box::new(Ongoing::new(call, request.public_only, repeatable, fresh)));
            let result = match request.body {
                Some(body) => self.run(request, body, &mut ongoing),
                // A POST or PUT without a body still says that it has none.
                None if matches!(request.method, Method::Post | Method::Put) => {
                    self.run(request, &[][..], &mut ongoing)
                }
                None => self.run(request, (), &mut ongoing),
            };
            let unsent = |error| Failure { error, sent: false, answered: false };
            let result = result.map_err(unsent)?;
            let Some(ongoing) = ongoing else {
                return Err(unsent(Error::new(Status::Panic, "a call was lost")));
            };
            let connect_timeout = self.shared.connect_timeout;
            match result {
                Ok(response) => {
                    let host = request.url.uri().authority().cloned();
                    let host = host.ok_or_else(|| unsent(Error::invalid("the address has no host")))?;
                    let reply = Reply::new(response, ongoing, host, connect_timeout);
                    return reply.map_err(|error| Failure { error, sent: true, answered: true });
                }
                Err(error) => {
                    let died = matches!(error, ureq::Error::Io(_)) && ongoing.cause.is_none() && !ongoing.opened;
                    if died && !ongoing.answered && (repeatable || !ongoing.sent) && !fresh && !self.is_closed() {
                        fresh = true;
                        self.retries.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let error = match self.is_closed() && ongoing.cause.is_none() {
                        true => Error::new(Status::Closed, "the client was closed"),
                        false => fault::explain(&ongoing, error, request.url.host_and_port(), connect_timeout),
                    };
                    return Err(Failure { error, sent: ongoing.sent, answered: ongoing.answered });
                }
            }
        }
    }

    /// Whether the host is on no public network: none of its addresses is. Looks its name up where it must; through a proxy,
    /// which looks names up itself, only a literal address and `localhost` can be judged.
    pub(crate) fn is_private(&self, url: &Url, stop: &Stop) -> bool {
        let by_name = url::literal(url.host()).is_none() && url.host() != "localhost";
        if by_name && self.any.config().proxy().is_some() {
            return false;
        }
        let until = Instant::now() + self.shared.connect_timeout;
        let found = self.shared.resolver.resolve(url.host(), until, stop);
        found.is_ok_and(|found| !found.is_empty() && !found.iter().any(|ip| address::is_public(*ip)))
    }

    /// Whether requests to an address go through a proxy.
    pub(crate) fn is_proxied(&self, url: &Url) -> bool {
        self.any.config().proxy().is_some_and(|proxy| !proxy.is_no_proxy(url.uri()))
    }

    /// Connections opened so far, those to a proxy included.
    pub(crate) fn connections_opened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// Threads that look names up now.
    pub(crate) fn helper_threads(&self) -> u64 {
        self.shared.resolver.helpers()
    }

    /// Requests that were sent a second time because their connection had died.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Closes the idle connections and refuses new calls. Calls under way end by their own tokens.
    pub(crate) fn shutdown(&self) {
        self.closed.store(true, Ordering::Release);
        self.any.clone().shutdown();
        self.public.clone().shutdown();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The outer error is a request that cannot be sent at all.
    fn run(
        &self,
        request: &Request<'_>,
        body: impl AsSendBody,
        ongoing: &mut Option<Box<Ongoing>>,
    ) -> Result<Result<http::Response<ureq::Body>, ureq::Error>> {
        let request_for_ureq = build(request, body, self.user_agent.clone())?;
        let agent = if request.public_only { &self.public } else { &self.any };
        Ok(within(ongoing, || agent.run(request_for_ureq)))
    }
}

fn config(settings: &Settings, proxy: Option<Proxy>) -> Config {
    // ureq has no timeout of its own here: each would start a thread per look-up, and ours bound more than its do.
    Agent::config_builder()
        .proxy(proxy)
        .user_agent(settings.user_agent.as_str())
        .accept_encoding("identity")
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(MAX_HEAD_BYTES)
        .input_buffer_size(INPUT_BYTES)
        .output_buffer_size(OUTPUT_BYTES)
        .max_idle_connections(MAX_IDLE)
        .max_idle_connections_per_host(settings.max_idle_per_host.clamp(1, MAX_IDLE))
        .max_idle_age(MAX_IDLE_AGE)
        .build()
}

fn build<B>(request: &Request<'_>, body: B, user_agent: HeaderValue) -> Result<http::Request<B>> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
    };
    let mut built = http::Request::new(body);
    *built.method_mut() = method;
    *built.uri_mut() = request.url.uri().clone();
    *built.headers_mut() = request.headers.of_request(request.url.host_header().clone(), user_agent);
    if request.url.as_str().len() + request.headers.bytes > MAX_REQUEST_HEAD_BYTES {
        return Err(Error::invalid("the address and the headers are longer than 15 KB together"));
    }
    Ok(built)
}

/// A header's value, of visible ASCII and spaces only. Tabs and all that is not ASCII would be let through, too.
fn plain(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok().filter(|_| text.is_ascii() && !text.contains('\t'))
}

/// Headers that decide where a message ends or whom it is for.
const FRAMING: &[HeaderName] = &[
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::CONNECTION,
    header::UPGRADE,
    header::ACCEPT_ENCODING,
    header::USER_AGENT,
];
