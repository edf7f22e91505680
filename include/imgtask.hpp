/*
 * imgtask for C++17 and later: imgtask.h with owners, views and results. Header-only, so all of it stands here; link the C library.
 *
 *     imgtask::client client("dimilinks");                      // the key comes from its environment variable
 *     auto submitted = client.submit(R"({"prompt": "a red apple"})").value();
 *     auto done = client.wait(submitted).value();
 *     client.download_file(done, "apple.png").value();
 *
 * Without blocking, once a frame:
 *
 *     imgtask::job job;
 *     job.request_json = R"({"prompt": "a red apple"})";
 *     job.goal = imgtask::goal::pixels;
 *     client.start(job).value();
 *     ...
 *     for (imgtask::event &event : client.events(8))            // at most 8 of them, never waits
 *         if (event.is_final() && event.ok())
 *             show(std::move(event.bytes));
 *
 * Results. A call that can fail returns an imgtask::result: a value or an error. value() hands the value out, and throws
 * imgtask::exception when there is none. Who does not want exceptions asks first:
 *
 *     if (auto done = client.wait(id, 30s))
 *         use(*done);
 *     else
 *         complain(done.error().message());
 *
 * The constructors of a client that take options, and value(), are all that throws on a failure of the library; where exceptions
 * are switched off (-fno-exceptions), these two say it on stderr and abort. Functions that are not noexcept may throw
 * std::bad_alloc.
 *
 * Owners. client, task, bytes, error and event move and do not copy. One that was moved from, or made without arguments, is empty:
 * without a handle and words, and calls with it fail with null_argument; of an error that was moved from the status stays. get() and
 * release() lead to the C interface and the constructor from a C handle back.
 *
 * Views. Every std::string_view and bytes_view is borrowed from the object that gave it, and good for as long as that object's
 * handle lives: also when the object is moved. Every std::string_view has a NUL behind it: its data() is a C string. No image is
 * copied.
 *
 * Texts that go in are UTF-8 and copied. One with a NUL inside is invalid_utf8, a NULL const char * is null_argument.
 *
 * Threads and processes: as imgtask.h says, which is the manual of every call: its statuses, limits and times. Any number
 * of threads may call a client and read tasks, bytes and errors; all else, and every change, is for one thread at a time.
 */
#pragma once

#include "imgtask.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace imgtask {

/* ====================================================================================================
 * Words
 * ==================================================================================================== */

/** The outcome of a call: imgtask_status. A newer library may give numbers that have no name here. */
enum class status : std::uint32_t {
    ok = IMGTASK_STATUS_OK,
    null_argument = IMGTASK_STATUS_NULL_ARGUMENT,
    invalid_argument = IMGTASK_STATUS_INVALID_ARGUMENT,
    invalid_utf8 = IMGTASK_STATUS_INVALID_UTF8,
    unsupported = IMGTASK_STATUS_UNSUPPORTED,
    closed = IMGTASK_STATUS_CLOSED,
    busy = IMGTASK_STATUS_BUSY,
    wrong_process = IMGTASK_STATUS_WRONG_PROCESS,
    unknown_op = IMGTASK_STATUS_UNKNOWN_OP,
    timeout = IMGTASK_STATUS_TIMEOUT,
    cancelled = IMGTASK_STATUS_CANCELLED,
    no_event = IMGTASK_STATUS_NO_EVENT,
    starved = IMGTASK_STATUS_STARVED,
    resolve = IMGTASK_STATUS_RESOLVE,
    connect = IMGTASK_STATUS_CONNECT,
    tls = IMGTASK_STATUS_TLS,
    io = IMGTASK_STATUS_IO,
    protocol = IMGTASK_STATUS_PROTOCOL,
    proxy = IMGTASK_STATUS_PROXY,
    unauthorized = IMGTASK_STATUS_UNAUTHORIZED,
    payment = IMGTASK_STATUS_PAYMENT,
    not_found = IMGTASK_STATUS_NOT_FOUND,
    rate_limited = IMGTASK_STATUS_RATE_LIMITED,
    rejected = IMGTASK_STATUS_REJECTED,
    server = IMGTASK_STATUS_SERVER,
    bad_response = IMGTASK_STATUS_BAD_RESPONSE,
    submit_unknown = IMGTASK_STATUS_SUBMIT_UNKNOWN,
    no_image = IMGTASK_STATUS_NO_IMAGE,
    link_expired = IMGTASK_STATUS_LINK_EXPIRED,
    blocked = IMGTASK_STATUS_BLOCKED,
    file = IMGTASK_STATUS_FILE,
    too_large = IMGTASK_STATUS_TOO_LARGE,
    bad_image = IMGTASK_STATUS_BAD_IMAGE,
    journal = IMGTASK_STATUS_JOURNAL,
    resource = IMGTASK_STATUS_RESOURCE,
    panic = IMGTASK_STATUS_PANIC,
};

/** Where a task stands: imgtask_task_state. */
enum class task_state : std::uint32_t {
    unknown = IMGTASK_TASK_STATE_UNKNOWN,
    queued = IMGTASK_TASK_STATE_QUEUED,
    running = IMGTASK_TASK_STATE_RUNNING,
    succeeded = IMGTASK_TASK_STATE_SUCCEEDED,
    failed = IMGTASK_TASK_STATE_FAILED,
    cancelled = IMGTASK_TASK_STATE_CANCELLED,
    expired = IMGTASK_TASK_STATE_EXPIRED,
};

/** What helps after a task failed: imgtask_failure_action. */
enum class failure_action : std::uint32_t {
    none = IMGTASK_FAILURE_ACTION_NONE,
    resubmit = IMGTASK_FAILURE_ACTION_RESUBMIT,
    change_request = IMGTASK_FAILURE_ACTION_CHANGE_REQUEST,
    check_account = IMGTASK_FAILURE_ACTION_CHECK_ACCOUNT,
};

/** How far a job goes: imgtask_goal. */
enum class goal : std::uint32_t {
    submitted = IMGTASK_GOAL_SUBMITTED,
    looked = IMGTASK_GOAL_LOOKED,
    finished = IMGTASK_GOAL_FINISHED,
    bytes = IMGTASK_GOAL_BYTES,
    pixels = IMGTASK_GOAL_PIXELS,
    file = IMGTASK_GOAL_FILE,
};

/** What an event tells: imgtask_event_kind. */
enum class event_kind : std::uint32_t {
    final = IMGTASK_EVENT_KIND_FINAL,
    progress = IMGTASK_EVENT_KIND_PROGRESS,
    image = IMGTASK_EVENT_KIND_IMAGE,
    resumed = IMGTASK_EVENT_KIND_RESUMED,
};

/** What bytes are: imgtask_bytes_format. */
enum class bytes_format : std::uint32_t {
    encoded = IMGTASK_BYTES_FORMAT_ENCODED,
    rgba8 = IMGTASK_BYTES_FORMAT_RGBA8,
    bgra8 = IMGTASK_BYTES_FORMAT_BGRA8,
};

/** How well a built-in dialect is known: imgtask_confidence. */
enum class confidence : std::uint32_t {
    inferred = IMGTASK_CONFIDENCE_INFERRED,
    documented = IMGTASK_CONFIDENCE_DOCUMENTED,
};

/** How much the log is told: imgtask_log_level. */
enum class log_level : std::uint32_t {
    off = IMGTASK_LOG_LEVEL_OFF,
    error = IMGTASK_LOG_LEVEL_ERROR,
    warn = IMGTASK_LOG_LEVEL_WARN,
    info = IMGTASK_LOG_LEVEL_INFO,
    debug = IMGTASK_LOG_LEVEL_DEBUG,
};

