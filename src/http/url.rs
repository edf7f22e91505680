//! Addresses, read strictly: what this parser lets through means the same to everyone who handles it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::http::uri::PathAndQuery;
use ureq::http::{HeaderValue, Uri};

/// Longest address that is read, bytes.
const MAX_LEN: usize = 8 * 1024;

/// How to speak to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Scheme, host and port: what a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// An absolute `http` or `https` address.
///
/// Kept in one normal form: scheme and host in lower case, an IPv6 address in its shortest form, no default port, `/` for an
/// empty path. Path and query stay byte for byte as they came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    text: String,
    scheme: Scheme,
    host_end: usize,
    port: u16,
    path_start: usize,
    uri: Uri,
    /// `host_and_port` as every request to it says it.
    host: HeaderValue,
}

impl Url {
    /// Reads an address. A fragment is never sent and is cut off.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with its name; never the value itself.
    pub(crate) fn parse(value: &str) -> Result<Url, &'static str> {
        check_characters(value)?;
        let value = value.split('#').next().unwrap_or_default();
        let (scheme, rest) = match value.split_once("://") {
            Some((name, rest)) if name.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((name, rest)) if name.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            _ => return Err("must begin with https:// or http://"),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("must not hold a user name or a password");
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(digits) => read_port(digits)?,
            None => scheme.default_port(),
        };

        let mut text = String::with_capacity(value.len() + 1);
        text.push_str(scheme.name());
        text.push_str("://");
        push_host(&mut text, host)?;
        let host_end = text.len();
        if port != scheme.default_port() {
            text.push(':');
            text.push_str(itoa(port, &mut [0; 5]));
        }
        let path_start = text.len();
        if !path.starts_with('/') {
            text.push('/');
        }
        text.push_str(path);
        check_path(&text[path_start..])?;
        let uri = Uri::try_from(text.as_str()).map_err(|_| ODD)?;
        let host = HeaderValue::from_str(&text[scheme.name().len() + 3..path_start]).map_err(|_| ODD)?;
        Ok(Url { text, scheme, host_end, port, path_start, uri, host })
    }

    /// The whole address in its normal form.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// [`Url::as_str`], for who needs the text alone.
    pub(crate) fn into_string(self) -> String {
        self.text
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case; an IPv6 address in its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.text[self.scheme.name().len() + 3..self.host_end]
    }

    /// The port, the scheme's own where the address names none.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `host` or `host:port`, for people.
    pub(crate) fn host_and_port(&self) -> &str {
        &self.text[self.scheme.name().len() + 3..self.path_start]
    }

    /// Begins with `/`.
    pub(crate) fn path_and_query(&self) -> &str {
        &self.text[self.path_start..]
    }

    /// Begins with `/`.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query().split('?').next().unwrap_or_default()
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin { scheme: self.scheme, host: self.host().to_owned(), port: self.port }
    }

    /// Whether both have one scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Url) -> bool {
        self.text[..self.path_start] == other.text[..other.path_start]
    }

    /// 127.0.0.0/8, `[::1]` or `localhost`, which is never looked up.
    pub(crate) fn is_loopback_host(&self) -> bool {
        match literal(self.host()) {
            Some(ip) => ip.is_loopback(),
            None => self.host() == "localhost",
        }
    }

    /// Another path on the same origin, byte for byte. Must begin with `/` and hold no fragment.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub(crate) fn with_path_and_query(&self, path_and_query: &str) -> Result<Url, &'static str> {
        let text = self.text_with(path_and_query)?;
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).map_err(|_| ODD)?);
        let uri = Uri::from_parts(parts).map_err(|_| ODD)?;
        Ok(Url { text, uri, host: self.host.clone(), ..*self })
    }

    /// The text of [`Url::with_path_and_query`], for an address that is handed on and not asked.
    ///
    /// # Errors
    /// As [`Url::parse`].
    pub(crate) fn text_with(&self, path_and_query: &str) -> Result<String, &'static str> {
        if !path_and_query.starts_with('/') {
            return Err("must begin with /");
        }
        if !path_and_query.bytes().all(|b| PLAIN[usize::from(b)]) {
            check_characters(path_and_query)?;
            if path_and_query.contains('#') {
                return Err("must not hold a fragment");
            }
            check_path(path_and_query)?;
            PathAndQuery::try_from(path_and_query).map_err(|_| ODD)?;
        }
        if self.path_start + path_and_query.len() > MAX_LEN {
            return Err("is longer than 8 KB");
        }
        Ok([&self.text[..self.path_start], path_and_query].concat())
    }

    /// The address as a message may show it: a query can be a signature.
    pub(crate) fn without_query(&self) -> String {
        self.text[..self.path_start + self.path().len()].to_owned()
    }

    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }
}

