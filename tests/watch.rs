//! `imgtask watch`: many tasks, from a list that need not end, through kills.

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Lines, Seek, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use command::terminal::{Terminal, is_coloured};
use command::*;
use serde_json::Value;

/// So fast that no gate is in the way.
const FAST: [&str; 2] = ["--max-requests-per-minute", "60000000"];

fn watch(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.run(&[&["watch"], arguments, &FAST].concat())
}

/// The lines of a manifest, by reference. One reference has one line unless it was tried again.
fn manifest(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a manifest");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a JSON object")).collect()
}

/// What the sandbox counted for each task: looks and image fetches.
fn counted(sandbox: &Sandbox) -> BTreeMap<String, (u64, u64)> {
    let tasks = sandbox.control("GET", "/tasks", "");
    let number = |task: &Value, name: &str| task[name].as_u64().expect("a count");
    let tasks = tasks.as_array().expect("a list").iter();
    tasks
        .map(|task| {
            (task["id"].as_str().expect("an id").to_string(), (number(task, "looks"), number(task, "image_gets")))
        })
        .collect()
}

fn list(folder: &tempfile::TempDir, ids: &[String]) -> String {
    let file = path(folder, "ids.txt");
    fs::write(&file, ids.join("\n")).expect("a list");
    file
}

/// Waits, with an end, until something is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

// What is watched, and what is said of it.

#[test]
fn arguments_a_file_and_the_standard_input_are_watched_alike() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let ids = sandbox.tasks(3, "fox {n} [duration:0]");
    let expected: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let check = |run: Run| {
        let run = run.ends_with(0).says("3 tasks in ").says(": 3 succeeded");
        let told: BTreeSet<&str> = run.lines().iter().map(|line| line.split('\t').next().expect("an id")).collect();
        assert_eq!((run.lines().len(), &told), (3, &expected), "{}", run.out);
        for line in run.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            assert!(cells.len() == 3 && cells[1] == "succeeded" && cells[2].starts_with("http"), "{line}");
        }
    };
    check(watch(&sandbox, &[&ids[0], &ids[1], &ids[2]]));
    let file = list(&folder, &ids);
    check(watch(&sandbox, &["--from", &file]));
    for dash in [&["-"][..], &["--from", "-"][..]] {
        let mut command = sandbox.command(&[&["watch"], dash, &FAST].concat());
        command.stdin(fs::File::open(&file).expect("a list"));
        check(finish(command));
    }
    let run = watch(&sandbox, &[&ids[0], "--from", &file, "--quiet"]).ends_with(0);
    assert_eq!((run.lines().len(), run.err.as_str()), (3, ""), "arguments and a file together, one of them twice");
}

#[test]
fn json_tells_every_end_with_the_members_of_a_task() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let good = sandbox.tasks(1, "fox [duration:0]").remove(0);
    let bad = sandbox.tasks(1, "fox [duration:0] [fail:content_moderation]").remove(0);
    let file = list(&folder, &[good.clone(), String::new(), format!("/v1/tasks/{bad}"), "img_nobody".into()]);
    let pictures = path(&folder, "pictures");
    let run = watch(&sandbox, &["--from", &file, "--json", "--download", &pictures]).ends_with(5);
    let told: BTreeMap<String, Value> =
        run.objects().into_iter().map(|event| (event["ref"].as_str().expect("a ref").to_string(), event)).collect();
    assert_eq!(told.len(), 3);
    assert!(told.values().all(|event| event["event"] == "final" && event["provider"] == "dimilinks"));

    let done = &told[&good];
    assert_eq!((&done["id"], &done["state"], &done["line"]), (&good.as_str().into(), &"succeeded".into(), &1.into()));
    let saved = &done["images"][0]["file"];
    assert_eq!((&saved["width"], &saved["media_type"]), (&16.into(), &"image/png".into()), "{done}");
    assert_eq!(saved["sha256"].as_str().map(str::len), Some(64));
    assert_image(saved["path"].as_str().expect("a path"));

    let failed = &told[&format!("/v1/tasks/{bad}")];
    assert_eq!((&failed["state"], &failed["line"], &failed["error"]), (&"failed".into(), &3.into(), &Value::Null));
    assert_eq!(failed["failure"]["code"], "content_moderation");

    let unknown = &told["img_nobody"];
    assert_eq!((&unknown["error"]["status"], &unknown["state"]), (&"not_found".into(), &"unknown".into()));
    assert_eq!(names(Path::new(&pictures)).len(), 1);
}

