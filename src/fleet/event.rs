//! What happened to a job, as data for whoever asks.

use std::fmt;
use std::sync::Weak;

use super::Shared;
use super::job::Goal;
use crate::error::{Error, Status};
use crate::journal::EntryId;
use crate::picture::{Picture, Pixels, SavedPicture};
use crate::task::Task;

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum EventKind {
    /// The job is over; exactly one comes for each accepted job, and nothing of the job after it.
    Final = 1,
    /// The task moved on. What was not taken yet is merged: the event tells of the last look.
    Progress = 2,
    /// One image of several is here.
    Image = 3,
    /// A job of the journal goes on; its other events follow.
    Resumed = 4,
}

/// An image that a job brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Its bytes.
    Picture(Picture),
    /// Its pixels.
    Pixels(Pixels),
    /// The file that it is in.
    Saved(SavedPicture),
}

/// Something that happened to a job.
#[derive(Clone)]
pub struct Event {
    /// Which job: the number that starting it gave.
    pub op: u64,
    /// The job's own number.
    pub user_data: u64,
    /// The job's label.
    pub label: String,
    /// What the event tells.
    pub kind: EventKind,
    /// How far the job has come: `None` when it reached nothing.
    pub goal: Option<Goal>,
    /// Which image it tells of, where it brings one.
    pub image_index: usize,
    /// What is known of the task.
    pub task: Option<Task>,
    /// The image, where it brings one.
    pub image: Option<Delivery>,
    /// Why the job ended short of its goal.
    pub error: Option<Error>,
    /// What the journal keeps of the job until the event is acknowledged.
    pub(super) receipt: Option<Receipt>,
}

/// The journal's entry of a job that is over.
#[derive(Clone)]
pub(super) struct Receipt {
    pub(super) fleet: Weak<Shared>,
    pub(super) entry: EntryId,
}

impl Event {
    /// What the job came to: the error's status, or `Ok`.
    pub fn status(&self) -> Status {
        self.error.as_ref().map_or(Status::Ok, Error::status)
    }

    /// Tells the journal that a final event arrived: its job does not come back after a restart. Never waits for the disk: it is
    /// written within a quarter of a second when a worker is free, and at the latest when the client is closed or dropped.
    ///
    /// Dropping the event does not: what was never acknowledged is delivered again, and so is what is acknowledged after the
    /// client is gone.
    pub fn acknowledge(&mut self) {
        if let Some(receipt) = self.receipt.take()
            && let Some(fleet) = receipt.fleet.upgrade()
        {
            fleet.acknowledged(receipt.entry);
        }
    }

    /// Whether acknowledging it means anything: a final event of a job that the journal keeps.
    pub(crate) fn wants_acknowledgement(&self) -> bool {
        self.receipt.is_some()
    }

    /// Bytes that it holds while nobody takes it.
    pub(super) fn weight(&self) -> usize {
        let body = self.task.as_ref().map_or(0, |task| task.json.as_str().len());
        let image = match &self.image {
            Some(Delivery::Picture(picture)) => picture.data.capacity(),
            Some(Delivery::Pixels(pixels)) => pixels.data.capacity(),
            _ => 0,
        };
        let known = self.error.as_ref().and_then(Error::task).map_or(0, |task| task.json.as_str().len());
        body + image + known
    }
}

// Bodies and images belong into no log.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("op", &self.op)
            .field("kind", &self.kind)
            .field("label", &self.label)
            .field("goal", &self.goal)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
