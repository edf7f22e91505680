//! What C holds: opaque pointers, each tied to its kind of owner, so that freeing with the wrong kind does not compile.

use std::ptr;
use std::sync::Arc;

use super::process;
use crate::error::{Error, Result, Status};

/// A type that C holds by pointer.
pub(super) trait Handle: Sized {
    /// What owns the value behind the pointer.
    type Owner: Owner<Self>;
}

/// An owner that can be a raw pointer for a while.
pub(super) trait Owner<T> {
    fn into_raw(self) -> *mut T;

    /// # Safety
    /// `raw` came from `into_raw` of the same kind of owner and is taken back once.
    unsafe fn from_raw(raw: *mut T) -> Self;
}

impl<T> Owner<T> for Box<T> {
    fn into_raw(self) -> *mut T {
        Box::into_raw(self)
    }

    unsafe fn from_raw(raw: *mut T) -> Box<T> {
        // SAFETY: the trait's promise.
        unsafe { Box::from_raw(raw) }
    }
}

impl<T> Owner<T> for Arc<T> {
    fn into_raw(self) -> *mut T {
        Arc::into_raw(self).cast_mut()
    }

    unsafe fn from_raw(raw: *mut T) -> Arc<T> {
        // SAFETY: the trait's promise.
        unsafe { Arc::from_raw(raw) }
    }
}

/// A place of the caller for a handle. It holds NULL from the start of the call, so every early return leaves NULL.
pub(super) struct Out<T>(*mut *mut T);

impl<T: Handle> Out<T> {
    /// # Safety
    /// `place` is NULL or may be written for the rest of the call.
    pub(super) unsafe fn clear(place: *mut *mut T) -> Out<T> {
        if !place.is_null() {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { place.write(ptr::null_mut()) };
        }
        Out(place)
    }

    /// For calls whose error nobody asks for.
    pub(super) fn nowhere() -> Out<T> {
        Out(ptr::null_mut())
    }

    /// Refuses NULL.
    pub(super) fn required(self, name: &str) -> Result<Out<T>> {
        if self.0.is_null() { Err(null(name)) } else { Ok(self) }
    }

    /// Hands the caller a handle to free, where there is a place for it.
    pub(super) fn give_if_wanted(self, owner: impl FnOnce() -> T::Owner) {
        if !self.0.is_null() {
            let handle = owner().into_raw();
            process::handle_given();
            // SAFETY: not NULL, and `clear` was promised that it may be written.
            unsafe { self.0.write(handle) };
        }
    }
}

/// Looks at a handle that lives in a box.
///
/// # Safety
/// `handle` is NULL or was given out and is not freed while the result lives.
pub(super) unsafe fn borrow<'a, T: Handle<Owner = Box<T>>>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise; boxed handles are never written after they were given out.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

/// Takes a share of a handle that is counted.
///
/// # Safety
/// `handle` is NULL or was given out and is not freed yet.
pub(super) unsafe fn share<T: Handle<Owner = Arc<T>>>(handle: *const T, name: &str) -> Result<Arc<T>> {
    if handle.is_null() {
        return Err(null(name));
    }
    // SAFETY: the pointer came from `Arc::into_raw` (the Owner type says so), and the count it stands for is not given back yet.
    unsafe {
        Arc::increment_strong_count(handle);
        Ok(Arc::from_raw(handle))
    }
}

/// Takes a handle back from the caller; `None` for NULL.
///
/// # Safety
/// `handle` is NULL or was given out and is not used again.
pub(super) unsafe fn take<T: Handle>(handle: *mut T) -> Option<T::Owner> {
    if handle.is_null() {
        return None;
    }
    process::handle_taken();
    // SAFETY: not NULL, and the caller's promise.
    Some(unsafe { T::Owner::from_raw(handle) })
}

/// The error of a pointer that must not be NULL.
pub(super) fn null(name: &str) -> Error {
    Error::new(Status::NullArgument, format!("{name} must not be NULL"))
}