#[test]
fn progress_is_told_when_it_is_asked_for() {
    let sandbox = Sandbox::start(&[]);
    let id = sandbox.tasks(1, "fox [hold:queued]").remove(0);
    let mut command = sandbox.command(&["watch", &id, "--progress", "--json", "--interval", "20ms"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Ended(command.spawn().expect("imgtask starts"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("readable")).expect("JSON") };
    let queued = next();
    assert_eq!((&queued["event"], &queued["state"]), (&"progress".into(), &"queued".into()));
    sandbox.control("POST", &format!("/tasks/{id}/hold?state=running"), "");
    let running = next();
    assert_eq!((&running["event"], &running["state"]), (&"progress".into(), &"running".into()));
    sandbox.control("POST", &format!("/tasks/{id}/finish"), "");
    assert_eq!(next()["event"], "final");
    assert!(bounded(&mut child.0).success());
}

#[test]
fn a_bad_line_is_told_with_its_number_and_the_rest_goes_on() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let ids = sandbox.tasks(2, "fox {n} [duration:0]");
    let file = path(&folder, "ids.txt");
    let text = [b"# a remark\n", ids[0].as_bytes(), b"\nno/such path\n\xff\xfe\n\n", ids[1].as_bytes(), b"\n"].concat();
    fs::write(&file, text).expect("a list");
    let run = watch(&sandbox, &["--from", &file]).ends_with(2).says("2 invalid argument, 2 succeeded");
    assert_eq!(run.lines().len(), 4, "{}", run.out);
    for line in [3, 4] {
        let place = format!("line {line} of {file}");
        assert!(
            run.lines().iter().any(|told| told.contains("\tinvalid_argument\t") && told.contains(&place)),
            "{}",
            run.out
        );
    }
}

#[test]
fn the_gravest_end_gives_the_exit_code() {
    let sandbox = Sandbox::start(&[]);
    let good = sandbox.tasks(1, "fox [duration:0]").remove(0);
    let failed = sandbox.tasks(1, "fox [duration:0] [fail:upstream_error]").remove(0);
    let held = sandbox.tasks(1, "fox [hold:running]").remove(0);
    let run = |ids: &[&str]| watch(&sandbox, &[ids, &["--timeout", "1s", "--interval", "50ms"]].concat()).code;
    assert_eq!(run(&[&good]), 0);
    assert_eq!(run(&[&good, &held]), 4);
    assert_eq!(run(&[&held, &failed, &good]), 3);
    assert_eq!(run(&[&failed, "img_nobody"]), 5);
    assert_eq!(run(&["img_nobody", "a b"]), 2);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_asked() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (notes, missing) = (path(&folder, "notes.txt"), path(&folder, "missing.txt"));
    fs::write(&notes, "mine\n").expect("notes");
    let cases: [(&[&str], i32); 15] = [
        (&[], 2),
        (&["--all", "img_1"], 2),
        (&["-", "--key-file", "-"], 2),
        (&["-", "--from", "-"], 2),
        (&["img_1", "--timeout", "10ms"], 2),
        (&["img_1", "--download", "{id}/x.png"], 2),
        (&["img_1", "--download", "x-{id}.{ext}", "--all"], 2),
        (&["img_1", "--download", "new", "--name-pattern", "x.{ext}"], 2),
        (&["img_1", "--download", "new", "--name-pattern", "../{id}.{ext}"], 2),
        (&["img_1", "--download", "new", "--name-pattern", "{id}-{name}.{ext}"], 2),
        (&["img_1", "--name-pattern", "{id}.{ext}"], 2),
        (&["img_1", "--manifest", "-"], 2),
        (&["img_1", "--journal", "-"], 2),
        (&["--from", &missing], 8),
        (&["img_1", "--manifest", &notes], 8),
    ];
    let elsewhere = tempfile::tempdir().expect("a folder");
    for (arguments, code) in cases {
        let mut command = sandbox.command(&[&["watch"], arguments, &FAST].concat());
        command.current_dir(elsewhere.path());
        let run = finish(command);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.err);
        assert!(run.out.is_empty(), "{arguments:?}");
    }
    assert_eq!(names(elsewhere.path()), [""; 0]);
    assert_eq!(fs::read_to_string(&notes).expect("notes"), "mine\n");
    assert_eq!(sandbox.control("GET", "/stats", "")["requests"], 0);
}

