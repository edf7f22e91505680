//! What an image's address in a body means.

use percent_encoding::{AsciiSet, utf8_percent_encode};

use crate::http::{Origin, Scheme, Url};

/// The absolute address that `link` means on an API at `api`.
///
/// A relative link belongs to the origin, not to the path of the API (`providers.md` 1.4), and its query is kept byte
/// for byte: it is signed. Only what no request can carry is percent-encoded: spaces, and letters outside ASCII.
///
/// # Errors
/// Why it means none, as the end of a sentence that begins with its name; never the link itself.
pub(crate) fn resolve(link: &str, api: &Url) -> Result<String, &'static str> {
    let link = without_fragment(link);
    absolute(link, api).or_else(|_| absolute(&utf8_percent_encode(link, UNSENDABLE).to_string(), api))
}

/// What a request cannot carry, for want of encoding: what would break it apart is refused instead.
const UNSENDABLE: &AsciiSet = &AsciiSet::EMPTY.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

fn absolute(link: &str, base: &Url) -> Result<String, &'static str> {
    if link.starts_with("//") {
        Url::parse(&format!("{}:{link}", base.scheme().name())).map(Url::into_string)
    } else if link.starts_with('/') {
        base.text_with(link)
    } else {
        Url::parse(link).map(Url::into_string)
    }
}

// A fragment is the reader's own business and never sent.
fn without_fragment(link: &str) -> &str {
    link.split('#').next().unwrap_or_default().trim()
}

/// The same path and query on the API's own origin, where the dialect knows that gateways print inner hosts.
///
/// `prefix` is the dialect's `read.images.rebase`.
pub(crate) fn rebase(url: &Url, api: &Url, prefix: Option<&str>) -> Option<Url> {
    let prefix = prefix?;
    if url.origin() == api.origin() || !url.path().starts_with(prefix) {
        return None;
    }
    api.with_path_and_query(url.path_and_query()).ok()
}

/// Whether a redirect from `from` to `to` may be followed: never from https down to http.
pub(crate) fn may_follow(from: &Url, to: &Url) -> bool {
    !(from.scheme() == Scheme::Https && to.scheme() == Scheme::Http)
}

/// The address that a `Location` header means: an absolute one, or one beside `from` (RFC 9110, 10.2.2), but not above it.
pub(crate) fn redirect(from: &Url, location: &str) -> Option<Url> {
    let location = without_fragment(location);
    let path = location.split('?').next().unwrap_or_default();
    let beside = match path.split_once('/') {
        _ if location.is_empty() => return None,
        Some(("", _)) => "",
        Some((first, _)) if first.contains(':') => "",
        None if path.contains(':') => "",
        _ if path.is_empty() => from.path(),
        _ => &from.path()[..=from.path().rfind('/')?],
    };
    if !beside.is_empty() && path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    Url::parse(&absolute(&[beside, location].concat(), from).ok()?).ok()
}

/// Who may be contacted for images.
#[derive(Debug, Clone)]
pub(crate) struct ImageHosts {
    /// The API's own origin, always allowed.
    pub(crate) api: Origin,
    /// Whether any other host may be at a private address.
    pub(crate) allow_private: bool,
}

