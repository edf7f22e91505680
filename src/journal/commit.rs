//! The journal as its client sees it: changes queue up in memory, and whoever waits for the disk takes all of them along.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::entry::{Entry, EntryId, without_secrets};
use super::store::{Change, Store};
use crate::error::{Error, Result, Status};

/// A client's journal. Any number of threads.
///
/// Calls that are queued never wait, not even for another call's disk. After an error the change is either withdrawn (`add`)
/// or still queued (everything else), and every later call tries the disk again.
pub(crate) struct Journal {
    queue: Mutex<Queue>,
    /// A commit has ended.
    ended: Condvar,
    /// Held only by the thread that set `Queue::busy`.
    store: Mutex<Option<Store>>,
    process: u32,
    /// The greatest number of an entry that was there when it was opened.
    before: u64,
}

struct Queue {
    /// What the next commit changes.
    changes: BTreeMap<u64, Queued>,
    /// The commit that takes `changes`.
    next: Arc<Commit>,
    /// The commit that is at the disk.
    running: Option<Arc<Commit>>,
    /// A thread is at the disk.
    busy: bool,
    last_id: u64,
}

struct Queued {
    change: Change,
    /// The caller of `add` waits for it: when the commit fails it did not happen.
    awaited: bool,
    /// A commit that failed may have brought an earlier state of it to the disk.
    tried: bool,
}

/// How a commit ended, for all who wait for it.
type Commit = OnceLock<Result<()>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// Opens or begins the journal at `path`. The folder must exist; a new file is private to the user.
    ///
    /// `Journal`: in use, no journal, damaged (then it was set aside), of a later version, or the system's refusal; the path
    /// is named. `InvalidArgument`: the path names no file.
    pub(crate) fn open(path: &Path) -> Result<Journal> {
        let (store, last_id) = Store::open(path)?;
        let queue = Queue { changes: BTreeMap::new(), next: Arc::default(), running: None, busy: false, last_id };
        Ok(Journal {
            queue: Mutex::new(queue),
            ended: Condvar::new(),
            store: Mutex::new(Some(store)),
            process: std::process::id(),
            before: last_id,
        })
    }

    /// Adds an entry, and returns when it is on the disk. Threads that call at the same time share one commit, which takes
    /// what is queued along. On an error there is no such entry, now or after a restart.
    pub(crate) fn add(&self, entry: &Entry) -> Result<EntryId> {
        self.check_process()?;
        let mut queue = lock(&self.queue);
        let id = queue.put(entry, true);
        self.settle(queue)?;
        Ok(id)
    }

    /// Adds an entry with the next commit.
    pub(crate) fn add_later(&self, entry: &Entry) -> EntryId {
        lock(&self.queue).put(entry, false)
    }

    /// Notes the reference of a task that was submitted, with the next commit.
    pub(crate) fn accepted(&self, id: EntryId, task_ref: &str) {
        lock(&self.queue).change(id.0, Change::Accept(without_secrets(task_ref)));
    }

    /// Removes an entry with the next commit.
    pub(crate) fn remove(&self, id: EntryId) {
        lock(&self.queue).change(id.0, Change::Remove);
    }

    /// Whether an entry was there when the journal was opened.
    pub(crate) fn is_from_before(&self, id: EntryId) -> bool {
        id.0 <= self.before
    }

    /// Commits what is queued. Costs nothing when nothing is.
    pub(crate) fn flush(&self) -> Result<()> {
        self.check_process()?;
        let queue = lock(&self.queue);
        match &queue.running {
            Some(running) if queue.changes.is_empty() => {
                let running = running.clone();
                self.wait_for(queue, &running)
            }
            _ if queue.changes.is_empty() => Ok(()),
            _ => self.settle(queue),
        }
    }

    /// Whether something waits for the next commit. Stays true while the disk refuses: try again after a pause.
    pub(crate) fn has_queued(&self) -> bool {
        !lock(&self.queue).changes.is_empty()
    }

    /// Whether a commit is at the disk now.
    #[cfg(test)]
    pub(super) fn is_committing(&self) -> bool {
        lock(&self.queue).running.is_some()
    }

    /// Every entry, oldest first, with the changes that are queued.
    pub(crate) fn entries(&self) -> Result<Vec<(EntryId, Entry)>> {
        self.check_process()?;
        let mut queue = lock(&self.queue);
        while queue.busy {
            queue = self.ended.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.busy = true;
        drop(queue);
        let read = self.with_store(Store::entries);
        let mut queue = lock(&self.queue);
        queue.busy = false;
        self.ended.notify_all();
        let mut entries: BTreeMap<u64, Entry> = read?.into_iter().collect();
        for (id, queued) in &queue.changes {
            match &queued.change {
                Change::Put(entry) => drop(entries.insert(*id, entry.clone())),
                Change::Remove => drop(entries.remove(id)),
                Change::Accept(task_ref) => {
                    if let Some(entry) = entries.get_mut(id) {
                        entry.task_ref.clone_from(task_ref);
                    }
                }
            }
        }
        drop(queue);
        Ok(entries.into_iter().map(|(id, entry)| (EntryId(id), entry)).collect())
    }

    /// Commits what is queued and lets the file go: the next client can have it. What comes later is refused.
    pub(crate) fn close(&self) {
        if self.flush().is_err_and(|error| error.status() == Status::WrongProcess) {
            return;
        }
        let mut queue = lock(&self.queue);
        while queue.busy {
            queue = self.ended.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        // Nobody is at the disk, and who wants to be there next waits for the queue.
        drop(lock(&self.store).take());
    }

    /// Waits until what is queued now is on the disk, and takes it there when nobody else does.
    fn settle<'a>(&'a self, queue: MutexGuard<'a, Queue>) -> Result<()> {
        let commit = queue.next.clone();
        self.wait_for(queue, &commit)
    }

    fn wait_for<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, commit: &Arc<Commit>) -> Result<()> {
        loop {
            if let Some(result) = commit.get() {
                return result.clone();
            }
            queue = if queue.busy {
                self.ended.wait(queue).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.commit(queue)
            };
        }
    }

    /// Takes what is queued to the disk.
    fn commit<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        queue.busy = true;
        let changes = std::mem::take(&mut queue.changes);
        let commit = std::mem::take(&mut queue.next);
        queue.running = Some(commit.clone());
        drop(queue);
        let result = self.with_store(|store| store.apply(changes.iter().map(|(id, queued)| (*id, &queued.change))));
        let mut queue = lock(&self.queue);
        queue.busy = false;
        queue.running = None;
        if result.is_err() {
            queue.put_back(changes);
        }
        let _ = commit.set(result);
        self.ended.notify_all();
        queue
    }

    fn with_store<T>(&self, work: impl FnOnce(&mut Store) -> Result<T>) -> Result<T> {
        match &mut *lock(&self.store) {
            Some(store) => work(store),
            None => Err(Error::new(Status::Closed, "the journal is closed")),
        }
    }

    fn check_process(&self) -> Result<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(Error::new(Status::WrongProcess, "the journal belongs to the process that opened it, not to its child"))
    }
}