#[test]
fn a_refused_key_ends_it_before_thousands_of_requests() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = list(&folder, &sandbox.tasks(2_000, "fox {n} [duration:0]"));
    let mut command = sandbox.command(&[&["watch", "--from", &file], &FAST[..]].concat());
    command.env("DIMILINKS_API_KEY", CANARY);
    finish(command).ends_with(6).says("the same command goes on");
    let asked = sandbox.control("GET", "/stats", "")["requests"].as_u64().expect("a count");
    assert!(asked < 200, "{asked} requests with a key that is refused");
}

// What is saved.

#[test]
fn all_images_are_saved_under_a_pattern() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let order = r#"{"provider":"dimilinks","count":5,"prompt":"fox {n} [duration:0]","size":"16x16","n":3}"#;
    let ids = sandbox.control("POST", "/tasks", order);
    let ids: Vec<&str> = ids["ids"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    let (pattern, done) = (path(&folder, "new/{id}_{index}.{ext}"), path(&folder, "done.jsonl"));
    let arguments = [&ids[..], &["--download", &pattern, "--all", "--manifest", &done]].concat();
    let run = watch(&sandbox, &arguments).ends_with(0).says("15 images");
    assert!(run.lines().iter().all(|line| line.split('\t').count() == 5), "{}", run.out);
    let names = names(&folder.path().join("new"));
    assert_eq!(names.len(), 15);
    assert!(names.contains(&format!("{}_2.png", ids[4])), "{names:?}");
    for line in manifest(&done) {
        let files: Vec<u64> =
            line["files"].as_array().expect("files").iter().filter_map(|file| file["index"].as_u64()).collect();
        assert_eq!((files, &line["images"]), (vec![0, 1, 2], &3.into()));
    }
}

#[test]
fn files_are_named_by_a_pattern() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let ids = sandbox.tasks(2, "fox {n} [duration:0]");
    let out = path(&folder, "new");
    let run = watch(&sandbox, &[&ids[0], &ids[1], "--download", &out, "--name-pattern", "fox-{id}.{ext}"]).ends_with(0);
    let mut named: Vec<String> = ids.iter().map(|id| format!("fox-{id}.png")).collect();
    named.sort();
    assert_eq!(names(&folder.path().join("new")), named);
    assert!(run.lines().iter().all(|line| line.ends_with(".png")), "{}", run.out);
}

#[test]
fn a_file_that_exists_stays_unless_it_may_go() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let id = sandbox.tasks(1, "fox [duration:0]").remove(0);
    let out = path(&folder, "");
    let file = folder.path().join(format!("{id}-0.png"));
    fs::write(&file, "mine").expect("a file");
    watch(&sandbox, &[&id, "--download", &out]).ends_with(8);
    assert_eq!(fs::read(&file).expect("a file"), b"mine");
    watch(&sandbox, &[&id, "--download", &out, "--force"]).ends_with(0);
    assert_image(&file);
    watch(&sandbox, &[&id, "--download", &out]).ends_with(0);
    assert_eq!(names(folder.path()), [format!("{id}-0.png")]);
}

