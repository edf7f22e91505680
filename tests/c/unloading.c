/* A host that loads the library as a plugin, uses it, unloads it and loads it again. Not linked against the library. */
#include "listener.h"

#include <dlfcn.h>

typedef imgtask_status create_function(const imgtask_client_options *, imgtask_client **, imgtask_error **);
typedef imgtask_status fetch_function(imgtask_client *, const char *, imgtask_task **, imgtask_error **);
typedef imgtask_status start_function(imgtask_client *, const imgtask_job *, uint64_t *);
typedef imgtask_status take_function(imgtask_client *, uint32_t, imgtask_event *);
typedef void clear_function(imgtask_event *);
typedef void free_function(imgtask_client *);

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    return library;
}

static void a_client_outlives_its_library(const char *path)
{
    imgtask_client_options options = options_for("dimilinks", "http://127.0.0.1:1", "key");
    int round;
    for (round = 0; round < 3; round++) {
        void *library = load(path);
        imgtask_client *client = NULL;
        imgtask_task *task = NULL;
        create_function *create;
        fetch_function *fetch;
        free_function *release;
        *(void **)&create = symbol(library, "imgtask_client_create");
        *(void **)&fetch = symbol(library, "imgtask_client_fetch");
        *(void **)&release = symbol(library, "imgtask_client_free");
        CHECK(create(&options, &client, NULL) == IMGTASK_STATUS_OK);
        CHECK(fetch(client, "task_1", &task, NULL) == IMGTASK_STATUS_CONNECT);
        if (round < 2) {
            release(client);
            CHECK(dlclose(library) == 0);
        } else {
            /* The handler of forks and thread-locals are still there, and so is the client. */
            CHECK(dlclose(library) == 0);
            CHECK(fetch(client, "task_1", &task, NULL) == IMGTASK_STATUS_CONNECT);
            release(client);
        }
    }
}

/* Threads of ours are in the midst of a look when the host believes that their code is gone. */
static void jobs_go_on_while_their_library_is_unloaded(const char *path)
{
    listener here = listen_on_loopback();
    imgtask_client_options options = options_for("dimilinks", here.url, "key");
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    imgtask_client *client = NULL;
    void *library = load(path);
    create_function *create;
    start_function *start;
    take_function *take;
    clear_function *clear;
    free_function *release;
    const char *gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
    int connections[2], i;
    *(void **)&create = symbol(library, "imgtask_client_create");
    *(void **)&start = symbol(library, "imgtask_client_start");
    CHECK(create(&options, &client, NULL) == IMGTASK_STATUS_OK);
    job.task_ref = "task_1";
    job.goal = IMGTASK_GOAL_FINISHED;
    for (i = 0; i < 2; i++) {
        CHECK(start(client, &job, NULL) == IMGTASK_STATUS_OK);
        connections[i] = next_request(&here, 20000);
    }
    CHECK(dlclose(library) == 0);
    for (i = 0; i < 2; i++)
        CHECK(send(connections[i], gone, strlen(gone), MSG_NOSIGNAL) == (ssize_t)strlen(gone));

    library = load(path);
    *(void **)&take = symbol(library, "imgtask_client_next_event");
    *(void **)&clear = symbol(library, "imgtask_event_clear");
    *(void **)&release = symbol(library, "imgtask_client_free");
    for (i = 0; i < 2; i++) {
        CHECK(take(client, 20000, &event) == IMGTASK_STATUS_OK);
        CHECK(event.kind == IMGTASK_EVENT_KIND_FINAL && event.status == IMGTASK_STATUS_NOT_FOUND);
        clear(&event);
        close(connections[i]);
    }

    /* And once more, without a word. */
    CHECK(start(client, &job, NULL) == IMGTASK_STATUS_OK);
    connections[0] = next_request(&here, 20000);
    release(client);
    CHECK(dlclose(library) == 0);
    /* Its thread ends its connection when it ends. */
    CHECK(recv(connections[0], &i, 1, 0) == 0);
    close(connections[0]);
    close(here.socket);
}

int main(int count, char **arguments)
{
    CHECK(count == 2);
    a_client_outlives_its_library(arguments[1]);
    jobs_go_on_while_their_library_is_unloaded(arguments[1]);
    return 0;
}
