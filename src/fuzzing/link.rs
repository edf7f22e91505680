//! Addresses that services name: links of images, redirects, poll addresses; and images that are their own link.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::choice;
use crate::api::{Base, Place};
use crate::dialect::Dialect;
use crate::error::Status;
use crate::http::{Scheme, Url};
use crate::image::{self, may_follow, rebase, redirect};

const APIS: [&str; 4] =
    ["https://api.example/v1", "http://127.0.0.1:8080", "https://[::1]:8443/a/b/c?sig=1", "http://10.0.0.7/p/img/1"];

/// An address that was accepted, and how it will be asked.
#[derive(Debug)]
pub struct Address {
    /// The base that the text was given on.
    pub base: &'static str,
    /// What was accepted.
    pub given: String,
    /// The whole address.
    pub whole: String,
    /// The host that is connected to.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What stands behind the origin.
    pub path_and_query: String,
}

/// One byte for the API, then a link. Gives every address that it means.
pub fn link(mut data: &[u8]) -> Vec<Address> {
    let which = choice(&mut data);
    let text = String::from_utf8_lossy(data);
    let base = APIS[which % APIS.len()];
    let api = Url::parse(base).expect("an address");
    let mut addresses = Vec::new();
    let mut add = |url: &Url| {
        check(url);
        addresses.push(Address {
            base,
            given: text.trim().to_owned(),
            whole: url.as_str().to_owned(),
            host: url.host().to_owned(),
            port: url.port(),
            path_and_query: url.path_and_query().to_owned(),
        });
    };

    if let Ok(url) = Url::parse(&text) {
        add(&url);
        if let Some(rebased) = rebase(&url, &api, Some("/p/img/")) {
            assert!(rebased.same_origin(&api) && rebased.path_and_query() == url.path_and_query());
            check(&rebased);
        }
    }
    match image::resolve(&text, &api) {
        Ok(whole) => {
            let url = Url::parse(&whole).expect("what a link means is an address");
            assert_eq!(url.as_str(), whole);
            assert_eq!(image::resolve(&whole, &api).as_ref(), Ok(&whole));
            check(&url);
        }
        Err(why) => assert!(!why.is_empty()),
    }
    if let Some(url) = redirect(&api, &text) {
        assert!(may_follow(&api, &url) || url.scheme() == Scheme::Http);
        add(&url);
    }
    reference(&api, &text, which);
    inline(&text);
    addresses
}

/// What is accepted is accepted again as itself, and names one host and one port.
fn check(url: &Url) {
    let text = url.as_str();
    assert_eq!(Url::parse(text).as_ref(), Ok(url), "{text}");
    assert!(text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains(['\\', '#']), "{text}");
    assert!(url.port() > 0 && !url.host().is_empty() && !url.host_and_port().contains('@'), "{text}");
    assert!(url.path_and_query().starts_with('/'), "{text}");
    let rest = text.strip_prefix(url.scheme().name()).and_then(|rest| rest.strip_prefix("://")).unwrap_or_default();
    assert_eq!(format!("{}{}", url.host_and_port(), url.path_and_query()), rest, "{text}");
    assert!(!url.without_query().contains('?') && text.starts_with(&url.without_query()), "{text}");
    assert_eq!(url.with_path_and_query(url.path_and_query()).as_ref(), Ok(url), "{text}");
}

/// The key goes to the API's own origin, and the reference of a target names it again.
fn reference(api: &Url, text: &str, which: usize) {
    let mut dialects = Dialect::builtins();
    let Some(dialect) = dialects.nth(which / APIS.len() % Dialect::builtin_names().count()) else { return };
    let base = Base::new(api.clone());
    if let Ok(target) = base.target(dialect, text) {
        match &target.place {
            Place::Address(url) => {
                check(url);
                assert!(url.same_origin(api) || !dialect.profile().poll.follow_hosts.is_empty());
            }
            Place::Path(path) => check(&base.url(path).expect("a path of the dialect's own")),
            Place::Id => assert_eq!(target.id, text),
        }
        assert_eq!(base.target(dialect, target.reference()).as_ref().ok(), Some(&target));
    }
    if let Ok(url) = base.address(dialect, base.url_of_api(), text) {
        check(&url);
        assert!(url.same_origin(api) || !dialect.profile().poll.follow_hosts.is_empty());
    }
}

/// An image in a text is as long as the limit allows, and is the same image in the plainest form.
fn inline(text: &str) {
    const LIMIT: u64 = 256;
    match image::decode_inline(text, LIMIT) {
        Ok((bytes, media_type)) => {
            assert!(bytes.len() as u64 <= LIMIT && media_type.trim() == media_type);
            if !bytes.is_empty() {
                let plain = format!("data:{media_type};base64,{}", STANDARD.encode(&bytes));
                let again = image::decode_inline(&plain, LIMIT).expect("the plainest form");
                assert_eq!(again, (bytes, media_type));
            }
        }
        Err(error) => assert!(matches!(error.status(), Status::BadImage | Status::TooLarge)),
    }
}
