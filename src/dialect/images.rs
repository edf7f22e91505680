//! An item of a list becomes images.

use std::borrow::Cow;
use std::ops::Range;

use super::plan::ImageField;
use super::reader::{Found, ITSELF, Part};
use super::trie::Trie;
use super::value::{Value, decimal, unix_seconds};
use crate::task::{Image, Link};

/// One item of a list, as a walk found it.
pub(super) struct Item<'v, 'a> {
    /// At least one.
    pub(super) parts: &'v [Part<'a>],
    /// Where each field's parts begin, and where the last one's end.
    pub(super) bounds: &'v [usize],
    /// Reads a url that is an array.
    pub(super) urls: &'v Trie,
}

impl<'a> Item<'_, 'a> {
    /// Adds the usable images of this item: none, one, or as many as its url has entries.
    pub(super) fn add_images(&self, body: &str, images: &mut Vec<Image>) {
        // Bytes that are here need no request and do not expire.
        if let Some(link) = inline(self.value(ImageField::Base64), body) {
            images.push(self.image(link));
            return;
        }
        match self.value(ImageField::Url) {
            Value::List(json) => {
                if let Ok(found) = Found::read(self.urls, 0, 1, json) {
                    let links = found.parts(0).iter().filter_map(|url| link(url.value, body));
                    images.extend(links.map(|link| self.image(link)));
                }
            }
            url => images.extend(link(url, body).map(|link| self.image(link))),
        }
    }

    fn image(&self, link: Link) -> Image {
        let text = |field| self.value(field).text().map_or_else(String::new, |text| text.into_owned());
        let count = |field| self.value(field).number().unwrap_or(0.0);
        let expires_at = match (self.value(ImageField::ExpiresAt).time(), &link) {
            (0, Link::Url(url)) => expiry(url),
            (told, _) => told,
        };
        Image {
            source_index: self.parts.first().map_or(0, |part| part.item as usize),
            file_id: text(ImageField::FileId),
            revised_prompt: text(ImageField::RevisedPrompt),
            expires_at,
            // `as` saturates: a negative or endless size is none.
            width: count(ImageField::Width) as u32,
            height: count(ImageField::Height) as u32,
            byte_size: count(ImageField::ByteSize) as u64,
            link,
        }
    }

    /// The first of the field's pointers that yields something; an item that is a text is its url.
    fn value(&self, field: ImageField) -> Value<'a> {
        let given = |number: u8| self.parts.iter().rfind(|part| part.part == number).map(|part| part.value);
        let own = (self.bounds[field as usize]..self.bounds[field as usize + 1]).find_map(|number| given(number as u8));
        own.or_else(|| if field == ImageField::Url { given(ITSELF) } else { None }).unwrap_or_default()
    }
}

/// A link that can be used. Bare base64 in the place of an address is none.
fn link(value: Value<'_>, body: &str) -> Option<Link> {
    let text = written(value)?;
    let address = text.trim();
    if address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return Some(lent(text, body));
    }
    // JPEGs in base64 start with /9j/ and would pass for a path.
    let is_path = address.starts_with('/') && !address.starts_with("/9j/");
    if is_path || has_scheme(address) { Some(Link::Url(address.to_owned())) } else { None }
}

/// The image itself, as base64 or data URL.
fn inline(value: Value<'_>, body: &str) -> Option<Link> {
    written(value).map(|text| lent(text, body))
}

/// A text that was written as one.
fn written(value: Value<'_>) -> Option<Cow<'_, str>> {
    value.text().filter(|_| !matches!(value, Value::Number(_)))
}

/// Where the text is in the body; the text itself where the body writes it with escapes.
fn lent(text: Cow<'_, str>, body: &str) -> Link {
    let place = match &text {
        Cow::Borrowed(text) => place_in(body, text.trim()),
        Cow::Owned(_) => None,
    };
    place.map_or_else(|| Link::Inline(text.into_owned()), Link::InBody)
}

/// Where `part` is in `whole`, if it was borrowed from it.
fn place_in(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let range = start..start.checked_add(part.len())?;
    (range.end <= whole.len()).then_some(range)
}

fn has_scheme(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once(':') else { return false };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(fits) && rest.starts_with("//")
}

/// When a signed link says that it expires, Unix seconds; 0 if it does not say.
fn expiry(url: &str) -> i64 {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let exp = query.split('&').find_map(|member| member.strip_prefix("exp="));
    exp.and_then(decimal).map_or(0, unix_seconds)
}
