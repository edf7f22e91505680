//! A link becomes bytes: resolved, fetched under the rules, checked, written whole.
//!
//! - [`link`]: what an address in a body means.
//! - [`inline`]: data URLs and base64.
//! - [`download`]: an address becomes bytes.
//! - [`partial`]: what has come so far, and how the rest is asked for.
//! - [`inspect`], [`sniff`]: whether the bytes are an image, and a whole one.
//! - [`pixels`]: an image becomes pixels.
//! - [`file`]: a file that is whole or absent. [`leftovers`]: what killed programs left of theirs.

mod download;
mod file;
mod inline;
mod inspect;
mod leftovers;
mod link;
mod partial;
mod pixels;
mod sniff;

pub(crate) use download::{Download, Pause, Progress, Sink, Tried};
pub(crate) use file::NewFile;
pub(crate) use inline::decode as decode_inline;
pub(crate) use inspect::Inspector;
pub(crate) use leftovers::Leftovers;
pub(crate) use link::resolve;
#[cfg(fuzzing)]
pub(crate) use link::{may_follow, rebase, redirect};
pub(crate) use pixels::{available as can_decode, decode};
