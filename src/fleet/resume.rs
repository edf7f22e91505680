//! What the journal keeps of a job, and how jobs come back from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ending::submit_unknown;
use super::event::{Event, EventKind};
use super::job::{Goal, Images};
use super::slots::Slot;
use super::{Fleet, Shared, State, closed};
use crate::api::unix_ms;
use crate::error::{Error, Result, Status};
use crate::image;
use crate::journal::{Entry, EntryId, Journal};
use crate::log::LogLevel;
use crate::pattern::PathPattern;
use crate::picture::PixelOptions;

/// Bits of an entry's flags.
const PROGRESS: u32 = 1;
const NO_REPLACE: u32 = 2;
const FLIP_Y: u32 = 4;
const BGRA: u32 = 8;
const PREMULTIPLY: u32 = 16;
/// The image index of a job that is about all images.
const ALL_IMAGES: u64 = u64::MAX;

impl Fleet {
    /// Takes up what the journal holds of this service, oldest first, and gives how many jobs came back.
    ///
    /// Once: what is added later belongs to jobs that this client has. What `keep` refuses, by reference and label, is dropped
    /// instead.
    pub(crate) fn resume(&self, progress: bool, keep: &mut dyn FnMut(&str, &str) -> bool) -> Result<usize> {
        let shared = &self.shared;
        let journal = shared.journal()?;
        if shared.lock().resumed {
            return Ok(0);
        }
        let mut entries = journal.entries()?;
        entries.retain(|(id, _)| journal.is_from_before(*id));
        let found = entries.len();
        let mut ours = shared.ours();
        entries.retain(|(_, entry)| ours(entry));
        let others = found - entries.len();
        // Before the lock is taken: it is the host's code.
        entries.retain(|(id, entry)| {
            let kept = entry.task_ref.is_empty() || keep(&entry.task_ref, &entry.label);
            if !kept {
                journal.remove(*id);
            }
            kept
        });
        let slots: Vec<Slot> =
            entries.into_iter().filter_map(|(id, entry)| shared.slot_of_entry(id, entry, progress)).collect();
        let mut state = shared.lock();
        if state.closing {
            return Err(closed());
        }
        if state.resumed {
            return Ok(0);
        }
        if !slots.is_empty() {
            shared.hire(&mut state)?;
        }
        state.resumed = true;
        let count = slots.len();
        let unknown = slots.iter().filter(|slot| slot.reference().is_empty()).count();
        for slot in slots {
            shared.bring_back(&mut state, slot);
        }
        drop(state);
        if unknown > 0 {
            let line = || format!("journal: of {unknown} submits nobody knows whether they arrived");
            shared.api.log.line(LogLevel::Warn, line);
        }
        if others > 0 {
            let line = || format!("journal: {others} tasks of another service or address stay where they are");
            shared.api.log.line(LogLevel::Warn, line);
        }
        Ok(count)
    }

    /// Drops a task from the journal: it does not come back.
    pub(crate) fn forget(&self, task_ref: &str) -> Result<()> {
        let shared = &self.shared;
        let journal = shared.journal()?;
        let wanted = shared.api.target(task_ref)?;
        let mut found = false;
        let mut ours = shared.ours();
        for (id, entry) in journal.entries()? {
            let same = |entry: &Entry| {
                let target = shared.api.base.target(shared.api.dialect(), &entry.task_ref);
                target.is_ok_and(|target| target.id == wanted.id && !target.id.is_empty() || target == wanted)
            };
            if !entry.task_ref.is_empty() && ours(&entry) && same(&entry) {
                journal.remove(id);
                found = true;
            }
        }
        if !found {
            let words = "the journal holds no such task";
            return Err(Error::new(Status::NotFound, words).with_task_id(&wanted.id));
        }
        journal.flush()
    }
}

impl Shared {
    /// The journal. A build that never has one keeps nothing of what is done with it.
    pub(super) fn journal_if_any(&self) -> Option<&Arc<Journal>> {
        self.journal.as_ref().filter(|_| cfg!(feature = "journal"))
    }