// Lists without an end.

/// A run that reads its list from a pipe that the test holds.
struct Piped {
    child: Ended,
    list: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Piped {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Piped {
        let mut command = sandbox.command(&[&["watch", "-", "--quiet"], arguments, &FAST].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Ended(command.spawn().expect("imgtask starts"));
        let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
        Piped { list: child.0.stdin.take(), child, lines }
    }

    fn give(&mut self, id: &str) {
        writeln!(self.list.as_mut().expect("open"), "{id}").expect("it reads");
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("a line").expect("readable")
    }

    /// Ends the list, and waits for the end of the run.
    fn end(mut self) -> Option<i32> {
        drop(self.list.take());
        bounded(&mut self.child.0).code()
    }
}

#[test]
fn a_task_is_watched_as_soon_as_its_line_comes() {
    let sandbox = Sandbox::start(&[]);
    let mut run = Piped::start(&sandbox, &[]);
    for id in sandbox.tasks(3, "fox {n} [duration:0]") {
        run.give(&id);
        assert!(run.next().starts_with(&format!("{id}\tsucceeded\t")));
    }
    assert_eq!(run.end(), Some(0));
}

#[test]
fn no_more_tasks_are_open_than_there_is_room_for() {
    let sandbox = Sandbox::start(&[]);
    let ids = sandbox.tasks(300, "fox {n} [hold:running]");
    let mut run = Piped::start(&sandbox, &["--max-pending", "10", "--interval", "10ms"]);
    ids.iter().for_each(|id| run.give(id));
    let looked_at = || counted(&sandbox).values().filter(|(looks, _)| *looks > 0).count();
    // Every task that it may look at, several times.
    until("ten are looked at", || sandbox.control("GET", "/stats", "")["polls"].as_u64() > Some(100));
    assert_eq!(looked_at(), 10);
    sandbox.control("POST", &format!("/tasks/{}/finish", ids[3]), "");
    assert!(run.next().starts_with(&format!("{}\tsucceeded\t", ids[3])));
    until("the next one is looked at", || looked_at() == 11);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_flat_however_long_the_list_is() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let done = path(&folder, "done.jsonl");
    let ids = sandbox.tasks(12_000, "fox {n} [duration:0]");
    let mut run = Piped::start(&sandbox, &["--max-pending", "200", "--manifest", &done]);
    let status = format!("/proc/{}/status", run.child.0.id());
    let resident_kb = || -> u64 {
        let text = fs::read_to_string(&status).expect("a process");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    let mut list = run.list.take().expect("open");
    let writer = thread::spawn(move || ids.iter().for_each(|id| writeln!(list, "{id}").expect("it reads")));
    (0..3_000).for_each(|_| drop(run.next()));
    let early = resident_kb();
    (0..8_500).for_each(|_| drop(run.next()));
    let late = resident_kb();
    // A fingerprint of 16 bytes a task, and the table that holds them doubles.
    assert!(late - early < 2_000, "{early} kB after 3,000 tasks, {late} kB after 11,500");
    writer.join().expect("all was read");
    (0..500).for_each(|_| drop(run.next()));
    assert_eq!(run.end(), Some(0));
}

#[test]
fn it_ends_when_nobody_reads_what_it_says() {
    let sandbox = Sandbox::start(&[]);
    let ids = sandbox.tasks(3, "fox {n} [duration:0]");
    let mut run = Piped::start(&sandbox, &[]);
    run.give(&ids[0]);
    run.next();
    let Piped { mut child, list, lines } = run;
    drop(lines);
    // The list stays open: only the lost reader can end it.
    let mut list = list.expect("open");
    ids[1..].iter().for_each(|id| writeln!(list, "{id}").expect("it reads"));
    assert_eq!(bounded(&mut child.0).code(), Some(0));
}

// Where it is shown.

#[test]
fn a_terminal_gets_a_table_and_in_it_colours_unless_they_are_not_wanted() {
    let sandbox = Sandbox::start(&["--speed", "60"]);
    let good = sandbox.tasks(3, "fox {n} [duration:0]");
    let mut number = 0;
    let mut shown = |more: &[&str], variables: &[(&str, &str)], until: &str| {
        number += 1;
        let last = sandbox.tasks(1, &format!("fox {number} [hold:running]")).remove(0);
        let ids = good.iter().chain([&last]).map(String::as_str);
        let arguments: Vec<&str> = ["watch"].into_iter().chain(ids).chain(more.iter().copied()).collect();
        let mut command = sandbox.command(&[&arguments[..], &FAST].concat());
        command.envs(variables.iter().copied());
        let mut terminal = Terminal::start(&command, 30, 100);
        // The last one ends when the table has been drawn.
        terminal.until(until);
        sandbox.control("POST", &format!("/tasks/{last}/fail?code=upstream_error"), "");
        let (code, shown) = terminal.end();
        assert_eq!(code, 3, "{shown:?}");
        shown
    };
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = path(&folder, "pictures");
    let table = shown(&["--download", &pictures], &[], "75 % of 4");
    for part in ["OPEN", "1 running", "DONE", "3 succeeded · 0 without", "LOOKS", " a minute of ", "TIME", "75 % of 4"]
    {
        assert!(table.contains(part), "no {part:?} in {table:?}");
    }
    assert!(table.contains(": 1 failed, 3 succeeded"), "the summary: {table:?}");
    assert!(is_coloured(&table) && !table.contains("\tsucceeded\t"), "{table:?}");
    let links = shown(&[], &[], "75 % of 4");
    assert!(links.contains("3 succeeded · 0 without"), "a table: {links:?}");
    assert_eq!(links.matches("\tsucceeded\thttp").count(), 3, "links are nowhere but here: {links:?}");
    let plain = shown(&[], &[("NO_COLOR", "1")], "75 % of 4");
    assert!(plain.contains("3 succeeded · 0 without") && !is_coloured(&plain), "{plain:?}");
    let third = |id: &str| format!("{id}\tsucceeded");
    for lines in [shown(&[], &[("TERM", "dumb")], &third(&good[2])), shown(&["--quiet"], &[], &third(&good[2]))] {
        assert!(!lines.contains('\x1b') && !lines.contains("OPEN"), "{lines:?}");
        assert_eq!(lines.matches("\tsucceeded\t").count(), 3, "without a table each is a line: {lines:?}");
    }
}

#[test]
fn ctrl_c_ends_politely_and_the_next_run_goes_on() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (done, journal) = (path(&folder, "done.jsonl"), path(&folder, "open.journal"));
    let good = sandbox.tasks(1, "fox [duration:0]").remove(0);
    let held = sandbox.tasks(5, "fox {n} [hold:running]");
    let arguments = ["watch", "-", "--manifest", &done, "--journal", &journal, "--interval", "20ms"];
    let mut command = sandbox.command(&arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("imgtask starts");
    // Kept open: the end of the list is not what ends it.
    let mut list = child.stdin.take().expect("piped");
    held.iter().chain([&good]).for_each(|id| writeln!(list, "{id}").expect("it reads"));
    until("one is done and five are looked at", || {
        manifest_lines(&fs::read_to_string(&done).unwrap_or_default()).len() == 1
            && counted(&sandbox).values().all(|(looks, _)| *looks > 0)
    });
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    collect(child).ends_with(130).says("5 left open, 1 succeeded");
    drop(list);

    held.iter().for_each(|id| drop(sandbox.control("POST", &format!("/tasks/{id}/finish"), "")));
    let mut run = sandbox.command(&["watch", "--manifest", &done, "--journal", &journal, &good]);
    run.args(FAST);
    finish(run).ends_with(0).says("5 succeeded, 1 done before, 5 taken up from the journal");
    let told: BTreeSet<String> = manifest_lines(&fs::read_to_string(&done).expect("a manifest")).into_iter().collect();
    assert_eq!(told, held.iter().chain([&good]).cloned().collect());
    let run = watch(&sandbox, &["--journal", &journal]).ends_with(0).says("nothing to do");
    assert!(run.out.is_empty());
}

// Second runs.

/// A run with a journal that gets its tasks through a pipe.
fn piped(sandbox: &Sandbox, ids: &[String], arguments: &[&str]) -> Command {
    let mut file = tempfile::tempfile().expect("a list");
    ids.iter().for_each(|id| writeln!(file, "{id}").expect("written"));
    file.rewind().expect("from its beginning");
    let mut command = sandbox.command(&[&["watch", "-", "--interval", "20ms"], arguments, &FAST].concat());
    command.stdin(file);
    command
}

#[test]
fn a_journal_keeps_what_a_wrong_key_has_ended() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, pictures) = (path(&folder, "open.journal"), path(&folder, "pictures"));
    let ids = sandbox.tasks(3, "fox {n} [duration:0]");
    let arguments = ["--journal", &journal, "--download", &pictures];
    // One task: of several some might be refused before the others are read.
    let mut command = piped(&sandbox, &ids[..1], &arguments);
    command.env("DIMILINKS_API_KEY", CANARY);
    finish(command).ends_with(6).says("the same command goes on");
    // A task that is named again is no second one.
    let run = finish(piped(&sandbox, &ids, &arguments)).ends_with(0);
    let run = run.says("3 succeeded, 1 given twice, 1 taken up from the journal; 3 images");
    let told: BTreeSet<&str> = run.lines().iter().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!((run.lines().len(), told), (3, ids.iter().map(String::as_str).collect()));
    finish(piped(&sandbox, &[], &arguments)).ends_with(0).says("0 tasks").says("nothing to do");
}

#[test]
fn a_journal_keeps_what_was_not_done_in_time_and_forgets_what_is_final() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let journal = path(&folder, "open.journal");
    let held = sandbox.tasks(1, "fox [hold:running]");
    let done = [sandbox.tasks(1, "fox [duration:0]"), sandbox.tasks(1, "fox [duration:0] [fail:upstream_error]")];
    let ids = [&held[..], &done[0], &done[1]].concat();
    let arguments = ["--journal", &journal, "--timeout", "1s"];
    finish(piped(&sandbox, &ids, &arguments)).ends_with(3).says("1 failed, 1 succeeded, 1 timeout");
    let before = counted(&sandbox);
    finish(piped(&sandbox, &[], &arguments)).ends_with(4).says("1 timeout, 1 taken up from the journal");
    sandbox.control("POST", &format!("/tasks/{}/finish", held[0]), "");
    finish(piped(&sandbox, &[], &arguments)).ends_with(0).says("1 succeeded, 1 taken up from the journal");
    finish(piped(&sandbox, &[], &arguments)).ends_with(0).says("nothing to do");
    let after = counted(&sandbox);
    assert!(after[&held[0]].0 > before[&held[0]].0);
    done.iter().flatten().for_each(|id| assert_eq!(before[id], after[id], "{id} was final"));
}

