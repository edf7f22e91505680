//! Structs that grow: the first field says how much of them the caller knows.

use std::mem::{MaybeUninit, size_of};

use super::handle::null;
use crate::error::{Error, Result, Status};

/// More than any of our structs will ever need: a larger `struct_size` was never set.
const ABSURD_SIZE: usize = 4096;

/// A struct whose first field is `size_t struct_size`.
///
/// # Safety
/// `repr(C)`, `struct_size: usize` first, made of numbers and raw pointers only (all bytes zero is a value), no padding at the end.
pub(super) unsafe trait SizedStruct: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// Its size when it was first published; never changes, whatever is appended.
    const FIRST_SIZE: usize;
}

/// Says that a struct is a [`SizedStruct`], and which was its last field when it was first published.
macro_rules! sized_struct {
    ($name:ident, last: $field:ident: $type:ty) => {
        // SAFETY: the structs of the header hold numbers and pointers only; `layout.rs` asserts order and absence of padding.
        unsafe impl $crate::capi::sized::SizedStruct for $name {
            const NAME: &'static str = stringify!($name);
            const FIRST_SIZE: usize = std::mem::offset_of!($name, $field) + std::mem::size_of::<$type>();
        }
    };
}
pub(super) use sized_struct;

/// Copies a caller's struct: what it does not know is zero, what we do not know must be zero.
///
/// # Safety
/// `given` is NULL or holds `struct_size` readable bytes.
pub(super) unsafe fn read<T: SizedStruct>(given: *const T, name: &str) -> Result<T> {
    // SAFETY: the caller's promise.
    let size = unsafe { checked_size(given, name) }?;
    let known = size.min(size_of::<T>());
    let bytes = given.cast::<u8>();
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` bytes are readable there and fit here; the rest stays zero, which is a value (SizedStruct).
    let value = unsafe {
        bytes.copy_to_nonoverlapping(value.as_mut_ptr().cast(), known);
        value.assume_init()
    };
    // SAFETY: `size` bytes are readable.
    let unknown = (known..size).any(|at| unsafe { bytes.add(at).read() } != 0);
    if unknown {
        return Err(Error::new(
            Status::Unsupported,
            format!(
                "{name} sets a field of {} that imgtask {} does not know: the header is newer than the library",
                T::NAME,
                env!("CARGO_PKG_VERSION")
            ),
        ));
    }
    Ok(value)
}

/// A caller's struct that will be filled. All but its `struct_size` is zero from the start of the call.
pub(super) struct Place<T> {
    place: *mut T,
    size: usize,
}

impl<T: SizedStruct> Place<T> {
    /// # Safety
    /// `place` is NULL or holds `struct_size` bytes that may be written for the rest of the call.
    pub(super) unsafe fn clear(place: *mut T, name: &str) -> Result<Place<T>> {
        // SAFETY: the caller's promise.
        let size = unsafe { checked_size(place, name) }?;
        let head = size_of::<usize>();
        // SAFETY: `size` bytes may be written, and no size below `head` passes the check.
        unsafe { place.cast::<u8>().add(head).write_bytes(0, size - head) };
        Ok(Place { place, size })
    }

    /// Writes what the caller knows of `value`, and keeps its `struct_size`.
    pub(super) fn fill(self, value: T) {
        let head = size_of::<usize>();
        let known = self.size.min(size_of::<T>());
        let from = (&raw const value).cast::<u8>();
        // SAFETY: `known` bytes are readable in `value` and may be written at `place` (promised to `clear`).
        unsafe { from.add(head).copy_to_nonoverlapping(self.place.cast::<u8>().add(head), known - head) };
    }
}

/// # Safety
/// `given` is NULL or starts with a readable `size_t`.
unsafe fn checked_size<T: SizedStruct>(given: *const T, name: &str) -> Result<usize> {
    if given.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and the caller's promise.
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if (T::FIRST_SIZE..=ABSURD_SIZE).contains(&size) {
        return Ok(size);
    }
    Err(Error::invalid(format!("{name}->struct_size is {size}: set struct_size to sizeof({})", T::NAME)))
}
