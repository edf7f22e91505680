//! What outstanding work a client has, on disk, so that a process that dies loses no task that was paid for.
//!
//! **What is kept.** One entry a job: who is asked, the task's reference, the host's label and what the job wants. Never a
//! key, never a request, never a signed link: addresses lose their query, their fragment and their user name before they are
//! written, so a task whose id stands in a query is to be given by its id.
//!
//! **The promise.** At least once: what [`Journal::add`] returned `Ok` for is there after the process was killed, and after
//! the power was cut as far as the disk keeps its word, until its removal was written. Every commit waits for the disk twice
//! (data, then the root that makes it count); calls of many threads share one commit.
//!
//! **The file.** A page that begins with `imgtask journal 1` and a line end, then a `redb` database (file format 3) with one
//! table, `tasks`: a number that only grows, and a JSON object whose absent members are empty or 0 and whose unknown members
//! are ignored. The database's own header is sealed with a SHA-256, its pages carry checksums, and every open verifies them
//! all. Both are read through [`disk::Disk`], which holds what an open changes back until the file has proved whole.
//!
//! **Whose file it is.** One client's at a time, by a lock that the system drops when the process ends: a second client,
//! of this or another process, is told that it is in use. A file that does not begin as a journal does, a folder, a device, a
//! symbolic link (whose target may belong to somebody else) is refused and left alone; an empty file becomes a journal. A
//! journal of a later version is left alone too. One that is damaged is renamed to `<path>.damaged-1`, or the first number
//! that is free, and told about; the next open begins an empty one.
//!
//! **Fork.** A child inherits the open file and with it the lock. In the child every call that would touch the disk is
//! refused, and dropping the journal does nothing. The parent's lock ends with the parent's journal even while the child
//! lives. Only where the parent is killed does a child that goes on without exec keep the lock, until it ends too.

#[cfg(feature = "journal")]
mod commit;
#[cfg(feature = "journal")]
mod disk;
mod entry;
#[cfg(all(test, feature = "journal"))]
mod faults;
#[cfg(not(feature = "journal"))]
mod off;
#[cfg(feature = "journal")]
mod place;
#[cfg(feature = "journal")]
mod store;
#[cfg(all(test, feature = "journal"))]
mod tests;

#[cfg(feature = "journal")]
pub(crate) use commit::Journal;
pub(crate) use entry::{Entry, EntryId};
#[cfg(not(feature = "journal"))]
pub(crate) use off::Journal;
