//! From which pointers an answer's values came.
//!
//! Which root and which of a field's pointers won is what the reader itself says; what `*` stood for, and which item an
//! image was, is looked up in the body.

use serde_json::Value;

use super::Dialect;
use super::plan::{Field, View};
use super::pointer::{Pointer, Step};
use crate::task::{Image, State, Task};

/// Every value of a task that was read, by its name, and where it stood.
pub(super) fn task(dialect: &Dialect, task: &Task, body: &str) -> Vec<(String, String)> {
    let Ok(view) = dialect.plan.read(body) else { return Vec::new() };
    let tree = tree_of(body);
    let trace = Trace { dialect, view: &view, tree: &tree };
    let mut from = Vec::new();
    let mut add = |name: &str, pointer: Option<String>| from.extend(pointer.map(|pointer| (name.to_owned(), pointer)));

    add("id", trace.inner(Field::Id));
    add("ref", trace.or_outer(Field::Follow));
    add("state", trace.state(task));
    if task.progress >= 0 && task.progress < 100 {
        add("progress", trace.inner(Field::Progress));
    }
    for (index, image) in task.images.iter().enumerate() {
        add(&format!("images/{index}"), trace.image(image));
    }
    if task.failure.is_some() {
        add("failure/message", trace.or_outer(Field::Message));
        add("failure/code", trace.or_outer(Field::Code));
        add("failure/type", trace.or_outer(Field::Kind));
    }
    for (name, field, is_read) in [
        ("created_at", Field::CreatedAt, task.created_at > 0),
        ("completed_at", Field::CompletedAt, task.completed_at > 0),
        ("revised_prompt", Field::RevisedPrompt, true),
        ("model", Field::Model, true),
        ("conversation_id", Field::ConversationId, true),
        ("billing_id", Field::BillingId, true),
        ("credit_cost", Field::CreditCost, task.credit_cost >= 0),
    ] {
        if is_read {
            add(name, trace.inner(field));
        }
    }
    if task.state == State::Succeeded && task.images.is_empty() {
        add("result", trace.or_outer(Field::Result));
    }
    add("wait", trace.or_outer(Field::WaitHint));
    from
}

/// The links of a task's images, from the second answer that they are in.
pub(super) fn images(dialect: &Dialect, task: &Task, body: &str) -> Vec<(String, String)> {
    let Ok(view) = dialect.plan.read(body) else { return Vec::new() };
    let tree = tree_of(body);
    let trace = Trace { dialect, view: &view, tree: &tree };
    let source = |(index, image): (usize, &Image)| {
        trace.image(image).map(|pointer| (format!("images/{index}"), format!("second answer: {pointer}")))
    };
    task.images.iter().enumerate().filter_map(source).collect()
}

fn tree_of(body: &str) -> Value {
    serde_json::from_str(body.trim_start_matches('\u{feff}')).unwrap_or_default()
}

struct Trace<'t, 'p, 'a> {
    dialect: &'t Dialect,
    view: &'t View<'p, 'a>,
    tree: &'t Value,
}