#[test]
fn a_journal_keeps_the_images_that_could_not_be_saved() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, pictures) = (path(&folder, "open.journal"), path(&folder, "pictures"));
    let ids = sandbox.tasks(2, "fox {n} [duration:0]");
    fs::create_dir(&pictures).expect("a folder");
    // Where the image is to be, somebody has put something else.
    let taken = Path::new(&pictures).join(format!("{}-0.png", ids[0]));
    fs::create_dir(&taken).expect("a folder in the way");
    let arguments = ["--journal", &journal, "--download", &pictures];
    finish(piped(&sandbox, &ids, &arguments)).ends_with(8).says("1 file, 1 succeeded");
    fs::remove_dir(&taken).expect("out of the way");
    finish(piped(&sandbox, &[], &arguments)).ends_with(0).says("1 succeeded, 1 taken up from the journal; 1 image");
    assert_image(&taken);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_a_manifest_of_whole_lines_and_the_next_run_goes_on() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let done = path(&folder, "done.jsonl");
    let ids = sandbox.tasks(60, "fox {n} [duration:0]");
    let file = list(&folder, &ids);
    // Files may be four or eight blocks of 512 bytes long: a write ends in the middle of a line.
    let command = sandbox.command(&[&["watch", "--from", &file, "--manifest", &done], &FAST[..]].concat());
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let run = finish({
        limited.stdin(Stdio::null());
        limited
    });
    let run = run.ends_with(8).says(&format!("cannot write {done}")).says("left open");
    assert_eq!(run.err.matches("cannot write").count(), 1, "{}", run.err);
    let text = fs::read_to_string(&done).expect("a manifest");
    let whole = manifest(&done).len();
    assert!((2..60).contains(&whole) && text.ends_with("}\n"), "{text}");
    let before = format!("{} succeeded, {whole} done before", 60 - whole);
    watch(&sandbox, &["--from", &file, "--manifest", &done]).ends_with(0).says(&before);
    assert_eq!(manifest(&done).len(), 60);
}

