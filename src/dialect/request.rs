//! What a dialect sends: submits, looks, cancels; and which references are its own.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Dialect;
use super::check::slots;
use super::profile::Verb;
use super::text::Headers;
use crate::error::{Error, Result, Status};

/// A request, but for the host and the key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub method: Verb,
    /// Starts with one `/`; the query included.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    /// Whether it asks how a task is.
    pub is_look: bool,
}

// A body holds prompts and reference images.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body.as_ref().map_or(0, Vec::len);
        write!(f, "Outgoing({:?} {}, {body} bytes)", self.method, self.path)
    }
}

/// Everything but the letters, digits and marks that need no escape anywhere in an address.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longest task id, bytes.
const MAX_ID: usize = 512;

impl Dialect {
    /// The submit of the caller's request. Its members keep their bytes and their order; the dialect's defaults are added
    /// where it has no member of that name, and what is part of the address is left out.
    ///
    /// # Errors
    /// `Unsupported` for a dialect without submit; `InvalidArgument` for a request that is no JSON object, or lacks what is part
    /// of the address.
    pub(crate) fn submit(&self, request_json: &str) -> Result<Outgoing> {
        let name = &*self.profile.name;
        let Some(submit) = &self.profile.submit else {
            return Err(Error::new(Status::Unsupported, format!("{name}: this dialect has no submit")));
        };
        let given = members(request_json).map_err(|why| Error::invalid(format!("request: {why}")))?;
        let has = |member: &str| given.iter().any(|(known, _)| known == member);
        let chose = submit.unless.iter().any(|member| has(member));
        let lacks = |member: &str| !chose && !has(member);

        let slots = slots(&submit.path).unwrap_or_default();
        let mut body = if slots.is_empty() {
            Object::of(request_json, given.is_empty())
        } else {
            let mut rest = Object::of("{}", true);
            for (name, value) in &given {
                if !slots.contains(&name.as_str()) {
                    rest.add(name, value.get());
                }
            }
            rest
        };
        for (name, value) in &submit.body_defaults {
            if lacks(name) && !slots.contains(&name.as_str()) {
                body.add(name, &value.to_string());
            }
        }
        let mut path = submit.path.to_string();
        for slot in slots {
            let default = submit.body_defaults.get(slot).filter(|_| lacks(slot)).map(Value::to_string);
            path = filled(&path, slot, &in_address(&given, slot, default.as_deref())?);
        }
        for (name, value) in submit.query.iter() {
            // A member of that name in the body does not say it where the service reads the query.
            let contradicts = |(known, given): &(_, &RawValue)| known == name && given.get().trim_matches('"') != value;
            if !chose && !given.iter().any(contradicts) {
                push_query(&mut path, name, value);
            }
        }
        let headers = self.headers(Some(&submit.headers), true);
        Ok(Outgoing { method: Verb::Post, path, headers, body: Some(body.end()), is_look: false })
    }

    /// The look at a task through one of the dialect's paths; a path that it does not have is the first.
    pub(crate) fn look(&self, path_index: usize, id: &str) -> Outgoing {
        let poll = &self.profile.poll;
        let path = poll.paths.get(path_index).or(poll.paths.first()).map_or("/", |path| path);
        let mut path = with_id(path, id);
        for (name, value) in poll.query.iter() {
            push_query(&mut path, name, &filled(value, "id", id));
        }
        let body = poll.body.as_ref().map(|body| fill(body, id).to_string().into_bytes());
        Outgoing { method: poll.method, path, headers: self.headers(None, body.is_some()), body, is_look: true }
    }

    /// How many paths a task can be looked at by.
    pub(crate) fn poll_paths_len(&self) -> usize {
        self.profile.poll.paths.len()
    }

    /// The request for an answer at an address that the service gave.
    pub(crate) fn get(&self) -> Outgoing {
        Outgoing {
            method: Verb::Get,
            path: String::new(),
            headers: self.headers(None, false),
            body: None,
            is_look: false,
        }
    }

    /// The path of a finished task's bytes, where the service keeps them apart; `None` for other tasks.
    pub(crate) fn content(&self, id: &str) -> Option<String> {
        let content = self.profile.content.as_ref()?;
        // A service's words, which must not lead out of the path.
        let has_some = self.check_id(id).is_ok() && id.starts_with(&content.id_prefix);
        has_some.then(|| with_id(&content.path, id))
    }

    /// The request that cancels a task; `None` where the service has none.
    pub(crate) fn cancel(&self, id: &str) -> Option<Outgoing> {
        let cancel = self.profile.cancel.as_ref()?;
        let path = with_id(&cancel.path, id);
        Some(Outgoing { method: cancel.method, path, headers: self.headers(None, false), body: None, is_look: false })
    }

