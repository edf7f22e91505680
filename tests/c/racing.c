/* Ends that race one another: each job has exactly one. */
#include "answering.h"
#include "events.h"
#include <sched.h>

#define STARTERS 4

/* All of it where the library is the shipped one, less where it is slow. */
static size_t repeats(size_t full)
{
    size_t some = full / (size_t)slowness();
    return getenv("IMGTASK_TEST_SHIPPED") ? some : some / 10;
}

static size_t jobs;
static imgtask_client *client;
static unsigned char *finals;

/* About how long a job takes to end by itself, microseconds: found while the race is run, because machines differ. */
static atomic_uint pace_us;
static unsigned most_us;

/* Lets the threads of the library work meanwhile. */
static void pause_us(unsigned us)
{
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 < (long)us);
}

/* Starts its share of the jobs and stops each at about the time at which it ends by itself. */
static void *start_and_stop(void *argument)
{
    unsigned seed = (unsigned)(size_t)argument;
    size_t i;
    for (i = 0; i < jobs / STARTERS; i++) {
        imgtask_job job = job_for("done-1", IMGTASK_GOAL_FINISHED);
        uint64_t op;
        imgtask_status status;
        char id[32];
        snprintf(id, sizeof id, "%s-%u-%d", i % 5 == 0 ? "wait" : "done", seed, (int)i);
        job.task_ref = id;
        op = started(client, &job);
        pause_us((unsigned)rand_r(&seed) % atomic_load(&pace_us));
        status = imgtask_client_stop(client, op);
        /* Its end may have been taken already. */
        CHECK(status == IMGTASK_STATUS_OK || status == IMGTASK_STATUS_UNKNOWN_OP);
    }
    return NULL;
}

static void stops_that_race_completions_give_one_end_each(void)
{
    answering service;
    pthread_t starters[STARTERS];
    size_t i, ended = 0, done_ones = 0, done_before = 0, cancelled = 0;
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    answer_at_once(&service);
    client = unpaced_client(&service);
    jobs = repeats(100000) / STARTERS * STARTERS;
    atomic_store(&pace_us, (unsigned)(120 * slowness()));
    most_us = slowness() > 1 ? 32000 : 4000;
    finals = calloc(jobs + 1, 1);
    CHECK(finals != NULL);
    for (i = 0; i < STARTERS; i++)
        CHECK(pthread_create(&starters[i], NULL, start_and_stop, (void *)(i + 1)) == 0);
    while (ended < jobs) {
        CHECK_STATUS(imgtask_client_next_event(client, SOON_MS, &event), IMGTASK_STATUS_OK);
        CHECK(event.kind == IMGTASK_EVENT_KIND_FINAL && event.op >= 1 && event.op <= jobs);
        CHECK(finals[event.op]++ == 0);
        done_ones += event.status == IMGTASK_STATUS_OK;
        cancelled += event.status == IMGTASK_STATUS_CANCELLED;
        CHECK(event.status == IMGTASK_STATUS_OK || event.status == IMGTASK_STATUS_CANCELLED);
        imgtask_event_clear(&event);
        ended++;
        /* Whichever side wins nearly always gets the worse start. */
        if (ended % 200 == 0) {
            unsigned pace = atomic_load(&pace_us);
            size_t done_lately = done_ones - done_before;
            if (done_lately < 40 && pace < most_us)
                atomic_store(&pace_us, pace * 2);
            if (done_lately > 120 && pace > 8)
                atomic_store(&pace_us, pace / 2);
            done_before = done_ones;
        }
    }
    for (i = 0; i < STARTERS; i++)
        CHECK(pthread_join(starters[i], NULL) == 0);
    nothing_waits(client);
    CHECK(imgtask_client_pending(client) == 0);
    /* It was a race: neither side always won. */
    if (done_ones < jobs / 100 || cancelled < jobs / 100) {
        fprintf(stderr, "%d ended by themselves, %d by a stop\n", (int)done_ones, (int)cancelled);
        exit(1);
    }
    CHECK_STATUS(imgtask_client_close(client, SOON_MS), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_CLOSED);
    imgtask_client_free(client);
    free(finals);
    end_answering(&service);
}

static atomic_int starting;

static void *start_many(void *argument)
{
    imgtask_job job = job_for("wait-1", IMGTASK_GOAL_FINISHED);
    size_t i;
    (void)argument;
    for (i = 0; i < jobs / 8; i++)
        (void)started(client, &job);
    atomic_fetch_sub(&starting, 1);
    return NULL;
}