    fn journal(&self) -> Result<&Arc<Journal>> {
        self.journal_if_any().ok_or_else(|| match cfg!(feature = "journal") {
            true => Error::new(Status::Journal, "the client has no journal: set its journal path"),
            false => Error::new(Status::Unsupported, "this build has no journal: build it with the feature `journal`"),
        })
    }

    fn provider(&self) -> &str {
        &self.api.dialect().profile().name
    }

    fn base(&self) -> &str {
        self.api.base.url_of_api().as_str()
    }

    /// Tells whether an entry is of this service, at an address that means the same as ours.
    fn ours(&self) -> impl FnMut(&Entry) -> bool {
        let mut last = (self.base().to_owned(), true);
        move |entry| {
            if entry.provider != self.provider() {
                return false;
            }
            if entry.base != last.0 {
                last = (entry.base.clone(), self.api.base.means(self.api.dialect(), &entry.base));
            }
            last.1
        }
    }

    /// Keeps a job about a task that exists. The host knows the task anyway, so nobody waits for the disk.
    pub(super) fn keep(&self, slot: &mut Slot) {
        // What has no name cannot be found again.
        if let Some(journal) = self.journal_if_any().filter(|_| !slot.reference().is_empty()) {
            slot.entry = Some(journal.add_later(&self.entry_of(slot, false)));
        }
    }

    /// The host has seen the end of a job. Never waits for the disk.
    pub(super) fn acknowledged(&self, entry: EntryId) {
        let Some(journal) = self.journal_if_any() else { return };
        journal.remove(entry);
        // Workers that sleep do not see it; those that do not, do.
        if !self.journal_told.swap(true, Ordering::AcqRel) {
            let _state = self.lock();
            self.work.notify_one();
        }
    }

    /// Whether the journal has something to write. Whoever asks and goes to sleep is woken for what comes after.
    pub(super) fn journal_waits(&self) -> bool {
        // In this order: what comes in between is told twice rather than not at all.
        self.journal_told.store(false, Ordering::Release);
        self.journal_if_any().is_some_and(|journal| journal.has_queued())
    }

