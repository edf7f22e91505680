//! imgtask gets your image back from an asynchronous image API: correctly, from any language, without blocking a frame,
//! and without losing a task that was paid for.
//!
//! This is the Rust face of it; `include/imgtask.h` is the C one. Start at [`Client`].
//!
//! Folders and who may know whom: `capi -> client -> image -> {poll, dialect, http} -> {task, error}`. Never upward, never
//! sideways between `poll`, `dialect` and `http`.

#[allow(unsafe_code)]
mod capi;
mod client;
#[allow(dead_code, unused_imports)]
mod dialect;
mod error;
mod http;
#[allow(dead_code)]
mod poll;
mod task;

pub use client::{Client, Options, Picture, PictureInfo, ProviderInfo, SavedPicture, Stats, providers};
pub use error::{Error, Result, Retry, Status};
pub use task::{Failure, FailureAction, Image, Json, Link, State, Task};
