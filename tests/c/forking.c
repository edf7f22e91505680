/* A client belongs to the process that created it. */
#include "listener.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static void in_the_child(imgtask_client *client, imgtask_task *task)
{
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    imgtask_task *out = NULL;
    imgtask_bytes *bytes = NULL;
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
    imgtask_client_free(client);

    /* What never changes may still be read, and names need no client. */
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    CHECK(strlen(info.id) > 0);
    imgtask_task_free(task);
    CHECK_TEXT(imgtask_status_name(IMGTASK_STATUS_WRONG_PROCESS), "wrong_process");

    /* A client of its own works. */
    client = sandbox_client("dimilinks");
    CHECK_STATUS(imgtask_client_fetch(client, "img_000000000000000000000000", &out, NULL), IMGTASK_STATUS_NOT_FOUND);
    imgtask_client_free(client);
    CHECK(imgtask_debug_live_handles() == 0);
}

/* A program started by the host finds no connection of ours. */
static void a_started_program_inherits_no_socket(void)
{
    char line[256];
    FILE *listing = popen("ls -l /proc/self/fd", "r");
    CHECK(listing != NULL);
    while (fgets(line, sizeof line, listing) != NULL)
        CHECK(strstr(line, "socket:") == NULL);
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

int main(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_task *task = NULL, *seen = NULL;
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    int status = 0;
    pid_t child;
    CHECK_STATUS(imgtask_client_submit(client, "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup\"}", &task, NULL),
                 IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);

    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_the_child(client, task);
        _exit(0);
    }
    /* The parent goes on while the child does what it must not. */
    while (waitpid(child, &status, WNOHANG) == 0) {
        CHECK_STATUS(imgtask_client_fetch(client, info.id, &seen, NULL), IMGTASK_STATUS_OK);
        imgtask_task_free(seen);
    }
    a_started_program_inherits_no_socket();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_STATUS(imgtask_client_fetch(client, info.id, &seen, NULL), IMGTASK_STATUS_OK);
    imgtask_task_free(seen);
    imgtask_task_free(task);
    imgtask_client_free(client);
    a_journal_belongs_to_the_parent();
    return done();
}
