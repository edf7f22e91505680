/* A host that loads the library as a plugin, uses it, unloads it and loads it again. Not linked against the library. */
#include "check.h"

#include <dlfcn.h>

typedef imgtask_status create_function(const imgtask_client_options *, imgtask_client **, imgtask_error **);
typedef imgtask_status fetch_function(imgtask_client *, const char *, imgtask_task **, imgtask_error **);
typedef void free_function(imgtask_client *);

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

int main(int count, char **arguments)
{
    imgtask_client_options options = options_for("dimilinks", "http://127.0.0.1:1", "key");
    int round;
    CHECK(count == 2);
    for (round = 0; round < 3; round++) {
        void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        imgtask_client *client = NULL;
        imgtask_task *task = NULL;
        create_function *create;
        fetch_function *fetch;
        free_function *release;
        CHECK(library != NULL);
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
    return 0;
}
