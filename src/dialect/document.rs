//! How a JSON document is read into the types of the schema: strictly, and with the pointer to everything that is wrong.
//!
//! Not derived: a derived reader of a schema this wide is 250 kB of code and does not know where in the document it is.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::tree;
use crate::error::Error;

/// Longest document, bytes.
pub(crate) const MAX_DOCUMENT: usize = 1 << 20;

/// Faults of one document that are told; nobody reads more.
const MAX_FAULTS: usize = 100;

/// Faults that one message tells.
const TOLD_FAULTS: usize = 8;

/// A member whose name begins so is a comment.
pub(super) const COMMENT: &str = "//";

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON Pointer to the member, "" for the document itself.
    pub(crate) pointer: String,
    /// What is wrong with it, or what would be right; never the value that stands there.
    pub(crate) message: String,
}

/// All that is wrong with a document, as it is found.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    #[cold]
    #[inline(never)]
    pub(super) fn add(&self, pointer: String, message: String) {
        let mut faults = self.0.borrow_mut();
        if faults.len() < MAX_FAULTS {
            faults.push(Fault { pointer, message });
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn wrong(&self, pointer: &str, message: &str) {
        self.add(pointer.to_owned(), message.to_owned());
    }

    /// Whether something is wrong at a place or below.
    pub(super) fn are_below(&self, pointer: &str) -> bool {
        self.0.borrow().iter().any(|fault| fault.pointer.starts_with(pointer))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// The faults of a document as one error. `document` names it, "" where it has no name.
pub(crate) fn error(document: &str, faults: &[Fault]) -> Error {
    let mut message = "dialect".to_owned();
    if !document.is_empty() {
        message += " ";
        message += document;
    }
    for (number, fault) in faults.iter().take(TOLD_FAULTS).enumerate() {
        message += if number == 0 { ": " } else { "; " };
        message += &fault.pointer;
        if !fault.pointer.is_empty() {
            message += ": ";
        }
        message += &fault.message;
    }
    if faults.len() > TOLD_FAULTS {
        message += "; and more";
    }
    Error::invalid(message)
}

/// Reads a document as far as it can be read. `None`: it cannot.
pub(super) fn read<T: Member>(json: &str, faults: &Faults) -> Option<T> {
    if json.len() > MAX_DOCUMENT {
        faults.wrong("", "the document is longer than 1 MiB");
        return None;
    }
    let value = tree::read(json.strip_prefix('\u{feff}').unwrap_or(json), faults)?;
    Some(T::read(Node { value: &value, place: Place::Document, faults: Some(faults) }))
}

/// What can be read from a place in a document.
pub(super) trait Member: Sized {
    /// What stands there; anything at all where it is wrong, which is among the faults then: the reading goes on, to find
    /// the other faults, and only [`Profile::check`](super::profile::Profile) sees what it yields.
    fn read(node: Node<'_>) -> Self;
}

/// What can be the name of a member.
pub(super) trait Key: Sized {
    fn of(name: &str) -> Result<Self, &'static str>;
}

/// A value and its place.
#[derive(Clone, Copy)]
pub(super) struct Node<'d> {
    pub(super) value: &'d Value,
    place: Place<'d>,
    /// Who is told what is wrong; nobody about what is not there.
    faults: Option<&'d Faults>,
}

/// The way to a value.
#[derive(Clone, Copy)]
pub(super) enum Place<'d> {
    Document,
    Member(&'d Place<'d>, &'d str),
    Item(&'d Place<'d>, usize),
}

impl Place<'_> {
    pub(super) fn pointer(&self) -> String {
        match self {
            Place::Document => String::new(),
            Place::Member(parent, name) => parent.pointer() + "/" + &name.replace('~', "~0").replace('/', "~1"),
            Place::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

impl<'d> Node<'d> {
    /// Takes note that something is wrong at this place.
    #[cold]
    #[inline(never)]
    pub(super) fn wrong(&self, what: &str) {
        self.tell(&self.place, what);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn unknown(&self, known: &[&str]) {
        self.wrong(&format!("must be one of {}", known.join(", ")));
    }

    /// The members of an object that are no comments, whatever their names. `read` says what is wrong with a name.
    #[inline(never)]
    fn each_member(&self, read: &mut dyn FnMut(&str, Node<'_>) -> Result<(), &'static str>) {
        for (name, value) in self.members().into_iter().flatten() {
            if name.starts_with(COMMENT) {
                continue;
            }
            let node = Node { value, place: Place::Member(&self.place, name), faults: self.faults };
            if let Err(what) = read(name, node) {
                node.wrong(what);
            }
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn missing(&self, name: &str) {
        self.wrong(&format!("{name} is missing"));
    }

    fn tell(&self, place: &Place<'_>, what: &str) {
        if let Some(faults) = self.faults {
            faults.add(place.pointer(), what.to_owned());
        }
    }

    #[inline(never)]
    pub(super) fn text(&self) -> Option<&'d str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong("must be a string");
        }
        text
    }

    /// The members of an object; others than these are faults, unless they are comments. What is no object has none, and
    /// nobody is told what it lacks.
    #[inline(never)]
    pub(super) fn object(self, known: &[&str]) -> Node<'d> {
        let Some(members) = self.members() else { return Node { faults: None, ..self } };
        for name in members.keys() {
            if !known.contains(&name.as_str()) && !name.starts_with(COMMENT) {
                let what = match nearest(name, known) {
                    Some(near) => format!("unknown member; did you mean {near}?"),
                    None => format!("unknown member; known are {}", known.join(", ")),
                };
                self.tell(&Place::Member(&self.place, name), &what);
            }
        }
        self
    }

    /// The member of an object, if it is there.
    #[inline(never)]
    pub(super) fn member<'n>(&'n self, name: &'n str) -> Option<Node<'n>> {
        let value = self.value.get(name)?;
        Some(Node { value, place: Place::Member(&self.place, name), faults: self.faults })
    }

    fn item<'n>(&'n self, index: usize, value: &'n Value) -> Node<'n> {
        Node { value, place: Place::Item(&self.place, index), faults: self.faults }
    }

    fn members(&self) -> Option<&'d Map<String, Value>> {
        let members = self.value.as_object();
        if members.is_none() {
            self.wrong("must be an object");
        }
        members
    }
}

/// The known name that a wrong one may have been meant for. In the library it would be ballast.
#[cfg(any(test, feature = "dialect-tools"))]
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    super::describe::nearest(name, known)
}

#[cfg(not(any(test, feature = "dialect-tools")))]
fn nearest<'k>(_: &str, _: &[&'k str]) -> Option<&'k str> {
    None
}

/// What is not there: a section with all its defaults.
pub(super) fn absent<T: Member>() -> T {
    T::read(Node { value: &Value::Null, place: Place::Document, faults: None })
}

impl Member for String {
    fn read(node: Node<'_>) -> String {
        node.text().unwrap_or_default().to_owned()
    }
}

impl Key for String {
    fn of(name: &str) -> Result<String, &'static str> {
        Ok(name.to_owned())
    }
}

