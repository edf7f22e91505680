//! `imgtask_task`: what is known of a task.

use std::ffi::c_char;

use super::handle::{self, Handle, Out};
use super::sized::{Place, sized_struct};
use super::text::{Arena, Text};
use super::{free, guard};
use crate::error::{Error, Result, Status};
use crate::task::{FailureAction, Image, State, Task};

/// What is known of a task after a submit, a look or a wait. Immutable: any number of threads may read it, and it outlives
/// its client.
pub struct imgtask_task {
    pub(super) core: Task,
    text: Arena,
    id: Text,
    poll_ref: Text,
    provider_status: Text,
    failure_code: Text,
    failure_type: Text,
    failure_message: Text,
    revised_prompt: Text,
    model: Text,
    conversation_id: Text,
    billing_id: Text,
    images: Vec<ImageTexts>,
}

struct ImageTexts {
    url: Text,
    file_id: Text,
    revised_prompt: Text,
}

impl Handle for imgtask_task {
    type Owner = Box<imgtask_task>;
}

/// A task. Strings are borrowed from the task and never NULL: "" where the service said nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_task_info {
    /// Set to sizeof(imgtask_task_info) before the call.
    pub struct_size: usize,
    /// Usable images, 0 until it succeeded.
    pub image_count: usize,
    /// Where it stands.
    pub state: State,
    /// 1: nothing will change it any more.
    pub is_final: u32,
    /// 0 to 100, never lower within one wait, 100 only when it succeeded; -1 unknown or failed.
    pub progress: i32,
    /// What helps after a failure.
    pub failure_action: FailureAction,
    /// When the service accepted it, Unix seconds, 0 unknown.
    pub created_at: i64,
    /// When it ended, Unix seconds, 0 unknown or not yet.
    pub completed_at: i64,
    /// When this was seen, Unix milliseconds by this machine's clock, 0 when no look saw it.
    pub looked_at_ms: i64,
    /// The service's credits, -1 unknown.
    pub credit_cost: i64,
    /// The service's id. Enough to look at it again, also from another process.
    pub id: *const c_char,
    /// What to pass as task_ref: the service's own poll address when it gave one, else the id.
    pub poll_ref: *const c_char,
    /// The service's own word for where it stands.
    pub provider_status: *const c_char,
    /// The service's code of the failure.
    pub failure_code: *const c_char,
    /// The service's class of the failure.
    pub failure_type: *const c_char,
    /// The service's words about the failure, in lines and without control characters; "the service gave no reason" when it
    /// gave none; "" when it did not fail.
    pub failure_message: *const c_char,
    /// The prompt as the service rewrote it, also while it works.
    pub revised_prompt: *const c_char,
    /// The model that works on it.
    pub model: *const c_char,
    /// The upstream conversation.
    pub conversation_id: *const c_char,
    /// The id of the charge.
    pub billing_id: *const c_char,
}
sized_struct!(imgtask_task_info, last: billing_id: *const c_char);

/// One image of a task. Strings are borrowed from the task and never NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_image_info {
    /// Set to sizeof(imgtask_image_info) before the call.
    pub struct_size: usize,
    /// Its place among the task's usable images.
    pub index: usize,
    /// Its place in the service's own list, which may hold empty places.
    pub source_index: usize,
    /// Its absolute address, "" when the image is in the task itself. Signed links are secrets for as long as they work.
    pub url: *const c_char,
    /// The service's id of the file.
    pub file_id: *const c_char,
    /// The prompt as the service rewrote it.
    pub revised_prompt: *const c_char,
    /// When the link expires, Unix seconds, 0 unknown.
    pub expires_at: i64,
    /// Length of the image file in bytes, 0 unknown.
    pub byte_size: u64,
    /// Pixels across, 0 unknown.
    pub width: u32,
    /// Pixels down, 0 unknown.
    pub height: u32,
    /// 1: the image is in the task itself (a data URL or base64); imgtask_client_download needs no network for it.
    pub is_inline: u32,
    /// 0.
    pub reserved: u32,
}
sized_struct!(imgtask_image_info, last: reserved: u32);

/// All that is known of a task.
///
/// @param task   the task.
/// @param inout  set its struct_size; the rest is filled.
/// @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_task_get(task: *const imgtask_task, inout: *mut imgtask_task_info) -> Status {
    guard(Out::nowhere(), || {
        // SAFETY: NULL or what the header asks for: a struct to write and a task that is not freed.
        let (place, task) = unsafe { (Place::clear(inout, "inout")?, handle::borrow(task, "task")?) };
        place.fill(task.info());
        Ok(())
    })
}

/// One image of a task.
///
/// @param task   the task.
/// @param index  which image, below imgtask_task_info.image_count.
/// @param inout  set its struct_size; the rest is filled.
/// @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for an index without an image or a struct_size that is not one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_task_get_image(
    task: *const imgtask_task,
    index: usize,
    inout: *mut imgtask_image_info,
) -> Status {
    guard(Out::nowhere(), || {
        // SAFETY: NULL or what the header asks for: a struct to write and a task that is not freed.
        let (place, task) = unsafe { (Place::clear(inout, "inout")?, handle::borrow(task, "task")?) };
        place.fill(task.image_info(index).ok_or_else(|| Error::invalid("no image at this index"))?);
        Ok(())
    })
}

