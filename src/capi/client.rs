//! `imgtask_client`: how it is set up, stopped and freed.

use std::ffi::{c_char, c_void};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::error::imgtask_error;
use super::handle::{self, Handle, Out};
use super::log::{self, imgtask_log_sink};
use super::process;
use super::sized::{self, Place, sized_struct};
use super::{free, guard, guard_client, text};
use crate::client::Client;
use crate::error::{Error, Result, Status};
use crate::options::Options;

/// One service and one key. Use one client per key: its calls share connections, and what they know of the service's limits.
/// Any function may be called on any thread, on several at once. Belongs to the process that created it: after a fork, calls
/// in the child answer WRONG_PROCESS.
pub struct imgtask_client {
    pub(super) core: Client,
    forks: u32,
}

impl Handle for imgtask_client {
    type Owner = Arc<imgtask_client>;
}

impl imgtask_client {
    /// Refuses a call from a child process and from inside the log sink.
    pub(super) fn admit(&self) -> Result<()> {
        if self.is_foreign() {
            let words = "the client belongs to the process before the fork: create one in this process";
            return Err(Error::new(Status::WrongProcess, words));
        }
        log::outside_sink()
    }

    fn is_foreign(&self) -> bool {
        self.forks != process::forks()
    }
}

/// How a client is set up. Start from IMGTASK_INIT(imgtask_client_options) and set what you need: zero always means the
/// default. Everything is copied before imgtask_client_create returns. Strings are UTF-8; "" says the same as NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_client_options {
    /// sizeof(imgtask_client_options); IMGTASK_INIT sets it.
    pub struct_size: usize,
    /// Name of a built-in provider: "dimilinks", "dimilinks-legacy", "lemondata"; imgtask_provider_get lists them.
    /// Exactly one of provider and dialect_json must be set.
    pub provider: *const c_char,
    /// An own dialect, which docs/dialects.md tells how to write: a JSON document, or the UTF-8 path of a file that holds one.
    /// It is taken for a document when its first character that is no white space is '{'. What is wrong with it is told with
    /// the file and the JSON pointers to the members.
    pub dialect_json: *const c_char,
    /// Where the API is: "https://host[:port][/path]", with or without "/v1". Default: the environment variable
    /// <NAME>_BASE_URL, then the provider's own address. A game points it at its studio's backend.
    pub base_url: *const c_char,
    /// The key. Default: the provider's environment variable. Goes to the API's own origin and nowhere else. Do not ship one
    /// inside a game or an app.
    pub api_key: *const c_char,
    /// Sent as User-Agent. Default: "imgtask/x.y.z".
    pub user_agent: *const c_char,
    /// "http://[user:password@]host:port", or "env" to read the environment's proxy variables. Default: no proxy.
    pub proxy_url: *const c_char,
    /// PEM file of the trusted roots. Default: the bundled ones.
    pub ca_file: *const c_char,
    /// File of the journal, in UTF-8 on every system: outstanding jobs survive a crash, and imgtask_client_resume brings them back.
    /// It holds labels, task ids, goals and paths; never a key, a request or the query of a link. One client at a time has it.
    /// Default: none. UNSUPPORTED in a build without journal (`make lib-lean`).
    pub journal_path: *const c_char,
    /// Milliseconds for one connect, TLS included. Default 5,000.
    pub connect_timeout_ms: u32,
    /// Milliseconds for one look. Default 20,000.
    pub request_timeout_ms: u32,
    /// Milliseconds for one submit. Default: the provider's: 600,000, as a submit may answer when the image is done.
    pub submit_timeout_ms: u32,
    /// Milliseconds without a byte after which a look (default 10,000) or a download (default 30,000) is given up.
    pub stall_timeout_ms: u32,
    /// Milliseconds that a wait lasts when the call does not say. Default: the provider's.
    pub wait_timeout_ms: u32,
    /// A fixed pace of looks in milliseconds, not below 1,000 unless the API is on loopback. The service's hints still count.
    /// Default: the provider's pace, slower as a task grows older.
    pub poll_interval_ms: u32,
    /// The service's limit of requests a minute for this key, of which 90 % are used. Default: the provider's; where it names none,
    /// what it turns out to bear: 300 at first, 900 at most. On loopback, blocking calls do not wait for a limit nobody gave.
    pub max_requests_per_minute: u32,
    /// Threads that work on jobs at most; more than 64 are 64. Default 7. Blocking calls need none.
    pub max_workers: u32,
    /// Jobs accepted and not yet finally delivered, at most. Default 100,000.
    pub max_pending: usize,
    /// Longest answer that is read, in bytes. Default 67,108,864 (64 MiB).
    pub max_response_bytes: u64,
    /// Longest image that is read, in bytes. Default 67,108,864 (64 MiB).
    pub max_image_bytes: u64,
    /// Largest image that is decoded, in pixels. Default 67,108,864 (8192 x 8192, 256 MiB of pixels). While it is decoded, a pixel
    /// takes 4 bytes, 8 where its channels have 16 bits, and besides as much as its format wants: up to 6 for a progressive JPEG.
    /// A smaller or turned copy is there beside the whole image for a moment.
    pub max_image_pixels: u64,
    /// 1: links to private addresses are followed although the API itself is public. Default 0. Through a proxy, which
    /// looks names up itself, links are judged by the addresses in them alone.
    pub allow_private_images: u32,
    /// 1: the API may be at a plain http:// address that is not on loopback. The key then travels unprotected. Default 0.
    pub allow_plain_http: u32,
    /// An imgtask_log_level: how much the sink is told. Default 0, nothing.
    pub log_level: u32,
    /// Leave 0.
    pub reserved: u32,
    /// Takes the lines of the log. Must stay callable until the client is freed.
    pub log: imgtask_log_sink,
    /// Handed to the sink as it is.
    pub log_user_data: *mut c_void,
}
sized_struct!(imgtask_client_options, last: log_user_data: *mut c_void);