impl Member for bool {
    fn read(node: Node<'_>) -> bool {
        let flag = node.value.as_bool();
        if flag.is_none() {
            node.wrong("must be true or false");
        }
        flag.unwrap_or_default()
    }
}

impl Member for u32 {
    #[inline(never)]
    fn read(node: Node<'_>) -> u32 {
        let number = node.value.as_u64().and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            node.wrong("must be a whole number, 0 to 4294967295");
        }
        number.unwrap_or_default()
    }
}

impl Member for Value {
    fn read(node: Node<'_>) -> Value {
        node.value.clone()
    }
}

impl Member for Map<String, Value> {
    fn read(node: Node<'_>) -> Map<String, Value> {
        node.members().cloned().unwrap_or_default()
    }
}

impl<T: Member> Member for Option<T> {
    fn read(node: Node<'_>) -> Option<T> {
        Some(T::read(node))
    }
}

/// A list, or its only entry alone.
impl<T: Member> Member for Vec<T> {
    #[inline(never)]
    fn read(node: Node<'_>) -> Vec<T> {
        let Value::Array(items) = node.value else { return vec![T::read(node)] };
        items.iter().enumerate().map(|(index, value)| T::read(node.item(index, value))).collect()
    }
}

impl<A: Member, B: Member> Member for (A, B) {
    fn read(node: Node<'_>) -> (A, B) {
        match node.value.as_array().map(Vec::as_slice) {
            Some([a, b]) => (A::read(node.item(0, a)), B::read(node.item(1, b))),
            _ => {
                node.wrong("must be a pair");
                (absent(), absent())
            }
        }
    }
}

