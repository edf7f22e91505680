//! Every documented body, against what a client should read in it.

use super::*;
use crate::dialect::Meaning;
use crate::task::{FailureAction, Link};

/// How a body came.
enum Came {
    FromSubmit,
    FromLook,
}
use Came::{FromLook, FromSubmit};

struct Row {
    file: &'static str,
    provider: &'static str,
    came: Came,
    state: State,
    progress: i32,
    id: &'static str,
    /// Addresses, or the first letters of inline images.
    links: &'static [&'static str],
    /// Code and message of the failure.
    failure: Option<(&'static str, &'static str)>,
}

const IMG: &str = "img_xxx";
const LD: &str = "ldtask_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ABC: &str = "img_abc123def456";
const SIGNED: &str = "/p/img/img_xxx/0?exp=1777166400000&sig=...";
const SIGNED_A: &str = "/p/img/img_xxx/0?exp=1777166400000&sig=aaaaaaaaaaaaaaaaaaaaaaaa";
const ELSEWHERE: &str = "https://images.example.net/p/img/img_xxx/0?exp=1777166400000&sig=0123456789abcdef01234567";
const CDN: &str = "https://cdn.example.com/generated/image-abc123.png";
const DATA_URL: &str = "data:image/png;base64,iVBORw0KGgo";
const BASE64: &str = "iVBORw0KGgo";

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    use State::{Cancelled, Failed, Queued, Running, Succeeded};
    let upstream = Some(("upstream_error", "上游返回错误"));
    let policy = Some(("", "Content policy violation"));
    let row = |provider, file, came, state, progress, id, links, failure| Row {
        file, provider, came, state, progress, id, links, failure,
    };
    let d = |file, came, state, progress, links, failure| row("dimilinks", file, came, state, progress, IMG, links, failure);
    let v = |file, state, progress, failure| row("dimilinks", file, FromLook, state, progress, "video_xxx", &[], failure);
    let o = |file, state, links, failure| {
        row("dimilinks-legacy", file, FromLook, state, if state == Succeeded { 100 } else { -1 }, IMG, links, failure)
    };
    let l = |file, came, state, progress, id, links, failure| row("lemondata", file, came, state, progress, id, links, failure);
    vec![
        d("dimilinks_schema_example.json", FromLook, Queued, 50, &[], None),
        d("dimilinks_queued.json", FromLook, Queued, 0, &[], None),
        d("dimilinks_in_progress.json", FromLook, Running, 50, &[], None),
        d("dimilinks_succeeded.json", FromLook, Succeeded, 100, &[SIGNED], None),
        d("dimilinks_succeeded_minimal.json", FromLook, Succeeded, 100, &[SIGNED], None),
        d("dimilinks_succeeded_absolute_url.json", FromLook, Succeeded, 100, &[ELSEWHERE], None),
        d("dimilinks_succeeded_data_url.json", FromLook, Succeeded, 100, &[DATA_URL], None),
        d("dimilinks_succeeded_multi.json", FromLook, Succeeded, 100, &[SIGNED_A, "https://cdn.example.net/b.png", DATA_URL], None),
        d("dimilinks_succeeded_empty_data.json", FromLook, Succeeded, 100, &[], None),
        d("dimilinks_failed.json", FromLook, Failed, -1, &[], upstream),
        o("dimilinks_legacy_success.json", Succeeded, &[SIGNED], None),
        o("dimilinks_legacy_queued.json", Queued, &[], None),
        o("dimilinks_legacy_dispatched.json", Queued, &[], None),
        o("dimilinks_legacy_running.json", Running, &[], None),
        o("dimilinks_legacy_failed.json", Failed, &[], Some(("upstream_error", "upstream 502: stream disconnected"))),
        d("dimilinks_create_async.json", FromSubmit, Queued, -1, &[], None),
        d("dimilinks_create_async_apimart.json", FromSubmit, Queued, -1, &[], None),
        d("dimilinks_create_sync.json", FromSubmit, Succeeded, 100, &[SIGNED], None),
        d("dimilinks_create_sync_b64.json", FromSubmit, Succeeded, 100, &[BASE64], None),
        v("dimilinks_video_processing.json", Running, 35, None),
        v("dimilinks_video_completed.json", Succeeded, 100, None),
        v("dimilinks_video_failed.json", Failed, -1, Some(("upstream_error", "视频生成失败，请稍后重试。"))),
        l("lemondata_pending.json", FromLook, Queued, -1, ABC, &[], None),
        l("lemondata_processing.json", FromLook, Running, -1, ABC, &[], None),
        l("lemondata_completed.json", FromLook, Succeeded, 100, ABC, &[CDN], None),
        l("lemondata_failed.json", FromLook, Failed, -1, ABC, &[], policy),
        l("lemondata_tasks_pending.json", FromLook, Queued, -1, LD, &[], None),
        l("lemondata_tasks_processing.json", FromLook, Running, 40, LD, &[], None),
        l("lemondata_tasks_completed.json", FromLook, Succeeded, 100, LD, &[CDN], None),
        l("lemondata_tasks_completed_billing.json", FromLook, Succeeded, 100, LD, &[CDN], None),
        l("lemondata_tasks_failed.json", FromLook, Failed, -1, LD, &[], policy),
        l("lemondata_cancelled.json", FromLook, Cancelled, -1, LD, &[], Some(("", "Task cancelled before execution"))),
        l("lemondata_create_inline.json", FromSubmit, Succeeded, 100, "", &["https://..."], None),
        l("lemondata_create_inline_b64.json", FromSubmit, Succeeded, 100, "", &[BASE64], None),
        l("lemondata_create_async_v1.json", FromSubmit, Queued, -1, ABC, &[], None),
        l("lemondata_create_async.json", FromSubmit, Queued, -1, LD, &[], None),
    ]
}

