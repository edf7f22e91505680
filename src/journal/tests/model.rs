//! The journal beside a plain map, with refusals and restarts in between.

use super::*;

#[test]
fn the_journal_holds_what_a_plain_map_would_whatever_is_refused() {
    for seed in 0..12 {
        let (place, mut dice) = (Place::new(), Dice(seed));
        let mut journal = place.open();
        let mut model: BTreeMap<EntryId, Entry> = BTreeMap::new();
        let mut refusals = 0;
        for step in 0..120 {
            if dice.below(6) == 0 {
                let from = faults::steps() + dice.below(8);
                faults::refuse(from..from + 1 + dice.below(4));
            }
            let entry = task(&format!("img_{}", dice.below(20)));
            let any = model.keys().nth(dice.below(model.len().max(1) as u64) as usize).copied();
            match dice.below(10) {
                0 | 1 => match journal.add(&entry) {
                    Ok(id) => drop(model.insert(id, entry)),
                    Err(_) => refusals += 1,
                },
                2..=4 => drop(model.insert(journal.add_later(&entry), entry)),
                5 => {
                    if let Some(id) = any {
                        journal.accepted(id, "accepted");
                        model.entry(id).and_modify(|entry| entry.task_ref = "accepted".into());
                    }
                }
                6 | 7 => {
                    if let Some(id) = any {
                        journal.remove(id);
                        model.remove(&id);
                    }
                }
                _ => refusals += usize::from(journal.flush().is_err()),
            }
            if dice.below(3) == 0 {
                faults::refuse_nothing();
                let found: BTreeMap<EntryId, Entry> = journal.entries().expect("reads").into_iter().collect();
                assert_eq!(found, model, "seed {seed}, step {step}");
            }
            if dice.below(15) == 0 {
                faults::refuse_nothing();
                drop(journal);
                journal = place.open();
            }
        }
        faults::refuse_nothing();
        drop(journal);
        let found: BTreeMap<EntryId, Entry> = place.open().entries().expect("reads").into_iter().collect();
        assert_eq!(found, model, "seed {seed}");
        assert!(refusals > 0, "seed {seed}: nothing was refused");
    }
}
