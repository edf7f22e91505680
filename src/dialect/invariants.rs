//! What holds for every reading, whatever a service wrote. Checked by tests and by the fuzz targets.

use serde::de::IgnoredAny;

use super::Reading;
use super::reader::MAX_ITEMS;
use crate::task::{Json, Link, State, Task};

/// What holds for every task.
pub(crate) fn assert_sane(task: &Task) {
    assert!((-1..=100).contains(&task.progress), "{task:?}");
    assert_eq!(task.progress == 100, task.state == State::Succeeded, "{task:?}");
    assert!(task.progress == -1 || task.state == State::Succeeded || !task.state.is_final(), "{task:?}");
    assert_eq!(task.failure.is_some(), task.state.is_final() && task.state != State::Succeeded, "{task:?}");
    assert!(task.images.is_empty() || task.state == State::Succeeded, "{task:?}");
    assert!(task.created_at >= 0 && task.completed_at >= 0, "{task:?}");
    assert!(task.completed_at == 0 || task.state.is_final(), "{task:?}");

    let mut texts = vec![&task.id, &task.poll_ref, &task.provider_status, &task.revised_prompt, &task.model];
    texts.extend([&task.conversation_id, &task.billing_id]);
    assert!(task.images.len() <= MAX_ITEMS as usize, "{task:?}");
    assert!(task.images.is_sorted_by_key(|image| image.source_index), "{task:?}");
    for image in &task.images {
        texts.extend([&image.file_id, &image.revised_prompt]);
        let usable = match task.inline_text(image) {
            Some(text) => !text.trim().is_empty(),
            None => !image.url().is_empty() && image.url().trim() == image.url(),
        };
        assert!(usable && image.source_index < MAX_ITEMS as usize && image.expires_at >= 0, "{task:?}");
        texts.extend(match &image.link {
            Link::Url(text) | Link::Inline(text) => Some(text),
            Link::InBody(_) => None,
        });
    }
    if let Some(failure) = &task.failure {
        assert!(!failure.message.trim().is_empty());
        let words = [&failure.code, &failure.kind, &failure.message];
        let is_command = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!words.iter().any(|word| word.contains(is_command)), "{task:?}");
    }
    assert!(texts.iter().all(|text| !text.contains('\0')), "{task:?}");
}

/// The same JSON, written otherwise: with white space wherever it may be, and with every letter and digit of a text
/// escaped. `None` for what is no JSON.
pub(crate) fn rewritten(json: &str) -> Option<String> {
    let (mark, json) = json.strip_prefix('\u{feff}').map_or(("", json), |json| ("\u{feff}", json));
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let mut other = mark.to_owned();
    let mut chars = json.chars();
    let mut in_text = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => in_text = !in_text,
            '\\' => {
                other.push(c);
                let escape = chars.next()?;
                other.push(escape);
                if escape == 'u' {
                    other.extend(chars.by_ref().take(4));
                }
                continue;
            }
            _ if in_text && (c.is_alphanumeric() || c == ' ') && u32::from(c) < 0xd800 => {
                other += &format!("\\u{:04x}", u32::from(c));
                continue;
            }
            _ => {}
        }
        other.push(c);
        if !in_text && matches!(c, '{' | '}' | '[' | ']' | ',' | ':') {
            other += " \n\t";
        }
    }
    Some(other)
}

/// A reading without what depends on how the JSON was written.
pub(crate) fn essence(mut reading: Reading) -> Reading {
    let task = &mut reading.task;
    for at in 0..task.images.len() {
        if let Some(text) = task.inline_text(&task.images[at]) {
            task.images[at].link = Link::Inline(text.trim().to_owned());
        }
    }
    task.json = Json::default();
    reading
}
