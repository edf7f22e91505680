//! Words that most services share. A dialect's own table goes before these.

use std::borrow::Cow;

use crate::task::FailureAction::{self, ChangeRequest, CheckAccount};
use crate::task::State::{self, Cancelled, Expired, Failed, Queued, Running, Succeeded};

/// Status words, in lower case.
pub(super) const STATES: &[(&str, State)] = &[
    ("queued", Queued),
    ("pending", Queued),
    ("submitted", Queued),
    ("waiting", Queued),
    ("queuing", Queued),
    ("in_queue", Queued),
    ("starting", Queued),
    ("throttled", Queued),
    ("staged", Queued),
    ("dispatched", Queued),
    ("not_start", Queued),
    ("created", Queued),
    ("scheduled", Queued),
    ("accepted", Queued),
    ("task_status_queued", Queued),
    ("running", Running),
    ("in_progress", Running),
    ("processing", Running),
    ("generating", Running),
    ("dreaming", Running),
    ("uploading", Running),
    ("partial", Running),
    ("started", Running),
    ("executing", Running),
    ("task_status_processing", Running),
    ("succeeded", Succeeded),
    ("success", Succeeded),
    ("completed", Succeeded),
    ("complete", Succeeded),
    ("succeed", Succeeded),
    ("done", Succeeded),
    ("ready", Succeeded),
    ("finished", Succeeded),
    ("task_status_succeed", Succeeded),
    ("failed", Failed),
    ("failure", Failed),
    ("fail", Failed),
    ("error", Failed),
    ("rejected", Failed),
    ("incomplete", Failed),
    ("timeout", Failed),
    ("request moderated", Failed),
    ("content moderated", Failed),
    ("task_status_failed", Failed),
    ("canceled", Cancelled),
    ("cancelled", Cancelled),
    ("aborted", Cancelled),
    ("task_status_canceled", Cancelled),
    ("expired", Expired),
    ("not_found", Expired),
    ("task not found", Expired),
    ("deleted", Expired),
];

/// What helps after an error code, class or status word, in lower case. After any other: submit again.
pub(super) const ACTIONS: &[(&str, FailureAction)] = &[
    ("content_moderation", ChangeRequest),
    ("content_policy_violation", ChangeRequest),
    ("moderation_blocked", ChangeRequest),
    ("request moderated", ChangeRequest),
    ("content moderated", ChangeRequest),
    ("invalid_request_error", ChangeRequest),
    ("invalid_reference_image", ChangeRequest),
    ("reference_image_too_large", ChangeRequest),
    ("context_length_exceeded", ChangeRequest),
    ("model_not_found", ChangeRequest),
    ("model_type_mismatch", ChangeRequest),
    ("unsupported_parameter", ChangeRequest),
    ("too_many_images", ChangeRequest),
    ("payload_too_large", ChangeRequest),
    ("auth_required", CheckAccount),
    ("account_forbidden", CheckAccount),
    ("authentication_error", CheckAccount),
    ("missing_api_key", CheckAccount),
    ("invalid_api_key", CheckAccount),
    ("expired_api_key", CheckAccount),
    ("payment_required", CheckAccount),
    ("insufficient_balance", CheckAccount),
    ("quota_exceeded", CheckAccount),
    ("access_denied", CheckAccount),
    ("model_not_allowed", CheckAccount),
];

/// The entry of a word, however it is written.
pub(super) fn look_up<T: Copy>(own: &[(String, T)], shared: &[(&str, T)], word: &str) -> Option<T> {
    let word = word.trim();
    // Only a word outside ASCII needs more than a comparison without regard to case.
    let word = if word.is_ascii() { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) };
    // Most words are told apart by their length.
    let is = |known: &str| known.len() == word.len() && known.eq_ignore_ascii_case(&word);
    let own = own.iter().find(|(known, _)| is(known)).map(|(_, meaning)| *meaning);
    own.or_else(|| shared.iter().find(|(known, _)| is(known)).map(|(_, meaning)| *meaning))
}