// A signed query does not belong into a log.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({})", self.without_query())
    }
}

const ODD: &str = "holds a character that must be percent-encoded";

/// What stands for itself everywhere in a path and in a query (RFC 3986), and `%`: nothing else has to be asked about it.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let marks = b"-._~!$&'()*+,;=:@/?%";
    let mut at = 0;
    while at < 256 {
        plain[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < marks.len() {
        plain[marks[at] as usize] = true;
        at += 1;
    }
    plain
};

fn check_characters(value: &str) -> Result<(), &'static str> {
    if value.len() > MAX_LEN {
        return Err("is longer than 8 KB");
    }
    if value.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    if value.is_ascii() {
        return Err("holds a space or a control character");
    }
    Err("holds a character outside ASCII: write the host in punycode and percent-encode the path")
}

// A backslash is a slash to some readers of addresses and a plain character to others.
fn check_path(path_and_query: &str) -> Result<(), &'static str> {
    match path_and_query.contains('\\') {
        true => Err("holds a backslash"),
        false => Ok(()),
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("holds an IPv6 address without its closing bracket")?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("holds text between host and port"),
        };
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

fn read_port(digits: &str) -> Result<u16, &'static str> {
    const ODD: &str = "has a port that is not a number from 1 to 65535";
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ODD);
    }
    digits.parse().ok().filter(|port| *port != 0).ok_or(ODD)
}

fn push_host(text: &mut String, host: &str) -> Result<(), &'static str> {
    use fmt::Write;
    if let Some(bare) = host.strip_prefix('[') {
        let bare = bare.strip_suffix(']').unwrap_or_default();
        let ip: Ipv6Addr = bare.parse().map_err(|_| "holds brackets without a valid IPv6 address")?;
        // Writing into a String cannot fail.
        let _ = write!(text, "[{ip}]");
        return Ok(());
    }
    // A dot at the end says that the name is whole, which it is anyhow.
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err("has no host");
    }
    if host.len() > 253 {
        return Err("has a host longer than 253 characters");
    }
    let mut last = "";
    for label in host.split('.') {
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if label.is_empty() || label.len() > 63 || !label.bytes().all(known) {
            return Err("has a host that is not a valid name");
        }
        last = label;
    }
    // What ends in a number is an IPv4 address to resolvers, in octal, hexadecimal and shortened forms too.
    if last.bytes().all(|b| b.is_ascii_digit()) || hexadecimal(last).is_some() {
        let ip = ipv4(host).ok_or("has a host that ends in a number and is no IPv4 address")?;
        let _ = write!(text, "{ip}");
    } else {
        text.extend(host.chars().map(|c| c.to_ascii_lowercase()));
    }
    Ok(())
}

/// An IPv4 address as resolvers read it: one to four numbers, the last of which fills all the bytes that are left.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let count = host.split('.').count();
    let mut ip = 0;
    for (at, part) in host.split('.').enumerate() {
        let (digits, radix) = match (hexadecimal(part), part.strip_prefix('0')) {
            (Some(digits), _) => (digits, 16),
            (None, Some(digits)) => (digits, 8),
            (None, None) => (part, 10),
        };
        let number = if digits.is_empty() { 0 } else { u64::from_str_radix(digits, radix).ok()? };
        let bits = if at + 1 == count { 8 * 5_usize.checked_sub(count)? } else { 8 };
        if number >> bits != 0 {
            return None;
        }
        ip = ip << bits | number;
    }
    u32::try_from(ip).ok().map(Ipv4Addr::from)
}

