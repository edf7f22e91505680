//! The storage under the database: a page of our own, the database's pages, its header sealed.
//!
//! A file that is opened may be damaged, and the database mends what it opens. So what it writes then is held back in memory
//! until the whole file has been read: [`Disk::keep`] writes it, in the same order and with the same waits for the disk, and a
//! file that turns out damaged was not touched. Nor may the database go by what it has not verified, or back to the state
//! before the last one because the last is damaged: it is shown a header by which it has to verify every page, and whose
//! second root is void. Every commit waits for its pages before it writes its root, so the first root is always good.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

#[cfg(test)]
use super::faults::{Asked, may_step};

/// What stands before the database.
pub(super) const PREAMBLE_BYTES: u64 = PAGE_BYTES as u64;
/// Far more than a journal of `max_pending` jobs needs. A damaged length must not become a size to reserve.
const MAX_BYTES: u64 = 1 << 30;
const PAGE_BYTES: usize = 4096;
/// The database writes its header, and only that, with this length at 0. The seal follows in the same sector.
const HEADER_BYTES: usize = 320;
const SEALED_BYTES: usize = HEADER_BYTES + SHA256_OUTPUT_LEN;
/// Where the header has its flags: which root is the first, and that its pages were on the disk before it.
const FLAGS_AT: usize = 9;
const SECOND_IS_FIRST: u8 = 1;
const WAITED: u8 = 4;
/// Where the header has the roots' checksums.
const CHECKSUMS_AT: [usize; 2] = [64 + 112, 192 + 112];
const CHECKSUM_BYTES: usize = 16;

#[derive(Debug)]
pub(super) struct Disk {
    file: Arc<File>,
    held_back: Mutex<Option<HeldBack>>,
    closed: AtomicBool,
    /// What the file has at least, unless somebody else cut it.
    len: AtomicU64,
    /// The first thing that the system refused.
    failure: Mutex<Option<io::Error>>,
}

