//! What a damaged file may do: nothing, or be told about and set aside as it was. Never anything between.

use super::*;
use ring::digest::{SHA256, digest};

/// A journal as a kill leaves it, and what is in it.
fn journal() -> (Vec<u8>, Vec<(EntryId, Entry)>) {
    let place = Place::new();
    let journal = place.open();
    let ids: Vec<EntryId> = (0..200).map(|n| journal.add_later(&task(&format!("img_{n}")))).collect();
    journal.flush().expect("flushes");
    ids.iter().step_by(2).for_each(|id| journal.remove(*id));
    journal.flush().expect("flushes");
    for n in 0..5 {
        journal.add(&task(&format!("last_{n}"))).expect("adds");
    }
    let bytes = fs::read(place.path()).expect("reads");
    (bytes, journal.entries().expect("reads"))
}

/// Opens a journal with these bytes. Whether it was found damaged.
fn judge(bytes: &[u8], entries: &[(EntryId, Entry)], what: impl std::fmt::Debug) -> bool {
    let told = judge_quietly(bytes, entries, &what);
    assert_eq!(faults::panics(), 0, "{what:?}");
    told
}

fn judge_quietly(bytes: &[u8], entries: &[(EntryId, Entry)], what: &impl std::fmt::Debug) -> bool {
    let place = Place::in_memory();
    fs::write(place.path(), bytes).expect("writes");
    match Journal::open(&place.path()) {
        Ok(journal) => {
            assert_eq!(journal.entries().expect("reads"), entries, "{what:?}");
            journal.add(&task("new")).expect("adds");
            drop(journal);
            assert_eq!(place.open().entries().expect("reads").len(), entries.len() + 1, "{what:?}");
            false
        }
        Err(error) if error.message().contains("is damaged") => {
            let aside = place.folder.path().join("tasks.journal.damaged-1");
            assert_eq!(error.status(), Status::Journal);
            assert!(error.message().contains(&format!("{aside:?}")), "{what:?}: {error}");
            assert!(fs::read(&aside).expect("reads") == bytes, "{what:?}: the damaged file was changed");
            assert_eq!(place.names(), ["tasks.journal.damaged-1"]);
            assert_eq!(refs(&place.open()), [""; 0]);
            true
        }
        Err(error) => {
            let left = ["is no journal of imgtask", "has format"].iter().any(|words| error.message().contains(words));
            assert!(left, "{what:?}: {error}");
            assert!(fs::read(place.path()).expect("reads") == bytes, "{what:?}");
            assert_eq!(place.names(), ["tasks.journal"]);
            true
        }
    }
}

/// The pages that hold anything.
fn used_pages(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.chunks(4096).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)).map(|(n, _)| n * 4096)
}

#[test]
fn a_byte_that_flips_anywhere_costs_no_entry_or_is_told() {
    let (bytes, entries) = journal();
    let spread =
        used_pages(&bytes).flat_map(|page| (0..2).map(move |n| page + (page / 4096 * 37 + n * n * 271) % 4096));
    let (mut told, mut harmless) = (0, 0);
    for at in (0..24).chain(spread) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        *(if judge(&flipped, &entries, at) { &mut told } else { &mut harmless }) += 1;
    }
    assert!(told > 25 && harmless > 25, "{told} told, {harmless} harmless");
}

#[test]
fn every_flip_in_the_head_of_the_database_is_told() {
    let (bytes, entries) = journal();
    for at in (4096..4096 + 352).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x81;
        assert!(judge(&flipped, &entries, at), "{at}");
    }
}

#[test]
fn damage_of_the_last_commit_is_not_taken_for_a_commit_that_was_not_finished() {
    let (bytes, entries) = journal();
    let last = bytes.windows(15).rposition(|window| window == b"label of last_4").expect("there");
    let all: Vec<usize> = (0..bytes.len() - 15).filter(|at| bytes[*at..].starts_with(b"label of last_4")).collect();
    assert!(all.contains(&last));
    let mut flipped = bytes.clone();
    all.iter().for_each(|at| flipped[*at] ^= 1);
    assert!(judge(&flipped, &entries, all), "the last entry was lost without a word");
}

#[test]
fn a_page_that_is_zeroed_scrambled_or_another_costs_no_entry_or_is_told() {
    let (bytes, entries) = journal();
    let pages: Vec<usize> = used_pages(&bytes).filter(|page| *page > 0).collect();
    let mut told = 0;
    for (n, page) in pages.iter().enumerate() {
        let other = pages[(n + 1) % pages.len()];
        let fills: [&dyn Fn(usize) -> u8; 4] =
            [&|_| 0, &|_| 0xff, &|at| (at * at * 31 + n) as u8, &|at| bytes[other + at]];
        for (kind, fill) in fills.iter().enumerate() {
            let mut changed = bytes.clone();
            changed[*page..page + 4096].iter_mut().enumerate().for_each(|(at, byte)| *byte = fill(at));
            told += usize::from(judge(&changed, &entries, (page, kind)));
        }
    }
    assert!(told > 20, "{told} told of {} pages", pages.len());
}

