/*
 * imgtask: gets your image back from an asynchronous image API.
 *
 *     imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
 *     options.provider = "dimilinks";   (the key comes from its environment variable)
 *     imgtask_client *client = NULL;
 *     imgtask_task *task = NULL;
 *     imgtask_error *error = NULL;
 *     imgtask_status status = imgtask_client_create(&options, &client, &error);
 *     if (status == IMGTASK_STATUS_OK)
 *         status = imgtask_client_wait(client, "task_abc", IMGTASK_TIMEOUT_DEFAULT, &task, &error);
 *     if (status == IMGTASK_STATUS_OK)
 *         status = imgtask_client_download_file(client, task, 0, "image.png", 0, NULL, &error);
 *     if (status != IMGTASK_STATUS_OK)
 *         fprintf(stderr, "%s: %s\n", imgtask_status_name(status), imgtask_error_message(error));
 *     imgtask_error_free(error);
 *     imgtask_task_free(task);
 *     imgtask_client_free(client);
 *
 * Without blocking, once a frame:
 *
 *     imgtask_job job = IMGTASK_INIT(imgtask_job);
 *     job.request_json = "{\"prompt\": \"a red apple\"}";
 *     job.goal = IMGTASK_GOAL_BYTES;
 *     status = imgtask_client_start(client, &job, NULL);
 *     ...
 *     imgtask_event event = IMGTASK_INIT(imgtask_event);
 *     while (imgtask_client_next_event(client, 0, &event) == IMGTASK_STATUS_OK) {
 *         if (event.kind == IMGTASK_EVENT_KIND_FINAL && event.status == IMGTASK_STATUS_OK)
 *             show(event.bytes);
 *         imgtask_event_clear(&event);
 *     }
 *
 * Handles. A client, a task, bytes and an error are opaque. Each has one free function; NULL is fine there. Tasks, bytes and
 * errors never change: any number of threads may read them, and they outlive their client.
 *
 * Structs begin with struct_size. Start from IMGTASK_INIT(type), which sets it; zero always means the default. A program and
 * a library of different versions work together: a field that the other side does not know counts as zero, and an option that
 * the library does not know is UNSUPPORTED when it is not zero.
 *
 * Strings are NUL-terminated UTF-8. Those you pass are copied before the call returns. Those you get are never NULL, borrowed
 * from their handle, and good until it is freed.
 *
 * Results. A call returns an imgtask_status; the words behind OK, TIMEOUT ... in this file are its values, with
 * IMGTASK_STATUS_ in front. A call that can fail for a reason worth words takes an imgtask_error ** last, which may be NULL.
 * On failure every out value is NULL or 0, except after TIMEOUT, CANCELLED, STARVED, NO_IMAGE and SUBMIT_UNKNOWN, where a task
 * may hold what is known: test the pointer, and free it.
 *
 * Threads. Any function on any thread that has 64 KiB of stack; none inside a signal handler. Free a handle only when no call
 * is using it. The library calls nothing of yours but the log sink, and only on a thread that is inside a call. It has threads of
 * its own for jobs only, from the first one on; they block the signals that a program may handle, and run nothing of yours.
 *
 * The gate. All requests of a client, blocking or not, share one budget: the service's limit less a tenth. A pause that the service
 * asks for holds for all of them. A blocking call waits for the gate as long as one look may take, and is RATE_LIMITED with the time
 * when that is not enough; then nothing was sent.
 *
 * Times are milliseconds (_ms), Unix seconds (_at) or Unix milliseconds (_at_ms). Every call ends by its deadline.
 *
 * Processes. After a fork, the child may not use the parent's clients: calls answer WRONG_PROCESS. Once loaded, the shared
 * library stays loaded. Nothing is ever written to stdout or stderr. Memory of the library never goes to free().
 *
 * This file is made from the library's sources: `make header`.
 */


#ifndef IMGTASK_H
#define IMGTASK_H

#include <stddef.h>
#include <stdint.h>

#define IMGTASK_VERSION_MAJOR 0
#define IMGTASK_VERSION_MINOR 1
#define IMGTASK_VERSION_PATCH 0

/** Compare with imgtask_abi_version(): a library that answers another number does not fit this header. */
#define IMGTASK_ABI_VERSION 0

/** For timeout_ms: the time that the options or the provider say; for imgtask_client_close: as long as it takes. */
#define IMGTASK_TIMEOUT_DEFAULT 0xFFFFFFFFu

/** For imgtask_job.image_index: every image of the task. */
#define IMGTASK_ALL_IMAGES SIZE_MAX

/** A struct with its size set and all else zero, in C: imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
 *  In C++ the struct is set up in two steps: imgtask_client_options options = {}; options.struct_size = sizeof options; */
#ifndef __cplusplus
#define IMGTASK_INIT(type) {.struct_size = sizeof(type)}
#endif

/** Define IMGTASK_STATIC when you link the static library on Windows. */
#ifndef IMGTASK_API
#if defined(_WIN32) && !defined(IMGTASK_STATIC)
#define IMGTASK_API __declspec(dllimport)
#else
#define IMGTASK_API
#endif
#endif

#ifndef IMGTASK_NODISCARD
#if defined(__GNUC__)
#define IMGTASK_NODISCARD __attribute__((warn_unused_result))
#elif defined(_MSC_VER)
#define IMGTASK_NODISCARD _Check_return_
#else
#define IMGTASK_NODISCARD
#endif
#endif

#ifndef IMGTASK_DEPRECATED
#if defined(__GNUC__)
#define IMGTASK_DEPRECATED __attribute__((deprecated))
#elif defined(_MSC_VER)
#define IMGTASK_DEPRECATED __declspec(deprecated)
#else
#define IMGTASK_DEPRECATED
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ====================================================================================================
 * Library
 * ==================================================================================================== */

/**
 * The outcome of a call, in numbers that never change their meaning.
 *
 * Ranges: 1-19 the caller, 20-39 the flow, 40-59 the network, 60-79 the service, 80-99 this machine.
 * A program that meets a number it does not know falls back by range.
 */
