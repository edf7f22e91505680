//! The dialects that come with the library. Each is parsed when it is first asked for.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use super::Dialect;

// Written by build.rs from `builtin/*.json`: how many there are, their `NAMES` in the order in which they are listed, the
// `DOCUMENTS` with a NUL between them. Without the feature `dialect-tools` they come without what only people read, and packed:
// a byte above ASCII stands for one of the `PAIRS`, whose bytes may stand for pairs again.
include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// What was made of the documents so far.
pub(super) struct Shelf(pub(super) [OnceLock<Arc<Dialect>>; COUNT]);

static SHELF: Shelf = Shelf::new();

impl Shelf {
    pub(super) const fn new() -> Shelf {
        Shelf([const { OnceLock::new() }; COUNT])
    }

    fn at(&self, index: usize) -> Option<&Arc<Dialect>> {
        let parse = || {
            let document = document(index).unwrap_or_default();
            Arc::new(Dialect::parse(&document).expect("our own documents are parsed by the tests"))
        };
        self.0.get(index).map(|parsed| parsed.get_or_init(parse))
    }

    pub(super) fn named(&self, name: &str) -> Option<&Arc<Dialect>> {
        self.at(Dialect::builtin_names().position(|known| known == name)?)
    }
}

impl Dialect {
    /// The dialects that come with the library, the documented services first.
    pub(crate) fn builtins() -> impl Iterator<Item = &'static Arc<Dialect>> {
        (0..COUNT).filter_map(|index| SHELF.at(index))
    }

    /// What they are called. Parses none.
    pub(crate) fn builtin_names() -> impl Iterator<Item = &'static str> {
        NAMES.split(' ')
    }

    /// The built-in dialect of that name.
    pub(crate) fn builtin(name: &str) -> Option<Arc<Dialect>> {
        SHELF.named(name).cloned()
    }

    /// The document of the built-in dialect of that name; as it was written, with the feature `dialect-tools`.
    #[cfg(any(test, feature = "dialect-tools"))]
    pub(crate) fn builtin_document(name: &str) -> Option<&'static str> {
        let document = document(Dialect::builtin_names().position(|known| known == name)?)?;
        Some(match document {
            Cow::Borrowed(document) => document,
            // Packed where nobody but the crate's own tests asks.
            Cow::Owned(document) => document.leak(),
        })
    }
}

fn document(index: usize) -> Option<Cow<'static, str>> {
    let packed = DOCUMENTS.split(|byte| *byte == 0).nth(index)?;
    if PAIRS.is_empty() {
        return std::str::from_utf8(packed).ok().map(Cow::Borrowed);
    }
    let mut text = String::new();
    for byte in packed {
        unpack(*byte, &mut text);
    }
    Some(Cow::Owned(text))
}

fn unpack(byte: u8, text: &mut String) {
    match usize::from(byte).checked_sub(128).and_then(|number| PAIRS.get(number)) {
        Some([first, second]) => {
            unpack(*first, text);
            unpack(*second, text);
        }
        None => text.push(byte.into()),
    }
}
