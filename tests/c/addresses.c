/* Addresses, keys and references that cannot be right are refused before a byte is sent. */
#include "listener.h"

#include <stdarg.h>

static const char *words(const char *format, ...)
{
    static char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

static void base_url_is_refused(const char *base_url)
{
    imgtask_client_options options = options_for("dimilinks", base_url, "key");
    imgtask_client *client = (imgtask_client *)&options;
    imgtask_error *error = NULL;
    imgtask_status status = imgtask_client_create(&options, &client, &error);
    if (status != IMGTASK_STATUS_INVALID_ARGUMENT) {
        fprintf(stderr, "base_url \"%s\" is %s\n", base_url, imgtask_status_name(status));
        exit(1);
    }
    CHECK(client == NULL);
    CHECK(strlen(imgtask_error_message(error)) > 0);
    CHECK(strstr(imgtask_error_message(error), "canary") == NULL);
    check_error(error, status);
    imgtask_error_free(error);
}

static void a_base_url_that_cannot_be_right_is_refused(int port)
{
    base_url_is_refused("http://127.0.0.1:0");
    base_url_is_refused("http://127.0.0.1:99999");
    base_url_is_refused(words("http://127.0.0.1:%dabc", port));
    base_url_is_refused("http://127.0.0.1:80abc");
    base_url_is_refused("http://127.0.0.1:-1");
    base_url_is_refused("http://127.0.0.1:+80");
    base_url_is_refused(words("http://user:canary@127.0.0.1:%d", port));
    base_url_is_refused(words("http://canary@127.0.0.1:%d", port));
    base_url_is_refused(words("127.0.0.1:%d", port));
    base_url_is_refused("dimilinks.com");
    base_url_is_refused(words("//127.0.0.1:%d", port));
    base_url_is_refused(words("ftp://127.0.0.1:%d", port));
    base_url_is_refused(words("file:///etc/passwd"));
    base_url_is_refused("http://");
    base_url_is_refused("http:///v1");
    base_url_is_refused("https://[::1");
    base_url_is_refused(words("http://127.0.0.1:%d/a b", port));
    base_url_is_refused(words("http://127.0.0.1:%d\r\nX-A: b", port));
    base_url_is_refused(words("http://127.0.0.1:%d/?key=canary", port));
    base_url_is_refused(words("http://127.0.0.1:%d/#x", port));
    /* A key must not travel unprotected by mistake. */
    base_url_is_refused("http://images.example");
}

static void a_base_url_is_taken_as_people_paste_it(int port)
{
    const char *forms[] = {"http://127.0.0.1:%d", "http://127.0.0.1:%d/", "http://127.0.0.1:%d/v1", "http://127.0.0.1:%d/v1/",
                           "HTTP://127.0.0.1:%d/proxy/v1", "http://localhost:%d"};
    size_t i;
    for (i = 0; i < sizeof forms / sizeof *forms; i++) {
        char url[128];
        imgtask_client_options options;
        snprintf(url, sizeof url, forms[i], port);
        options = options_for("dimilinks", url, "key");
        imgtask_client_free(client_with(&options));
    }
}

static void an_option_that_names_nothing_is_refused(void)
{
    imgtask_client_options options = options_for("no-such-provider", NULL, "key");
    imgtask_client *client = NULL;
    const imgtask_status invalid = IMGTASK_STATUS_INVALID_ARGUMENT;
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid,
                  "dimilinks, dimilinks-legacy, lemondata");
    options.provider = NULL;
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "provider");
    options.dialect_json = "{";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "dialect");
    options.dialect_json = "{}";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "dialect");
    /* What does not begin with a brace is the path of a file. */
    options.dialect_json = " no/such/dialect.json";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "no/such/dialect.json cannot be read");
    options.dialect_json = "canary";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "dialect");
    options.dialect_json = "{\"name\":\"Own\",\"pol\":1}";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "/name: must be");
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "/pol: unknown member");
    options = options_for("dimilinks", NULL, NULL);
    unsetenv("DIMILINKS_API_KEY");
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "DIMILINKS_API_KEY");
    options.api_key = "";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "DIMILINKS_API_KEY");
    options = options_for("dimilinks", NULL, "key");
    options.proxy_url = "ftp://127.0.0.1:1";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "proxy");
    options.proxy_url = "http://user:canary@127.0.0.1:0";
    CHECK_REFUSED(imgtask_client_create(&options, &client, &error), invalid, "proxy");
    options.proxy_url = NULL;
    options.ca_file = "/no/such/file.pem";
    {
        imgtask_error *error = NULL;
        imgtask_status status = imgtask_client_create(&options, &client, &error);
        CHECK(status == IMGTASK_STATUS_INVALID_ARGUMENT || status == IMGTASK_STATUS_FILE || status == IMGTASK_STATUS_TLS);
        imgtask_error_free(error);
    }
    CHECK(client == NULL);
}

static void a_header_cannot_be_broken_into_two(imgtask_client *client, const char *url)
{
    const char *bad[] = {"a\r\nX-A: canary", "a\nb", "a\rb", "\ta\x01", "a\x7f"};
    const imgtask_status invalid = IMGTASK_STATUS_INVALID_ARGUMENT;
    imgtask_client_options options = options_for("dimilinks", url, "key");
    imgtask_client *other = NULL;
    imgtask_task *task = NULL;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.api_key = bad[i];
        CHECK_REFUSED(imgtask_client_create(&options, &other, &error), invalid, "key");
        options.api_key = "key";
        options.user_agent = bad[i];
        CHECK_REFUSED(imgtask_client_create(&options, &other, &error), invalid, "agent");
        options.user_agent = NULL;
        CHECK_REFUSED(imgtask_client_set_key(client, bad[i], &error), invalid, "key");
        CHECK_REFUSED(imgtask_client_fetch(client, bad[i], &task, &error), invalid, "");
    }
    CHECK_REFUSED(imgtask_client_set_key(client, "", &error), invalid, "key");
    CHECK(other == NULL && task == NULL);
}