/// What a client has done so far.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct imgtask_stats {
    /// Set to sizeof(imgtask_stats) before the call.
    pub struct_size: usize,
    /// Jobs accepted whose FINAL event was not taken yet.
    pub pending: usize,
    /// Calls running now, those of jobs included.
    pub in_flight: usize,
    /// Events waiting to be taken.
    pub events_waiting: usize,
    /// Status requests sent.
    pub looks: u64,
    /// All requests sent, downloads included.
    pub requests: u64,
    /// Answers with HTTP 429.
    pub rate_limited: u64,
    /// Requests sent again after a failure.
    pub retries: u64,
    /// Body bytes received.
    pub bytes_received: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Milliseconds until the next request is allowed.
    pub gate_wait_ms: i64,
    /// Milliseconds that looking at every watched task once takes, 0 without any.
    pub sweep_ms: i64,
    /// Half of the watched tasks were looked at within so many milliseconds, -1 unknown.
    pub staleness_p50_ms: i64,
    /// 95 % of the watched tasks were looked at within so many milliseconds, -1 unknown.
    pub staleness_p95_ms: i64,
    /// Requests a minute that the client allows itself now; 0 while the service wants a pause.
    pub gate_per_minute: u32,
    /// Threads of ours that live now: those that work on jobs, and short-lived helpers of a name look-up.
    pub threads: u32,
    /// Looks that failed one after another, of whichever task; 0 once one is answered. The log tells why.
    pub consecutive_failures: u64,
}
sized_struct!(imgtask_stats, last: consecutive_failures: u64);

