//! Which files become journals, which are refused, and what happens when they go away.

use super::*;

#[test]
fn a_second_client_is_told_that_the_journal_is_in_use() {
    let place = Place::new();
    let journal = place.open();
    assert!(place.refused().message().contains("in use"));
    journal.add(&task("a")).expect("still works");
    drop(journal);
    assert_eq!(refs(&place.open()), ["a"]);
    assert_eq!(place.names(), ["tasks.journal"]);
}

#[test]
fn what_is_no_journal_is_refused_and_left_alone() {
    let zeros = vec![0; 20_000];
    let mut foreign = b"redb\x1a\x0a\xa9\x0d\x0a".to_vec();
    foreign.extend_from_slice(&zeros);
    let files: [&[u8]; 7] =
        [b"level 7\n", b"i", b"imgtask journal", b"imgtask journal x\n", b"imgtask journal 0\n", &zeros, &foreign];
    for bytes in files {
        let place = Place::new();
        fs::write(place.path(), bytes).expect("writes");
        let before = fs::metadata(place.path()).expect("there").modified().expect("a time");
        assert!(place.refused().message().contains("is no journal of imgtask"), "{}", place.refused());
        assert_eq!(fs::read(place.path()).expect("reads"), bytes);
        assert_eq!(fs::metadata(place.path()).expect("there").modified().expect("a time"), before);
        assert_eq!(place.names(), ["tasks.journal"]);
    }
}

#[test]
fn an_empty_file_becomes_a_journal() {
    let place = Place::new();
    fs::write(place.path(), b"").expect("writes");
    place.open().add(&task("a")).expect("adds");
    assert_eq!(refs(&place.open()), ["a"]);
}

#[test]
fn a_journal_of_a_later_version_is_refused_and_left_alone() {
    let place = Place::new();
    place.open().add(&task("a")).expect("adds");
    let mut bytes = fs::read(place.path()).expect("reads");
    assert!(bytes.starts_with(b"imgtask journal 1\n"));
    bytes[16] = b'2';
    fs::write(place.path(), &bytes).expect("writes");
    assert!(place.refused().message().contains("has format 2, and this version of imgtask reads format 1"));
    assert_eq!(fs::read(place.path()).expect("reads"), bytes);
    assert_eq!(place.names(), ["tasks.journal"]);
}

#[test]
fn a_path_that_can_hold_no_journal_says_why() {
    let place = Place::new();
    let file = place.folder.path().join("file");
    fs::write(&file, b"").expect("writes");
    let cases = [
        (place.folder.path().to_path_buf(), "is a folder"),
        (place.folder.path().join("missing/j"), "the folder does not exist"),
        (file.join("j"), "a part of the path is not a folder"),
        (place.folder.path().join("x".repeat(300)), "the name is too long"),
        #[cfg(unix)]
        (PathBuf::from("/dev/null"), "is a device or pipe"),
    ];
    for (path, why) in cases {
        assert!(refused(&path).message().contains(why), "{}", refused(&path));
    }
    for none in ["", "/", "..", "new/"] {
        let error = Journal::open(Path::new(none)).err().expect("refused");
        assert_eq!(error.status(), Status::InvalidArgument, "{none:?}: {error}");
    }
    assert_eq!(place.names(), ["file"]);
}

#[test]
fn a_path_with_line_ends_does_not_break_the_message() {
    let place = Place::new();
    let error = refused(&place.folder.path().join("a\nb\u{1b}[31m/j"));
    assert!(!error.message().contains(['\n', '\u{1b}']), "{error}");
}

#[test]
fn a_link_is_refused_and_what_it_leads_to_is_not_touched() {
    let place = Place::new();
    let target = place.folder.path().join("precious");
    std::os::unix::fs::symlink(&target, place.path()).expect("links");
    assert!(place.refused().message().contains("symbolic link"));
    fs::write(&target, b"").expect("writes");
    assert!(place.refused().message().contains("symbolic link"));
    assert_eq!(fs::read(&target).expect("reads"), b"");
}

#[test]
fn a_pipe_is_refused_without_waiting_for_its_other_end() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path()).status().expect("runs");
    assert!(made.success());
    assert!(place.refused().message().contains("device or pipe"));
}

#[test]
fn a_new_journal_is_private_to_its_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let _journal = place.open();
    assert_eq!(fs::metadata(place.path()).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_journal_that_is_deleted_while_in_use_is_written_anew() {
    let place = Place::new();
    let journal = place.open();
    journal.add(&task("a")).expect("adds");
    fs::remove_file(place.path()).expect("removes");
    journal.add(&task("b")).expect("adds");
    assert_eq!(after_a_kill(&place.path()), ["a", "b"]);
    assert!(place.refused().message().contains("in use"));
}

#[test]
fn a_folder_that_vanishes_is_an_error_until_it_is_back() {
    let place = Place::new();
    let (folder, aside) = (place.folder.path().join("f"), place.folder.path().join("g"));
    let path = folder.join("j");
    fs::create_dir(&folder).expect("creates");
    let journal = Journal::open(&path).expect("opens");
    journal.add(&task("a")).expect("adds");
    fs::rename(&folder, &aside).expect("renames");
    let error = journal.add(&task("b")).expect_err("no folder");
    assert_eq!(error.status(), Status::Journal);
    assert!(error.message().contains("the folder does not exist"), "{error}");
    assert!(error.message().contains(&format!("{path:?}")), "{error}");
    fs::rename(&aside, &folder).expect("renames");
    journal.add(&task("c")).expect("adds");
    assert_eq!(after_a_kill(&path), ["a", "c"]);
    fs::remove_dir_all(&folder).expect("removes");
    journal.add(&task("d")).expect_err("no folder");
    fs::create_dir(&folder).expect("creates");
    journal.add(&task("e")).expect("adds");
    assert_eq!(after_a_kill(&path), ["a", "c", "e"]);
}

#[test]
fn a_file_that_takes_the_journals_name_is_not_written() {
    let place = Place::new();
    let journal = place.open();
    journal.add(&task("a")).expect("adds");
    fs::remove_file(place.path()).expect("removes");
    fs::write(place.path(), b"a save game").expect("writes");
    let error = journal.add(&task("b")).expect_err("replaced");
    assert!(error.message().contains("was replaced by another file"), "{error}");
    drop(journal);
    assert_eq!(fs::read(place.path()).expect("reads"), b"a save game");
}
