/* From a request to the image on disk, as a program does it that knows the header alone. */
#include "check.h"

static imgtask_task *submitted(imgtask_client *client, const char *request)
{
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    if (imgtask_client_submit(client, request, &task, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "submit: %s\n", imgtask_error_message(error));
        exit(1);
    }
    CHECK(task != NULL && error == NULL);
    return task;
}

static imgtask_task_info info_of(const imgtask_task *task)
{
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    CHECK(info.id != NULL && info.poll_ref != NULL && info.provider_status != NULL && info.failure_code != NULL);
    CHECK(info.failure_type != NULL && info.failure_message != NULL && info.revised_prompt != NULL && info.model != NULL);
    CHECK(info.conversation_id != NULL && info.billing_id != NULL);
    CHECK(info.progress >= -1 && info.progress <= 100);
    return info;
}

/* Reads a whole small file; the caller frees it. */
static unsigned char *file_bytes(const char *path, size_t *length)
{
    unsigned char *bytes = malloc(1 << 24);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && bytes != NULL);
    *length = fread(bytes, 1, 1 << 24, file);
    fclose(file);
    return bytes;
}

static imgtask_task *waited(imgtask_client *client, const char *reference)
{
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    if (imgtask_client_wait(client, reference, 60000, &task, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "wait: %s\n", imgtask_error_message(error));
        exit(1);
    }
    CHECK(task != NULL && error == NULL);
    return task;
}

static void a_task_comes_to_its_image(const char *provider, const char *request)
{
    const char *path = "journey.png";
    imgtask_client *client = sandbox_client(provider);
    imgtask_task *task, *seen = NULL, *final;
    imgtask_bytes *bytes = NULL, *saved = NULL;
    imgtask_task_info info;
    imgtask_image_info image = IMGTASK_INIT(imgtask_image_info);
    imgtask_bytes_info in_memory = IMGTASK_INIT(imgtask_bytes_info), in_file = IMGTASK_INIT(imgtask_bytes_info);
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    size_t length = 0, downloads;
    unsigned char *on_disk;

    task = submitted(client, request);
    info = info_of(task);
    CHECK(strlen(info.id) > 0 && strlen(info.poll_ref) > 0);
    CHECK(!info.is_final && info.image_count == 0);
    CHECK_STATUS(imgtask_task_get_image(task, 0, &image), IMGTASK_STATUS_INVALID_ARGUMENT);

    CHECK_STATUS(imgtask_client_fetch(client, info.id, &seen, NULL), IMGTASK_STATUS_OK);
    CHECK_TEXT(info_of(seen).id, info.id);
    CHECK(info_of(seen).looked_at_ms > 1500000000000);
    CHECK_HOLDS(imgtask_task_json(seen, &length), info.id);
    CHECK(length == strlen(imgtask_task_json(seen, NULL)));
    imgtask_task_free(seen);

    final = waited(client, info.poll_ref);
    imgtask_task_free(task);
    info = info_of(final);
    CHECK(info.state == IMGTASK_TASK_STATE_SUCCEEDED && info.is_final == 1 && info.progress == 100);
    CHECK(info.failure_action == IMGTASK_FAILURE_ACTION_NONE);
    CHECK_TEXT(info.failure_message, "");
    CHECK(info.image_count == 1 && info.created_at > 1500000000);
    CHECK_STATUS(imgtask_task_get_image(final, 0, &image), IMGTASK_STATUS_OK);
    CHECK(image.index == 0 && image.file_id != NULL && image.revised_prompt != NULL);
    if (!image.is_inline)
        CHECK(strncmp(image.url, "http://", 7) == 0);
    downloads = image.is_inline ? 0 : 2;
    CHECK_STATUS(imgtask_task_get_image(final, 1, &image), IMGTASK_STATUS_INVALID_ARGUMENT);
    CHECK(image.url == NULL && image.struct_size == sizeof image);

    CHECK_STATUS(imgtask_client_download(client, final, 0, 0, &bytes, NULL), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_bytes_get(bytes, &in_memory), IMGTASK_STATUS_OK);
    CHECK(in_memory.format == IMGTASK_BYTES_FORMAT_ENCODED && in_memory.row_bytes == 0);
    CHECK(in_memory.len > 8 && memcmp(in_memory.data, "\x89PNG\r\n\x1a\n", 8) == 0);
    CHECK_TEXT(in_memory.media_type, "image/png");
    CHECK_TEXT(in_memory.extension, "png");
    CHECK_TEXT(in_memory.path, "");
    CHECK(strlen(in_memory.sha256) == 64);

    remove(path);
    CHECK_STATUS(imgtask_client_download_file(client, final, 0, path, 0, &saved, NULL), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_bytes_get(saved, &in_file), IMGTASK_STATUS_OK);
    CHECK(in_file.data == NULL && in_file.len == in_memory.len);
    CHECK_TEXT(in_file.sha256, in_memory.sha256);
    CHECK_HOLDS(in_file.path, path);
    on_disk = file_bytes(path, &length);
    CHECK(length == in_memory.len && memcmp(on_disk, in_memory.data, length) == 0);
    free(on_disk);

    CHECK_STATUS(imgtask_client_get_stats(client, &stats), IMGTASK_STATUS_OK);
    CHECK(stats.looks >= 2 && stats.retries == 0 && stats.rate_limited == 0);
    CHECK(stats.requests == stats.looks + 1 + downloads);
    CHECK(stats.bytes_received > downloads * in_memory.len);
    CHECK(stats.connections_opened >= 1 && stats.pending == 0 && stats.in_flight == 0 && stats.threads == 0);

    /* What was handed out stays good without the client. */
    imgtask_client_free(client);
    CHECK(info_of(final).image_count == 1);
    CHECK(memcmp(in_memory.data, "\x89PNG", 4) == 0);
    imgtask_bytes_free(saved);
    imgtask_bytes_free(bytes);
    imgtask_task_free(final);
    remove(path);
}

