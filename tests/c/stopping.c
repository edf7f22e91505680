/* A call that blocks ends at once when another thread says so. */
#include "listener.h"

#include <pthread.h>

typedef struct blocked {
    imgtask_client *client;
    imgtask_status (*call)(imgtask_client *client);
    imgtask_status status;
    long ended_at;
} blocked;

static void *run_blocked(void *argument)
{
    blocked *job = argument;
    job->status = job->call(job->client);
    job->ended_at = now_ms();
    return NULL;
}

static pthread_t start(blocked *job)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run_blocked, job) == 0);
    return thread;
}

static imgtask_status a_fetch(imgtask_client *client)
{
    imgtask_task *task = (imgtask_task *)client;
    imgtask_status status = imgtask_client_fetch(client, "task_1", &task, NULL);
    imgtask_task_free(task);
    return status;
}

static imgtask_status a_wait(imgtask_client *client)
{
    imgtask_task *task = (imgtask_task *)client;
    imgtask_status status = imgtask_client_wait(client, "task_1", 60000, &task, NULL);
    imgtask_task_free(task);
    return status;
}

static imgtask_status a_submit(imgtask_client *client)
{
    imgtask_task *task = (imgtask_task *)client;
    imgtask_status status = imgtask_client_submit(client, "{\"model\":\"m\",\"prompt\":\"p\"}", &task, NULL);
    imgtask_task_free(task);
    return status;
}

static imgtask_client *client_of(const char *url)
{
    imgtask_client_options options = options_for("dimilinks", url, "key");
    return client_with(&options);
}

static void soon(long since, long ended)
{
    long limit = 100 * slowness();
    if (ended - since > limit) {
        fprintf(stderr, "the call ended after %ld ms, not within %ld\n", ended - since, limit);
        exit(1);
    }
}

