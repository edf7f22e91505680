//! The dialects that come with the library. Each is parsed when it is first asked for.

use std::sync::{Arc, OnceLock};

use super::Dialect;

// `DOCUMENTS`: the documents in the order in which they are listed, each behind its name. Written by build.rs from
// `builtin/*.json`, without what is only for readers unless there is somebody to show it to.
include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Documents, and what was made of them so far.
pub(super) struct Shelf<const N: usize> {
    documents: [(&'static str, &'static str); N],
    pub(super) parsed: [OnceLock<Arc<Dialect>>; N],
}

static SHELF: Shelf<{ DOCUMENTS.len() }> = Shelf::new(DOCUMENTS);

impl<const N: usize> Shelf<N> {
    pub(super) const fn new(documents: [(&'static str, &'static str); N]) -> Shelf<N> {
        Shelf { documents, parsed: [const { OnceLock::new() }; N] }
    }

    fn at(&self, index: usize) -> Option<&Arc<Dialect>> {
        let ((_, document), parsed) = (self.documents.get(index)?, self.parsed.get(index)?);
        let parse = || Arc::new(Dialect::parse(document).expect("our own documents are parsed by the tests"));
        Some(parsed.get_or_init(parse))
    }

    pub(super) fn named(&self, name: &str) -> Option<&Arc<Dialect>> {
        self.at(self.documents.iter().position(|(known, _)| *known == name)?)
    }
}

impl Dialect {
    /// The dialects that come with the library, the documented services first.
    pub(crate) fn builtins() -> impl Iterator<Item = &'static Arc<Dialect>> {
        (0..DOCUMENTS.len()).filter_map(|index| SHELF.at(index))
    }

    /// What they are called. Parses none.
    pub(crate) fn builtin_names() -> impl Iterator<Item = &'static str> {
        SHELF.documents.iter().map(|(name, _)| *name)
    }

    /// The built-in dialect of that name.
    pub(crate) fn builtin(name: &str) -> Option<Arc<Dialect>> {
        SHELF.named(name).cloned()
    }

    /// The document of the built-in dialect of that name, as it was written.
    #[cfg(any(test, feature = "dialect-tools"))]
    pub(crate) fn builtin_document(name: &str) -> Option<&'static str> {
        SHELF.documents.iter().find(|(known, _)| *known == name).map(|(_, document)| *document)
    }
}