/// An object whose members have any names.
#[derive(Debug, Clone)]
pub(crate) struct Table<K, T>(Vec<(K, T)>);

impl<K, T> Table<K, T> {
    pub(super) const EMPTY: Table<K, T> = Table(Vec::new());
}

impl<K, T> std::ops::Deref for Table<K, T> {
    type Target = [(K, T)];
    fn deref(&self) -> &[(K, T)] {
        &self.0
    }
}

impl<K: Key, T: Member> Member for Table<K, T> {
    fn read(node: Node<'_>) -> Table<K, T> {
        let mut table = Vec::new();
        node.each_member(&mut |name, node| K::of(name).map(|key| table.push((key, T::read(node)))));
        Table(table)
    }
}

/// Declares a section of the schema: a struct, how it is read, and, for the tools, how it is described. Every fault of its
/// members is found, not only the first; unknown ones are faults.
///
/// A member is named as its field, or as the text behind `as`; what stands behind `=` is its default.
macro_rules! schema {
    ($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $member_doc:literal])* $(#[allow($lint:ident)])? $field:ident $(as $member:literal)?: $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $($(#[doc = $member_doc])* $(#[allow($lint)])? pub(crate) $field: $type,)*
        }

        impl $crate::dialect::document::Member for $name {
            #[inline(never)]
            fn read(node: Node<'_>) -> $name {
                let node = node.object(&[$(schema!(@name $field $($member)?)),*]);
                $name {
                    $($field: match node.member(schema!(@name $field $($member)?)) {
                        Some(given) => $crate::dialect::document::Member::read(given),
                        None => schema!(@default node, schema!(@name $field $($member)?) $(, $default)?),
                    },)*
                }
            }
        }

        #[cfg(any(test, feature = "dialect-tools"))]
        impl $crate::dialect::describe::Described for $name {
            fn shape(shared: &mut Map<String, Value>) -> $crate::dialect::describe::Shape {
                let mut section = $crate::dialect::describe::Section::new(concat!($($doc),*));
                $({
                    let shape = <$type as $crate::dialect::describe::Described>::shape(shared);
                    let default = schema!(@described $type $(, $default)?);
                    section.add(schema!(@name $field $($member)?), concat!($($member_doc),*), shape, default);
                })*
                $crate::dialect::describe::Shape::Section(section)
            }

            fn json(&self) -> Value {
                let mut members = Map::new();
                $({
                    let value = $crate::dialect::describe::Described::json(&self.$field);
                    // What is not there has no member.
                    if !value.is_null() {
                        members.insert(schema!(@name $field $($member)?).to_owned(), value);
                    }
                })*
                Value::Object(members)
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $member:literal) => { $member };
    (@default $node:ident, $name:expr) => {{
        $node.missing($name);
        $crate::dialect::document::absent()
    }};
    (@default $node:ident, $name:expr, $default:expr) => { $default };
    (@described $type:ty) => { None };
    (@described $type:ty, $default:expr) => {{
        let default: $type = $default;
        Some($crate::dialect::describe::Described::json(&default))
    }};
}

/// Declares how values are named in a document.
macro_rules! choices {
    ($type:ty: $($name:literal => $value:expr,)*) => {
        impl $crate::dialect::document::Member for $type {
            fn read(node: Node<'_>) -> $type {
                let choices = [$(($name, $value)),*];
                let text = node.text();
                let choice = choices.iter().find(|(name, _)| text == Some(*name));
                if text.is_some() && choice.is_none() {
                    node.unknown(&choices.map(|(name, _)| name));
                }
                choice.unwrap_or(&choices[0]).1
            }
        }

        #[cfg(any(test, feature = "dialect-tools"))]
        impl $crate::dialect::describe::Described for $type {
            fn shape(_: &mut Map<String, Value>) -> $crate::dialect::describe::Shape {
                $crate::dialect::describe::Shape::words(&[$($name),*])
            }

            fn json(&self) -> Value {
                let names = [$(($name, $value)),*];
                names.iter().find(|(_, value)| value == self).map(|(name, _)| Value::from(*name)).unwrap_or_default()
            }
        }
    };
}

pub(super) use {choices, schema};
