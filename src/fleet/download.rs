//! An image of a job becomes bytes or a file, on a thread of ours: one at a time, so that a task of a thousand images takes its turns
//! like a thousand tasks. No thread sleeps until the next try: the download goes back to its lane with what has come.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Delivery, Event, EventKind};
use super::job::{Goal, Images};
use super::lanes::Waiting;
use super::slots::Key;
use super::{MAX_HELD_BYTES, Shared, State};
use crate::api::Retrieval;
use crate::error::{Error, Result, Status};
use crate::http::{Stop, Url};
use crate::image::{self, NewFile, Tried};
use crate::pattern::PathPattern;
use crate::picture::{Picture, PictureInfo, PixelOptions, SavedPicture};
use crate::task::Task;

/// Downloads that pause and keep what has come, at most: a file each. What came of others comes again.
const MAX_KEPT: usize = 64;

/// A download that was begun: how far it is, and what has come.
pub(super) struct Begun {
    retrieval: Retrieval,
    sink: Option<Place>,
}

/// What a job wants of its image.
struct Wanted {
    index: usize,
    /// The file that it goes to; none: to memory.
    file: Option<PathPattern>,
    replace: bool,
    /// How it becomes pixels.
    pixels: Option<PixelOptions>,
}

/// Where an image goes.
enum Place {
    Memory(Vec<u8>),
    File(NewFile),
}

impl Begun {
    fn new() -> Box<Begun> {
        Box::new(Begun { retrieval: Retrieval::new(), sink: None })
    }

    /// Bytes of memory that it holds.
    pub(super) fn weight(&self) -> usize {
        match &self.sink {
            Some(Place::Memory(data)) => size_of::<Begun>() + Retrieval::MOST_BYTES + data.capacity(),
            Some(Place::File(_)) => size_of::<Begun>() + Retrieval::MOST_BYTES,
            None => size_of::<Begun>(),
        }
    }

    /// Lets go of what has come, and gives it.
    fn forget(&mut self) -> Option<Place> {
        self.retrieval.forget();
        self.sink.take()
    }
}

impl Shared {
    /// Lines an image up behind the others of its host.
    pub(super) fn line_up(&self, state: &mut State, key: Key, task: Box<Task>) {
        let Some(slot) = state.slots.get(key) else { return };
        // One that does not exist is told about by whoever fetches it.
        let host = task.images.get(slot.image_index()).and_then(|image| Url::parse(image.url()).ok());
        let host = host.map(|url| url.origin().to_string()).unwrap_or_default();
        state.lanes.push(&host, Waiting::new(key, task));
        self.work.notify_one();
    }

    /// One try of a download.
    pub(super) fn download(&self, waiting: Waiting, host: &str, stop: &Arc<Stop>) {
        let Waiting { key, task, begun } = waiting;
        let wanted = self.lock().slots.get(key).map(|slot| {
            let file = slot.rest.as_ref().and_then(|rest| rest.path.clone());
            let pixels = slot.rest.as_ref().map(|rest| rest.pixels);
            Wanted {
                index: slot.image_index(),
                file: file.filter(|_| slot.goal == Goal::File),
                replace: slot.replace,
                pixels: pixels.filter(|_| slot.goal == Goal::Pixels),
            }
        });
        let Some(wanted) = wanted else {
            drop(begun);
            let mut state = self.lock();
            self.slow_over(&mut state);
            return state.lanes.give_back(host, key);
        };
        let mut begun = begun.unwrap_or_else(Begun::new);
        let tried = self.fetch(&mut begun, &task, &wanted, stop);
        let pause_of_host = begun.retrieval.pause_of_host();
        let mut has_place = true;
        let result = match tried {
            Ok(Tried::Again(pause)) => {
                let until_ms = self.until_ms(pause.time);
                let mut state = self.lock();
                if pause.of_host {
                    state.lanes.close(host, until_ms);
                }
                let slot = state.slots.get(key).filter(|slot| !slot.stopped);
                if let Some(slot) = slot {
                    slot.under_way = None;
                    self.slow_over(&mut state);
                    let held = state.lanes.weight() + begun.weight();
                    let is_kept = held <= MAX_HELD_BYTES / 2 && state.lanes.pausing() < MAX_KEPT;
                    let let_go = if is_kept { None } else { begun.forget() };
                    state.lanes.pause(host, Waiting { key, task, begun: Some(begun) }, until_ms);
                    drop(state);
                    // Outside the lock: a file may go.
                    drop(let_go);
                    return;
                }
                drop(state);
                // As below.
                drop(begun);
                Err(Error::new(Status::Cancelled, "the download was stopped"))
            }
            Ok(Tried::Whole(info)) => {
                let sink = begun.sink.take();
                // Its host may give the next one while this one is decoded or written to the disk.
                self.lock().lanes.give_back(host, key);
                self.work.notify_one();
                has_place = false;
                self.deliver_image(sink, info, &task, &wanted, stop)
            }
            Err(error) => {
                // What it leaves is gone before its end is told.
                drop(begun);
                Err(error)
            }
        };
        let mut state = self.lock();
        self.slow_over(&mut state);
        if let Some(pause) = pause_of_host {
            let until_ms = self.until_ms(pause);
            state.lanes.close(host, until_ms);
        }
        if has_place {
            state.lanes.give_back(host, key);
        }
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

    fn until_ms(&self, pause: Duration) -> u64 {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.api.entrance.clock.now_ms().saturating_add(pause_ms)
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

    /// One try to fetch an image into its place.
    fn fetch(&self, begun: &mut Begun, task: &Task, wanted: &Wanted, stop: &Arc<Stop>) -> Result<Tried> {
        let Begun { retrieval, sink } = begun;
        let index = wanted.index;
        let sink = match (sink, &wanted.file) {
            (Some(sink), _) => sink,
            (sink, None) => sink.insert(Place::Memory(Vec::new())),
            (sink, Some(file)) => {
                // The type is not known yet. What stands in its place may be this very image, saved before a crash: the bytes tell.
                let new_file = NewFile::create(&file.draft(&task.id, index), true, &self.api.leftovers);
                sink.insert(Place::File(new_file.map_err(|error| error.with_task_id(&task.id))?))
            }
        };
        match sink {
            Place::Memory(data) => self.api.go_on(retrieval, task, index, stop, data),
            Place::File(new_file) => self.api.go_on(retrieval, task, index, stop, new_file),
        }
    }

    /// What a job gets for its image, which is whole.
    fn deliver_image(
        &self,
        sink: Option<Place>,
        info: PictureInfo,
        task: &Task,
        wanted: &Wanted,
        stop: &Stop,
    ) -> Result<Delivery> {
        let about = |error: Error| error.with_task_id(&task.id);
        match (sink, &wanted.file) {
            (Some(Place::File(mut new_file)), Some(file)) => {
                let file = file.fill(&task.id, wanted.index, &info);
                new_file.name(&file, wanted.replace).map_err(about)?;
                Ok(Delivery::Saved(SavedPicture { path: new_file.finish().map_err(about)?, info }))
            }
            (Some(Place::Memory(data)), _) => match &wanted.pixels {
                None => Ok(Delivery::Picture(Picture { data, info })),
                Some(how) => Ok(Delivery::Pixels(image::decode(&data, &info, how, Some(stop)).map_err(about)?)),
            },
            _ => Err(about(Error::new(Status::File, "the image has no place to go"))),
        }
    }
}
