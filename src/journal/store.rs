//! The database in the journal's file: opened with care, changed in whole steps, opened anew after a fault.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableTable as _, TableDefinition};

use super::disk::{self, Disk, Hold, PREAMBLE_BYTES};
use super::entry::Entry;
use super::place::{self, Claim, Whereabouts, refused, trouble};
use crate::error::{Error, Result};
use crate::panics;
use crate::words;

const TASKS: TableDefinition<u64, &[u8]> = TableDefinition::new("tasks");
/// The first words of the file, before the version.
const MAGIC: &[u8] = b"imgtask journal ";
const VERSION: u32 = 1;
/// The database's cache. Its own default of a gigabyte is not for a game.
const CACHE_BYTES: usize = 2 << 20;
/// A file below this size is never worth the writing that makes it smaller.
const WORTH_COMPACTING_BYTES: u64 = 8 << 20;
/// An entry's share of the pages above its own bytes, roughly.
const ENTRY_OVERHEAD_BYTES: u64 = 32;

/// A change of one entry.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Put(Entry),
    /// The service's answer to a submit: the task's reference.
    Accept(String),
    Remove,
}

pub(super) struct Store {
    path: PathBuf,
    /// `None` after a fault, until the next call opens it anew. Ends before the claim does.
    opened: Option<Opened>,
    claim: Claim,
}

struct Opened {
    db: Option<Database>,
    disk: Arc<Disk>,
}

/// The database's own errors say less than what its disk noted.
struct Broken;

impl<E: std::error::Error> From<E> for Broken {
    fn from(_: E) -> Broken {
        Broken
    }
}

/// Why the database did not do what it was asked.
enum Fault {
    Disk(io::Error),
    Damaged,
}

impl Store {
    /// Finds or makes the journal. Also the greatest number of an entry in it, 0 when it has none.
    pub(super) fn open(path: &Path) -> Result<(Store, u64)> {
        let path = &place::whole(path)?;
        let begin = |file: &Arc<File>| begin(file).map_err(|error| refused(path, "create", &error));
        let claim = place::claim(path, begin)?;
        let file = claim.file();
        if file.metadata().map_err(|error| refused(path, "open", &error))?.len() == 0 {
            begin(file)?;
        }
        check_preamble(path, file)?;
        match Opened::load(file, true) {
            Ok((opened, last)) => Ok((Store { path: path.clone(), claim, opened: Some(opened) }, last)),
            Err(Fault::Disk(error)) => Err(refused(path, "open", &error)),
            Err(Fault::Damaged) => Err(damaged(path)),
        }
    }