/// Refusals: file, provider, HTTP status, what it means for a look, code, class, whether it says "no such task".
#[rustfmt::skip]
const REFUSALS: &[(&str, &str, u16, Meaning, &str, &str, bool)] = {
    use Meaning::{Gone, RateLimited, Retry, Stop};
    const D: &str = "dimilinks";
    const L: &str = "lemondata";
    const BAD: &str = "invalid_request_error";
    &[
        ("dimilinks_error_400.json", D, 400, Stop, BAD, BAD, false),
        ("dimilinks_error_400_reference.json", D, 400, Stop, "invalid_reference_image", BAD, false),
        ("dimilinks_error_401.json", D, 401, Stop, "invalid_api_key", "authentication_error", false),
        ("dimilinks_error_402.json", D, 402, Stop, "insufficient_balance", "payment_required", false),
        ("dimilinks_error_403.json", D, 403, Stop, "model_not_allowed", BAD, false),
        ("dimilinks_error_404.json", D, 404, Gone, "not_found", BAD, true),
        ("dimilinks_error_429.json", D, 429, RateLimited, "rate_limit_rpm", "rate_limit_error", false),
        ("dimilinks_error_500.json", D, 500, Retry, "internal_error", "server_error", false),
        ("dimilinks_error_502.json", D, 502, Retry, "upstream_error", "service_unavailable", false),
        ("dimilinks_error_503.json", D, 503, Retry, "service_unavailable", "service_unavailable", false),
        ("lemondata_error_400_validation.json", L, 400, Stop, "", BAD, false),
        ("lemondata_error_401.json", L, 401, Stop, "", "invalid_api_key", false),
        ("lemondata_error_402.json", L, 402, Stop, "insufficient_balance", "insufficient_balance", false),
        ("lemondata_error_403.json", L, 403, Stop, "model_not_allowed", "access_denied", false),
        ("lemondata_error_404_task.json", L, 404, Gone, "async_task_not_found", BAD, true),
        ("lemondata_error_413.json", L, 413, Stop, "payload_too_large", BAD, false),
        ("lemondata_error_429_v1.json", L, 429, RateLimited, "", "rate_limit_exceeded", false),
        ("lemondata_error_429_v2.json", L, 429, RateLimited, "rate_limit_exceeded", "rate_limit_error", false),
        ("lemondata_error_500.json", L, 500, Retry, "", "server_error", false),
        ("lemondata_error_cancel_400.json", L, 400, Stop, "unsupported_task_cancel", BAD, false),
        ("lemondata_error_cancel_409.json", L, 409, Stop, "task_not_cancellable", BAD, false),
    ]
};

#[test]
fn every_sample_reads_as_its_service_documents_it() {
    for row in rows() {
        let provider = builtin(row.provider);
        let reading = match row.came {
            FromLook => look(&provider, &sample(row.file)),
            FromSubmit => submitted(&provider, &sample(row.file)),
        };
        let (task, file) = (&reading.task, row.file);
        assert_sane(task);
        assert_eq!((task.state, task.progress, &*task.id), (row.state, row.progress, row.id), "{file}");
        assert!(!reading.unknown_word && reading.names_images && reading.wait_hint.is_none(), "{file}");
        let links: Vec<&str> = task.images.iter().map(|i| task.inline_text(i).unwrap_or_else(|| i.url())).collect();
        assert_eq!(links.len(), row.links.len(), "{file}: {links:?}");
        for (link, known) in links.iter().zip(row.links) {
            let same = link == known || ([DATA_URL, BASE64].contains(known) && link.starts_with(known));
            assert!(same, "{file}: {link} is not {known}");
        }
        let failure = task.failure.as_ref().map(|f| (&*f.code, &*f.message));
        assert_eq!(failure, row.failure, "{file}");
        assert!(task.failure.iter().all(|f| f.action == FailureAction::Resubmit && f.kind.is_empty()), "{file}");
        assert_eq!(task.json.as_str(), sample(file), "{file}");
    }
}

