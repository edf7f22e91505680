/* Every field of a service's answer reaches the struct that the header promises it in. */
#include "listener.h"

#include <pthread.h>

typedef struct service {
    listener here;
    const char *body;
} service;

static void *answer_once(void *argument)
{
    const service *all = argument;
    char head[256];
    int connection = next_request(&all->here, 20000);
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
             strlen(all->body));
    CHECK(send(connection, head, strlen(head), 0) == (ssize_t)strlen(head));
    CHECK(send(connection, all->body, strlen(all->body), 0) == (ssize_t)strlen(all->body));
    close(connection);
    return NULL;
}

/* What a look makes of a body. */
static imgtask_task *seen(const char *provider, const char *id, const char *body)
{
    service all = {listen_on_loopback(), body};
    imgtask_client_options options = options_for(provider, all.here.url, "key");
    imgtask_client *client = client_with(&options);
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, answer_once, &all) == 0);
    if (imgtask_client_fetch(client, id, &task, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "fetch: %s\n", imgtask_error_message(error));
        exit(1);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_TEXT(imgtask_task_json(task, NULL), body);
    imgtask_client_free(client);
    close(all.here.socket);
    return task;
}

static imgtask_task_info info_of(const imgtask_task *task)
{
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    CHECK(info.struct_size == sizeof info);
    return info;
}

static imgtask_image_info image_of(const imgtask_task *task, size_t index)
{
    imgtask_image_info image = IMGTASK_INIT(imgtask_image_info);
    CHECK_STATUS(imgtask_task_get_image(task, index, &image), IMGTASK_STATUS_OK);
    CHECK(image.index == index && image.reserved == 0);
    return image;
}

static void dimilinks_tells_all_of_a_success(void)
{
    imgtask_task *task = seen(
        "dimilinks", "img_1",
        "{\"id\":\"img_1\",\"task_id\":\"img_1\",\"object\":\"image.task\",\"status\":\"succeeded\",\"progress\":100,"
        "\"created_at\":1777080000,\"completed_at\":1777080060,\"result\":{\"created\":1777080000,\"task_id\":\"img_1\",\"data\":["
        "{\"url\":\"\"},"
        "{\"url\":\"https://images.example/a.png?exp=1777166400000\\u0026sig=0f\",\"file_id\":\"file_a\",\"revised_prompt\":\"red\"},"
        "{\"b64_json\":\"iVBORw0KGgo=\",\"file_id\":\"file_b\"}]}}");
    imgtask_task_info info = info_of(task);
    imgtask_image_info first = image_of(task, 0), second = image_of(task, 1);
    CHECK(info.state == IMGTASK_TASK_STATE_SUCCEEDED && info.is_final == 1 && info.progress == 100 && info.image_count == 2);
    CHECK(info.created_at == 1777080000 && info.completed_at == 1777080060 && info.looked_at_ms > 1777000000000);
    CHECK(info.credit_cost == -1 && info.failure_action == IMGTASK_FAILURE_ACTION_NONE);
    CHECK_TEXT(info.id, "img_1");
    CHECK_TEXT(info.poll_ref, "img_1");
    CHECK_TEXT(info.provider_status, "succeeded");
    CHECK_TEXT(info.revised_prompt, "red");
    CHECK_TEXT(info.failure_code, "");
    CHECK_TEXT(info.failure_type, "");
    CHECK_TEXT(info.failure_message, "");
    CHECK_TEXT(first.url, "https://images.example/a.png?exp=1777166400000&sig=0f");
    CHECK_TEXT(first.file_id, "file_a");
    CHECK_TEXT(first.revised_prompt, "red");
    CHECK(first.source_index == 1 && first.expires_at == 1777166400 && first.is_inline == 0);
    CHECK_TEXT(second.url, "");
    CHECK_TEXT(second.file_id, "file_b");
    CHECK_TEXT(second.revised_prompt, "");
    CHECK(second.source_index == 2 && second.expires_at == 0 && second.is_inline == 1);
    imgtask_task_free(task);
}

static void dimilinks_tells_why_a_task_failed(void)
{
    imgtask_task *task = seen("dimilinks", "img_2",
                              "{\"id\":\"img_2\",\"task_id\":\"img_2\",\"object\":\"image.task\",\"status\":\"failed\",\"progress\":100,"
                              "\"created_at\":1777080001,\"completed_at\":1777080061,\"error\":{\"message\":\"words\","
                              "\"code\":\"content_moderation\",\"type\":\"image_error\"}}");
    imgtask_task_info info = info_of(task);
    CHECK(info.state == IMGTASK_TASK_STATE_FAILED && info.is_final == 1 && info.progress == -1 && info.image_count == 0);
    CHECK(info.created_at == 1777080001 && info.completed_at == 1777080061);
    CHECK(info.failure_action == IMGTASK_FAILURE_ACTION_CHANGE_REQUEST);
    CHECK_TEXT(info.failure_message, "words");
    CHECK_TEXT(info.failure_code, "content_moderation");
    CHECK_TEXT(info.failure_type, "image_error");
    imgtask_task_free(task);
}

