//! The numbers of a document that have a range.

use super::document::{self, Key, Node};

/// The version of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version;

impl document::Member for Version {
    fn read(node: Node<'_>) -> Version {
        // As JSON Schema has it, 1.0 is 1.
        if node.value.as_f64() != Some(1.0) {
            node.wrong("this library reads version 1");
        }
        Version
    }
}

/// A number that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Positive(pub(crate) u32);

impl document::Member for Positive {
    fn read(node: Node<'_>) -> Positive {
        if node.value == 0 {
            node.wrong("must not be 0");
        }
        Positive(document::Member::read(node))
    }
}

/// What 100 % is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale(pub(crate) f64);

impl document::Member for Scale {
    fn read(node: Node<'_>) -> Scale {
        let scale = node.value.as_f64().unwrap_or(0.0);
        if scale <= 0.0 {
            node.wrong("must be a number more than 0");
        }
        Scale(scale)
    }
}

/// A three-digit HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HttpStatus(pub(crate) u16);

impl Key for HttpStatus {
    fn of(name: &str) -> Result<HttpStatus, &'static str> {
        let three_digits = name.len() == 3 && name.bytes().all(|b| b.is_ascii_digit());
        let status = name.parse().ok().filter(|status| three_digits && (100..600).contains(status));
        status.map(HttpStatus).ok_or("must be an HTTP status, 100 to 599")
    }
}

#[cfg(any(test, feature = "dialect-tools"))]
mod described {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::dialect::describe::{Described, DescribedKey, Shape};

    impl Described for Version {
        fn shape(_: &mut Map<String, Value>) -> Shape {
            Shape::Plain(json!({ "const": 1 }))
        }

        fn json(&self) -> Value {
            json!(1)
        }
    }

    impl Described for Positive {
        fn shape(_: &mut Map<String, Value>) -> Shape {
            Shape::Plain(json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }))
        }

        fn json(&self) -> Value {
            json!(self.0)
        }
    }

    impl Described for Scale {
        fn shape(_: &mut Map<String, Value>) -> Shape {
            Shape::Plain(json!({ "type": "number", "exclusiveMinimum": 0 }))
        }

        fn json(&self) -> Value {
            // Whole where it is: 100, not 100.0.
            if self.0.fract() == 0.0 && self.0 < 1e15 { json!(self.0 as u64) } else { json!(self.0) }
        }
    }

    impl DescribedKey for HttpStatus {
        const PATTERN: Option<&'static str> = Some("^[1-5][0-9][0-9]$");

        fn name(&self) -> String {
            self.0.to_string()
        }
    }
}
