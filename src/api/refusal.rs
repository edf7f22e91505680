//! What an answer other than success means, in words.

use super::exchange::{Answer, Key};
use super::{Api, Target, longer};
use crate::dialect::Meaning;
use crate::error::{Error, Retry, Status};
use crate::words::without_secrets;

impl Api {
    /// The dialect's error with the service's name before it and without the key, as `status`.
    pub(super) fn named(&self, error: &Error, status: Status, key: &Key) -> Error {
        let clean = |text| without_secrets(text, &key.key);
        let named = Error::new(status, format!("{}: {}", self.title(), clean(error.message())))
            .with_provider_code(clean(error.provider_code()))
            .with_request_id(clean(error.request_id()));
        if status != error.status() || error.retry() == named.retry() { named } else { named.with_retry(error.retry()) }
    }

    /// What an answer other than success means, in words. `target` is the task it is about, `None` after a submit.
    pub(super) fn refused(&self, answer: &Answer, target: Option<&Target>) -> Error {
        let refusal = self.dialect().read_refusal(&answer.body);
        let status = match refusal.status(answer.meaning, answer.status) {
            // After a submit it is about the route or the model, never about a task.
            Status::NotFound if target.is_none() => Status::Rejected,
            status => status,
        };
        let title = self.title();
        // Whether a server's error came before or after the task was made, only the service itself can say.
        let may_have_submitted = target.is_none() && answer.status != 503 && refusal.retryable != Some(true);
        let what = match status {
            Status::Unauthorized if answer.status == 403 => format!("{title} says this key is not allowed to do that"),
            Status::Unauthorized => format!("{title} did not accept the key"),
            Status::Payment => format!("{title} says the account has no balance"),
            Status::NotFound => match target {
                Some(Target { id, .. }) if !id.is_empty() => format!("{title} knows no task {id} of this key"),
                _ => format!("{title} knows no such task of this key"),
            },
            Status::RateLimited => format!("{title} asks for fewer requests"),
            Status::Server if may_have_submitted => {
                format!("{title} cannot answer now, and whether it made a task is not known")
            }
            Status::Server => format!("{title} cannot answer now"),
            _ if (300..400).contains(&answer.status) => {
                format!("{title} redirects to {}, which API calls do not follow", known(&answer.redirect_origin))
            }
            _ => format!("{title} refused the request"),
        };
        // Each part by itself: what was cut to its length may end inside the key.
        let clean = |text: &str| without_secrets(text, &answer.key.key);
        let code = clean(if refusal.code.is_empty() { &refusal.kind } else { &refusal.code });
        let mut message = match code.as_str() {
            "" => format!("{what} (HTTP {})", answer.status),
            code => format!("{what} (HTTP {}, {code})", answer.status),
        };
        if !refusal.message.is_empty() {
            message += ": ";
            message += &clean(&refusal.message);
        }
        let request_id = if answer.request_id.is_empty() { &refusal.request_id } else { &answer.request_id };
        let error = Error::new(status, message)
            .with_http_status(answer.status)
            .with_provider_code(code)
            .with_request_id(clean(request_id));
        // 501 and 505 are a server's error that stays.
        let stays = status == Status::Server && answer.meaning == Meaning::Stop;
        match longer(refusal.retry_after, answer.retry_after) {
            _ if refusal.retryable == Some(false) || stays => error.with_retry(Retry::Never),
            _ if status == Status::Server && may_have_submitted => error.with_retry(Retry::Never),
            Some(pause) if matches!(status, Status::RateLimited | Status::Server) => {
                error.with_retry(Retry::After(pause))
            }
            _ => error,
        }
    }
}

fn known(origin: &str) -> &str {
    if origin.is_empty() { "another address" } else { origin }
}
