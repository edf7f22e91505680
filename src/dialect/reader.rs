//! One walk through a body: values at known places are kept, everything else is skipped.
//!
//! Nothing is copied: what is kept borrows from the body. The walk goes no deeper than the trie, and an ignored value
//! costs no memory whatever it holds. Of a member that is given twice the last one counts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::trie::{Goal, Mark, Place, State, Trie};
use super::value::{EMPTY_LIST, EMPTY_OBJECT, Value};

/// Images of a task that are read; a longer list is no task's.
pub(super) const MAX_ITEMS: u32 = 1024;
/// Parts of one list that are kept.
const MAX_PARTS: usize = 8 * MAX_ITEMS as usize;

/// The part of an item that is a text: the item itself.
pub(super) const ITSELF: u8 = 0;
/// What a value counts as: an item of a list, or a part of one, when it begins; for itself, when all of it was seen.
const ITEM: u8 = 1;
const WHOLE: u8 = 2;
const WHOLLY: u8 = ITEM | WHOLE;

/// What a walk found.
pub(super) struct Found<'a> {
    slots: Vec<Value<'a>>,
    lists: Vec<List<'a>>,
}

/// What a walk found of one list of images, in the body's order.
#[derive(Default)]
pub(super) struct List<'a> {
    items: u32,
    pub(super) parts: Vec<Part<'a>>,
}

/// A part of an item.
pub(super) struct Part<'a> {
    pub(super) item: u32,
    pub(super) part: u8,
    pub(super) value: Value<'a>,
}

/// Why a body is none. Never says what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Empty,
    NoObject,
    Cut { line: usize, column: usize },
    Syntax { line: usize, column: usize },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Empty => f.write_str("the body is empty"),
            Unreadable::NoObject => f.write_str("the body is no JSON object"),
            Unreadable::Cut { line, column } => write!(f, "the JSON ends too early, at line {line}, column {column}"),
            Unreadable::Syntax { line, column } => write!(f, "no JSON from line {line}, column {column} on"),
        }
    }
}

impl<'a> Found<'a> {
    /// Walks through `body`; `slots` and `lists` are the numbers that the trie's marks stay below.
    pub(super) fn read(trie: &Trie, slots: usize, lists: usize, body: &'a str) -> Result<Found<'a>, Unreadable> {
        let json = body.strip_prefix('\u{feff}').unwrap_or(body);
        match json.trim_ascii_start().as_bytes().first() {
            Some(b'{') => {}
            Some(b'[') if trie.start().enters_arrays() => {}
            None => return Err(Unreadable::Empty),
            Some(_) => return Err(Unreadable::NoObject),
        }
        let walk = |lenient| {
            let mut found = Found { slots: vec![Value::Null; slots], lists: Vec::new() };
            found.lists.resize_with(lists, List::default);
            let mut de = serde_json::Deserializer::from_str(json);
            de.deserialize_any(Walk { trie, state: trie.start(), found: &mut found, lenient })?;
            de.end().map(|()| found)
        };
        // serde_json refuses numbers that fit no type and halves of surrogate pairs where it decodes them. A task must
        // not be lost over that: the second walk decodes nothing.
        walk(false).or_else(|strict| if strict.is_eof() { Err(strict) } else { walk(true) }).map_err(|e| {
            let (line, column) = (e.line(), e.column());
            if e.is_eof() { Unreadable::Cut { line, column } } else { Unreadable::Syntax { line, column } }
        })
    }

    /// The value in a slot.
    pub(super) fn slot(&self, slot: usize) -> Value<'a> {
        self.slots.get(slot).copied().unwrap_or_default()
    }

    /// The parts of a list's items.
    pub(super) fn parts(&self, list: usize) -> &[Part<'a>] {
        self.lists.get(list).map_or(&[], |list| &list.parts)
    }

