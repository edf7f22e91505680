//! A dialect's `read` section, compiled: every pointer under every root in one trie, so that one walk serves all.
//!
//! Which root and which pointer count is decided after the walk.

use std::ops::Range;

use super::images::Item;
use super::pointer::{Pointer, Step};
use super::profile::{Profile, Read};
use super::reader::{Found, ITSELF, MAX_ITEMS, Unreadable};
use super::trie::{Builder, Mark, Trie};
use super::value::Value;
use crate::task::Image;

/// Fields of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Status,
    Progress,
    Message,
    Code,
    Kind,
    CreatedAt,
    CompletedAt,
    Model,
    RevisedPrompt,
    ConversationId,
    BillingId,
    CreditCost,
    WaitHint,
    Follow,
    CancelledIf,
    FailedIf,
    Result,
    JsonString,
    Envelope,
}

/// Fields of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageField {
    Url,
    Base64,
    FileId,
    RevisedPrompt,
    ExpiresAt,
    Width,
    Height,
    ByteSize,
}

/// Every field with its pointers, in the order of the fields.
pub(super) fn task_fields(profile: &Profile) -> [(Field, &[Pointer]); 20] {
    let read = &profile.read;
    [
        (Field::Id, &read.id),
        (Field::Status, &read.status),
        (Field::Progress, &read.progress),
        (Field::Message, &read.error.message),
        (Field::Code, &read.error.code),
        (Field::Kind, &read.error.kind),
        (Field::CreatedAt, &read.created_at),
        (Field::CompletedAt, &read.completed_at),
        (Field::Model, &read.model),
        (Field::RevisedPrompt, &read.revised_prompt),
        (Field::ConversationId, &read.conversation_id),
        (Field::BillingId, &read.billing_id),
        (Field::CreditCost, &read.credit_cost),
        (Field::WaitHint, &read.wait_hint),
        (Field::Follow, &profile.poll.follow),
        (Field::CancelledIf, &read.cancelled_if),
        (Field::FailedIf, &read.failed_if),
        (Field::Result, &read.result_get),
        (Field::JsonString, &read.images.json_string),
        (Field::Envelope, read.envelope_ok.as_ref().map_or(&[], |envelope| &envelope.pointer)),
    ]
}

/// Every field with its pointers, in the order of the fields.
fn image_fields(read: &Read) -> [(ImageField, &[Pointer]); 8] {
    let images = &read.images;
    [
        (ImageField::Url, &images.url),
        (ImageField::Base64, &images.base64),
        (ImageField::FileId, &images.file_id),
        (ImageField::RevisedPrompt, &images.revised_prompt),
        (ImageField::ExpiresAt, &images.expires_at),
        (ImageField::Width, &images.width),
        (ImageField::Height, &images.height),
        (ImageField::ByteSize, &images.byte_size),
    ]
}

/// How a task's answer is read.
#[derive(Debug)]
pub(super) struct Plan {
    trie: Trie,
    /// Where each field's slots begin under the first root, and where the last one's end.
    slots: Vec<usize>,
    /// Where the task may be, and which of these is the body.
    roots: usize,
    body: usize,
    /// Lists of images under one root, and where each image field's parts begin and end.
    lists: usize,
    parts: Vec<usize>,
    /// Reads the lists in a JSON text that the body holds, where the dialect says so.
    json_string: Option<Trie>,
    /// Reads a url that is an array.
    urls: Trie,
}

impl Plan {
    /// Compiles; `None` when the pointers multiply beyond measure.
    pub(super) fn new(profile: &Profile) -> Option<Plan> {
        let read = &profile.read;
        let mut roots: Vec<&[Step]> = read.root.iter().map(|root| &*root.steps).collect();
        let body = roots.iter().position(|root| root.is_empty()).unwrap_or(roots.len());
        if body == roots.len() {
            roots.push(&[]);
        }

        let fields = task_fields(profile);
        debug_assert!(fields.iter().enumerate().all(|(place, (field, _))| *field as usize == place));
        let slots = offsets(0, fields.iter().map(|(_, pointers)| pointers.len()));
        let image_fields = image_fields(read);
        debug_assert!(image_fields.iter().enumerate().all(|(place, (field, _))| *field as usize == place));
        let parts = offsets(usize::from(ITSELF) + 1, image_fields.iter().map(|(_, pointers)| pointers.len()));
        let images = Lists { items: &read.images.items, fields: &image_fields, parts: &parts };

        let mut body_trie = Builder::new();
        for (r, root) in roots.iter().enumerate() {
            for ((_, pointers), first) in fields.iter().zip(&slots) {
                for (rank, pointer) in pointers.iter().enumerate() {
                    let steps = || root.iter().chain(&pointer.steps);
                    let slot = u16::try_from(r * slots[fields.len()] + first + rank).ok()?;
                    let many = steps().any(|step| *step == Step::Any);
                    body_trie.add(steps(), if many { Mark::FirstSlot(slot) } else { Mark::Slot(slot) });
                }
            }
            if read.images.json_string.is_empty() {
                images.add(&mut body_trie, root, r * images.items.len())?;
            }
        }
        let json_string = if read.images.json_string.is_empty() {
            None
        } else {
            let mut inner = Builder::new();
            images.add(&mut inner, &[], 0)?;
            Some(inner.build()?)
        };
        let mut urls = Builder::new();
        Lists { items: &[Pointer::body()], fields: &[], parts: &[] }.add(&mut urls, &[], 0)?;

        let (roots, lists) = (roots.len(), images.items.len());
        Some(Plan { trie: body_trie.build()?, slots, roots, body, lists, parts, json_string, urls: urls.build()? })
    }

