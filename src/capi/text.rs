//! C strings: in, checked and borrowed for the call; out, from one block of memory a handle.

use std::ffi::{CStr, c_char};

use super::handle::null;
use crate::error::{Error, Result, Status};

/// A string that must be there.
///
/// # Safety
/// `text` is NULL or NUL-terminated, and stays as it is while the result lives.
pub(super) unsafe fn required<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|bad| {
        let at = bad.valid_up_to();
        Error::new(Status::InvalidUtf8, format!("{name} is not UTF-8 at byte {at}: pass it as UTF-8"))
    })
}

/// A string that may be left out: NULL and "" say the same.
///
/// # Safety
/// As [`required`].
pub(super) unsafe fn optional(text: *const c_char, name: &str) -> Result<Option<String>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller's promise.
    let text = unsafe { required(text, name) }?;
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// All texts of one handle, each with a NUL behind it, in one block.
pub(super) struct Arena(Vec<u8>);

/// A text's place in its [`Arena`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Text(usize);

impl Arena {
    /// An arena with room for texts of `len` bytes in all and their `count` NULs.
    pub(super) fn with_room(len: usize, count: usize) -> Arena {
        let mut bytes = Vec::with_capacity(1 + len + count);
        // Place 0 is the empty text.
        bytes.push(0);
        Arena(bytes)
    }

    /// Keeps a text. A NUL inside it would cut it short for C, so it becomes a blank.
    pub(super) fn keep(&mut self, text: &str) -> Text {
        if text.is_empty() {
            return Text(0);
        }
        let at = self.0.len();
        self.0.extend_from_slice(text.as_bytes());
        if text.contains('\0') {
            self.0.iter_mut().skip(at).filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        }
        self.0.push(0);
        Text(at)
    }

    /// The text for C: never NULL, and good for as long as the arena is kept and not added to.
    pub(super) fn lend(&self, text: Text) -> *const c_char {
        self.0.get(text.0..).unwrap_or(&[0]).as_ptr().cast()
    }
}