/** Bits for the parameters named flags, joined by |: imgtask_flag. Each call says which it takes. */
enum class flag : std::uint32_t {
    none = 0,
    progress = IMGTASK_FLAG_PROGRESS,
    no_replace = IMGTASK_FLAG_NO_REPLACE,
    flip_y = IMGTASK_FLAG_FLIP_Y,
    bgra = IMGTASK_FLAG_BGRA,
    premultiply = IMGTASK_FLAG_PREMULTIPLY,
};

/** Both of them. */
constexpr flag operator|(flag a, flag b) noexcept
{
    return static_cast<flag>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}

/** What both have. */
constexpr flag operator&(flag a, flag b) noexcept
{
    return static_cast<flag>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}

/** Adds flags. */
constexpr flag &operator|=(flag &a, flag b) noexcept { return a = a | b; }

/** For a wait: the time that the options or the provider say. */
inline constexpr std::chrono::milliseconds default_timeout{IMGTASK_TIMEOUT_DEFAULT};

/** For client::next_event and client::close: as long as it takes. */
inline constexpr std::chrono::milliseconds forever{IMGTASK_TIMEOUT_DEFAULT};

/** For job::image_index: every image of the task. */
inline constexpr std::size_t all_images = IMGTASK_ALL_IMAGES;

/** A moment as services tell it, in seconds: what C++20 calls std::chrono::sys_seconds. */
using unix_seconds = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;

/** A moment in milliseconds. */
using unix_milliseconds = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

/** Bytes that belong to somebody else. A contiguous range: what takes a std::span<const std::uint8_t> takes it, too. */
class bytes_view {
public:
    constexpr bytes_view() noexcept = default;
    /** Bytes from `data` on, `size` of them; not copied. */
    constexpr bytes_view(const std::uint8_t *data, std::size_t size) noexcept : data_(data), size_(size) {}

    /** The first byte; NULL where there is none. */
    [[nodiscard]] constexpr const std::uint8_t *data() const noexcept { return data_; }
    /** How many bytes. */
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    /** Whether there are none. */
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
    /** For loops over the bytes. */
    [[nodiscard]] constexpr const std::uint8_t *begin() const noexcept { return data_; }
    /** Behind the last byte. */
    [[nodiscard]] constexpr const std::uint8_t *end() const noexcept { return data_ + size_; }
    /** The byte at a place below size(). */
    [[nodiscard]] constexpr const std::uint8_t &operator[](std::size_t index) const noexcept { return data_[index]; }

private:
    const std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

template <class T>
class result;

/** What the owners are made of; not for use. */
namespace detail {

struct deleter {
    void operator()(imgtask_client *client) const noexcept { imgtask_client_free(client); }
    void operator()(imgtask_task *task) const noexcept { imgtask_task_free(task); }
    void operator()(imgtask_bytes *bytes) const noexcept { imgtask_bytes_free(bytes); }
    void operator()(imgtask_error *error) const noexcept { imgtask_error_free(error); }
};

} // namespace detail

/** The owner of a C handle: what client, task, bytes and error have in common. */
template <class Handle>
class owner {
public:
    /** The type of the C interface. */
    using handle_type = Handle;

    /** Owns nothing. */
    owner() noexcept = default;
    /** Takes over a handle of the C interface; NULL is an empty owner. */
    explicit owner(Handle *owned) noexcept : owned_(owned) {}

    /** The handle, for the C interface; still owned here. */
    [[nodiscard]] Handle *get() const noexcept { return owned_.get(); }
    /** The handle, for the C interface, which has to free it. */
    [[nodiscard]] Handle *release() noexcept { return owned_.release(); }
    /** Whether there is one. */
    explicit operator bool() const noexcept { return owned_ != nullptr; }

private:
    std::unique_ptr<Handle, detail::deleter> owned_;
};

namespace detail {

/** A C struct with its size set and all else zero. */
template <class Struct>
Struct sized() noexcept
{
    Struct made = {};
    made.struct_size = sizeof made;
    return made;
}

inline std::string_view view(const char *text) noexcept
{
    return text != nullptr ? std::string_view(text) : std::string_view("");
}

/** A text for C, which would not see what is behind a NUL: the library refuses the byte 0xff in its place. */
inline const char *c_str(const std::string &text) noexcept
{
    return text.find('\0') == std::string::npos ? text.c_str() : "\xff";
}

/** An option for C, where nothing is NULL. */
inline const char *c_str_or_null(const std::string &text) noexcept { return text.empty() ? nullptr : c_str(text); }

inline std::uint32_t to_c(std::chrono::milliseconds time) noexcept
{
    // What is longer than C can say is 49 days, and not the default.
    constexpr auto most = default_timeout.count();
    const auto count = time.count();
    return static_cast<std::uint32_t>(count < 0 ? 0 : count > most ? most - 1 : count);
}

/** For what is a default when it is 0: a time that was over before it began is not the default, but as short as can be. */
inline std::uint32_t to_c_or_default(std::chrono::milliseconds time) noexcept
{
    return time.count() < 0 ? 1 : to_c(time);
}

inline std::optional<unix_seconds> moment(std::int64_t seconds) noexcept
{
    return seconds == 0 ? std::nullopt : std::optional(unix_seconds(std::chrono::seconds(seconds)));
}

/** A duration in milliseconds; none for a number below zero. */
inline std::optional<std::chrono::milliseconds> duration(std::int64_t ms) noexcept
{
    return ms < 0 ? std::nullopt : std::optional(std::chrono::milliseconds(ms));
}

template <class Enum, std::size_t Count>
constexpr std::string_view word(Enum value, const std::string_view (&words)[Count]) noexcept
{
    return static_cast<std::size_t>(value) < Count ? words[static_cast<std::size_t>(value)] : "unknown";
}

} // namespace detail

/** The word for a value, in lower case as in C: "not_found", "succeeded". "unknown" for a value that has no name here. */
inline std::string_view name(status value) noexcept { return imgtask_status_name(static_cast<std::uint32_t>(value)); }
/** @copydoc name(status) */
constexpr std::string_view name(task_state value) noexcept
{
    return detail::word(value, {"unknown", "queued", "running", "succeeded", "failed", "cancelled", "expired"});
}
/** @copydoc name(status) */
constexpr std::string_view name(failure_action value) noexcept
{
    return detail::word(value, {"none", "resubmit", "change_request", "check_account"});
}
/** @copydoc name(status) */
constexpr std::string_view name(goal value) noexcept
{
    return detail::word(value, {"unknown", "submitted", "looked", "finished", "bytes", "pixels", "file"});
}
/** @copydoc name(status) */
constexpr std::string_view name(event_kind value) noexcept
{
    return detail::word(value, {"unknown", "final", "progress", "image", "resumed"});
}
/** @copydoc name(status) */
constexpr std::string_view name(bytes_format value) noexcept { return detail::word(value, {"encoded", "rgba8", "bgra8"}); }
/** @copydoc name(status) */
constexpr std::string_view name(confidence value) noexcept { return detail::word(value, {"inferred", "documented"}); }
/** @copydoc name(status) */
constexpr std::string_view name(log_level value) noexcept
{
    return detail::word(value, {"off", "error", "warn", "info", "debug"});
}

/* ====================================================================================================
 * Tasks and bytes
 * ==================================================================================================== */

/** One image of a task: imgtask_image_info. Its texts are borrowed from the task. */
struct image {
    std::size_t index = 0; ///< Its place among the task's usable images.
    std::size_t source_index = 0; ///< Its place in the service's own list, which may hold empty places.
    /** Its absolute address, "" when the image is in the task itself. Signed links are secrets for as long as they work. */
    std::string_view url;
    std::string_view file_id; ///< The service's id of the file.
    std::string_view revised_prompt; ///< The prompt as the service rewrote it.
    std::optional<unix_seconds> expires_at; ///< When the link expires; none where that is unknown.
    std::uint64_t byte_size = 0; ///< Length of the image file in bytes, 0 unknown.
    std::uint32_t width = 0; ///< Pixels across, 0 unknown.
    std::uint32_t height = 0; ///< Pixels down, 0 unknown.
    bool is_inline = false; ///< Whether the image is in the task itself: a download needs no network for it.
};

/**
 * What is known of a task after a submit, a look or a wait. It never changes, and outlives its client. Texts are "" where the
 * service said nothing.
 */
class task : public owner<imgtask_task> {
public:
    using owner::owner;