    /// Walks through a body and chooses the root.
    pub(super) fn read<'a>(&self, body: &'a str) -> Result<View<'_, 'a>, Unreadable> {
        let found = Found::read(&self.trie, self.roots * self.slots_a_root(), self.roots * self.lists, body)?;
        let mut view = View { plan: self, found, root: self.body };
        let has = |field| (0..self.roots).find(|root| view.under(*root, field).word().is_some());
        view.root = has(Field::Status).or_else(|| has(Field::Id)).unwrap_or(self.body);
        Ok(view)
    }

    fn slots_a_root(&self) -> usize {
        self.slots.last().copied().unwrap_or(0)
    }

    /// Whether the dialect says where images are.
    pub(super) fn names_images(&self) -> bool {
        self.lists > 0
    }
}

/// Lists of images, to be added to a trie.
struct Lists<'p> {
    items: &'p [Pointer],
    fields: &'p [(ImageField, &'p [Pointer])],
    parts: &'p [usize],
}

impl Lists<'_> {
    fn add(&self, trie: &mut Builder, root: &[Step], first: usize) -> Option<()> {
        for (k, items) in self.items.iter().enumerate() {
            let list = u8::try_from(first + k).ok()?;
            // The place is the list, or the only image itself.
            for (alone, each) in [(true, &[][..]), (false, &[Step::Each][..])] {
                let item = || root.iter().chain(&items.steps).chain(each);
                trie.add(item(), Mark::Item { list, alone });
                for ((_, pointers), first) in self.fields.iter().zip(self.parts) {
                    for (rank, pointer) in pointers.iter().enumerate() {
                        let part = u8::try_from(first + rank).ok()?;
                        trie.add(item().chain(&pointer.steps), Mark::Part { list, part });
                    }
                }
            }
        }
        Some(())
    }
}

/// Where runs of these lengths begin, one after another from `first` on, and where the last one ends.
fn offsets(first: usize, lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut offsets = vec![first];
    offsets.extend(lengths.scan(first, |end, length| {
        *end += length;
        Some(*end)
    }));
    offsets
}

/// What a walk found, under the chosen root.
pub(super) struct View<'p, 'a> {
    plan: &'p Plan,
    found: Found<'a>,
    root: usize,
}

impl<'a> View<'_, 'a> {
    /// The first of the field's pointers that yields something.
    pub(super) fn value(&self, field: Field) -> Value<'a> {
        self.under(self.root, field)
    }

    /// As [`View::value`], from the body where the chosen root yields nothing.
    pub(super) fn value_or_outer(&self, field: Field) -> Value<'a> {
        let value = self.value(field);
        if value.is_blank() { self.outer(field) } else { value }
    }

    /// As [`View::value`], from the body.
    pub(super) fn outer(&self, field: Field) -> Value<'a> {
        self.under(self.plan.body, field)
    }

    /// Whether one of the field's pointers yields a set flag.
    pub(super) fn is_set(&self, field: Field) -> bool {
        self.slots(self.root, field).any(|value| value.is_truthy())
    }

    fn under(&self, root: usize, field: Field) -> Value<'a> {
        self.slots(root, field).find(|value| !value.is_blank()).unwrap_or_default()
    }

    fn slots(&self, root: usize, field: Field) -> impl Iterator<Item = Value<'a>> {
        let slots = &self.plan.slots;
        let base = root * self.plan.slots_a_root();
        (slots[field as usize]..slots[field as usize + 1]).map(move |slot| self.found.slot(base + slot))
    }

    /// The root that was chosen.
    #[cfg(any(test, feature = "dialect-tools"))]
    pub(super) fn root(&self) -> usize {
        self.root
    }

    /// From which root, the body where `outer`, and which of the field's pointers its value comes.
    #[cfg(any(test, feature = "dialect-tools"))]
    pub(super) fn source(&self, field: Field, outer: bool) -> Option<(usize, usize)> {
        let root = if outer { self.plan.body } else { self.root };
        self.slots(root, field).position(|value| !value.is_blank()).map(|rank| (root, rank))
    }

    /// As [`View::source`], of a flag that is set.
    #[cfg(any(test, feature = "dialect-tools"))]
    pub(super) fn set_source(&self, field: Field) -> Option<(usize, usize)> {
        self.slots(self.root, field).position(|value| value.is_truthy()).map(|rank| (self.root, rank))
    }

    /// The usable images of the first list that has any. `body` is what was read.
    pub(super) fn images(&self, body: &str) -> Vec<Image> {
        let plan = self.plan;
        let Some(trie) = &plan.json_string else {
            let first = self.root * plan.lists;
            return plan.images_of(&self.found, first..first + plan.lists, body);
        };
        let text = self.value(Field::JsonString).text().unwrap_or_default();
        match Found::read(trie, 0, plan.lists, &text) {
            Ok(found) => plan.images_of(&found, 0..plan.lists, body),
            Err(_) => Vec::new(),
        }
    }
}

impl Plan {
    fn images_of(&self, found: &Found<'_>, lists: Range<usize>, body: &str) -> Vec<Image> {
        const MAX_IMAGES: usize = MAX_ITEMS as usize;
        let mut images = Vec::new();
        for list in lists {
            for parts in found.parts(list).chunk_by(|a, b| a.item == b.item) {
                Item { parts, bounds: &self.parts, urls: &self.urls }.add_images(body, &mut images);
                if images.len() >= MAX_IMAGES {
                    images.truncate(MAX_IMAGES);
                    return images;
                }
            }
            if !images.is_empty() {
                break;
            }
        }
        images
    }
}
