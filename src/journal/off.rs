//! The journal of a build that has none: it cannot be opened, so the rest is never reached.

use std::convert::Infallible;
use std::path::Path;

use super::{Entry, EntryId};
use crate::error::{Error, Result, Status};

/// The journal of a build that has none.
pub(crate) struct Journal(Infallible);

impl Journal {
    pub(crate) fn open(_: &Path) -> Result<Journal> {
        let message =
            "this build has no journal: build the library with the feature `journal`, or give no journal path";
        Err(Error::new(Status::Unsupported, message))
    }

    pub(crate) fn add(&self, _: &Entry) -> Result<EntryId> {
        match self.0 {}
    }

    pub(crate) fn add_later(&self, _: &Entry) -> EntryId {
        match self.0 {}
    }

    pub(crate) fn accepted(&self, _: EntryId, _: &str) {
        match self.0 {}
    }

    pub(crate) fn remove(&self, _: EntryId) {
        match self.0 {}
    }

    pub(crate) fn is_from_before(&self, _: EntryId) -> bool {
        match self.0 {}
    }

    pub(crate) fn close(&self) {
        match self.0 {}
    }

    pub(crate) fn flush(&self) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn has_queued(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn entries(&self) -> Result<Vec<(EntryId, Entry)>> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_the_journal_says_so_and_touches_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = Journal::open(&folder.path().join("j")).err().expect("refused");
        assert_eq!(refused.status(), Status::Unsupported);
        assert!(refused.message().contains("feature `journal`"), "{refused}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