    /** Where it stands. */
    [[nodiscard]] task_state state() const noexcept { return static_cast<task_state>(info().state); }
    /** Whether nothing will change it any more. */
    [[nodiscard]] bool is_final() const noexcept { return info().is_final != 0; }
    /** Whether it is done and its images may be read. */
    [[nodiscard]] bool succeeded() const noexcept { return state() == task_state::succeeded; }
    /** 0 to 100, never lower within one wait, 100 only when it succeeded; none where it is unknown, and after a failure. */
    [[nodiscard]] std::optional<int> progress() const noexcept
    {
        const auto percent = info().progress;
        return percent < 0 || !*this ? std::nullopt : std::optional<int>(percent);
    }
    /** Usable images, 0 until it succeeded. */
    [[nodiscard]] std::size_t image_count() const noexcept { return info().image_count; }
    /** One of its images, below image_count(); otherwise invalid_argument. */
    [[nodiscard]] result<imgtask::image> image(std::size_t index) const & noexcept;
    result<imgtask::image> image(std::size_t index) const && = delete;

    /** The service's id. Enough to look at it again, also from another process. */
    [[nodiscard]] std::string_view id() const & noexcept { return text(&imgtask_task_info::id); }
    /** What calls take that look at it: the service's own poll address when it gave one, else the id. */
    [[nodiscard]] std::string_view poll_ref() const & noexcept { return text(&imgtask_task_info::poll_ref); }
    /** The service's own word for where it stands. */
    [[nodiscard]] std::string_view provider_status() const & noexcept { return text(&imgtask_task_info::provider_status); }
    /** What helps after a failure. */
    [[nodiscard]] imgtask::failure_action failure_action() const noexcept
    {
        return static_cast<imgtask::failure_action>(info().failure_action);
    }
    /** The service's code of the failure. */
    [[nodiscard]] std::string_view failure_code() const & noexcept { return text(&imgtask_task_info::failure_code); }
    /** The service's class of the failure. */
    [[nodiscard]] std::string_view failure_type() const & noexcept { return text(&imgtask_task_info::failure_type); }
    /** The service's words about the failure; "the service gave no reason" when it gave none; "" when it did not fail. */
    [[nodiscard]] std::string_view failure_message() const & noexcept { return text(&imgtask_task_info::failure_message); }
    /** The prompt as the service rewrote it, also while it works. */
    [[nodiscard]] std::string_view revised_prompt() const & noexcept { return text(&imgtask_task_info::revised_prompt); }
    /** The model that works on it. */
    [[nodiscard]] std::string_view model() const & noexcept { return text(&imgtask_task_info::model); }
    /** The upstream conversation. */
    [[nodiscard]] std::string_view conversation_id() const & noexcept { return text(&imgtask_task_info::conversation_id); }
    /** The id of the charge. */
    [[nodiscard]] std::string_view billing_id() const & noexcept { return text(&imgtask_task_info::billing_id); }
    /** The body that the service sent for this task, as it came; "" when no look saw it. */
    [[nodiscard]] std::string_view json() const & noexcept
    {
        std::size_t size = 0;
        const char *body = imgtask_task_json(get(), &size);
        return {body, size};
    }
    /** When the service accepted it. */
    [[nodiscard]] std::optional<unix_seconds> created_at() const noexcept { return detail::moment(info().created_at); }
    /** When it ended. */
    [[nodiscard]] std::optional<unix_seconds> completed_at() const noexcept { return detail::moment(info().completed_at); }
    /** When this was seen, by this machine's clock; none when no look saw it. */
    [[nodiscard]] std::optional<unix_milliseconds> looked_at() const noexcept
    {
        const auto ms = info().looked_at_ms;
        return ms == 0 ? std::nullopt : std::optional(unix_milliseconds(std::chrono::milliseconds(ms)));
    }
    /** What it cost, in the service's credits. */
    [[nodiscard]] std::optional<std::int64_t> credit_cost() const noexcept
    {
        const auto cost = info().credit_cost;
        return cost < 0 || !*this ? std::nullopt : std::optional(cost);
    }

    // Views of a task that is gone with the statement.
    std::string_view id() const && = delete;
    std::string_view poll_ref() const && = delete;
    std::string_view provider_status() const && = delete;
    std::string_view failure_code() const && = delete;
    std::string_view failure_type() const && = delete;
    std::string_view failure_message() const && = delete;
    std::string_view revised_prompt() const && = delete;
    std::string_view model() const && = delete;
    std::string_view conversation_id() const && = delete;
    std::string_view billing_id() const && = delete;
    std::string_view json() const && = delete;

private:
    [[nodiscard]] imgtask_task_info info() const noexcept
    {
        auto known = detail::sized<imgtask_task_info>();
        (void)imgtask_task_get(get(), &known);
        return known;
    }
    [[nodiscard]] std::string_view text(const char *imgtask_task_info::*member) const noexcept
    {
        return detail::view(info().*member);
    }
};

/** An image's bytes or its pixels, or what is known of a file that was written. It never changes, and outlives its client. */
class bytes : public owner<imgtask_bytes> {
public:
    using owner::owner;

    /** The bytes themselves, not copied; none when they are in a file. */
    [[nodiscard]] bytes_view view() const & noexcept
    {
        const auto known = info();
        return known.data != nullptr ? bytes_view(known.data, known.len) : bytes_view();
    }
    /** The first of them: the top left pixel of pixels that nothing flipped. NULL when they are in a file. */
    [[nodiscard]] const std::uint8_t *data() const & noexcept { return info().data; }
    /** How many bytes there are in memory. */
    [[nodiscard]] std::size_t size() const noexcept { return view().size(); }
    /** How many bytes there are, in memory or in the file. */
    [[nodiscard]] std::size_t byte_size() const noexcept { return info().len; }

    /** What the bytes are. */
    [[nodiscard]] bytes_format format() const noexcept { return static_cast<bytes_format>(info().format); }
    /** Pixels across, 0 unknown. */
    [[nodiscard]] std::uint32_t width() const noexcept { return info().width; }
    /** Pixels down, 0 unknown. */
    [[nodiscard]] std::uint32_t height() const noexcept { return info().height; }
    /** Bytes from one row of pixels to the next; 0 for an encoded image. */
    [[nodiscard]] std::size_t row_bytes() const noexcept { return info().row_bytes; }
    /** The type read from the image's bytes themselves, also of pixels: "image/png". */
    [[nodiscard]] std::string_view media_type() const & noexcept { return text(&imgtask_bytes_info::media_type); }
    /** The type that the server named, "" when it named none. Do not trust it. */
    [[nodiscard]] std::string_view declared_media_type() const & noexcept
    {
        return text(&imgtask_bytes_info::declared_media_type);
    }
    /** The usual file extension of media_type(), without a dot: "png". */
    [[nodiscard]] std::string_view extension() const & noexcept { return text(&imgtask_bytes_info::extension); }
    /** SHA-256 of the encoded image, 64 hex digits in lower case. */
    [[nodiscard]] std::string_view sha256() const & noexcept { return text(&imgtask_bytes_info::sha256); }
    /** The file, in UTF-8; "" when the bytes are in memory. */
    [[nodiscard]] std::string_view path() const & noexcept { return text(&imgtask_bytes_info::path); }

