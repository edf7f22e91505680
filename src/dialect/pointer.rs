//! JSON Pointers, with one extra: `*` steps into every array item or object member.

use super::document::{Member, Node};

/// One way down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The member of that name, or the item of that number.
    Name(String),
    /// Every member or item.
    Any,
    /// Every item of an array. Not written in a pointer; the reader uses it for lists of images.
    Each,
}

/// A place in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(super) steps: Vec<Step>,
}

/// Places that are tried in order.
pub(crate) type Pointers = Vec<Pointer>;

/// More steps than any service needs; keeps the reader's depth bounded.
const MAX_STEPS: usize = 16;

impl Pointer {
    /// The body itself.
    pub(super) fn body() -> Pointer {
        Pointer { steps: Vec::new() }
    }

    fn parse(text: &str) -> Result<Pointer, &'static str> {
        if text.is_empty() {
            return Ok(Pointer::body());
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err("must be a JSON pointer: empty, or starting with /");
        };
        let steps: Vec<Step> = path.split('/').map(step).collect::<Result<_, _>>()?;
        if steps.len() > MAX_STEPS { Err("must not have more than 16 steps") } else { Ok(Pointer { steps }) }
    }

    /// Pointers that the library itself writes down.
    pub(super) fn list(texts: &[&str]) -> Pointers {
        texts.iter().filter_map(|text| Pointer::parse(text).ok()).collect()
    }
}

fn step(text: &str) -> Result<Step, &'static str> {
    if text == "*" {
        return Ok(Step::Any);
    }
    let escapes_end_well = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !escapes_end_well {
        return Err("~ in a JSON pointer must be written ~0");
    }
    Ok(Step::Name(text.replace("~1", "/").replace("~0", "~")))
}

impl Member for Pointer {
    #[inline(never)]
    fn read(node: Node<'_>) -> Pointer {
        match node.text().map(Pointer::parse) {
            Some(Ok(pointer)) => return pointer,
            Some(Err(what)) => node.wrong(what),
            None => {}
        }
        Pointer::body()
    }
}

#[cfg(any(test, feature = "dialect-tools"))]
mod described {
    use std::fmt;

    use serde_json::{Map, Value};

    use super::{MAX_STEPS, Pointer, Step};
    use crate::dialect::describe::{Described, Shape};

    const ABOUT: &str = "A JSON Pointer, in which `*` steps into every item of a list or member of an object: \
        `/data/0/url`, `/data/*/url`; \"\" is the whole body.";

    impl Described for Pointer {
        fn shape(shared: &mut Map<String, Value>) -> Shape {
            Shape::text(shared, "pointer", ABOUT, &format!("^(/([^~/]|~[01])*){{0,{MAX_STEPS}}}$"))
        }

        fn json(&self) -> Value {
            Value::from(self.to_string())
        }
    }

    impl fmt::Display for Pointer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.steps.iter().try_for_each(|step| match step {
                Step::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
                Step::Any | Step::Each => f.write_str("/*"),
            })
        }
    }
}