enum imgtask_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Done. */
    IMGTASK_STATUS_OK = 0,
    /** A pointer that must not be NULL was NULL. */
    IMGTASK_STATUS_NULL_ARGUMENT = 1,
    /** An argument is outside its documented range or form. */
    IMGTASK_STATUS_INVALID_ARGUMENT = 2,
    /** A string is not UTF-8. */
    IMGTASK_STATUS_INVALID_UTF8 = 3,
    /** This build, this system or this provider cannot do that. */
    IMGTASK_STATUS_UNSUPPORTED = 4,
    /** The client was closed. */
    IMGTASK_STATUS_CLOSED = 5,
    /** Called where it must not be, or the queue is full. */
    IMGTASK_STATUS_BUSY = 6,
    /** The client was created before a fork, in the parent process. */
    IMGTASK_STATUS_WRONG_PROCESS = 7,
    /** No such operation, or its final event was delivered already. */
    IMGTASK_STATUS_UNKNOWN_OP = 8,
    /** The time given was over; the task is still with the service. */
    IMGTASK_STATUS_TIMEOUT = 20,
    /** Ended by interrupt, stop or close; the task is still with the service. */
    IMGTASK_STATUS_CANCELLED = 21,
    /** No event in the time given. */
    IMGTASK_STATUS_NO_EVENT = 22,
    /** The request budget did not allow a look that could have decided. */
    IMGTASK_STATUS_STARVED = 23,
    /** The host's name did not resolve. */
    IMGTASK_STATUS_RESOLVE = 40,
    /** No connection to the host. */
    IMGTASK_STATUS_CONNECT = 41,
    /** The TLS handshake or the certificate check failed. */
    IMGTASK_STATUS_TLS = 42,
    /** The connection broke. */
    IMGTASK_STATUS_IO = 43,
    /** The answer was not valid HTTP. */
    IMGTASK_STATUS_PROTOCOL = 44,
    /** The proxy refused or failed. */
    IMGTASK_STATUS_PROXY = 45,
    /** The key is missing, wrong or not allowed to do this (HTTP 401, 403). */
    IMGTASK_STATUS_UNAUTHORIZED = 60,
    /** The account has no balance (HTTP 402). */
    IMGTASK_STATUS_PAYMENT = 61,
    /** No such task, or not this key's task (HTTP 404, 410). */
    IMGTASK_STATUS_NOT_FOUND = 62,
    /** Too many requests (HTTP 429). */
    IMGTASK_STATUS_RATE_LIMITED = 63,
    /** The service refused the request (other HTTP 4xx, a redirect). */
    IMGTASK_STATUS_REJECTED = 64,
    /** The service is in trouble (HTTP 408, 425, 5xx). */
    IMGTASK_STATUS_SERVER = 65,
    /** The answer could not be understood. */
    IMGTASK_STATUS_BAD_RESPONSE = 66,
    /** The request was sent and its answer lost: the task may exist and be paid for. */
    IMGTASK_STATUS_SUBMIT_UNKNOWN = 67,
    /** The task has no usable image: it failed, is not finished, or succeeded without one. */
    IMGTASK_STATUS_NO_IMAGE = 68,
    /** The image's link is no longer valid. */
    IMGTASK_STATUS_LINK_EXPIRED = 69,
    /** An address that the rules do not allow to be contacted. */
    IMGTASK_STATUS_BLOCKED = 70,
    /** A file could not be written. */
    IMGTASK_STATUS_FILE = 80,
    /** A body or image is larger than its limit. */
    IMGTASK_STATUS_TOO_LARGE = 81,
    /** The bytes are not a whole image. */
    IMGTASK_STATUS_BAD_IMAGE = 82,
    /** The journal could not be read or written. */
    IMGTASK_STATUS_JOURNAL = 83,
    /** The system gave no thread, socket or memory. */
    IMGTASK_STATUS_RESOURCE = 84,
    /** A bug in this library; the client is closed. */
    IMGTASK_STATUS_PANIC = 250,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_status imgtask_status;
#else
typedef uint32_t imgtask_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The library's version, "x.y.z".
 *
 * @return static, never NULL. Compare with IMGTASK_VERSION_MAJOR, _MINOR and _PATCH of the header.
 */
IMGTASK_API const char *imgtask_version(void);

/**
 * The number of the binary interface.
 *
 * @return IMGTASK_ABI_VERSION of the header the library was built with. A different number: do not call anything else.
 */
IMGTASK_API uint32_t imgtask_abi_version(void);

/**
 * A status as a word in lower case: "ok", "not_found", "submit_unknown".
 *
 * @param status  any number.
 * @return static, never NULL; "unknown" for a number this library does not know.
 */
IMGTASK_API const char *imgtask_status_name(uint32_t status);

/**
 * How well a built-in dialect is known.
 */
enum imgtask_confidence
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Put together from pages, clients and examples, and never tried against the service: no promise. Listed behind the others. */
    IMGTASK_CONFIDENCE_INFERRED = 0,
    /** Documented by the service, and kept by the library's tests. */
    IMGTASK_CONFIDENCE_DOCUMENTED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_confidence imgtask_confidence;
#else
typedef uint32_t imgtask_confidence;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A built-in provider. Strings live as long as the process and are never NULL.
 */
typedef struct imgtask_provider_info {
    /** Set to sizeof(imgtask_provider_info) before the call. */
    size_t struct_size;
    /** What to set as imgtask_client_options.provider. */
    const char *name;
    /** The service's name for people. */
    const char *title;
    /** Where its API is, "" where no address is confirmed: then imgtask_client_options.base_url must be set. */
    const char *base_url;
    /** The environment variable its key is read from. */
    const char *key_variable;
    /** 1: imgtask_client_submit works. 0: tasks can only be looked at. */
    uint32_t can_submit;
    /** 1: imgtask_client_cancel_task works for some of its tasks. */
    uint32_t can_cancel;
    /** How well the service's contract is known. */
    imgtask_confidence confidence;
    /** How long a wait lasts when nobody says, milliseconds. */
    uint32_t wait_timeout_ms;
} imgtask_provider_info;

/**
 * A built-in provider. Ask for 0, 1, 2 ... until NOT_FOUND; the documented ones come first.
 *
 * @param index  which one.
 * @param inout  set its struct_size; the rest is filled.
 * @return OK; NOT_FOUND behind the last; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
 */
IMGTASK_API imgtask_status imgtask_provider_get(size_t index, imgtask_provider_info *inout);

/**
 * Clients, tasks, bytes and errors that are not freed yet, in the whole process: 0 at the end of a test that leaks nothing.
 *
 * @return the count.
 */
IMGTASK_API
size_t imgtask_debug_live_handles(void);

/* ====================================================================================================
 * Error
 * ==================================================================================================== */

/**
 * Why a call did not do what it was asked. Immutable: any number of threads may read it.
 * Every call that takes an `imgtask_error **` accepts NULL there. Otherwise it stores NULL on success and, on failure, an
 * error to free with imgtask_error_free; what the place held before is overwritten, not freed.
 */
typedef struct imgtask_error imgtask_error;

/**
 * What an error says. Strings are borrowed from the error and never NULL.
 */
typedef struct imgtask_error_info {
    /** Set to sizeof(imgtask_error_info) before the call. */
    size_t struct_size;
    /** One line for people: what happened, to what, and what helps. Holds no key, no link's query and no body. */
    const char *message;
    /** The service's own code, "" when it gave none. */
    const char *provider_code;
    /** The service's id of the request, for its support; "" when it gave none. */
    const char *request_id;
    /** The task it happened to, "" when none is known. Worth keeping: the task may go on at the service. */
    const char *task_id;
    /** What the call returned. */
    imgtask_status status;
    /** The HTTP status of the answer, 0 when there was none. */
    uint32_t http_status;
    /** -1: the same call would fail again. 0: it may succeed at any time. Above 0: wait so many milliseconds first. */
    int64_t retry_after_ms;
} imgtask_error_info;

/**
 * The error's line for people.
 *
 * @param error  the error, or NULL.
 * @return the message; "" for NULL. Borrowed: good until the error is freed.
 */
IMGTASK_API const char *imgtask_error_message(const imgtask_error *error);

/**
 * All that the error says.
 *
 * @param error  the error.
 * @param inout  set its struct_size; the rest is filled.
 * @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
 */
