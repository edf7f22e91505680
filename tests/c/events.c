/* What happens to jobs, as the host is told: events, waking up, ends, figures, lines of the log. */
#include "events.h"
#include "listener.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct event_of_tomorrow {
    imgtask_event today;
    size_t tomorrow[2];
} event_of_tomorrow;

static void an_event_is_read_by_the_size_that_the_caller_says(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_job job = job_of(CUP, IMGTASK_GOAL_SUBMITTED);
    imgtask_event event = IMGTASK_INIT(imgtask_event), zero = IMGTASK_INIT(imgtask_event);
    event_of_tomorrow newer;
    uint64_t op;

    CHECK_STATUS(imgtask_client_next_event(NULL, 0, &event), IMGTASK_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(imgtask_client_next_event(client, 0, NULL), IMGTASK_STATUS_NULL_ARGUMENT);
    event.struct_size = sizeof event - 1;
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_INVALID_ARGUMENT);
    event.struct_size = 0;
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_INVALID_ARGUMENT);

    /* No event: all of it is zero, whatever it held. */
    memset(&event, 0xaa, sizeof event);
    event.struct_size = sizeof event;
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_NO_EVENT);
    CHECK(memcmp(&event, &zero, sizeof event) == 0);
    memset(&event, 0xaa, sizeof event);
    event.struct_size = sizeof event;
    CHECK_STATUS(imgtask_client_next_event(client, 20, &event), IMGTASK_STATUS_NO_EVENT);
    CHECK(memcmp(&event, &zero, sizeof event) == 0);

    /* An event waits until somebody takes it who can. */
    op = started(client, &job);
    while (stats_of(client).events_waiting == 0)
        ;
    event.struct_size = sizeof event - 1;
    CHECK_STATUS(imgtask_client_next_event(client, SOON_MS, &event), IMGTASK_STATUS_INVALID_ARGUMENT);
    memset(&newer, 0xaa, sizeof newer);
    newer.today.struct_size = sizeof newer.today + sizeof(size_t);
    CHECK_STATUS(imgtask_client_next_event(client, SOON_MS, &newer.today), IMGTASK_STATUS_OK);
    CHECK(newer.today.struct_size == sizeof newer.today + sizeof(size_t));
    CHECK(newer.today.op == op && newer.today.task != NULL && newer.tomorrow[0] == 0 && newer.tomorrow[1] != 0);
    newer.tomorrow[0] = 0;
    imgtask_event_clear(&newer.today);
    CHECK(newer.today.op == 0 && newer.today.task == NULL && newer.today.label == NULL && newer.tomorrow[1] != 0);
    imgtask_client_free(client);
}

static void clearing_frees_what_was_not_kept_and_does_no_harm_twice(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_job job = job_of(CUP, IMGTASK_GOAL_BYTES);
    imgtask_event event, zero = IMGTASK_INIT(imgtask_event);
    imgtask_task *task;
    imgtask_bytes *bytes;
    size_t before = imgtask_debug_live_handles();
    job.label = "kept";
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    CHECK(imgtask_debug_live_handles() > before);
    task = event.task;
    bytes = event.bytes;
    event.task = NULL;
    event.bytes = NULL;
    /* What was taken out outlives the event and the client. */
    imgtask_event_clear(&event);
    CHECK(memcmp(&event, &zero, sizeof event) == 0);
    imgtask_event_clear(&event);
    imgtask_event_clear(&event);
    imgtask_event_clear(NULL);
    CHECK(imgtask_debug_live_handles() == before + 2);

    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    imgtask_client_free(client);
    CHECK_TEXT(event.label, "kept");
    png(event.bytes);
    imgtask_event_clear(&event);
    png(bytes);
    CHECK(info_of(task).image_count == 1);
    imgtask_bytes_free(bytes);
    imgtask_task_free(task);
    CHECK(imgtask_debug_live_handles() == before - 1);
}

/* ---- limits, ends ---- */

