/* A job that is stopped ends at once, whatever it is at, and the host that stops it never waits. */
#include "events.h"
#include "listener.h"

/* A tenth of a second, for whoever is not slow. */
static void soon(long since, const char *what)
{
    long took = now_ms() - since, limit = 100 * slowness();
    if (took > limit) {
        fprintf(stderr, "%s took %ld ms, not %ld\n", what, took, limit);
        exit(1);
    }
}

static imgtask_client *client_of(const char *url, uint32_t per_minute)
{
    imgtask_client_options options = options_for("dimilinks", url, "key");
    options.max_requests_per_minute = per_minute;
    return client_with(&options);
}

/* Stops a job and takes its end, which comes at once. */
static void stopped(imgtask_client *client, uint64_t op, imgtask_status wanted)
{
    imgtask_event event;
    long since = now_ms();
    CHECK_STATUS(imgtask_client_stop(client, op), IMGTASK_STATUS_OK);
    soon(since, "the stop");
    event = final_event(client, op, wanted);
    soon(since, "the end");
    CHECK(event.bytes == NULL);
    imgtask_event_clear(&event);
    CHECK_STATUS(imgtask_client_stop(client, op), IMGTASK_STATUS_UNKNOWN_OP);
    nothing_waits(client);
    CHECK(imgtask_client_pending(client) == 0);
}

static void while_the_service_thinks(void)
{
    listener here = listen_on_loopback();
    imgtask_client *client = client_of(here.url, 0);
    imgtask_job job = job_for("task_1", IMGTASK_GOAL_FINISHED);
    uint64_t op = started(client, &job);
    int connection = next_request(&here, 20000);
    stopped(client, op, IMGTASK_STATUS_CANCELLED);
    close(connection);

    /* The request was out: the task may exist. */
    job = job_of(CUP, IMGTASK_GOAL_BYTES);
    op = started(client, &job);
    connection = next_request(&here, 20000);
    stopped(client, op, IMGTASK_STATUS_SUBMIT_UNKNOWN);
    close(connection);
    imgtask_client_free(client);
    close(here.socket);
}

static void in_the_midst_of_an_answer(void)
{
    const char *half = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{\"id\":";
    listener here = listen_on_loopback();
    imgtask_client *client = client_of(here.url, 0);
    imgtask_job job = job_for("task_1", IMGTASK_GOAL_FINISHED);
    uint64_t op = started(client, &job);
    int connection = next_request(&here, 20000);
    CHECK(send(connection, half, strlen(half), MSG_NOSIGNAL) == (ssize_t)strlen(half));
    while (stats_of(client).bytes_received == 0 && stats_of(client).in_flight == 0)
        ;
    stopped(client, op, IMGTASK_STATUS_CANCELLED);
    close(connection);
    imgtask_client_free(client);
    close(here.socket);
}

/* A port whose queue is full answers no connect. */
static void while_it_connects(void)
{
    listener here = listen_on_loopback();
    imgtask_client *client = client_of(here.url, 0);
    imgtask_job job = job_for("task_1", IMGTASK_GOAL_FINISHED);
    struct sockaddr_in address;
    int filler[256];
    size_t count = 0, i;
    uint64_t op;
    CHECK(listen(here.socket, 0) == 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)here.port);
    while (count < 256) {
        struct pollfd wait = {socket(AF_INET, SOCK_STREAM, 0), POLLOUT, 0};
        CHECK(wait.fd >= 0 && fcntl(wait.fd, F_SETFL, O_NONBLOCK) == 0);
        filler[count++] = wait.fd;
        if (connect(wait.fd, (struct sockaddr *)&address, sizeof address) != 0 && poll(&wait, 1, 200) == 0)
            break;
    }
    CHECK(count < 256);
    op = started(client, &job);
    while (stats_of(client).in_flight == 0)
        ;
    stopped(client, op, IMGTASK_STATUS_CANCELLED);
    imgtask_client_free(client);
    for (i = 0; i < count; i++)
        close(filler[i]);
    close(here.socket);
}

static void while_it_waits_to_try_again(void)
{
    imgtask_client *client = client_of("http://127.0.0.1:1", 0);
    imgtask_job job = job_for("task_1", IMGTASK_GOAL_FINISHED);
    uint64_t op = started(client, &job);
    while (stats_of(client).looks == 0 || stats_of(client).in_flight > 0)
        ;
    stopped(client, op, IMGTASK_STATUS_CANCELLED);
    imgtask_client_free(client);
}