    /**
     * Decodes an encoded image to pixels, on the calling thread: see imgtask_bytes_decode. A game takes goal::pixels instead.
     *
     * @param max_side  longest side of the result in pixels; a larger image is made smaller. 0: as it is.
     * @param flags     flag::flip_y, flag::bgra, flag::premultiply.
     */
    [[nodiscard]] result<bytes> decode(std::uint32_t max_side = 0, flag flags = flag::none) const noexcept;

    // Views of bytes that are gone with the statement.
    bytes_view view() const && = delete;
    const std::uint8_t *data() const && = delete;
    std::string_view media_type() const && = delete;
    std::string_view declared_media_type() const && = delete;
    std::string_view extension() const && = delete;
    std::string_view sha256() const && = delete;
    std::string_view path() const && = delete;

private:
    [[nodiscard]] imgtask_bytes_info info() const noexcept
    {
        auto known = detail::sized<imgtask_bytes_info>();
        (void)imgtask_bytes_get(get(), &known);
        return known;
    }
    [[nodiscard]] std::string_view text(const char *imgtask_bytes_info::*member) const noexcept
    {
        return detail::view(info().*member);
    }
};

/* ====================================================================================================
 * Errors and results
 * ==================================================================================================== */

/** Why a call did not do what it was asked. Holds no key, no link's query and no body. */
class error : public owner<imgtask_error> {
public:
    /** No error. */
    error() noexcept = default;
    /** An error with its words, where the C interface gave them, and the task as far as it is known. */
    explicit error(imgtask::status why, imgtask_error *owned = nullptr, imgtask::task known = imgtask::task()) noexcept
        : owner(owned), status_(why), task_(std::move(known))
    {
    }

    /** Whether there is one. */
    explicit operator bool() const noexcept { return status_ != imgtask::status::ok; }

    /** What the call returned. */
    [[nodiscard]] imgtask::status status() const noexcept { return status_; }
    /** One line for people: what happened, to what, and what helps. The status's word for a call that has no words. */
    [[nodiscard]] std::string_view message() const & noexcept
    {
        if (get() != nullptr)
            return detail::view(imgtask_error_message(get()));
        return *this ? name(status_) : std::string_view("");
    }
    /** The HTTP status of the answer, 0 when there was none. */
    [[nodiscard]] std::uint32_t http_status() const noexcept { return info().http_status; }
    /**
     * How long to wait before the same call: 0 when it may succeed at any time, none when it would fail again. For an error without
     * words, as client::start and client::next_event give it, the status decides.
     */
    [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept
    {
        if (get() != nullptr)
            return detail::duration(info().retry_after_ms);
        for (const auto passing : {imgtask::status::busy, imgtask::status::timeout, imgtask::status::cancelled,
                                   imgtask::status::no_event, imgtask::status::resource})
            if (status_ == passing)
                return std::chrono::milliseconds(0);
        return std::nullopt;
    }
    /** The service's own code, "" when it gave none. */
    [[nodiscard]] std::string_view provider_code() const & noexcept { return text(&imgtask_error_info::provider_code); }
    /** The service's id of the request, for its support; "" when it gave none. */
    [[nodiscard]] std::string_view request_id() const & noexcept { return text(&imgtask_error_info::request_id); }
    /** The task it happened to, "" when none is known. Worth keeping: the task may go on at the service. */
    [[nodiscard]] std::string_view task_id() const & noexcept { return text(&imgtask_error_info::task_id); }
    /**
     * The task as far as it is known: there after timeout, mostly after starved, cancelled and no_image, sometimes after
     * submit_unknown, and empty after anything else. Move it out to keep it.
     */
    [[nodiscard]] imgtask::task &task() & noexcept { return task_; }
    /** @copydoc task() */
    [[nodiscard]] const imgtask::task &task() const & noexcept { return task_; }
    /** @copydoc task() */
    [[nodiscard]] imgtask::task task() && noexcept { return std::move(task_); }

    // Views of an error that is gone with the statement.
    std::string_view message() const && = delete;
    std::string_view provider_code() const && = delete;
    std::string_view request_id() const && = delete;
    std::string_view task_id() const && = delete;

private:
    [[nodiscard]] imgtask_error_info info() const noexcept
    {
        auto known = detail::sized<imgtask_error_info>();
        (void)imgtask_error_get(get(), &known);
        return known;
    }
    [[nodiscard]] std::string_view text(const char *imgtask_error_info::*member) const noexcept
    {
        return detail::view(info().*member);
    }

    imgtask::status status_ = imgtask::status::ok;
    imgtask::task task_;
};

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wweak-vtables" // There is no file that its table could be in.
#endif

/** What result::value throws: the error as an exception. what() is its message. Copies share the error. */
class exception : public std::runtime_error {
public:
    /** An exception of this error. */
    explicit exception(imgtask::error why)
        : std::runtime_error(std::string(why.message())), error_(std::make_shared<imgtask::error>(std::move(why)))
    {
    }

    /** Shares the error. A move does, too: what was moved from still has it. */
    exception(const exception &) = default;
    /** @copydoc exception(const exception &) */
    exception &operator=(const exception &) = default;

    /** All that the error says, and the task that was known. */
    [[nodiscard]] imgtask::error &error() noexcept { return *error_; }
    /** @copydoc error() */
    [[nodiscard]] const imgtask::error &error() const noexcept { return *error_; }
    /** What the call returned. */
    [[nodiscard]] imgtask::status status() const noexcept { return error_->status(); }

private:
    std::shared_ptr<imgtask::error> error_;
};

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

namespace detail {

/*
 * What a failure does in value(). A parameter of the functions that use it: their code is another one with exceptions than without,
 * and so they need another name where files of both kinds are linked into one program. By the letter of the one-definition rule the
 * default itself must not differ between such files; compilers tell the functions apart by it, and that is all that they do with it.
 */
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
struct throws {
    [[noreturn]] static void fail(error &&why) { throw exception(std::move(why)); }
};
using on_failure = throws;
#else
struct aborts {
    [[noreturn]] static void fail(error &&why) noexcept
    {
        const std::string_view message = why.message();
        std::fprintf(stderr, "imgtask: %.*s\n", static_cast<int>(message.size()), message.data());
        std::abort();
    }
};
using on_failure = aborts;
#endif

} // namespace detail

/** What every result has: the error. */
class outcome {
public:
    /** imgtask::error. */
    using error_type = imgtask::error;

    /** The error; one of status ok where all is well. */
    [[nodiscard]] imgtask::error &error() & noexcept { return error_; }
    /** @copydoc error() */
    [[nodiscard]] const imgtask::error &error() const & noexcept { return error_; }
    /** @copydoc error() */
    [[nodiscard]] imgtask::error error() && noexcept { return std::move(error_); }

protected:
    /** All is well. */
    outcome() noexcept = default;
    /** It failed. */
    explicit outcome(imgtask::error why) noexcept : error_(std::move(why)) {}

    /** Of status ok where all is well. */
    imgtask::error error_;
};

/**
 * A value, or the error that stands in its place, after the fashion of std::expected.
 *
 * @tparam T  the value's type; void for a call that has none.
 */
template <class T>
class [[nodiscard]] result : public outcome {
public:
    /** T. */
    using value_type = T;

    /** A value. */
    result(T made) noexcept(std::is_nothrow_move_constructible_v<T>) : value_(std::move(made)) {}
    /** An error. */
    result(imgtask::error why) noexcept : outcome(std::move(why)) {}

    /** Whether there is a value. */
    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    /** Whether there is a value. */
    explicit operator bool() const noexcept { return has_value(); }

    /**
     * The value. Without one it throws imgtask::exception, into which it moves the error (hence there is none for a const result);
     * where exceptions are off it aborts.
     */
    template <class OnFailure = detail::on_failure>
    T &value() &
    {
        if (!has_value())
            OnFailure::fail(std::move(error_));
        return *value_;
    }
    /** @copydoc value() */
    template <class OnFailure = detail::on_failure>
    T value() &&
    {
        if (!has_value())
            OnFailure::fail(std::move(error_));
        return *std::move(value_);
    }
    /** The value, or another in its place. */
    [[nodiscard]] T value_or(T other) && { return has_value() ? *std::move(value_) : std::move(other); }

