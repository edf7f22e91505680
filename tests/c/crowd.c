/* Three thousand tasks on three hosts, of which one is silent and one refuses: a few threads, a few sockets, each task told once. The
 * sandbox of this program allows 1,000 requests in one of its minutes, a second of ours. */
#include "events.h"
#include "listener.h"

#define TASKS 1000

static char ids[TASKS][64];

/* What the sandbox answers at a control route; the caller frees it. */
static char *sandbox_says(const char *method, const char *route, const char *body)
{
    const size_t most = 4u << 20;
    const char *port = strrchr(setting("URL", "lemondata"), ':');
    char request[512], *answer = malloc(most + 1);
    struct sockaddr_in address;
    size_t length = 0;
    ssize_t n;
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(port != NULL && answer != NULL && connection >= 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)atoi(port + 1));
    CHECK(connect(connection, (struct sockaddr *)&address, sizeof address) == 0);
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method,
             route, (int)strlen(body), body);
    CHECK(send(connection, request, strlen(request), 0) == (ssize_t)strlen(request));
    while (length < most && (n = recv(connection, answer + length, most - length, 0)) > 0)
        length += (size_t)n;
    close(connection);
    answer[length] = 0;
    CHECK(strncmp(answer, "HTTP/1.1 200", 12) == 0);
    return answer;
}

static void make_tasks(void)
{
    char body[100], *answer;
    const char *at;
    size_t i;
    snprintf(body, sizeof body, "{\"provider\":\"lemondata\",\"count\":%d}", TASKS);
    answer = sandbox_says("POST", "/sandbox/tasks", body);
    at = strstr(answer, "\"ids\":[");
    CHECK(at != NULL);
    at += 7;
    for (i = 0; i < TASKS; i++) {
        CHECK(sscanf(at, "\"%63[^\"]\"", ids[i]) == 1);
        at += strlen(ids[i]) + 3;
    }
    free(answer);
}

static long refusals_of_the_sandbox(void)
{
    char *answer = sandbox_says("GET", "/sandbox/stats", "");
    const char *count = strstr(answer, "\"rate_limited\":");
    long refusals;
    CHECK(count != NULL);
    refusals = atol(count + strlen("\"rate_limited\":"));
    free(answer);
    return refusals;
}

static int sockets_of_this_process(void)
{
    char path[300], target[64];
    int count = 0;
    struct dirent *entry;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        ssize_t length;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        length = readlink(path, target, sizeof target - 1);
        count += length > 0 && strncmp(target, "socket:", 7) == 0;
    }
    closedir(folder);
    return count;
}

static imgtask_client *watcher_of(const char *url)
{
    imgtask_client_options options = options_for("lemondata", url, setting("KEY", "lemondata"));
    options.max_requests_per_minute = 60000;
    return client_with(&options);
}

static void start_all(imgtask_client *client)
{
    size_t i;
    for (i = 0; i < TASKS; i++) {
        imgtask_job job = job_for(ids[i], IMGTASK_GOAL_FINISHED);
        job.user_data = ids[i];
        (void)started(client, &job);
    }
}

/* Every task once, with its own answer. */
static long take_all(imgtask_client *client, int most_threads, int most_sockets)
{
    static unsigned char told[TASKS + 1];
    size_t ended = 0;
    long since = now_ms();
    memset(told, 0, sizeof told);
    while (ended < TASKS) {
        imgtask_event event = final_event(client, 0, IMGTASK_STATUS_OK);
        CHECK(event.op >= 1 && event.op <= TASKS && told[event.op]++ == 0);
        CHECK(info_of(event.task).state == IMGTASK_TASK_STATE_SUCCEEDED);
        CHECK_TEXT(info_of(event.task).id, (const char *)event.user_data);
        imgtask_event_clear(&event);
        if (ended++ % 100 == 0) {
            CHECK(threads_of_the_library() <= most_threads);
            CHECK(sockets_of_this_process() <= most_sockets);
        }
    }
    nothing_waits(client);
    CHECK(imgtask_client_pending(client) == 0);
    CHECK(stats_of(client).rate_limited == 0);
    return now_ms() - since;
}

int main(void)
{
    listener silent = listen_on_loopback(), refusing = listen_on_loopback();
    imgtask_client *live = watcher_of(setting("URL", "lemondata")), *others[2];
    long alone, beside;
    size_t i;
    CHECK(listen(silent.socket, 1024) == 0);
    close(refusing.socket);

    make_tasks();
    start_all(live);
    alone = take_all(live, 8, 8 + 1);
    imgtask_client_free(live);

    live = watcher_of(setting("URL", "lemondata"));
    others[0] = watcher_of(silent.url);
    others[1] = watcher_of(refusing.url);
    make_tasks();
    for (i = 0; i < 2; i++)
        start_all(others[i]);
    start_all(live);
    beside = take_all(live, 3 * 8, 3 * 8 + 1);
    /* A silent host holds a look for twenty seconds. */
    if (beside > 2 * alone + 8000) {
        fprintf(stderr, "%ld ms alone, %ld ms beside two dead hosts\n", alone, beside);
        exit(1);
    }
    CHECK(refusals_of_the_sandbox() == 0);
    /* Theirs are not lost: nothing is known of them, and they are still watched. */
    for (i = 0; i < 2; i++) {
        CHECK(imgtask_client_pending(others[i]) == TASKS);
        CHECK_STATUS(imgtask_client_close(others[i], SOON_MS), IMGTASK_STATUS_OK);
        imgtask_client_free(others[i]);
    }
    imgtask_client_free(live);
    close(silent.socket);
    return done();
}
