//! What a task reference names: an id, or a poll address that the service gave. Strict, because the key goes there.

use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::http::{Scheme, Url};

/// Where the API is. People paste addresses with and without `/v1` and trailing slashes; both mean the same.
pub(crate) struct Base {
    url: Url,
    /// The segments of its path.
    segments: Vec<String>,
}

/// A task and where to look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The service's id, "" when the address does not show it.
    pub(crate) id: String,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the dialect's own poll paths.
    Id,
    /// A path and query that matches one of them.
    Path(String),
    /// A whole address on the API's origin, or on a host that the dialect allows.
    Address(Url),
}

impl Target {
    /// What names it: passed again, it is the same target.
    pub(crate) fn reference(&self) -> &str {
        match &self.place {
            Place::Id => &self.id,
            Place::Path(path) => path,
            Place::Address(url) => url.as_str(),
        }
    }
}

impl Base {
    pub(crate) fn new(url: Url) -> Base {
        let segments = url.path().split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        Base { url, segments }
    }

    pub(crate) fn url_of_api(&self) -> &Url {
        &self.url
    }

    /// The address of a path of the API: the longest tail of the base path that is the head of `path` stands once.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        if self.segments.is_empty() {
            return self.url.with_path_and_query(path).map_err(unusable);
        }
        let bare = path.split('?').next().unwrap_or_default();
        let is_head = |tail: &[String]| bare.split('/').skip(1).take(tail.len()).eq(tail.iter());
        let kept =
            (0..=self.segments.len()).find(|kept| is_head(&self.segments[*kept..])).unwrap_or(self.segments.len());
        let kept = &self.segments[..kept];
        let url = if kept.is_empty() {
            self.url.with_path_and_query(path)
        } else {
            self.url.with_path_and_query(&format!("/{}{path}", kept.join("/")))
        };
        url.map_err(unusable)
    }

    /// Whether another base address means the same API.
    pub(crate) fn means(&self, dialect: &Dialect, other: &str) -> bool {
        let path = &dialect.look(0, "id").path;
        let other = Url::parse(other).map(Base::new).ok().and_then(|other| other.url(path).ok());
        other.is_some() && other == self.url(path).ok()
    }

    /// Reads a task reference.
    pub(crate) fn target(&self, dialect: &Dialect, task_ref: &str) -> Result<Target> {
        if task_ref.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return Err(Error::invalid("the task reference holds a control character or a space"));
        }
        let begins_with = |head: &str| task_ref.get(..head.len()).is_some_and(|own| own.eq_ignore_ascii_case(head));
        if task_ref.starts_with('/') {
            self.path_target(dialect, task_ref)
        } else if begins_with("http://") || begins_with("https://") {
            self.address_target(dialect, task_ref)
        } else {
            dialect.check_id(task_ref)?;
            Ok(Target { id: task_ref.to_owned(), place: Place::Id })
        }
    }

    fn path_target(&self, dialect: &Dialect, path: &str) -> Result<Target> {
        if path.starts_with("//") {
            return Err(Error::invalid("the task reference names another host"));
        }
        check_path(path)?;
        if let Some(id) = self.match_path(dialect, path) {
            dialect.check_id(&id)?;
            self.url(path)?;
            return Ok(Target { id, place: Place::Path(path.to_owned()) });
        }
        // Two dialects of one service share its key.
        let (own, key) = (&dialect.profile().title, &dialect.profile().key_variable);
        let mut others = Dialect::builtins().filter(|other| other.profile().key_variable == *key);
        let other = others.find(|other| self.match_path(other, path).is_some());
        Err(Error::invalid(match other {
            Some(other) => format!("the path is not one of {own}: use provider {}", &*other.profile().name),
            None => format!("the path is not one of {own}'s poll paths"),
        }))
    }

    /// The address of an answer that the service named in one from the origin of `from`, if the key may go there.
    pub(crate) fn address(&self, dialect: &Dialect, from: &Url, named: &str) -> Result<Url> {
        check_path(named)?;
        if named.starts_with('/') && !named.starts_with("//") {
            return from.with_path_and_query(named).map_err(unusable);
        }
        self.own_address(dialect, named)
    }

    fn own_address(&self, dialect: &Dialect, address: &str) -> Result<Url> {
        let url = Url::parse(address)
            .map_err(|reason| Error::invalid(format!("the task reference is no address: {reason}")))?;
        if url.origin() != self.url.origin() && !allowed_host(dialect, &url) {
            let message = format!("the task reference is not on {}, and the key goes nowhere else", self.url.origin());
            return Err(Error::invalid(message));
        }
        Ok(url)
    }

    /// The id in a path of the dialect, with or without the base's own path before it.
    fn match_path(&self, dialect: &Dialect, path: &str) -> Option<String> {
        let prefix = format!("/{}/", self.segments.join("/"));
        dialect.match_poll_path(path).or_else(|| {
            let inner = path.strip_prefix(&prefix).filter(|_| !self.segments.is_empty())?;
            dialect.match_poll_path(&format!("/{inner}"))
        })
    }

    fn address_target(&self, dialect: &Dialect, address: &str) -> Result<Target> {
        let url = self.own_address(dialect, address)?;
        check_path(address)?;
        let id = self.match_path(dialect, url.path_and_query()).unwrap_or_default();
        Ok(Target { id, place: Place::Address(url) })
    }
}