IMGTASK_API imgtask_status imgtask_error_get(const imgtask_error *error, imgtask_error_info *inout);

/**
 * Frees an error. Its strings are gone with it.
 *
 * @param error  the error, or NULL.
 */
IMGTASK_API void imgtask_error_free(imgtask_error *error);

/* ====================================================================================================
 * Client
 * ==================================================================================================== */

/**
 * One service and one key. Use one client per key: its calls share connections, and what they know of the service's limits.
 * Any function may be called on any thread, on several at once. Belongs to the process that created it: after a fork, calls
 * in the child answer WRONG_PROCESS.
 */
typedef struct imgtask_client imgtask_client;

/**
 * How much the log is told; each level holds the ones before it.
 */
enum imgtask_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Nothing. */
    IMGTASK_LOG_LEVEL_OFF = 0,
    /** Bugs of the library. */
    IMGTASK_LOG_LEVEL_ERROR = 1,
    /** Calls that failed, and what is unusual about a service. */
    IMGTASK_LOG_LEVEL_WARN = 2,
    /** Calls that ended well. */
    IMGTASK_LOG_LEVEL_INFO = 3,
    /** Every look, and every exchange with the service. */
    IMGTASK_LOG_LEVEL_DEBUG = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_log_level imgtask_log_level;
#else
typedef uint32_t imgtask_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Takes one line of the log, without a line end. The line is good until the sink returns, and never holds a key, a link's
 * query or a body.
 * Called only on a thread that is inside an imgtask call with this client, possibly on several at once. It must return: no
 * exception and no longjmp may leave it. Calls with any client answer IMGTASK_STATUS_BUSY from inside it, except frees,
 * names and getters.
 *
 * @param user_data  the options' log_user_data.
 * @param level      an imgtask_log_level: 1 to 4.
 * @param line       NUL-terminated UTF-8.
 */
typedef void (*imgtask_log_sink)(void *user_data, uint32_t level, const char *line);

/**
 * How a client is set up. Start from IMGTASK_INIT(imgtask_client_options) and set what you need: zero always means the
 * default. Everything is copied before imgtask_client_create returns. Strings are UTF-8; "" says the same as NULL.
 */
typedef struct imgtask_client_options {
    /** sizeof(imgtask_client_options); IMGTASK_INIT sets it. */
    size_t struct_size;
    /**
     * Name of a built-in provider: "dimilinks", "dimilinks-legacy", "lemondata"; imgtask_provider_get lists them.
     * Exactly one of provider and dialect_json must be set.
     */
    const char *provider;
    /**
     * An own dialect, which docs/dialects.md tells how to write: a JSON document, or the UTF-8 path of a file that holds one.
     * It is taken for a document when its first character that is no white space is '{'. What is wrong with it is told with
     * the file and the JSON pointers to the members.
     */
    const char *dialect_json;
    /**
     * Where the API is: "https://host[:port][/path]", with or without "/v1". Default: the environment variable
     * <NAME>_BASE_URL, then the provider's own address. A game points it at its studio's backend.
     */
    const char *base_url;
    /**
     * The key. Default: the provider's environment variable. Goes to the API's own origin and nowhere else. Do not ship one
     * inside a game or an app.
     */
    const char *api_key;
    /** Sent as User-Agent. Default: "imgtask/x.y.z". */
    const char *user_agent;
    /** "http://[user:password@]host:port", or "env" to read the environment's proxy variables. Default: no proxy. */
    const char *proxy_url;
    /** PEM file of the trusted roots. Default: the bundled ones. */
    const char *ca_file;
    /**
     * File of the journal, in UTF-8 on every system: outstanding jobs survive a crash, and imgtask_client_resume brings them back.
     * It holds labels, task ids, goals and paths; never a key, a request or the query of a link. One client at a time has it.
     * Default: none. UNSUPPORTED in a build without journal (`make lib-lean`).
     */
    const char *journal_path;
    /** Milliseconds for one connect, TLS included. Default 5,000. */
    uint32_t connect_timeout_ms;
    /** Milliseconds for one look. Default 20,000. */
    uint32_t request_timeout_ms;
    /** Milliseconds for one submit. Default: the provider's: 600,000, as a submit may answer when the image is done. */
    uint32_t submit_timeout_ms;
    /** Milliseconds without a byte after which a look (default 10,000) or a download (default 30,000) is given up. */
    uint32_t stall_timeout_ms;
    /** Milliseconds that a wait lasts when the call does not say. Default: the provider's. */
    uint32_t wait_timeout_ms;
    /**
     * A fixed pace of looks in milliseconds, not below 1,000 unless the API is on loopback. The service's hints still count.
     * Default: the provider's pace, slower as a task grows older.
     */
    uint32_t poll_interval_ms;
    /**
     * The service's limit of requests a minute for this key, of which 90 % are used. Default: the provider's; where it names none,
     * what it turns out to bear: 300 at first, 900 at most. On loopback, blocking calls do not wait for a limit nobody gave.
     */
    uint32_t max_requests_per_minute;
    /** Threads that work on jobs at most; more than 64 are 64. Default 7. Blocking calls need none. */
    uint32_t max_workers;
    /** Jobs accepted and not yet finally delivered, at most. Default 100,000. */
    size_t max_pending;
    /** Longest answer that is read, in bytes. Default 67,108,864 (64 MiB). */
    uint64_t max_response_bytes;
    /** Longest image that is read, in bytes. Default 67,108,864 (64 MiB). */
    uint64_t max_image_bytes;
    /**
     * Largest image that is decoded, in pixels. Default 67,108,864 (8192 x 8192, 256 MiB of pixels). While it is decoded, a pixel
     * takes 4 bytes, 8 where its channels have 16 bits, and besides as much as its format wants: up to 6 for a progressive JPEG.
     * A smaller or turned copy is there beside the whole image for a moment.
     */
    uint64_t max_image_pixels;
    /**
     * 1: links to private addresses are followed although the API itself is public. Default 0. Through a proxy, which
     * looks names up itself, links are judged by the addresses in them alone.
     */
    uint32_t allow_private_images;
    /** 1: the API may be at a plain http:// address that is not on loopback. The key then travels unprotected. Default 0. */
    uint32_t allow_plain_http;
    /** An imgtask_log_level: how much the sink is told. Default 0, nothing. */
    uint32_t log_level;
    /** Leave 0. */
    uint32_t reserved;
    /** Takes the lines of the log. Must stay callable until the client is freed. */
    imgtask_log_sink log;
    /** Handed to the sink as it is. */
    void *log_user_data;
} imgtask_client_options;

/**
 * Creates a client. Opens no connection and starts no thread.
 *
 * @param options  how to set it up; copied.
 * @param out      receives the client, NULL on failure. Free it with imgtask_client_free.
 * @param error    receives why, or NULL.
 * @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for an option that cannot be used: an unknown provider, a bad base_url, a key
 *         that is missing (the message names its environment variable) or holds control characters; INVALID_UTF8;
 *         UNSUPPORTED for a journal in a build without one, or for fields of a newer header that this library does not know;
 *         JOURNAL when the journal cannot be used: the message says why and where; RESOURCE.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_create(const imgtask_client_options *options,
                                     imgtask_client **out,
                                     imgtask_error **error);

/**
 * Uses another key from the next request on: for short-lived tokens.
 *
 * @param client   the client.
 * @param api_key  the new key; copied.
 * @param error    receives why, or NULL.
 * @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for an empty key or control characters in it: the old one stays; INVALID_UTF8;
 *         WRONG_PROCESS; BUSY.
 */
