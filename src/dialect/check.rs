//! What is wrong with a document that no member can say of itself.

use serde_json::Value;

use super::document::Faults;
use super::profile::{Profile, Verb};

/// Headers that every request has, or that decide where it ends and whom it is for.
const OURS: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "expect",
    "connection",
    "upgrade",
    "accept-encoding",
    "user-agent",
    "content-type",
    "accept",
    "cache-control",
];

impl Profile {
    /// What only several members say together. What is wrong by itself has been told, and is no reason for more.
    pub(super) fn check(&self, faults: &Faults) {
        self.check_paths(faults);
        self.check_headers(faults);
        let intervals = &self.timing.intervals_ms;
        if faults.are_below("/timing/intervals_ms") {
            return;
        }
        let rise = intervals.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if intervals.first().is_none_or(|first| first.0 != 0) || !rise {
            faults.wrong("/timing/intervals_ms", "ages must rise from 0");
        }
        if intervals.iter().any(|(_, interval)| *interval == 0) {
            faults.wrong("/timing/intervals_ms", "an interval must not be 0");
        }
    }

    fn check_paths(&self, faults: &Faults) {
        let poll = &self.poll;
        let (mut id_in_query, mut id_in_body) = (false, false);
        for (name, value) in poll.query.iter() {
            id_in_query |= value.contains("{id}");
            check_slots(value, &|| format!("/poll/query/{}", escaped(name)), faults);
        }
        if let Some(body) = &poll.body {
            check_texts(body, "/poll/body", &mut id_in_body, faults);
            if poll.method == Verb::Get && !faults.are_below("/poll/method") {
                faults.wrong("/poll/body", "a GET has no body: give the method");
            }
        }
        if poll.paths.is_empty() {
            faults.wrong("/poll/paths", "must not be empty");
        }
        let looks = poll.paths.iter().enumerate().map(|(index, path)| (format!("/poll/paths/{index}"), path, true));
        let cancel = self.cancel.iter().map(|cancel| ("/cancel/path".to_owned(), &cancel.path, false));
        let content = self.content.iter().map(|content| ("/content/path".to_owned(), &content.path, false));
        for (pointer, path, looks) in looks.chain(cancel).chain(content) {
            check_slots(path, &|| pointer.clone(), faults);
            match path.matches("{id}").count() {
                // What is no text at all has been told.
                0 if !path.is_empty() && !(looks && (id_in_query || id_in_body)) => {
                    faults.wrong(&pointer, "must contain {id}");
                }
                2.. if looks => faults.wrong(&pointer, "must contain {id} once"),
                _ => {}
            }
        }
        if self.submit.as_ref().is_some_and(|submit| slots(&submit.path).is_none()) {
            faults.wrong("/submit/path", "{ and } must enclose the name of a member");
        }
    }

    fn check_headers(&self, faults: &Faults) {
        let is_ours = |name: &str| OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        let auth = &*self.auth.header;
        if is_ours(auth) {
            faults.wrong("/auth/header", "this header is set by the library");
        }
        let mut given: Vec<&str> = Vec::new();
        let all = self.headers.iter().map(|(name, _)| ("/headers/", name));
        let submit = self.submit.iter().flat_map(|submit| submit.headers.iter());
        for (place, name) in all.chain(submit.map(|(name, _)| ("/submit/headers/", name))) {
            let what = if is_ours(name) || auth.eq_ignore_ascii_case(name) {
                "this header is set by the library"
            } else if given.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                "this header is given twice"
            } else {
                given.push(name);
                continue;
            };
            faults.wrong(&format!("{place}{}", escaped(name)), what);
        }
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn is_slot(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Refuses names in braces that are filled by nobody.
fn check_slots(text: &str, pointer: &dyn Fn() -> String, faults: &Faults) {
    let names = text.split('{').skip(1).filter_map(|from| from.split_once('}'));
    for (name, _) in names.filter(|(name, _)| *name != "id" && is_slot(name)) {
        faults.add(pointer(), format!("{{{name}}} is filled by nobody: only {{id}} is known here"));
    }
}

/// As [`check_slots`], of every text of a JSON value; and whether one has the id.
fn check_texts(value: &Value, pointer: &str, has_id: &mut bool, faults: &Faults) {
    match value {
        Value::String(text) => {
            *has_id |= text.contains("{id}");
            check_slots(text, &|| pointer.to_owned(), faults);
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                check_texts(value, &format!("{pointer}/{index}"), has_id, faults);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                check_texts(value, &format!("{pointer}/{}", escaped(name)), has_id, faults);
            }
        }
        _ => {}
    }
}

/// The names in the braces of a submit's path; `None` where a brace stands alone or holds no name.
pub(super) fn slots(path: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((before, from)) = rest.split_once('{') {
        let (name, after) = from.split_once('}')?;
        if !is_slot(name) || before.contains('}') {
            return None;
        }
        names.push(name);
        rest = after;
    }
    if rest.contains('}') { None } else { Some(names) }
}