#[test]
fn what_ended_for_a_passing_reason_is_tried_again_and_what_is_final_is_not() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let good = sandbox.tasks(1, "fox [duration:0]").remove(0);
    let failed = sandbox.tasks(1, "fox [duration:0] [fail:upstream_error]").remove(0);
    let held = sandbox.tasks(1, "fox [hold:running]").remove(0);
    let done = path(&folder, "done.jsonl");
    let arguments = [&good, &failed, &held, "--manifest", &done, "--timeout", "1s", "--interval", "50ms"];
    watch(&sandbox, &arguments).ends_with(3).says("1 failed, 1 succeeded, 1 timeout");
    let before = counted(&sandbox);
    sandbox.control("POST", &format!("/tasks/{held}/finish"), "");
    watch(&sandbox, &arguments).ends_with(0).says("1 succeeded, 2 done before");
    let after = counted(&sandbox);
    assert_eq!((before[&good], before[&failed]), (after[&good], after[&failed]));
    assert!(after[&held].0 > before[&held].0);
    let states: Vec<Value> = manifest(&done).into_iter().filter(|line| line["ref"] == held.as_str()).collect();
    assert_eq!((&states[0]["error"]["status"], &states[1]["state"]), (&"timeout".into(), &"succeeded".into()));
    // And now that images are wanted, what succeeded is not done any more.
    let pictures = path(&folder, "pictures");
    watch(&sandbox, &[&good, &failed, "--manifest", &done, "--download", &pictures]).ends_with(0).says("1 image");
}