IMGTASK_API
imgtask_status imgtask_client_set_key(imgtask_client *client,
                                      const char *api_key,
                                      imgtask_error **error);

/**
 * Ends every blocking call in flight within a tenth of a second: with CANCELLED, a submit whose request is on its way with
 * SUBMIT_UNKNOWN. A wait for an event ends, too; jobs go on. The client stays usable, and the tasks stay with the service.
 *
 * @param client  the client.
 * @return OK; NULL_ARGUMENT; WRONG_PROCESS; BUSY.
 *
 * Any thread, while other calls run.
 */
IMGTASK_API
imgtask_status imgtask_client_interrupt(imgtask_client *client);

/**
 * Refuses new calls and jobs with CLOSED, ends calls in flight as imgtask_client_interrupt does, ends every job, and waits for the
 * calls to return and the threads to leave. May be called again, to wait on. Events can still be taken: every job gets its FINAL
 * one, mostly CANCELLED. The journal keeps such jobs for the next start, but for those whose request was not sent yet. It is
 * written first, for which this waits as long as the disk takes.
 *
 * @param client      the client.
 * @param timeout_ms  milliseconds to wait at most; 0 does not wait; IMGTASK_TIMEOUT_DEFAULT waits as long as it takes.
 * @return OK when no call and no thread runs any more; TIMEOUT when one still does; NULL_ARGUMENT; WRONG_PROCESS; BUSY.
 *
 * Any thread, while other calls run. The client must still be freed.
 */
IMGTASK_API
imgtask_status imgtask_client_close(imgtask_client *client,
                                    uint32_t timeout_ms);

/**
 * Closes a client without waiting, and frees it. Never waits for the network; for the disk where its journal has something to
 * write. Another client can have the journal at once, or when the calls have ended that were still on their way. Tasks, bytes and
 * errors stay good. In a child process after a fork it leaves the memory alone, on purpose.
 *
 * @param client  the client, or NULL. No other call with it may start any more.
 */
IMGTASK_API
void imgtask_client_free(imgtask_client *client);

/**
 * What a client has done so far.
 */
typedef struct imgtask_stats {
    /** Set to sizeof(imgtask_stats) before the call. */
    size_t struct_size;
    /** Jobs accepted whose FINAL event was not taken yet. */
    size_t pending;
    /** Calls running now, those of jobs included. */
    size_t in_flight;
    /** Events waiting to be taken. */
    size_t events_waiting;
    /** Status requests sent. */
    uint64_t looks;
    /** All requests sent, downloads included. */
    uint64_t requests;
    /** Answers with HTTP 429. */
    uint64_t rate_limited;
    /** Requests sent again after a failure. */
    uint64_t retries;
    /** Body bytes received. */
    uint64_t bytes_received;
    /** Connections opened. */
    uint64_t connections_opened;
    /** Milliseconds until the next request is allowed. */
    int64_t gate_wait_ms;
    /** Milliseconds that looking at every watched task once takes, 0 without any. */
    int64_t sweep_ms;
    /** Half of the watched tasks were looked at within so many milliseconds, -1 unknown. */
    int64_t staleness_p50_ms;
    /** 95 % of the watched tasks were looked at within so many milliseconds, -1 unknown. */
    int64_t staleness_p95_ms;
    /** Requests a minute that the client allows itself now; 0 while the service wants a pause. */
    uint32_t gate_per_minute;
    /** Threads of ours that live now: those that work on jobs, and short-lived helpers of a name look-up. */
    uint32_t threads;
    /** Looks that failed one after another, of whichever task; 0 once one is answered. The log tells why. */
    uint64_t consecutive_failures;
} imgtask_stats;

/**
 * What the client has done so far, and what it is at. Goes through all watched tasks: not meant for every frame.
 *
 * @param client  the client.
 * @param inout   set its struct_size; the rest is filled.
 * @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one; WRONG_PROCESS; BUSY.
 */
IMGTASK_API imgtask_status imgtask_client_get_stats(imgtask_client *client, imgtask_stats *inout);

/* ====================================================================================================
 * Blocking calls, on the calling thread
 * ==================================================================================================== */

/**
 * What is known of a task after a submit, a look or a wait. Immutable: any number of threads may read it, and it outlives
 * its client.
 */
typedef struct imgtask_task imgtask_task;

/**
 * An image's bytes or its pixels, or what is known of a file that was written. Immutable: any number of threads may read it, and it
 * outlives its task and its client.
 */
typedef struct imgtask_bytes imgtask_bytes;

/**
 * Bits for the parameters named flags. Each function says which it takes; any other bit is UNSUPPORTED.
 */
enum imgtask_flag
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** imgtask_job, imgtask_client_resume: PROGRESS events on the way. */
    IMGTASK_FLAG_PROGRESS = 1,
    /**
     * imgtask_client_download_file, imgtask_job: an existing file stays as it is, and the call or job ends in FILE. A job whose very
     * image is in it already, as after a crash, has its goal.
     */
    IMGTASK_FLAG_NO_REPLACE = 2,
    /** imgtask_bytes_decode, imgtask_job for pixels: bottom row first, as OpenGL counts them. */
    IMGTASK_FLAG_FLIP_Y = 4,
    /** imgtask_bytes_decode, imgtask_job for pixels: blue, green, red, alpha. */
    IMGTASK_FLAG_BGRA = 8,
    /** imgtask_bytes_decode, imgtask_job for pixels: colours multiplied by alpha. */
    IMGTASK_FLAG_PREMULTIPLY = 16,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_flag imgtask_flag;
#else
typedef uint32_t imgtask_flag;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Submits a request for an image. It is never sent twice by itself: a request that got lost on its way back is
 * SUBMIT_UNKNOWN, and may have been paid for.
 *
 * @param client        the client.
 * @param request_json  the provider's own JSON object, as its documentation writes it: {"prompt": "a lighthouse at dusk"}.
 * @param out           receives the task; already final where the service answers with the image. Free it with
 *                      imgtask_task_free. On failure NULL, except after SUBMIT_UNKNOWN where a task may hold what is known.
 * @param error         receives why, or NULL.
 * @return OK; NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_UTF8: nothing was sent; UNSUPPORTED where the provider has no submit;
 *         RESOLVE, CONNECT, TLS, PROXY: nothing was sent; UNAUTHORIZED, PAYMENT, RATE_LIMITED, REJECTED, SERVER: the
 *         service's answer (RATE_LIMITED without an HTTP status: the gate's, and nothing was sent); SUBMIT_UNKNOWN; CANCELLED; CLOSED; WRONG_PROCESS; BUSY.
 *
 * Blocks for at most submit_timeout_ms, and request_timeout_ms for the gate.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_submit(imgtask_client *client,
                                     const char *request_json,
                                     imgtask_task **out,
                                     imgtask_error **error);

