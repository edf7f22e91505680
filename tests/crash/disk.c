/* A host whose disk is slow, or full.
 *
 *     disk JOURNAL slow MILLISECONDS    no call of a frame waits for a disk that takes so long for each write that is to stay
 *     disk JOURNAL full FILE            nothing is sent that cannot be written down; the disk is full while there is this file */
#include "../c/check.h"

#include <fcntl.h>
#include <unistd.h>

static long longest;

/* One call of a frame, and how long it took. */
#define FRAME(call) \
    do { \
        long begun = now_ms(); \
        call; \
        if (now_ms() - begun > longest) \
            longest = now_ms() - begun; \
    } while (0)

static void start(imgtask_client *client, const char *label)
{
    char request[300];
    imgtask_status status;
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    snprintf(request, sizeof request, "{\"model\":\"gpt-image-2\",\"prompt\":\"%s of the disk\"}", label);
    job.request_json = request;
    job.label = label;
    job.goal = IMGTASK_GOAL_SUBMITTED;
    FRAME(status = imgtask_client_start(client, &job, NULL));
    CHECK(status == IMGTASK_STATUS_OK);
}

/* What the next job came to; the other calls of a frame go on meanwhile. */
static imgtask_status next_end(imgtask_client *client)
{
    long since = now_ms();
    imgtask_status status;
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    do {
        struct timespec frame = {0, 2000000};
        CHECK(now_ms() - since < 60000);
        nanosleep(&frame, NULL);
        FRAME(status = imgtask_client_next_event(client, 0, &event));
        FRAME(imgtask_client_pending(client));
        FRAME(imgtask_client_stop(client, 1000000));
    } while (status == IMGTASK_STATUS_NO_EVENT);
    CHECK(status == IMGTASK_STATUS_OK && event.kind == IMGTASK_EVENT_KIND_FINAL);
    status = event.status;
    CHECK(event.error == NULL || strlen(imgtask_error_message(event.error)) > 0);
    FRAME(imgtask_event_clear(&event));
    return status;
}

static void no_frame_waits_for_a_slow_disk(imgtask_client *client, long sync_ms)
{
    long since = now_ms();
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    int number;
    start(client, "one");
    start(client, "two");
    job.task_ref = "img_000000000000000000000000";
    job.goal = IMGTASK_GOAL_FINISHED;
    FRAME(CHECK_STATUS(imgtask_client_start(client, &job, NULL), IMGTASK_STATUS_OK));
    for (number = 0; number < 3; number++) {
        imgtask_status status = next_end(client);
        CHECK(status == IMGTASK_STATUS_OK || status == IMGTASK_STATUS_NOT_FOUND);
        start(client, "another");
    }
    while (imgtask_client_pending(client) > 0)
        CHECK_STATUS(next_end(client), IMGTASK_STATUS_OK);
    /* What was submitted did wait: twice for two writes that are to stay, and those after it again. */
    CHECK(now_ms() - since >= 4 * sync_ms);
    if (longest >= sync_ms / 2) {
        fprintf(stderr, "a call of a frame took %ld ms\n", longest);
        exit(1);
    }
}

static void nothing_is_sent_that_cannot_be_written(imgtask_client *client, const char *full)
{
    int file;
    start(client, "before");
    CHECK_STATUS(next_end(client), IMGTASK_STATUS_OK);
    file = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(file >= 0 && close(file) == 0);
    start(client, "meanwhile");
    CHECK_STATUS(next_end(client), IMGTASK_STATUS_JOURNAL);
    CHECK(unlink(full) == 0);
    start(client, "after");
    CHECK_STATUS(next_end(client), IMGTASK_STATUS_OK);
}

int main(int count, char **words)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client;
    CHECK(count == 4);
    options.journal_path = words[1];
    options.max_requests_per_minute = 600000;
    client = client_with(&options);
    if (strcmp(words[2], "slow") == 0)
        no_frame_waits_for_a_slow_disk(client, atol(words[3]));
    else
        nothing_is_sent_that_cannot_be_written(client, words[3]);
    CHECK_STATUS(imgtask_client_close(client, 30000), IMGTASK_STATUS_OK);
    imgtask_client_free(client);
    return done();
}
