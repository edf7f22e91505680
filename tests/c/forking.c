/* A client belongs to the process that created it. */
#include "events.h"
#include "listener.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define TASKS 10

static void in_the_child(imgtask_client *client, imgtask_task *task, imgtask_event *held)
{
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    imgtask_job job = job_for("task_1", IMGTASK_GOAL_FINISHED);
    imgtask_task *out = NULL;
    imgtask_bytes *bytes = NULL;
    uint64_t op = 7;
    size_t count = 7;
    int fd = 7;
    const imgtask_status wrong = IMGTASK_STATUS_WRONG_PROCESS;
    CHECK_REFUSED(imgtask_client_fetch(client, "task_1", &out, &error), wrong, "process");
    CHECK_REFUSED(imgtask_client_submit(client, "{}", &out, &error), wrong, "process");
    CHECK_REFUSED(imgtask_client_wait(client, "task_1", 0, &out, &error), wrong, "process");
    CHECK_REFUSED(imgtask_client_cancel_task(client, "task_1", &out, &error), wrong, "process");
    CHECK_REFUSED(imgtask_client_set_key(client, "key", &error), wrong, "process");
    CHECK_REFUSED(imgtask_client_download(client, task, 0, 0, &bytes, &error), wrong, "process");
    CHECK_REFUSED(imgtask_client_download_file(client, task, 0, "x.png", 0, NULL, &error), wrong, "process");
    CHECK_STATUS(imgtask_client_interrupt(client), wrong);
    CHECK_STATUS(imgtask_client_close(client, 1000), wrong);
    stats.looks = 7;
    CHECK_STATUS(imgtask_client_get_stats(client, &stats), wrong);
    CHECK(stats.looks == 0);

    CHECK_STATUS(imgtask_client_start(client, &job, &op), wrong);
    CHECK(op == 0);
    CHECK_STATUS(imgtask_client_stop(client, 1), wrong);
    event.op = 7;
    CHECK_STATUS(imgtask_client_next_event(client, IMGTASK_TIMEOUT_DEFAULT, &event), wrong);
    CHECK(event.op == 0);
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), wrong);
    CHECK_STATUS(imgtask_client_event_fd(client, &fd), wrong);
    CHECK(fd == -1);
    CHECK_REFUSED(imgtask_client_resume(client, 0, &count, &error), wrong, "process");
    CHECK(count == 0);
    CHECK_REFUSED(imgtask_client_forget(client, "task_1", &error), wrong, "process");
    CHECK(imgtask_client_pending(client) == 0);
    /* No thread came along. */
    CHECK(threads_of_the_library() == 0);
    imgtask_event_clear(held);
    imgtask_client_free(client);

    /* What never changes may still be read, and names need no client. */
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    CHECK(strlen(info.id) > 0);
    imgtask_task_free(task);
    CHECK_TEXT(imgtask_status_name(IMGTASK_STATUS_WRONG_PROCESS), "wrong_process");

    /* A client of its own works, with threads of its own. */
    client = sandbox_client("dimilinks");
    CHECK_STATUS(imgtask_client_fetch(client, "img_000000000000000000000000", &out, NULL), IMGTASK_STATUS_NOT_FOUND);
    job.task_ref = "img_000000000000000000000000";
    event = final_event(client, started(client, &job), IMGTASK_STATUS_NOT_FOUND);
    imgtask_event_clear(&event);
    imgtask_client_free(client);
}

/* A program started by the host finds no connection of ours, and no pipe of events. */
static void a_started_program_inherits_nothing(int event_fd)
{
    char line[256], link[64], ours[64] = "";
    FILE *listing;
    snprintf(link, sizeof link, "/proc/self/fd/%d", event_fd);
    CHECK(readlink(link, ours, sizeof ours - 1) > 0);
    CHECK_HOLDS(ours, "pipe:");
    listing = popen("ls -l /proc/self/fd", "r");
    CHECK(listing != NULL);
    while (fgets(line, sizeof line, listing) != NULL)
        CHECK(strstr(line, "socket:") == NULL && strstr(line, ours) == NULL);
    CHECK(pclose(listing) == 0);
}

