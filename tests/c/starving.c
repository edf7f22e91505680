/* What the system refuses for a while: descriptors, threads, time. Nothing is half begun, and afterwards everything works. */
#include "answering.h"
#include "events.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static size_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* First of all: the stack of a thread that has ended would be used again. */
static void without_a_thread_no_job_begins(void)
{
    imgtask_client *client = client_with(&(imgtask_client_options){
        .struct_size = sizeof(imgtask_client_options), .provider = "dimilinks", .base_url = "http://127.0.0.1:1", .api_key = "key"});
    imgtask_job job = job_for("task_1", IMGTASK_GOAL_LOOKED);
    imgtask_event event;
    struct rlimit before, none;
    uint64_t op = 7;
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    none = before;
    none.rlim_cur = mapped_bytes() + 64 * 1024;
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    CHECK_STATUS(imgtask_client_start(client, &job, &op), IMGTASK_STATUS_RESOURCE);
    CHECK_STATUS(imgtask_client_start(client, &job, &op), IMGTASK_STATUS_RESOURCE);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK(op == 0 && imgtask_client_pending(client) == 0 && stats_of(client).threads == 0);
    CHECK(threads_of_the_library() == 0);
    nothing_waits(client);

    event = final_event(client, started(client, &job), IMGTASK_STATUS_CONNECT);
    CHECK(event.op == 1);
    imgtask_event_clear(&event);
    imgtask_client_free(client);
}

/* One thread is better than none: those that there are do all the work. */
static void with_few_threads_every_job_ends(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client;
    imgtask_task *never;
    imgtask_job job;
    imgtask_event event;
    struct rlimit before, none;
    size_t i;
    options.max_requests_per_minute = 60000;
    client = client_with(&options);
    never = endless(client);
    job = job_for(info_of(never).id, IMGTASK_GOAL_LOOKED);
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    imgtask_event_clear(&event);
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    none = before;
    none.rlim_cur = mapped_bytes() + 128 * 1024;
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    for (i = 0; i < 100; i++)
        CHECK_STATUS(imgtask_client_start(client, &job, NULL), IMGTASK_STATUS_OK);
    for (i = 0; i < 100; i++) {
        event = next_event(client);
        CHECK(event.status == IMGTASK_STATUS_OK);
        imgtask_event_clear(&event);
    }
    /* Eight were wanted; there may be stacks of threads that have ended. */
    CHECK(stats_of(client).threads < 8);
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    imgtask_task_free(never);
    imgtask_client_free(client);
}

/* The lowest descriptor that is free. */
static rlim_t next_descriptor(void)
{
    int fd = dup(0);
    CHECK(fd >= 0);
    close(fd);
    return (rlim_t)fd;
}

static void without_descriptors_jobs_wait_for_better_times(void)
{
    answering service;
    imgtask_client *client;
    imgtask_job job = job_for("done-1", IMGTASK_GOAL_FINISHED);
    imgtask_task *task = NULL;
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    struct rlimit before, none;
    uint64_t op;
    int fd = 7;
    long since = now_ms();
    answer_at_once(&service);
    client = unpaced_client(&service);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = next_descriptor();
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_REFUSED(imgtask_client_fetch(client, "done-1", &task, &error), IMGTASK_STATUS_RESOURCE, "");
    CHECK_STATUS(imgtask_client_event_fd(client, &fd), IMGTASK_STATUS_RESOURCE);
    CHECK(fd == -1);
    op = started(client, &job);
    while (stats_of(client).looks < 4)
        CHECK(now_ms() - since < SOON_MS);
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_NO_EVENT);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    event = final_event(client, op, IMGTASK_STATUS_OK);
    imgtask_event_clear(&event);
    CHECK_STATUS(imgtask_client_fetch(client, "done-1", &task, NULL), IMGTASK_STATUS_OK);
    imgtask_task_free(task);
    CHECK_STATUS(imgtask_client_event_fd(client, &fd), IMGTASK_STATUS_OK);
    imgtask_client_free(client);
    end_answering(&service);
}

/* Stopped for longer than a job's time, as a laptop that sleeps: each still has its look, its end and its answer. */
static void a_process_that_stood_still_loses_nothing(void)
{
    enum { JOBS = 200 };
    struct timespec pause = {1, 500000000};
    pid_t child;
    int status;
    /* A process of its own, which has no thread yet. */
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        answering service;
        imgtask_client *client;
        size_t i, ended = 0;
        answer_at_once(&service);
        client = unpaced_client(&service);
        for (i = 0; i < JOBS; i++) {
            imgtask_job job = job_for(i % 2 == 0 ? "done-1" : "wait-1", IMGTASK_GOAL_FINISHED);
            job.timeout_ms = 1000;
            (void)started(client, &job);
            if (i == JOBS / 2)
                CHECK(raise(SIGSTOP) == 0);
        }
        while (ended < JOBS) {
            imgtask_event event = next_event(client);
            const int done_one = event.op % 2 == 1;
            CHECK(event.kind == IMGTASK_EVENT_KIND_FINAL);
            CHECK(event.status == (done_one ? IMGTASK_STATUS_OK : IMGTASK_STATUS_TIMEOUT));
            CHECK(event.task != NULL && info_of(event.task).looked_at_ms > 0);
            imgtask_event_clear(&event);
            ended++;
        }
        nothing_waits(client);
        imgtask_client_free(client);
        end_answering(&service);
        exit(done());
    }
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    nanosleep(&pause, NULL);
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Memory there is from now on, for everything but the stack of a thread. */
static void lay_up_memory(void)
{
    CHECK(mallopt(M_ARENA_MAX, 1) == 1);
    CHECK(mallopt(M_MMAP_THRESHOLD, 32 << 20) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, 64 << 20) == 1);
    free(malloc(16 << 20));
}

int main(void)
{
    lay_up_memory();
    a_process_that_stood_still_loses_nothing();
    without_a_thread_no_job_begins();
    with_few_threads_every_job_ends();
    without_descriptors_jobs_wait_for_better_times();
    return done();
}