    /// Takes note of a value at a known place.
    fn keep<const ASPECTS: u8>(&mut self, state: &State, value: Value<'a>) {
        for mark in &state.marks {
            match *mark {
                Mark::Slot(slot) if ASPECTS & WHOLE != 0 => self.slots[usize::from(slot)] = value,
                Mark::FirstSlot(slot) if ASPECTS & WHOLE != 0 => {
                    let first = &mut self.slots[usize::from(slot)];
                    if first.is_blank() {
                        *first = value;
                    }
                }
                Mark::Item { list, alone } if ASPECTS & ITEM != 0 => {
                    let is_text = matches!(value, Value::Text(_) | Value::Escaped(_));
                    // In a list every place counts, also an empty one: an image keeps its place in the service's list.
                    if !alone || is_text || matches!(value, Value::Object(_)) {
                        self.lists[usize::from(list)].items += 1;
                    }
                    if is_text {
                        self.keep_part(list, ITSELF, value);
                    }
                }
                Mark::Part { list, part } if ASPECTS & ITEM != 0 => self.keep_part(list, part, value),
                _ => {}
            }
        }
    }

    fn keep_part(&mut self, list: u8, part: u8, value: Value<'a>) {
        let list = &mut self.lists[usize::from(list)];
        if (1..=MAX_ITEMS).contains(&list.items) && list.parts.len() < MAX_PARTS && !value.is_blank() {
            list.parts.push(Part { item: list.items - 1, part, value });
        }
    }

    /// Forgets everything found at `state` and below: the member is given again.
    fn forget(&mut self, trie: &Trie, state: &State) {
        for mark in &state.marks {
            match *mark {
                Mark::Slot(slot) | Mark::FirstSlot(slot) => self.slots[usize::from(slot)] = Value::Null,
                Mark::Item { list, .. } => self.lists[usize::from(list)] = List::default(),
                Mark::Part { .. } => {}
            }
        }
        for goal in state.goals() {
            self.forget(trie, trie.state(goal));
        }
    }
}

/// The walk, standing before a value.
struct Walk<'t, 'f, 'de> {
    trie: &'t Trie,
    state: &'t State,
    found: &'f mut Found<'de>,
    lenient: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        if !self.state.leaf && !self.lenient {
            return d.deserialize_any(self);
        }
        let json = <&RawValue as serde::Deserialize>::deserialize(d)?.get();
        if self.state.leaf || !json.starts_with(['{', '[']) {
            self.found.keep::<WHOLLY>(self.state, Value::of(json));
            return Ok(());
        }
        // The text was read once already, so that it can only be refused for what the first walk refuses, too.
        serde_json::Deserializer::from_str(json).deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that needs no decoding")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.found.keep::<WHOLLY>(self.state, Value::Null);
        Ok(())
    }

    fn visit_bool<E>(self, set: bool) -> Result<(), E> {
        self.found.keep::<WHOLLY>(self.state, Value::Bool(set));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.found.keep::<WHOLLY>(self.state, Value::Text(text));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Walk { trie, state, found, lenient } = self;
        found.keep::<ITEM>(state, Value::Object(""));
        let mut seen = 0u64;
        let mut whole = EMPTY_OBJECT;
        while let Some(known) = map.next_key_seed(Member(state))? {
            whole = "";
            let Some((goal, place)) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let state = trie.state(goal);
            // More than 64 known members in one object: the rest is not watched.
            let bit = place.and_then(|place| 1u64.checked_shl(place as u32)).unwrap_or(0);
            if seen & bit != 0 && !state.leaf {
                found.forget(trie, state);
            }
            seen |= bit;
            map.next_value_seed(Walk { trie, state, found: &mut *found, lenient })?;
        }
        found.keep::<WHOLE>(state, Value::Object(whole));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Walk { trie, state, found, lenient } = self;
        found.keep::<ITEM>(state, Value::List(""));
        let mut whole = EMPTY_LIST;
        for index in 0.. {
            let more = match state.item(index) {
                Some(goal) => {
                    let state = trie.state(goal);
                    seq.next_element_seed(Walk { trie, state, found: &mut *found, lenient })?.is_some()
                }
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
            whole = "";
        }
        found.keep::<WHOLE>(state, Value::List(whole));
        Ok(())
    }
}

/// A member's name, looked up where it stands.
struct Member<'t>(&'t State);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<(Goal, Option<Place>)>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Option<(Goal, Option<Place>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name))
    }
}
