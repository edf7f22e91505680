//! The journal's rules, each as a test. Files are real; what the disk refuses is injected at every step it could refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::{Entry, EntryId, Journal, faults};
use crate::error::{Error, Status};

mod damage;
mod kill;
mod model;
mod place;
mod power;

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a folder") }
    }

    /// Where the disk costs no time, if there is such a place.
    fn in_memory() -> Place {
        match tempfile::tempdir_in("/dev/shm") {
            Ok(folder) => Place { folder },
            Err(_) => Place::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tasks.journal")
    }

    fn open(&self) -> Journal {
        Journal::open(&self.path()).expect("opens")
    }

    fn refused(&self) -> Error {
        refused(&self.path())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// The error of an open: `Journal`, and with the path in it.
fn refused(path: &Path) -> Error {
    let error = Journal::open(path).err().expect("refused");
    assert_eq!(error.status(), Status::Journal, "{error}");
    assert!(error.message().contains(&format!("{path:?}")), "{error}");
    error
}

fn task(task_ref: &str) -> Entry {
    Entry {
        provider: "dimilinks".into(),
        base: "https://dimilinks.com".into(),
        task_ref: task_ref.into(),
        label: format!("label of {task_ref}"),
        submitted_at_ms: 1_700_000_000_000,
        ..Entry::default()
    }
}

fn refs(journal: &Journal) -> Vec<String> {
    journal.entries().expect("reads").into_iter().map(|(_, entry)| entry.task_ref).collect()
}

/// What a restart after a kill finds: a copy of the file as it is now, opened as another journal.
fn after_a_kill(path: &Path) -> Vec<String> {
    let place = Place::new();
    fs::copy(path, place.path()).expect("copies");
    refs(&place.open())
}

#[test]
fn what_was_added_is_on_the_disk_when_add_returns() {
    let place = Place::new();
    let journal = place.open();
    journal.add(&task("a")).expect("adds");
    assert_eq!(after_a_kill(&place.path()), ["a"]);
    journal.add(&task("b")).expect("adds");
    assert_eq!(after_a_kill(&place.path()), ["a", "b"]);
}

#[test]
fn a_restart_brings_every_entry_back_as_it_was_in_the_order_of_adding() {
    let place = Place::new();
    let first = Entry {
        provider: "lemondata".into(),
        base: "https://api.lemondata.cc".into(),
        task_ref: "/v1/tasks/t 1".into(),
        label: "order 7 \u{1f98a}".into(),
        submitted_at_ms: 12,
        model: "gpt-image-2".into(),
        goal: 6,
        flags: 3,
        image_index: u64::MAX,
        max_side: 512,
        timeout_ms: 60_000,
        path: "out/{id}.{ext}".into(),
    };
    let journal = place.open();
    let ids = [journal.add(&first).expect("adds"), journal.add_later(&task("b")), journal.add_later(&task("a"))];
    drop(journal);
    let found = place.open().entries().expect("reads");
    assert_eq!(found, [(ids[0], first), (ids[1], task("b")), (ids[2], task("a"))]);
}

#[test]
fn a_number_is_not_given_twice_while_its_entry_is_there() {
    let place = Place::new();
    let kept = place.open().add(&task("a")).expect("adds");
    let journal = place.open();
    assert!(journal.add(&task("b")).expect("adds") > kept);
}

#[test]
fn queued_changes_are_seen_at_once_and_on_the_disk_after_a_flush() {
    let place = Place::new();
    let journal = place.open();
    let submit = journal.add(&task("")).expect("adds");
    let gone = journal.add(&task("gone")).expect("adds");
    assert!(!journal.has_queued());
    let later = journal.add_later(&task("later"));
    let brief = journal.add_later(&task("brief"));
    journal.accepted(submit, "img_1");
    journal.remove(gone);
    journal.remove(brief);
    assert!(journal.has_queued());
    assert_eq!(refs(&journal), ["img_1", "later"]);
    assert_eq!(after_a_kill(&place.path()), ["", "gone"]);
    journal.flush().expect("flushes");
    assert!(!journal.has_queued());
    assert_eq!(after_a_kill(&place.path()), ["img_1", "later"]);
    let numbers: Vec<EntryId> = journal.entries().expect("reads").iter().map(|(id, _)| *id).collect();
    assert_eq!(numbers, [submit, later]);
}

#[test]
fn an_answer_to_a_submit_changes_the_reference_and_nothing_else() {
    let place = Place::new();
    let journal = place.open();
    let id = journal.add(&task("")).expect("adds");
    journal.accepted(id, "img_1");
    journal.flush().expect("flushes");
    let want = Entry { task_ref: "img_1".into(), ..task("") };
    assert_eq!(journal.entries().expect("reads"), [(id, want)]);
}

#[test]
fn an_answer_or_a_removal_for_an_entry_that_is_gone_is_nothing() {
    let place = Place::new();
    let journal = place.open();
    let id = journal.add(&task("a")).expect("adds");
    journal.remove(id);
    journal.remove(id);
    journal.accepted(id, "img_1");
    journal.flush().expect("flushes");
    journal.accepted(id, "img_1");
    journal.remove(id);
    journal.flush().expect("flushes");
    assert_eq!(refs(&journal), [""; 0]);
}

/// Does something while another thread's commit is at a slow disk. Whether the commit was still there when it was done.
fn beside_a_slow_commit(journal: &Journal, work: impl FnOnce()) -> bool {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            faults::slow(Duration::from_millis(40));
            journal.add_later(&task("slow"));
            journal.flush().expect("flushes");
        });
        let started = Instant::now();
        while !journal.is_committing() {
            assert!(started.elapsed() < Duration::from_secs(10), "it never began");
            std::thread::yield_now();
        }
        work();
        journal.is_committing()
    })
}

