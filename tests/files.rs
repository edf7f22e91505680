//! A file that is whole under its name or absent, whatever the disk does and whenever the program is killed: a program written in C
//! saves the image of a task, through a call and through a job.
#![cfg(target_os = "linux")]

mod common;
mod native;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Answer, PNG, Server, client, json, options, succeeded, task_with_image, typed};
use imgtask::{Client, Delivery, Event, EventKind, Goal, Job, Source, State, Status};
use native::has;
use native::host::{Chance, Host, SIGKILL, build};

const WAYS: [&str; 2] = ["call", "job"];
const SOON: Duration = Duration::from_secs(60);
/// Older than anything that a living program writes.
const LONG_AGO: Duration = Duration::from_secs(3600);

/// A PNG of so many bytes, at least.
fn large(bytes: usize) -> Vec<u8> {
    let mut image = PNG[..33].to_vec();
    image.extend((bytes as u32).to_be_bytes());
    image.extend(b"IDAT");
    image.extend((0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8));
    image.extend_from_slice(&PNG[PNG.len() - 16..]);
    image
}

fn image_answer(image: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n", image.len());
    [head.as_bytes(), image].concat()
}

/// A service whose task is done, and whose image comes as `image` says.
fn service(image: impl Fn() -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |asked, _| match asked.path.starts_with("/p/img/") {
        true => image(),
        false => json(&succeeded(&["/p/img/img_1/0?exp=9999999999999&sig=abc"])),
    })
}

/// `saving`, and where it saves: a folder of its own that everybody may reach.
struct Saving {
    program: PathBuf,
    server: Server,
    room: tempfile::TempDir,
}

impl Saving {
    fn new(image: impl Fn() -> Answer + Send + Sync + 'static) -> Saving {
        // What these tests are about is seen in no other way: without it none of them may pass.
        assert!(has("cc"), "a C compiler is needed");
        let room = tempfile::tempdir().expect("a folder");
        fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let saving = Saving { program: build("files/saving", &[]), server: service(image), room };
        fs::create_dir(saving.folder()).expect("a folder");
        saving
    }

    fn folder(&self) -> PathBuf {
        self.room.path().join("pictures")
    }

    fn target(&self) -> PathBuf {
        self.folder().join("cat.png")
    }

    fn command(&self, way: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("IMGTASK_TEST_URL_dimilinks", self.server.url()).arg(self.target()).arg(way);
        command
    }

    /// Runs it to its end, and gives the lines that it says.
    fn run(command: Command) -> Vec<String> {
        let (status, said) = Host::start(command).end(SOON);
        assert!(status.success(), "{status}: {said}");
        said.lines().map(str::to_owned).collect()
    }

    /// Saves the image, which must come whole, into a folder in which nothing else is left.
    fn finish(&self, way: &str, image: &[u8]) {
        assert_eq!(Saving::run(self.command(way)), ["ok\t"]);
        assert!(fs::read(self.target()).expect("the file") == image, "the file is another one");
        assert_eq!(names(&self.folder()), ["cat.png"]);
    }

    /// The parts that are in the folder.
    fn parts(&self) -> Vec<PathBuf> {
        let parts = names(&self.folder()).into_iter().filter(|name| name.ends_with(".part"));
        parts.map(|name| self.folder().join(name)).collect()
    }

    /// Waits for a part with something in it.
    fn until_a_part_is_there(&self) -> PathBuf {
        let since = Instant::now();
        loop {
            let begun = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.len() > 0);
            if let Some(path) = self.parts().into_iter().find(begun) {
                return path;
            }
            assert!(since.elapsed() < SOON, "no part");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).expect("opens");
    file.set_modified(SystemTime::now() - LONG_AGO).expect("it is ours");
}

// Killed.

#[test]
fn a_program_that_is_killed_at_30_random_moments_leaves_a_whole_file_or_none() {
    kills_at_random_moments(30);
}

#[test]
#[ignore = "takes half a minute: a step of its own"]
fn a_program_that_is_killed_at_200_random_moments_leaves_a_whole_file_or_none() {
    kills_at_random_moments(200);
}

