//! A provider as data: JSON from and to a service becomes a [`Task`](crate::task::Task) and back.
//!
//! A dialect is one JSON document (`profile.rs` is its schema), compiled once; no I/O, no clock.

mod document;
mod images;
mod plan;
mod pointer;
mod profile;
mod reader;
mod reading;
mod refusal;
mod request;
#[cfg(test)]
mod tests;
mod trie;
mod value;
mod vocabulary;

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::error::Result;
use crate::task::{FailureAction, State};

pub(crate) use profile::{Confidence, ImageAuth, Meaning, Profile, Verb};
pub(crate) use reading::Reading;
pub(crate) use refusal::{Refusal, status_of};
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
    /// `InvalidArgument`; the message names the pointer to the member that is unknown or has a bad value.
    pub(crate) fn parse(json: &str) -> Result<Dialect> {
        let profile = Profile::parse(json)?;
        let read = &profile.read;
        let lower = |word: &str| word.trim().to_lowercase();
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let too_many = || document::wrong("/read", "too many pointers, or * on too many levels");
        Ok(Dialect {
            plan: plan::Plan::new(&profile).ok_or_else(too_many)?,
            refusals: refusal::RefusalPlan::new(&profile).ok_or_else(too_many)?,
            words: read.words.iter().map(|(word, state)| (lower(word), state.0)).collect(),
            actions: read.error.action_codes.iter().map(|(code, action)| (lower(code), action.0)).collect(),
            envelope_values: read.envelope_ok.iter().flat_map(|envelope| envelope.values.iter().map(plain)).collect(),
            profile,
        })
    }

    /// The dialects that come with the library, the documented services first.
    pub(crate) fn builtins() -> &'static [Arc<Dialect>] {
        static BUILTINS: LazyLock<Vec<Arc<Dialect>>> = LazyLock::new(|| {
            let documents = [
                include_str!("builtin/dimilinks.json"),
                include_str!("builtin/dimilinks-legacy.json"),
                include_str!("builtin/lemondata.json"),
            ];
            let parse = |json| Arc::new(Dialect::parse(json).expect("our own documents are parsed by the tests"));
            documents.into_iter().map(parse).collect()
        });
        &BUILTINS
    }

    /// The built-in dialect of that name.
    pub(crate) fn builtin(name: &str) -> Option<Arc<Dialect>> {
        Dialect::builtins().iter().find(|dialect| &*dialect.profile.name == name).cloned()
    }

    /// The document.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What an HTTP status says about a look.
    pub(crate) fn meaning(&self, http_status: u16) -> Meaning {
        match self.profile.http.iter().find(|(status, _)| status.0 == http_status) {
            Some((_, own)) => *own,
            None => match http_status {
                200..=299 => Meaning::Ok,
                404 | 410 => Meaning::Gone,
                429 => Meaning::RateLimited,
                501 | 505 => Meaning::Stop,
                408 | 425 | 500..=599 => Meaning::Retry,
                _ => Meaning::Stop,
            },
        }
    }
}