static void a_file_that_must_stay_stays(void)
{
    const char *path = "kept.png";
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *task = submitted(client, "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup\",\"size\":\"64x64\"}");
    imgtask_task *final = waited(client, info_of(task).id);
    imgtask_bytes *info = (imgtask_bytes *)client;
    unsigned char *bytes;
    size_t length;
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite("mine", 1, 4, file) == 4 && fclose(file) == 0);
    CHECK_REFUSED(imgtask_client_download_file(client, final, 0, path, IMGTASK_FLAG_NO_REPLACE, &info, &error),
                  IMGTASK_STATUS_FILE, "exists");
    CHECK(info == NULL);
    bytes = file_bytes(path, &length);
    CHECK(length == 4 && memcmp(bytes, "mine", 4) == 0);
    free(bytes);
    CHECK_STATUS(imgtask_client_download_file(client, final, 0, path, 0, NULL, NULL), IMGTASK_STATUS_OK);
    bytes = file_bytes(path, &length);
    CHECK(length > 8 && memcmp(bytes, "\x89PNG", 4) == 0);
    free(bytes);
    CHECK_REFUSED(imgtask_client_download_file(client, final, 0, "no/such/folder/x.png", 0, NULL, &error), IMGTASK_STATUS_FILE,
                  "folder");
    remove(path);
    imgtask_task_free(final);
    imgtask_task_free(task);
    imgtask_client_free(client);
}

static void a_download_with_wrong_arguments_is_refused(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *task = submitted(client, "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup\",\"size\":\"64x64\"}");
    imgtask_task *final = waited(client, info_of(task).id);
    imgtask_bytes *bytes = NULL, *pixels = NULL, *file = NULL;
    const imgtask_status invalid = IMGTASK_STATUS_INVALID_ARGUMENT, unsupported = IMGTASK_STATUS_UNSUPPORTED;
    CHECK_REFUSED(imgtask_client_download(client, final, 1, 0, &bytes, &error), invalid, "image");
    CHECK_REFUSED(imgtask_client_download(client, final, (size_t)-1, 0, &bytes, &error), invalid, "image");
    CHECK_REFUSED(imgtask_client_download(client, task, 0, 0, &bytes, &error), IMGTASK_STATUS_NO_IMAGE, "has no image");
    CHECK_REFUSED(imgtask_client_download(client, final, 0, 1, &bytes, &error), unsupported, "flags");
    CHECK_REFUSED(imgtask_client_download(client, final, 0, IMGTASK_FLAG_NO_REPLACE, &bytes, &error), unsupported, "flags");
    CHECK_REFUSED(imgtask_client_download_file(client, final, 0, NULL, 0, NULL, &error), IMGTASK_STATUS_NULL_ARGUMENT, "path");
    CHECK_REFUSED(imgtask_client_download_file(client, final, 0, "x\xff", 0, NULL, &error), IMGTASK_STATUS_INVALID_UTF8, "path");
    CHECK_REFUSED(imgtask_client_download_file(client, final, 0, "x.png", 4, NULL, &error), unsupported, "flags");
    CHECK_REFUSED(imgtask_client_download_file(client, final, 7, "x.png", 0, NULL, &error), invalid, "image");
    CHECK(bytes == NULL && fopen("x.png", "rb") == NULL);

    CHECK_STATUS(imgtask_client_download(client, final, 0, 0, &bytes, NULL), IMGTASK_STATUS_OK);
    CHECK_REFUSED(imgtask_bytes_decode(bytes, 0, 0, NULL, &error), IMGTASK_STATUS_NULL_ARGUMENT, "out");
    CHECK_REFUSED(imgtask_bytes_decode(bytes, 0, 0x80000000u, &pixels, &error), unsupported, "flags has 0x80000000");
    CHECK_STATUS(imgtask_client_download_file(client, final, 0, "decode.png", 0, &file, NULL), IMGTASK_STATUS_OK);
    CHECK_REFUSED(imgtask_bytes_decode(file, 0, 0, &pixels, &error), invalid, "in a file");
    CHECK(pixels == NULL);
    remove("decode.png");
    imgtask_bytes_free(file);
    imgtask_bytes_free(bytes);
    imgtask_task_free(final);
    imgtask_task_free(task);
    imgtask_client_free(client);
}