fn kills_at_random_moments(kills: usize) {
    let image = Arc::new(large(300_000));
    let served = Arc::clone(&image);
    let slow = move || Answer::Drip(image_answer(&served), 6_000, Duration::from_millis(1));
    let saving = Saving::new(slow);
    let mut chance = Chance::new();
    let started = Instant::now();
    saving.finish("job", &image);
    // A life that is left alone takes about so long.
    let whole = started.elapsed().as_micros() as u64;
    let (mut absent, mut old, mut new, mut ended) = (0, 0, 0, 0);
    for kill in 0..kills {
        let before = (kill % 4 < 2).then_some(b"an older file".as_slice());
        match before {
            Some(bytes) => fs::write(saving.target(), bytes).expect("writes"),
            None => drop(fs::remove_file(saving.target())),
        }
        let host = Host::start(saving.command(WAYS[kill % 2]));
        thread::sleep(Duration::from_micros(chance.below(whole * 9 / 8)));
        let (status, said) = host.kill();
        match status.signal() {
            Some(SIGKILL) => {}
            _ => ended += 1,
        }
        assert!(status.success() || status.signal() == Some(SIGKILL), "{status}: {said}");
        match (fs::read(saving.target()).ok(), before) {
            (None, None) => absent += 1,
            (Some(bytes), _) if bytes == *image => new += 1,
            (Some(bytes), Some(before)) if bytes == before => old += 1,
            (bytes, _) => panic!("kill {kill}: {} bytes under the final name", bytes.unwrap_or_default().len()),
        }
    }
    let left = saving.parts();
    println!(
        "{kills} kills: {absent} absent, {old} the older file, {new} the new one, 0 torn; {} parts left",
        left.len()
    );
    assert!(left.len() > kills / 8, "the kills came at moments without a download");
    assert!(absent > 0 && old > 0 && ended < kills / 2, "{absent}, {old}, {ended}");
    // What was killed a moment ago might be a living one of another machine.
    left.iter().for_each(|part| age(part));
    saving.finish("call", &image);
}

#[test]
fn a_program_that_is_killed_at_any_of_its_steps_leaves_a_whole_file_or_none() {
    let image = Arc::new(large(150_000));
    let served = Arc::clone(&image);
    let saving = Saving::new(move || typed("image/png", &served));
    let steps = build("crash/steps", &["-shared", "-fPIC"]);
    for way in WAYS {
        let (mut absent, mut whole) = (0, 0);
        for step in 1.. {
            let _ = fs::remove_file(saving.target());
            let mut command = saving.command(way);
            command.env("LD_PRELOAD", &steps).env("STEPS_KILL_AT", step.to_string());
            let (status, said) = Host::start(command).end(SOON);
            match fs::read(saving.target()) {
                Ok(bytes) if bytes == *image => whole += 1,
                Ok(bytes) => panic!("{way}, step {step}: {} bytes under the final name", bytes.len()),
                Err(_) => absent += 1,
            }
            if status.success() {
                break;
            }
            assert_eq!(status.signal(), Some(SIGKILL), "step {step}: {status}: {said}");
            assert!(step < 1_000, "no end");
        }
        println!("{way}: killed at each of {} steps: {absent} absent, {} whole", absent + whole - 1, whole - 1);
        assert!(absent > 8 && whole > 1, "{absent}, {whole}");
    }
    let left = saving.parts();
    assert!(left.len() > 6, "{} parts", left.len());
    left.iter().for_each(|part| age(part));
    saving.finish("job", &image);
}

#[test]
fn what_a_killed_program_left_goes_with_the_next_download_and_what_a_living_one_writes_stays() {
    let image = Arc::new(large(20_000));
    let (served, slow) = (Arc::clone(&image), Arc::new(Mutex::new(true)));
    let is_slow = Arc::clone(&slow);
    let saving = Saving::new(move || match *is_slow.lock().expect("a lock") {
        true => Answer::Drip(image_answer(&served), 1_000, Duration::from_millis(100)),
        false => typed("image/png", &served),
    });
    let killed = Host::start(saving.command("call"));
    let left = saving.until_a_part_is_there();
    killed.kill();
    age(&left);

    // Both were last written to long ago; one is held.
    let living = Host::start(saving.command("job"));
    let since = Instant::now();
    while left.exists() {
        assert!(since.elapsed() < SOON, "what was left is still there");
        thread::sleep(Duration::from_millis(1));
    }
    let held = saving.until_a_part_is_there();
    *slow.lock().expect("a lock") = false;
    // The pieces that come next make it young again: once more after each.
    let other = Host::start(saving.command("call"));
    let since = Instant::now();
    let mut times = 0;
    while !saving.target().exists() {
        assert!(since.elapsed() < SOON, "the other does not come to its end");
        assert!(held.exists(), "the part of a living program was removed");
        age(&held);
        times += 1;
    }
    assert!(other.end(SOON).0.success() && times > 0);
    assert!(held.exists(), "the part of a living program was removed");
    let (status, said) = living.end(SOON);
    assert!(status.success() && said == "ok\t\n", "{status}: {said}");
    assert_eq!(names(&saving.folder()), ["cat.png"]);
}

