/* A caller who gets the arguments wrong is told so, by a status and in words, and nothing is sent. */
#include "listener.h"

static const char BAD_UTF8[] = {'t', 'a', 's', 'k', (char)0xff, 0};

static void a_null_pointer_is_refused_and_named(imgtask_client *client)
{
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    imgtask_client *out_client = (imgtask_client *)&options;
    imgtask_task *task = (imgtask_task *)&options;
    imgtask_bytes *bytes = (imgtask_bytes *)&options;
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    imgtask_task_info task_info = IMGTASK_INIT(imgtask_task_info);
    imgtask_image_info image_info = IMGTASK_INIT(imgtask_image_info);
    imgtask_bytes_info bytes_info = IMGTASK_INIT(imgtask_bytes_info);
    imgtask_error_info error_info = IMGTASK_INIT(imgtask_error_info);
    const imgtask_status null_argument = IMGTASK_STATUS_NULL_ARGUMENT;

    CHECK_REFUSED(imgtask_client_create(NULL, &out_client, &error), null_argument, "options");
    CHECK(out_client == NULL);
    CHECK_REFUSED(imgtask_client_create(&options, NULL, &error), null_argument, "out");

    CHECK_REFUSED(imgtask_client_set_key(NULL, "key", &error), null_argument, "client");
    CHECK_REFUSED(imgtask_client_set_key(client, NULL, &error), null_argument, "api_key");
    CHECK_STATUS(imgtask_client_interrupt(NULL), null_argument);
    CHECK_STATUS(imgtask_client_close(NULL, 0), null_argument);
    CHECK_STATUS(imgtask_client_get_stats(NULL, &stats), null_argument);
    CHECK_STATUS(imgtask_client_get_stats(client, NULL), null_argument);

    CHECK_REFUSED(imgtask_client_submit(NULL, "{}", &task, &error), null_argument, "client");
    CHECK(task == NULL);
    CHECK_REFUSED(imgtask_client_submit(client, NULL, &task, &error), null_argument, "request_json");
    CHECK_REFUSED(imgtask_client_submit(client, "{}", NULL, &error), null_argument, "out");
    CHECK_REFUSED(imgtask_client_fetch(NULL, "task_1", &task, &error), null_argument, "client");
    CHECK_REFUSED(imgtask_client_fetch(client, NULL, &task, &error), null_argument, "task_ref");
    CHECK_REFUSED(imgtask_client_fetch(client, "task_1", NULL, &error), null_argument, "out");
    CHECK_REFUSED(imgtask_client_wait(NULL, "task_1", 0, &task, &error), null_argument, "client");
    CHECK_REFUSED(imgtask_client_wait(client, NULL, 0, &task, &error), null_argument, "task_ref");
    CHECK_REFUSED(imgtask_client_wait(client, "task_1", 0, NULL, &error), null_argument, "out");
    CHECK_REFUSED(imgtask_client_cancel_task(NULL, "task_1", &task, &error), null_argument, "client");
    CHECK_REFUSED(imgtask_client_cancel_task(client, NULL, &task, &error), null_argument, "task_ref");
    CHECK_REFUSED(imgtask_client_cancel_task(client, "task_1", NULL, &error), null_argument, "out");
    CHECK_REFUSED(imgtask_client_download(NULL, NULL, 0, 0, &bytes, &error), null_argument, "client");
    CHECK(bytes == NULL);
    CHECK_REFUSED(imgtask_client_download(client, NULL, 0, 0, &bytes, &error), null_argument, "task");
    CHECK_REFUSED(imgtask_client_download(client, NULL, 0, 0, NULL, &error), null_argument, "out");
    CHECK_REFUSED(imgtask_client_download_file(NULL, NULL, 0, "x.png", 0, NULL, &error), null_argument, "client");
    CHECK_REFUSED(imgtask_client_download_file(client, NULL, 0, "x.png", 0, NULL, &error), null_argument, "task");

    CHECK_STATUS(imgtask_provider_get(0, NULL), null_argument);
    CHECK_STATUS(imgtask_error_get(NULL, &error_info), null_argument);
    CHECK_STATUS(imgtask_task_get(NULL, &task_info), null_argument);
    CHECK_STATUS(imgtask_task_get_image(NULL, 0, &image_info), null_argument);
    CHECK_STATUS(imgtask_bytes_get(NULL, &bytes_info), null_argument);
    CHECK_REFUSED(imgtask_bytes_decode(NULL, 0, 0, &bytes, &error), null_argument, "bytes");
    CHECK_REFUSED(imgtask_bytes_decode(NULL, 0, 0, NULL, &error), null_argument, "out");
}