impl Trace<'_, '_, '_> {
    fn inner(&self, field: Field) -> Option<String> {
        self.view.source(field, false).map(|(root, rank)| self.pointer(field, root, rank))
    }

    fn or_outer(&self, field: Field) -> Option<String> {
        let outer = || self.view.source(field, true).map(|(root, rank)| self.pointer(field, root, rank));
        self.inner(field).or_else(outer)
    }

    /// The status, or the flag that overrules it.
    fn state(&self, task: &Task) -> Option<String> {
        let flags = [
            (Field::CancelledIf, task.state == crate::task::State::Cancelled),
            (Field::FailedIf, task.state == crate::task::State::Failed),
        ];
        let is_told = |flag: &&(Field, bool)| flag.1 && self.view.is_set(flag.0);
        match flags.iter().find(is_told) {
            Some((flag, _)) => {
                let (root, rank) = self.view.set_source(*flag)?;
                Some(self.pointer(*flag, root, rank))
            }
            None => self.inner(Field::Status),
        }
    }

    fn pointer(&self, field: Field, root: usize, rank: usize) -> String {
        let fields = super::plan::task_fields(&self.dialect.profile);
        let steps = fields[field as usize].1.get(rank).map_or(&[][..], |pointer| &pointer.steps);
        let way = [self.root(root), steps].concat();
        concrete(self.tree, &way, &|value| !is_blank(value)).unwrap_or_else(|| Pointer { steps: way }.to_string())
    }

    fn root(&self, root: usize) -> &[Step] {
        self.dialect.profile.read.root.get(root).map_or(&[][..], |root| &root.steps)
    }

    /// Where the image's link stands: under the first list that has it, at the item that it was.
    fn image(&self, image: &Image) -> Option<String> {
        let images = &self.dialect.profile.read.images;
        let (inside, text, root);
        let (tree, before, root) = if images.json_string.is_empty() {
            (self.tree, String::new(), self.root(self.view.root()))
        } else {
            let pointer = self.inner(Field::JsonString)?;
            text = self.tree.pointer(&pointer)?.as_str()?;
            inside = serde_json::from_str::<Value>(text).ok()?;
            root = [];
            (&inside, format!("{pointer}, read as JSON: "), &root[..])
        };
        images.items.iter().find_map(|list| {
            let item = items(tree, &[root, &list.steps].concat()).into_iter().nth(image.source_index)?;
            let at = tree.pointer(&item)?;
            let whole = Pointer::body();
            let mut parts = images.base64.iter().chain(&images.url).chain([&whole]);
            parts.find_map(|part| {
                let is_link = |value: &Value| is_link(value, image);
                concrete(at, &part.steps, &is_link).map(|inner| format!("{before}{item}{inner}"))
            })
        })
    }
}

/// Whether the value is what the image's link says; one of them, where it is a list.
fn is_link(value: &Value, image: &Image) -> bool {
    match value {
        Value::String(text) if image.is_inline() => !text.trim().is_empty(),
        Value::String(text) => text.trim() == image.url(),
        Value::Array(list) => list.iter().any(|value| value.is_string() && is_link(value, image)),
        _ => false,
    }
}

/// The items of a list, or the only image alone, wherever the way leads, in the body's order.
fn items(tree: &Value, way: &[Step]) -> Vec<String> {
    let mut found = Vec::new();
    walk(tree, way, String::new(), &mut |value, place| {
        match value {
            Value::Array(list) => found.extend((0..list.len()).map(|index| format!("{place}/{index}"))),
            Value::Object(_) | Value::String(_) => found.push(place.to_owned()),
            _ => {}
        }
        false
    });
    found
}

/// The first place on the way that holds what is wanted.
fn concrete(tree: &Value, way: &[Step], wanted: &dyn Fn(&Value) -> bool) -> Option<String> {
    let mut found = None;
    walk(tree, way, String::new(), &mut |value, place| {
        if wanted(value) {
            found = Some(place.to_owned());
        }
        found.is_some()
    });
    found
}

/// Goes all the ways that a pointer names, until `met` wants no more.
fn walk(value: &Value, way: &[Step], place: String, met: &mut dyn FnMut(&Value, &str) -> bool) -> bool {
    let Some((step, way)) = way.split_first() else { return met(value, &place) };
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match (step, value) {
        (Step::Name(name), Value::Object(members)) => {
            members.get(name).is_some_and(|value| walk(value, way, format!("{place}/{}", escaped(name)), met))
        }
        (Step::Name(index), Value::Array(list)) => {
            let value = index.parse().ok().and_then(|index: usize| list.get(index));
            value.is_some_and(|value| walk(value, way, format!("{place}/{index}"), met))
        }
        (Step::Any, Value::Object(members)) => {
            members.iter().any(|(name, value)| walk(value, way, format!("{place}/{}", escaped(name)), met))
        }
        (Step::Any | Step::Each, Value::Array(list)) => {
            list.iter().enumerate().any(|(index, value)| walk(value, way, format!("{place}/{index}"), met))
        }
        _ => false,
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// The words of a refusal, and where they stood.
pub(super) fn refusal(dialect: &Dialect, body: &str) -> Vec<(String, String)> {
    let found = dialect.refusals.sources(body);
    let tree = tree_of(body);
    let concrete = |way: Vec<Step>| {
        concrete(&tree, &way, &|value| !is_blank(value)).unwrap_or_else(|| Pointer { steps: way }.to_string())
    };
    found.into_iter().map(|(name, way)| (format!("error/{name}"), concrete(way))).collect()
}
