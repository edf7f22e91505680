//! A provider as data: JSON from and to a service becomes a [`Task`](crate::task::Task) and back.
//!
//! A dialect is one JSON document (`profile.rs` is its schema), compiled once; no I/O, no clock.

mod builtin;
mod check;
#[cfg(any(test, feature = "dialect-tools"))]
mod describe;
mod document;
mod images;
#[cfg(any(test, fuzzing))]
mod invariants;
mod number;
mod plan;
mod pointer;
mod profile;
mod reader;
mod reading;
mod refusal;
mod request;
#[cfg(test)]
mod tests;
mod text;
#[cfg(any(test, feature = "dialect-tools"))]
pub mod tools;
#[cfg(any(test, feature = "dialect-tools"))]
mod trace;
mod tree;
mod trie;
mod value;
mod vocabulary;

use serde_json::Value;

use crate::error::Result;
use crate::task::{FailureAction, State};

pub(crate) use document::{Fault, MAX_DOCUMENT};
#[cfg(fuzzing)]
pub(crate) use invariants::{assert_sane, essence, rewritten};
pub(crate) use profile::{Confidence, ImageAuth, Meaning, Profile, Verb};
pub(crate) use reading::{Reading, fails_the_task};

#[cfg(test)]
pub(crate) use refusal::status_of;
pub(crate) use request::Outgoing;

/// How one service speaks.
#[derive(Debug)]
pub(crate) struct Dialect {
    profile: Profile,
    plan: plan::Plan,
    refusals: refusal::RefusalPlan,
    words: Vec<(String, State)>,
    actions: Vec<(String, FailureAction)>,
    envelope_values: Vec<String>,
}

impl Dialect {
    /// Reads and compiles a document.
    ///
    /// # Errors
    /// `InvalidArgument`; the message names the pointer to every member that is unknown or has a bad value, up to eight.
    pub(crate) fn parse(json: &str) -> Result<Dialect> {
        Dialect::compile(json).map_err(|faults| document::error("", &faults))
    }

    /// As [`Dialect::parse`], of a document whose name stands in the message.
    pub(crate) fn parse_file(name: &str, json: &str) -> Result<Dialect> {
        Dialect::compile(json).map_err(|faults| document::error(name, &faults))
    }

    fn compile(json: &str) -> Result<Dialect, Vec<Fault>> {
        let profile = Profile::parse(json)?;
        let read = &profile.read;
        let lower = |word: &str| word.trim().to_lowercase();
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let too_many = || {
            let message = "too many pointers, or * on too many levels".to_owned();
            vec![Fault { pointer: "/read".to_owned(), message }]
        };
        Ok(Dialect {
            plan: plan::Plan::new(&profile).ok_or_else(too_many)?,
            refusals: refusal::RefusalPlan::new(&profile).ok_or_else(too_many)?,
            words: read.words.iter().map(|(word, state)| (lower(word), state.0)).collect(),
            actions: read.error.action_codes.iter().map(|(code, action)| (lower(code), action.0)).collect(),
            envelope_values: read.envelope_ok.iter().flat_map(|envelope| envelope.values.iter().map(plain)).collect(),
            profile,
        })
    }

    /// The document.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What an HTTP status says about a look; about anything else it is [`Meaning::of`].
    pub(crate) fn meaning(&self, http_status: u16) -> Meaning {
        match self.profile.http.iter().find(|(status, _)| status.0 == http_status) {
            Some((_, own)) => *own,
            None => Meaning::of(http_status),
        }
    }
}