static void no_more_is_accepted_than_the_host_asked_for(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client;
    imgtask_task *never;
    imgtask_job job;
    imgtask_event event;
    uint64_t ops[3];
    size_t i;
    options.poll_interval_ms = 20;
    options.max_pending = 3;
    client = client_with(&options);
    never = endless(client);
    job = job_for(info_of(never).id, IMGTASK_GOAL_FINISHED);
    CHECK(imgtask_client_pending(NULL) == 0);
    for (i = 0; i < 3; i++) {
        CHECK(imgtask_client_pending(client) == i);
        ops[i] = started(client, &job);
    }
    CHECK_STATUS(imgtask_client_start(client, &job, NULL), IMGTASK_STATUS_BUSY);
    CHECK(imgtask_client_pending(client) == 3 && stats_of(client).pending == 3);

    /* A job that is over counts until its event was taken. */
    CHECK_STATUS(imgtask_client_stop(client, ops[1]), IMGTASK_STATUS_OK);
    while (stats_of(client).events_waiting == 0)
        ;
    CHECK_STATUS(imgtask_client_start(client, &job, NULL), IMGTASK_STATUS_BUSY);
    CHECK_STATUS(imgtask_client_stop(client, ops[1]), IMGTASK_STATUS_OK);
    event = final_event(client, ops[1], IMGTASK_STATUS_CANCELLED);
    CHECK_TEXT(info_of(event.task).id, info_of(never).id);
    imgtask_event_clear(&event);
    CHECK(imgtask_client_pending(client) == 2);
    CHECK_STATUS(imgtask_client_stop(client, ops[1]), IMGTASK_STATUS_UNKNOWN_OP);
    CHECK_STATUS(imgtask_client_stop(client, 0), IMGTASK_STATUS_UNKNOWN_OP);
    CHECK_STATUS(imgtask_client_stop(client, 4), IMGTASK_STATUS_UNKNOWN_OP);
    CHECK_STATUS(imgtask_client_stop(client, ~(uint64_t)0), IMGTASK_STATUS_UNKNOWN_OP);
    CHECK_STATUS(imgtask_client_stop(NULL, 1), IMGTASK_STATUS_NULL_ARGUMENT);
    /* No number comes twice, and refused jobs have none. */
    CHECK(started(client, &job) == 4);
    imgtask_task_free(never);
    imgtask_client_free(client);
}

static void a_closed_client_gives_its_events_and_then_says_that_it_is_closed(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *never = endless(client);
    imgtask_job job = job_for(info_of(never).id, IMGTASK_GOAL_FINISHED);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    size_t i, seen[6] = {0};
    long since;
    for (i = 1; i <= 5; i++)
        CHECK(started(client, &job) == i);
    /* A thread has its name when it first runs. */
    for (since = now_ms(); threads_of_the_library() == 0;)
        CHECK(now_ms() - since < SOON_MS);
    CHECK_STATUS(imgtask_client_close(client, SOON_MS), IMGTASK_STATUS_OK);
    /* Not a thread of ours runs any more: the code may be unloaded. */
    CHECK(threads_of_the_library() == 0);
    CHECK(stats_of(client).threads == 0 && imgtask_client_pending(client) == 5);
    CHECK_STATUS(imgtask_client_start(client, &job, NULL), IMGTASK_STATUS_CLOSED);
    for (i = 1; i <= 5; i++) {
        CHECK_STATUS(imgtask_client_next_event(client, i % 2 == 0 ? 0 : IMGTASK_TIMEOUT_DEFAULT, &event), IMGTASK_STATUS_OK);
        CHECK(event.kind == IMGTASK_EVENT_KIND_FINAL && event.status == IMGTASK_STATUS_CANCELLED);
        CHECK(event.op >= 1 && event.op <= 5 && seen[event.op]++ == 0);
        imgtask_event_clear(&event);
    }
    CHECK(imgtask_client_pending(client) == 0);
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_CLOSED);
    CHECK_STATUS(imgtask_client_next_event(client, IMGTASK_TIMEOUT_DEFAULT, &event), IMGTASK_STATUS_CLOSED);
    CHECK(event.op == 0 && event.task == NULL && event.label == NULL);
    CHECK_STATUS(imgtask_client_stop(client, 1), IMGTASK_STATUS_UNKNOWN_OP);
    imgtask_task_free(never);
    imgtask_client_free(client);

    /* One that never had a job. */
    client = sandbox_client("dimilinks");
    CHECK_STATUS(imgtask_client_close(client, 0), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_next_event(client, IMGTASK_TIMEOUT_DEFAULT, &event), IMGTASK_STATUS_CLOSED);
    imgtask_client_free(client);
}

/* ---- waking up ---- */

