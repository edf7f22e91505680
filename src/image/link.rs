//! What an image's address in a body means.

use crate::http::{Origin, Scheme, Url};

/// The absolute address that `link` means on an API at `api`; `None` when it means none.
///
/// A relative link belongs to the origin, not to the path of the API (`providers.md` 1.4), and its query is kept byte
/// for byte: it is signed.
pub(crate) fn resolve(link: &str, api: &Url) -> Option<String> {
    let link = link.trim();
    let url = if let Some(rest) = link.strip_prefix("//") {
        Url::parse(&format!("{}://{rest}", scheme_word(api))).ok()?
    } else if link.starts_with('/') {
        return api.text_with(link).ok();
    } else {
        Url::parse(link).ok()?
    };
    Some(url.as_str().to_owned())
}

fn scheme_word(url: &Url) -> &'static str {
    match url.scheme() {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
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

/// The address that a `Location` header means.
pub(crate) fn redirect(from: &Url, location: &str) -> Option<Url> {
    let location = location.split('#').next().unwrap_or_default();
    let target = resolve(location, from)?;
    Url::parse(&target).ok()
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
        assert_eq!(resolve(link, &api()), Some(format!("https://gw.example{link}")));
    }

    #[test]
    fn an_absolute_link_is_taken_as_it_is() {
        let link = "https://cdn.example:8443/a.png?X-Sig=a%2Fb";
        assert_eq!(resolve(link, &api()).as_deref(), Some(link));
        assert_eq!(resolve("//cdn.example/a.png", &api()).as_deref(), Some("https://cdn.example/a.png"));
    }

    #[test]
    fn what_is_no_address_means_none() {
        for link in
            ["", "a.png", "../a.png", "javascript:alert(1)", "file:///etc/passwd", "ftp://h/a", "https://u:p@h/a"]
        {
            assert_eq!(resolve(link, &api()), None, "{link}");
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
}