/**
 * Looks at a task once.
 *
 * @param client    the client.
 * @param task_ref  the task's id, or the poll address the service gave (imgtask_task_info.poll_ref). An id has at most 512
 *                  bytes and no '/', '?', '#' or control character. An address must be the API's own.
 * @param out       receives the task, NULL on failure. Free it with imgtask_task_free.
 * @param error     receives why, or NULL.
 * @return OK, also for a task that failed: its state says FAILED; NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_UTF8: nothing was
 *         sent; NOT_FOUND: no such task, or not this key's; UNAUTHORIZED; RATE_LIMITED; SERVER; REJECTED; BAD_RESPONSE;
 *         RESOLVE, CONNECT, TLS, IO, PROTOCOL, PROXY; TIMEOUT; TOO_LARGE; CANCELLED; CLOSED; WRONG_PROCESS; BUSY. A look
 *         that fails says nothing about the task.
 *
 * Blocks for at most request_timeout_ms, and as long again for the gate.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_fetch(imgtask_client *client,
                                    const char *task_ref,
                                    imgtask_task **out,
                                    imgtask_error **error);

/**
 * Looks at a task, at the provider's pace, until it is final or the time is over. Looks that fail for a passing reason are
 * made again.
 *
 * @param client      the client.
 * @param task_ref    as for imgtask_client_fetch.
 * @param timeout_ms  milliseconds from now. 0: one look. IMGTASK_TIMEOUT_DEFAULT: the options' wait_timeout_ms, else the
 *                    provider's.
 * @param out         receives the task. Free it with imgtask_task_free. Never NULL after OK and TIMEOUT; may hold what is
 *                    known after STARVED, CANCELLED and NO_IMAGE; NULL after anything else.
 * @param error       receives why, or NULL.
 * @return OK for every final state: the status speaks of the looking, imgtask_task_info.state of the task; TIMEOUT after one
 *         last look: the task is still in work, wait again; STARVED: the request budget did not allow a look in time;
 *         NO_IMAGE: succeeded without a usable image; CANCELLED by imgtask_client_interrupt or _close; NOT_FOUND;
 *         UNAUTHORIZED; PAYMENT; REJECTED; otherwise as imgtask_client_fetch.
 *
 * Blocks for timeout_ms at most, and for the last look.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_wait(imgtask_client *client,
                                   const char *task_ref,
                                   uint32_t timeout_ms,
                                   imgtask_task **out,
                                   imgtask_error **error);

/**
 * Asks the provider to cancel a task. (To stop waiting, use imgtask_client_interrupt.)
 *
 * @param client    the client.
 * @param task_ref  as for imgtask_client_fetch.
 * @param out       receives the task as the service shows it now, NULL on failure. Free it with imgtask_task_free.
 * @param error     receives why, or NULL.
 * @return OK; UNSUPPORTED where the provider has no such call; REJECTED where this task can no longer be cancelled;
 *         otherwise as imgtask_client_fetch.
 *
 * Blocks for at most request_timeout_ms, and as long again for the gate.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_cancel_task(imgtask_client *client,
                                          const char *task_ref,
                                          imgtask_task **out,
                                          imgtask_error **error);

/**
 * Downloads one image of a task. The bytes are checked to be a whole image.
 *
 * @param client       the client.
 * @param task         a task with images, of this client's service.
 * @param image_index  which image, below imgtask_task_info.image_count.
 * @param flags        0.
 * @param out          receives the image's bytes, NULL on failure. Free them with imgtask_bytes_free.
 * @param error        receives why, or NULL.
 * @return OK; NULL_ARGUMENT; NO_IMAGE: the task failed, is not finished, or succeeded without an image; INVALID_ARGUMENT for
 *         an index that none of its images has; UNSUPPORTED for a flag; LINK_EXPIRED: fetch the task again; BLOCKED for an
 *         address that is not allowed; BAD_IMAGE; TOO_LARGE; RESOLVE, CONNECT, TLS, IO, PROTOCOL, PROXY; TIMEOUT; SERVER;
 *         RATE_LIMITED; REJECTED; RESOURCE; CANCELLED; CLOSED; WRONG_PROCESS; BUSY.
 *
 * Blocks until the image is here or cannot be had: up to five tries, each ended by stall_timeout_ms without a byte, with pauses of
 * up to a minute between them. There is no limit to all of it: imgtask_client_interrupt ends it. Calls are not among the four
 * downloads that jobs have at a time from one host.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_download(imgtask_client *client,
                                       const imgtask_task *task,
                                       size_t image_index,
                                       uint32_t flags,
                                       imgtask_bytes **out,
                                       imgtask_error **error);

/**
 * Downloads one image of a task into a file. Under its final name the file is whole and checked, or absent.
 *
 * @param client       the client.
 * @param task         a task with images, of this client's service.
 * @param image_index  which image, below imgtask_task_info.image_count.
 * @param path         the file, in UTF-8 on every system. Its folder must exist.
 * @param flags        0 or IMGTASK_FLAG_NO_REPLACE.
 * @param out_info     receives what is known of the image, without data, NULL on failure. Free it with imgtask_bytes_free.
 *                     May be NULL.
 * @param error        receives why, or NULL.
 * @return OK; FILE: the file cannot be written, or exists and may not be replaced; otherwise as imgtask_client_download.
 *
 * Blocks as imgtask_client_download does. Where the process has a limit of file size (RLIMIT_FSIZE), ignore SIGXFSZ: by default the
 * system ends a process that writes beyond it. Jobs need nothing: they end in FILE.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_download_file(imgtask_client *client,
                                            const imgtask_task *task,
                                            size_t image_index,
                                            const char *path,
                                            uint32_t flags,
                                            imgtask_bytes **out_info,
                                            imgtask_error **error);

/* ====================================================================================================
 * Jobs, on threads of the library
 * ==================================================================================================== */

/**
 * How far a job goes. Each goal holds the ones before it, as far as they are needed.
 */
enum imgtask_goal
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** The service has accepted the request and named a task. */
    IMGTASK_GOAL_SUBMITTED = 1,
    /** The task was looked at once. */
    IMGTASK_GOAL_LOOKED = 2,
    /** The task is final. */
    IMGTASK_GOAL_FINISHED = 3,
    /** The image's bytes are here. */
    IMGTASK_GOAL_BYTES = 4,
    /** The image's pixels are here, decoded on a thread of the library. UNSUPPORTED in a build without pixels. */
    IMGTASK_GOAL_PIXELS = 5,
    /** The image is in a file. */
    IMGTASK_GOAL_FILE = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_goal imgtask_goal;
#else
typedef uint32_t imgtask_goal;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Work to be done without blocking: where it begins, how far it goes. Start from IMGTASK_INIT(imgtask_job) and set one of
 * request_json, task_ref and task, and the goal; zero means the default for the rest. Everything is copied before
 * imgtask_client_start returns.
 */