#[test]
fn every_refusal_says_why_and_what_it_means_for_the_look() {
    for (file, provider, http, meaning, code, kind, not_found) in REFUSALS {
        let provider = builtin(provider);
        let refusal = provider.read_refusal(sample(file).as_bytes());
        assert_eq!((&*refusal.code, &*refusal.kind, refusal.not_found), (*code, *kind, *not_found), "{file}");
        assert!(!refusal.message.is_empty() && refusal.message.lines().count() == 1, "{file}");
        assert_eq!(provider.meaning(*http), *meaning, "{file}");
    }
}

#[test]
fn no_sample_is_left_out() {
    let mut known: Vec<&str> = rows().iter().map(|row| row.file).collect();
    known.extend(REFUSALS.iter().map(|row| row.0));
    known.sort_unstable();
    let mut files = samples_of("dimilinks");
    files.extend(samples_of("lemondata"));
    assert_eq!(known, files);
}

#[test]
fn every_field_of_the_dimilinks_page_reaches_the_task() {
    let task = look(&builtin("dimilinks"), &sample("dimilinks_succeeded.json")).task;
    assert_eq!(
        (task.created_at, task.completed_at, &*task.provider_status),
        (1_777_080_000, 1_777_080_060, "succeeded")
    );
    let image = &task.images[0];
    assert_eq!((&*image.file_id, image.expires_at, image.source_index), ("file_xxx", 1_777_166_400, 0));
    let failed = look(&builtin("dimilinks"), &sample("dimilinks_failed.json")).task;
    assert_eq!((failed.created_at, failed.completed_at), (1_777_080_000, 1_777_080_060));
    let schema = look(&builtin("dimilinks"), &sample("dimilinks_schema_example.json")).task;
    assert_eq!((schema.created_at, schema.completed_at), (123, 0), "not completed before the end");
    assert_eq!(look(&builtin("dimilinks"), &sample("dimilinks_succeeded_minimal.json")).task.created_at, 1_777_080_000);
}

#[test]
fn every_field_of_the_legacy_page_reaches_the_task() {
    let provider = builtin("dimilinks-legacy");
    let task = look(&provider, &sample("dimilinks_legacy_success.json")).task;
    assert_eq!((task.created_at, task.completed_at), (1_777_080_000, 1_777_080_060));
    assert_eq!((&*task.conversation_id, task.credit_cost), ("conv_xxx", 123));
    assert_eq!((&*task.provider_status, &*task.images[0].file_id), ("success", "file_xxx"));
    let queued = look(&provider, &sample("dimilinks_legacy_queued.json")).task;
    assert_eq!((queued.completed_at, queued.credit_cost, &*queued.conversation_id), (0, 0, ""));
}

#[test]
fn every_field_of_the_lemondata_page_reaches_the_task() {
    let provider = builtin("lemondata");
    let done = look(&provider, &sample("lemondata_completed.json")).task;
    let prompt = "a beautiful sunset over mountains with vibrant orange and purple colors";
    assert_eq!(
        (done.created_at, &*done.revised_prompt, &*done.images[0].revised_prompt),
        (1_706_000_000, prompt, prompt)
    );
    let pending = look(&provider, &sample("lemondata_pending.json")).task;
    assert_eq!((&*pending.revised_prompt, pending.images.len()), ("a beautiful sunset over mountains", 0));
    let billed = look(&provider, &sample("lemondata_tasks_completed_billing.json")).task;
    assert_eq!(
        (&*billed.billing_id, &*billed.model, billed.completed_at),
        ("txn_example", "gpt-image-2", 1_706_000_060)
    );
    assert_eq!(billed.poll_ref, format!("/v1/tasks/{LD}"));
    let accepted = submitted(&provider, &sample("lemondata_create_async_v1.json")).task;
    assert_eq!(
        (&*accepted.poll_ref, &*accepted.revised_prompt),
        ("/v1/images/generations/img_abc123def456", "a red apple")
    );
    assert_eq!(look(&provider, &sample("lemondata_tasks_processing.json")).task.completed_at, 0);
}

#[test]
fn an_inline_image_is_lent_from_the_body() {
    let task = look(&builtin("dimilinks"), &sample("dimilinks_succeeded_multi.json")).task;
    assert!(matches!(&task.images[2].link, Link::InBody(_)));
    assert_eq!(task.images.iter().map(|image| image.source_index).collect::<Vec<_>>(), [0, 1, 2]);
}
