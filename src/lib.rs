//! imgtask gets your image back from an asynchronous image API: correctly, from any language, without blocking a frame,
//! and without losing a task that was paid for.
//!
//! This is the Rust face of it; `include/imgtask.h` is the C one. Start at [`Client`].
//!
//! Folders and who may know whom: `capi -> client -> fleet -> api -> image -> {poll, dialect, http, journal} -> {task, error}`.
//! Never upward, never sideways between `poll`, `dialect`, `http` and `journal`.

mod api;
#[allow(unsafe_code)]
mod capi;
mod client;
mod dialect;
mod error;
mod fleet;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod image;
mod journal;
mod log;
mod options;
mod panics;
mod pattern;
mod picture;
mod poll;
mod task;
mod threads;
mod wait;
mod words;

pub use client::{Client, ProviderInfo, Stats, providers};
#[cfg(any(test, feature = "dialect-tools"))]
pub use dialect::tools as dialects;
pub use error::{Error, Result, Retry, Status};
pub use fleet::{Delivery, Event, EventKind, Goal, Images, Job, Source};
pub use log::{LogLevel, LogSink};
pub use options::Options;
pub use pattern::PathPattern;
pub use picture::{Picture, PictureInfo, PixelFormat, PixelOptions, Pixels, SavedPicture};
pub use task::{Failure, FailureAction, Image, Json, Link, State, Task};
pub use wait::OnLook;