/// What was written to a file that may yet prove damaged.
#[derive(Debug)]
struct HeldBack {
    pages: BTreeMap<u64, Vec<u8>>,
    len: u64,
    /// Bytes of the file from here on are gone: it was cut here once.
    cut: u64,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// An empty file, written at once.
    pub(super) fn empty(file: Arc<File>) -> Disk {
        Disk {
            file,
            held_back: Mutex::new(None),
            closed: AtomicBool::new(false),
            len: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    /// A file with a database, whose changes are held back until [`Disk::keep`]. `None` when its header is not as it was
    /// written, or the file not as long as it says.
    pub(super) fn cautious(file: Arc<File>) -> io::Result<Option<Disk>> {
        let disk = Disk::empty(file);
        let len = disk.file_len()?;
        if len < PAGE_BYTES as u64 || len > MAX_BYTES {
            return Ok(None);
        }
        let mut page = vec![0; PAGE_BYTES];
        read_at(&disk.file, &mut page, PREAMBLE_BYTES)?;
        if digest(&SHA256, &page[..HEADER_BYTES]).as_ref() != &page[HEADER_BYTES..SEALED_BYTES] {
            return Ok(None);
        }
        if u128::from(len) < len_by_header(&page) {
            return Ok(None);
        }
        let second = usize::from(page[FLAGS_AT] & SECOND_IS_FIRST == 0);
        page[FLAGS_AT] &= !WAITED;
        page[CHECKSUMS_AT[second]..][..CHECKSUM_BYTES].iter_mut().for_each(|byte| *byte = !*byte);
        let pages = BTreeMap::from([(0, page)]);
        *lock(&disk.held_back) = Some(HeldBack { pages, len, cut: len, steps: Vec::new() });
        disk.len.store(len, Ordering::Relaxed);
        Ok(Some(disk))
    }

    /// Whether somebody else cut the file.
    pub(super) fn was_cut(&self) -> io::Result<bool> {
        Ok(self.file_len()? < self.len.load(Ordering::Relaxed))
    }

    /// Writes what was held back, and from now on everything at once.
    pub(super) fn keep(&self) -> io::Result<()> {
        let Some(held_back) = lock(&self.held_back).take() else { return Ok(()) };
        held_back.steps.into_iter().try_for_each(|step| match step {
            Step::Write(offset, bytes) => self.write_now(offset, &bytes),
            Step::SetLen(len) => self.set_len_now(len),
            Step::Sync => self.sync_now(),
        })
    }

    /// Refuses everything from now on: a database that is dropped would write once more, and leave a file that the next open
    /// does not verify.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The first thing that the system refused.
    pub(super) fn failure(&self) -> Option<io::Error> {
        lock(&self.failure).take()
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let copy = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            lock(&self.failure).get_or_insert(copy);
        }
        result
    }

    fn usable(&self) -> io::Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// The database's part of the file, in whole pages: a cut or an addition need not end at one.
    fn file_len(&self) -> io::Result<u64> {
        let len = self.noted(self.file.metadata())?.len().saturating_sub(PREAMBLE_BYTES);
        Ok(len - len % PAGE_BYTES as u64)
    }

    fn write_now(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let sealed: Vec<u8>;
        let bytes = if offset == 0 && bytes.len() == HEADER_BYTES {
            sealed = [bytes, digest(&SHA256, bytes).as_ref()].concat();
            &sealed
        } else {
            bytes
        };
        #[cfg(test)]
        super::faults::ask(|| Asked::Write(PREAMBLE_BYTES + offset, bytes.to_vec()));
        self.noted(may_step().and_then(|()| write_at(&self.file, bytes, PREAMBLE_BYTES + offset)))
    }

    fn set_len_now(&self, len: u64) -> io::Result<()> {
        let old = self.file_len()?;
        #[cfg(test)]
        super::faults::ask(|| Asked::SetLen(PREAMBLE_BYTES + len));
        self.noted(may_step().and_then(|()| {
            if len > old {
                reserve(&self.file, PREAMBLE_BYTES + old, len - old)?;
            }
            self.file.set_len(PREAMBLE_BYTES + len)
        }))?;
        self.len.store(len, Ordering::Relaxed);
        // A header that names the new length must not be on the disk before the length is.
        if len > old { self.sync_now() } else { Ok(()) }
    }

    fn sync_now(&self) -> io::Result<()> {
        #[cfg(test)]
        super::faults::ask(|| Asked::Wait);
        self.noted(may_step().and_then(|()| self.file.sync_data()))
    }
}

/// How long the header says that the database is.
fn len_by_header(header: &[u8]) -> u128 {
    let number = |at: usize| header[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    let (page, region_header, region, regions, last) = (number(12), number(16), number(20), number(24), number(28));
    let last_region = if last > 0 { region_header + last } else { 0 };
    page * (1 + regions * (region_header + region) + last_region)
}

impl HeldBack {
    fn read(&self, file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let from_file = usize::try_from(self.cut.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        read_at(file, &mut bytes[..from_file], PREAMBLE_BYTES + offset)?;
        for (page, at, own) in pages(offset, bytes.len()) {
            if let Some(written) = self.pages.get(&page) {
                bytes[own.clone()].copy_from_slice(&written[at..at + own.len()]);
            }
        }
        Ok(())
    }

    fn write(&mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        for (page, at, own) in pages(offset, bytes.len()) {
            if !self.pages.contains_key(&page) {
                let mut whole = vec![0; PAGE_BYTES];
                self.read(file, page * PAGE_BYTES as u64, &mut whole)?;
                self.pages.insert(page, whole);
            }
            if let Some(written) = self.pages.get_mut(&page) {
                written[at..at + own.len()].copy_from_slice(&bytes[own]);
            }
        }
        self.steps.push(Step::Write(offset, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        self.cut = self.cut.min(len);
        self.pages.retain(|page, _| page * (PAGE_BYTES as u64) < len);
        self.len = len;
        self.steps.push(Step::SetLen(len));
    }
}

/// The pages under a range of bytes: the page, where in it the range begins, and which bytes of the range those are.
fn pages(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let from = offset + done as u64;
        let at = (from % PAGE_BYTES as u64) as usize;
        let count = (PAGE_BYTES - at).min(len - done);
        let own = done..done + count;
        done += count;
        (count > 0).then_some((from / PAGE_BYTES as u64, at, own))
    })
}

/// The database's hold on the disk.
#[derive(Debug)]
pub(super) struct Hold(pub(super) Arc<Disk>);

impl StorageBackend for Hold {
    fn len(&self) -> io::Result<u64> {
        self.0.usable()?;
        match &*lock(&self.0.held_back) {
            Some(held_back) => Ok(held_back.len),
            None => self.0.file_len(),
        }
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        // Before anything is reserved: a damaged page may ask for gigabytes.
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > MAX_BYTES) || end > Some(self.len()?) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        self.0.noted(match &*lock(&self.0.held_back) {
            Some(held_back) => held_back.read(&self.0.file, offset, &mut bytes),
            None => read_at(&self.0.file, &mut bytes, PREAMBLE_BYTES + offset),
        })?;
        Ok(bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.usable()?;
        if len > MAX_BYTES {
            return self.0.noted(Err(io::ErrorKind::FileTooLarge.into()));
        }
        match &mut *lock(&self.0.held_back) {
            Some(held_back) => held_back.set_len(len),
            None => return self.0.set_len_now(len),
        }
        Ok(())
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        self.0.usable()?;
        match &mut *lock(&self.0.held_back) {
            Some(held_back) => held_back.steps.push(Step::Sync),
            None => return self.0.sync_now(),
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.usable()?;
        match &mut *lock(&self.0.held_back) {
            Some(held_back) => self.0.noted(held_back.write(&self.0.file, offset, data)),
            None => self.0.write_now(offset, data),
        }
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => (bytes, offset) = (&mut bytes[count..], offset + count as u64),
        }
    }
    Ok(())
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => (bytes, offset) = (&bytes[count..], offset + count as u64),
        }
    }
    Ok(())
}

/// Takes the space now: a disk that is full says so here, and not when what was written is to stay.
#[cfg(target_os = "linux")]
fn reserve(file: &File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::io::Errno;
    let reserved =
        rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, len));
    match reserved {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        reserved => Ok(reserved?),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

/// Asked before every step that the disk could refuse.
#[cfg(not(test))]
fn may_step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn waiting_for_the_disk_is_asked_of_the_system() {
        // A pipe has no disk to wait for, and the system says so to whoever asks.
        let (pipe, _other_end) = io::pipe().expect("a pipe");
        let disk = Disk::empty(Arc::new(File::from(std::os::fd::OwnedFd::from(pipe))));
        assert_eq!(disk.sync_now().expect_err("refused").kind(), io::ErrorKind::InvalidInput);
        assert!(disk.failure().is_some());
    }
}