#[test]
fn a_flush_waits_for_the_commit_that_took_what_was_queued() {
    let place = Place::new();
    let journal = place.open();
    beside_a_slow_commit(&journal, || {
        assert!(!journal.has_queued());
        journal.flush().expect("waits");
        assert_eq!(after_a_kill(&place.path()), ["slow"]);
    });
}

#[test]
fn what_only_queues_does_not_wait_for_another_call_s_disk() {
    let place = Place::new();
    let journal = place.open();
    let known = journal.add(&task("known")).expect("adds");
    let is_still_there = beside_a_slow_commit(&journal, || {
        journal.add_later(&task("later"));
        journal.accepted(known, "img_1");
        journal.remove(known);
        assert!(journal.has_queued());
    });
    assert!(is_still_there, "the commit was waited for");
    assert_eq!(refs(&journal), ["slow", "later"]);
}

#[test]
fn dropping_the_journal_writes_what_is_queued() {
    let place = Place::new();
    let journal = place.open();
    journal.add_later(&task("a"));
    drop(journal);
    assert_eq!(refs(&place.open()), ["a"]);
}

#[test]
fn dropping_a_journal_with_nothing_queued_asks_nothing_of_the_disk() {
    let place = Place::new();
    let journal = place.open();
    journal.add(&task("a")).expect("adds");
    let steps = faults::steps();
    journal.flush().expect("nothing to do");
    drop(journal);
    assert_eq!(faults::steps(), steps);
}

#[test]
fn threads_that_add_at_once_share_commits_and_all_entries_are_there() {
    const THREADS: usize = 8;
    const EACH: usize = 25;
    let place = Place::new();
    let journal = place.open();
    let (together, alone) = (Barrier::new(THREADS), faults::steps());
    // Steps are counted on the thread that is at the disk, so each thread counts its own.
    let steps: u64 = std::thread::scope(|scope| {
        let adds = |thread: usize| {
            let (journal, together) = (&journal, &together);
            scope.spawn(move || {
                together.wait();
                for n in 0..EACH {
                    journal.add(&task(&format!("{thread}-{n}"))).expect("adds");
                }
                faults::steps()
            })
        };
        let threads: Vec<_> = (0..THREADS).map(adds).collect();
        threads.into_iter().map(|thread| thread.join().expect("ends")).sum()
    });
    let want: BTreeSet<String> = (0..THREADS).flat_map(|t| (0..EACH).map(move |n| format!("{t}-{n}"))).collect();
    assert_eq!(after_a_kill(&place.path()).into_iter().collect::<BTreeSet<_>>(), want);
    journal.add(&task("one")).expect("adds");
    let one = faults::steps() - alone;
    assert!(steps < one * (THREADS * EACH) as u64 / 2, "{steps} steps for all, {one} for one");
}

