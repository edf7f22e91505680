//! How a JSON document is read into the types of the schema: strictly, and with the pointer to what is wrong.
//!
//! Not derived: a derived reader of a schema this wide is 250 kB of code and does not know where in the document it is.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Longest document, bytes.
const MAX_DOCUMENT: usize = 1 << 20;

/// Reads a document.
pub(super) fn read<T: Member>(json: &str) -> Result<T> {
    if json.len() > MAX_DOCUMENT {
        return Err(wrong("", "the document is longer than 1 MiB"));
    }
    let value: Value = serde_json::from_str(json.strip_prefix('\u{feff}').unwrap_or(json))
        .map_err(|e| wrong("", &format!("not JSON from line {}, column {} on", e.line(), e.column())))?;
    T::read(Node { value: &value, place: Place::Document })
}

/// An error about the place.
pub(super) fn wrong(pointer: &str, what: &str) -> Error {
    let separator = if pointer.is_empty() { "" } else { ": " };
    Error::invalid(format!("dialect: {pointer}{separator}{what}"))
}

/// What can be read from a place in a document.
pub(super) trait Member: Sized {
    fn read(node: Node<'_>) -> Result<Self>;
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
}

#[derive(Clone, Copy)]
enum Place<'d> {
    Document,
    Member(&'d Place<'d>, &'d str),
    Item(&'d Place<'d>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Place::Document => String::new(),
            Place::Member(parent, name) => parent.pointer() + "/" + &name.replace('~', "~0").replace('/', "~1"),
            Place::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

impl<'d> Node<'d> {
    /// An error about this place.
    #[cold]
    #[inline(never)]
    pub(super) fn wrong(&self, what: &str) -> Error {
        wrong(&self.place.pointer(), what)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn unknown(&self, known: &[&str]) -> Error {
        self.wrong(&format!("must be one of {}", known.join(", ")))
    }

    pub(super) fn text(&self) -> Result<&'d str> {
        self.value.as_str().ok_or_else(|| self.wrong("must be a string"))
    }

    /// An object with no other members than these.
    #[inline(never)]
    pub(super) fn object(&self, known: &[&str]) -> Result<()> {
        let members = self.members()?;
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let place = Place::Member(&self.place, name);
                Err(wrong(&place.pointer(), &format!("unknown member; known are {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    /// The member of an object, if it is there.
    pub(super) fn member<T: Member>(&self, name: &str) -> Result<Option<T>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => T::read(Node { value, place: Place::Member(&self.place, name) }).map(Some),
        }
    }

    // What does not depend on the type stands once, not in each of the readers.
    #[inline(never)]
    fn get(&self, name: &str) -> Option<&'d Value> {
        self.value.get(name)
    }

    #[cold]
    #[inline(never)]
    pub(super) fn missing(&self, name: &str) -> Error {
        self.wrong(&format!("{name} is missing"))
    }

    fn members(&self) -> Result<&'d Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.wrong("must be an object"))
    }
}

/// A section that is not there: all its defaults.
pub(super) fn absent<T: Member>() -> Result<T> {
    T::read(Node { value: &Value::Object(Map::new()), place: Place::Document })
}

impl Member for String {
    fn read(node: Node<'_>) -> Result<String> {
        node.text().map(str::to_owned)
    }
}

impl Key for String {
    fn of(name: &str) -> Result<String, &'static str> {
        Ok(name.to_owned())
    }
}

impl Member for bool {
    fn read(node: Node<'_>) -> Result<bool> {
        node.value.as_bool().ok_or_else(|| node.wrong("must be true or false"))
    }
}

impl Member for u32 {
    fn read(node: Node<'_>) -> Result<u32> {
        let number = node.value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| node.wrong("must be a whole number, 0 to 4294967295"))
    }
}

impl Member for f64 {
    fn read(node: Node<'_>) -> Result<f64> {
        node.value.as_f64().ok_or_else(|| node.wrong("must be a number"))
    }
}

impl Member for Value {
    fn read(node: Node<'_>) -> Result<Value> {
        Ok(node.value.clone())
    }
}

impl Member for Map<String, Value> {
    fn read(node: Node<'_>) -> Result<Map<String, Value>> {
        node.members().cloned()
    }
}

impl<T: Member> Member for Option<T> {
    fn read(node: Node<'_>) -> Result<Option<T>> {
        T::read(node).map(Some)
    }
}

/// A list, or its only entry alone.
impl<T: Member> Member for Vec<T> {
    fn read(node: Node<'_>) -> Result<Vec<T>> {
        match node.value {
            Value::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, value) in items.iter().enumerate() {
                    list.push(T::read(Node { value, place: Place::Item(&node.place, index) })?);
                }
                Ok(list)
            }
            _ => T::read(node).map(|only| vec![only]),
        }
    }
}

impl<A: Member, B: Member> Member for (A, B) {
    fn read(node: Node<'_>) -> Result<(A, B)> {
        match node.value.as_array().map(Vec::as_slice) {
            Some([a, b]) => Ok((
                A::read(Node { value: a, place: Place::Item(&node.place, 0) })?,
                B::read(Node { value: b, place: Place::Item(&node.place, 1) })?,
            )),
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
    fn read(node: Node<'_>) -> Result<Table<K, T>> {
        let mut table = Vec::new();
        for (name, value) in node.members()? {
            let node = Node { value, place: Place::Member(&node.place, name) };
            table.push((K::of(name).map_err(|what| node.wrong(what))?, T::read(node)?));
        }
        Ok(Table(table))
    }
}

/// Declares a section of the schema: a struct, and how it is read. Unknown members are refused.
///
/// A member is named as its field, or as the text behind `as`; what stands behind `=` is its default.
macro_rules! schema {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$member_doc:meta])* $field:ident $(as $member:literal)?: $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $($(#[$member_doc])* pub(crate) $field: $type,)*
        }

        impl $crate::dialect::document::Member for $name {
            fn read(node: Node<'_>) -> Result<$name> {
                node.object(&[$(schema!(@name $field $($member)?)),*])?;
                Ok($name {
                    $($field: match node.member(schema!(@name $field $($member)?))? {
                        Some(given) => given,
                        None => schema!(@default node, schema!(@name $field $($member)?) $(, $default)?),
                    },)*
                })
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $member:literal) => { $member };
    (@default $node:ident, $name:expr) => { return Err($node.missing($name)) };
    (@default $node:ident, $name:expr, $default:expr) => { $default };
}

/// Declares how values are named in a document.
macro_rules! choices {
    ($type:ty: $($name:literal => $value:expr,)*) => {
        impl $crate::dialect::document::Member for $type {
            fn read(node: Node<'_>) -> Result<$type> {
                match node.text()? {
                    $($name => Ok($value),)*
                    _ => Err(node.unknown(&[$($name),*])),
                }
            }
        }
    };
}

pub(super) use {choices, schema};