fn unusable(reason: &str) -> Error {
    Error::invalid(format!("the address cannot be used: {reason}"))
}

fn allowed_host(dialect: &Dialect, url: &Url) -> bool {
    url.scheme() == Scheme::Https
        && url.port() == 443
        && dialect.profile().poll.follow_hosts.iter().any(|host| host_matches(host, url.host()))
}

/// `*.example.com` allows every host below example.com; anything else only itself. The dialect has checked the form.
fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(tail) => host.len() > tail.len() && host.ends_with(tail),
        None => host == pattern,
    }
}

fn check_path(path: &str) -> Result<()> {
    if path.contains('#') {
        return Err(Error::invalid("the task reference holds a fragment"));
    }
    let bare = path.split('?').next().unwrap_or_default();
    if bare.split(['/', '\\']).any(is_dots) {
        return Err(Error::invalid("the task reference holds a dot segment"));
    }
    Ok(())
}

/// Whether a segment is `.` or `..`, its dots escaped or not.
fn is_dots(segment: &str) -> bool {
    let (mut rest, mut dots) = (segment, 0);
    loop {
        rest = match (rest.strip_prefix('.'), rest.get(..3)) {
            (Some(rest), _) => rest,
            (None, Some(escape)) if escape.eq_ignore_ascii_case("%2e") => &rest[3..],
            _ => return rest.is_empty() && (1..=2).contains(&dots),
        };
        dots += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn base(url: &str) -> Base {
        Base::new(Url::parse(url).expect("a URL"))
    }

    fn dialect(name: &str) -> Arc<Dialect> {
        Dialect::builtin(name).expect("built in")
    }

    #[test]
    fn a_base_address_means_the_same_with_and_without_its_version_and_slashes() {
        let pastes = ["https://h", "https://h/", "https://h/v1", "https://h/v1/"];
        for pasted in pastes {
            assert_eq!(base(pasted).url("/v1/tasks/a").expect("a URL").as_str(), "https://h/v1/tasks/a", "{pasted}");
            for other in pastes {
                assert!(base(pasted).means(&dialect("dimilinks"), other), "{pasted} {other}");
            }
            for other in ["https://h/v2", "https://h/proxy/v1", "http://h", "https://h:8443", "https://i", "h", ""] {
                assert!(!base(pasted).means(&dialect("dimilinks"), other), "{pasted} {other}");
            }
        }
        for pasted in ["https://h/proxy", "https://h/proxy/v1"] {
            let url = base(pasted).url("/v1/tasks/a?x=/v1").expect("a URL");
            assert_eq!(url.as_str(), "https://h/proxy/v1/tasks/a?x=/v1", "{pasted}");
        }
    }

    #[test]
    fn an_id_is_one_segment() {
        let (base, dialect) = (base("https://h/v1"), dialect("dimilinks"));
        assert_eq!(base.target(&dialect, "img_1").expect("an id").place, Place::Id);
        for bad in ["", ".", "..", "a/b", "a?b", "a#b", "a b", "a\nb", "a\0b", &"x".repeat(513)] {
            assert!(base.target(&dialect, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dot_segments_are_known_in_every_spelling() {
        for dots in [".", "..", "%2e", "%2E", ".%2e", "%2e.", "%2E%2e"] {
            assert!(is_dots(dots), "{dots}");
        }
        for name in ["", "...", "%2e%2e%2e", "a", ".a", "a.", "..a", "%2", "%2f", "%2e%", "é", "..é"] {
            assert!(!is_dots(name), "{name}");
        }
    }

    #[test]
    fn a_poll_path_must_be_one_of_the_dialects_own() {
        let (base, lemon) = (base("https://h/v1"), dialect("lemondata"));
        let target = base.target(&lemon, "/v1/tasks/ldtask_1").expect("a path");
        assert_eq!((target.id.as_str(), target.place), ("ldtask_1", Place::Path("/v1/tasks/ldtask_1".into())));
        let bad_paths = [
            "//evil.example/v1/tasks/a",
            "/v1/tasks/../keys",
            "/v1/tasks/%2e%2E/keys",
            "/v1/tasks/a#b",
            "/v1/keys/a",
            "/v1/tasks/",
            // No request can carry these: what a service means by them is told by the id.
            "/v1/tasks/\u{4efb}\u{52a1}",
            "/v1/tasks/a\\b",
            "/",
        ];
        for bad in bad_paths {
            assert!(base.target(&lemon, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_of_the_old_routes_names_the_provider_for_it() {
        let refused = base("https://h").target(&dialect("dimilinks"), "/v1/images/tasks/img_1").expect_err("refused");
        assert!(refused.message().contains("use provider dimilinks-legacy"), "{}", refused.message());
    }

    #[test]
    fn a_whole_address_must_be_on_the_apis_own_origin() {
        let (base, dialect) = (base("https://gw.example/v1"), dialect("dimilinks"));
        for good in ["https://gw.example/v1/tasks/a", "https://GW.example:443/v1/tasks/a"] {
            assert_eq!(base.target(&dialect, good).expect(good).id, "a");
        }
        for bad in [
            "http://gw.example/v1/tasks/a",
            "https://gw.example:444/v1/tasks/a",
            "https://gw.example.evil/v1/tasks/a",
            "https://u@gw.example/v1/tasks/a",
            "https://gw.example/v1/tasks/../a",
            "https://gw.example/v1/tasks/a#x",
            "HTTPS://evil.example/",
        ] {
            assert!(base.target(&dialect, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_below_a_studios_own_backend_is_found_with_and_without_its_prefix() {
        let (base, dialect) = (base("https://studio.example/ai"), dialect("dimilinks"));
        for path in ["/v1/tasks/a", "/ai/v1/tasks/a"] {
            assert_eq!(base.target(&dialect, path).expect(path).id, "a");
        }
    }

    #[test]
    fn hosts_of_a_dialect_are_matched_whole() {
        assert!(host_matches("*.bfl.example", "eu1.bfl.example"));
        assert!(!host_matches("*.bfl.example", "bfl.example"));
        assert!(!host_matches("*.bfl.example", "evilbfl.example"));
        assert!(host_matches("h.example", "h.example") && !host_matches("h.example", "x.h.example"));
    }
    #[test]
    fn an_allowed_host_gets_the_key_by_https_on_its_own_port_only() {
        let dialect =
            Dialect::parse(r#"{"name":"x","poll":{"paths":["/t/{id}"],"follow_hosts":["h.example","*.bfl.example"]}}"#);
        let (base, dialect) = (base("https://api.example"), dialect.expect("a dialect"));
        for good in ["https://h.example/t/a", "https://h.example:443/t/a", "https://EU.bfl.example/t/a"] {
            assert!(base.target(&dialect, good).is_ok(), "{good}");
        }
        for bad in [
            "http://h.example/t/a",
            "http://h.example:443/t/a",
            "https://h.example:8443/t/a",
            "https://bfl.example/t/a",
            "https://evilbfl.example/t/a",
            "https://eu.bfl.example.evil/t/a",
        ] {
            assert!(base.target(&dialect, bad).is_err(), "{bad}");
        }
    }
}
