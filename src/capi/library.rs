//! What belongs to no object: version, names, the built-in providers.

use std::ffi::{CStr, c_char};
use std::sync::LazyLock;

use super::guard;
use super::handle::Out;
use super::process;
use super::sized::{Place, sized_struct};
use super::text::{Arena, Text};
use crate::client::{ProviderInfo, providers};
use crate::error::{Error, Status};

// What the header's IMGTASK_ABI_VERSION says; the SONAME in build.rs carries the same number.
const ABI_VERSION: u32 = 0;

/// How well a built-in dialect is known.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum imgtask_confidence {
    /// Put together from pages, clients and examples, and never tried against the service: no promise. Listed behind the others.
    Inferred = 0,
    /// Documented by the service, and kept by the library's tests.
    Documented = 1,
}

/// A built-in provider. Strings live as long as the process and are never NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_provider_info {
    /// Set to sizeof(imgtask_provider_info) before the call.
    pub struct_size: usize,
    /// What to set as imgtask_client_options.provider.
    pub name: *const c_char,
    /// The service's name for people.
    pub title: *const c_char,
    /// Where its API is, "" where no address is confirmed: then imgtask_client_options.base_url must be set.
    pub base_url: *const c_char,
    /// The environment variable its key is read from.
    pub key_variable: *const c_char,
    /// 1: imgtask_client_submit works. 0: tasks can only be looked at.
    pub can_submit: u32,
    /// 1: imgtask_client_cancel_task works for some of its tasks.
    pub can_cancel: u32,
    /// How well the service's contract is known.
    pub confidence: imgtask_confidence,
    /// How long a wait lasts when nobody says, milliseconds.
    pub wait_timeout_ms: u32,
}
sized_struct!(imgtask_provider_info, last: wait_timeout_ms: u32);

/// The library's version, "x.y.z".
///
/// @return static, never NULL. Compare with IMGTASK_VERSION_MAJOR, _MINOR and _PATCH of the header.
#[unsafe(no_mangle)]
pub extern "C" fn imgtask_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The number of the binary interface.
///
/// @return IMGTASK_ABI_VERSION of the header the library was built with. A different number: do not call anything else.
#[unsafe(no_mangle)]
pub extern "C" fn imgtask_abi_version() -> u32 {
    ABI_VERSION
}

/// A status as a word in lower case: "ok", "not_found", "submit_unknown".
///
/// @param status  any number.
/// @return static, never NULL; "unknown" for a number this library does not know.
#[unsafe(no_mangle)]
pub extern "C" fn imgtask_status_name(status: u32) -> *const c_char {
    status_word(status).as_ptr()
}

/// A built-in provider. Ask for 0, 1, 2 ... until NOT_FOUND; the documented ones come first.
///
/// @param index  which one.
/// @param inout  set its struct_size; the rest is filled.
/// @return OK; NOT_FOUND behind the last; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_provider_get(index: usize, inout: *mut imgtask_provider_info) -> Status {
    guard(Out::nowhere(), || {
        // SAFETY: NULL or a struct to write, as the header asks.
        let place = unsafe { Place::clear(inout, "inout") }?;
        let provider = PROVIDERS.get(index).ok_or_else(|| Error::new(Status::NotFound, "no more providers"))?;
        place.fill(provider.info());
        Ok(())
    })
}

/// Clients, tasks, bytes and errors that are not freed yet, in the whole process: 0 at the end of a test that leaks nothing.
///
/// @return the count.
#[unsafe(no_mangle)]
pub extern "C" fn imgtask_debug_live_handles() -> usize {
    process::live_handles()
}

// Names for C stand one behind the other, each with its NUL, put together by the compiler from the core's own words.
static STATUS_WORDS: [u8; status_words_len()] = status_words();

const fn status_words_len() -> usize {
    let mut len = 0;
    let mut i = 0;
    while i < Status::ALL.len() {
        len += Status::ALL[i].name().len() + 1;
        i += 1;
    }
    len
}

const fn status_words() -> [u8; status_words_len()] {
    let mut words = [0; status_words_len()];
    let mut at = 0;
    let mut i = 0;
    while i < Status::ALL.len() {
        let word = Status::ALL[i].name().as_bytes();
        let mut j = 0;
        while j < word.len() {
            words[at + j] = word[j];
            j += 1;
        }
        at += word.len() + 1;
        i += 1;
    }
    words
}

fn status_word(status: u32) -> &'static CStr {
    let mut rest = STATUS_WORDS.as_slice();
    for known in Status::ALL {
        let Ok(word) = CStr::from_bytes_until_nul(rest) else { break };
        if *known as u32 == status {
            return word;
        }
        rest = rest.get(word.count_bytes() + 1..).unwrap_or_default();
    }
    c"unknown"
}

static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(|| providers().iter().map(Provider::new).collect());

struct Provider {
    core: ProviderInfo,
    text: Arena,
    name: Text,
    title: Text,
    base_url: Text,
    key_variable: Text,
}

impl Provider {
    fn new(core: &ProviderInfo) -> Provider {
        let texts = [core.name, core.title, core.base_url, core.key_variable];
        let mut text = Arena::with_room(texts.iter().map(|t| t.len()).sum(), texts.len());
        let [name, title, base_url, key_variable] = texts.map(|t| text.keep(t));
        Provider { core: *core, text, name, title, base_url, key_variable }
    }

    fn info(&self) -> imgtask_provider_info {
        let documented = self.core.documented;
        imgtask_provider_info {
            struct_size: 0,
            name: self.text.lend(self.name),
            title: self.text.lend(self.title),
            base_url: self.text.lend(self.base_url),
            key_variable: self.text.lend(self.key_variable),
            can_submit: self.core.can_submit.into(),
            can_cancel: self.core.can_cancel.into(),
            confidence: if documented { imgtask_confidence::Documented } else { imgtask_confidence::Inferred },
            wait_timeout_ms: self.core.wait_timeout_ms,
        }
    }
}
