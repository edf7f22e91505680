/* A program may end while another thread is inside a call. */
#include "listener.h"

#include <pthread.h>

static void *wait_for_ever(void *client)
{
    imgtask_task *task = NULL;
    (void)!imgtask_client_wait(client, "task_1", IMGTASK_TIMEOUT_DEFAULT, &task, NULL);
    return NULL;
}

int main(void)
{
    listener here = listen_on_loopback();
    imgtask_client_options options = options_for("dimilinks", here.url, "key");
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_for_ever, client_with(&options)) == 0);
    next_request(&here, 20000);
    return 0;
}
