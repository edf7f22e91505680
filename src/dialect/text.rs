//! The texts of a document that have a form, each with the pattern that editors check.

#[cfg(any(test, feature = "dialect-tools"))]
use serde_json::{Map, Value};

#[cfg(any(test, feature = "dialect-tools"))]
use super::describe::{Described, DescribedKey, Shape};
use super::document::{self, Key, Node, Table};

/// Declares a text with a form: its name in the JSON Schema, the pattern that editors check, and the check.
macro_rules! checked_text {
    ($(#[doc = $doc:literal])* $name:ident, $shared:literal, $pattern:literal, $check:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(super) String);

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Key for $name {
            fn of(text: &str) -> Result<$name, &'static str> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(text).map(|()| $name(text.to_owned()))
            }
        }

        impl document::Member for $name {
            fn read(node: Node<'_>) -> $name {
                let text = node.text().unwrap_or_default();
                if let (Err(what), true) = (<$name>::of(text), node.value.is_string()) {
                    node.wrong(what);
                }
                // What is wrong by itself is kept: what it lacks beside others is told at once.
                $name(text.to_owned())
            }
        }

        #[cfg(any(test, feature = "dialect-tools"))]
        impl Described for $name {
            fn shape(shared: &mut Map<String, Value>) -> Shape {
                Shape::text(shared, $shared, concat!($($doc),*), $pattern)
            }

            fn json(&self) -> Value {
                Value::from(&*self.0)
            }
        }

        #[cfg(any(test, feature = "dialect-tools"))]
        impl DescribedKey for $name {
            const PATTERN: Option<&'static str> = Some($pattern);

            fn name(&self) -> String {
                self.0.clone()
            }
        }
    };
}

checked_text!(
    /// The name of a dialect: 1 to 64 small letters, digits and dashes.
    Name,
    "name",
    "^[a-z0-9][a-z0-9-]{0,63}$",
    |text| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let whole = (1..=64).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-');
        if whole { Ok(()) } else { Err("must be 1 to 64 small letters, digits and dashes") }
    }
);

checked_text!(
    /// A path on the API's origin, with a query if the service wants one: `/v1/tasks/{id}`.
    Path,
    "path",
    r"^/([!$-.0-;=?-\[\]-_a-~][!$-;=?-\[\]-_a-~]*)?$",
    |text| {
        if !text.starts_with('/') || text.starts_with("//") {
            return Err("must start with one /");
        }
        if text.bytes().all(in_path) { Ok(()) } else { Err("must be printable ASCII without spaces and fragment") }
    }
);

checked_text!(
    /// An address: `https://` or `http://`, a host, and perhaps a port and a path.
    BaseUrl,
    "base_url",
    r"^https?://([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?(/[!$-;=@-\[\]-_a-~]*)?$",
    |text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let Some(rest) = rest else { return Err("must start with https:// or http://") };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let with_port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let (host, port) = with_port.unwrap_or((authority, "443"));
        let is_name = || {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            host.split('.').all(|label| !label.is_empty() && label.bytes().all(fits))
        };
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(ip) => ip.contains(':') && ip.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')),
            None => is_name(),
        };
        let is_port = port.starts_with(|c: char| matches!(c, '1'..='9')) && port.parse::<u16>().is_ok();
        if is_host && is_port && path.bytes().all(|b| b != b'?' && in_path(b)) {
            Ok(())
        } else {
            Err("must be https:// or http://, a host, and perhaps a port and a path")
        }
    }
);

checked_text!(
    /// A host in small letters: `api.example.com`; `*.example.com` is every host below example.com.
    Host,
    "host",
    r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+$",
    |text| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let name = text.strip_prefix("*.").unwrap_or(text);
        let whole = name.contains('.') && name.split('.').all(|label| !label.is_empty() && label.bytes().all(fits));
        if whole { Ok(()) } else { Err("must be a host in small letters: api.example.com, or *.example.com") }
    }
);

checked_text!(
    /// The name of an environment variable: capital letters, digits and _.
    KeyVariable,
    "variable",
    "^[A-Z0-9_]*$",
    |text| {
        let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if text.bytes().all(fits) { Ok(()) } else { Err("must be capital letters, digits and _") }
    }
);

checked_text!(
    /// A header's name.
    HeaderName,
    "header_name",
    "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    |text| {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || !text.bytes().all(token) { Err("must be a header name") } else { Ok(()) }
    }
);

checked_text!(
    /// A header's value, or a part of one: printable ASCII on one line.
    HeaderValue,
    "header_value",
    "^[ -~]*$",
    |text| {
        let visible = |b: u8| b == b' ' || b.is_ascii_graphic();
        if text.bytes().all(visible) { Ok(()) } else { Err("must be printable ASCII on one line") }
    }
);

/// Headers that a dialect sends as they are.
pub(crate) type Headers = Table<HeaderName, HeaderValue>;

/// Whether a byte can stand in a path or its query as it is.
fn in_path(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'#' | b'\\' | b'"' | b'<' | b'>' | b'`')
}