impl Queue {
    fn put(&mut self, entry: &Entry, awaited: bool) -> EntryId {
        self.last_id += 1;
        self.changes.insert(self.last_id, Queued { change: Change::Put(entry.kept()), awaited, tried: false });
        EntryId(self.last_id)
    }

    /// One change an entry: a later one goes into the one that waits.
    fn change(&mut self, id: u64, change: Change) {
        let Some(queued) = self.changes.get_mut(&id) else {
            self.changes.insert(id, Queued { change, awaited: false, tried: false });
            return;
        };
        match (&mut queued.change, change) {
            (Change::Put(_), Change::Remove) if !queued.tried => drop(self.changes.remove(&id)),
            (Change::Put(entry), Change::Accept(task_ref)) => entry.task_ref = task_ref,
            (Change::Remove, _) => {}
            (waiting, change) => *waiting = change,
        }
    }

    /// After a commit that failed: what callers waited for did not happen, the rest is tried again.
    fn put_back(&mut self, failed: BTreeMap<u64, Queued>) {
        let later = std::mem::take(&mut self.changes);
        for (id, queued) in failed {
            let change = if queued.awaited { Change::Remove } else { queued.change };
            self.changes.insert(id, Queued { change, awaited: false, tried: true });
        }
        for (id, queued) in later {
            match queued.change {
                Change::Put(_) => drop(self.changes.insert(id, queued)),
                change => self.change(id, change),
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.check_process().is_ok() {
            let _ = self.flush();
        } else {
            // In a child of fork neither file nor lock are ours to end.
            std::mem::forget(self.store.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A real fork is in the C tests: what a child may do after one is not for a test harness.
    #[test]
    fn a_child_of_fork_can_neither_change_the_journal_nor_end_its_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("j");
        let mut journal = Journal::open(&path).expect("opens");
        journal.add(&Entry::default()).expect("adds");
        let before = std::fs::read(&path).expect("reads");
        journal.process ^= 1;
        journal.add_later(&Entry::default());
        let results = [journal.add(&Entry::default()).err(), journal.flush().err(), journal.entries().err()];
        for error in results {
            assert_eq!(error.expect("refused").status(), Status::WrongProcess);
        }
        drop(journal);
        assert!(std::fs::read(&path).expect("reads") == before);
        assert!(Journal::open(&path).err().expect("locked").message().contains("in use"));
    }
}
