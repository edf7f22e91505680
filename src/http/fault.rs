//! Errors for people: the host, what the call was busy with, and a reason in our own words. ureq's and rustls' texts quote
//! addresses and headers, so none of them is passed on.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::ongoing::{Cause, Ongoing, Stage};
use super::resolve::is_exhaustion;
use crate::error::{Error, Retry, Status};

/// What became of a call: our own notes first, then ureq's error read by the stage it came at.
pub(super) fn explain(call: &Ongoing, error: ureq::Error, host: &str, connect_timeout: Duration) -> Error {
    // `Error::retry` takes Tls for a certificate that stays wrong; a handshake that the network broke may succeed next time.
    let broken_handshake = call.cause.is_none()
        && call.stage == Stage::Tls
        && call.refused.is_none()
        && matches!(&error, ureq::Error::Io(_));
    let peer = if call.at_proxy { format!("the proxy for {host}") } else { host.to_owned() };
    let (status, text) = match &call.cause {
        Some(Cause::Stopped) => (Status::Cancelled, format!("stopped while {} {peer}", doing(call))),
        Some(Cause::Over) => (Status::Timeout, format!("the time was over while {} {peer}", doing(call))),
        Some(Cause::SetupOver) => {
            let ms = milliseconds(connect_timeout);
            (Status::Timeout, format!("no connection within {ms} ms while {} {peer}", doing(call)))
        }
        Some(Cause::Stalled) => {
            let ms = milliseconds(call.stall());
            (Status::Timeout, format!("{peer} was silent for {ms} ms while {} it", doing(call)))
        }
        Some(Cause::Fault(status, what)) => (*status, format!("{peer} {what}")),
        None => {
            let (status, what) = classify(call, error);
            (status, format!("{peer} {what}"))
        }
    };
    // A proxy's faults are the proxy's, whatever stage they came at; what the machine or the caller did stays.
    let status = match status {
        Status::Resolve | Status::Connect | Status::Tls | Status::Io | Status::Protocol if call.at_proxy => {
            Status::Proxy
        }
        status => status,
    };
    let error = Error::new(status, text);
    if broken_handshake { error.with_retry(Retry::Now) } else { error }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn doing(call: &Ongoing) -> &'static str {
    match call.stage {
        Stage::Lookup => "looking up",
        Stage::Connect => "connecting to",
        Stage::Tunnel => "asking for a tunnel from",
        Stage::Tls => "securing the connection to",
        Stage::Exchange if call.answered => "reading from",
        Stage::Exchange if call.waiting => "waiting for",
        Stage::Exchange => "sending to",
    }
}

fn classify(call: &Ongoing, error: ureq::Error) -> (Status, String) {
    match (call.stage, error) {
        (_, ureq::Error::Io(error)) if is_exhaustion(&error) => (Status::Resource, exhausted(&error)),
        (Stage::Tls, ureq::Error::Io(_)) => tls_broken(call),
        (Stage::Tls, _) => (Status::Tls, "failed the TLS handshake".into()),
        (Stage::Tunnel, ureq::Error::ConnectProxyFailed(reason)) => {
            // ureq's text holds the status as digits, and nothing else that is ours to repeat.
            let code: String =
                reason.chars().skip_while(|c| !c.is_ascii_digit()).take(3).take_while(char::is_ascii_digit).collect();
            match code.is_empty() {
                true => (Status::Proxy, "closed the connection instead of opening a tunnel".into()),
                false => (Status::Proxy, format!("refused a tunnel with HTTP {code}")),
            }
        }
        (Stage::Tunnel, _) => (Status::Proxy, "failed to open a tunnel".into()),
        (_, ureq::Error::Io(error)) => broken(call, &error, false),
        (_, ureq::Error::LargeResponseHeader(..)) => (Status::Protocol, "sent a header that is too long".into()),
        // Half a line is no valid HTTP either, but the other half was lost on the way.
        (_, ureq::Error::Protocol(_) | ureq::Error::BodyStalled) if call.ended => {
            broken(call, &ErrorKind::UnexpectedEof.into(), false)
        }
        (_, ureq::Error::Protocol(_) | ureq::Error::BodyStalled) => {
            (Status::Protocol, "sent what is not valid HTTP".into())
        }
        _ => (Status::Protocol, "could not be spoken to in HTTP".into()),
    }
}

/// What an I/O error says once a connection stands.
pub(super) fn broken(call: &Ongoing, error: &io::Error, tls: bool) -> (Status, String) {
    let when = if call.answered { "in the middle of its answer" } else { "without an answer" };
    match error.kind() {
        _ if is_exhaustion(error) => (Status::Resource, exhausted(error)),
        _ if call.refused.is_some() => tls_broken(call),
        ErrorKind::UnexpectedEof if tls && call.answered => {
            (Status::Io, "closed the connection without saying that the answer is whole".into())
        }
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => (Status::Io, format!("closed the connection {when}")),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            (Status::Io, format!("reset the connection {when}"))
        }
        _ => (Status::Io, format!("lost the connection {when}{}", code(error))),
    }
}

/// Why a connect failed.
pub(super) fn refused(error: &io::Error) -> (Status, String) {
    if is_exhaustion(error) {
        return (Status::Resource, exhausted(error));
    }
    let why = match error.kind() {
        ErrorKind::ConnectionRefused => "refused the connection".into(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "cannot be reached from this network".into(),
        ErrorKind::TimedOut => "did not answer the connection".into(),
        _ => format!("could not be connected to{}", code(error)),
    };
    (Status::Connect, why)
}

fn exhausted(error: &io::Error) -> String {
    format!("could not be reached: the system gave no socket, thread or memory{}", code(error))
}

fn code(error: &io::Error) -> String {
    error.raw_os_error().map(|code| format!(" (system error {code})")).unwrap_or_default()
}

fn tls_broken(call: &Ongoing) -> (Status, String) {
    match call.refused {
        Some(reason) => (Status::Tls, format!("failed the TLS handshake: {reason}")),
        None => (Status::Tls, "broke off the TLS handshake".into()),
    }
}
