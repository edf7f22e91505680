//! A document as a tree of JSON values: bounded in depth, and no member given twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::document::{COMMENT, Faults, Place};

/// More levels than any member of the schema needs, and enough for what is sent to a service.
const MAX_DEPTH: usize = 32;

/// Reads a text as JSON. `None`: it is none, which is among the faults.
pub(super) fn read(json: &str, faults: &Faults) -> Option<Value> {
    let mut text = serde_json::Deserializer::from_str(json);
    let tree = Tree { place: Place::Document, depth: 0, faults };
    let value = tree.deserialize(&mut text).and_then(|value| text.end().map(|()| value));
    let unread = |e: serde_json::Error| {
        // A fault of its own, such as the depth, says more.
        if !faults.is_empty() {
            return;
        }
        let mut what = format!("not JSON from line {}, column {} on", e.line(), e.column());
        let line = json.lines().nth(e.line().saturating_sub(1)).unwrap_or_default();
        if line.as_bytes().get(e.column().saturating_sub(1)) == Some(&b'/') {
            what += "; a comment is a member whose name begins with //";
        }
        faults.add(String::new(), what);
    };
    value.map_err(unread).ok()
}

/// The place of a value that is about to be read.
struct Tree<'p> {
    place: Place<'p>,
    depth: usize,
    faults: &'p Faults,
}

impl Tree<'_> {
    fn deep_enough<E: Error>(&self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        self.faults.add(self.place.pointer(), format!("nested deeper than {MAX_DEPTH} levels"));
        Err(E::custom(""))
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.deep_enough()?;
        let mut items = Vec::new();
        loop {
            let place = Place::Item(&self.place, items.len());
            match seq.next_element_seed(Tree { place, depth: self.depth + 1, faults: self.faults })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.deep_enough()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let place = Place::Member(&self.place, &name);
            let value = map.next_value_seed(Tree { place, depth: self.depth + 1, faults: self.faults })?;
            // JSON lets the last one win, in silence.
            if members.contains_key(&name) && !name.starts_with(COMMENT) {
                self.faults.add(place.pointer(), "given twice".to_owned());
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}
