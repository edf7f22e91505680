//! A disk whose power is cut: it has what it was made to wait for, and any part of the rest.

use super::faults::Asked;
use super::*;

const SECTOR: usize = 512;
const SEEDS: u64 = 3;

fn apply(image: &mut Vec<u8>, asked: &Asked, kept: impl Fn(usize) -> bool) {
    match asked {
        Asked::SetLen(len) => {
            if kept(0) {
                image.resize(*len as usize, 0);
            }
        }
        Asked::Write(offset, bytes) => {
            for (sector, part) in bytes.chunks(SECTOR).enumerate().filter(|(sector, _)| kept(*sector)) {
                let at = *offset as usize + sector * SECTOR;
                image.resize(image.len().max(at + part.len()), 0);
                image[at..at + part.len()].copy_from_slice(part);
            }
        }
        Asked::Wait => {}
    }
}

/// The file after a cut when the disk had this, and of what came after its last wait each sector or not.
fn cut(sure: &[u8], unsure: &[Asked], dice: &mut Dice) -> Vec<u8> {
    let mut image = sure.to_vec();
    let odds = dice.below(5);
    for asked in unsure {
        let seed = dice.below(u64::from(u32::MAX));
        apply(&mut image, asked, |sector| Dice(seed + sector as u64).below(4) < odds);
    }
    image
}

#[test]
fn a_power_cut_at_any_moment_costs_nothing_that_was_acknowledged() {
    let (mut cuts, mut undone) = (0, 0);
    for seed in 0..SEEDS {
        let (place, mut dice) = (Place::in_memory(), Dice(seed));
        let mut journal = place.open();
        let mut disk = fs::read(place.path()).expect("reads");
        let mut model: BTreeMap<EntryId, Entry> = BTreeMap::new();
        for round in 0..60 {
            let before = model.clone();
            faults::listen(true);
            match dice.below(8) {
                0..=3 => {
                    let entry = task(&"x".repeat(dice.below(9_000) as usize));
                    model.insert(journal.add(&entry).expect("adds"), entry);
                }
                4 | 5 => {
                    let ids: Vec<EntryId> = model.keys().copied().filter(|_| dice.below(2) == 0).collect();
                    ids.iter().for_each(|id| journal.remove(*id));
                    model.retain(|id, _| !ids.contains(id));
                    journal.flush().expect("flushes");
                }
                6 => {
                    for _ in 0..dice.below(200) {
                        model.insert(journal.add_later(&task("many")), task("many"));
                    }
                    journal.flush().expect("flushes");
                }
                _ => {
                    drop(journal);
                    journal = place.open();
                }
            }
            faults::listen(false);
            // Cuts within this round: what it did is there or is not. Cuts after it: it is there.
            let heard = faults::heard();
            for moment in 0..=heard.len() {
                let waited =
                    heard[..moment].iter().rposition(|asked| matches!(asked, Asked::Wait)).map_or(0, |at| at + 1);
                let mut sure = disk.clone();
                heard[..waited].iter().for_each(|asked| apply(&mut sure, asked, |_| true));
                if dice.below(6) > 0 && moment < heard.len() {
                    continue;
                }
                let other = Place::in_memory();
                fs::write(other.path(), cut(&sure, &heard[waited..moment], &mut dice)).expect("writes");
                let opened = Journal::open(&other.path());
                let opened =
                    opened.unwrap_or_else(|error| panic!("seed {seed}, round {round}, cut at {moment}: {error}"));
                let found: BTreeMap<EntryId, Entry> = opened.entries().expect("reads").into_iter().collect();
                cuts += 1;
                if moment == heard.len() || found == model {
                    assert_eq!(found, model, "seed {seed}, round {round}, cut after it");
                } else {
                    assert_eq!(found, before, "seed {seed}, round {round}, cut at {moment} of {}", heard.len());
                    undone += 1;
                }
            }
            heard.iter().for_each(|asked| apply(&mut disk, asked, |_| true));
            assert!(
                disk == fs::read(place.path()).expect("reads"),
                "seed {seed}, round {round}: something went past the ear"
            );
        }
    }
    assert!(cuts > 120 * SEEDS && undone > 40 * SEEDS, "{cuts} cuts, {undone} of them undid a step");
}