    /// Changes entries, all of them or none, and waits until that is on the disk.
    pub(super) fn apply<'a>(&mut self, changes: impl Iterator<Item = (u64, &'a Change)>) -> Result<()> {
        self.ready()?;
        let done = self.opened.as_mut().map_or(Err(Fault::Damaged), |opened| opened.apply(changes));
        self.ended("write", done)
    }

    /// Every entry, oldest first.
    pub(super) fn entries(&mut self) -> Result<Vec<(u64, Entry)>> {
        self.ready()?;
        let read = self.opened.as_ref().map_or(Err(Fault::Damaged), Opened::entries);
        self.ended("read", read)
    }

    /// After a fault the database is opened anew by the next call.
    fn ended<T>(&mut self, what: &str, result: Result<T, Fault>) -> Result<T> {
        result.map_err(|fault| {
            self.opened = None;
            self.error(what, &fault)
        })
    }

    fn error(&self, what: &str, fault: &Fault) -> Error {
        match fault {
            Fault::Disk(error) => refused(&self.path, what, error),
            Fault::Damaged => trouble(&self.path, "was damaged while it was in use"),
        }
    }

    /// Sees to it that the database is open and its file has its name.
    fn ready(&mut self) -> Result<()> {
        if self.opened.is_none() {
            let loaded = Opened::load(self.claim.file(), false);
            let (opened, _) = loaded.map_err(|fault| self.error("open", &fault))?;
            self.opened = Some(opened);
        }
        let was_cut = self.opened.as_ref().map_or(Ok(false), |opened| opened.disk.was_cut());
        if was_cut.map_err(|error| refused(&self.path, "find", &error))? {
            return self.ended("find", Err(Fault::Damaged));
        }
        match place::whereabouts(&self.path, self.claim.file()) {
            Ok(Whereabouts::Here) => Ok(()),
            Ok(Whereabouts::Gone) => self.begin_again(),
            Ok(Whereabouts::Replaced) => Err(trouble(&self.path, "was replaced by another file while it was in use")),
            Err(error) => Err(refused(&self.path, "find", &error)),
        }
    }

    /// The file was deleted under our hands, but what it held is still ours: it goes into a new one.
    fn begin_again(&mut self) -> Result<()> {
        let read = self.opened.as_ref().map_or(Err(Fault::Damaged), Opened::entries);
        let entries = self.ended("read", read)?;
        let (mut anew, _) = Store::open(&self.path)?;
        let puts: Vec<(u64, Change)> = entries.into_iter().map(|(id, entry)| (id, Change::Put(entry))).collect();
        let opened = anew.opened.as_mut();
        let written =
            opened.map_or(Err(Fault::Damaged), |opened| opened.apply(puts.iter().map(|(id, put)| (*id, put))));
        anew.ended("write", written)?;
        *self = anew;
        Ok(())
    }
}

/// A damaged journal goes out of the way.
fn damaged(path: &Path) -> Error {
    match place::set_aside(path) {
        Ok(aside) => {
            trouble(path, format_args!("is damaged. It was kept as {aside:?}; the next client begins a new one"))
        }
        Err(error) => {
            let why = words::of_disk(&error);
            trouble(path, format_args!("is damaged, and could not be renamed ({why}): move it out of the way"))
        }
    }
}

/// Makes an empty journal of an empty file.
fn begin(file: &Arc<File>) -> io::Result<()> {
    let mut preamble = vec![0; PREAMBLE_BYTES as usize];
    let head = [MAGIC, VERSION.to_string().as_bytes(), b"\n"].concat();
    preamble[..head.len()].copy_from_slice(&head);
    disk::write_at(file, &preamble, 0)?;
    let disk = Arc::new(Disk::empty(file.clone()));
    let mut opened = Opened { db: None, disk };
    let made = guarded(&opened.disk, || {
        let db = database(&opened.disk)?;
        let mut step = db.begin_write()?;
        step.set_two_phase_commit(true);
        step.open_table(TASKS)?;
        step.commit()?;
        Ok(db)
    });
    match made {
        Ok(db) => opened.db = Some(db),
        Err(Fault::Disk(error)) => return Err(error),
        Err(Fault::Damaged) => return Err(io::ErrorKind::Other.into()),
    }
    drop(opened);
    file.sync_all()
}

fn check_preamble(path: &Path, file: &File) -> Result<()> {
    let mut head = [0; 32];
    let len = file.metadata().map_or(0, |found| found.len()).min(head.len() as u64) as usize;
    disk::read_at(file, &mut head[..len], 0).map_err(|error| refused(path, "read", &error))?;
    let version = head.strip_prefix(MAGIC).and_then(|rest| rest.split(|byte| *byte == b'\n').next());
    let version = version.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| digits.parse().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(later) if later > VERSION => {
            let what = format_args!("has format {later}, and this version of imgtask reads format {VERSION}");
            Err(trouble(path, what))
        }
        _ => Err(trouble(path, "is no journal of imgtask: it was left as it is, choose another path")),
    }
}

fn database(disk: &Arc<Disk>) -> Result<Database, Broken> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).create_with_file_format_v3(true);
    // Called when the only root that counts has proved damaged, and before the other is tried.
    builder.set_repair_callback(|repair| {
        if (0.1..0.5).contains(&repair.progress()) {
            repair.abort();
        }
    });
    Ok(builder.create_with_backend(Hold(disk.clone()))?)
}