static int readable(int fd, int timeout_ms)
{
    struct pollfd wait = {fd, POLLIN, 0};
    int ready = poll(&wait, 1, timeout_ms);
    CHECK(ready >= 0 && (wait.revents & ~POLLIN) == 0);
    return ready;
}

static void the_descriptor_is_readable_exactly_while_events_wait(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *never = endless(client);
    imgtask_job job = job_for(info_of(never).id, IMGTASK_GOAL_LOOKED);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    int fd = 7, again = 7, round;
    size_t left;
    CHECK_STATUS(imgtask_client_event_fd(NULL, &fd), IMGTASK_STATUS_NULL_ARGUMENT);
    CHECK(fd == -1);
    CHECK_STATUS(imgtask_client_event_fd(client, NULL), IMGTASK_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(imgtask_client_event_fd(client, &fd), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_event_fd(client, &again), IMGTASK_STATUS_OK);
    CHECK(fd >= 0 && fd == again);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(!readable(fd, 0));
    for (round = 0; round < 3; round++) {
        (void)started(client, &job);
        (void)started(client, &job);
        CHECK(readable(fd, SOON_MS));
        while (stats_of(client).events_waiting < 2)
            ;
        for (left = 2; left > 0; left--) {
            CHECK(readable(fd, 0));
            CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_OK);
            imgtask_event_clear(&event);
        }
        CHECK(!readable(fd, 0));
    }
    CHECK_STATUS(imgtask_client_close(client, SOON_MS), IMGTASK_STATUS_OK);
    CHECK(readable(fd, 0));
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_CLOSED);
    CHECK(readable(fd, 0));
    imgtask_client_free(client);
    CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);

    /* Asked for late, it knows what waits. */
    client = sandbox_client("dimilinks");
    (void)started(client, &job);
    while (stats_of(client).events_waiting < 1)
        ;
    CHECK_STATUS(imgtask_client_event_fd(client, &fd), IMGTASK_STATUS_OK);
    CHECK(readable(fd, 0));
    imgtask_client_free(client);
    imgtask_task_free(never);
}

static atomic_int waiting;