impl ImageHosts {
    /// Whether the resolved address of `url` must be a public one.
    pub(crate) fn must_be_public(&self, url: &Url) -> bool {
        !self.allow_private && url.origin() != self.api
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> Url {
        Url::parse("https://gw.example/v1").expect("a URL")
    }

    #[test]
    fn a_path_belongs_to_the_origin_and_keeps_its_query() {
        let link = "/p/img/img_1/0?exp=1777166400000&sig=%41b+c";
        assert_eq!(resolve(link, &api()), Ok(format!("https://gw.example{link}")));
        assert_eq!(resolve(&format!(" {link}#part\n"), &api()), Ok(format!("https://gw.example{link}")));
    }

    #[test]
    fn an_absolute_link_is_taken_as_it_is() {
        let link = "https://cdn.example:8443/a.png?X-Sig=a%2Fb";
        assert_eq!(resolve(link, &api()).as_deref(), Ok(link));
        assert_eq!(resolve("//cdn.example/a.png", &api()).as_deref(), Ok("https://cdn.example/a.png"));
    }

    #[test]
    fn what_no_request_can_carry_is_encoded_and_nothing_else() {
        for (link, sent) in [
            ("/p/\u{56fe} 1.png?sig=%2f+A&x=\u{fc}", "https://gw.example/p/%E5%9B%BE%201.png?sig=%2f+A&x=%C3%BC"),
            ("https://cdn.example/a b<c>`.png", "https://cdn.example/a%20b%3Cc%3E%60.png"),
            ("//cdn.example/\u{e9}?a=%zz", "https://cdn.example/%C3%A9?a=%zz"),
        ] {
            assert_eq!(resolve(link, &api()).as_deref(), Ok(sent), "{link}");
        }
    }

    #[test]
    fn what_is_no_address_means_none() {
        for link in [
            "",
            "#a",
            "a.png",
            "../a.png",
            "?a=1",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ftp://h/a",
            "https://u:p@h/a",
            "https://h:99999/a",
            "https://b\u{fc}cher.example/a",
            "https://h /a",
            "/a\r\nx: y",
            "/a\tb",
            "/a\\b",
            "https://h/a\0",
            "https://[fe80::1%25eth0]/a",
        ] {
            let refused = resolve(link, &api()).expect_err(link);
            assert!(link.is_empty() || !refused.contains(link), "{link:?}: {refused}");
        }
    }

    #[test]
    fn only_a_dialects_own_paths_are_rebased() {
        let inner = Url::parse("http://10.0.0.7:8080/p/img/img_1/0?exp=1&sig=2").expect("a URL");
        let rebased = rebase(&inner, &api(), Some("/p/img/")).expect("rebased");
        assert_eq!(rebased.as_str(), "https://gw.example/p/img/img_1/0?exp=1&sig=2");
        assert!(rebase(&inner, &api(), None).is_none());
        let other = Url::parse("http://10.0.0.7/admin").expect("a URL");
        assert!(rebase(&other, &api(), Some("/p/img/")).is_none());
    }

    #[test]
    fn a_redirect_never_goes_down_to_plain_http() {
        let from = Url::parse("https://cdn.example/a").expect("a URL");
        let down = redirect(&from, "http://cdn.example/a").expect("an address");
        assert!(!may_follow(&from, &down));
        let same = redirect(&from, "/b?x=1#part").expect("an address");
        assert_eq!(same.as_str(), "https://cdn.example/b?x=1");
        assert!(may_follow(&from, &same));
    }

    #[test]
    fn a_redirect_may_lead_beside_where_it_comes_from() {
        let from = Url::parse("https://cdn.example:8443/a/b?sig=1").expect("a URL");
        for (location, target) in [
            ("c.png?sig=2", "https://cdn.example:8443/a/c.png?sig=2"),
            ("c/d", "https://cdn.example:8443/a/c/d"),
            ("?sig=3", "https://cdn.example:8443/a/b?sig=3"),
            ("/c", "https://cdn.example:8443/c"),
            ("/c/../d", "https://cdn.example:8443/c/../d"),
            ("/c:d", "https://cdn.example:8443/c:d"),
            ("//h.example/c", "https://h.example/c"),
            ("HTTPS://H.example:443/c#d", "https://h.example/c"),
            ("c/d?x=a:b", "https://cdn.example:8443/a/c/d?x=a:b"),
        ] {
            assert_eq!(redirect(&from, location).expect(location).as_str(), target, "{location}");
        }
    }

    #[test]
    fn a_redirect_to_what_is_no_address_leads_nowhere() {
        let from = Url::parse("https://cdn.example/a/b").expect("a URL");
        for location in [
            "",
            " ",
            "#top",
            "../c",
            "./c",
            "c/../../d",
            "..",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "ftp://h.example/c",
            "mailto:a",
            "https:",
            "https:c",
            "https://",
            "//",
            "///c",
            "//u:p@h.example/c",
            "https://u@h.example/c",
            "https://h.example:0/c",
            "/c d",
            "/c\u{e9}",
            "c\\d",
            "/\\h.example/c",
            "\\\\h.example\\c",
            &format!("/{}", "c".repeat(70_000)),
        ] {
            assert_eq!(redirect(&from, location), None, "{location:?}");
        }
    }
}