    /** The value; only where has_value() is true. */
    [[nodiscard]] T &operator*() & noexcept { return *value_; }
    /** @copydoc operator*() */
    [[nodiscard]] const T &operator*() const & noexcept { return *value_; }
    /** @copydoc operator*() */
    [[nodiscard]] T operator*() && noexcept(std::is_nothrow_move_constructible_v<T>) { return *std::move(value_); }
    /** @copydoc operator*() */
    [[nodiscard]] T *operator->() & noexcept { return &*value_; }
    /** @copydoc operator*() */
    [[nodiscard]] const T *operator->() const & noexcept { return &*value_; }
    // The value of a result that is gone with the statement would look like one that stays, and give views.
    const T *operator->() const && = delete;

    /** What `next` makes of the value, a result of its own; the error where there is none. */
    template <class Next>
    auto and_then(Next &&next) && -> decltype(std::forward<Next>(next)(std::declval<T>()))
    {
        if (!has_value())
            return std::move(error_);
        return std::forward<Next>(next)(*std::move(value_));
    }
    /** A result with what `change` makes of the value, which may be nothing; the error where there is none. */
    template <class Change>
    auto transform(Change &&change) && -> result<decltype(std::forward<Change>(change)(std::declval<T>()))>
    {
        if (!has_value())
            return std::move(error_);
        if constexpr (std::is_void_v<decltype(std::forward<Change>(change)(std::declval<T>()))>) {
            std::forward<Change>(change)(*std::move(value_));
            return {};
        } else {
            return std::forward<Change>(change)(*std::move(value_));
        }
    }

private:
    std::optional<T> value_;
};

/** The result of a call that has nothing to hand out. */
template <>
class [[nodiscard]] result<void> : public outcome {
public:
    /** void. */
    using value_type = void;

    /** All is well. */
    result() noexcept = default;
    /** Well when the error is none. */
    result(imgtask::error why) noexcept : outcome(std::move(why)) {}

    /** Whether the call was done. */
    [[nodiscard]] bool has_value() const noexcept { return !error_; }
    /** Whether the call was done. */
    explicit operator bool() const noexcept { return has_value(); }

    /** Throws imgtask::exception after a failure, into which it moves the error; where exceptions are off it aborts. */
    template <class OnFailure = detail::on_failure>
    void value()
    {
        if (!has_value())
            OnFailure::fail(std::move(error_));
    }

    /** What `next` makes, a result of its own; the error after a failure. */
    template <class Next>
    auto and_then(Next &&next) && -> decltype(std::forward<Next>(next)())
    {
        if (!has_value())
            return std::move(error_);
        return std::forward<Next>(next)();
    }
    /** A result with what `change` makes, which may be nothing; the error after a failure. */
    template <class Change>
    auto transform(Change &&change) && -> result<decltype(std::forward<Change>(change)())>
    {
        if (!has_value())
            return std::move(error_);
        if constexpr (std::is_void_v<decltype(std::forward<Change>(change)())>) {
            std::forward<Change>(change)();
            return {};
        } else {
            return std::forward<Change>(change)();
        }
    }
};

namespace detail {

/** Makes a call that gives a handle, and an error with the task that may be known in spite of it. */
template <class Owner, class Call>
result<Owner> made(const Call &call) noexcept
{
    typename Owner::handle_type *out = nullptr;
    imgtask_error *why = nullptr;
    const auto got = static_cast<status>(call(&out, &why));
    Owner owned(out);
    if (got == status::ok)
        return result<Owner>(std::move(owned));
    if constexpr (std::is_same_v<Owner, task>)
        return error(got, why, std::move(owned));
    else
        return error(got, why);
}

/** What a call has written to `value`, or its error. By reference: both are read when the call is over. */
template <class T>
result<T> given(imgtask_status got, const T &value, imgtask_error *const &why = nullptr) noexcept
{
    if (got == IMGTASK_STATUS_OK)
        return value;
    return error(static_cast<status>(got), why);
}

} // namespace detail

inline result<imgtask::image> task::image(std::size_t index) const & noexcept
{
    auto known = detail::sized<imgtask_image_info>();
    const auto got = static_cast<status>(imgtask_task_get_image(get(), index, &known));
    if (got != status::ok)
        return error(got);
    imgtask::image seen;
    seen.index = known.index;
    seen.source_index = known.source_index;
    seen.url = detail::view(known.url);
    seen.file_id = detail::view(known.file_id);
    seen.revised_prompt = detail::view(known.revised_prompt);
    seen.expires_at = detail::moment(known.expires_at);
    seen.byte_size = known.byte_size;
    seen.width = known.width;
    seen.height = known.height;
    seen.is_inline = known.is_inline != 0;
    return seen;
}

inline result<bytes> bytes::decode(std::uint32_t max_side, flag flags) const noexcept
{
    return detail::made<bytes>([&](imgtask_bytes **out, imgtask_error **why) {
        return imgtask_bytes_decode(get(), max_side, static_cast<std::uint32_t>(flags), out, why);
    });
}

/* ====================================================================================================
 * Library
 * ==================================================================================================== */

/** The library's version, "x.y.z". */
inline std::string_view version() noexcept { return imgtask_version(); }

/** The number of the library's binary interface. */
inline std::uint32_t abi_version() noexcept { return imgtask_abi_version(); }

/** Whether the library fits this header. If not: do not call anything else. */
inline bool abi_matches() noexcept { return abi_version() == IMGTASK_ABI_VERSION; }

/** Clients, tasks, bytes and errors that are not freed yet, in the whole process. */
inline std::size_t debug_live_handles() noexcept { return imgtask_debug_live_handles(); }

/** A built-in provider: imgtask_provider_info. Its texts live as long as the process. */
struct provider {
    std::string_view name; ///< What to set as options::provider.
    std::string_view title; ///< The service's name for people.
    std::string_view base_url; ///< Where its API is, "" where no address is confirmed: then options::base_url must be set.
    std::string_view key_variable; ///< The environment variable its key is read from.
    bool can_submit = false; ///< Whether client::submit works; if not, tasks can only be looked at.
    bool can_cancel = false; ///< Whether client::cancel_task works for some of its tasks.
    imgtask::confidence confidence = imgtask::confidence::inferred; ///< How well the service's contract is known.
    std::chrono::milliseconds wait_timeout{}; ///< How long a wait lasts when nobody says.
};

/** The built-in providers, the documented ones first. */
inline std::vector<provider> providers()
{
    std::vector<provider> all;
    auto known = detail::sized<imgtask_provider_info>();
    while (imgtask_provider_get(all.size(), &known) == IMGTASK_STATUS_OK)
        all.push_back({known.name, known.title, known.base_url, known.key_variable, known.can_submit != 0, known.can_cancel != 0,
                       static_cast<confidence>(known.confidence), std::chrono::milliseconds(known.wait_timeout_ms)});
    return all;
}

/* ====================================================================================================
 * What goes in: options, references, jobs
 * ==================================================================================================== */

/**
 * How a client is set up: imgtask_client_options, which tells ranges and defaults. Set the provider or the dialect and what else
 * you need; empty and zero mean the default.
 */
struct options {
    std::string provider{}; ///< Name of a built-in provider: "dimilinks"; providers() lists them.
    std::string dialect_json{}; ///< An own dialect instead: a JSON document, or the path of a file that holds one.
    /** Where the API is. Default: the environment variable <NAME>_BASE_URL, then the provider's own address. */
    std::string base_url{};
    std::string api_key{}; ///< The key. Default: the provider's environment variable. Do not ship one inside a game or an app.
    std::string user_agent{}; ///< Sent as User-Agent. Default: "imgtask/x.y.z".
    /** "http://[user:password@]host:port", or "env" to read the environment's proxy variables. Default: no proxy. */
    std::string proxy_url{};
    std::string ca_file{}; ///< PEM file of the trusted roots. Default: the bundled ones.
    /** File of the journal, which lets outstanding jobs survive a crash: see client::resume. Default: none. */
    std::string journal_path{};
    std::chrono::milliseconds connect_timeout{}; ///< For one connect, TLS included. Default 5 s.
    std::chrono::milliseconds request_timeout{}; ///< For one look. Default 20 s.
    std::chrono::milliseconds submit_timeout{}; ///< For one submit. Default: the provider's.
    /** Without a byte, after which a look (default 10 s) or a download (default 30 s) is given up. */
    std::chrono::milliseconds stall_timeout{};
    std::chrono::milliseconds wait_timeout{}; ///< How long a wait lasts when the call does not say. Default: the provider's.
    /** A fixed pace of looks, not below 1 s unless the API is on loopback. Default: the provider's. */
    std::chrono::milliseconds poll_interval{};
    /** The service's limit of requests a minute for this key, of which 90 % are used. Default: the provider's. */
    std::uint32_t max_requests_per_minute = 0;
    std::uint32_t max_workers = 0; ///< Threads that work on jobs at most. Default 7.
    std::size_t max_pending = 0; ///< Jobs accepted and not yet finally delivered, at most. Default 100,000.
    std::uint64_t max_response_bytes = 0; ///< Longest answer that is read, in bytes. Default 64 MiB.
    std::uint64_t max_image_bytes = 0; ///< Longest image that is read, in bytes. Default 64 MiB.
    std::uint64_t max_image_pixels = 0; ///< Largest image that is decoded, in pixels. Default 8192 x 8192.
    bool allow_private_images = false; ///< Whether links to private addresses are followed although the API itself is public.
    /** Whether the API may be at a plain http:// address that is not on loopback. The key then travels unprotected. */
    bool allow_plain_http = false;
    imgtask::log_level log_level = imgtask::log_level::off; ///< How much the log is told.
    imgtask_log_sink log = nullptr; ///< Takes the lines of the log: see log_to. Must stay callable until the client is gone.
    void *log_user_data = nullptr; ///< Handed to the sink as it is.

