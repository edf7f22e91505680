/* What hosts do to a library: small stacks, many threads, storms of signals, a SIGPIPE that kills. */
#include "answering.h"
#include "events.h"

#include <signal.h>
#include <sys/syscall.h>

static imgtask_client *client;
static char id[128];

static void *fetch_some(void *argument)
{
    int i;
    for (i = 0; i < 5; i++) {
        imgtask_task *task = NULL;
        imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
        CHECK_STATUS(imgtask_client_fetch(client, id, &task, NULL), IMGTASK_STATUS_OK);
        CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
        CHECK_TEXT(info.id, id);
        imgtask_task_free(task);
    }
    return argument;
}

static void *start_some(void *argument)
{
    int i;
    for (i = 0; i < 5; i++) {
        imgtask_job job = job_for(id, IMGTASK_GOAL_LOOKED);
        imgtask_event event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
        CHECK_TEXT(info_of(event.task).id, id);
        imgtask_event_clear(&event);
    }
    return argument;
}

static void a_small_stack_is_enough_to(void *(*body)(void *), size_t bytes)
{
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, bytes) == 0);
    CHECK(pthread_create(&thread, &attributes, body, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

static void many_threads_share_a_client(void)
{
    pthread_t threads[32];
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    size_t i;
    for (i = 0; i < 32; i++)
        CHECK(pthread_create(&threads[i], NULL, fetch_some, NULL) == 0);
    for (i = 0; i < 32; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_STATUS(imgtask_client_get_stats(client, &stats), IMGTASK_STATUS_OK);
    CHECK(stats.looks >= 160 && stats.in_flight <= 1);
    /* Connections are kept: fewer were opened than requests sent. */
    CHECK(stats.connections_opened < stats.requests);
}

static atomic_int storming = 1;
static pthread_t target;

static atomic_int handled;
static atomic_int handled_by;

static void handle(int signal_number)
{
    (void)signal_number;
    atomic_store(&handled_by, (int)syscall(SYS_gettid));
    atomic_fetch_add(&handled, 1);
}

static void *storm(void *argument)
{
    while (atomic_load(&storming)) {
        struct timespec pause = {0, 200000};
        pthread_kill(target, SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return argument;
}

/* Handlers without SA_RESTART make every system call come back early. */
static void a_storm_of_signals_changes_nothing(void)
{
    struct sigaction action;
    pthread_t thread;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    target = pthread_self();
    CHECK(pthread_create(&thread, NULL, storm, NULL) == 0);
    {
        int i;
        for (i = 0; i < 10; i++) {
            fetch_some(NULL);
            start_some(NULL);
        }
    }
    atomic_store(&storming, 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(atomic_load(&handled) > 0);
}

/* A signal that the whole process gets goes to whichever thread takes it. It must be none of ours: handlers of the host count on
 * their own threads' stacks, locks and names. */
static void a_signal_is_never_handled_on_a_thread_of_the_library(void)
{
    const int signals[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGPROF, SIGIO};
    answering service;
    imgtask_client *busy;
    struct sigaction action, before[sizeof signals / sizeof *signals];
    sigset_t all, old, pending;
    size_t i;
    /* The service's threads are the host's: they block everything, too. */
    CHECK(sigfillset(&all) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    answer_at_once(&service);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    for (i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigaction(signals[i], &action, &before[i]) == 0);
    /* Started by a thread that blocks nothing, so that nothing is inherited. */
    busy = unpaced_client(&service);
    for (i = 0; i < 100; i++) {
        imgtask_job job = job_for(i % 50 == 0 ? "mute-1" : "wait-1", IMGTASK_GOAL_FINISHED);
        (void)started(busy, &job);
    }
    while (atomic_load(&service.answered) < 50)
        ;
    CHECK(threads_of_the_library() >= 2);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
    atomic_store(&handled, 0);
    for (i = 0; i < sizeof signals / sizeof *signals; i++) {
        long asked = atomic_load(&service.answered);
        CHECK(kill(getpid(), signals[i]) == 0);
        while (atomic_load(&service.answered) < asked + 20)
            ;
        CHECK(sigpending(&pending) == 0);
        CHECK(sigismember(&pending, signals[i]) == 1);
    }
    CHECK(atomic_load(&handled) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    CHECK(atomic_load(&handled) == (int)(sizeof signals / sizeof *signals));
    CHECK(atomic_load(&handled_by) == (int)syscall(SYS_gettid));
    for (i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigaction(signals[i], &before[i], NULL) == 0);
    imgtask_client_free(busy);
    end_answering(&service);
}

static void *reset_everybody(void *argument)
{
    const listener *here = argument;
    struct linger at_once = {1, 0};
    struct pollfd wait = {here->socket, POLLIN, 0};
    while (poll(&wait, 1, 20000) == 1) {
        int connection = accept(here->socket, NULL, NULL);
        if (connection < 0)
            break;
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(connection);
    }
    return NULL;
}

/* Writing to a connection that is gone raises SIGPIPE, which ends a C program unless somebody takes care. */
static void a_connection_that_breaks_while_it_is_written_to_does_not_end_the_program(void)
{
    const size_t length = 8u << 20;
    listener here = listen_on_loopback();
    imgtask_client_options options = options_for("dimilinks", here.url, "key");
    imgtask_client *other = client_with(&options);
    imgtask_task *task = NULL;
    char *request = malloc(length + 64);
    pthread_t thread;
    imgtask_status status;
    CHECK(request != NULL);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    strcpy(request, "{\"prompt\":\"");
    memset(request + strlen(request), 'a', length);
    strcpy(request + 11 + length, "\"}");
    CHECK(pthread_create(&thread, NULL, reset_everybody, &here) == 0);
    status = imgtask_client_submit(other, request, &task, NULL);
    /* Which of them depends on how much was written. */
    CHECK(status == IMGTASK_STATUS_SUBMIT_UNKNOWN || (status >= 40 && status < 60));
    imgtask_task_free(task);
    imgtask_client_free(other);
    shutdown(here.socket, SHUT_RDWR);
    CHECK(pthread_join(thread, NULL) == 0);
    close(here.socket);
    free(request);
}

int main(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_task *task = NULL;
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    options.poll_interval_ms = 20;
    options.max_requests_per_minute = 60000;
    client = client_with(&options);
    CHECK_STATUS(imgtask_client_submit(client, "{\"model\":\"gpt-image-1\",\"prompt\":\"a cup\"}", &task, NULL),
                 IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    CHECK(strlen(info.id) < sizeof id);
    strcpy(id, info.id);
    imgtask_task_free(task);
    a_small_stack_is_enough_to(fetch_some, (size_t)atol(setting("STACK", "BYTES")));
    a_small_stack_is_enough_to(start_some, (size_t)atol(setting("STACK", "BYTES")));
    many_threads_share_a_client();
    a_storm_of_signals_changes_nothing();
    a_signal_is_never_handled_on_a_thread_of_the_library();
    a_connection_that_breaks_while_it_is_written_to_does_not_end_the_program();
    imgtask_client_free(client);
    return done();
}