/// The digits of a number with `0x` before it.
fn hexadecimal(part: &str) -> Option<&str> {
    let digits = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"))?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits)
}

fn itoa(mut number: u16, digits: &mut [u8; 5]) -> &str {
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    std::str::from_utf8(&digits[at..]).unwrap_or_default()
}

/// The address in a host as an address writes it, brackets included.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(bare) => bare.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_one_normal_form() {
        let url = Url::parse("HTTPS://API.Example.com:443/v1/Tasks/7?sig=%2F+a&b=#top").unwrap();
        assert_eq!(url.as_str(), "https://api.example.com/v1/Tasks/7?sig=%2F+a&b=");
        assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Https, "api.example.com", 443));
        assert_eq!((url.path(), url.path_and_query()), ("/v1/Tasks/7", "/v1/Tasks/7?sig=%2F+a&b="));
        assert_eq!(url.origin().to_string(), "https://api.example.com");
        assert_eq!(url.without_query(), "https://api.example.com/v1/Tasks/7");
        assert_eq!(format!("{url:?}"), "Url(https://api.example.com/v1/Tasks/7)");

        let url = Url::parse("http://127.0.0.1:8080?x=1").unwrap();
        assert_eq!((url.as_str(), url.host_and_port()), ("http://127.0.0.1:8080/?x=1", "127.0.0.1:8080"));
        assert_eq!(url.origin().to_string(), "http://127.0.0.1:8080");

        let url = Url::parse("https://[0:0::0:1]:65535").unwrap();
        assert_eq!((url.as_str(), url.host(), url.port()), ("https://[::1]:65535/", "[::1]", 65535));
    }

    #[test]
    fn what_is_not_a_plain_address_is_refused() {
        for value in [
            "",
            "example.com",
            "//example.com",
            "ftp://example.com",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:/x",
            "https:///path",
            "https://",
            "https://:80/",
            "https://user@example.com/",
            "https://u:p@example.com/",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://example.com:80abc/",
            "https://example.com:-1/",
            "https://example.com:/",
            "https://example.com:+80/",
            "https://example.com:80:80/",
            "https://[::1",
            "https://[::1]x/",
            "https://[::1%25eth0]/",
            "https://[127.0.0.1]/",
            "https://exa mple.com/",
            "https://example.com/a b",
            "https://example.com/\n",
            "https://example.com/\0",
            "https://b\u{fc}cher.example/",
            "https://example.com/\u{e9}",
            "https://a..b/",
            "https://.example.com/",
            "https://example.com../",
            "https://./",
            "https://ex%61mple.com/",
            "https://1.2.3.4.5/",
            "https://1.2.3.256/",
            "https://256.2.3.4/",
            "https://1.2.65536/",
            "https://1.16777216/",
            "https://4294967296/",
            "https://0x100000000/",
            "https://99999999999999999999999/",
            "https://08.1.1.1/",
            "https://1.2.3.09/",
            "https://0x7g.1/",
            "https://a.1/",
            "https://a.0x7f/",
            "https://example.com\\@evil.example/",
            "https://example.com/\\evil",
            "https://example.com/<a>",
            "https://example.com/?q=<",
        ] {
            assert!(Url::parse(value).is_err(), "{value:?}");
        }
        assert!(Url::parse(&format!("https://example.com/{}", "a".repeat(MAX_LEN))).is_err());
        assert!(Url::parse(&format!("https://{}.example/", "a".repeat(64))).is_err());
    }

    #[test]
    fn an_address_is_known_in_every_spelling() {
        let host = |value: &str| Url::parse(&format!("http://{value}/")).expect(value).host().to_owned();
        for spelling in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "127.000.000.001",
            "0177.0.0.1",
            "0177.1",
            "017700000001",
            "0x7f.0.0.1",
            "0x7F.0x0.0X0.0x1",
            "0x7f.1",
            "0x7f000001",
            "0X7F000001.",
            "2130706433",
            "127.0x1",
        ] {
            assert_eq!(host(spelling), "127.0.0.1", "{spelling}");
        }
        assert_eq!((host("0"), host("0x"), host("00")), ("0.0.0.0".into(), "0.0.0.0".into(), "0.0.0.0".into()));
        assert_eq!((host("4294967295"), host("010.8.1")), ("255.255.255.255".into(), "8.8.0.1".into()));
        assert_eq!((host("LocalHost."), host("Example.COM.")), ("localhost".into(), "example.com".into()));
        assert_eq!((host("0x7f.example"), host("1.example")), ("0x7f.example".into(), "1.example".into()));
        assert_eq!(host("[::FFFF:127.0.0.1]"), "[::ffff:127.0.0.1]");
    }

    #[test]
    fn a_refusal_never_shows_the_value() {
        for value in
            ["https://canary@example.com/", "https://example.com:canary/", "canary", "https://example.com/canary x"]
        {
            assert!(!Url::parse(value).unwrap_err().contains("canary"));
        }
    }

    #[test]
    fn another_path_stays_on_its_origin_byte_for_byte() {
        let base = Url::parse("https://api.example.com:8443/v1").unwrap();
        let url = base.with_path_and_query("/p/img?exp=1&sig=a%2Fb==").unwrap();
        assert_eq!(url.as_str(), "https://api.example.com:8443/p/img?exp=1&sig=a%2Fb==");
        assert_eq!(url.uri().to_string(), url.as_str());
        assert!(url.same_origin(&base));
        assert_eq!(base.with_path_and_query("//evil.example/x").unwrap().host(), "api.example.com");
        for value in ["", "x", "?a", "http://evil.example/", "/a b", "/a#b", "/a\\b", "/a\r\nb", "/\u{e9}", "/<", "/?<"]
        {
            assert!(base.with_path_and_query(value).is_err(), "{value:?}");
            assert!(base.text_with(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn the_text_of_another_path_is_refused_exactly_where_its_address_is() {
        let base = Url::parse("https://api.example.com").unwrap();
        for b in 0..=0x7f_u8 {
            for value in [format!("/a{}b", b as char), format!("/a?b{}c", b as char)] {
                let (url, text) = (base.with_path_and_query(&value), base.text_with(&value));
                assert_eq!(url.map(|url| url.as_str().to_owned()), text, "{value:?}");
                let whole = Url::parse(&format!("https://api.example.com{value}"));
                assert_eq!(whole.is_ok_and(|_| b != b'#'), text.is_ok(), "{value:?}");
            }
        }
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let origin = |value: &str| Url::parse(value).unwrap().origin();
        assert_eq!(origin("https://a.example/x"), origin("https://A.example:443/y?z"));
        assert_ne!(origin("https://a.example/"), origin("http://a.example/"));
        assert_ne!(origin("https://a.example/"), origin("https://a.example:444/"));
        assert_ne!(origin("https://a.example/"), origin("https://b.a.example/"));
        assert!(!Url::parse("https://a.example").unwrap().same_origin(&Url::parse("https://a.example.evil").unwrap()));
    }

    #[test]
    fn loopback_is_known_by_its_host() {
        for value in ["http://127.0.0.1/", "http://127.9.9.9:1/", "http://[::1]/", "http://LocalHost:80/"] {
            assert!(Url::parse(value).unwrap().is_loopback_host(), "{value}");
        }
        for value in ["http://128.0.0.1/", "http://localhost.example/", "http://[::2]/", "http://notlocalhost/"] {
            assert!(!Url::parse(value).unwrap().is_loopback_host(), "{value}");
        }
    }
}