    /**
     * Sends the log to anything that can be called with (imgtask::log_level, std::string_view line), on the threads that are inside
     * a call with this client, possibly on several at once. An exception that leaves it ends the program.
     *
     * @param sink   not copied: it must outlive the client, so declare it before the client.
     * @param level  how much it is told.
     */
    template <class Sink>
    void log_to(Sink &sink, imgtask::log_level level = imgtask::log_level::info) noexcept
    {
        static_assert(std::is_object_v<Sink> && std::is_invocable_v<Sink &, imgtask::log_level, std::string_view>,
                      "a sink is an object that can be called with (imgtask::log_level, std::string_view)");
        log_level = level;
        log_user_data = const_cast<void *>(static_cast<const void *>(std::addressof(sink)));
        log = [](void *user_data, std::uint32_t at, const char *line) noexcept {
            (*static_cast<Sink *>(user_data))(static_cast<imgtask::log_level>(at), std::string_view(line));
        };
    }
};

/**
 * A text that goes in: a C string, a std::string, or anything else that is a std::string_view. It is copied. A NULL const char *, as
 * std::getenv may give it, is what NULL is to C: null_argument, and no provider.
 */
class text {
public:
    /** A C string, or NULL. */
    text(const char *from) : text(detail::view(from), from == nullptr) {}
    /** Anything that is a std::string_view. */
    template <class From, std::enable_if_t<std::is_convertible_v<const From &, std::string_view> &&
                                               !std::is_pointer_v<std::decay_t<From>>,
                                           int> = 0>
    text(const From &from) : text(from, false)
    {
    }
    text(std::nullptr_t) = delete;

    /** The text; empty for NULL. */
    [[nodiscard]] std::string_view view() const & noexcept { return text_; }
    std::string_view view() const && = delete;
    /** As the C interface takes it. */
    [[nodiscard]] const char *c_str() const & noexcept { return is_null_ ? nullptr : detail::c_str(text_); }
    const char *c_str() const && = delete;

private:
    text(std::string_view from, bool is_null) : text_(from), is_null_(is_null) {}

    std::string text_;
    bool is_null_;
};

/** Which task a call is about: a task that was seen, its id, or the poll address that the service gave. */
class task_ref {
public:
    /** The task's poll_ref(). */
    task_ref(const task &seen) : text_(seen.poll_ref()) {}
    /** An id, or a poll address that the service gave. */
    task_ref(std::string_view id) : text_(id) {}
    /** An id, or a poll address that the service gave. */
    task_ref(const std::string &id) : text_(id) {}
    /** An id, or a poll address that the service gave. NULL is null_argument. */
    task_ref(const char *id) : text_(id) {}
    task_ref(std::nullptr_t) = delete;

    /** As the C interface takes it. */
    [[nodiscard]] const char *c_str() const & noexcept { return text_.c_str(); }
    const char *c_str() const && = delete;

private:
    text text_;
};

/** Work to be done without blocking: imgtask_job. Set one of request_json, task_ref and task, and how far it goes. */
struct job {
    std::string request_json{}; ///< Begin with a submit of this request: the provider's own JSON object.
    std::string task_ref{}; ///< Begin with a task that exists: its id, or its poll_ref().
    const imgtask::task *task = nullptr; ///< Begin with a task as it was seen. Borrowed until client::start returns.
    imgtask::goal goal = imgtask::goal::finished; ///< How far it goes.
    std::string path{}; ///< goal::file: where the image goes. "{id}", "{index}" and "{ext}" are filled in. The folder must exist.
    /** Your name for it, at most 256 bytes. Comes back with every event, and from the journal after a restart. */
    std::string label{};
    void *user_data = nullptr; ///< Your own pointer; comes back with every event of this process and is never looked at.
    std::size_t image_index = 0; ///< Which image, or all_images: then each has an event of its own, and a path needs "{index}".
    /** flag::progress, flag::no_replace; for goal::pixels also flag::flip_y, flag::bgra, flag::premultiply. */
    flag flags = flag::none;
    std::chrono::milliseconds timeout{}; ///< How long to watch the task at most. Default: as the options or the provider say.
    std::uint32_t max_side = 0; ///< goal::pixels: longest side of the pixels; a larger image is made smaller. 0: as it is.
};

/* ====================================================================================================
 * Events
 * ==================================================================================================== */

namespace detail {

/**
 * What the library is told when an event is over. That frees the label, and takes a final event's job out of the journal: unless
 * the event is gone because an exception flies, for then nobody has dealt with it.
 */
class receipt {
public:
    receipt() noexcept = default;
    explicit receipt(const imgtask_event &taken) noexcept : event_(taken), exceptions_(std::uncaught_exceptions()) {}
    receipt(receipt &&other) noexcept : event_(other.give_up()), exceptions_(other.exceptions_) {}
    receipt &operator=(receipt &&other) noexcept
    {
        if (this != &other) {
            clear();
            event_ = other.give_up();
            exceptions_ = other.exceptions_;
        }
        return *this;
    }
    ~receipt() { clear(); }

    void keep_in_journal() noexcept { event_.keep_in_journal = 1; }
    imgtask_event give_up() noexcept { return std::exchange(event_, sized<imgtask_event>()); }

private:
    void clear() noexcept
    {
        if (event_.op == 0)
            return;
        if (std::uncaught_exceptions() > exceptions_)
            keep_in_journal();
        imgtask_event_clear(&event_);
    }