    /// Brings the journal up to date. What the disk refuses stays queued; the log is told once.
    pub(super) fn flush_journal(&self) {
        let Some(journal) = self.journal_if_any() else { return };
        match journal.flush() {
            Ok(()) => self.journal_fails.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.journal_fails.swap(true, Ordering::Relaxed) {
                    self.api.log.line(LogLevel::Warn, || format!("{}; it is tried again", error.message()));
                }
            }
        }
    }

    /// Lets the journal's file go, so that another client can have it at once.
    pub(super) fn close_journal(&self) {
        if let Some(journal) = self.journal_if_any() {
            journal.close();
        }
    }

    /// What the journal keeps of a job; `submits` when its request is about to be sent.
    pub(super) fn entry_of(&self, slot: &Slot, submits: bool) -> Entry {
        let rest = slot.rest.as_ref();
        // No time at all is not the default time, which is kept as 0.
        let timeout_ms = rest.and_then(|rest| rest.timeout_ms).map_or(0, |ms| ms.max(1));
        let path =
            rest.and_then(|rest| rest.path.as_ref()).and_then(|path| path.as_path().to_str()).unwrap_or_default();
        let pixels = rest.map(|rest| rest.pixels).unwrap_or_default();
        let age_ms = self.api.entrance.clock.now_ms().saturating_sub(slot.born_ms);
        Entry {
            provider: self.provider().to_owned(),
            base: self.base().to_owned(),
            task_ref: kept(&slot.id, slot.reference()).to_owned(),
            label: slot.label.to_string(),
            submitted_at_ms: match slot.born_ms {
                _ if submits => unix_ms(),
                0 => 0,
                _ => unix_ms() - i64::try_from(age_ms).unwrap_or(0),
            },
            model: String::new(),
            goal: slot.goal as u32,
            flags: [
                (slot.progress, PROGRESS),
                (!slot.replace, NO_REPLACE),
                (pixels.flip_y, FLIP_Y),
                (pixels.bgra, BGRA),
                (pixels.premultiply, PREMULTIPLY),
            ]
            .into_iter()
            .fold(0, |flags, (set, flag)| if set { flags | flag } else { flags }),
            image_index: match slot.images {
                Images::One(index) => index as u64,
                Images::All => ALL_IMAGES,
            },
            max_side: pixels.max_side,
            timeout_ms: u32::try_from(timeout_ms).unwrap_or(u32::MAX),
            path: path.to_owned(),
        }
    }

    /// The job of an entry. One that this version cannot read is told to the log and stays: whoever can read it may.
    fn slot_of_entry(&self, id: EntryId, entry: Entry, progress: bool) -> Option<Slot> {
        let slot = self.read_entry(id, entry, progress);
        slot.map_err(|error| self.api.log.line(LogLevel::Warn, || format!("journal: {error}"))).ok()
    }

    fn read_entry(&self, id: EntryId, entry: Entry, progress: bool) -> Result<Slot> {
        let newer =
            || Error::new(Status::Journal, "an entry wants what this version cannot do: it stays for a later one");
        let goal = *Goal::ALL.iter().find(|goal| **goal as u32 == entry.goal).ok_or_else(newer)?;
        if entry.flags & !(PROGRESS | NO_REPLACE | FLIP_Y | BGRA | PREMULTIPLY) != 0 {
            return Err(newer());
        }
        if goal == Goal::Pixels {
            image::can_decode()?;
        }
        let images = match usize::try_from(entry.image_index) {
            _ if entry.image_index == ALL_IMAGES => Images::All,
            index => Images::One(index.unwrap_or(usize::MAX)),
        };
        let mut slot = Slot::new(goal, images);
        slot.entry = Some(id);
        slot.label = entry.label.into();
        slot.progress = progress || entry.flags & PROGRESS != 0;
        slot.replace = entry.flags & NO_REPLACE == 0;
        if entry.timeout_ms != 0 {
            slot.rest().timeout_ms = Some(entry.timeout_ms.into());
        }
        if goal == Goal::Pixels {
            slot.rest().pixels = PixelOptions {
                max_side: entry.max_side,
                max_pixels: self.api.setup.max_image_pixels,
                flip_y: entry.flags & FLIP_Y != 0,
                bgra: entry.flags & BGRA != 0,
                premultiply: entry.flags & PREMULTIPLY != 0,
            };
        }
        if !entry.path.is_empty() {
            slot.rest().path = Some(PathPattern::checked(entry.path.into()));
        }
        if entry.submitted_at_ms > 0 {
            // The wall clock may have been set since: an age is at least none.
            let age_ms = u64::try_from(unix_ms() - entry.submitted_at_ms).unwrap_or(0);
            slot.born_ms = self.api.entrance.clock.now_ms().saturating_sub(age_ms).max(1);
        }
        if !entry.task_ref.is_empty() {
            let target = self.api.base.target(self.api.dialect(), &entry.task_ref)?;
            slot.name_task(&target.id, target.reference());
        }
        Ok(slot)
    }

    /// Tells the host of a job that is back, and goes on with it.
    fn bring_back(&self, state: &mut State, mut slot: Slot) {
        let goal = slot.goal;
        let submitted = !slot.reference().is_empty();
        let task = submitted.then(|| slot.watched(&self.api).unseen());
        state.last_op += 1;
        slot.op = state.last_op;
        let event = Event { task, ..Event::of(&slot, EventKind::Resumed) };
        self.queue.push(event);
        self.pending.fetch_add(1, Ordering::AcqRel);
        let key = state.slots.insert(slot);
        match submitted {
            // A job that only wanted the submit has what it wanted.
            true if goal == Goal::Submitted => {
                let task = state.slots.get(key).map(|slot| slot.watched(&self.api).unseen());
                self.succeed(state, key, task, None);
            }
            true => {
                self.watch(state, key, "");
                self.work.notify_one();
            }
            false => self.fail_silently(state, key, submit_unknown(self.api.title()), None),
        }
    }
}