static void reference_is_refused(imgtask_client *client, const char *reference)
{
    imgtask_task *task = (imgtask_task *)client;
    imgtask_error *error = NULL;
    imgtask_status status = imgtask_client_fetch(client, reference, &task, &error);
    if (status != IMGTASK_STATUS_INVALID_ARGUMENT) {
        fprintf(stderr, "reference \"%s\" is %s: %s\n", reference, imgtask_status_name(status), imgtask_error_message(error));
        exit(1);
    }
    CHECK(task == NULL);
    check_error(error, status);
    imgtask_error_free(error);
    error = NULL;
    CHECK_STATUS(imgtask_client_wait(client, reference, 1000, &task, &error), IMGTASK_STATUS_INVALID_ARGUMENT);
    imgtask_error_free(error);
    error = NULL;
    CHECK_STATUS(imgtask_client_cancel_task(client, reference, &task, &error), IMGTASK_STATUS_INVALID_ARGUMENT);
    imgtask_error_free(error);
    CHECK(task == NULL);
}

static void a_reference_that_leads_elsewhere_is_refused(imgtask_client *client, int port)
{
    char longest[514];
    memset(longest, 'a', sizeof longest);
    longest[513] = 0;
    reference_is_refused(client, "");
    reference_is_refused(client, "a/b");
    reference_is_refused(client, "a?b");
    reference_is_refused(client, "a#b");
    reference_is_refused(client, ".");
    reference_is_refused(client, "..");
    reference_is_refused(client, "a\tb");
    reference_is_refused(client, longest);
    reference_is_refused(client, "//127.0.0.1/v1/tasks/task_1");
    reference_is_refused(client, words("//127.0.0.1:%d/v1/tasks/task_1", port));
    reference_is_refused(client, "/v1/tasks/../images/task_1");
    reference_is_refused(client, "/v1/tasks/%2e%2e/task_1");
    reference_is_refused(client, "/v1/tasks/%2E./task_1");
    reference_is_refused(client, "/v1/tasks/a%2fb");
    reference_is_refused(client, "/v1/tasks/a%0d%0aX-A:%20b");
    reference_is_refused(client, "/v1/tasks/task_1#x");
    reference_is_refused(client, "a b");
    reference_is_refused(client, "/v1/tasks/");
    reference_is_refused(client, "/v1/chat/completions");
    reference_is_refused(client, "/sandbox");
    reference_is_refused(client, "http://example.com/v1/tasks/task_1");
    reference_is_refused(client, words("https://127.0.0.1:%d/v1/tasks/task_1", port));
    reference_is_refused(client, words("http://127.0.0.1:%d/v1/tasks/task_1", port == 65535 ? 1 : port + 1));
    reference_is_refused(client, "http://127.0.0.1/v1/tasks/task_1");
    reference_is_refused(client, words("http://localhost:%d/v1/tasks/task_1", port));
    reference_is_refused(client, words("http://127.0.0.1:%d@example.com/v1/tasks/task_1", port));
    reference_is_refused(client, words("http://user@127.0.0.1:%d/v1/tasks/task_1", port));
    reference_is_refused(client, words("http://127.0.0.1:%d/v1/tasks/../task_1", port));
    reference_is_refused(client, words("http://127.0.0.1:%d/v1/tasks/%%2e%%2e/task_1", port));
    reference_is_refused(client, words("http://127.0.0.1:%d/v1/tasks/task_1#x", port));
    reference_is_refused(client, "ftp://127.0.0.1/v1/tasks/task_1");
    reference_is_refused(client, "javascript:alert(1)/x");
}

static void a_path_of_another_provider_names_that_provider(imgtask_client *client)
{
    imgtask_task *task = NULL;
    CHECK_REFUSED(imgtask_client_fetch(client, "/v1/images/tasks/task_1", &task, &error), IMGTASK_STATUS_INVALID_ARGUMENT,
                  "dimilinks-legacy");
}

static void a_request_that_is_no_json_object_is_refused(imgtask_client *client)
{
    const char *bad[] = {"", "{", "[]", "\"a\"", "{\"a\":1} x", "{\"prompt\":\"a\",}"};
    imgtask_task *task = NULL;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_REFUSED(imgtask_client_submit(client, bad[i], &task, &error), IMGTASK_STATUS_INVALID_ARGUMENT, "JSON");
    CHECK(task == NULL);
}

int main(void)
{
    listener here = listen_on_loopback();
    imgtask_client_options options = options_for("dimilinks", here.url, "key");
    imgtask_client *client = client_with(&options);

    a_base_url_that_cannot_be_right_is_refused(here.port);
    a_base_url_is_taken_as_people_paste_it(here.port);
    an_option_that_names_nothing_is_refused();
    a_header_cannot_be_broken_into_two(client, here.url);
    a_reference_that_leads_elsewhere_is_refused(client, here.port);
    a_path_of_another_provider_names_that_provider(client);
    a_request_that_is_no_json_object_is_refused(client);
    CHECK(!somebody_came(&here));

    imgtask_client_free(client);
    return done();
}