    imgtask_event event_ = sized<imgtask_event>(); // without task, bytes and error, which the event owns
    int exceptions_ = 0;
};

} // namespace detail

/**
 * Something that happened to a job: imgtask_event. Move task, bytes and error out to keep them; what is left is freed with the
 * event.
 *
 * The end of a final event tells the journal that it arrived: its job does not come back after a restart. One that an exception
 * destroys, or for which keep_in_journal() was called, tells nothing.
 */
class event {
public:
    std::uint64_t op = 0; ///< The job's number: what client::start gave.
    event_kind kind{}; ///< What it tells.
    imgtask::goal goal{}; ///< How far the job has come.
    imgtask::status status = imgtask::status::ok; ///< What the job came to (final), or this image of it (image); ok otherwise.
    std::size_t image_index = 0; ///< Which image it tells of, where it brings one.
    void *user_data = nullptr; ///< The job's own pointer.
    std::string_view label = ""; ///< The job's label, borrowed from the event.
    imgtask::task task; ///< The task as it is known; may be empty.
    imgtask::bytes bytes; ///< The image, where it brings one. For goal::file without data.
    imgtask::error error; ///< Why the job, or this image of it, failed; false when status is ok.

    event() noexcept = default;
    /** Takes over an event of the C interface. */
    explicit event(const imgtask_event &taken) noexcept
        : op(taken.op), kind(static_cast<event_kind>(taken.kind)), goal(static_cast<imgtask::goal>(taken.goal)),
          status(static_cast<imgtask::status>(taken.status)), image_index(taken.image_index), user_data(taken.user_data),
          label(detail::view(taken.label)), task(taken.task), bytes(taken.bytes), error(status, taken.error),
          receipt_(without_handles(taken))
    {
    }
    /** Leaves the other one empty: its label is not its own any more. */
    event(event &&other) noexcept { *this = std::move(other); }
    /** @copydoc event(event &&) */
    event &operator=(event &&other) noexcept
    {
        if (this != &other) {
            receipt_ = std::move(other.receipt_);
            op = std::exchange(other.op, 0);
            kind = std::exchange(other.kind, {});
            goal = std::exchange(other.goal, {});
            status = std::exchange(other.status, imgtask::status::ok);
            image_index = std::exchange(other.image_index, 0);
            user_data = std::exchange(other.user_data, nullptr);
            label = std::exchange(other.label, "");
            task = std::move(other.task);
            bytes = std::move(other.bytes);
            error = std::exchange(other.error, imgtask::error());
        }
        return *this;
    }

    /** Whether it is the job's last one. */
    [[nodiscard]] bool is_final() const noexcept { return kind == event_kind::final; }
    /** Whether what it tells went well. A task that failed is ok for goal::finished: see task::succeeded. */
    [[nodiscard]] bool ok() const noexcept { return status == imgtask::status::ok; }
    /** For a final event that was not dealt with: its job comes back after a restart. */
    void keep_in_journal() noexcept { receipt_.keep_in_journal(); }
    /** The event with what is still in it, for the C interface, which has to clear it. Leaves this one empty. */
    [[nodiscard]] imgtask_event release() noexcept
    {
        imgtask_event given = receipt_.give_up();
        given.task = task.release();
        given.bytes = bytes.release();
        given.error = error.release();
        *this = event();
        return given;
    }

private:
    static imgtask_event without_handles(imgtask_event taken) noexcept
    {
        taken.task = nullptr;
        taken.bytes = nullptr;
        taken.error = nullptr;
        return taken;
    }

    detail::receipt receipt_;
};

/** The events that wait, taken one by one as a loop asks for them: see client::events. */
class event_range {
public:
    /** What client.events() gives. */
    event_range(imgtask_client *client, std::size_t at_most) noexcept : client_(client), left_(at_most) {}
    event_range(const event_range &) = delete;
    event_range &operator=(const event_range &) = delete;

    struct sentinel {};
    /** Takes an event whenever it is moved on. */
    class iterator {
    public:
        /** Takes the first event. */
        explicit iterator(event_range &range) noexcept : range_(&range) {}
        /** The event; good until the iterator is moved on. */
        event &operator*() const noexcept { return range_->current_; }
        /** A member of the event. */
        event *operator->() const noexcept { return &range_->current_; }
        /** Takes the next event. */
        iterator &operator++() noexcept
        {
            range_->take();
            return *this;
        }
        /** Whether there is an event. */
        bool operator!=(sentinel) const noexcept { return range_->has_one_; }
        /** Whether there is none. */
        bool operator==(sentinel) const noexcept { return !range_->has_one_; }

    private:
        event_range *range_;
    };

    /** Takes the first one. Once. */
    iterator begin() noexcept
    {
        take();
        return iterator(*this);
    }
    /** Where the loop ends: when no event is left, or as many were given as were asked for. */
    sentinel end() const noexcept { return {}; }

    /** Why the loop ended: ok when it had as many as it wanted; no_event, closed. */
    [[nodiscard]] imgtask::status status() const noexcept { return status_; }

private:
    void take() noexcept
    {
        current_ = event();
        has_one_ = false;
        status_ = imgtask::status::ok;
        if (left_ == 0)
            return;
        --left_;
        auto taken = detail::sized<imgtask_event>();
        status_ = static_cast<imgtask::status>(imgtask_client_next_event(client_, 0, &taken));
        has_one_ = status_ == imgtask::status::ok;
        if (has_one_)
            current_ = event(taken);
    }

    imgtask_client *client_;
    std::size_t left_;
    bool has_one_ = false; // also while the loop's body has moved it out
    imgtask::status status_ = imgtask::status::ok;
    event current_;
};

/* ====================================================================================================
 * Client
 * ==================================================================================================== */

/**
 * One service and one key. Its calls may be made on any thread, on several at once; destroy or move it only when none is running.
 * Destroying closes it without waiting; tasks, bytes, errors and events stay good.
 */
class client : public owner<imgtask_client> {
public:
    using owner::owner;
    /** Creates a client, or throws imgtask::exception; aborts where exceptions are off. create() does neither. */
    template <class OnFailure = detail::on_failure>
    explicit client(const options &with) : client(create(with).template value<OnFailure>())
    {
    }
    /** @copydoc client(const options &) */
    template <class OnFailure = detail::on_failure>
    explicit client(const text &provider) : client(create(provider).template value<OnFailure>())
    {
    }

    /** Creates a client. Opens no connection and starts no thread. A key that is missing is invalid_argument. */
    [[nodiscard]] static result<client> create(const options &with) noexcept;
    /** Creates a client of a built-in provider, all else as the environment and the defaults say. */
    [[nodiscard]] static result<client> create(const text &provider)
    {
        options with;
        with.provider = provider.view();
        return create(with);
    }