    /// Whether a text can be a task's id.
    ///
    /// # Errors
    /// `InvalidArgument` with the reason.
    pub(crate) fn check_id(&self, id: &str) -> Result<()> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_plain) {
            return Ok(());
        }
        let reason = match id {
            "" => "it is empty",
            "." | ".." => "a dot segment is no id",
            _ if id.len() > MAX_ID => "it is longer than 512 bytes",
            _ if id.contains(char::is_control) => "it has a control character",
            _ if id.contains('/') => "it has a / and is no address of this service",
            _ if id.contains(['?', '#']) => "it has a ? or #",
            _ => return Ok(()),
        };
        Err(Error::invalid(format!("task reference: {reason}")))
    }

    /// The id in a path on the API's origin, if it is one of this dialect's own.
    pub(crate) fn match_poll_path(&self, path_and_query: &str) -> Option<String> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let poll = &self.profile.poll;
        let in_path = poll.paths.iter().find_map(|known| {
            let (known_path, _) = known.split_once('?').unwrap_or((known, ""));
            match known_path.split_once("{id}") {
                Some((before, after)) => path.strip_prefix(before)?.strip_suffix(after),
                None if known_path == path => {
                    let members = poll.query.iter().map(|(member, value)| (member.as_str(), value.as_str()));
                    let own = known.split_once('?').map_or("", |(_, query)| query).split('&');
                    let own = own.filter_map(|member| member.split_once('='));
                    let (name, _) = members.chain(own).find(|(_, value)| *value == "{id}")?;
                    query.split('&').find_map(|member| member.strip_prefix(name)?.strip_prefix('='))
                }
                None => None,
            }
        });
        // Where submits go is no task, although it can look like the path of one.
        let is_submit = self.profile.submit.as_ref().is_some_and(|submit| *submit.path == *path);
        let escaped = in_path.filter(|id| !is_submit && !id.contains(['/', '#']))?;
        let id = percent_decode_str(escaped).decode_utf8().ok()?;
        self.check_id(&id).ok().map(|()| id.into_owned())
    }

    fn headers(&self, more: Option<&Headers>, has_body: bool) -> Vec<(String, String)> {
        let own = self.profile.headers.iter().chain(more.map_or(&[][..], |more| more));
        let own = own.map(|(name, value)| (name.to_string(), value.to_string()));
        let json = has_body.then(|| ("Content-Type".to_owned(), "application/json".to_owned()));
        json.into_iter().chain(own).collect()
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// A path with the id, escaped, in the place of `{id}`, where it has one.
fn with_id(path: &str, id: &str) -> String {
    filled(path, "id", &escape(id))
}

/// A path with a text in the place of the slot.
fn filled(path: &str, slot: &str, text: &str) -> String {
    let mut whole = String::with_capacity(path.len() + text.len());
    let mut rest = path;
    // A brace alone is quickly found; `replace` spends more on its search than the rest of a look's request takes.
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        whole.push_str(before);
        rest = match from[1..].strip_prefix(slot).and_then(|from| from.strip_prefix('}')) {
            Some(after) => {
                whole.push_str(text);
                after
            }
            None => {
                whole.push('{');
                &from[1..]
            }
        };
    }
    whole.push_str(rest);
    whole
}

/// Adds a member to a path's query.
fn push_query(path: &mut String, name: &str, value: &str) {
    path.push(if path.contains('?') { '&' } else { '?' });
    path.push_str(&escape(name));
    path.push('=');
    path.push_str(&escape(value));
}

/// The text of a JSON object that grows.
struct Object {
    text: String,
    is_empty: bool,
}

impl Object {
    /// Of the text of an object, whose members keep their bytes.
    fn of(json: &str, is_empty: bool) -> Object {
        let json = json.trim();
        Object { text: json.strip_suffix('}').unwrap_or(json).trim_end().to_owned(), is_empty }
    }

    #[inline(never)]
    fn add(&mut self, name: &str, value: &str) {
        if !self.is_empty {
            self.text.push(',');
        }
        self.is_empty = false;
        self.text.push_str(&Value::from(name).to_string());
        self.text.push(':');
        self.text.push_str(value);
    }

    fn end(mut self) -> Vec<u8> {
        self.text.push('}');
        self.text.into_bytes()
    }
}

/// A JSON value with the id in the place of `{id}`.
fn fill(value: &Value, id: &str) -> Value {
    match value {
        Value::String(text) => Value::String(filled(text, "id", id)),
        Value::Array(list) => list.iter().map(|value| fill(value, id)).collect(),
        Value::Object(object) => {
            // Not collected: that would sort what is sorted, with a sorter of its own.
            let mut filled = Map::new();
            for (name, value) in object {
                filled.insert(name.clone(), fill(value, id));
            }
            Value::Object(filled)
        }
        other => other.clone(),
    }
}

/// A member of the caller's JSON, or its default, as one or more segments of an address.
fn in_address(given: &[(String, &RawValue)], name: &str, default: Option<&str>) -> Result<String> {
    let wrong = |what: &str| Error::invalid(format!("request: the member {name:?} {what}"));
    let value = given.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.get());
    let value = value.or(default).ok_or_else(|| wrong("is missing: it is part of the address"))?;
    let text: String = serde_json::from_str(value).map_err(|_| wrong("must be a text: it is part of the address"))?;
    let mut address = String::new();
    for segment in text.split('/') {
        if matches!(segment, "" | "." | "..") {
            return Err(wrong("cannot be part of an address"));
        }
        if !address.is_empty() {
            address.push('/');
        }
        address.push_str(&escape(segment));
    }
    Ok(address)
}

/// The members of a JSON object, their values as written.
fn members(json: &str) -> std::result::Result<Vec<(String, &RawValue)>, String> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(name) = map.next_key::<String>()? {
                if members.len() == 1024 {
                    return Err(A::Error::custom("more than 1024 members"));
                }
                members.push((name, map.next_value()?));
            }
            Ok(members)
        }
    }
    if !json.trim_ascii_start().starts_with('{') {
        return Err("must be a JSON object".to_owned());
    }
    let mut de = serde_json::Deserializer::from_str(json);
    let members = de.deserialize_map(Members).and_then(|members| de.end().map(|()| members));
    members.map_err(|e| match e.classify() {
        serde_json::error::Category::Data => "must be a JSON object with at most 1024 members".to_owned(),
        _ => format!("must be a JSON object; it stops being JSON at line {}, column {}", e.line(), e.column()),
    })
}
