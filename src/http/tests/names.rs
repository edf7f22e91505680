//! Names, and the addresses behind them.

use std::net::IpAddr;
use std::sync::Mutex;

use super::*;
use crate::http::resolve::Resolver;

type Name = (&'static str, Vec<Vec<IpAddr>>);

/// A client to whom each name means what the table says, answer by answer; the last one stays.
fn knowing(names: &[(&'static str, &[&[&str]])]) -> Http {
    let read = |ips: &&[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
    let table: Mutex<Vec<Name>> =
        Mutex::new(names.iter().map(|(name, answers)| (*name, answers.iter().map(read).collect())).collect());
    let lookup = move |host: &str| {
        let mut table = table.lock().unwrap();
        let (_, answers) = table.iter_mut().find(|(name, _)| *name == host).expect("a known name");
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    };
    Http::with(&settings(), Resolver::knowing(lookup)).unwrap()
}

fn at(server: &Server, name: &str) -> Url {
    Url::parse(&format!("http://{name}:{}/", server.port())).unwrap()
}

fn public<'a>(url: &'a Url) -> Request<'a> {
    Request { public_only: true, ..get(url) }
}

#[test]
fn a_name_is_judged_by_every_address_that_it_has() {
    let server = Server::answering(ok("{}"));
    let http = knowing(&[
        ("private.example", &[&["127.0.0.1"]]),
        ("mapped.example", &[&["::ffff:127.0.0.1"]]),
        ("many.example", &[&["127.0.0.1", "10.0.0.1", "::1", "fe80::1", "169.254.169.254"]]),
    ]);
    for name in ["private.example", "mapped.example", "many.example", "Private.Example."] {
        let url = at(&server, name);
        let failure = send(&http, &public(&url)).err().unwrap();
        assert_eq!((failure.error.status(), failure.sent), (Status::Blocked, false), "{name}: {}", failure.error);
        assert!(http.is_private(&url, &Stop::default()), "{name}");
    }
    assert_eq!((server.connections(), http.connections_opened()), (0, 0));
    let mixed = knowing(&[("mixed.example", &[&["127.0.0.1", "1.1.1.1"]])]);
    assert!(!mixed.is_private(&at(&server, "mixed.example"), &Stop::default()));
}

#[test]
fn what_a_name_meant_before_counts_for_nothing() {
    let server = Server::answering(ok("{}"));
    let http = knowing(&[("flips.example", &[&["1.1.1.1"], &["127.0.0.1"]])]);
    let url = at(&server, "flips.example");
    // Judged, and not asked.
    assert!(!http.is_private(&url, &Stop::default()));
    http.shared.resolver.forget("flips.example");
    let failure = send(&http, &public(&url)).err().unwrap();
    assert_eq!((failure.error.status(), server.connections()), (Status::Blocked, 0), "{}", failure.error);
}

#[test]
fn a_connection_that_was_allowed_serves_nobody_who_is_not() {
    let server = Server::answering(ok("{}"));
    let http = knowing(&[("private.example", &[&["127.0.0.1"]])]);
    let url = at(&server, "private.example");
    fetch(&http, &url).unwrap();
    let failure = send(&http, &public(&url)).err().unwrap();
    assert_eq!((failure.error.status(), server.requests().len()), (Status::Blocked, 1), "{}", failure.error);
    fetch(&http, &url).unwrap();
    assert_eq!((server.connections(), server.requests().len()), (1, 2));
}
