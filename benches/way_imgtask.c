/* A look through the C ABI: fetch, everything that is known of the task and its image, free. A download: by a call, or by a job. */

#include "cost.h"

#include <imgtask.h>
#include <stdlib.h>
#include <string.h>

typedef struct state {
    const char *base;
    imgtask_client *client;
} state;

static void *open_way(const char *base, uint16_t port) {
    (void)port;
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    options.provider = "dimilinks";
    options.base_url = base;
    options.api_key = KEY;
    options.request_timeout_ms = DEADLINE_MS;
    options.max_image_bytes = 2 * BIG_FILLER;
    state *way = malloc(sizeof *way);
    imgtask_error *error = NULL;
    if (way == NULL)
        give_up("malloc", "no memory");
    way->base = base;
    if (imgtask_client_create(&options, &way->client, &error) != IMGTASK_STATUS_OK)
        give_up("imgtask_client_create", imgtask_error_message(error));
    return way;
}

static void look(void *opened, const char *task_id) {
    state *way = opened;
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    if (imgtask_client_fetch(way->client, task_id, &task, &error) != IMGTASK_STATUS_OK)
        give_up("imgtask_client_fetch", imgtask_error_message(error));
    if (imgtask_task_get(task, &info) != IMGTASK_STATUS_OK || strcmp(info.id, task_id) != 0)
        give_up("imgtask_task_get", "not the task");
    if (strcmp(task_id, SMALL) == 0) {
        imgtask_image_info image = IMGTASK_INIT(imgtask_image_info);
        if (info.state != IMGTASK_TASK_STATE_SUCCEEDED || info.progress != 100 || info.image_count != 1 ||
            imgtask_task_get_image(task, 0, &image) != IMGTASK_STATUS_OK)
            give_up("imgtask_task_get", "not succeeded");
        check_image(image.url, way->base, image.file_id, info.created_at, info.completed_at);
    }
    imgtask_task_free(task);
}

static void save(void *opened, const char *task_id, const char *path) {
    state *way = opened;
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    if (imgtask_client_fetch(way->client, task_id, &task, &error) != IMGTASK_STATUS_OK ||
        imgtask_client_download_file(way->client, task, 0, path, 0, NULL, &error) != IMGTASK_STATUS_OK)
        give_up("imgtask_client_download_file", imgtask_error_message(error));
    imgtask_task_free(task);
}

static void save_by_job(void *opened, const char *task_id, const char *path) {
    state *way = opened;
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    job.task_ref = task_id;
    job.goal = IMGTASK_GOAL_FILE;
    job.path = path;
    if (imgtask_client_start(way->client, &job, NULL) != IMGTASK_STATUS_OK ||
        imgtask_client_next_event(way->client, DEADLINE_MS, &event) != IMGTASK_STATUS_OK)
        give_up("imgtask_client_next_event", "no event");
    if (event.kind != IMGTASK_EVENT_KIND_FINAL || event.status != IMGTASK_STATUS_OK)
        give_up("imgtask_client_next_event", imgtask_status_name(event.status));
    imgtask_event_clear(&event);
}

static void close_way(void *opened) {
    state *way = opened;
    imgtask_client_free(way->client);
    free(way);
}

const way way_imgtask = {"imgtask", open_way, look, save, close_way};
const way way_job = {"job", open_way, look, save_by_job, close_way};