typedef struct imgtask_job {
    /** sizeof(imgtask_job); IMGTASK_INIT sets it. */
    size_t struct_size;
    /** Begin with a submit of this request: the provider's own JSON object. */
    const char *request_json;
    /** Begin with a task that exists: its id, or the poll address the service gave; as for imgtask_client_fetch. */
    const char *task_ref;
    /** Begin with a task as it was seen; a final one is downloaded without another look. May be freed after the call. */
    const imgtask_task *task;
    /**
     * IMGTASK_GOAL_FILE: where the image goes, in UTF-8 on every system. "{id}", "{index}" and "{ext}" are filled in: the task's
     * id as a safe name, the image's place, the extension of the type that the bytes have. Any other brace is INVALID_ARGUMENT, and
     * so is "{ext}" in the name of a folder. The folder must exist: a request whose image has no place to go is not sent. Two jobs
     * of one path write over each other. A job that the journal brings back writes to the same place, also when the program was
     * started in another folder.
     */
    const char *path;
    /** Your name for it, at most 256 bytes. Comes back with every event, and from the journal after a restart. */
    const char *label;
    /** Your own pointer; comes back with every event of this process and is never looked at. */
    void *user_data;
    /**
     * Which image, below imgtask_task_info.image_count, or IMGTASK_ALL_IMAGES: then each has an IMAGE event of its own, and a
     * path needs "{index}".
     */
    size_t image_index;
    /** An imgtask_goal: how far it goes. */
    uint32_t goal;
    /**
     * 0 or bits: IMGTASK_FLAG_PROGRESS, IMGTASK_FLAG_NO_REPLACE; for IMGTASK_GOAL_PIXELS also IMGTASK_FLAG_FLIP_Y,
     * IMGTASK_FLAG_BGRA, IMGTASK_FLAG_PREMULTIPLY.
     */
    uint32_t flags;
    /**
     * Milliseconds to watch the task at most, from the start or from the accepted submit. 0 or IMGTASK_TIMEOUT_DEFAULT: the
     * options' wait_timeout_ms, else the provider's.
     */
    uint32_t timeout_ms;
    /** IMGTASK_GOAL_PIXELS: longest side of the pixels; a larger image is made smaller, none is made larger. 0: as it is. */
    uint32_t max_side;
} imgtask_job;

/**
 * Starts work that goes on by itself, on threads of the library. Never blocks for the network or the disk. The first job starts
 * a thread, further ones as many as there is work for, at most max_workers.
 *
 * @param client  the client.
 * @param job     what to do; copied.
 * @param out_op  receives the job's number: never 0, below 2^53, never used again by this client. 0 on failure. May be NULL.
 * @return OK: exactly one FINAL event will come, from imgtask_client_next_event; NULL_ARGUMENT; INVALID_ARGUMENT for what cannot
 *         be a job (the log sink is told why); INVALID_UTF8; UNSUPPORTED for a goal, a flag or a field that this build does not
 *         know, or a provider without submit; BUSY when max_pending jobs are accepted and not delivered; RESOURCE when the
 *         system gives no thread; CLOSED; WRONG_PROCESS. Every other fault arrives as the job's FINAL event, with an error.
 *
 * Any thread. Several jobs may be about one task; each gets its own result.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_start(imgtask_client *client,
                                    const imgtask_job *job,
                                    uint64_t *out_op);

/**
 * Ends a job here; its task stays with the service (imgtask_client_cancel_task asks the service). Never blocks. The job still gets
 * its one FINAL event: CANCELLED, or what it came to meanwhile. Of many jobs that submit, stop the one that was started last first:
 * each that ends lets the next in line begin. imgtask_client_close ends them all at once.
 *
 * @param client  the client.
 * @param op      the job's number.
 * @return OK, also when its FINAL event waits to be taken already; UNKNOWN_OP for a number that was never given, or whose FINAL
 *         event was taken; NULL_ARGUMENT; WRONG_PROCESS; BUSY from inside the log sink.
 *
 * Any thread.
 */
IMGTASK_API
imgtask_status imgtask_client_stop(imgtask_client *client,
                                   uint64_t op);

/**
 * Jobs accepted whose FINAL event was not taken yet.
 *
 * @param client  the client; NULL gives 0, and so does a child process after a fork.
 * @return how many.
 *
 * Any thread.
 */
IMGTASK_API size_t imgtask_client_pending(imgtask_client *client);

/**
 * Takes up what the journal held for this provider and base address when the client was created: call it once, and start afterwards
 * what neither came back nor was delivered before. Each job is told by a RESUMED event with its new op, its label and its task, and
 * goes on to the goal it had, with its time limit counted anew. user_data is NULL for all of them. A second call brings nothing.
 *
 * What the journal promises. After a crash or a kill a job whose request was sent and whose FINAL event was not cleared comes back
 * here, with the same label and the same task id. One whose request was about to be sent, or whose answer was not written yet, comes
 * back without a task and ends in SUBMIT_UNKNOWN: the task may exist and be paid for, and the library does not send it again. What
 * does not come back was cleared, was refused by the service, or was never sent: of these start again what you have not seen the end
 * of. (A job about a task_ref is written down soon after its start; one that was not is to be started again, too.) So a job may be
 * delivered more than once, and none is lost. Its IMAGE events and files come again, too; with IMGTASK_FLAG_NO_REPLACE a file that the
 * job had finished before stays and is delivered.
 *
 * @param client     the client, with a journal_path.
 * @param flags      0 or IMGTASK_FLAG_PROGRESS: progress events for all of them, also where the job had not asked for them.
 * @param out_count  receives how many came back, 0 on failure. May be NULL.
 * @param error      receives why, or NULL.
 * @return OK; JOURNAL without a journal, or when it cannot be read; UNSUPPORTED for another flag and in a build without journal;
 *         RESOURCE; CLOSED;
 *         NULL_ARGUMENT; WRONG_PROCESS; BUSY.
 *
 * Reads the journal on the calling thread.
 */
IMGTASK_API
imgtask_status imgtask_client_resume(imgtask_client *client,
                                     uint32_t flags,
                                     size_t *out_count,
                                     imgtask_error **error);

/**
 * Drops a task from the journal: it does not come back after a restart. A job that is at work on it goes on.
 *
 * @param client    the client, with a journal_path.
 * @param task_ref  as for imgtask_client_fetch.
 * @param error     receives why, or NULL.
 * @return OK; NOT_FOUND when the journal holds no such task; JOURNAL; UNSUPPORTED in a build without journal;
 *         INVALID_ARGUMENT; INVALID_UTF8; NULL_ARGUMENT;
 *         WRONG_PROCESS; BUSY.
 *
 * Waits for the disk.
 */
IMGTASK_API
imgtask_status imgtask_client_forget(imgtask_client *client,
                                     const char *task_ref,
                                     imgtask_error **error);

/* ====================================================================================================
 * Events
 * ==================================================================================================== */

/**
 * What an event tells.
 */
enum imgtask_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** The job is over; exactly one comes for each accepted job, and nothing of the job after it. */
    IMGTASK_EVENT_KIND_FINAL = 1,
    /** The task moved on. What was not taken yet is merged: the event tells of the last look. */
    IMGTASK_EVENT_KIND_PROGRESS = 2,
    /** One image of several is here. */
    IMGTASK_EVENT_KIND_IMAGE = 3,
    /** A job of the journal goes on; its other events follow. */
    IMGTASK_EVENT_KIND_RESUMED = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_event_kind imgtask_event_kind;
