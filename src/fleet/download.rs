//! An image of a job becomes bytes or a file, on a thread of ours: one at a time, so that a task of a thousand images takes its turns
//! like a thousand tasks.

use std::path::Path;
use std::sync::Arc;

use super::event::{Delivery, Event, EventKind};
use super::job::{Goal, Images};
use super::slots::Key;
use super::{Shared, State, path};
use crate::error::{Error, Result, Status};
use crate::http::{Stop, Url};
use crate::image::NewFile;
use crate::picture::{Picture, SavedPicture};
use crate::task::Task;

impl Shared {
    /// Lines an image up behind the others of its host.
    pub(super) fn line_up(&self, state: &mut State, key: Key, task: Box<Task>) {
        let Some(slot) = state.slots.get(key) else { return };
        // One that does not exist is told about by whoever fetches it.
        let host = task.images.get(slot.image_index()).and_then(|image| Url::parse(image.url()).ok());
        let host = host.map(|url| url.origin().to_string()).unwrap_or_default();
        state.lanes.push(&host, key, task);
        self.work.notify_one();
    }

    pub(super) fn download(&self, key: Key, task: Box<Task>, host: &str, stop: &Arc<Stop>) {
        let wanted = self.lock().slots.get(key).map(|slot| {
            let file = slot.rest.as_ref().and_then(|rest| rest.path.clone());
            (slot.image_index(), slot.replace, file.filter(|_| slot.goal == Goal::File))
        });
        let Some((index, replace, file)) = wanted else { return };
        let result = match &file {
            Some(file) => self.save(&task, index, file, replace, stop),
            None => self.bytes(&task, index, stop),
        };
        let mut state = self.lock();
        self.slow_over(&mut state);
        state.lanes.give_back(host);
        let Some(slot) = state.slots.get(key) else { return };
        slot.under_way = None;
        match (result, slot.images) {
            (Err(error), _) if slot.stopped && error.status() == Status::Cancelled => {
                self.end_stopped(&mut state, key, Some(task));
            }
            (Ok(image), Images::One(_)) => self.succeed(&mut state, key, Some(*task), Some(image)),
            (result, Images::All) if !task.images.is_empty() => self.one_of_all(&mut state, key, task, result),
            (Ok(_), Images::All) => self.succeed(&mut state, key, Some(*task), None),
            (Err(error), _) => self.fail(&mut state, key, error, Some(*task)),
        }
    }

    /// Tells of one image of several, and goes on to the next. The first error is the job's.
    fn one_of_all(&self, state: &mut State, key: Key, task: Box<Task>, result: Result<Delivery>) {
        let Some(slot) = state.slots.get(key) else { return };
        let index = slot.image_index();
        let (image, error) = match result {
            Ok(image) => (Some(image), None),
            Err(error) => (None, Some(error)),
        };
        let goal = if image.is_some() { slot.goal } else { Goal::Finished };
        let event = Event::of(slot, EventKind::Image);
        self.queue.push(Event { image_index: index, image, error: error.clone(), goal: Some(goal), ..event });
        let stopped = slot.stopped;
        let rest = slot.rest();
        rest.next_image = index + 1;
        rest.first_error = rest.first_error.take().or(error);
        if rest.next_image < task.images.len() {
            return match stopped {
                true => self.end_stopped(state, key, Some(task)),
                false => self.line_up(state, key, task),
            };
        }
        match rest.first_error.take() {
            None => self.succeed(state, key, Some(*task), None),
            Some(error) => self.fail(state, key, error, Some(*task)),
        }
    }

    fn bytes(&self, task: &Task, index: usize, stop: &Arc<Stop>) -> Result<Delivery> {
        let mut data = Vec::new();
        let info = self.api.retrieve(task, index, stop, &mut data)?;
        Ok(Delivery::Picture(Picture { data, info }))
    }

    fn save(&self, task: &Task, index: usize, file: &Path, replace: bool, stop: &Arc<Stop>) -> Result<Delivery> {
        let about = |error: Error| error.with_task_id(&task.id);
        // The type is not known yet. What stands in its place may be this very image, saved before a crash: the bytes tell.
        let mut new_file = NewFile::create(&path::fill(file, &task.id, index, "part"), true).map_err(about)?;
        let info = self.api.retrieve(task, index, stop, &mut new_file)?;
        new_file.name(&path::fill(file, &task.id, index, info.extension), replace).map_err(about)?;
        Ok(Delivery::Saved(SavedPicture { path: new_file.finish().map_err(about)?, info }))
    }
}