static void while_the_gate_is_closed(void)
{
    const char *later = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 50\r\nContent-Length: 2\r\n\r\n{}";
    listener here = listen_on_loopback();
    imgtask_client *client = client_of(here.url, 0);
    imgtask_job job = job_for("task_1", IMGTASK_GOAL_FINISHED);
    imgtask_job submit = job_of(CUP, IMGTASK_GOAL_SUBMITTED);
    uint64_t look = started(client, &job), other;
    imgtask_event event;
    long since;
    int connection = next_request(&here, 20000);
    CHECK(send(connection, later, strlen(later), MSG_NOSIGNAL) == (ssize_t)strlen(later));
    while (stats_of(client).rate_limited == 0 || stats_of(client).in_flight > 0)
        ;
    other = started(client, &submit);
    CHECK(stats_of(client).gate_wait_ms > 1000);
    since = now_ms();
    CHECK_STATUS(imgtask_client_stop(client, other), IMGTASK_STATUS_OK);
    /* Nothing of it was sent, and the event says so. */
    event = final_event(client, other, IMGTASK_STATUS_CANCELLED);
    soon(since, "the end of a submit that waits");
    CHECK_HOLDS(imgtask_error_message(event.error), "before anything was submitted");
    CHECK(event.task == NULL && event.goal == 0);
    imgtask_event_clear(&event);
    stopped(client, look, IMGTASK_STATUS_CANCELLED);
    imgtask_client_free(client);
    close(connection);
    close(here.socket);
}

/* A task that has an image; and then the image comes halfway. */
static void while_its_image_comes(imgtask_goal goal, size_t image_index)
{
    const char *head = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n\x89PNG\r\n\x1a\n";
    listener here = listen_on_loopback();
    imgtask_client *client = client_of(here.url, 0);
    imgtask_job job = job_for("task_1", goal);
    char body[512], answer[1024];
    int connection;
    uint64_t op;
    long since;
    imgtask_event event;
    job.image_index = image_index;
    job.path = goal == IMGTASK_GOAL_FILE ? "stopped-{index}.{ext}" : NULL;
    op = started(client, &job);
    connection = next_request(&here, 20000);
    snprintf(body, sizeof body,
             "{\"id\":\"task_1\",\"status\":\"succeeded\",\"result\":{\"data\":[{\"url\":\"%s/p/img/task_1/0\"},"
             "{\"url\":\"%s/p/img/task_1/1\"}]}}", here.url, here.url);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             strlen(body), body);
    CHECK(send(connection, answer, strlen(answer), 0) == (ssize_t)strlen(answer));
    close(connection);
    connection = next_request(&here, 20000);
    CHECK(send(connection, head, 70, MSG_NOSIGNAL) == 70);
    since = now_ms();
    CHECK_STATUS(imgtask_client_stop(client, op), IMGTASK_STATUS_OK);
    event = final_event(client, op, IMGTASK_STATUS_CANCELLED);
    soon(since, "the end of a download");
    /* What is known of the task: it is done, and can be downloaded without another look. */
    CHECK(event.goal == IMGTASK_GOAL_FINISHED && event.bytes == NULL);
    CHECK(info_of(event.task).state == IMGTASK_TASK_STATE_SUCCEEDED && info_of(event.task).image_count == 2);
    imgtask_event_clear(&event);
    nothing_waits(client);
    CHECK(fopen("stopped-0.png", "rb") == NULL && fopen("stopped-0.part", "rb") == NULL);
    close(connection);
    imgtask_client_free(client);
    close(here.socket);
}

int main(void)
{
    while_the_service_thinks();
    in_the_midst_of_an_answer();
    while_it_connects();
    while_it_waits_to_try_again();
    while_the_gate_is_closed();
    while_its_image_comes(IMGTASK_GOAL_BYTES, 0);
    while_its_image_comes(IMGTASK_GOAL_FILE, 0);
    while_its_image_comes(IMGTASK_GOAL_BYTES, IMGTASK_ALL_IMAGES);
    while_its_image_comes(IMGTASK_GOAL_FILE, IMGTASK_ALL_IMAGES);
    return done();
}
