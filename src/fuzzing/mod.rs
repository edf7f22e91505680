//! What the fuzz targets of `fuzz/` call: bytes from anybody, and what holds for them. In no other build.

mod body;
mod document;
mod link;
mod pixels;

pub use self::body::body;
pub use self::document::document;
pub use self::link::{Address, link};
pub use self::pixels::pixels;

use crate::error::Error;

/// Lets decoders panic where the library catches it, as it does in every other build.
pub fn init() {
    crate::panics::hush();
}

/// Takes a choice off the input; 0 where it has ended.
fn choice(data: &mut &[u8]) -> usize {
    match data.split_first() {
        Some((first, rest)) => {
            *data = rest;
            usize::from(*first)
        }
        None => 0,
    }
}

/// What holds for every error that the library tells of a service's answer: short words on one line.
fn assert_presentable(error: &Error) {
    for (text, limit) in [(error.message(), 400), (error.provider_code(), 131), (error.request_id(), 131)] {
        assert!(text.chars().count() <= limit && !text.contains(char::is_control), "{error:?}");
    }
    assert!(!error.message().is_empty());
}
