//! What no C program can bring about: panics, and structs of other versions.

use std::ffi::CStr;
use std::ptr;

use super::client::{
    imgtask_client, imgtask_client_close, imgtask_client_create, imgtask_client_free, imgtask_client_options,
};
use super::error::{imgtask_error_free, imgtask_error_message};
use super::sized::{Place, SizedStruct, read, sized_struct};
use super::text::Arena;
use super::*;

#[test]
fn a_panic_becomes_a_status_with_its_place_and_without_its_words() {
    let mut error: *mut imgtask_error = ptr::null_mut();
    // SAFETY: a place of our own.
    let status = guard(unsafe { Out::clear(&raw mut error) }, || panic!("a secret"));
    assert_eq!(status, Status::Panic);
    // SAFETY: the guard gave this error, and it is freed once.
    let message = unsafe { CStr::from_ptr(imgtask_error_message(error)) }.to_str().unwrap().to_owned();
    unsafe { imgtask_error_free(error) };
    assert!(message.contains("tests.rs:"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn a_panic_in_a_call_closes_the_client() {
    let options = imgtask_client_options {
        struct_size: size_of::<imgtask_client_options>(),
        provider: c"dimilinks".as_ptr(),
        api_key: c"key".as_ptr(),
        // SAFETY: numbers and pointers only.
        ..unsafe { std::mem::zeroed() }
    };
    let mut client: *mut imgtask_client = ptr::null_mut();
    // SAFETY: the client is used as the header asks, and freed once.
    unsafe {
        assert_eq!(imgtask_client_create(&raw const options, &raw mut client, ptr::null_mut()), Status::Ok);
        assert_eq!(guard_client(client, Out::nowhere(), |_| panic!("a bug")), Status::Panic);
        let looked = guard_client(client, Out::nowhere(), |client| client.core.fetch("task_1").map(drop));
        assert_eq!(looked, Status::Closed);
        assert_eq!(imgtask_client_close(client, 0), Status::Ok);
        imgtask_client_free(client);
    }
}

#[test]
fn a_panic_inside_a_panic_s_drop_does_not_end_the_process() {
    struct Twice;
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let result = contain::<()>(|| std::panic::panic_any(Twice));
    assert_eq!(result.unwrap_err().status(), Status::Panic);
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Today {
    struct_size: usize,
    old: u64,
    new: u64,
}
// As if `new` had been appended in a later version.
sized_struct!(Today, last: old: u64);

#[test]
fn a_caller_who_does_not_know_the_newest_field_gets_its_default_and_nothing_behind_is_touched() {
    assert_eq!(Today::FIRST_SIZE, size_of::<usize>() + 8);
    let mut given = Today { struct_size: Today::FIRST_SIZE, old: 7, new: 8 };
    // SAFETY: the struct holds what its size says.
    let known = unsafe { read(&raw const given, "given") }.unwrap();
    assert_eq!((known.old, known.new), (7, 0));
    // SAFETY: as above, and it may be written.
    unsafe { Place::clear(&raw mut given, "given") }.unwrap().fill(Today { struct_size: 0, old: 70, new: 80 });
    assert_eq!((given.struct_size, given.old, given.new), (Today::FIRST_SIZE, 70, 8));
}

#[test]
fn a_text_with_a_nul_inside_is_whole_for_c() {
    let mut arena = Arena::with_room(8, 2);
    let (text, empty) = (arena.keep("a\0b"), arena.keep(""));
    // SAFETY: texts of an arena end in a NUL.
    let lent = |text| unsafe { CStr::from_ptr(arena.lend(text)) }.to_str().unwrap();
    assert_eq!((lent(text), lent(empty)), ("a b", ""));
}
