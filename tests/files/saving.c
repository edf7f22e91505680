/* Saves the image of a task, through a call or a job.
 *
 *     saving PATH call|job           once
 *     saving PATH call|job CAUSE     in vain, because of something that is then taken away; and once more, by the same client
 *
 * Says on stderr what each came to, and of one in vain which files it left in the folder of PATH. */
#include "../c/check.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *path;
static char folder[1000];

static void fetch(imgtask_client *client, imgtask_error **error, imgtask_status *status)
{
    imgtask_task *task = NULL;
    CHECK_STATUS(imgtask_client_fetch(client, "img_1", &task, NULL), IMGTASK_STATUS_OK);
    *status = imgtask_client_download_file(client, task, 0, path, 0, NULL, error);
    imgtask_task_free(task);
}

static imgtask_client *new_client(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), "sk-test");
    options.poll_interval_ms = 20;
    return client_with(&options);
}

static void end(imgtask_client *client)
{
    CHECK_STATUS(imgtask_client_close(client, 10000), IMGTASK_STATUS_OK);
    imgtask_client_free(client);
}

static void say(imgtask_status status, const imgtask_error *error)
{
    CHECK((status == IMGTASK_STATUS_OK) == (error == NULL));
    fprintf(stderr, "%s\t%s\n", imgtask_status_name(status), error ? imgtask_error_message(error) : "");
}

static void save(imgtask_client *client, const char *way)
{
    if (strcmp(way, "call") == 0) {
        imgtask_error *error = NULL;
        imgtask_status status;
        fetch(client, &error, &status);
        say(status, error);
        imgtask_error_free(error);
    } else {
        imgtask_event event = IMGTASK_INIT(imgtask_event);
        imgtask_job job = IMGTASK_INIT(imgtask_job);
        job.task_ref = "img_1";
        job.goal = IMGTASK_GOAL_FILE;
        job.path = path;
        CHECK_STATUS(imgtask_client_start(client, &job, NULL), IMGTASK_STATUS_OK);
        CHECK_STATUS(imgtask_client_next_event(client, 60000, &event), IMGTASK_STATUS_OK);
        CHECK(event.kind == IMGTASK_EVENT_KIND_FINAL);
        say(event.status, event.error);
        imgtask_event_clear(&event);
    }
}

static void say_what_is_left(void)
{
    DIR *files = opendir(folder);
    struct dirent *file;
    if (files == NULL)
        return;
    while ((file = readdir(files)) != NULL)
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0)
            fprintf(stderr, "left\t%s\n", file->d_name);
    closedir(files);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* In a thread that may rename nothing, with a client and threads of its own. */
static void *save_where_nothing_can_be_renamed(void *way)
{
#define REFUSE(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO)
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_rename
        REFUSE(SYS_rename),
#endif
        REFUSE(SYS_renameat),
        REFUSE(SYS_renameat2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
    imgtask_client *client;
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    client = new_client();
    save(client, way);
    end(client);
    return NULL;
}

/* Why nothing can be saved. What the shim or the server does lasts while there is a file. */
static void cause(const char *name, int present)
{
    if (strcmp(name, "read-only") == 0)
        CHECK(chmod(folder, present ? 0555 : 0755) == 0);
    else if (strcmp(name, "private") == 0)
        CHECK(chmod(folder, present ? 0 : 0755) == 0);
    else if (strcmp(name, "missing") == 0)
        CHECK((present ? rmdir(folder) : mkdir(folder, 0755)) == 0);
    else if (strcmp(name, "folder") == 0)
        CHECK((present ? mkdir(path, 0755) : rmdir(path)) == 0);
    else if (strcmp(name, "pipe") == 0)
        CHECK((present ? mkfifo(path, 0644) : unlink(path)) == 0);
    else if (strcmp(name, "limit") == 0)
        limit_files(present ? 60000 : RLIM_INFINITY);
    else if (!present)
        CHECK(unlink(name) == 0);
}

int main(int count, char **words)
{
    imgtask_client *client;
    CHECK(count == 3 || count == 4);
    path = words[1];
    CHECK(strrchr(path, '/') != NULL && strlen(path) < sizeof folder);
    memcpy(folder, path, (size_t)(strrchr(path, '/') - path));
    /* Nothing is forbidden to root. */
    if (getenv("SAVING_AS_NOBODY") != NULL && geteuid() == 0)
        CHECK(chown(folder, 65534, 65534) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    if (getenv("SAVING_WITHOUT_UMASK") != NULL)
        umask(0);
    /* It ends a process that calls, and no job: threads of the library block it. */
    CHECK(strcmp(words[2], "job") == 0 || signal(SIGXFSZ, SIG_IGN) != SIG_ERR);

    client = new_client();
    if (count == 4 && strcmp(words[3], "rename") == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, save_where_nothing_can_be_renamed, words[2]) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        say_what_is_left();
    } else if (count == 4) {
        cause(words[3], 1);
        save(client, words[2]);
        say_what_is_left();
        cause(words[3], 0);
    }
    save(client, words[2]);
    end(client);
    return done();
}