static void a_task_that_failed_says_why_and_what_helps(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *task = submitted(client, "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup [fail:content_policy_violation]\"}");
    imgtask_task *final = waited(client, info_of(task).id), *seen = NULL;
    imgtask_task_info info = info_of(final);
    imgtask_bytes *bytes = NULL;
    CHECK(info.state == IMGTASK_TASK_STATE_FAILED && info.is_final && info.progress == -1 && info.image_count == 0);
    CHECK_TEXT(info.failure_code, "content_policy_violation");
    CHECK(strlen(info.failure_message) > 0);
    CHECK(info.failure_action == IMGTASK_FAILURE_ACTION_CHANGE_REQUEST);
    CHECK_STATUS(imgtask_client_fetch(client, info.id, &seen, NULL), IMGTASK_STATUS_OK);
    CHECK(info_of(seen).state == IMGTASK_TASK_STATE_FAILED);
    CHECK_REFUSED(imgtask_client_download(client, final, 0, 0, &bytes, &error), IMGTASK_STATUS_NO_IMAGE, "failed and has no image");
    imgtask_task_free(seen);
    imgtask_task_free(final);
    imgtask_task_free(task);
    imgtask_client_free(client);
}

static void a_wait_that_is_over_hands_out_what_it_saw(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *task = submitted(client, "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup [never]\"}"), *seen = NULL;
    imgtask_error *error = NULL;
    imgtask_error_info why = IMGTASK_INIT(imgtask_error_info);
    const char *id = info_of(task).id;
    CHECK_STATUS(imgtask_client_wait(client, id, 0, &seen, &error), IMGTASK_STATUS_TIMEOUT);
    CHECK(seen != NULL);
    CHECK_TEXT(info_of(seen).id, id);
    CHECK(!info_of(seen).is_final);
    CHECK_STATUS(imgtask_error_get(error, &why), IMGTASK_STATUS_OK);
    CHECK_TEXT(why.task_id, id);
    CHECK(why.retry_after_ms >= 0);
    imgtask_error_free(error);
    imgtask_task_free(seen);
    seen = NULL;
    CHECK_STATUS(imgtask_client_wait(client, id, 300, &seen, NULL), IMGTASK_STATUS_TIMEOUT);
    CHECK(seen != NULL && !info_of(seen).is_final);
    imgtask_task_free(seen);
    imgtask_task_free(task);
    imgtask_client_free(client);
}

static void a_task_that_is_not_there_is_not_found(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *task = (imgtask_task *)client;
    imgtask_error *error = NULL;
    imgtask_error_info why = IMGTASK_INIT(imgtask_error_info);
    CHECK_STATUS(imgtask_client_fetch(client, "img_000000000000000000000000", &task, &error), IMGTASK_STATUS_NOT_FOUND);
    CHECK(task == NULL);
    CHECK_STATUS(imgtask_error_get(error, &why), IMGTASK_STATUS_OK);
    CHECK(why.http_status == 404 && why.retry_after_ms == -1);
    CHECK_TEXT(why.task_id, "img_000000000000000000000000");
    imgtask_error_free(error);
    CHECK_STATUS(imgtask_client_wait(client, "img_000000000000000000000000", 5000, &task, NULL), IMGTASK_STATUS_NOT_FOUND);
    CHECK(task == NULL);
    CHECK_STATUS(imgtask_client_cancel_task(client, "img_000000000000000000000000", &task, NULL), IMGTASK_STATUS_UNSUPPORTED);
    imgtask_client_free(client);
}

static void a_wrong_key_is_refused_and_a_right_one_helps(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), "canary-0123456789");
    imgtask_client *client = client_with(&options);
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    CHECK_STATUS(imgtask_client_submit(client, "{\"model\":\"m\",\"prompt\":\"a cup\"}", &task, &error),
                 IMGTASK_STATUS_UNAUTHORIZED);
    CHECK(task == NULL);
    CHECK(strstr(imgtask_error_message(error), "canary") == NULL);
    imgtask_error_free(error);
    CHECK_STATUS(imgtask_client_set_key(client, setting("KEY", "dimilinks"), NULL), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_submit(client, "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup\"}", &task, NULL),
                 IMGTASK_STATUS_OK);
    imgtask_task_free(task);
    imgtask_client_free(client);
}

int main(void)
{
    a_task_comes_to_its_image("dimilinks", "{\"model\":\"gpt-image-1\",\"prompt\":\"a red apple\",\"size\":\"64x64\"}");
    a_task_comes_to_its_image("dimilinks-legacy", "{\"model\":\"gpt-image-1\",\"prompt\":\"a red apple\",\"size\":\"64x64\"}");
    a_task_comes_to_its_image("lemondata", "{\"model\":\"gpt-image-1\",\"prompt\":\"a red apple\",\"size\":\"64x64\"}");
    a_file_that_must_stay_stays();
    a_download_with_wrong_arguments_is_refused();
    a_task_that_failed_says_why_and_what_helps();
    a_wait_that_is_over_hands_out_what_it_saw();
    a_task_that_is_not_there_is_not_found();
    a_wrong_key_is_refused_and_a_right_one_helps();
    return done();
}