/// Creates a client. Opens no connection and starts no thread.
///
/// @param options  how to set it up; copied.
/// @param out      receives the client, NULL on failure. Free it with imgtask_client_free.
/// @param error    receives why, or NULL.
/// @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for an option that cannot be used: an unknown provider, a bad base_url, a key
///         that is missing (the message names its environment variable) or holds control characters; INVALID_UTF8;
///         UNSUPPORTED for a journal in a build without one, or for fields of a newer header that this library does not know;
///         JOURNAL when the journal cannot be used: the message says why and where; RESOURCE.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn imgtask_client_create(
    options: *const imgtask_client_options,
    out: *mut *mut imgtask_client,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or places to write, as the header asks.
    let (out, error) = unsafe { (Out::clear(out), Out::clear(error)) };
    guard(error, || {
        let out = out.required("out")?;
        log::outside_sink()?;
        process::forks_are_seen()?;
        // SAFETY: NULL or a struct of the size it says, its strings NULL or NUL-terminated, as the header asks.
        let options = unsafe { read_options(options) }?;
        let client = imgtask_client { core: Client::create(&options)?, forks: process::forks() };
        out.give_if_wanted(|| Arc::new(client));
        Ok(())
    })
}

/// Uses another key from the next request on: for short-lived tokens.
///
/// @param client   the client.
/// @param api_key  the new key; copied.
/// @param error    receives why, or NULL.
/// @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for an empty key or control characters in it: the old one stays; INVALID_UTF8;
///         WRONG_PROCESS; BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_set_key(
    client: *mut imgtask_client,
    api_key: *const c_char,
    error: *mut *mut imgtask_error,
) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let error = Out::clear(error);
        guard_client(client, error, |client| client.core.set_key(text::required(api_key, "api_key")?))
    }
}

/// Ends every blocking call in flight within a tenth of a second: with CANCELLED, a submit whose request is on its way with
/// SUBMIT_UNKNOWN. A wait for an event ends, too; jobs go on. The client stays usable, and the tasks stay with the service.
///
/// @param client  the client.
/// @return OK; NULL_ARGUMENT; WRONG_PROCESS; BUSY.
///
/// Any thread, while other calls run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_interrupt(client: *mut imgtask_client) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        guard_client(client, Out::nowhere(), |client| {
            client.core.interrupt();
            Ok(())
        })
    }
}

/// Refuses new calls and jobs with CLOSED, ends calls in flight as imgtask_client_interrupt does, ends every job, and waits for the
/// calls to return and the threads to leave. May be called again, to wait on. Events can still be taken: every job gets its FINAL
/// one, mostly CANCELLED. The journal keeps such jobs for the next start, but for those whose request was not sent yet. It is
/// written first, for which this waits as long as the disk takes.
///
/// @param client      the client.
/// @param timeout_ms  milliseconds to wait at most; 0 does not wait; IMGTASK_TIMEOUT_DEFAULT waits as long as it takes.
/// @return OK when no call and no thread runs any more; TIMEOUT when one still does; NULL_ARGUMENT; WRONG_PROCESS; BUSY.
///
/// Any thread, while other calls run. The client must still be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_close(client: *mut imgtask_client, timeout_ms: u32) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        guard_client(client, Out::nowhere(), |client| {
            if client.core.close(Duration::from_millis(timeout_ms.into())) {
                return Ok(());
            }
            Err(Error::new(Status::Timeout, "calls are still running: close again to wait on"))
        })
    }
}

/// Closes a client without waiting, and frees it. Never waits for the network; for the disk where its journal has something to
/// write. Another client can have the journal at once, or when the calls have ended that were still on their way. Tasks, bytes and
/// errors stay good. In a child process after a fork it leaves the memory alone, on purpose.
///
/// @param client  the client, or NULL. No other call with it may start any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_free(client: *mut imgtask_client) {
    free(|| {
        // SAFETY: NULL or a client that nobody uses any more, as the header asks.
        let Some(client) = (unsafe { handle::take(client) }) else { return };
        if client.is_foreign() {
            // Its locks may be held by threads that the child does not have.
            mem::forget(client);
        } else {
            client.core.close(Duration::ZERO);
        }
    });
}