// Disks.

/// In vain because of `cause`, and once more: both through a call and through a job, and nothing is left in between but `left`.
fn in_vain(saving: &Saving, image: &[u8], cause: &str, words: &[&str], left: &[&str], prepare: impl Fn(&mut Command)) {
    for way in WAYS {
        let mut command = saving.command(way);
        command.arg(cause);
        prepare(&mut command);
        let said = Saving::run(command);
        let (first, rest) = said.split_first().expect("a line");
        let (status, message) = first.split_once('\t').expect("a status and a message");
        assert_eq!(status, "file", "{way}, {cause}: {message}");
        for word in words.iter().chain([&*format!("{:?}", saving.target())].iter()) {
            assert!(message.contains(word), "{way}, {cause}: no {word} in: {message}");
        }
        let expected: Vec<String> =
            left.iter().map(|name| format!("left\t{name}")).chain(["ok\t".to_owned()]).collect();
        assert_eq!(rest, expected, "{way}, {cause}: {message}");
        assert!(fs::read(saving.target()).expect("the file") == image, "{way}, {cause}");
        assert_eq!(names(&saving.folder()), ["cat.png"], "{way}, {cause}");
        fs::remove_file(saving.target()).expect("it is there");
    }
}

/// Of what `call` fails with, from its `nth` on, while there is a file.
fn disk_fails(call: &str, nth: u32, error: i32, words: &[&str], left: &[&str]) {
    let image = Arc::new(large(150_000));
    let served = Arc::clone(&image);
    let saving = Saving::new(move || typed("image/png", &served));
    let steps = build("crash/steps", &["-shared", "-fPIC"]);
    let mark = saving.room.path().join("broken");
    in_vain(&saving, &image, mark.to_str().expect("UTF-8"), words, left, |command| {
        fs::write(&mark, b"").expect("writes");
        let fault = format!("{call}:{nth}:{error}:{}", mark.display());
        command.env("LD_PRELOAD", &steps).env("STEPS_FAIL", fault);
    });
}

const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

#[test]
fn a_disk_that_is_full_at_the_beginning_is_an_error_and_leaves_nothing() {
    disk_fails("open", 1, ENOSPC, &["cannot create", "no space is left"], &[]);
    disk_fails("write", 1, ENOSPC, &["cannot write", "no space is left"], &[]);
}

#[test]
fn a_disk_that_is_full_in_the_middle_is_an_error_and_leaves_nothing() {
    disk_fails("write", 2, ENOSPC, &["cannot write", "no space is left"], &[]);
}

#[test]
fn a_disk_that_is_full_when_the_file_is_synced_is_an_error_and_leaves_nothing() {
    disk_fails("fsync", 1, ENOSPC, &["cannot write", "no space is left"], &[]);
}

#[test]
fn a_broken_disk_is_an_error_whatever_breaks() {
    disk_fails("write", 2, EIO, &["cannot write", "system error 5"], &[]);
    disk_fails("fchmod", 1, EIO, &["cannot write", "system error 5"], &[]);
    disk_fails("fsync", 1, EIO, &["cannot write", "system error 5"], &[]);
    // The whole file has its name. That it keeps it is not sure, and that is told.
    disk_fails("folder", 1, EIO, &["cannot name", "system error 5"], &["cat.png"]);
}

#[test]
fn a_process_without_a_handle_to_spare_leaves_no_file_under_its_name() {
    disk_fails("open-folder", 1, EMFILE, &["cannot name", "too many files are open"], &[]);
}

