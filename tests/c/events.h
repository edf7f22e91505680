/* What the tests of jobs share: start one, and take its events. */
#ifndef EVENTS_H
#define EVENTS_H

#include "check.h"

#include <dirent.h>

/* An event that does not come in this time does not come. */
#define SOON_MS 60000

static inline imgtask_job job_for(const char *task_ref, imgtask_goal goal)
{
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    job.task_ref = task_ref;
    job.goal = goal;
    return job;
}

static inline imgtask_job job_of(const char *request_json, imgtask_goal goal)
{
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    job.request_json = request_json;
    job.goal = goal;
    return job;
}

static inline uint64_t started(imgtask_client *client, const imgtask_job *job)
{
    uint64_t op = 0;
    CHECK_STATUS(imgtask_client_start(client, job, &op), IMGTASK_STATUS_OK);
    CHECK(op > 0 && op < (uint64_t)1 << 53);
    return op;
}

/* The next event, which must come; clear it. */
static inline imgtask_event next_event(imgtask_client *client)
{
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    CHECK_STATUS(imgtask_client_next_event(client, SOON_MS, &event), IMGTASK_STATUS_OK);
    CHECK(event.op > 0 && event.label != NULL && event.keep_in_journal == 0);
    CHECK(event.kind >= IMGTASK_EVENT_KIND_FINAL && event.kind <= IMGTASK_EVENT_KIND_RESUMED);
    CHECK((event.status == IMGTASK_STATUS_OK) == (event.error == NULL));
    if (event.error != NULL)
        check_error(event.error, event.status);
    return event;
}

/* The next event, which must be the last one of a job, of any for 0; clear it. */
static inline imgtask_event final_event(imgtask_client *client, uint64_t op, imgtask_status wanted)
{
    imgtask_event event = next_event(client);
    CHECK((op == 0 || event.op == op) && event.kind == IMGTASK_EVENT_KIND_FINAL);
    if (event.status != wanted) {
        fprintf(stderr, "the job ended in %s, not %s: %s\n", imgtask_status_name(event.status), imgtask_status_name(wanted),
                imgtask_error_message(event.error));
        exit(1);
    }
    return event;
}

/* No event waits. */
static inline void nothing_waits(imgtask_client *client)
{
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    CHECK_STATUS(imgtask_client_next_event(client, 0, &event), IMGTASK_STATUS_NO_EVENT);
}

static inline imgtask_stats stats_of(imgtask_client *client)
{
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    CHECK_STATUS(imgtask_client_get_stats(client, &stats), IMGTASK_STATUS_OK);
    return stats;
}

/* Threads of the library in this process, by their names. */
static inline int threads_of_the_library(void)
{
    char path[300], name[32];
    int count = 0;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        FILE *file;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL)
            continue;
        count += fgets(name, sizeof name, file) != NULL && strncmp(name, "imgtask-", 8) == 0;
        fclose(file);
    }
    closedir(tasks);
    return count;
}

static inline imgtask_task_info info_of(const imgtask_task *task)
{
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    return info;
}

#define CUP "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup\",\"size\":\"64x64\"}"
#define NEVER "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup [never]\"}"

/* A task of the sandbox that never ends; free it. */
static inline imgtask_task *endless(imgtask_client *client)
{
    imgtask_task *task = NULL;
    CHECK_STATUS(imgtask_client_submit(client, NEVER, &task, NULL), IMGTASK_STATUS_OK);
    return task;
}

/* They are the 64 by 64 PNG that was asked for. */
static inline void png(const imgtask_bytes *bytes)
{
    imgtask_bytes_info info = IMGTASK_INIT(imgtask_bytes_info);
    CHECK_STATUS(imgtask_bytes_get(bytes, &info), IMGTASK_STATUS_OK);
    CHECK(info.len > 8 && memcmp(info.data, "\x89PNG\r\n\x1a\n", 8) == 0);
    CHECK(info.width == 64 && info.height == 64);
}

#endif
