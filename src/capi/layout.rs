//! The layout of every public struct, asserted against the committed table that the C tests assert, too.

use super::bytes::imgtask_bytes_info;
use super::client::{imgtask_client_options, imgtask_stats};
use super::error::imgtask_error_info;
use super::event::imgtask_event;
use super::job::imgtask_job;
use super::library::imgtask_provider_info;
use super::task::{imgtask_image_info, imgtask_task_info};

macro_rules! layout {
    ($($name:ident $size64:literal $size32:literal { $($field:ident $at64:literal $at32:literal,)* })*) => {
        $(const _: () = {
            let mut end = 0;
            $(
                let at = std::mem::offset_of!($name, $field);
                assert!(!KNOWN || at == pick($at64, $at32), concat!(stringify!($name), ".", stringify!($field), " moved"));
                assert!(!KNOWN || at == end, concat!(stringify!($name), ".", stringify!($field), " follows a gap"));
                end = at + field_size(|value: &$name| &value.$field);
            )*
            assert!(end == size_of::<$name>(), concat!(stringify!($name), " ends in padding, or the table lacks a field"));
            assert!(!KNOWN || end == pick($size64, $size32), concat!(stringify!($name), " changed its size"));
        };)*
    };
}

/// Whether the table speaks of this kind of system.
const KNOWN: bool = size_of::<usize>() == 8 || align_of::<u64>() == 4;

const fn pick(on_64_bit: usize, on_32_bit: usize) -> usize {
    if size_of::<usize>() == 8 { on_64_bit } else { on_32_bit }
}

const fn field_size<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

include!("../../abi/layout.rs");