/// What the journal keeps to name a task: not an address with a query, which may be signed and is cut off, where the id will do.
pub(super) fn kept<'a>(id: &'a str, reference: &'a str) -> &'a str {
    if id.is_empty() || !reference.contains('?') { reference } else { id }
}

/// A path that means the same after a restart in another folder, and that the journal can keep.
pub(super) fn lasting(path: PathBuf) -> Result<PathBuf> {
    if path.to_str().is_none() {
        return Err(Error::invalid("the journal keeps only paths in UTF-8"));
    }
    let whole = std::path::absolute(&path);
    let whole = whole.map_err(|_| Error::invalid("the path is empty, or the folder of the process is gone"))?;
    if !PathPattern::is_as_before(&path, &whole) {
        return Err(Error::invalid("the folder of the process has {id}, {index} or {ext} in its own name"));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::Api;
    use crate::options::{Options, Setup};
    use crate::poll::{Answer, End, Seen, Turn};

    const SECOND: i64 = 1_000;

    fn fleet() -> Fleet {
        let options = Options { provider: "dimilinks".into(), api_key: Some("k".into()), ..Options::default() };
        Fleet::new(Arc::new(Api::new(Setup::new(&options).expect("a setup")).expect("an api"))).expect("a fleet")
    }

    fn entry(submitted_at_ms: i64) -> Entry {
        Entry {
            provider: "dimilinks".into(),
            task_ref: "img_1".into(),
            goal: Goal::Finished as u32,
            submitted_at_ms,
            ..Entry::default()
        }
    }

    /// When the first look at a task that came back is due, from now on, and what "not found" comes to then.
    fn first_look(submitted_at_ms: i64) -> (u64, Option<End>) {
        let fleet = fleet();
        let shared = &fleet.shared;
        let slot = shared.slot_of_entry(EntryId::default(), entry(submitted_at_ms), false).expect("a job");
        let mut state = shared.lock();
        let now_ms = shared.api.entrance.clock.now_ms();
        shared.bring_back(&mut state, slot);
        let mut pace = shared.api.entrance.pace();
        let mut at_ms = now_ms;
        let (key, pass) = loop {
            match state.schedule.next(at_ms, &mut pace, true, true) {
                Turn::Look { key, pass, .. } => break (key, pass),
                Turn::Rest { until_ms: Some(until_ms) } => at_ms = until_ms,
                turn => panic!("{turn:?}"),
            }
        };
        pace.gate.answered(pass, at_ms, Answer::Fine);
        (at_ms - now_ms, state.schedule.after(key, Seen::NotFound, at_ms, &mut pace, 20))
    }

    #[test]
    fn a_task_of_our_own_that_is_minutes_old_is_looked_at_at_once_and_not_forgiven_to_be_unknown() {
        assert_eq!(first_look(unix_ms() - 300 * SECOND), (0, Some(End::NotFound)));
        // Older than any clock of a client reaches back.
        assert_eq!(first_look(unix_ms() - 100 * 24 * 3600 * SECOND), (0, Some(End::NotFound)));
        assert_eq!(first_look(1), (0, Some(End::NotFound)));
    }

    #[test]
    fn a_task_that_was_submitted_just_before_the_restart_is_as_young_as_it_is() {
        let (after_ms, end) = first_look(unix_ms() - SECOND);
        assert!(
            (1_000..=2_000).contains(&after_ms),
            "the first look comes 3 s after the submit, not {after_ms} ms from now"
        );
        assert_eq!(end, None, "so soon it may be unknown yet");
    }

    #[test]
    fn a_clock_that_was_set_back_delays_the_first_look_no_longer_than_for_a_new_task() {
        let (after_ms, _) = first_look(unix_ms() + 3_600 * SECOND);
        assert!(after_ms <= 3_000, "{after_ms}");
    }

    #[test]
    fn a_task_of_somebody_else_is_looked_at_at_once() {
        assert_eq!(first_look(0), (0, Some(End::NotFound)));
    }

    #[test]
    fn an_entry_of_a_later_version_is_left_alone() {
        let later = Entry { goal: 77, ..entry(0) };
        assert!(fleet().shared.slot_of_entry(EntryId::default(), later, false).is_none());
    }
}
