/* A submit is paid for: it is sent once, however long its answer takes and whatever becomes of it. */
#include "listener.h"

/* What the sandbox says at one of its control routes; the caller frees it. */
static char *sandbox_says(const char *route)
{
    const size_t most = 8u << 20;
    const char *url = setting("URL", "dimilinks");
    const char *port = strrchr(url, ':');
    char request[256], *answer = malloc(most + 1);
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
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n", route);
    CHECK(send(connection, request, strlen(request), 0) == (ssize_t)strlen(request));
    while (length < most && (n = recv(connection, answer + length, most - length, 0)) > 0)
        length += (size_t)n;
    close(connection);
    answer[length] = 0;
    CHECK(strncmp(answer, "HTTP/1.1 200", 12) == 0);
    return answer;
}

/* How many tasks the sandbox made of a prompt, and how many submits of it came. */
static void counted(const char *prompt, int *tasks, int *submits)
{
    char *answer = sandbox_says("/sandbox/tasks"), member[300];
    const char *at = answer;
    snprintf(member, sizeof member, "\"prompt\":\"%s\"", prompt);
    *tasks = *submits = 0;
    while ((at = strstr(at, member)) != NULL) {
        /* The members of a task are in the order of the alphabet. */
        const char *count = strstr(at, "\"submits\":");
        CHECK(count != NULL);
        *submits = atoi(count + strlen("\"submits\":"));
        (*tasks)++;
        at = count;
    }
    free(answer);
}

static imgtask_task_info info_of(const imgtask_task *task)
{
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    return info;
}

/* Other runs of this program share the sandbox. */
static void new_prompt(char *prompt, size_t size, const char *directive)
{
    static int number = 0;
    snprintf(prompt, size, "a lamp of process %ld, number %d %s", (long)getpid(), number++, directive);
}

/* The sandbox runs at 60 times the speed: 90 s are 1.5 s, in which no byte comes. A look would have given up long before. */
static void an_answer_after_90_seconds_is_one_submit_and_one_image(const char *provider, const char *wish)
{
    imgtask_client_options options = options_for(provider, setting("URL", provider), setting("KEY", provider));
    imgtask_client *client;
    imgtask_task *task = NULL;
    imgtask_bytes *bytes = NULL;
    imgtask_bytes_info picture = IMGTASK_INIT(imgtask_bytes_info);
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    char prompt[200], request[400];
    int tasks, submits;
    long since;
    options.request_timeout_ms = 400;
    options.stall_timeout_ms = 400;
    client = client_with(&options);
    new_prompt(prompt, sizeof prompt, "[duration:90]");
    snprintf(request, sizeof request, "{\"model\":\"gpt-image-2\",\"prompt\":\"%s\",\"size\":\"64x48\",%s}", prompt, wish);
    since = now_ms();
    CHECK_STATUS(imgtask_client_submit(client, request, &task, NULL), IMGTASK_STATUS_OK);
    CHECK(now_ms() - since >= 1400);
    CHECK(info_of(task).state == IMGTASK_TASK_STATE_SUCCEEDED && info_of(task).is_final && info_of(task).image_count == 1);
    CHECK_STATUS(imgtask_client_get_stats(client, &stats), IMGTASK_STATUS_OK);
    CHECK(stats.requests == 1 && stats.looks == 0 && stats.retries == 0);
    imgtask_client_free(client);

    /* Valgrind needs more than those 400 ms for a picture. */
    client = sandbox_client(provider);
    CHECK_STATUS(imgtask_client_download(client, task, 0, 0, &bytes, NULL), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_bytes_get(bytes, &picture), IMGTASK_STATUS_OK);
    CHECK(picture.width == 64 && picture.height == 48);
    counted(prompt, &tasks, &submits);
    if (submits != 1 || tasks != 1) {
        fprintf(stderr, "%s: %d submits, %d tasks\n", provider, submits, tasks);
        exit(1);
    }
    imgtask_bytes_free(bytes);
    imgtask_task_free(task);
    imgtask_client_free(client);
}

static void a_lost_answer_is_unknown_and_one_submit(const char *provider)
{
    imgtask_client *client = sandbox_client(provider);
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    imgtask_error_info why = IMGTASK_INIT(imgtask_error_info);
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    char prompt[200], request[400];
    int tasks, submits, warm;
    /* On a fresh connection, and on a kept one, where a look would be sent again. */
    for (warm = 0; warm < 2; warm++) {
        new_prompt(prompt, sizeof prompt, "[lost-reply]");
        snprintf(request, sizeof request, "{\"model\":\"gpt-image-2\",\"prompt\":\"%s\"}", prompt);
        CHECK_STATUS(imgtask_client_submit(client, request, &task, &error), IMGTASK_STATUS_SUBMIT_UNKNOWN);
        /* What is known, which is nothing but that it may exist. */
        CHECK(task != NULL && !info_of(task).is_final && info_of(task).state == IMGTASK_TASK_STATE_UNKNOWN);
        CHECK_STATUS(imgtask_error_get(error, &why), IMGTASK_STATUS_OK);
        CHECK(why.retry_after_ms == -1);
        CHECK_HOLDS(why.message, "may exist and be charged");
        counted(prompt, &tasks, &submits);
        CHECK(tasks == 1 && submits == 1);
        imgtask_error_free(error);
        imgtask_task_free(task);
        task = NULL;
        CHECK_STATUS(imgtask_client_fetch(client, "img_000000000000000000000000", &task, NULL), IMGTASK_STATUS_NOT_FOUND);
    }
    CHECK_STATUS(imgtask_client_get_stats(client, &stats), IMGTASK_STATUS_OK);
    CHECK(stats.requests == 4 && stats.retries == 0);
    imgtask_client_free(client);
}

int main(void)
{
    an_answer_after_90_seconds_is_one_submit_and_one_image("dimilinks", "\"wait_for_result\":true");
    an_answer_after_90_seconds_is_one_submit_and_one_image("lemondata", "\"async\":false");
    a_lost_answer_is_unknown_and_one_submit("dimilinks");
    a_lost_answer_is_unknown_and_one_submit("lemondata");
    return done();
}
