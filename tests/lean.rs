//! What a build without the journal answers where one is asked for.
#![cfg(not(feature = "journal"))]

mod common;

use common::{Server, dimilinks, json, options};
use imgtask::{Client, Options, Status};

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
