//! What would be right instead, as far as a fault and the member itself tell.

use imgtask::dialects::Fault;
use serde_json::Value;

use crate::service::nearest;

/// Longest text that is shown again.
const LONGEST: usize = 40;

/// The document where it can be read, and what keeps it from that where it cannot.
pub(super) fn read(json: &str) -> Result<Value, String> {
    let json = json.trim_start_matches('\u{feff}');
    if json.trim().is_empty() {
        return Err("the file is empty: `imgtask dialect new` prints one to start from".to_string());
    }
    serde_json::from_str(json).map_err(|error| {
        // Its words are about the syntax alone, and end in a place that the fault has told.
        let words = error.to_string();
        words.split(" at line ").next().unwrap_or_default().to_string()
    })
}

/// A hint behind a fault; `None` where the fault says it all.
pub(super) fn of(fault: &Fault, document: &Result<Value, String>) -> Option<String> {
    let document = match document {
        Ok(document) => document,
        Err(words) => return fault.message.starts_with("not JSON").then(|| words.clone()),
    };
    let message = fault.message.as_str();
    let found = document.pointer(&fault.pointer)?;
    let meant = |text: String| Some(format!("did you mean \"{text}\"?"));
    match found {
        Value::String(text) if text.len() > LONGEST => None,
        Value::String(text) if message.starts_with("must be a JSON pointer") => {
            meant(format!("/{}", text.trim_start_matches("$.").replace('.', "/")))
        }
        Value::String(text) if message.starts_with("must start with https://") => {
            let host = text.split_once("://").map_or(text.as_str(), |(_, host)| host);
            meant(format!("https://{host}"))
        }
        Value::String(text) if message == "must start with one /" => {
            meant(format!("/{}", text.trim_start_matches('/')))
        }
        Value::String(text) if message == "must contain {id}" => {
            let path = [":id", "<id>", "{task_id}", "{taskId}", "$id"];
            let other = path.into_iter().find(|other| text.contains(other))?;
            meant(text.replace(other, "{id}"))
        }
        Value::String(text) if message.starts_with("must be one of ") => {
            let known = message.trim_start_matches("must be one of ");
            let near = nearest(&text.to_lowercase(), known.split(", ")).map(|near| format!("; did you mean {near}?"));
            Some(format!("it is {text:?}{}", near.unwrap_or_default()))
        }
        other if message == "must be a pair" => Some(format!("it is {}; a pair is [0, 3000]", kind(other))),
        other if message.starts_with("must be a ") || message.starts_with("must be an ") => {
            Some(format!("it is {}", kind(other)))
        }
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgtask::dialects::Draft;

    /// The hints for a document, by their pointers.
    fn hints(json: &str) -> Vec<(String, Option<String>)> {
        let faults = Draft::parse(json).expect_err("faults");
        let document = read(json);
        faults.iter().map(|fault| (fault.pointer.clone(), of(fault, &document))).collect()
    }

    #[test]
    fn what_was_probably_meant_is_said() {
        let told = hints(
            r#"{"name": "a", "base_url": "http//x", "submit": {"path": "v1/images"},
                "poll": {"paths": ["/v1/tasks/:id"]},
                "read": {"status": "data.status", "words": {"done": "succeded", "x": 3}, "images": "url"},
                "timing": {"intervals_ms": [[1, 2, 3]]}}"#,
        );
        let hint = |pointer: &str| {
            let found = told.iter().find(|(place, _)| place == pointer);
            found.unwrap_or_else(|| panic!("no fault at {pointer} in {told:#?}")).1.clone().unwrap_or_default()
        };
        assert_eq!(hint("/submit/path"), "did you mean \"/v1/images\"?");
        assert_eq!(hint("/poll/paths/0"), "did you mean \"/v1/tasks/{id}\"?");
        assert_eq!(hint("/read/status"), "did you mean \"/data/status\"?");
        assert_eq!(hint("/read/words/done"), "it is \"succeded\"; did you mean succeeded?");
        assert_eq!(hint("/read/words/x"), "it is a number");
        assert_eq!(hint("/read/images"), "it is text");
        assert_eq!(hint("/timing/intervals_ms/0"), "it is a list; a pair is [0, 3000]");
    }

    #[test]
    fn what_is_no_json_is_told_in_words_of_its_syntax_and_never_quoted() {
        let told = |json: &str| hints(json)[0].1.clone().unwrap_or_default();
        assert_eq!(told("{\"name\": \"canary\",}"), "trailing comma");
        assert!(told("{canary}").contains("key must be a string"));
        assert!(told(" \n").starts_with("the file is empty"));
    }
}
