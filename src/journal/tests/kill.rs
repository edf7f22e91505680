//! A child that works with a journal and is killed at any moment. What it said was done must be there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;

const PATH: &str = "IMGTASK_TEST_JOURNAL";
const THREADS: usize = 4;

fn say(line: std::fmt::Arguments<'_>) {
    // One write: a kill leaves a whole line or none.
    let line = format!("@ {line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("says");
}

/// The child. It says what it is about to queue, and what is done.
#[test]
#[ignore = "what the other test starts"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    say(format_args!("begun"));
    let journal = Journal::open(Path::new(&path)).expect("opens");
    for (n, (id, _)) in journal.entries().expect("reads").into_iter().enumerate() {
        if n % 3 > 0 {
            say(format_args!("removing {}", id.0));
            journal.remove(id);
        }
    }
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0.. {
                    let id = journal.add(&task("")).expect("adds");
                    say(format_args!("added {}", id.0));
                    if n % 2 == 0 {
                        say(format_args!("accepting {} img_{}", id.0, id.0));
                        journal.accepted(id, &format!("img_{}", id.0));
                        if n % 4 == 0 {
                            journal.flush().expect("flushes");
                            say(format_args!("accepted {}", id.0));
                        }
                    }
                    if n % 5 == 0 {
                        say(format_args!("removing {}", id.0));
                        journal.remove(id);
                        if (n + thread) % 2 == 0 {
                            journal.flush().expect("flushes");
                            say(format_args!("removed {}", id.0));
                        }
                    }
                }
            });
        }
    });
}

/// What may be found of an entry.
#[derive(Debug, Clone, Default)]
struct Known {
    refs: Vec<String>,
    may_be_gone: bool,
    is_gone: bool,
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    const ROUNDS: u32 = 60;
    let place = Place::new();
    drop(place.open());
    let mut before: BTreeMap<u64, String> = BTreeMap::new();
    let (mut acknowledged, mut dice) = (0, Dice(7));
    for round in 0..ROUNDS {
        // Every fourth is killed while it opens the journal.
        let life = Duration::from_micros(dice.below(if round % 4 == 0 { 20_000 } else { 150_000 }));
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "journal::tests::kill::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(PATH, place.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let reader = std::thread::spawn(move || out.lines().map_while(Result::ok).collect::<Vec<String>>());
        std::thread::sleep(life);
        child.kill().expect("kills");
        let status = child.wait().expect("ends");
        assert!(!status.success(), "the child ended by itself");
        let lines = reader.join().expect("reads");

        let mut known: BTreeMap<u64, Known> = BTreeMap::new();
        for (id, task_ref) in &before {
            known.insert(*id, Known { refs: vec![task_ref.clone()], ..Known::default() });
        }
        for line in lines.iter().filter_map(|line| line.strip_prefix("@ ")) {
            let mut words = line.split(' ');
            let (verb, id) = (words.next(), words.next().and_then(|id| id.parse::<u64>().ok()));
            let Some(id) = id else { continue };
            let entry = known.entry(id).or_default();
            match verb.expect("a verb") {
                "added" => {
                    acknowledged += 1;
                    entry.refs.push(String::new());
                }
                "accepting" => entry.refs.push(words.next().expect("a reference").to_owned()),
                "accepted" => {
                    acknowledged += 1;
                    entry.refs = entry.refs.split_off(1);
                }
                "removing" => entry.may_be_gone = true,
                "removed" => {
                    acknowledged += 1;
                    entry.is_gone = true;
                }
                other => panic!("{other}"),
            }
        }
        let journal = place.open();
        before = journal.entries().expect("reads").into_iter().map(|(id, entry)| (id.0, entry.task_ref)).collect();
        for (id, entry) in &known {
            match before.get(id) {
                Some(task_ref) => {
                    assert!(!entry.is_gone, "round {round}: {id} was removed and is there");
                    assert!(entry.refs.contains(task_ref), "round {round}: {id} is {task_ref:?}, not {entry:?}");
                }
                None => assert!(entry.may_be_gone, "round {round}: {id} was acknowledged and is lost"),
            }
        }
        // At most what each thread was about to say.
        let unsaid = before.keys().filter(|id| !known.contains_key(id)).count();
        assert!(unsaid <= THREADS, "round {round}: {unsaid} entries that nobody added");
        drop(journal);
        assert_eq!(place.names(), ["tasks.journal"]);
    }
    assert!(acknowledged > 200, "only {acknowledged} acknowledgements");
}
