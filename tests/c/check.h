/* What the C tests share: checks that say where they failed, and the client that most of them begin with. */
#ifndef CHECK_H
#define CHECK_H

#include <imgtask.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

#define CHECK_STATUS(call, wanted) check_status(__FILE__, __LINE__, #call, (call), (wanted))
#define CHECK_TEXT(text, wanted) check_text(__FILE__, __LINE__, #text, (text), (wanted), 1)
#define CHECK_HOLDS(text, part) check_text(__FILE__, __LINE__, #text, (text), (part), 0)

/* The call failed with a status and a message that holds a word; the error is freed. */
#define CHECK_REFUSED(call, wanted, part) \
    do { \
        imgtask_error *error = (imgtask_error *)&error; \
        CHECK_STATUS(call, wanted); \
        CHECK(error != NULL); \
        CHECK_HOLDS(imgtask_error_message(error), part); \
        check_error(error, wanted); \
        imgtask_error_free(error); \
    } while (0)

static inline void check_status(const char *file, int line, const char *call, imgtask_status got, imgtask_status wanted)
{
    if (got != wanted) {
        fprintf(stderr, "%s:%d: %s is %s, not %s\n", file, line, call, imgtask_status_name(got), imgtask_status_name(wanted));
        exit(1);
    }
}

static inline void check_text(const char *file, int line, const char *what, const char *text, const char *wanted, int whole)
{
    if (text == NULL || (whole ? strcmp(text, wanted) != 0 : strstr(text, wanted) == NULL)) {
        fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", file, line, what, text ? text : "(null)", wanted);
        exit(1);
    }
}

/* What holds for every error. */
static inline void check_error(const imgtask_error *error, imgtask_status status)
{
    imgtask_error_info info = IMGTASK_INIT(imgtask_error_info);
    CHECK_STATUS(imgtask_error_get(error, &info), IMGTASK_STATUS_OK);
    CHECK(info.status == status);
    CHECK(strlen(info.message) > 0 && strchr(info.message, '\n') == NULL);
    CHECK(info.message == imgtask_error_message(error));
    CHECK(info.provider_code != NULL && info.request_id != NULL && info.task_id != NULL);
    CHECK(info.retry_after_ms >= -1);
}

/* Nothing is left when a test ends. */
static inline int done(void)
{
    CHECK(imgtask_debug_live_handles() == 0);
    return 0;
}

/* What the driver of these tests says about the sandbox: setting("URL", "dimilinks"), setting("KEY", "lemondata"). */
static inline const char *setting(const char *what, const char *of)
{
    char name[128], *dash;
    const char *value;
    snprintf(name, sizeof name, "IMGTASK_TEST_%s_%s", what, of);
    while ((dash = strchr(name, '-')) != NULL)
        *dash = '_';
    value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set\n", name);
        exit(1);
    }
    return value;
}

static inline imgtask_client_options options_for(const char *provider, const char *base_url, const char *api_key)
{
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    options.provider = provider;
    options.base_url = base_url;
    options.api_key = api_key;
    return options;
}

static inline imgtask_client *client_with(const imgtask_client_options *options)
{
    imgtask_client *client = NULL;
    imgtask_error *error = NULL;
    if (imgtask_client_create(options, &client, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "no client: %s\n", imgtask_error_message(error));
        exit(1);
    }
    CHECK(client != NULL && error == NULL);
    return client;
}

/* A client of the sandbox that looks every few milliseconds. */
static inline imgtask_client *sandbox_client(const char *provider)
{
    imgtask_client_options options = options_for(provider, setting("URL", provider), setting("KEY", provider));
    options.poll_interval_ms = 20;
    return client_with(&options);
}

/* Milliseconds of a clock that never jumps. */
static inline long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How many times slower than usual this run may be: valgrind is. */
static inline long slowness(void)
{
    const char *value = getenv("IMGTASK_TEST_SLOWNESS");
    return value ? atol(value) : 1;
}

#endif