static void nobody_needs_to_take_the_error(imgtask_client *client)
{
    imgtask_task *task = NULL;
    CHECK_STATUS(imgtask_client_fetch(client, NULL, &task, NULL), IMGTASK_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(imgtask_client_fetch(client, "", &task, NULL), IMGTASK_STATUS_INVALID_ARGUMENT);
}

static void freeing_null_does_nothing_and_null_has_texts(void)
{
    size_t length = 7;
    imgtask_client_free(NULL);
    imgtask_task_free(NULL);
    imgtask_bytes_free(NULL);
    imgtask_error_free(NULL);
    CHECK_TEXT(imgtask_error_message(NULL), "");
    CHECK_TEXT(imgtask_task_json(NULL, &length), "");
    CHECK(length == 0);
    CHECK_TEXT(imgtask_task_json(NULL, NULL), "");
}

static void a_string_that_is_not_utf8_is_refused(imgtask_client *client)
{
    const imgtask_status bad = IMGTASK_STATUS_INVALID_UTF8;
    imgtask_client_options options = options_for("dimilinks", NULL, "key");
    imgtask_client *other = NULL;
    imgtask_task *task = NULL;
    const char **strings[] = {&options.provider, &options.dialect_json, &options.base_url, &options.api_key,
                              &options.user_agent, &options.proxy_url, &options.ca_file};
    const char *names[] = {"provider", "dialect_json", "base_url", "api_key", "user_agent", "proxy_url", "ca_file"};
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        const char *before = *strings[i];
        *strings[i] = BAD_UTF8;
        CHECK_REFUSED(imgtask_client_create(&options, &other, &error), bad, names[i]);
        CHECK(other == NULL);
        *strings[i] = before;
    }
    CHECK_REFUSED(imgtask_client_set_key(client, BAD_UTF8, &error), bad, "api_key is not UTF-8 at byte 4");
    CHECK_REFUSED(imgtask_client_submit(client, BAD_UTF8, &task, &error), bad, "request_json");
    CHECK_REFUSED(imgtask_client_fetch(client, BAD_UTF8, &task, &error), bad, "task_ref");
    CHECK_REFUSED(imgtask_client_wait(client, BAD_UTF8, 0, &task, &error), bad, "task_ref");
    CHECK_REFUSED(imgtask_client_cancel_task(client, BAD_UTF8, &task, &error), bad, "task_ref");
}

static void a_struct_of_a_wrong_size_is_refused_with_the_cure(imgtask_client *client)
{
    const size_t sizes[] = {0, 1, sizeof(size_t), sizeof(imgtask_client_options) - 1, 1000000, (size_t)-1};
    imgtask_client_options options = options_for("dimilinks", NULL, "key");
    imgtask_client *other = NULL;
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    imgtask_provider_info provider = IMGTASK_INIT(imgtask_provider_info);
    size_t i;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        options.struct_size = sizes[i];
        CHECK_REFUSED(imgtask_client_create(&options, &other, &error), IMGTASK_STATUS_INVALID_ARGUMENT,
                      "set struct_size to sizeof(imgtask_client_options)");
        CHECK(other == NULL);
    }
    stats.struct_size = sizeof stats - 1;
    stats.looks = 77;
    CHECK_STATUS(imgtask_client_get_stats(client, &stats), IMGTASK_STATUS_INVALID_ARGUMENT);
    CHECK(stats.looks == 77);
    provider.struct_size = 0;
    CHECK_STATUS(imgtask_provider_get(0, &provider), IMGTASK_STATUS_INVALID_ARGUMENT);
}

typedef struct options_of_tomorrow {
    imgtask_client_options today;
    size_t tomorrow;
} options_of_tomorrow;

static void a_program_with_a_newer_header_works_as_long_as_it_asks_for_nothing_new(void)
{
    options_of_tomorrow options;
    imgtask_client *client = NULL;
    memset(&options, 0, sizeof options);
    options.today = options_for("dimilinks", "http://127.0.0.1:1", "key");
    options.today.struct_size = sizeof options;
    CHECK_STATUS(imgtask_client_create(&options.today, &client, NULL), IMGTASK_STATUS_OK);
    imgtask_client_free(client);
    client = NULL;
    options.tomorrow = 1;
    CHECK_REFUSED(imgtask_client_create(&options.today, &client, &error), IMGTASK_STATUS_UNSUPPORTED, "newer");
    CHECK(client == NULL);
}

typedef struct provider_of_tomorrow {
    imgtask_provider_info today;
    size_t tomorrow[4];
} provider_of_tomorrow;

