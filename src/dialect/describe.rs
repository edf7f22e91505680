//! The schema of a dialect document, told: as JSON Schema for editors, as a table for people.
//!
//! What is told comes from the declarations that read the documents, so that it cannot say anything else.

use serde_json::{Map, Value, json};

use super::document::{COMMENT, Table};
use super::profile::Profile;

/// What tells how it is written.
pub(super) trait Described {
    /// How it is written. What stands in several places is put into `shared`, by its name.
    fn shape(shared: &mut Map<String, Value>) -> Shape;

    /// As it would stand in a document.
    fn json(&self) -> Value;
}

/// What tells how the name of a member is written.
pub(super) trait DescribedKey {
    /// The pattern of a name; `None` for any.
    const PATTERN: Option<&'static str>;

    fn name(&self) -> String;
}

/// How something is written.
pub(super) enum Shape {
    Section(Section),
    /// Anything but a section, as JSON Schema.
    Plain(Value),
}

impl Shape {
    /// One of these words.
    pub(super) fn words(words: &[&str]) -> Shape {
        Shape::Plain(json!({ "enum": words }))
    }

    /// A text of this form. It stands in several places and has a name.
    pub(super) fn text(shared: &mut Map<String, Value>, name: &str, about: &str, pattern: &str) -> Shape {
        shared
            .entry(name)
            .or_insert_with(|| json!({ "type": "string", "description": about.trim(), "pattern": pattern }));
        Shape::Plain(json!({ "$ref": format!("{SHARED}{name}") }))
    }

    fn schema(self) -> Value {
        match self {
            Shape::Section(section) => section.schema(),
            Shape::Plain(schema) => schema,
        }
    }
}

/// Where shapes with a name stand.
const SHARED: &str = "#/$defs/";

/// An object with members of known names.
pub(super) struct Section {
    about: &'static str,
    members: Vec<MemberOf>,
}

/// A member of a section.
struct MemberOf {
    name: &'static str,
    about: &'static str,
    shape: Shape,
    /// `None`: it must be given.
    default: Option<Value>,
}

impl Section {
    pub(super) fn new(about: &'static str) -> Section {
        Section { about: about.trim(), members: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &'static str, about: &'static str, shape: Shape, default: Option<Value>) {
        self.members.push(MemberOf { name, about: about.trim(), shape, default });
    }

    fn schema(self) -> Value {
        let required: Vec<&str> =
            self.members.iter().filter(|member| member.default.is_none()).map(|member| member.name).collect();
        let mut schema = json!({
            "type": "object",
            "description": self.about,
            "additionalProperties": false,
            "patternProperties": comments(),
        });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let members = self.members.into_iter().map(|member| (member.name.to_owned(), member.schema()));
        schema["properties"] = Value::Object(members.collect());
        schema
    }
}

impl MemberOf {
    fn schema(self) -> Value {
        let is_section = matches!(self.shape, Shape::Section(_));
        let mut schema = self.shape.schema();
        schema["description"] = json!(self.about);
        // A default that is another member's, or nothing at all, is told in words.
        if let Some(default) = self.default.filter(|default| !is_section && !default.is_null() && default != "") {
            schema["default"] = default;
        }
        schema
    }

