/* An image of 16 million pixels that becomes pixels while its host draws sixty frames a second, measured by the host itself. Figures
 * go to standard output, "name value" each.
 *
 *     pixels BASE KEY TASK_ID ROUNDS
 */
#define _GNU_SOURCE
#include <imgtask.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SAMPLES = 100000, MOST_ROUNDS = 100, FRAME_NS = 16666667, PATIENCE_FRAMES = 60 * 120 };

static uint64_t calls[SAMPLES];
static size_t call_count;

/* What one job cost. */
struct cost {
    uint64_t frames;
    uint64_t own_ns;    /* CPU of the thread that draws, until the image was there */
    uint64_t others_ns; /* CPU of all other threads */
    uint64_t clear_ns;  /* freeing the event */
};

static void die(const char *what, imgtask_status status)
{
    fprintf(stderr, "%s: %s\n", what, imgtask_status_name(status));
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Sleeps until the next frame is due; one that is late already is left out, as a screen would. */
static void next_frame(uint64_t *due)
{
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    do
        *due += FRAME_NS;
    while (*due < now);
    struct timespec time = {.tv_sec = (time_t)(*due / 1000000000u), .tv_nsec = (long)(*due % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

/* The task's image with this goal, taken by a loop that asks once a frame. */
static struct cost fetch(imgtask_client *client, const imgtask_task *task, imgtask_goal goal)
{
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    imgtask_bytes_info image = IMGTASK_INIT(imgtask_bytes_info);
    struct cost cost = {0};
    uint64_t own = clock_ns(CLOCK_THREAD_CPUTIME_ID), all = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t due = clock_ns(CLOCK_MONOTONIC);
    job.task = task;
    job.goal = goal;
    imgtask_status status = imgtask_client_start(client, &job, NULL);
    if (status != IMGTASK_STATUS_OK) die("start", status);
    for (;; cost.frames++) {
        uint64_t before = clock_ns(CLOCK_MONOTONIC);
        status = imgtask_client_next_event(client, 0, &event);
        uint64_t after = clock_ns(CLOCK_MONOTONIC);
        if (goal == IMGTASK_GOAL_PIXELS && call_count < SAMPLES) calls[call_count++] = after - before;
        if (status != IMGTASK_STATUS_NO_EVENT) break;
        if (cost.frames > PATIENCE_FRAMES) die("no image in two minutes", IMGTASK_STATUS_TIMEOUT);
        next_frame(&due);
    }
    cost.own_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - own;
    cost.others_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - all - cost.own_ns;
    if (status != IMGTASK_STATUS_OK) die("next_event", status);
    if (event.status != IMGTASK_STATUS_OK) die(imgtask_error_message(event.error), event.status);
    if (!event.bytes || imgtask_bytes_get(event.bytes, &image) != IMGTASK_STATUS_OK || image.width != 4096 || image.height != 4096)
        die("not the image", event.status);
    uint64_t before = clock_ns(CLOCK_MONOTONIC);
    imgtask_event_clear(&event);
    cost.clear_ns = clock_ns(CLOCK_MONOTONIC) - before;
    return cost;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *values, size_t count)
{
    qsort(values, count, sizeof values[0], ascending);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    if (argc != 5) return 2;
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    imgtask_client *client = NULL;
    imgtask_task *task = NULL;
    size_t rounds = strtoul(argv[4], NULL, 10);
    uint64_t encoded[MOST_ROUNDS], decoded[MOST_ROUNDS], own[MOST_ROUNDS], frames[MOST_ROUNDS], clears[MOST_ROUNDS];
    if (rounds == 0 || rounds > MOST_ROUNDS) return 2;
    options.provider = "lemondata";
    options.base_url = argv[1];
    options.api_key = argv[2];
    options.poll_interval_ms = 20;
    imgtask_status status = imgtask_client_create(&options, &client, NULL);
    if (status != IMGTASK_STATUS_OK) die("create", status);
    status = imgtask_client_wait(client, argv[3], 60000, &task, NULL);
    if (status != IMGTASK_STATUS_OK) die("wait", status);
    for (size_t n = 0; n < rounds; n++) {
        /* What is left of a job's work when its download is taken away is the decoding. */
        struct cost bytes = fetch(client, task, IMGTASK_GOAL_BYTES), pixels = fetch(client, task, IMGTASK_GOAL_PIXELS);
        encoded[n] = bytes.others_ns;
        decoded[n] = pixels.others_ns;
        own[n] = pixels.own_ns;
        frames[n] = pixels.frames;
        clears[n] = pixels.clear_ns;
    }
    uint64_t download_ns = median(encoded, rounds), whole_ns = median(decoded, rounds);
    qsort(calls, call_count, sizeof calls[0], ascending);
    printf("decode_ms %.3f\n", whole_ns > download_ns ? (double)(whole_ns - download_ns) / 1e6 : 0.0);
    printf("own_ms %.3f\n", (double)median(own, rounds) / 1e6);
    printf("frames %.0f\n", (double)median(frames, rounds));
    printf("call_p50_us %.3f\n", (double)calls[call_count / 2] / 1e3);
    printf("call_p999_us %.3f\n", (double)calls[call_count - 1 - call_count / 1000] / 1e3);
    printf("call_longest_us %.3f\n", (double)calls[call_count - 1] / 1e3);
    printf("calls %zu\n", call_count);
    printf("clear_us %.3f\n", (double)median(clears, rounds) / 1e3);
    imgtask_task_free(task);
    imgtask_client_close(client, 5000);
    imgtask_client_free(client);
    return 0;
}
