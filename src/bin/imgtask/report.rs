//! A result as one JSON object on a line. The member names are documented in `imgtask --help` and never change.

use imgtask::{Error, PictureInfo, SavedPicture, Task};
use serde::Serialize;

use crate::exit::{Outcome, Problem, retry_after_ms};

/// What `--json` prints for a task; what is not known is null.
#[derive(Debug, Serialize)]
pub(crate) struct TaskReport<'a> {
    id: Option<&'a str>,
    #[serde(rename = "ref")]
    reference: Option<&'a str>,
    provider: &'a str,
    state: &'static str,
    #[serde(rename = "final")]
    is_final: bool,
    provider_status: Option<&'a str>,
    progress: Option<i32>,
    images: Vec<ImageReport<'a>>,
    failure: Option<FailureReport<'a>>,
    created_at: Option<i64>,
    completed_at: Option<i64>,
    looked_at_ms: Option<i64>,
    revised_prompt: Option<&'a str>,
    model: Option<&'a str>,
    conversation_id: Option<&'a str>,
    billing_id: Option<&'a str>,
    credit_cost: Option<i64>,
    error: Option<ErrorReport<'a>>,
}

#[derive(Debug, Serialize)]
struct ImageReport<'a> {
    index: usize,
    source_index: usize,
    url: Option<&'a str>,
    inline: bool,
    file_id: Option<&'a str>,
    revised_prompt: Option<&'a str>,
    expires_at: Option<i64>,
    width: Option<u32>,
    height: Option<u32>,
    byte_size: Option<u64>,
    file: Option<FileReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FileReport {
    path: String,
    media_type: &'static str,
    extension: &'static str,
    width: Option<u32>,
    height: Option<u32>,
    byte_size: u64,
    sha256: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailureReport<'a> {
    code: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    message: &'a str,
    action: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorReport<'a> {
    status: &'static str,
    message: &'a str,
    http_status: Option<u16>,
    retry_after_ms: i64,
    provider_code: Option<&'a str>,
    request_id: Option<&'a str>,
    task_id: Option<&'a str>,
}

impl<'a> TaskReport<'a> {
    pub(crate) fn new(provider: &'a str, task: &'a Task) -> TaskReport<'a> {
        TaskReport {
            id: text(&task.id),
            reference: text(&task.poll_ref),
            provider,
            state: task.state.name(),
            is_final: task.state.is_final(),
            provider_status: text(&task.provider_status),
            progress: (task.progress >= 0).then_some(task.progress),
            images: task.images.iter().enumerate().map(|(index, image)| ImageReport::new(index, image)).collect(),
            failure: FailureReport::of(task),
            created_at: number(task.created_at),
            completed_at: number(task.completed_at),
            looked_at_ms: number(task.looked_at_ms),
            revised_prompt: text(&task.revised_prompt),
            model: text(&task.model),
            conversation_id: text(&task.conversation_id),
            billing_id: text(&task.billing_id),
            credit_cost: (task.credit_cost >= 0).then_some(task.credit_cost),
            error: None,
        }
    }

    /// Adds why the call did not do what it was asked.
    pub(crate) fn with_error(mut self, error: &'a Error) -> TaskReport<'a> {
        self.error = Some(ErrorReport::new(error));
        self
    }

    /// Names the task as the user did.
    pub(crate) fn with_reference(mut self, reference: &'a str) -> TaskReport<'a> {
        self.reference = text(reference);
        self
    }

    /// Adds where an image was saved.
    pub(crate) fn with_file(mut self, index: usize, saved: &SavedPicture) -> TaskReport<'a> {
        if let Some(image) = self.images.get_mut(index) {
            image.file = Some(FileReport::new(saved));
        }
        self
    }

    /// The object on one line.
    pub(crate) fn line(&self) -> Outcome<String> {
        to_line(self)
    }
}

impl<'a> ImageReport<'a> {
    fn new(index: usize, image: &'a imgtask::Image) -> ImageReport<'a> {
        ImageReport {
            index,
            source_index: image.source_index,
            url: text(image.url()),
            inline: image.is_inline(),
            file_id: text(&image.file_id),
            revised_prompt: text(&image.revised_prompt),
            expires_at: number(image.expires_at),
            width: (image.width > 0).then_some(image.width),
            height: (image.height > 0).then_some(image.height),
            byte_size: (image.byte_size > 0).then_some(image.byte_size),
            file: None,
        }
    }
}

impl<'a> FailureReport<'a> {
    pub(crate) fn of(task: &'a Task) -> Option<FailureReport<'a>> {
        task.failure.as_ref().map(|failure| FailureReport {
            code: text(&failure.code),
            kind: text(&failure.kind),
            message: &failure.message,
            action: failure.action.name(),
        })
    }
}

impl<'a> ErrorReport<'a> {
    pub(crate) fn new(error: &'a Error) -> ErrorReport<'a> {
        ErrorReport {
            status: error.status().name(),
            message: error.message(),
            http_status: (error.http_status() > 0).then_some(error.http_status()),
            retry_after_ms: retry_after_ms(error.retry()),
            provider_code: text(error.provider_code()),
            request_id: text(error.request_id()),
            task_id: text(error.task_id()),
        }
    }
}

impl FileReport {
    pub(crate) fn new(saved: &SavedPicture) -> FileReport {
        let PictureInfo { len, media_type, extension, width, height, sha256, .. } = &saved.info;
        FileReport {
            path: saved.path.display().to_string(),
            media_type,
            extension,
            width: (*width > 0).then_some(*width),
            height: (*height > 0).then_some(*height),
            byte_size: *len,
            sha256: sha256.clone(),
        }
    }
}

/// Any result as one line of JSON.
pub(crate) fn to_line(value: &impl Serialize) -> Outcome<String> {
    serde_json::to_string(value)
        .map_err(|_| Problem::new(crate::exit::Exit::Bug, "a result could not be written as JSON"))
}

fn text(value: &str) -> Option<&str> {
    (!value.is_empty()).then_some(value)
}

fn number(value: i64) -> Option<i64> {
    (value > 0).then_some(value)
}