    /// What a reader of the table sees as its form.
    fn form(&self) -> String {
        match &self.shape {
            Shape::Section(_) => "section".to_owned(),
            Shape::Plain(schema) => form(schema),
        }
    }
}

/// Members that are comments.
fn comments() -> Value {
    json!({ format!("^{COMMENT}"): { "description": "A comment; not read." } })
}

/// A form in words.
fn form(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.trim_start_matches(SHARED).replace('_', " ");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", plain(word))).collect::<Vec<_>>().join(", ");
    }
    if let Some(only) = schema.get("const") {
        return format!("`{only}`");
    }
    if let Some(either) = schema["anyOf"].as_array() {
        return format!("{}, or a list", form(&either[0]));
    }
    match schema["type"].as_str() {
        Some("array") if schema.get("items").is_some() => format!("list of: {}", form(&schema["items"])),
        Some("array") => "pair".to_owned(),
        Some("object") => match &schema["additionalProperties"] {
            Value::Object(_) => format!("table: {}", form(&schema["additionalProperties"])),
            _ => "object, as it is".to_owned(),
        },
        Some("string") => "text".to_owned(),
        Some("integer") if schema["minimum"] == 1 => "whole number from 1".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("number") => "number above 0".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        _ => "any JSON".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The schema as JSON Schema, draft 2020-12.
pub(super) fn json_schema() -> Value {
    let mut shared = Map::new();
    let mut schema = Profile::shape(&mut shared).schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$id"] = json!("urn:imgtask:dialect:1");
    schema["title"] = json!("imgtask dialect");
    schema["$defs"] = Value::Object(shared);
    schema
}

/// Every member as a row of a Markdown table, in the order of the schema; sections after the members of their own.
pub(super) fn table() -> String {
    let mut shared = Map::new();
    let Shape::Section(document) = Profile::shape(&mut shared) else { return String::new() };
    let mut text = String::new();
    let mut sections = vec![(String::new(), &document)];
    while !sections.is_empty() {
        let (path, section) = sections.remove(0);
        let title = if path.is_empty() { "The document".to_owned() } else { format!("`{path}`") };
        text += &format!(
            "### {title}\n\n{}\n\n| member | form | default | what it says |\n|---|---|---|---|\n",
            section.about
        );
        let mut inner = Vec::new();
        for member in &section.members {
            let default = match &member.default {
                None => "required".to_owned(),
                Some(Value::Null) => "none".to_owned(),
                Some(Value::Object(_)) => String::new(),
                Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
                Some(Value::String(word)) if word.is_empty() => String::new(),
                Some(default) => format!("`{default}`"),
            };
            let cell = |text: &str| text.replace('|', "\\|");
            let form = member.form();
            text += &format!("| `{}` | {} | {} | {} |\n", member.name, cell(&form), cell(&default), cell(member.about));
            if let Shape::Section(section) = &member.shape {
                let path = if path.is_empty() { member.name.to_owned() } else { format!("{path}.{}", member.name) };
                inner.push((path, section));
            }
        }
        text.push('\n');
        sections.splice(0..0, inner);
    }
    text += "### Forms\n\n| form | what it is |\n|---|---|\n";
    for (name, schema) in &shared {
        if let Some(about) = schema["description"].as_str() {
            text += &format!("| {} | {about} |\n", name.replace('_', " "));
        }
    }
    text
}

/// The known name that is at most two slips away, fewer for short ones.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let slips = |known: &str| slips(&name.to_lowercase(), &known.to_lowercase());
    let near = known.iter().map(|known| (slips(known), *known)).min()?;
    let allowed = if name.len() < 5 { 1 } else { 2 };
    (near.0 <= allowed).then_some(near.1)
}

/// Letters put in, left out, changed or swapped with their neighbour to make one text of the other.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

impl Described for String {
    fn shape(_: &mut Map<String, Value>) -> Shape {
        Shape::Plain(json!({ "type": "string" }))
    }

    fn json(&self) -> Value {
        json!(self)
    }
}

impl DescribedKey for String {
    const PATTERN: Option<&'static str> = None;

    fn name(&self) -> String {
        self.clone()
    }
}

impl Described for bool {
    fn shape(_: &mut Map<String, Value>) -> Shape {
        Shape::Plain(json!({ "type": "boolean" }))
    }

    fn json(&self) -> Value {
        json!(self)
    }
}

impl Described for u32 {
    fn shape(_: &mut Map<String, Value>) -> Shape {
        Shape::Plain(json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }))
    }

    fn json(&self) -> Value {
        json!(self)
    }
}

impl Described for Value {
    fn shape(_: &mut Map<String, Value>) -> Shape {
        Shape::Plain(json!({}))
    }

    fn json(&self) -> Value {
        self.clone()
    }
}

impl Described for Map<String, Value> {
    fn shape(_: &mut Map<String, Value>) -> Shape {
        Shape::Plain(json!({ "type": "object" }))
    }

    fn json(&self) -> Value {
        Value::Object(self.clone())
    }
}

impl<T: Described> Described for Option<T> {
    fn shape(shared: &mut Map<String, Value>) -> Shape {
        T::shape(shared)
    }

    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Described::json)
    }
}

impl<T: Described> Described for Vec<T> {
    fn shape(shared: &mut Map<String, Value>) -> Shape {
        let item = T::shape(shared).schema();
        let list = json!({ "type": "array", "items": item });
        // Its only entry alone, unless that is a list too; and any JSON is either.
        if item["type"] == "array" {
            return Shape::Plain(list);
        }
        if item == json!({}) {
            return Shape::Plain(item);
        }
        let either = json!({ "anyOf": [item, list] });
        let Some(name) = item["$ref"].as_str().map(|name| format!("{}s", name.trim_start_matches(SHARED))) else {
            return Shape::Plain(either);
        };
        let shape = Shape::Plain(json!({ "$ref": format!("{SHARED}{name}") }));
        shared.entry(name).or_insert(either);
        shape
    }

    fn json(&self) -> Value {
        self.iter().map(Described::json).collect()
    }
}

impl<A: Described, B: Described> Described for (A, B) {
    fn shape(shared: &mut Map<String, Value>) -> Shape {
        let pair = [A::shape(shared).schema(), B::shape(shared).schema()];
        Shape::Plain(json!({ "type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2 }))
    }

    fn json(&self) -> Value {
        json!([self.0.json(), self.1.json()])
    }
}

impl<K: DescribedKey, T: Described> Described for Table<K, T> {
    fn shape(shared: &mut Map<String, Value>) -> Shape {
        let mut table = json!({
            "type": "object",
            "additionalProperties": T::shape(shared).schema(),
            "patternProperties": comments(),
        });
        if let Some(pattern) = K::PATTERN {
            table["propertyNames"] = json!({ "anyOf": [{ "pattern": pattern }, { "pattern": format!("^{COMMENT}") }] });
        }
        Shape::Plain(table)
    }

    fn json(&self) -> Value {
        Value::Object(self.iter().map(|(key, value)| (key.name(), value.json())).collect())
    }
}
