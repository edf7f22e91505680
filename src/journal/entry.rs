//! What is kept of one job.

/// What is kept of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The provider's name.
    pub(crate) provider: String,
    /// Origin and path of the API. A user name, a query and a fragment are cut off before it is kept.
    pub(crate) base: String,
    /// The task's id or poll address, cut like `base`; "" when its submit was about to be sent and no answer is known.
    pub(crate) task_ref: String,
    /// The host's own word for the job.
    pub(crate) label: String,
    /// Wall clock of the submit in Unix milliseconds, 0 when it was not ours.
    pub(crate) submitted_at_ms: i64,
    pub(crate) model: String,
    /// The goal's number.
    pub(crate) goal: u32,
    pub(crate) flags: u32,
    pub(crate) image_index: u64,
    pub(crate) max_side: u32,
    pub(crate) timeout_ms: u32,
    /// Where the image goes.
    pub(crate) path: String,
}

/// Names an entry within its journal, also after a restart. Later entries have greater numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct EntryId(pub(super) u64);

/// A reference without what may be a secret: user name, query, fragment.
#[cfg(feature = "journal")]
pub(super) fn without_secrets(reference: &str) -> String {
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    let bare = &reference[..end];
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let authority = &rest[..rest.find(['/', '\\']).unwrap_or(rest.len())];
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[user..])
}

#[cfg(feature = "journal")]
impl Entry {
    /// The entry as it is kept.
    pub(super) fn kept(&self) -> Entry {
        Entry { base: without_secrets(&self.base), task_ref: without_secrets(&self.task_ref), ..self.clone() }
    }

    /// Compact JSON; members that are empty or 0 are left out.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        use serde_json::{Map, Value};
        let mut members = Map::new();
        let words = [
            ("provider", &self.provider),
            ("base", &self.base),
            ("ref", &self.task_ref),
            ("label", &self.label),
            ("model", &self.model),
            ("path", &self.path),
        ];
        for (name, word) in words.into_iter().filter(|(_, word)| !word.is_empty()) {
            members.insert(name.to_owned(), Value::from(word.as_str()));
        }
        let numbers = [
            ("goal", self.goal.into()),
            ("flags", self.flags.into()),
            ("image", self.image_index),
            ("max_side", self.max_side.into()),
            ("timeout_ms", self.timeout_ms.into()),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
            members.insert(name.to_owned(), Value::from(number));
        }
        if self.submitted_at_ms != 0 {
            members.insert("submitted_at_ms".to_owned(), Value::from(self.submitted_at_ms));
        }
        Value::Object(members).to_string().into_bytes()
    }

    /// Reads what [`Entry::to_bytes`] wrote; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Entry> {
        let serde_json::Value::Object(members) = serde_json::from_slice(bytes).ok()? else { return None };
        let word = |name: &str| members.get(name).map_or(Some(""), |word| word.as_str()).map(str::to_owned);
        let wide = |name: &str| members.get(name).map_or(Some(0), |number| number.as_u64());
        let number = |name: &str| wide(name).and_then(|number| u32::try_from(number).ok());
        Some(Entry {
            provider: word("provider")?,
            base: word("base")?,
            task_ref: word("ref")?,
            label: word("label")?,
            submitted_at_ms: members.get("submitted_at_ms").map_or(Some(0), |number| number.as_i64())?,
            model: word("model")?,
            goal: number("goal")?,
            flags: number("flags")?,
            image_index: wide("image")?,
            max_side: number("max_side")?,
            timeout_ms: number("timeout_ms")?,
            path: word("path")?,
        })
    }
}

#[cfg(all(test, feature = "journal"))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let full = Entry {
            provider: "dimilinks".into(),
            base: "https://dimilinks.com/v1".into(),
            task_ref: "img_1".into(),
            label: "a \"label\"\n\u{1f98a}\0".into(),
            submitted_at_ms: -1,
            model: "m".into(),
            goal: u32::MAX,
            flags: 1,
            image_index: u64::MAX,
            max_side: 2,
            timeout_ms: 3,
            path: "out/{id}.{ext}".into(),
        };
        for entry in [full, Entry::default()] {
            assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
        }
    }

    #[test]
    fn a_member_of_a_later_version_is_passed_over_and_one_of_another_kind_is_not_an_entry() {
        let entry = Entry::from_bytes(br#"{"ref":"a","colour":{"deep":[1]}}"#).expect("an entry");
        assert_eq!(entry, Entry { task_ref: "a".into(), ..Entry::default() });
        for bad in ["", "[]", r#"{"ref":1}"#, r#"{"goal":4294967296}"#, r#"{"goal":-1}"#, r#"{"ref":"a""#] {
            assert_eq!(Entry::from_bytes(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_reference_keeps_no_query_no_fragment_and_no_user_name() {
        for (given, kept) in [
            ("img_1", "img_1"),
            ("/v1/tasks/img_1", "/v1/tasks/img_1"),
            ("/v1/tasks/img_1?exp=1&sig=0f", "/v1/tasks/img_1"),
            ("https://h/v1/tasks/img_1?sig=0f#x", "https://h/v1/tasks/img_1"),
            ("https://user:word@h:8/a@b", "https://h:8/a@b"),
            ("https://u@v@h", "https://h"),
            ("https://h#u@v?", "https://h"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(given), kept);
        }
    }
}