static void what_the_library_does_not_know_of_an_out_struct_is_zero(void)
{
    provider_of_tomorrow provider;
    memset(&provider, 0xaa, sizeof provider);
    provider.today.struct_size = sizeof provider.today + 2 * sizeof(size_t);
    CHECK_STATUS(imgtask_provider_get(0, &provider.today), IMGTASK_STATUS_OK);
    CHECK(provider.today.struct_size == sizeof provider.today + 2 * sizeof(size_t));
    CHECK_TEXT(provider.today.name, "dimilinks");
    CHECK(provider.tomorrow[0] == 0 && provider.tomorrow[1] == 0);
    CHECK(provider.tomorrow[2] != 0 && provider.tomorrow[3] != 0);
}

static void an_option_out_of_its_range_is_refused_and_named(void)
{
    imgtask_client_options options = options_for("dimilinks", NULL, "key");
    imgtask_client *client = NULL;
    options.log_level = 5;
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), IMGTASK_STATUS_INVALID_ARGUMENT, "log_level");
    options.log_level = 0;
    options.allow_plain_http = 2;
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), IMGTASK_STATUS_INVALID_ARGUMENT, "allow_plain_http");
    options.allow_plain_http = 0;
    options.allow_private_images = 0xFFFFFFFFu;
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), IMGTASK_STATUS_INVALID_ARGUMENT, "allow_private_images");
    options.allow_private_images = 0;
    options.journal_path = "/no-such-folder/tasks.journal";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), IMGTASK_STATUS_JOURNAL, "no-such-folder");
    options.journal_path = NULL;
    options.reserved = 1;
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), IMGTASK_STATUS_UNSUPPORTED, "reserved");
    CHECK(client == NULL);
}

static void the_longest_times_are_times(const char *url)
{
    imgtask_client_options options = options_for("dimilinks", url, "key");
    options.connect_timeout_ms = options.request_timeout_ms = options.submit_timeout_ms = 0xFFFFFFFFu;
    options.stall_timeout_ms = options.wait_timeout_ms = options.poll_interval_ms = 0xFFFFFFFFu;
    options.max_requests_per_minute = options.max_workers = 0xFFFFFFFFu;
    options.max_response_bytes = options.max_image_bytes = options.max_image_pixels = 0xFFFFFFFFFFFFFFFFu;
    imgtask_client_free(client_with(&options));
}

static void providers_and_words_can_be_listed(void)
{
    imgtask_provider_info provider = IMGTASK_INIT(imgtask_provider_info);
    imgtask_status status;
    size_t count = 0;
    while ((status = imgtask_provider_get(count, &provider)) == IMGTASK_STATUS_OK) {
        CHECK(strlen(provider.name) > 0 && strlen(provider.title) > 0 && strlen(provider.key_variable) > 0);
        CHECK(provider.base_url != NULL && provider.wait_timeout_ms > 0);
        CHECK(provider.confidence <= IMGTASK_CONFIDENCE_DOCUMENTED);
        count++;
    }
    CHECK(status == IMGTASK_STATUS_NOT_FOUND);
    CHECK(count >= 3);
    CHECK(provider.name == NULL);
    CHECK_STATUS(imgtask_provider_get((size_t)-1, &provider), IMGTASK_STATUS_NOT_FOUND);
    CHECK_TEXT(imgtask_status_name(IMGTASK_STATUS_OK), "ok");
    CHECK_TEXT(imgtask_status_name(IMGTASK_STATUS_SUBMIT_UNKNOWN), "submit_unknown");
    CHECK_TEXT(imgtask_status_name(IMGTASK_STATUS_PANIC), "panic");
    CHECK_TEXT(imgtask_status_name(9), "unknown");
    CHECK_TEXT(imgtask_status_name(0xFFFFFFFFu), "unknown");
}

int main(void)
{
    listener here = listen_on_loopback();
    imgtask_client_options options = options_for("dimilinks", here.url, "key");
    imgtask_client *client = client_with(&options);

    a_null_pointer_is_refused_and_named(client);
    nobody_needs_to_take_the_error(client);
    freeing_null_does_nothing_and_null_has_texts();
    a_string_that_is_not_utf8_is_refused(client);
    a_struct_of_a_wrong_size_is_refused_with_the_cure(client);
    a_program_with_a_newer_header_works_as_long_as_it_asks_for_nothing_new();
    what_the_library_does_not_know_of_an_out_struct_is_zero();
    an_option_out_of_its_range_is_refused_and_named();
    the_longest_times_are_times(here.url);
    providers_and_words_can_be_listed();
    CHECK(!somebody_came(&here));

    imgtask_client_free(client);
    return done();
}