#[test]
fn two_thousand_tasks_are_watched_with_few_open_at_a_time_and_each_is_told_once() {
    let sandbox = Sandbox::start(&["--speed", "100"]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut ids = sandbox.tasks(2_000, "fox {n}");
    let file = list(&folder, &[ids.clone(), ids.clone()].concat());
    let done = path(&folder, "done.jsonl");
    let arguments = ["--from", &file, "--manifest", &done, "--max-pending", "500", "--interval", "100ms"];
    let run = watch(&sandbox, &arguments).ends_with(0).says("2,000 succeeded, 2,000 given twice");
    let mut told: Vec<String> =
        run.lines().iter().map(|line| line.split('\t').next().unwrap_or_default().into()).collect();
    told.sort();
    ids.sort();
    assert_eq!(told, ids);
    assert_eq!(manifest(&done).len(), 2_000);
}

/// Kills a run when its manifest has so many lines, tears the last one, and runs again: every image is there once, and nothing
/// that was done is asked for again.
fn survives_a_kill(count: usize, kill_at: usize, folder: &tempfile::TempDir, more: &[&str]) {
    let sandbox = Sandbox::start(&[]);
    let ids = sandbox.tasks(count, "fox {n} [duration:0]");
    let file = list(folder, &ids);
    let (done, pictures) = (path(folder, "done.jsonl"), path(folder, "pictures"));
    let arguments =
        [&["watch", "--from", &file, "--download", &pictures, "--manifest", &done, "--quiet"], more, &FAST].concat();

    let mut command = sandbox.command(&arguments);
    let mut child = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("imgtask starts"));
    // A line has at least 300 bytes.
    until("the manifest grows", || fs::metadata(&done).is_ok_and(|found| found.len() > 450 * kill_at as u64));
    child.0.kill().expect("killed");
    child.0.wait().expect("ended");
    let text = fs::read_to_string(&done).expect("a manifest");
    let whole = manifest_lines(&text);
    assert!(whole.len() > 10 && whole.len() < count, "killed after {} of {count}", whole.len());
    fs::write(&done, &text[..text.len() - 7]).expect("a torn line");
    let whole: BTreeSet<String> = whole[..whole.len() - 1].iter().cloned().collect();
    let before = counted(&sandbox);

    let mut command = sandbox.command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Ended(command.spawn().expect("imgtask starts"));
    let start = Instant::now();
    while child.0.try_wait().expect("asked").is_none() {
        assert!(start.elapsed() < Duration::from_secs(600), "it does not end");
        thread::sleep(Duration::from_millis(20));
    }
    let mut words = String::new();
    std::io::Read::read_to_string(&mut child.0.stderr.take().expect("piped"), &mut words).expect("readable");
    assert_eq!((child.0.wait().expect("ended").code(), words.as_str()), (Some(0), ""));

    let told = manifest_lines(&fs::read_to_string(&done).expect("a manifest"));
    let (told_once, all): (BTreeSet<_>, BTreeSet<_>) = (told.iter().collect(), ids.iter().collect());
    assert_eq!((told.len(), told_once == all), (count, true), "every task has one line");
    let expected: BTreeSet<String> = ids.iter().map(|id| format!("{id}-0.png")).collect();
    assert!(
        names(Path::new(&pictures)).into_iter().filter(|name| !name.ends_with(".part")).collect::<BTreeSet<_>>()
            == expected
    );
    let after = counted(&sandbox);
    let mut twice = 0;
    for (id, (looks, gets)) in &after {
        if whole.contains(id) {
            assert_eq!((*looks, *gets), before[id], "{id} was done and asked for again");
            assert_eq!(*gets, 1, "{id}");
        } else {
            assert!((1..=2).contains(gets), "{id} was fetched {gets} times");
            twice += usize::from(*gets == 2);
        }
    }
    assert!(twice <= 64, "{twice} images were on their way when it was killed");
    for line in manifest(&done).iter().step_by(count / 50) {
        let saved = &line["files"][0];
        let bytes = fs::read(saved["path"].as_str().expect("a path")).expect("a file");
        assert_eq!(saved["sha256"], sha256(&bytes).as_str());
    }
}

/// The references of the lines that are whole.
fn manifest_lines(text: &str) -> Vec<String> {
    let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    whole.map(|line| line["ref"].as_str().expect("a ref").to_string()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    survives_a_kill(3_000, 1_200, &tempfile::tempdir().expect("a folder"), &[]);
}

#[test]
fn a_killed_run_with_a_journal_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = path(&folder, "open.journal");
    survives_a_kill(1_000, 400, &folder, &["--journal", &journal]);
}

#[test]
#[ignore = "takes minutes: a step of its own in tests/run.sh"]
fn fifty_thousand_tasks_survive_a_kill() {
    // In memory where that can be had: it is about what is asked for, not about the disk.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    survives_a_kill(50_000, 25_000, &folder.expect("a folder"), &[]);
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