    /** Submits a request, the provider's own JSON object. Never sent twice by itself. Final at once where the answer is the image. */
    [[nodiscard]] result<task> submit(const text &request_json) noexcept
    {
        return detail::made<task>([&](imgtask_task **out, imgtask_error **why) {
            return imgtask_client_submit(get(), request_json.c_str(), out, why);
        });
    }
    /** Looks at a task once. */
    [[nodiscard]] result<task> fetch(const task_ref &ref) noexcept
    {
        return detail::made<task>([&](imgtask_task **out, imgtask_error **why) {
            return imgtask_client_fetch(get(), ref.c_str(), out, why);
        });
    }
    /**
     * Looks at a task until it is final or the time is over. Also a task that failed is a value: see task::succeeded. After a
     * timeout the task is in the error.
     *
     * @param ref      the task.
     * @param timeout  from now; 0 for one look.
     */
    [[nodiscard]] result<task> wait(const task_ref &ref, std::chrono::milliseconds timeout = default_timeout) noexcept
    {
        return detail::made<task>([&](imgtask_task **out, imgtask_error **why) {
            return imgtask_client_wait(get(), ref.c_str(), detail::to_c(timeout), out, why);
        });
    }
    /** Asks the provider to cancel a task. */
    [[nodiscard]] result<task> cancel_task(const task_ref &ref) noexcept
    {
        return detail::made<task>([&](imgtask_task **out, imgtask_error **why) {
            return imgtask_client_cancel_task(get(), ref.c_str(), out, why);
        });
    }
    /** Downloads one image of a task into memory. */
    [[nodiscard]] result<bytes> download(const task &of, std::size_t image_index = 0, flag flags = flag::none) noexcept
    {
        return detail::made<bytes>([&](imgtask_bytes **out, imgtask_error **why) {
            return imgtask_client_download(get(), of.get(), image_index, static_cast<std::uint32_t>(flags), out, why);
        });
    }
    /**
     * Downloads one image of a task into a file. Under its final name the file is whole and checked, or absent.
     *
     * @param of           the task.
     * @param path         the file, in UTF-8 on every system. Its folder must exist.
     * @param image_index  which image, below task::image_count.
     * @param flags        flag::no_replace.
     * @return what is known of the image, without data.
     */
    [[nodiscard]] result<bytes> download_file(const task &of, const text &path, std::size_t image_index = 0,
                                              flag flags = flag::none) noexcept
    {
        return detail::made<bytes>([&](imgtask_bytes **out, imgtask_error **why) {
            return imgtask_client_download_file(get(), of.get(), image_index, path.c_str(),
                                                static_cast<std::uint32_t>(flags), out, why);
        });
    }

    /** Starts work that goes on by itself, and gives its number. Never blocks. Exactly one final event will come. */
    [[nodiscard]] result<std::uint64_t> start(const job &work) noexcept;
    /** Ends a job here; its final event still comes. Never blocks. unknown_op when its final event was taken already. */
    imgtask::status stop(std::uint64_t op) noexcept { return static_cast<imgtask::status>(imgtask_client_stop(get(), op)); }
    /** Jobs accepted whose final event was not taken yet. */
    [[nodiscard]] std::size_t pending() const noexcept { return imgtask_client_pending(get()); }

    /**
     * The events that wait, for a loop once a frame: `for (imgtask::event &event : client.events(8))`. Never waits, allocates
     * nothing. Each event is gone when the loop asks for the next.
     *
     * @param at_most  how many the loop takes.
     */
    [[nodiscard]] event_range events(std::size_t at_most = SIZE_MAX) & noexcept { return {get(), at_most}; }
    event_range events(std::size_t at_most = SIZE_MAX) && = delete; // A loop would outlive the client.
    /**
     * The next event. One thread at a time takes events.
     *
     * @param timeout  how long to wait for one: 0 never waits; forever.
     * @return the event; no_event when none came in time; closed when the client was closed and every event was taken; cancelled.
     */
    [[nodiscard]] result<event> next_event(std::chrono::milliseconds timeout) noexcept
    {
        auto taken = detail::sized<imgtask_event>();
        const auto got = static_cast<imgtask::status>(imgtask_client_next_event(get(), detail::to_c(timeout), &taken));
        if (got != imgtask::status::ok)
            return error(got);
        return event(taken);
    }
    /** A descriptor that is readable while events wait: for epoll and the like. The client's: do not close it. */
    [[nodiscard]] result<int> event_fd() noexcept
    {
        int fd = -1;
        return detail::given(imgtask_client_event_fd(get(), &fd), fd);
    }

    /** Takes up what the journal held: each job is told by an event of the kind resumed, and goes on. Gives how many. Once. */
    [[nodiscard]] result<std::size_t> resume(flag flags = flag::none) noexcept
    {
        std::size_t count = 0;
        imgtask_error *why = nullptr;
        return detail::given(imgtask_client_resume(get(), static_cast<std::uint32_t>(flags), &count, &why), count, why);
    }
    /** Drops a task from the journal. */
    result<void> forget(const task_ref &ref) noexcept
    {
        imgtask_error *why = nullptr;
        const auto got = static_cast<imgtask::status>(imgtask_client_forget(get(), ref.c_str(), &why));
        return error(got, why);
    }

    /** Uses another key from the next request on: for short-lived tokens. */
    result<void> set_key(const text &api_key) noexcept
    {
        imgtask_error *why = nullptr;
        const auto got = static_cast<imgtask::status>(imgtask_client_set_key(get(), api_key.c_str(), &why));
        return error(got, why);
    }
    /** Ends every blocking call in flight with cancelled; the client stays usable. */
    imgtask::status interrupt() noexcept { return static_cast<imgtask::status>(imgtask_client_interrupt(get())); }
    /**
     * Refuses new calls and jobs, ends those in flight, and waits for the threads to leave: ok, or timeout. May be called again.
     * Events can still be taken.
     */
    imgtask::status close(std::chrono::milliseconds timeout = forever) noexcept
    {
        return static_cast<imgtask::status>(imgtask_client_close(get(), detail::to_c(timeout)));
    }
    /** What the client has done so far, as C says it. Goes through all watched tasks: not meant for every frame. */
    [[nodiscard]] result<imgtask_stats> stats() const noexcept
    {
        auto seen = detail::sized<imgtask_stats>();
        return detail::given(imgtask_client_get_stats(get(), &seen), seen);
    }
};

inline result<client> client::create(const options &with) noexcept
{
    auto c = detail::sized<imgtask_client_options>();
    c.provider = detail::c_str_or_null(with.provider);
    c.dialect_json = detail::c_str_or_null(with.dialect_json);
    c.base_url = detail::c_str_or_null(with.base_url);
    c.api_key = detail::c_str_or_null(with.api_key);
    c.user_agent = detail::c_str_or_null(with.user_agent);
    c.proxy_url = detail::c_str_or_null(with.proxy_url);
    c.ca_file = detail::c_str_or_null(with.ca_file);
    c.journal_path = detail::c_str_or_null(with.journal_path);
    c.connect_timeout_ms = detail::to_c_or_default(with.connect_timeout);
    c.request_timeout_ms = detail::to_c_or_default(with.request_timeout);
    c.submit_timeout_ms = detail::to_c_or_default(with.submit_timeout);
    c.stall_timeout_ms = detail::to_c_or_default(with.stall_timeout);
    c.wait_timeout_ms = detail::to_c_or_default(with.wait_timeout);
    c.poll_interval_ms = detail::to_c_or_default(with.poll_interval);
    c.max_requests_per_minute = with.max_requests_per_minute;
    c.max_workers = with.max_workers;
    c.max_pending = with.max_pending;
    c.max_response_bytes = with.max_response_bytes;
    c.max_image_bytes = with.max_image_bytes;
    c.max_image_pixels = with.max_image_pixels;
    c.allow_private_images = with.allow_private_images ? 1 : 0;
    c.allow_plain_http = with.allow_plain_http ? 1 : 0;
    c.log_level = static_cast<std::uint32_t>(with.log_level);
    c.log = with.log;
    c.log_user_data = with.log_user_data;
    return detail::made<client>(
        [&](imgtask_client **out, imgtask_error **why) { return imgtask_client_create(&c, out, why); });
}

inline result<std::uint64_t> client::start(const job &work) noexcept
{
    auto c = detail::sized<imgtask_job>();
    c.request_json = detail::c_str_or_null(work.request_json);
    c.task_ref = detail::c_str_or_null(work.task_ref);
    c.task = work.task != nullptr ? work.task->get() : nullptr;
    c.path = detail::c_str_or_null(work.path);
    c.label = detail::c_str_or_null(work.label);
    c.user_data = work.user_data;
    c.image_index = work.image_index;
    c.goal = static_cast<std::uint32_t>(work.goal);
    c.flags = static_cast<std::uint32_t>(work.flags);
    c.timeout_ms = detail::to_c_or_default(work.timeout);
    c.max_side = work.max_side;
    std::uint64_t op = 0;
    return detail::given(imgtask_client_start(get(), &c, &op), op);
}

} // namespace imgtask