#[test]
fn what_the_disk_has_is_not_lost_by_a_close_that_fails() {
    let image = Arc::new(large(150_000));
    let served = Arc::clone(&image);
    let saving = Saving::new(move || typed("image/png", &served));
    let steps = build("crash/steps", &["-shared", "-fPIC"]);
    for way in WAYS {
        let mut command = saving.command(way);
        // It was synced before: there is nothing that closing could lose.
        command.env("LD_PRELOAD", &steps).env("STEPS_FAIL", format!("close:1:{EIO}:/"));
        assert_eq!(Saving::run(command), ["ok\t"], "{way}");
        assert!(fs::read(saving.target()).expect("the file") == *image, "{way}");
        assert_eq!(names(&saving.folder()), ["cat.png"]);
    }
}

#[test]
fn a_place_that_cannot_be_written_to_is_an_error_that_names_it() {
    let image = Arc::new(large(150_000));
    let served = Arc::clone(&image);
    let saving = Saving::new(move || typed("image/png", &served));
    for (cause, words, left) in [
        ("read-only", "permission denied", &[][..]),
        ("private", "permission denied", &[]),
        ("folder", "is a folder", &["cat.png"]),
        ("pipe", "not a file", &["cat.png"]),
        // Larger than the process may write.
        ("limit", "larger than the system allows", &[]),
    ] {
        in_vain(&saving, &image, cause, &[words], left, |command| {
            command.env("SAVING_AS_NOBODY", "");
        });
    }
    in_vain(&saving, &image, "rename", &["cannot name", "system error 5"], &[], |_| {});
    // The folder has to be made anew, which needs its own to be writable.
    in_vain(&saving, &image, "missing", &["folder does not exist"], &[], |_| {});
}

#[test]
fn a_file_is_private_until_it_is_whole_whatever_the_umask() {
    let folder: Arc<Mutex<PathBuf>> = Arc::default();
    let (seen, modes) = (Arc::clone(&folder), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&modes);
    let saving = Saving::new(move || {
        let folder = seen.lock().expect("a lock").clone();
        for name in names(&folder) {
            noted.lock().expect("a lock").push(fs::metadata(folder.join(name)).expect("there").mode() & 0o7777);
        }
        typed("image/png", PNG)
    });
    *folder.lock().expect("a lock") = saving.folder();
    for way in WAYS {
        let mut command = saving.command(way);
        command.env("SAVING_WITHOUT_UMASK", "");
        assert_eq!(Saving::run(command), ["ok\t"]);
        assert_eq!(std::mem::take(&mut *modes.lock().expect("a lock")), [0o600], "{way}");
        assert_eq!(fs::metadata(saving.target()).expect("there").mode() & 0o7777, 0o666, "{way}");
        fs::remove_file(saving.target()).expect("it is there");
    }
}

// In this process.

/// Saves the image of `task` through a call or a job; gives its error.
fn save(client: &Client, url: &str, path: &Path, replace: bool, way: &str) -> Result<(), imgtask::Error> {
    let mut task = task_with_image(url);
    task.state = State::Succeeded;
    if way == "call" {
        return client.download_file(&task, 0, path, replace).map(drop);
    }
    let path = Some(path.to_path_buf());
    client.start(Job { path, replace, ..Job::new(Source::Task(Box::new(task)), Goal::File) })?;
    match next_end(client) {
        Event { error: Some(error), .. } => Err(error),
        Event { image: Some(Delivery::Saved(_)), .. } => Ok(()),
        other => panic!("{other:?}"),
    }
}

fn next_end(client: &Client) -> Event {
    let event = client.next_event(Some(SOON)).expect("open").expect("an event in time");
    assert_eq!(event.kind, EventKind::Final);
    event
}

#[test]
fn a_folder_that_vanishes_in_the_middle_is_an_error_and_one_that_comes_back_is_written_to() {
    for way in WAYS {
        let room = tempfile::tempdir().expect("a folder");
        let folder = room.path().join("pictures");
        fs::create_dir(&folder).expect("a folder");
        let vanishes = folder.clone();
        let server = Server::start(move |_, before| {
            if before == 0 {
                assert_eq!(names(&vanishes).len(), 1, "it was not begun");
                fs::remove_dir_all(&vanishes).expect("it is ours");
            }
            typed("image/png", PNG)
        });
        let (client, path) = (client("dimilinks", &server), folder.join("cat.png"));
        let error = save(&client, &server.url(), &path, true, way).expect_err("no folder");
        assert_eq!(error.status(), Status::File);
        assert!(error.message().contains(&format!("{path:?}: the folder does not exist")), "{error}");
        fs::create_dir(&folder).expect("a folder");
        save(&client, &server.url(), &path, true, way).expect("a folder");
        assert_eq!((fs::read(&path).expect("the file"), names(&folder)), (PNG.to_vec(), vec!["cat.png".to_owned()]));
    }
}

