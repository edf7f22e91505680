/* A program may end while calls and jobs run, however it ends: leaving [return|exit|thread]. */
#include "answering.h"
#include "events.h"

static void *wait_for_ever(void *client)
{
    imgtask_task *task = NULL;
    (void)!imgtask_client_wait(client, "mute-1", IMGTASK_TIMEOUT_DEFAULT, &task, NULL);
    return NULL;
}

static void *take_for_ever(void *client)
{
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    while (imgtask_client_next_event(client, IMGTASK_TIMEOUT_DEFAULT, &event) == IMGTASK_STATUS_OK)
        imgtask_event_clear(&event);
    return NULL;
}

static void *leave(void *argument)
{
    exit(*(int *)argument);
}

static void at_exit(void)
{
    /* Handlers of the host run while our threads are still at work. */
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
}

int main(int count, char **arguments)
{
    answering service;
    imgtask_client *client;
    pthread_t thread;
    const char *how = count > 1 ? arguments[1] : "return";
    int code = 0, i;
    answer_at_once(&service);
    client = unpaced_client(&service);
    CHECK(atexit(at_exit) == 0);
    CHECK(pthread_create(&thread, NULL, wait_for_ever, client) == 0);
    CHECK(pthread_create(&thread, NULL, take_for_ever, client) == 0);
    /* Some that are asked about all the time, and some whose answer never comes. */
    for (i = 0; i < 200; i++) {
        imgtask_job job = job_for(i % 50 == 0 ? "mute-1" : "wait-1", IMGTASK_GOAL_FINISHED);
        job.flags = IMGTASK_FLAG_PROGRESS;
        (void)started(client, &job);
    }
    while (atomic_load(&service.answered) < 500)
        ;
    CHECK(threads_of_the_library() >= 2);
    if (strcmp(how, "exit") == 0)
        exit(0);
    if (strcmp(how, "thread") == 0) {
        CHECK(pthread_create(&thread, NULL, leave, &code) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return 0;
}