#else
typedef uint32_t imgtask_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Something that happened to a job. Clear it with imgtask_event_clear when you are done with it.
 */
typedef struct imgtask_event {
    /** Set to sizeof(imgtask_event) before the call. */
    size_t struct_size;
    /** Which image it tells of, where it brings one. */
    size_t image_index;
    /** The job's number. */
    uint64_t op;
    /** The job's own pointer. */
    void *user_data;
    /** The job's label; good until the event is cleared. Never NULL in an event. */
    const char *label;
    /** The task as it is known, or NULL. Yours: set it to NULL to keep it through imgtask_event_clear. */
    imgtask_task *task;
    /** The image, or NULL. Yours. For IMGTASK_GOAL_FILE without data: what is known of the file. */
    imgtask_bytes *bytes;
    /** Why the job, or this image of it, failed; NULL when status is OK. Yours. */
    imgtask_error *error;
    /** The library's. Leave it alone. */
    void *internal;
    /** An imgtask_event_kind. */
    uint32_t kind;
    /** An imgtask_goal: how far the job has come, 0 nowhere. */
    uint32_t goal;
    /**
     * FINAL: what the job came to, OK when it reached its goal. A task that failed is OK for IMGTASK_GOAL_FINISHED: its state
     * says FAILED. IMAGE: what this image came to. OK otherwise.
     */
    imgtask_status status;
    /**
     * Filled with 0. Set it to 1 before imgtask_event_clear to free a FINAL event that was not dealt with: the journal is not told,
     * and the job comes back after a restart. For languages that free what nobody refers to any more.
     */
    uint32_t keep_in_journal;
} imgtask_event;

/**
 * Takes the next event. Call it once a frame with 0, or on a thread of its own with IMGTASK_TIMEOUT_DEFAULT. It also tells the log
 * sink what the workers had to say, on this thread. What the struct held before is overwritten, not freed: clear it first.
 *
 * @param client      the client.
 * @param timeout_ms  milliseconds to wait for one: 0 never waits, IMGTASK_TIMEOUT_DEFAULT waits until there is one.
 * @param inout       set its struct_size; the rest is filled. Zero when there is no event.
 * @return OK: there is an event; NO_EVENT: none came in time; CANCELLED: it waited, and imgtask_client_interrupt was called;
 *         CLOSED: the client was closed, and every event was taken; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is
 *         not one; WRONG_PROCESS; BUSY from inside the log sink.
 *
 * Any thread, one at a time. Of each job: IMAGE and merged PROGRESS events where it asked for them, then one FINAL event, nothing
 * after it. Events that nobody takes are kept: progress is merged, and no further bodies and images are fetched while 256 MiB of
 * them wait.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_client_next_event(imgtask_client *client,
                                         uint32_t timeout_ms,
                                         imgtask_event *inout);

/**
 * Frees what is still in an event and zeroes it. Clearing a FINAL event tells the journal that it arrived, whatever it told: the job
 * does not come back after a restart. So keep what it brought first. (The CANCELLED that closing a client gives to its jobs tells
 * nothing: those come back; nor does an event whose keep_in_journal was set.) Set task, bytes or error to NULL before it to keep them.
 *
 * @param event  an event that imgtask_client_next_event filled, or one that is zero but for its struct_size, or NULL. Good to be
 *               filled again.
 *
 * Never waits for the disk: the journal is written by the library's threads, within a quarter of a second when one is free, and by
 * imgtask_client_close and imgtask_client_free. Also in the log sink, and after its client was freed or in a child after a fork; the
 * journal is then told no more.
 */
IMGTASK_API
void imgtask_event_clear(imgtask_event *event);

/**
 * A descriptor that is readable while events wait, and after the client was closed: for epoll, asyncio, GLib. Make it part of your
 * loop, and take events with a timeout of 0 until there is none.
 *
 * @param client  the client.
 * @param out_fd  receives the descriptor, -1 on failure. The client's: neither read from it nor close it; gone when the client is freed.
 * @return OK; UNSUPPORTED on Windows; RESOURCE; NULL_ARGUMENT; WRONG_PROCESS; BUSY.
 */
IMGTASK_API
imgtask_status imgtask_client_event_fd(imgtask_client *client,
                                       int *out_fd);

/* ====================================================================================================
 * Task
 * ==================================================================================================== */

/**
 * Where a task stands.
 */
enum imgtask_task_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Not seen yet, or the service used a word nobody knows. Keeps being looked at. */
    IMGTASK_TASK_STATE_UNKNOWN = 0,
    /** Accepted, waiting. */
    IMGTASK_TASK_STATE_QUEUED = 1,
    /** In work. */
    IMGTASK_TASK_STATE_RUNNING = 2,
    /** Done. Images may be read. */
    IMGTASK_TASK_STATE_SUCCEEDED = 3,
    /** Ended in an error of the task's own. */
    IMGTASK_TASK_STATE_FAILED = 4,
    /** Ended because somebody asked for it. */
    IMGTASK_TASK_STATE_CANCELLED = 5,
    /** The service no longer keeps it. */
    IMGTASK_TASK_STATE_EXPIRED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_task_state imgtask_task_state;
#else
typedef uint32_t imgtask_task_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What helps after a task failed.
 */
enum imgtask_failure_action
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Nothing: the task did not fail. */
    IMGTASK_FAILURE_ACTION_NONE = 0,
    /** Submit the same request again. */
    IMGTASK_FAILURE_ACTION_RESUBMIT = 1,
    /** The request itself was refused: change it first. */
    IMGTASK_FAILURE_ACTION_CHANGE_REQUEST = 2,
    /** The account, its balance or its rights: look there first. */
    IMGTASK_FAILURE_ACTION_CHECK_ACCOUNT = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_failure_action imgtask_failure_action;
#else
typedef uint32_t imgtask_failure_action;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A task. Strings are borrowed from the task and never NULL: "" where the service said nothing.
 */
typedef struct imgtask_task_info {
    /** Set to sizeof(imgtask_task_info) before the call. */
    size_t struct_size;
    /** Usable images, 0 until it succeeded. */
    size_t image_count;
    /** Where it stands. */
    imgtask_task_state state;
    /** 1: nothing will change it any more. */
    uint32_t is_final;
    /** 0 to 100, never lower within one wait, 100 only when it succeeded; -1 unknown or failed. */
    int32_t progress;
    /** What helps after a failure. */
    imgtask_failure_action failure_action;
    /** When the service accepted it, Unix seconds, 0 unknown. */
    int64_t created_at;
    /** When it ended, Unix seconds, 0 unknown or not yet. */
    int64_t completed_at;
    /** When this was seen, Unix milliseconds by this machine's clock, 0 when no look saw it. */
    int64_t looked_at_ms;
    /** The service's credits, -1 unknown. */
    int64_t credit_cost;
    /** The service's id. Enough to look at it again, also from another process. */
    const char *id;
    /** What to pass as task_ref: the service's own poll address when it gave one, else the id. */
    const char *poll_ref;
    /** The service's own word for where it stands. */
    const char *provider_status;
    /** The service's code of the failure. */
    const char *failure_code;
    /** The service's class of the failure. */
    const char *failure_type;
    /**
     * The service's words about the failure, in lines and without control characters; "the service gave no reason" when it
     * gave none; "" when it did not fail.
     */
    const char *failure_message;
    /** The prompt as the service rewrote it, also while it works. */
    const char *revised_prompt;
    /** The model that works on it. */
    const char *model;
    /** The upstream conversation. */
    const char *conversation_id;
    /** The id of the charge. */
    const char *billing_id;
} imgtask_task_info;