#[test]
fn no_secret_of_an_address_is_in_the_file() {
    let place = Place::new();
    let journal = place.open();
    let entry = Entry {
        base: "https://user:sk-canary-7f3a@dimilinks.com/v1?key=sk-canary-7f3a".into(),
        label: "a label".into(),
        ..task("https://dimilinks.com/v1/tasks/img_1?exp=1&sig=canary-0f0f#canary")
    };
    let id = journal.add(&entry).expect("adds");
    journal.add_later(&Entry { label: String::new(), ..task("/v1/tasks/img_2?token=canary-1") });
    journal.accepted(id, "https://u:canary-2@dimilinks.com/v1/tasks/img_3?sig=canary-3");
    journal.flush().expect("flushes");
    assert_eq!(refs(&journal), ["https://dimilinks.com/v1/tasks/img_3", "/v1/tasks/img_2"]);
    assert_eq!(journal.entries().expect("reads")[0].1.base, "https://dimilinks.com/v1");
    drop(journal);
    let bytes = fs::read(place.path()).expect("reads");
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("img_1") && holds("img_2") && holds("img_3"));
    assert!(!holds("canary") && !holds("sig=") && !holds("exp="));
}

#[test]
fn a_refusal_at_any_step_is_an_error_and_afterwards_everything_works() {
    // First every step from a step on, as on a full disk; then one step alone.
    for lasting in [true, false] {
        let mut begun = 0;
        for step in 0.. {
            let place = Place::new();
            let journal = place.open();
            let known = journal.add(&task("known")).expect("adds");
            journal.remove(known);
            journal.add_later(&task("later"));
            let now = faults::steps();
            faults::refuse(now + step..if lasting { u64::MAX } else { now + step + 1 });
            let added = journal.add(&task("new"));
            faults::refuse_nothing();
            let Err(error) = added else {
                assert_eq!(after_a_kill(&place.path()), ["later", "new"]);
                break;
            };
            begun += 1;
            assert_eq!(error.status(), Status::Journal);
            assert!(error.message().contains("no space is left"), "{error}");
            assert!(error.message().contains(&format!("{:?}", place.path())), "{error}");
            // What was not promised is not there, what was queued still is.
            assert!(journal.has_queued());
            assert_eq!(refs(&journal), ["later"], "step {step}");
            journal.flush().expect("works again");
            assert_eq!(after_a_kill(&place.path()), ["later"], "step {step}");
            journal.add(&task("new")).expect("adds");
            drop(journal);
            assert_eq!(refs(&place.open()), ["later", "new"], "step {step}");
            assert_eq!(place.names(), ["tasks.journal"]);
        }
        assert!(begun > 3, "only {begun} steps could fail");
    }
}

#[test]
fn a_refusal_while_a_journal_is_opened_loses_nothing_and_names_nothing() {
    for existing in [true, false] {
        let mut begun = 0;
        for step in 0.. {
            let place = Place::new();
            if existing {
                place.open().add(&task("a")).expect("adds");
            }
            let now = faults::steps();
            faults::refuse(now + step..u64::MAX);
            let opened = Journal::open(&place.path());
            faults::refuse_nothing();
            let Err(error) = opened else { break };
            begun += 1;
            assert!(error.message().contains("no space is left"), "{error}");
            // A new one has its name when it is whole, and nothing else is left behind.
            assert!(place.names().iter().all(|name| name == "tasks.journal"), "step {step}: {:?}", place.names());
            assert!(!existing || !place.names().is_empty());
            assert_eq!(refs(&place.open()), if existing { &["a"][..] } else { &[] }, "step {step}");
        }
        assert!(begun > 3, "only {begun} steps could fail");
    }
}

