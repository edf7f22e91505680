//! What has come of an image so far: a connection that breaks costs only what had not come yet.

use super::inspect::Inspector;
use crate::error::{Error, Result, Status};
use crate::http::{Framing, Reply};
use crate::picture::PictureInfo;

/// The part of an image that the sink holds, and what is needed to ask for the rest of the very same image.
pub(crate) struct Partial {
    inspector: Inspector,
    len: u64,
    /// Its whole length, where the server said it.
    total: Option<u64>,
    /// The server's name for this state of it: a strong ETag.
    validator: Option<String>,
    declared_media_type: String,
    /// Whether the end of the body is proved by its framing.
    framed: bool,
    /// How often a rest did not fit.
    misfits: u8,
}

/// How an answer goes on from what is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Continuation {
    /// It brings the rest.
    Rest,
    /// It brings the whole from its first byte.
    Whole,
    /// It brings neither: the next try begins from the first byte.
    Misfit,
}

impl Partial {
    /// Bytes of memory that it holds, at most.
    pub(crate) const MOST_BYTES: usize = Inspector::MOST_BYTES;

    pub(crate) fn new() -> Partial {
        Partial {
            inspector: Inspector::new(),
            len: 0,
            total: None,
            validator: None,
            declared_media_type: String::new(),
            framed: false,
            misfits: 0,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The headers that ask for the rest; `None` where the whole has to come again. Without a name for the image's state its
    /// length must prove that it is the same.
    pub(crate) fn range(&self) -> Option<(String, Option<&str>)> {
        let can_prove = self.validator.is_some() || self.total.is_some();
        (self.len > 0 && can_prove).then(|| (format!("bytes={}-", self.len), self.validator.as_deref()))
    }

    /// Whether what came is named so well that another address of the image may go on from it.
    pub(crate) fn is_named(&self) -> bool {
        self.validator.is_some()
    }

    /// Forgets what came.
    pub(crate) fn restart(&mut self) {
        *self = Partial { misfits: self.misfits, ..Partial::new() };
    }

    /// Takes note of an answer's head, and says what its body is. After `Whole` and `Misfit` nothing of the image is here.
    ///
    /// # Errors
    /// `Protocol` for a part that nobody asked for, or a second rest that does not fit.
    pub(crate) fn go_on(&mut self, reply: &Reply) -> Result<Continuation> {
        let part = (reply.status() == 206).then(|| content_range(reply.header("content-range").unwrap_or_default()));
        let fits = match part {
            Some(Some((from, total))) => {
                let same_length = self.total.is_none_or(|known| total == Some(known));
                let same_state =
                    self.validator.is_none() || validator(reply).is_none() || self.validator == validator(reply);
                self.range().is_some() && from == self.len && same_length && same_state
            }
            Some(None) => false,
            None if reply.status() == 200 => {
                self.restart();
                self.total = reply.content_length();
                self.validator = validator(reply);
                self.take_type(reply);
                return Ok(Continuation::Whole);
            }
            None => false,
        };
        if fits {
            self.take_type(reply);
            return Ok(Continuation::Rest);
        }
        self.misfits += 1;
        if self.misfits > 1 || self.len == 0 {
            return Err(Error::new(Status::Protocol, "the server sent a part of the image that was not asked for"));
        }
        self.restart();
        Ok(Continuation::Misfit)
    }

    /// Takes the next bytes. `BadImage` as soon as they cannot be an image.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        self.inspector.feed(bytes)
    }

    /// The verdict, when the body has ended.
    pub(crate) fn finish(&self) -> Result<PictureInfo> {
        match self.total {
            Some(total) if self.len < total => {
                return Err(Error::new(Status::Io, "the connection ended before the image did"));
            }
            Some(total) if self.len > total => {
                return Err(Error::new(Status::Protocol, "the server sent more of the image than there is"));
            }
            _ => {}
        }
        self.inspector.finish(self.declared_media_type.clone(), self.framed)
    }

    fn take_type(&mut self, reply: &Reply) {
        let declared = reply.header("content-type").unwrap_or_default();
        self.declared_media_type = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.framed = reply.framing() != Framing::UntilClose;
    }
}

/// A weak ETag does not name bytes, and a time of last change none within its second.
fn validator(reply: &Reply) -> Option<String> {
    reply.header("etag").filter(|tag| tag.starts_with('"')).map(str::to_owned)
}

/// The first byte and the whole length in `bytes 5-9/10`; the length is `None` for `*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let (from, to) = (from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse::<u64>().ok()?),
    };
    // The rest goes to the end.
    let whole = total.is_none_or(|total| to.checked_add(1) == Some(total));
    (from <= to && whole).then_some((from, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_strictly() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for odd in [
            "",
            "bytes */10",
            "bytes 5-9",
            "bytes 9-5/10",
            "bytes 5-8/10",
            "items 5-9/10",
            "bytes a-9/10",
            "bytes -5/10",
        ] {
            assert_eq!(content_range(odd), None, "{odd}");
        }
    }

    #[test]
    fn nothing_is_asked_for_the_rest_without_a_proof_that_it_is_the_same_image() {
        let mut partial = Partial::new();
        assert_eq!(partial.range(), None);
        partial.len = 7;
        assert_eq!(partial.range(), None);
        partial.total = Some(10);
        assert_eq!(partial.range(), Some(("bytes=7-".to_owned(), None)));
        partial.validator = Some("\"a\"".to_owned());
        assert_eq!(partial.range(), Some(("bytes=7-".to_owned(), Some("\"a\""))));
        partial.restart();
        assert_eq!((partial.range(), partial.len()), (None, 0));
    }
}