static void the_old_route_tells_all(void)
{
    imgtask_task *task = seen("dimilinks-legacy", "img_3",
                              "{\"task_id\":\"img_3\",\"status\":\"success\",\"conversation_id\":\"conv_3\",\"created\":1777080003,"
                              "\"finished_at\":1777080063,\"error\":\"\",\"credit_cost\":123,\"data\":["
                              "{\"url\":\"https://images.example/c.png\",\"file_id\":\"file_c\"}]}");
    imgtask_task_info info = info_of(task);
    CHECK(info.state == IMGTASK_TASK_STATE_SUCCEEDED && info.credit_cost == 123 && info.image_count == 1);
    CHECK(info.created_at == 1777080003 && info.completed_at == 1777080063);
    CHECK_TEXT(info.id, "img_3");
    CHECK_TEXT(info.provider_status, "success");
    CHECK_TEXT(info.conversation_id, "conv_3");
    CHECK_TEXT(image_of(task, 0).url, "https://images.example/c.png");
    CHECK_TEXT(image_of(task, 0).file_id, "file_c");
    imgtask_task_free(task);
    task = seen("dimilinks-legacy", "img_4",
                "{\"task_id\":\"img_4\",\"status\":\"failed\",\"conversation_id\":\"\",\"created\":1777080004,\"finished_at\":1777080064,"
                "\"error\":\"account_forbidden: no rights\",\"credit_cost\":0,\"data\":[]}");
    info = info_of(task);
    CHECK(info.state == IMGTASK_TASK_STATE_FAILED && info.credit_cost == 0);
    CHECK(info.failure_action == IMGTASK_FAILURE_ACTION_CHECK_ACCOUNT);
    CHECK_TEXT(info.failure_code, "account_forbidden");
    CHECK_TEXT(info.failure_message, "no rights");
    imgtask_task_free(task);
}

static void lemondata_tells_all(void)
{
    imgtask_task *task = seen("lemondata", "ld_5",
                              "{\"created\":1706000005,\"id\":\"ld_5\",\"task_id\":\"ld_5\",\"poll_url\":\"/v1/tasks/ld_5\","
                              "\"status\":\"completed\",\"updated\":1706000065,\"model\":\"gpt-image-2\","
                              "\"billing_transaction_id\":\"txn_5\",\"data\":[{\"url\":\"https://cdn.example/d.png\","
                              "\"revised_prompt\":\"green\"}]}");
    imgtask_task_info info = info_of(task);
    CHECK(info.state == IMGTASK_TASK_STATE_SUCCEEDED && info.created_at == 1706000005 && info.completed_at == 1706000065);
    CHECK_TEXT(info.id, "ld_5");
    CHECK_TEXT(info.poll_ref, "/v1/tasks/ld_5");
    CHECK_TEXT(info.provider_status, "completed");
    CHECK_TEXT(info.model, "gpt-image-2");
    CHECK_TEXT(info.billing_id, "txn_5");
    CHECK_TEXT(info.revised_prompt, "green");
    CHECK_TEXT(image_of(task, 0).url, "https://cdn.example/d.png");
    CHECK_TEXT(image_of(task, 0).revised_prompt, "green");
    imgtask_task_free(task);
    task = seen("lemondata", "ld_6",
                "{\"created\":1706000006,\"task_id\":\"ld_6\",\"status\":\"processing\",\"progress\":40.7,\"data\":["
                "{\"url\":\"\",\"revised_prompt\":\"blue\"}]}");
    info = info_of(task);
    CHECK(info.state == IMGTASK_TASK_STATE_RUNNING && info.is_final == 0 && info.progress == 40 && info.image_count == 0);
    CHECK_TEXT(info.revised_prompt, "blue");
    CHECK_TEXT(info.poll_ref, "ld_6");
    imgtask_task_free(task);
    task = seen("lemondata", "ld_7",
                "{\"created\":1706000007,\"task_id\":\"ld_7\",\"status\":\"failed\",\"cancelled\":true,"
                "\"cancellation_status\":\"cancelled\",\"error\":{\"code\":\"stopped\",\"message\":\"by hand\"}}");
    info = info_of(task);
    CHECK(info.state == IMGTASK_TASK_STATE_CANCELLED && info.is_final == 1);
    CHECK_TEXT(info.provider_status, "failed");
    CHECK_TEXT(info.failure_code, "stopped");
    CHECK_TEXT(info.failure_message, "by hand");
    imgtask_task_free(task);
}

int main(void)
{
    dimilinks_tells_all_of_a_success();
    dimilinks_tells_why_a_task_failed();
    the_old_route_tells_all();
    lemondata_tells_all();
    return done();
}