#[test]
fn a_file_cut_anywhere_costs_no_entry_or_is_told() {
    let (bytes, entries) = journal();
    let lens = [1, 17, 18, 100, 4095, 4096, 4097, 4400, 4448, 8191, 8192, bytes.len() - 4096, bytes.len() - 1];
    for len in lens.into_iter().chain((0..40).map(|n| bytes.len() * n / 40 + 1)) {
        assert!(judge(&bytes[..len], &entries, len), "cut to {len}");
    }
}

#[test]
fn bytes_behind_the_end_cost_no_entry() {
    let (bytes, entries) = journal();
    for more in [1, 4095, 4096, 5000, 1 << 20] {
        let longer = [&bytes[..], &vec![0xa5; more]].concat();
        assert!(!judge(&longer, &entries, more), "{more} bytes more");
    }
}

#[test]
fn a_file_of_a_thousand_gigabytes_is_told_and_costs_no_memory() {
    let (bytes, _) = journal();
    let place = Place::new();
    fs::write(place.path(), &bytes).expect("writes");
    let grown = fs::OpenOptions::new().write(true).open(place.path()).expect("opens").set_len(1 << 40);
    if grown.is_err() {
        return; // A file system that has no sparse files.
    }
    assert!(place.refused().message().contains("is damaged"));
}

#[test]
fn a_forged_head_is_told_whatever_lengths_and_roots_it_names() {
    let (bytes, entries) = journal();
    let values = [0, 1, 2, 0xff, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff_u32];
    // Sizes and lengths, then what the roots of both slots hold.
    for at in (9..32).step_by(3).chain((64..320).step_by(4)) {
        for value in values {
            let mut forged = bytes.clone();
            let head = &mut forged[4096..4096 + 352];
            head[at..at + 4].copy_from_slice(&value.to_le_bytes());
            for slot in [64, 192] {
                // The slots' own checksum is of a kind that we do not forge: leave it wrong.
                head[slot + 112] ^= u8::from(at % 8 == 4);
            }
            let seal = digest(&SHA256, &head[..320]);
            head[320..].copy_from_slice(seal.as_ref());
            judge_loosely(&forged, &entries, (at, value));
        }
    }
}

/// A forged file may hold whatever it was forged to hold, but it is opened or told about.
fn judge_loosely(bytes: &[u8], entries: &[(EntryId, Entry)], what: impl std::fmt::Debug) {
    let place = Place::in_memory();
    fs::write(place.path(), bytes).expect("writes");
    match Journal::open(&place.path()) {
        Ok(journal) => assert!(journal.entries().expect("reads").len() <= entries.len(), "{what:?}"),
        Err(error) => {
            assert!(error.message().contains("is damaged"), "{what:?}: {error}");
            assert!(fs::read(place.folder.path().join("tasks.journal.damaged-1")).expect("reads") == bytes, "{what:?}");
        }
    }
}

#[test]
fn a_damaged_journal_takes_no_name_that_something_has() {
    let (mut bytes, _) = journal();
    bytes[4096 + 64] ^= 1;
    let place = Place::new();
    let name = |n: usize| place.folder.path().join(format!("tasks.journal.damaged-{n}"));
    fs::write(name(1), b"precious").expect("writes");
    fs::create_dir(name(2)).expect("creates");
    fs::write(place.path(), &bytes).expect("writes");
    assert!(place.refused().message().contains("damaged-3"), "{}", place.refused());
    assert_eq!(fs::read(name(1)).expect("reads"), b"precious");
    assert!(fs::read(name(3)).expect("reads") == bytes);
    place.open().add(&task("a")).expect("a new journal");
}

#[test]
fn damage_while_the_journal_is_in_use_is_an_error_and_no_loss_of_what_is_queued() {
    let place = Place::new();
    let journal = place.open();
    journal.add(&task("a")).expect("adds");
    fs::OpenOptions::new().write(true).open(place.path()).expect("opens").set_len(5_000).expect("cuts");
    journal.add_later(&task("later"));
    let error = journal.add(&task("b")).expect_err("damaged");
    assert_eq!(error.status(), Status::Journal);
    assert!(error.message().contains("was damaged while it was in use"), "{error}");
    assert!(error.message().contains(&format!("{:?}", place.path())), "{error}");
}