/// What the client has done so far, and what it is at. Goes through all watched tasks: not meant for every frame.
///
/// @param client  the client.
/// @param inout   set its struct_size; the rest is filled.
/// @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one; WRONG_PROCESS; BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgtask_client_get_stats(client: *mut imgtask_client, inout: *mut imgtask_stats) -> Status {
    // SAFETY: NULL or what the header asks for.
    unsafe {
        let place = Place::clear(inout, "inout");
        guard_client(client, Out::nowhere(), |client| {
            let place = place?;
            let stats = client.core.stats();
            place.fill(imgtask_stats {
                struct_size: 0,
                pending: usize::try_from(stats.pending).unwrap_or(usize::MAX),
                in_flight: usize::try_from(stats.in_flight).unwrap_or(usize::MAX),
                events_waiting: usize::try_from(stats.events_waiting).unwrap_or(usize::MAX),
                looks: stats.looks,
                requests: stats.requests,
                rate_limited: stats.rate_limited,
                retries: stats.retries,
                bytes_received: stats.bytes_received,
                connections_opened: stats.connections_opened,
                gate_wait_ms: ms(stats.gate_wait),
                sweep_ms: ms(stats.sweep),
                staleness_p50_ms: stats.staleness_p50.map_or(-1, ms),
                staleness_p95_ms: stats.staleness_p95.map_or(-1, ms),
                gate_per_minute: stats.gate_per_minute,
                threads: u32::try_from(stats.threads).unwrap_or(u32::MAX),
                consecutive_failures: stats.consecutive_failures,
            });
            Ok(())
        })
    }
}

/// # Safety
/// `given` is NULL or a struct of the size it says, whose strings are NULL or NUL-terminated.
unsafe fn read_options(given: *const imgtask_client_options) -> Result<Options> {
    // SAFETY: the caller's promise.
    let given = unsafe { sized::read(given, "options") }?;
    // SAFETY: the caller's promise.
    let string = |text, name| unsafe { text::optional(text, name) };
    if given.reserved != 0 {
        return Err(Error::new(Status::Unsupported, "options->reserved must be 0: start from IMGTASK_INIT"));
    }
    Ok(Options {
        provider: string(given.provider, "options->provider")?.unwrap_or_default(),
        dialect_json: string(given.dialect_json, "options->dialect_json")?,
        base_url: string(given.base_url, "options->base_url")?,
        api_key: string(given.api_key, "options->api_key")?,
        user_agent: string(given.user_agent, "options->user_agent")?,
        proxy_url: string(given.proxy_url, "options->proxy_url")?,
        ca_file: string(given.ca_file, "options->ca_file")?.map(Into::into),
        connect_timeout_ms: given.connect_timeout_ms,
        request_timeout_ms: given.request_timeout_ms,
        submit_timeout_ms: given.submit_timeout_ms,
        stall_timeout_ms: given.stall_timeout_ms,
        wait_timeout_ms: given.wait_timeout_ms,
        poll_interval_ms: given.poll_interval_ms,
        max_requests_per_minute: given.max_requests_per_minute,
        max_workers: given.max_workers,
        max_pending: given.max_pending,
        journal_path: string(given.journal_path, "options->journal_path")?.map(Into::into),
        max_response_bytes: given.max_response_bytes,
        max_image_bytes: given.max_image_bytes,
        max_image_pixels: given.max_image_pixels,
        allow_private_images: boolean(given.allow_private_images, "options->allow_private_images")?,
        allow_plain_http: boolean(given.allow_plain_http, "options->allow_plain_http")?,
        log_level: log::level(given.log_level)?,
        log: log::sink(given.log, given.log_user_data),
    })
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn boolean(value: u32, name: &str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::invalid(format!("{name} is {value}: 0 or 1"))),
    }
}