/* A child shares the journal's file and lock, and can end neither; nor does it hold the lock longer than the parent wants it. */
static void a_journal_belongs_to_the_parent(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client, *second = NULL;
    int lives[2], status = 0, unread = 0;
    char byte;
    pid_t child;
    remove("forking.journal");
    options.journal_path = "forking.journal";
    client = client_with(&options);
    CHECK(pipe(lives) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(lives[1]);
        CHECK_REFUSED(imgtask_client_forget(client, "img_1", &error), IMGTASK_STATUS_WRONG_PROCESS, "process");
        imgtask_client_free(client);
        CHECK_REFUSED(imgtask_client_create(&options, &second, &error), IMGTASK_STATUS_JOURNAL, "in use");
        /* Until the parent has done. */
        CHECK(read(lives[0], &byte, 1) == 1 && read(lives[0], &byte, 1) == 0);
        _exit(0);
    }
    close(lives[0]);
    CHECK_REFUSED(imgtask_client_create(&options, &second, &error), IMGTASK_STATUS_JOURNAL, "in use");
    /* The child reads when it has tried. */
    CHECK(write(lives[1], "x", 1) == 1);
    while (ioctl(lives[1], FIONREAD, &unread) == 0 && unread > 0) {
        CHECK(waitpid(child, &status, WNOHANG) == 0);
        usleep(1000);
    }
    CHECK_REFUSED(imgtask_client_create(&options, &second, &error), IMGTASK_STATUS_JOURNAL, "in use");
    imgtask_client_free(client);
    client = client_with(&options);
    CHECK(kill(child, 0) == 0);
    close(lives[1]);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_REFUSED(imgtask_client_create(&options, &second, &error), IMGTASK_STATUS_JOURNAL, "in use");
    imgtask_client_free(client);
}

/* Jobs of which each watches its own task, which its label names. */
static void start_watching(imgtask_client *client, imgtask_task *const *tasks)
{
    size_t i;
    for (i = 0; i < TASKS; i++) {
        const imgtask_task_info info = info_of(tasks[i]);
        imgtask_job job = job_for(info.id, IMGTASK_GOAL_FINISHED);
        job.label = info.id;
        (void)started(client, &job);
    }
}

static void a_child_has_no_part_in_a_busy_client(imgtask_client *client, imgtask_task *const *tasks, int event_fd)
{
    imgtask_task *seen = NULL;
    imgtask_job job = job_for(info_of(tasks[0]).id, IMGTASK_GOAL_LOOKED);
    imgtask_event held;
    int status = 0;
    pid_t child;
    size_t i;
    job.label = "held";
    held = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    start_watching(client, tasks);
#ifdef __SANITIZE_ADDRESS__
    /* Its allocator locks up in the child of a process whose threads were allocating. */
    while (stats_of(client).events_waiting < TASKS)
        ;
#endif
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_the_child(client, tasks[0], &held);
        for (i = 1; i < TASKS; i++)
            imgtask_task_free(tasks[i]);
        CHECK(done() == 0);
        /* What the parent's threads were at is lost in a child, and no leak of ours. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(2);
    }
    /* The parent goes on while the child does what it must not. */
    while (waitpid(child, &status, WNOHANG) == 0) {
        CHECK_STATUS(imgtask_client_fetch(client, info_of(tasks[1]).id, &seen, NULL), IMGTASK_STATUS_OK);
        CHECK_TEXT(info_of(seen).id, info_of(tasks[1]).id);
        imgtask_task_free(seen);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_TEXT(held.label, "held");
    CHECK_TEXT(info_of(held.task).id, info_of(tasks[0]).id);
    imgtask_event_clear(&held);
    a_started_program_inherits_nothing(event_fd);
    for (i = 0; i < TASKS; i++) {
        imgtask_event event = next_event(client);
        CHECK(event.kind == IMGTASK_EVENT_KIND_FINAL && event.status == IMGTASK_STATUS_OK);
        CHECK_TEXT(info_of(event.task).id, event.label);
        imgtask_event_clear(&event);
    }
    nothing_waits(client);
}

int main(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client;
    imgtask_task *tasks[TASKS];
    int event_fd, round;
    size_t i;
    options.poll_interval_ms = 20;
    options.max_requests_per_minute = 60000;
    client = client_with(&options);
    CHECK_STATUS(imgtask_client_event_fd(client, &event_fd), IMGTASK_STATUS_OK);
    /* The later ones have ended, and all their jobs' looks are under way when it forks. */
    for (i = 0; i < TASKS; i++)
        CHECK_STATUS(imgtask_client_submit(client, CUP, &tasks[i], NULL), IMGTASK_STATUS_OK);
    for (round = 0; round < 5; round++)
        a_child_has_no_part_in_a_busy_client(client, tasks, event_fd);
    for (i = 0; i < TASKS; i++)
        imgtask_task_free(tasks[i]);
    imgtask_client_free(client);
    a_journal_belongs_to_the_parent();
    return done();
}
