//! How a connection is made: look-up, TCP, the tunnel through a proxy, TLS. Each stage is noted in the call, so that an error
//! says where it happened.

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::address::is_public;
use super::connect::{NoConnection, connect};
use super::fault;
use super::ongoing::{self, Cause, Stage};
use super::resolve::{Miss, Resolver};
use super::tls::Secured;
use super::transport::{Tcp, Watched};
use super::url::literal;
use crate::error::Status;

const RECORD_BYTES: usize = 16 * 1024;

/// What all connections of a client share.
pub(super) struct Shared {
    pub(super) resolver: Resolver,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) connect_timeout: Duration,
    pub(super) opened: AtomicU64,
}

/// ureq's way to our sockets.
pub(super) struct Door {
    shared: Arc<Shared>,
}

impl Door {
    pub(super) fn new(shared: Arc<Shared>) -> Door {
        Door { shared }
    }

    fn open(&self, details: &ConnectionDetails) -> Result<Box<dyn Transport>, Error> {
        let transport = match details.config.proxy() {
            Some(proxy) if !proxy.is_no_proxy(details.uri) => self.tunnel(details)?,
            _ => self.tcp(details)?,
        };
        if !details.needs_tls() {
            return Ok(transport);
        }
        note(|call| call.stage = Stage::Tls)?;
        let host = details.uri.host().unwrap_or_default();
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let secured = Secured::new(Arc::clone(&self.shared.tls), host, transport, buffers, details.timeout)?;
        Ok(Box::new(secured))
    }

    /// A connection to the host through the proxy, which is reached through this door itself.
    fn tunnel(&self, details: &ConnectionDetails) -> Result<Box<dyn Transport>, Error> {
        // The proxy looks the name up, so that only what the address itself says can be judged here.
        let host = details.uri.host().unwrap_or_default();
        let private = literal(host).is_some_and(|ip| !is_public(ip)) || host.eq_ignore_ascii_case("localhost");
        if note(|call| call.public_only)? && private {
            return Err(blocked());
        }
        note(|call| call.at_proxy = true)?;
        let tunnel = ConnectProxyConnector::default().connect(details, None::<()>)?.ok_or(Error::ConnectionFailed)?;
        let mut tunnel = tunnel.boxed();
        // Bytes behind the proxy's own answer would be read as the host's.
        if !tunnel.buffers().input().is_empty() {
            return Err(fault(Status::Proxy, "sent more than an answer to the tunnel request".into()));
        }
        note(|call| call.at_proxy = false)?;
        Ok(tunnel)
    }

    fn tcp(&self, details: &ConnectionDetails) -> Result<Box<dyn Transport>, Error> {
        let host = details.uri.host().unwrap_or_default();
        let port = details.uri.port_u16().unwrap_or(if details.needs_tls() { 443 } else { 80 });
        let (stop, until, public_only) = note(|call| {
            call.stage = Stage::Lookup;
            let until = call.deadline.min(call.setup_until);
            // The rule is for hosts; a proxy is the caller's own choice.
            (Arc::clone(&call.stop), until, call.public_only && !call.at_proxy)
        })?;
        let addresses = self.shared.resolver.resolve(host, until, &stop).map_err(|miss| match miss {
            Miss::NotFound => fault(Status::Resolve, "did not resolve to an address".into()),
            Miss::NoResource => {
                fault(Status::Resource, "could not be looked up: the system gave no thread or file descriptor".into())
            }
            Miss::Over => over(),
            Miss::Stopped => ended(Cause::Stopped),
        })?;
        let allowed: Vec<_> = addresses.iter().copied().filter(|ip| !public_only || is_public(*ip)).collect();
        if allowed.is_empty() {
            return Err(blocked());
        }

        note(|call| call.stage = Stage::Connect)?;
        let stream: TcpStream = connect(&allowed, port, until, &stop).map_err(|failure| {
            self.shared.resolver.forget(host);
            match failure {
                NoConnection::Refused(error) => {
                    let (status, what) = fault::refused(&error);
                    fault(status, what)
                }
                NoConnection::Over => over(),
                NoConnection::Stopped => ended(Cause::Stopped),
            }
        })?;
        self.shared.opened.fetch_add(1, Ordering::Relaxed);
        note(|call| call.stage = if call.at_proxy { Stage::Tunnel } else { Stage::Exchange })?;
        // TLS has buffers of its own in front of these, which then hold one record.
        let (input, output) = match details.needs_tls() {
            true => (RECORD_BYTES, RECORD_BYTES),
            false => (details.config.input_buffer_size(), details.config.output_buffer_size()),
        };
        Ok(Box::new(Tcp::new(stream, input, output)))
    }
}

impl Connector for Door {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let depth = note(|call| {
            if call.setup == 0 {
                call.opened = true;
                let now = Instant::now();
                call.setup_until = now.checked_add(self.shared.connect_timeout).unwrap_or(call.deadline);
            }
            call.setup += 1;
            call.setup
        })?;
        let transport = self.open(details)?;
        note(|call| {
            call.setup -= 1;
            call.stage = if call.at_proxy { Stage::Tunnel } else { Stage::Exchange };
        })?;
        // Inside a tunnel the bytes are not HTTP.
        Ok(Some(if depth == 1 { Box::new(Watched(transport)) } else { transport }))
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

/// ureq looks a name up before it knows whether it needs a connection. We do it in the door, when it does.
#[derive(Debug)]
pub(super) struct NoLookup;

impl UreqResolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

fn note<T>(work: impl FnOnce(&mut ongoing::Ongoing) -> T) -> Result<T, Error> {
    ongoing::with(work).ok_or(Error::ConnectionFailed)
}

fn ended(cause: Cause) -> Error {
    ongoing::with(|call| call.cause = Some(cause));
    Error::ConnectionFailed
}

fn fault(status: Status, what: String) -> Error {
    ended(Cause::Fault(status, what))
}

fn blocked() -> Error {
    fault(
        Status::Blocked,
        "is not on the public internet, and links may lead elsewhere only with allow_private_images".into(),
    )
}

fn over() -> Error {
    let cause = ongoing::with(|call| if call.deadline <= call.setup_until { Cause::Over } else { Cause::SetupOver });
    ended(cause.unwrap_or(Cause::Over))
}