/// The body that the service sent for this task, as it came.
///
/// @param task     the task, or NULL.
/// @param out_len  receives its length in bytes without the NUL behind it. May be NULL.
/// @return the body; "" when no look saw the task, and for NULL. Borrowed: good until the task is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_task_json(task: *const imgtask_task, out_len: *mut usize) -> *const c_char {
    // SAFETY: NULL or a task that is not freed, as the header asks.
    let task = unsafe { handle::borrow(task, "task") };
    let json = task.map_or("\0", |task| task.core.json.as_str_with_nul());
    if !out_len.is_null() {
        // SAFETY: not NULL, and a place to write as the header asks.
        unsafe { out_len.write(json.len() - 1) };
    }
    json.as_ptr().cast()
}

/// Frees a task. Its strings are gone with it.
///
/// @param task  the task, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_task_free(task: *mut imgtask_task) {
    // SAFETY: NULL or a task that nobody uses any more, as the header asks.
    free(|| drop(unsafe { handle::take(task) }));
}

/// Hands the task of a call to its caller, also the one that an error knows of.
pub(super) fn give(result: Result<Task>, out: Out<imgtask_task>) -> Result<()> {
    let (task, result) = match result {
        Ok(task) => (Some(task), Ok(())),
        Err(mut error) => (error.take_task(), Err(error)),
    };
    if let Some(task) = task {
        out.give_if_wanted(|| imgtask_task::boxed(task));
    }
    result
}

impl imgtask_task {
    pub(super) fn boxed(core: Task) -> Box<imgtask_task> {
        let failure = core.failure.as_ref();
        let texts = [
            core.id.as_str(),
            &core.poll_ref,
            &core.provider_status,
            failure.map_or("", |f| &f.code),
            failure.map_or("", |f| &f.kind),
            failure.map_or("", |f| &f.message),
            &core.revised_prompt,
            &core.model,
            &core.conversation_id,
            &core.billing_id,
        ];
        let of_images: usize = core.images.iter().flat_map(image_texts).map(str::len).sum();
        let len = texts.iter().map(|t| t.len()).sum::<usize>() + of_images;
        let mut text = Arena::with_room(len, texts.len() + 3 * core.images.len());
        let [
            id,
            poll_ref,
            provider_status,
            failure_code,
            failure_type,
            failure_message,
            revised_prompt,
            model,
            conversation_id,
            billing_id,
        ] = texts.map(|t| text.keep(t));
        let images = core
            .images
            .iter()
            .map(|image| {
                let [url, file_id, revised_prompt] = image_texts(image).map(|t| text.keep(t));
                ImageTexts { url, file_id, revised_prompt }
            })
            .collect();
        Box::new(imgtask_task {
            core,
            text,
            id,
            poll_ref,
            provider_status,
            failure_code,
            failure_type,
            failure_message,
            revised_prompt,
            model,
            conversation_id,
            billing_id,
            images,
        })
    }

    fn info(&self) -> imgtask_task_info {
        let task = &self.core;
        let lend = |text| self.text.lend(text);
        imgtask_task_info {
            struct_size: 0,
            image_count: task.images.len(),
            state: task.state,
            is_final: task.state.is_final().into(),
            progress: task.progress,
            failure_action: task.failure.as_ref().map_or(FailureAction::None, |failure| failure.action),
            created_at: task.created_at,
            completed_at: task.completed_at,
            looked_at_ms: task.looked_at_ms,
            credit_cost: task.credit_cost,
            id: lend(self.id),
            poll_ref: lend(self.poll_ref),
            provider_status: lend(self.provider_status),
            failure_code: lend(self.failure_code),
            failure_type: lend(self.failure_type),
            failure_message: lend(self.failure_message),
            revised_prompt: lend(self.revised_prompt),
            model: lend(self.model),
            conversation_id: lend(self.conversation_id),
            billing_id: lend(self.billing_id),
        }
    }

    fn image_info(&self, index: usize) -> Option<imgtask_image_info> {
        let (image, texts) = (self.core.images.get(index)?, self.images.get(index)?);
        Some(imgtask_image_info {
            struct_size: 0,
            index,
            source_index: image.source_index,
            url: self.text.lend(texts.url),
            file_id: self.text.lend(texts.file_id),
            revised_prompt: self.text.lend(texts.revised_prompt),
            expires_at: image.expires_at,
            byte_size: image.byte_size,
            width: image.width,
            height: image.height,
            is_inline: image.is_inline().into(),
            reserved: 0,
        })
    }
}

fn image_texts(image: &Image) -> [&str; 3] {
    [image.url(), &image.file_id, &image.revised_prompt]
}
