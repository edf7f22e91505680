use super::*;

#[test]
fn a_panic_becomes_a_status_with_its_place_and_without_its_words() {
    let result = contain(|| panic!("a secret"));
    let error = result.unwrap_err();
    assert_eq!(error.status(), Status::Panic);
    assert!(error.message().contains("tests.rs:"), "{}", error.message());
    assert!(!error.message().contains("secret"));
}