/* Eight threads start while another one takes events; then everything is stopped at once. */
static void ten_thousand_stops_at_once_are_soon_over(void)
{
    answering service;
    pthread_t starters[8];
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    size_t i, ended = 0;
    uint64_t op;
    long since, longest = 0;
    answer_at_once(&service);
    client = unpaced_client(&service);
    jobs = repeats(10000) / 8 * 8;
    finals = calloc(jobs + 1, 1);
    CHECK(finals != NULL);
    atomic_store(&starting, 8);
    for (i = 0; i < 8; i++)
        CHECK(pthread_create(&starters[i], NULL, start_many, NULL) == 0);
    while (atomic_load(&starting) > 0) {
        imgtask_status status = imgtask_client_next_event(client, 1, &event);
        CHECK(status == IMGTASK_STATUS_NO_EVENT);
    }
    for (i = 0; i < 8; i++)
        CHECK(pthread_join(starters[i], NULL) == 0);
    CHECK(imgtask_client_pending(client) == jobs);
    since = now_ms();
    for (op = 1; op <= jobs; op++) {
        long before = now_ms();
        CHECK_STATUS(imgtask_client_stop(client, op), IMGTASK_STATUS_OK);
        if (now_ms() - before > longest)
            longest = now_ms() - before;
    }
    while (ended < jobs) {
        CHECK_STATUS(imgtask_client_next_event(client, SOON_MS, &event), IMGTASK_STATUS_OK);
        CHECK(event.status == IMGTASK_STATUS_CANCELLED && finals[event.op]++ == 0);
        imgtask_event_clear(&event);
        ended++;
    }
    if (now_ms() - since > 2000 * slowness() || longest > 250 * slowness()) {
        fprintf(stderr, "%d stops took %ld ms, one of them %ld ms\n", (int)jobs, now_ms() - since, longest);
        exit(1);
    }
    imgtask_client_free(client);
    free(finals);
    end_answering(&service);
}

static atomic_int waiting_calls;

static void *fetch_what_never_comes(void *argument)
{
    imgtask_task *task = NULL;
    (void)argument;
    atomic_fetch_add(&waiting_calls, 1);
    CHECK_STATUS(imgtask_client_fetch(client, "mute-1", &task, NULL), IMGTASK_STATUS_CANCELLED);
    imgtask_task_free(task);
    return NULL;
}

/* Fifty blocking calls that nobody answers, seven jobs under way and a thousand that wait. */
static void close_ends_fifty_calls_and_a_thousand_jobs_within_a_second(void)
{
    answering service;
    pthread_t callers[50];
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    imgtask_job job = job_for("mute-2", IMGTASK_GOAL_FINISHED);
    size_t i;
    long since = now_ms(), took;
    answer_at_once(&service);
    client = unpaced_client(&service);
    for (i = 0; i < 50; i++)
        CHECK(pthread_create(&callers[i], NULL, fetch_what_never_comes, NULL) == 0);
    for (i = 0; i < 1000; i++)
        (void)started(client, &job);
    while (stats_of(client).in_flight < 57)
        CHECK(now_ms() - since < SOON_MS);
    since = now_ms();
    CHECK_STATUS(imgtask_client_close(client, SOON_MS), IMGTASK_STATUS_OK);
    took = now_ms() - since;
    for (i = 0; i < 50; i++)
        CHECK(pthread_join(callers[i], NULL) == 0);
    if (took > 1000 * slowness()) {
        fprintf(stderr, "the close took %ld ms\n", took);
        exit(1);
    }
    CHECK(threads_of_the_library() == 0);
    for (i = 0; i < 1000; i++) {
        CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_OK);
        CHECK(event.kind == IMGTASK_EVENT_KIND_FINAL && event.status == IMGTASK_STATUS_CANCELLED);
        imgtask_event_clear(&event);
    }
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_CLOSED);
    imgtask_client_free(client);
    end_answering(&service);
}

/* Free does not wait, and what it leaves behind ends by itself. */
static void a_client_is_freed_while_its_jobs_run(void)
{
    answering service;
    imgtask_job job = job_for("mute-3", IMGTASK_GOAL_FINISHED);
    size_t i, rounds = 20;
    long since;
    answer_at_once(&service);
    for (i = 0; i < rounds; i++) {
        long before;
        size_t n;
        client = unpaced_client(&service);
        for (n = 0; n < 100; n++) {
            job.task_ref = n % 3 == 0 ? "mute-3" : n % 3 == 1 ? "wait-3" : "done-3";
            (void)started(client, &job);
        }
        before = now_ms();
        imgtask_client_free(client);
        CHECK(now_ms() - before < 250 * slowness());
    }
    since = now_ms();
    while (threads_of_the_library() > 0)
        CHECK(now_ms() - since < 2000 * slowness());
    end_answering(&service);
}

int main(void)
{
    stops_that_race_completions_give_one_end_each();
    ten_thousand_stops_at_once_are_soon_over();
    close_ends_fifty_calls_and_a_thousand_jobs_within_a_second();
    a_client_is_freed_while_its_jobs_run();
    return done();
}
