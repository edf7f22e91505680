//! The dialects that come with the library, as documents.

use super::*;
use crate::dialect::Confidence;
use crate::dialect::builtin::Shelf;

#[test]
fn asking_for_one_dialect_parses_no_other() {
    let shelf = Shelf::new();
    assert!(shelf.named("lemondata").is_some() && shelf.named("nobody").is_none());
    let parsed: Vec<&str> = shelf.0.iter().filter_map(|parsed| Some(&*parsed.get()?.profile().name)).collect();
    assert_eq!(parsed, ["lemondata"]);
}

#[test]
fn the_documented_services_come_first_and_the_others_by_name_and_none_of_them_as_documented() {
    let names: Vec<&str> = Dialect::builtins().map(|dialect| &*dialect.profile().name).collect();
    assert_eq!(names, Dialect::builtin_names().collect::<Vec<_>>(), "a dialect is called as its file is");
    let (documented, inferred) = names.split_at(3);
    assert_eq!(documented, ["dimilinks", "dimilinks-legacy", "lemondata"]);
    assert!(inferred.is_sorted() && inferred.len() >= 26, "{inferred:?}");
    for dialect in Dialect::builtins() {
        let profile = dialect.profile();
        let wanted = if documented.contains(&&*profile.name) { Confidence::Documented } else { Confidence::Inferred };
        assert_eq!(profile.confidence, wanted, "{}", &*profile.name);
    }
}

#[test]
fn the_embedded_documents_are_the_files_without_what_is_only_for_readers() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialect/builtin");
    let files = std::fs::read_dir(folder).expect("the documents are committed").count();
    assert_eq!(Dialect::builtin_names().count(), files);
    for name in Dialect::builtin_names() {
        let embedded = Dialect::builtin_document(name).expect(name);
        let file = std::fs::read_to_string(format!("{folder}/{name}.json")).expect(name);
        let mut whole: serde_json::Value = serde_json::from_str(&file).expect(name);
        assert!(whole["sources"].as_array().is_some_and(|sources| !sources.is_empty()), "{name} says where it is from");
        if !cfg!(feature = "dialect-tools") {
            let members = whole.as_object_mut().expect(name);
            members.retain(|member, _| member != "sources" && member != "notes");
            assert!(!embedded.contains('\n'), "{name}");
        }
        assert_eq!(serde_json::from_str::<serde_json::Value>(embedded).expect(name), whole);
    }
}
