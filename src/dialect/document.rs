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

/// Something that cannot be read; what is wrong with it is among the faults already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faulty;

pub(super) type Checked<T> = Result<T, Faulty>;

impl Faults {
    #[cold]
    #[inline(never)]
    pub(super) fn add(&self, pointer: String, message: String) -> Faulty {
        let mut faults = self.0.borrow_mut();
        if faults.len() < MAX_FAULTS {
            faults.push(Fault { pointer, message });
        }
        Faulty
    }

    pub(super) fn wrong(&self, pointer: &str, message: &str) -> Faulty {
        self.add(pointer.to_owned(), message.to_owned())
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

/// Reads a document. `None`: something is wrong with it.
pub(super) fn read<T: Member>(json: &str, faults: &Faults) -> Option<T> {
    if json.len() > MAX_DOCUMENT {
        faults.wrong("", "the document is longer than 1 MiB");
        return None;
    }
    let value = tree::read(json.strip_prefix('\u{feff}').unwrap_or(json), faults)?;
    let read = T::read(Node { value: &value, place: Place::Document, faults });
    read.ok().filter(|_| faults.is_empty())
}

/// What can be read from a place in a document.
pub(super) trait Member: Sized {
    fn read(node: Node<'_>) -> Checked<Self>;
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
    faults: &'d Faults,
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
    pub(super) fn wrong(&self, what: &str) -> Faulty {
        self.faults.add(self.place.pointer(), what.to_owned())
    }

    #[cold]
    #[inline(never)]
    pub(super) fn unknown(&self, known: &[&str]) -> Faulty {
        self.wrong(&format!("must be one of {}", known.join(", ")))
    }

    pub(super) fn text(&self) -> Checked<&'d str> {
        self.value.as_str().ok_or_else(|| self.wrong("must be a string"))
    }

    /// An object; members other than these are faults, unless they are comments.
    #[inline(never)]
    pub(super) fn object(&self, known: &[&str]) -> Checked<()> {
        for name in self.members()?.keys() {
            if !known.contains(&name.as_str()) && !name.starts_with(COMMENT) {
                let what = match nearest(name, known) {
                    Some(near) => format!("unknown member; did you mean {near}?"),
                    None => format!("unknown member; known are {}", known.join(", ")),
                };
                self.faults.add(Place::Member(&self.place, name).pointer(), what);
            }
        }
        Ok(())
    }

    /// The member of an object, if it is there.
    #[inline(never)]
    pub(super) fn member<'n>(&'n self, name: &'n str) -> Option<Node<'n>> {
        let value = self.value.get(name)?;
        Some(Node { value, place: Place::Member(&self.place, name), faults: self.faults })
    }

    #[cold]
    #[inline(never)]
    pub(super) fn missing(&self, name: &str) -> Faulty {
        self.wrong(&format!("{name} is missing"))
    }

    fn item<'n>(&'n self, index: usize, value: &'n Value) -> Node<'n> {
        Node { value, place: Place::Item(&self.place, index), faults: self.faults }
    }

    fn members(&self) -> Checked<&'d Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.wrong("must be an object"))
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

/// A section that is not there: all its defaults.
pub(super) fn absent<T: Member>() -> Checked<T> {
    T::read(Node { value: &Value::Object(Map::new()), place: Place::Document, faults: &Faults::default() })
}

impl Member for String {
    fn read(node: Node<'_>) -> Checked<String> {
        node.text().map(str::to_owned)
    }
}

impl Key for String {
    fn of(name: &str) -> Result<String, &'static str> {
        Ok(name.to_owned())
    }
}

impl Member for bool {
    fn read(node: Node<'_>) -> Checked<bool> {
        node.value.as_bool().ok_or_else(|| node.wrong("must be true or false"))
    }
}

impl Member for u32 {
    fn read(node: Node<'_>) -> Checked<u32> {
        let number = node.value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| node.wrong("must be a whole number, 0 to 4294967295"))
    }
}

impl Member for Value {
    fn read(node: Node<'_>) -> Checked<Value> {
        Ok(node.value.clone())
    }
}

impl Member for Map<String, Value> {
    fn read(node: Node<'_>) -> Checked<Map<String, Value>> {
        node.members().cloned()
    }
}

impl<T: Member> Member for Option<T> {
    fn read(node: Node<'_>) -> Checked<Option<T>> {
        T::read(node).map(Some)
    }
}

/// A list, or its only entry alone.
impl<T: Member> Member for Vec<T> {
    fn read(node: Node<'_>) -> Checked<Vec<T>> {
        let Value::Array(items) = node.value else { return T::read(node).map(|only| vec![only]) };
        let mut list = Vec::with_capacity(items.len());
        for (index, value) in items.iter().enumerate() {
            list.extend(T::read(node.item(index, value)));
        }
        if list.len() == items.len() { Ok(list) } else { Err(Faulty) }
    }
}

impl<A: Member, B: Member> Member for (A, B) {
    fn read(node: Node<'_>) -> Checked<(A, B)> {
        match node.value.as_array().map(Vec::as_slice) {
            Some([a, b]) => Ok((A::read(node.item(0, a))?, B::read(node.item(1, b))?)),
            _ => Err(node.wrong("must be a pair")),
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
    fn read(node: Node<'_>) -> Checked<Table<K, T>> {
        let mut table = Vec::new();
        for name in node.members()?.keys().filter(|name| !name.starts_with(COMMENT)) {
            let Some(node) = node.member(name) else { continue };
            if let (Ok(key), Ok(value)) = (K::of(name).map_err(|what| node.wrong(what)), T::read(node)) {
                table.push((key, value));
            }
        }
        Ok(Table(table))
    }
}

/// Declares a section of the schema: a struct, how it is read, and, for the tools, how it is described. Every fault of its
/// members is found, not only the first; unknown ones are faults.
///
/// A member is named as its field, or as the text behind `as`; what stands behind `=` is its default.
macro_rules! schema {
    ($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $member_doc:literal])* $field:ident $(as $member:literal)?: $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $($(#[doc = $member_doc])* pub(crate) $field: $type,)*
        }

        impl $crate::dialect::document::Member for $name {
            fn read(node: Node<'_>) -> Checked<$name> {
                node.object(&[$(schema!(@name $field $($member)?)),*])?;
                $(let $field = match node.member(schema!(@name $field $($member)?)) {
                    Some(given) => $crate::dialect::document::Member::read(given),
                    None => schema!(@default node, schema!(@name $field $($member)?) $(, $default)?),
                };)*
                Ok($name { $($field: $field?,)* })
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
    (@default $node:ident, $name:expr) => { Err($node.missing($name)) };
    (@default $node:ident, $name:expr, $default:expr) => { Ok($default) };
    (@described $type:ty) => { None };
    (@described $type:ty, $default:expr) => {{
        let default = || -> Checked<$type> { Ok($default) };
        default().ok().map(|default| $crate::dialect::describe::Described::json(&default))
    }};
}

/// Declares how values are named in a document.
macro_rules! choices {
    ($type:ty: $($name:literal => $value:expr,)*) => {
        impl $crate::dialect::document::Member for $type {
            fn read(node: Node<'_>) -> Checked<$type> {
                match node.text()? {
                    $($name => Ok($value),)*
                    _ => Err(node.unknown(&[$($name),*])),
                }
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