/* The service has the request and says nothing. */
static void interrupt_ends(imgtask_status (*call)(imgtask_client *), imgtask_status wanted)
{
    listener here = listen_on_loopback();
    blocked job = {client_of(here.url), call, IMGTASK_STATUS_OK, 0};
    pthread_t thread = start(&job);
    int connection = next_request(&here, 20000);
    long since = now_ms();
    CHECK_STATUS(imgtask_client_interrupt(job.client), IMGTASK_STATUS_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    soon(since, job.ended_at);
    CHECK_STATUS(job.status, wanted);
    close(connection);

    /* The client stays usable. */
    thread = start(&job);
    connection = next_request(&here, 20000);
    since = now_ms();
    CHECK_STATUS(imgtask_client_close(job.client, 5000), IMGTASK_STATUS_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    soon(since, job.ended_at);
    CHECK_STATUS(job.status, wanted);
    close(connection);

    CHECK_STATUS(call(job.client), IMGTASK_STATUS_CLOSED);
    CHECK_STATUS(imgtask_client_close(job.client, 0), IMGTASK_STATUS_OK);
    imgtask_client_free(job.client);
    close(here.socket);
}

/* A port whose queue is full answers no connect. */
static void a_blocked_connect_ends(void)
{
    listener here = listen_on_loopback();
    int filler[256];
    size_t count = 0, i;
    struct sockaddr_in address;
    blocked job = {client_of(here.url), a_fetch, IMGTASK_STATUS_OK, 0};
    pthread_t thread;
    long since;
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
    thread = start(&job);
    /* It is inside the connect when it counts as a call; nothing else can be seen from here. */
    for (;;) {
        imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
        CHECK_STATUS(imgtask_client_get_stats(job.client, &stats), IMGTASK_STATUS_OK);
        if (stats.in_flight == 1)
            break;
    }
    since = now_ms();
    CHECK_STATUS(imgtask_client_interrupt(job.client), IMGTASK_STATUS_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    soon(since, job.ended_at);
    CHECK_STATUS(job.status, IMGTASK_STATUS_CANCELLED);
    imgtask_client_free(job.client);
    for (i = 0; i < count; i++)
        close(filler[i]);
    close(here.socket);
}

static imgtask_task *final_task;

static imgtask_status a_download(imgtask_client *client)
{
    imgtask_bytes *bytes = (imgtask_bytes *)client;
    imgtask_status status = imgtask_client_download(client, final_task, 0, 0, &bytes, NULL);
    imgtask_bytes_free(bytes);
    return status;
}

static imgtask_status a_download_to_a_file(imgtask_client *client)
{
    imgtask_status status = imgtask_client_download_file(client, final_task, 0, "stopped.png", 0, NULL, NULL);
    CHECK(fopen("stopped.png", "rb") == NULL);
    return status;
}

/* Answers the look that gives the client its task. */
static void *answer_once(void *argument)
{
    const listener *here = argument;
    char answer[1024], body[512];
    int connection = next_request(here, 20000);
    snprintf(body, sizeof body,
             "{\"id\":\"task_1\",\"status\":\"succeeded\",\"created_at\":1750000000,"
             "\"result\":{\"data\":[{\"url\":\"%s/p/img/task_1/0?exp=9999999999999&sig=canary\"}]}}",
             here->url);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             strlen(body), body);
    CHECK(send(connection, answer, strlen(answer), 0) == (ssize_t)strlen(answer));
    close(connection);
    return NULL;
}

static void interrupt_ends_a_download(void)
{
    listener here = listen_on_loopback();
    imgtask_client *client = client_of(here.url);
    pthread_t thread;
    size_t i;
    imgtask_status (*calls[])(imgtask_client *) = {a_download, a_download_to_a_file};
    CHECK(pthread_create(&thread, NULL, answer_once, &here) == 0);
    CHECK_STATUS(imgtask_client_fetch(client, "task_1", &final_task, NULL), IMGTASK_STATUS_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    for (i = 0; i < 2; i++) {
        const char *half = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n\x89PNG\r\n\x1a\n";
        blocked job = {client, calls[i], IMGTASK_STATUS_OK, 0};
        int connection;
        long since;
        thread = start(&job);
        connection = next_request(&here, 20000);
        CHECK(send(connection, half, strlen(half), 0) == (ssize_t)strlen(half));
        since = now_ms();
        CHECK_STATUS(imgtask_client_interrupt(client), IMGTASK_STATUS_OK);
        CHECK(pthread_join(thread, NULL) == 0);
        soon(since, job.ended_at);
        CHECK_STATUS(job.status, IMGTASK_STATUS_CANCELLED);
        close(connection);
    }
    imgtask_task_free(final_task);
    imgtask_client_free(client);
    close(here.socket);
}

/* Free does not wait, and the call that still runs ends by itself. */
static void free_ends_a_call_without_waiting(void)
{
    listener here = listen_on_loopback();
    blocked job = {client_of(here.url), a_fetch, IMGTASK_STATUS_OK, 0};
    pthread_t thread = start(&job);
    int connection = next_request(&here, 20000);
    long since = now_ms();
    imgtask_client_free(job.client);
    soon(since, now_ms());
    CHECK(pthread_join(thread, NULL) == 0);
    soon(since, job.ended_at);
    CHECK_STATUS(job.status, IMGTASK_STATUS_CANCELLED);
    close(connection);
    close(here.socket);
}

static void stopping_what_does_not_run_does_nothing(void)
{
    imgtask_client *client = client_of("http://127.0.0.1:1");
    CHECK_STATUS(imgtask_client_interrupt(client), IMGTASK_STATUS_OK);
    CHECK_STATUS(a_fetch(client), IMGTASK_STATUS_CONNECT);
    CHECK_STATUS(imgtask_client_close(client, IMGTASK_TIMEOUT_DEFAULT), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_close(client, 0), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_interrupt(client), IMGTASK_STATUS_OK);
    CHECK_STATUS(a_fetch(client), IMGTASK_STATUS_CLOSED);
    imgtask_client_free(client);
}

int main(void)
{
    interrupt_ends(a_fetch, IMGTASK_STATUS_CANCELLED);
    interrupt_ends(a_wait, IMGTASK_STATUS_CANCELLED);
    /* The service had the whole request: the task may exist. */
    interrupt_ends(a_submit, IMGTASK_STATUS_SUBMIT_UNKNOWN);
    a_blocked_connect_ends();
    interrupt_ends_a_download();
    free_ends_a_call_without_waiting();
    stopping_what_does_not_run_does_nothing();
    return done();
}
