//! What a dialect reads, sends and refuses.

mod builtin;
mod cost;
mod documents;
mod hostile;
mod index;
mod requests;
mod samples;

mod tools;
mod traps;

use std::sync::Arc;

use super::invariants::{assert_sane, essence, rewritten};
use super::{Dialect, Reading};
use crate::task::{State, Task};

fn builtin(name: &str) -> Arc<Dialect> {
    Dialect::builtin(name).unwrap_or_else(|| panic!("{name} is built in"))
}

fn dialect(json: &str) -> Dialect {
    Dialect::parse(json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

/// A dialect that polls `/t/{id}` and has this `read` section.
fn reads(read: &str) -> Dialect {
    dialect(&format!(r#"{{"name":"test","poll":{{"paths":["/t/{{id}}"]}},"read":{read}}}"#))
}

fn sample(file: &str) -> String {
    let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The files of one service.
fn samples_of(prefix: &str) -> Vec<String> {
    let entries =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).expect("the samples are committed");
    let names = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII names"));
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

fn look(dialect: &Dialect, body: &str) -> Reading {
    dialect.read_look(body.to_owned()).unwrap_or_else(|e| panic!("{e}: {body}"))
}

fn submitted(dialect: &Dialect, body: &str) -> Reading {
    dialect.read_submit(body.to_owned()).unwrap_or_else(|e| panic!("{e}: {body}"))
}