#[test]
fn a_long_life_of_adds_and_removes_does_not_grow_the_file() {
    let place = Place::new();
    let journal = place.open();
    let size = || fs::metadata(place.path()).expect("there").len();
    let mut live = std::collections::VecDeque::new();
    let (mut early, started) = (0, Instant::now());
    for round in 0..400 {
        for n in 0..50 {
            live.push_back(journal.add_later(&task(&format!("{round}-{n}"))));
        }
        while live.len() > 500 {
            live.pop_front().into_iter().for_each(|id| journal.remove(id));
        }
        journal.flush().expect("flushes");
        if round == 50 {
            early = size();
        }
        assert!(started.elapsed() < Duration::from_secs(120), "slow at round {round}");
    }
    assert!(size() <= 2 * early, "{early} bytes early, {} at the end", size());
    assert_eq!(journal.entries().expect("reads").len(), 500);
}

#[test]
fn a_file_that_was_large_once_is_made_smaller_when_it_is_opened() {
    let place = Place::new();
    let journal = place.open();
    let ids: Vec<EntryId> = (0..60_000).map(|n| journal.add_later(&task(&format!("img_{n}")))).collect();
    journal.flush().expect("flushes");
    let full = fs::metadata(place.path()).expect("there").len();
    ids[..59_990].iter().for_each(|id| journal.remove(*id));
    drop(journal);
    let journal = place.open();
    let size = fs::metadata(place.path()).expect("there").len();
    assert!(size < full / 4 && size < 8 << 20, "{full} bytes full, {size} after");
    let want: Vec<String> = (59_990..60_000).map(|n| format!("img_{n}")).collect();
    assert_eq!(refs(&journal), want);
    drop(journal);
    assert_eq!(refs(&place.open()), want);
}

#[test]
fn a_worker_s_small_stack_is_enough() {
    let place = Place::new();
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let work = move || {
        let journal = place.open();
        for n in 0..2_000 {
            journal.add_later(&task(&format!("img_{n}")));
        }
        journal.flush().expect("flushes");
        drop(journal);
        refs(&place.open()).len()
    };
    assert_eq!(small.spawn(work).expect("starts").join().expect("ends"), 2_000);
}

/// Not a check but a measure: `cargo test --release --features journal --lib -- --ignored --nocapture adds_per_second`.
#[test]
#[ignore = "a measure"]
fn adds_per_second() {
    for threads in [1, 8] {
        let place = Place::new();
        let journal = place.open();
        let (started, time) = (Instant::now(), Duration::from_secs(3));
        let adds = || {
            let mut count = 0;
            while started.elapsed() < time {
                journal.add(&task("img_0123456789")).expect("adds");
                count += 1;
            }
            count
        };
        let total: u32 = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(adds)).collect();
            all.into_iter().map(|thread| thread.join().expect("ends")).sum()
        });
        println!("{threads} threads: {} adds per second", total / 3);
    }
    let place = Place::new();
    let journal = place.open();
    let ids: BTreeMap<u32, EntryId> =
        (0..100_000).map(|n| (n, journal.add_later(&task(&format!("img_{n}"))))).collect();
    let started = Instant::now();
    journal.flush().expect("flushes");
    println!(
        "100,000 entries: flush {:?}, {} bytes",
        started.elapsed(),
        fs::metadata(place.path()).expect("there").len()
    );
    drop(journal);
    let started = Instant::now();
    let journal = place.open();
    println!("open {:?}", started.elapsed());
    let started = Instant::now();
    println!("{} entries read in {:?}", journal.entries().expect("reads").len(), started.elapsed());
    let started = Instant::now();
    ids.values().for_each(|id| journal.remove(*id));
    println!("a queued removal {:?}", started.elapsed() / 100_000);
    let started = Instant::now();
    journal.flush().expect("flushes");
    println!(
        "flush of the removals {:?}, {} bytes",
        started.elapsed(),
        fs::metadata(place.path()).expect("there").len()
    );
}