static void *interrupt_whoever_waits(void *argument)
{
    imgtask_client *client = argument;
    /* The waiting may not have begun yet. */
    while (atomic_load(&waiting)) {
        struct timespec pause = {0, 5000000};
        CHECK_STATUS(imgtask_client_interrupt(client), IMGTASK_STATUS_OK);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void an_interrupt_ends_the_waiting_for_an_event_and_no_job(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *never = endless(client);
    imgtask_job job = job_for(info_of(never).id, IMGTASK_GOAL_FINISHED);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    pthread_t thread;
    (void)started(client, &job);
    atomic_store(&waiting, 1);
    CHECK(pthread_create(&thread, NULL, interrupt_whoever_waits, client) == 0);
    CHECK_STATUS(imgtask_client_next_event(client, IMGTASK_TIMEOUT_DEFAULT, &event), IMGTASK_STATUS_CANCELLED);
    CHECK(event.op == 0 && event.task == NULL);
    atomic_store(&waiting, 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(imgtask_client_pending(client) == 1);
    nothing_waits(client);
    imgtask_task_free(never);
    imgtask_client_free(client);
}

/* ---- what it is at ---- */

static void the_stats_say_what_the_jobs_are_at(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client;
    imgtask_task *never;
    imgtask_job job;
    imgtask_stats stats;
    long since = now_ms();
    int i;
    options.poll_interval_ms = 1000;
    options.max_workers = 2;
    options.max_requests_per_minute = 60000;
    client = client_with(&options);
    stats = stats_of(client);
    CHECK(stats.threads == 0 && stats.staleness_p50_ms == -1 && stats.staleness_p95_ms == -1 && stats.sweep_ms == 0);
    CHECK(stats.consecutive_failures == 0);
    never = endless(client);
    job = job_for(info_of(never).id, IMGTASK_GOAL_FINISHED);
    for (i = 0; i < 50; i++)
        (void)started(client, &job);
    while (stats_of(client).looks < 50)
        CHECK(now_ms() - since < SOON_MS);
    stats = stats_of(client);
    CHECK(stats.pending == 50 && stats.events_waiting == 0 && stats.rate_limited == 0);
    CHECK(stats.threads >= 1 && stats.threads <= 2 && stats.in_flight <= 2);
    CHECK(stats.gate_per_minute == 54000 && stats.gate_wait_ms >= 0);
    /* Fifty looks at nine hundred a second. */
    CHECK(stats.sweep_ms >= 54 && stats.sweep_ms <= 57);
    CHECK(stats.staleness_p50_ms >= 0 && stats.staleness_p50_ms <= stats.staleness_p95_ms);
    CHECK(stats.staleness_p95_ms <= now_ms() - since);
    CHECK(stats.requests > stats.looks && stats.looks >= 50);
    CHECK(stats.connections_opened >= 1 && stats.connections_opened <= 3);
    imgtask_task_free(never);
    imgtask_client_free(client);
}

typedef struct notes {
    imgtask_client *client;
    pthread_t asking;
    int taking, of_workers, calls_back;
} notes;

static void note(void *user_data, uint32_t level, const char *line)
{
    notes *kept = user_data;
    CHECK(level >= IMGTASK_LOG_LEVEL_ERROR && strchr(line, '\n') == NULL);
    /* On the thread that asks, while it asks. */
    CHECK(pthread_equal(pthread_self(), kept->asking));
    if (strncmp(line, "look: ", 6) != 0)
        return;
    CHECK(kept->taking);
    kept->of_workers++;
    if (kept->calls_back) {
        imgtask_event event = IMGTASK_INIT(imgtask_event);
        imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
        imgtask_job job = job_for("task_1", IMGTASK_GOAL_LOOKED);
        int fd;
        CHECK_STATUS(imgtask_client_start(kept->client, &job, NULL), IMGTASK_STATUS_BUSY);
        CHECK_STATUS(imgtask_client_stop(kept->client, 1), IMGTASK_STATUS_BUSY);
        CHECK_STATUS(imgtask_client_next_event(kept->client, 0, &event), IMGTASK_STATUS_BUSY);
        CHECK_STATUS(imgtask_client_event_fd(kept->client, &fd), IMGTASK_STATUS_BUSY);
        CHECK_STATUS(imgtask_client_get_stats(kept->client, &stats), IMGTASK_STATUS_BUSY);
        CHECK_REFUSED(imgtask_client_resume(kept->client, 0, NULL, &error), IMGTASK_STATUS_BUSY, "log sink");
        CHECK_REFUSED(imgtask_client_forget(kept->client, "task_1", &error), IMGTASK_STATUS_BUSY, "log sink");
        imgtask_event_clear(&event);
    }
}

static void the_workers_lines_are_told_by_whoever_asks_for_events(void)
{
    notes kept = {NULL, pthread_self(), 0, 0, 1};
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    imgtask_job job = job_of(CUP, IMGTASK_GOAL_FINISHED);
    long since = now_ms();
    imgtask_status status;
    options.poll_interval_ms = 20;
    options.log_level = IMGTASK_LOG_LEVEL_DEBUG;
    options.log = note;
    options.log_user_data = &kept;
    kept.client = client_with(&options);
    (void)started(kept.client, &job);
    /* Also while it waits for an event that does not come. */
    kept.taking = 1;
    while (kept.of_workers == 0) {
        CHECK(now_ms() - since < SOON_MS);
        status = imgtask_client_next_event(kept.client, 50, &event);
        CHECK(status == IMGTASK_STATUS_NO_EVENT || status == IMGTASK_STATUS_OK);
        if (status == IMGTASK_STATUS_OK)
            break;
    }
    if (event.op == 0)
        CHECK_STATUS(imgtask_client_next_event(kept.client, SOON_MS, &event), IMGTASK_STATUS_OK);
    imgtask_event_clear(&event);
    nothing_waits(kept.client);
    kept.taking = 0;
    CHECK(kept.of_workers >= 1);
    imgtask_client_free(kept.client);
}

int main(void)
{
    an_event_is_read_by_the_size_that_the_caller_says();
    clearing_frees_what_was_not_kept_and_does_no_harm_twice();
    no_more_is_accepted_than_the_host_asked_for();
    a_closed_client_gives_its_events_and_then_says_that_it_is_closed();
    the_descriptor_is_readable_exactly_while_events_wait();
    an_interrupt_ends_the_waiting_for_an_event_and_no_job();
    the_stats_say_what_the_jobs_are_at();
    the_workers_lines_are_told_by_whoever_asks_for_events();
    return done();
}
