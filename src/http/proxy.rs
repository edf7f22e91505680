//! Which proxy is used: none, the one given, or the environment's. One that cannot be used is an error, never passed over.

use percent_encoding::percent_decode_str;
use ureq::{Proxy, ProxyProtocol};

use super::url::{Scheme, Url};
use crate::error::{Error, Result};

/// Where requests go through.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) enum ProxyChoice {
    /// Nowhere: straight to the host, whatever the environment says.
    #[default]
    Direct,
    /// What `ALL_PROXY`, `HTTPS_PROXY` or `http_proxy` name when the client is created, except for hosts in `NO_PROXY`.
    Env,
    /// `http://[user:password@]host[:port]`, or the same with `https`.
    Url(String),
}

/// The first that is set counts, for both schemes. `HTTP_PROXY` in capitals is left out: a CGI server sets it from a request.
const VARIABLES: &[&str] = &["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "http_proxy"];

impl ProxyChoice {
    /// `variable` reads the environment, which is done once.
    pub(super) fn resolve(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match self {
            ProxyChoice::Direct => Ok(None),
            ProxyChoice::Url(value) => {
                read(value, "").map(Some).map_err(|why| Error::invalid(format!("proxy_url {why}")))
            }
            ProxyChoice::Env => {
                let Some((name, value)) = VARIABLES.iter().find_map(|name| set(name).map(|value| (name, value))) else {
                    return Ok(None);
                };
                let exceptions = set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default();
                let proxy = read(&value, &exceptions);
                proxy.map(Some).map_err(|why| Error::invalid(format!("the proxy in the variable {name} {why}")))
            }
        }
    }
}

fn read(value: &str, exceptions: &str) -> Result<Proxy, &'static str> {
    const CREDENTIALS: &str = "has a user name or password that is not percent-encoded UTF-8";
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    if scheme.to_ascii_lowercase().starts_with("socks") {
        return Err("is a SOCKS proxy, and only http:// and https:// proxies are supported");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !matches!(path, "" | "/") {
        return Err("must be http://[user:password@]host[:port] without a path");
    }
    let (credentials, host) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, authority),
    };
    let url = Url::parse(&format!("{scheme}://{host}"))?;
    let protocol = match url.scheme() {
        Scheme::Http => ProxyProtocol::Http,
        Scheme::Https => ProxyProtocol::Https,
    };
    let mut builder = Proxy::builder(protocol).host(url.host()).port(url.port());
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_| CREDENTIALS);
        builder = builder.username(&decode(user)?).password(&decode(password)?);
    }
    for exception in exceptions.split([',', ' ']).map(str::trim).filter(|exception| !exception.is_empty()) {
        builder = builder.no_proxy(exception);
        // As curl has it, a name stands for the names below it too.
        if !exception.starts_with(['.', '*']) {
            builder = builder.no_proxy(&format!(".{exception}"));
        }
    }
    builder.build().map_err(|_| "cannot be used")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::Uri;

    fn env<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_direct_client_ignores_the_environment() {
        assert!(ProxyChoice::Direct.resolve(|_| panic!("read")).unwrap().is_none());
    }

    #[test]
    fn a_proxy_address_is_read_with_its_credentials() {
        let choice = ProxyChoice::Url("http://us%40er:p%3Ass@proxy.example:3128/".into());
        let proxy = choice.resolve(|_| panic!("read")).unwrap().unwrap();
        assert_eq!(
            (proxy.host(), proxy.port(), proxy.username(), proxy.password()),
            ("proxy.example", 3128, Some("us@er"), Some("p:ss"))
        );
        let proxy = ProxyChoice::Url("proxy.example".into()).resolve(|_| None).unwrap().unwrap();
        assert_eq!((proxy.protocol(), proxy.port()), (ProxyProtocol::Http, 80));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_not_passed_over() {
        for value in [
            "socks5://127.0.0.1:1080",
            "SOCKS4A://h",
            "ftp://h",
            "http://h:0",
            "http://",
            "http://h/path",
            "http://a b",
            "http://canary%ff@h",
        ] {
            let refused = ProxyChoice::Url(value.into()).resolve(|_| None).unwrap_err();
            assert!(refused.message().starts_with("proxy_url ") && !refused.message().contains("canary"), "{refused}");
            let refused = ProxyChoice::Env.resolve(env(&[("all_proxy", value)])).unwrap_err();
            assert!(refused.message().contains("the variable all_proxy"), "{refused}");
        }
    }

    #[test]
    fn the_environment_names_the_proxy_and_its_exceptions() {
        assert!(
            ProxyChoice::Env
                .resolve(env(&[("ALL_PROXY", ""), ("HTTP_PROXY", "http://cgi.example")]))
                .unwrap()
                .is_none()
        );
        let set = [("HTTPS_PROXY", "http://p.example:1"), ("NO_PROXY", "localhost, a.example,*.b.example")];
        let proxy = ProxyChoice::Env.resolve(env(&set)).unwrap().unwrap();
        let direct = |host: &str| proxy.is_no_proxy(&format!("https://{host}/").parse::<Uri>().unwrap());
        assert!(direct("localhost") && direct("a.example") && direct("x.a.example") && direct("x.b.example"));
        assert!(!direct("c.example") && !direct("xa.example"));
    }
}