#[test]
fn a_name_that_no_disk_takes_is_an_error_before_anything_is_fetched() {
    let server = Server::start(|_, _| typed("image/png", PNG));
    let client = client("dimilinks", &server);
    let folder = tempfile::tempdir().expect("a folder");
    for way in WAYS {
        for (name, words) in [("x".repeat(300), "too long"), ("cat\0.png".to_owned(), "NUL")] {
            let error = save(&client, &server.url(), &folder.path().join(&name), true, way).expect_err(words);
            assert_eq!(error.status(), Status::File);
            assert!(error.message().contains(words), "{error}");
        }
        let error = save(&client, &server.url(), Path::new("/dev/null"), true, way).expect_err("a device");
        assert!(error.status() == Status::File && error.message().contains("\"/dev/null\" is a device"), "{error}");
    }
    assert!(server.asked().is_empty() && names(folder.path()).is_empty());
}

#[test]
fn a_link_is_replaced_and_what_it_leads_to_stays() {
    let server = Server::start(|_, _| typed("image/png", PNG));
    let client = client("dimilinks", &server);
    for way in WAYS {
        let folder = tempfile::tempdir().expect("a folder");
        let (precious, link) = (folder.path().join("precious"), folder.path().join("cat.png"));
        fs::write(&precious, b"precious").expect("writes");
        for target in [&precious, &folder.path().join("nowhere")] {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).expect("links");
            assert_eq!(
                save(&client, &server.url(), &link, false, way).expect_err("it is there").status(),
                Status::File
            );
            save(&client, &server.url(), &link, true, way).expect("saves");
            assert_eq!(fs::read(&precious).expect("reads"), b"precious");
            assert!(fs::symlink_metadata(&link).expect("there").is_file());
        }
        assert_eq!(names(folder.path()), ["cat.png", "precious"]);
    }
}

/// Eight at a time to one name, each an image of its own unless they are all `alike`; gives how many were told that it is taken.
fn all_to_one_name(replace: bool, alike: bool, way: &str) -> usize {
    const SAVERS: usize = 8;
    let server = Server::start(move |asked, _| {
        let number: usize = asked.path.trim_start_matches('/').parse().expect("a number");
        typed("image/png", &large(if alike { 70_000 } else { 70_000 + number }))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cat.png");
    let results: Vec<Result<(), imgtask::Error>> = thread::scope(|scope| {
        let savers: Vec<_> = (0..SAVERS)
            .map(|number| {
                let (path, server) = (&path, &server);
                scope.spawn(move || {
                    let client = Client::create(&options("dimilinks", server)).expect("a client");
                    save(&client, &format!("{}/{number}", server.url()), path, replace, way)
                })
            })
            .collect();
        savers.into_iter().map(|saver| saver.join().expect("no panic")).collect()
    });
    let bytes = fs::read(&path).expect("the file");
    assert_eq!(names(folder.path()), ["cat.png"]);
    let number = bytes.len() - large(70_000).len();
    assert!(number < SAVERS && bytes == large(70_000 + number), "{way}: the file is a mixture");
    assert!(results[number].is_ok(), "{way}: whose file it is was told that it is not");
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.status(), Status::File, "{error}");
        assert!(error.message().contains("exists already"), "{error}");
    }
    results.iter().filter(|result| result.is_err()).count()
}

#[test]
fn of_two_that_save_to_one_name_one_wins_whole_and_the_others_are_told() {
    for way in WAYS {
        for _ in 0..5 {
            assert_eq!(all_to_one_name(true, false, way), 0, "every one of them may replace");
            assert_eq!(all_to_one_name(false, false, way), 7, "one was first");
            let told = all_to_one_name(false, true, way);
            assert!(told < 8, "the first one at least has its file");
        }
    }
}
