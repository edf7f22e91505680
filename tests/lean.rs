//! What a build without the optional features answers where one is asked for.
#![cfg(not(any(feature = "journal", feature = "decode")))]

mod common;

use common::{Server, dimilinks, json, options};
use imgtask::{Client, Goal, Job, Options, Picture, PictureInfo, PixelOptions, Status};

#[test]
fn a_build_without_the_journal_says_so_and_does_everything_else() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = Options { journal_path: Some(folder.path().join("journal")), ..options("dimilinks", &server) };
    let refused = Client::create(&wanted).expect_err("refused");
    assert_eq!(refused.status(), Status::Unsupported);
    assert!(refused.message().contains("feature `journal`"), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was written");

    let client = common::client("dimilinks", &server);
    assert_eq!(client.resume(false).expect_err("refused").status(), Status::Unsupported);
    assert_eq!(client.forget("img_1").expect_err("refused").status(), Status::Unsupported);
    assert_eq!(client.fetch("img_1").expect("a look").id, "img_1");
}

#[test]
fn a_build_without_pixels_says_so_before_anything_is_paid_for() {
    let server = Server::start(|_, _| json(&dimilinks("queued")));
    let client = common::client("dimilinks", &server);
    let refused = client.start(Job::request("{\"prompt\":\"a cup\"}", Goal::Pixels)).expect_err("refused");
    assert_eq!(refused.status(), Status::Unsupported);
    assert!(refused.message().contains("feature `decode`"), "{refused}");
    assert!(server.asked().is_empty(), "nothing was sent");

    let picture = Picture { data: b"\x89PNG\r\n\x1a\n".to_vec(), info: PictureInfo::default() };
    assert_eq!(picture.decode(&PixelOptions::default()).expect_err("refused").status(), Status::Unsupported);
}
