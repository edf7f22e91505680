//! A document becomes a dialect, or an error that names the place.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::Dialect;
use super::plan::Plan;
use super::profile::Profile;
use super::refusal::RefusalPlan;
use crate::error::{Error, Result};

/// Longest document, bytes.
const MAX_DOCUMENT: usize = 1 << 20;

impl Dialect {
    /// Reads and compiles a document.
    ///
    /// # Errors
    /// `InvalidArgument`; the message names the pointer to the member that is unknown or has a bad value.
    pub(crate) fn parse(json: &str) -> Result<Dialect> {
        if json.len() > MAX_DOCUMENT {
            return Err(at("", "the document is longer than 1 MiB"));
        }
        let mut de = serde_json::Deserializer::from_str(json.strip_prefix('\u{feff}').unwrap_or(json));
        let mut profile: Profile = serde_path_to_error::deserialize(&mut de).map_err(|e| {
            let inner = e.inner();
            if inner.is_data() { at(&pointer_to(e.path()), &words(inner)) } else { not_json(inner) }
        })?;
        de.end().map_err(|e| not_json(&e))?;
        check(&profile)?;

        let upper = profile.name.to_uppercase().replace('-', "_");
        if profile.key_variable.is_empty() {
            profile.key_variable = format!("{upper}_API_KEY");
        }
        if profile.title.is_empty() {
            profile.title = profile.name.to_string();
        }
        let read = &profile.read;
        let lower = |word: &str| word.trim().to_lowercase();
        let too_many = || at("/read", "too many pointers, or * on too many levels");
        Ok(Dialect {
            plan: Plan::new(&profile).ok_or_else(too_many)?,
            refusals: RefusalPlan::new(&profile).ok_or_else(too_many)?,
            words: read.words.iter().map(|(word, state)| (lower(word), state.0)).collect(),
            actions: read.error.action_codes.iter().map(|(code, action)| (lower(code), action.0)).collect(),
            envelope_values: read.envelope_ok.iter().flat_map(|envelope| envelope.values.iter().map(plain)).collect(),
            profile,
        })
    }
}

/// What one member alone cannot say.
fn check(profile: &Profile) -> Result<()> {
    let poll = &profile.poll;
    let elsewhere = poll.query.values().any(|value| value.contains("{id}"))
        || poll.body.as_ref().is_some_and(|body| body.to_string().contains("{id}"));
    for (index, path) in poll.paths.iter().enumerate() {
        let pointer = format!("/poll/paths/{index}");
        match path.matches("{id}").count() {
            0 if !elsewhere => return Err(at(&pointer, "must contain {id}")),
            0 | 1 => {}
            _ => return Err(at(&pointer, "must contain {id} once")),
        }
    }
    if let Some(cancel) = &profile.cancel
        && !cancel.path.contains("{id}")
    {
        return Err(at("/cancel/path", "must contain {id}"));
    }
    if let Some(base_url) = &profile.base_url
        && !(base_url.starts_with("https://") || base_url.starts_with("http://"))
    {
        return Err(at("/base_url", "must start with https:// or http://"));
    }
    let variable = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if !profile.key_variable.bytes().all(variable) {
        return Err(at("/key_variable", "must be capital letters, digits and _"));
    }
    if !(profile.read.progress_scale.is_finite() && profile.read.progress_scale > 0.0) {
        return Err(at("/read/progress_scale", "must be more than 0"));
    }
    let submit = profile.submit.as_ref().map(|submit| ("/submit/headers", &submit.headers));
    for (place, headers) in [("/headers", &profile.headers)].into_iter().chain(submit) {
        for name in headers.keys() {
            let ours = ["host", "content-length", "transfer-encoding", "connection", &*profile.auth.header];
            if ours.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(at(&format!("{place}/{}", &**name), "this header is set by the library"));
            }
        }
    }
    Ok(())
}

/// An allowed value of an envelope, as it is written in a body.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn at(pointer: &str, what: &str) -> Error {
    let pointer = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
    Error::invalid(format!("dialect: {pointer}{what}"))
}

fn not_json(e: &serde_json::Error) -> Error {
    at("", &format!("not JSON from line {}, column {} on", e.line(), e.column()))
}

fn pointer_to(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

/// What is wrong at the place, without the value there: somebody may have put a key into it.
fn words(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    let quoted = || text.split('`').nth(1).unwrap_or_default();
    let expected = text.rsplit_once(", expected ").map(|(_, expected)| expected.replace('`', ""));
    match expected {
        Some(known) if text.starts_with("unknown field") => {
            format!("unknown member; known are {}", known.trim_start_matches("one of "))
        }
        Some(expected) => format!("must be {}", in_json_words(&expected)),
        None if text.starts_with("missing field") => format!("{} is missing", quoted()),
        None if text.starts_with("duplicate field") => format!("{} is given twice", quoted()),
        None => text.to_owned(),
    }
}

/// A type as a writer of JSON calls it.
fn in_json_words(expected: &str) -> &str {
    match expected {
        "u16" | "u32" | "u64" => "a whole number, 0 to 4294967295",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a map" => "an object",
        "a sequence" => "a list",
        "a tuple of size 2" => "a pair",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}