/// Work with the database, which trusts its file: what it takes for impossible is a panic there, and a damaged file here.
fn guarded<T>(disk: &Disk, work: impl FnOnce() -> Result<T, Broken>) -> Result<T, Fault> {
    let done = panics::contain(|| Ok(work()));
    #[cfg(test)]
    super::faults::count_panic(done.is_err());
    match done {
        Ok(Ok(done)) => Ok(done),
        _ => Err(disk.failure().map_or(Fault::Damaged, Fault::Disk)),
    }
}

impl Opened {
    /// Opens the database and reads it to the end: nothing is written before all of it has proved whole.
    fn load(file: &Arc<File>, may_compact: bool) -> Result<(Opened, u64), Fault> {
        let disk = Disk::cautious(file.clone()).map_err(Fault::Disk)?;
        let disk = Arc::new(disk.ok_or(Fault::Damaged)?);
        let mut opened = Opened { db: None, disk };
        opened.db = Some(guarded(&opened.disk, || database(&opened.disk))?);
        let (mut last, mut bytes) = (0, 0);
        opened.read(|id, value| {
            last = id;
            bytes += value.len() as u64 + ENTRY_OVERHEAD_BYTES;
            Entry::from_bytes(value).map(|_| ())
        })?;
        opened.disk.keep().map_err(Fault::Disk)?;
        let len = file.metadata().map_err(Fault::Disk)?.len();
        if may_compact && len > WORTH_COMPACTING_BYTES && len / 4 > bytes && !opened.compact() {
            drop(opened);
            return Opened::load(file, false);
        }
        Ok((opened, last))
    }

    /// Makes the file smaller; whether that worked. It is a convenience: no fault of it is the caller's.
    fn compact(&mut self) -> bool {
        let db = self.db.as_mut();
        guarded(&self.disk, || Ok(db.map(Database::compact).transpose()?)).is_ok()
    }

    fn apply<'a>(&mut self, changes: impl Iterator<Item = (u64, &'a Change)>) -> Result<(), Fault> {
        let Some(db) = &self.db else { return Err(Fault::Damaged) };
        guarded(&self.disk, || {
            let mut step = db.begin_write()?;
            // The root that counts is written when what it counts is on the disk: damage found later is damage, and never
            // taken for a step that was not finished.
            step.set_two_phase_commit(true);
            {
                let mut tasks = step.open_table(TASKS)?;
                for (id, change) in changes {
                    match change {
                        Change::Put(entry) => drop(tasks.insert(id, &*entry.to_bytes())?),
                        Change::Remove => drop(tasks.remove(id)?),
                        Change::Accept(task_ref) => {
                            let Some(kept) = tasks.get(id)?.map(|kept| Entry::from_bytes(kept.value())) else {
                                continue;
                            };
                            let entry = Entry { task_ref: task_ref.clone(), ..kept.ok_or(Broken)? };
                            tasks.insert(id, &*entry.to_bytes())?;
                        }
                    }
                }
            }
            step.commit()?;
            Ok(())
        })
    }

    fn entries(&self) -> Result<Vec<(u64, Entry)>, Fault> {
        let mut entries = Vec::new();
        self.read(|id, value| Entry::from_bytes(value).map(|entry| entries.push((id, entry))))?;
        Ok(entries)
    }

    fn read(&self, mut each: impl FnMut(u64, &[u8]) -> Option<()>) -> Result<(), Fault> {
        let Some(db) = &self.db else { return Err(Fault::Damaged) };
        guarded(&self.disk, || {
            for kept in db.begin_read()?.open_table(TASKS)?.iter()? {
                let (id, value) = kept?;
                each(id.value(), value.value()).ok_or(Broken)?;
            }
            Ok(())
        })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // A database that ends in peace leaves a file that the next one does not verify.
        self.disk.close();
        let db = self.db.take();
        let _ = panics::contain(|| {
            drop(db);
            Ok(())
        });
    }
}