/**
 * All that is known of a task.
 *
 * @param task   the task.
 * @param inout  set its struct_size; the rest is filled.
 * @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
 */
IMGTASK_API imgtask_status imgtask_task_get(const imgtask_task *task, imgtask_task_info *inout);

/**
 * One image of a task. Strings are borrowed from the task and never NULL.
 */
typedef struct imgtask_image_info {
    /** Set to sizeof(imgtask_image_info) before the call. */
    size_t struct_size;
    /** Its place among the task's usable images. */
    size_t index;
    /** Its place in the service's own list, which may hold empty places. */
    size_t source_index;
    /** Its absolute address, "" when the image is in the task itself. Signed links are secrets for as long as they work. */
    const char *url;
    /** The service's id of the file. */
    const char *file_id;
    /** The prompt as the service rewrote it. */
    const char *revised_prompt;
    /** When the link expires, Unix seconds, 0 unknown. */
    int64_t expires_at;
    /** Length of the image file in bytes, 0 unknown. */
    uint64_t byte_size;
    /** Pixels across, 0 unknown. */
    uint32_t width;
    /** Pixels down, 0 unknown. */
    uint32_t height;
    /** 1: the image is in the task itself (a data URL or base64); imgtask_client_download needs no network for it. */
    uint32_t is_inline;
    /** 0. */
    uint32_t reserved;
} imgtask_image_info;

/**
 * One image of a task.
 *
 * @param task   the task.
 * @param index  which image, below imgtask_task_info.image_count.
 * @param inout  set its struct_size; the rest is filled.
 * @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for an index without an image or a struct_size that is not one.
 */
IMGTASK_API
imgtask_status imgtask_task_get_image(const imgtask_task *task,
                                      size_t index,
                                      imgtask_image_info *inout);

/**
 * The body that the service sent for this task, as it came.
 *
 * @param task     the task, or NULL.
 * @param out_len  receives its length in bytes without the NUL behind it. May be NULL.
 * @return the body; "" when no look saw the task, and for NULL. Borrowed: good until the task is freed.
 */
IMGTASK_API const char *imgtask_task_json(const imgtask_task *task, size_t *out_len);

/**
 * Frees a task. Its strings are gone with it.
 *
 * @param task  the task, or NULL.
 */
IMGTASK_API void imgtask_task_free(imgtask_task *task);

/* ====================================================================================================
 * Bytes
 * ==================================================================================================== */

/**
 * What the bytes are.
 */
enum imgtask_bytes_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** An image file as the service made it: PNG, JPEG, WebP ... */
    IMGTASK_BYTES_FORMAT_ENCODED = 0,
    /**
     * Pixels of four bytes: red, green, blue, alpha; sRGB, no gap between rows; top row first, and colours
     * not multiplied by alpha, unless a flag asked for it.
     */
    IMGTASK_BYTES_FORMAT_RGBA8 = 1,
    /** Pixels of four bytes: blue, green, red, alpha; otherwise the same. */
    IMGTASK_BYTES_FORMAT_BGRA8 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum imgtask_bytes_format imgtask_bytes_format;
#else
typedef uint32_t imgtask_bytes_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * An image's bytes. Data and strings are borrowed from the handle; strings are never NULL.
 */
typedef struct imgtask_bytes_info {
    /** Set to sizeof(imgtask_bytes_info) before the call. */
    size_t struct_size;
    /** The bytes; NULL when they are in a file. */
    const uint8_t *data;
    /** How many bytes, in memory or in the file. */
    size_t len;
    /** Bytes from one row of pixels to the next; 0 for an encoded image. */
    size_t row_bytes;
    /** The type read from the image's bytes themselves, also of pixels: "image/png". */
    const char *media_type;
    /** The type that the server named, "" when it named none. Do not trust it. */
    const char *declared_media_type;
    /** The usual file extension of media_type, without a dot: "png". */
    const char *extension;
    /** SHA-256 of the encoded image, 64 hex digits in lower case. */
    const char *sha256;
    /** The file, in UTF-8; "" when the bytes are in memory. */
    const char *path;
    /** What the bytes are. */
    imgtask_bytes_format format;
    /** Pixels across, 0 unknown. */
    uint32_t width;
    /** Pixels down, 0 unknown. */
    uint32_t height;
    /** 0. */
    uint32_t reserved;
} imgtask_bytes_info;

/**
 * All that is known of an image's bytes.
 *
 * @param bytes  the bytes.
 * @param inout  set its struct_size; the rest is filled.
 * @return OK; NULL_ARGUMENT; INVALID_ARGUMENT for a struct_size that is not one.
 */
IMGTASK_API imgtask_status imgtask_bytes_get(const imgtask_bytes *bytes, imgtask_bytes_info *inout);

/**
 * Decodes an image to pixels: PNG, JPEG and WebP; of an animation the first picture. A colour profile of RGB in it is followed, so
 * that the result is sRGB; one that is damaged, or of grey or of inks, is not, nor are a PNG's gAMA, cHRM and cICP. An EXIF
 * orientation is followed. Channels of 16 bits become 8.
 *
 * @param bytes     an encoded image in memory.
 * @param max_side  longest side of the result in pixels: a larger image is made smaller (Lanczos, weighed by alpha), none is made
 *                  larger. 0: as it is.
 * @param flags     IMGTASK_FLAG_FLIP_Y, IMGTASK_FLAG_BGRA, IMGTASK_FLAG_PREMULTIPLY, or 0.
 * @param out       receives the pixels, NULL on failure. Free them with imgtask_bytes_free.
 * @param error     receives why, or NULL.
 * @return OK; TOO_LARGE for more pixels than the client's max_image_pixels, before memory is taken for them, and for a PNG that
 *         wants more memory than its size allows; BAD_IMAGE for data that is damaged; UNSUPPORTED for another format, another
 *         flag, and in a build without pixels; RESOURCE without memory; NULL_ARGUMENT; INVALID_ARGUMENT for bytes that are in a
 *         file or are pixels.
 *
 * Works on the calling thread, at tens of millions of pixels a second: in a game take IMGTASK_GOAL_PIXELS, which decodes on a
 * thread of the library. Wants 256 KiB of stack. Needs no client: it may be closed and freed.
 */
IMGTASK_API
IMGTASK_NODISCARD
imgtask_status imgtask_bytes_decode(const imgtask_bytes *bytes,
                                    uint32_t max_side,
                                    uint32_t flags,
                                    imgtask_bytes **out,
                                    imgtask_error **error);

/**
 * Frees bytes. Their data and strings are gone with them; a file stays. The system takes some milliseconds to have 64 MiB of pixels
 * back: ask for no more than the frame shows, or free them on another thread.
 *
 * @param bytes  the bytes, or NULL.
 */
IMGTASK_API
void imgtask_bytes_free(imgtask_bytes *bytes);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* IMGTASK_H */
