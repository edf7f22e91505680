#define IMGTASK_VERSION_MAJOR @MAJOR@
#define IMGTASK_VERSION_MINOR @MINOR@
#define IMGTASK_VERSION_PATCH @PATCH@

/** Compare with imgtask_abi_version(): a library that answers another number does not fit this header. */
#define IMGTASK_ABI_VERSION @ABI@

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
