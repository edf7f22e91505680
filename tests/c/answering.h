/* A service of our own on loopback that answers at once, as DimiLinks does: for what the sandbox is too slow for. */
#ifndef ANSWERING_H
#define ANSWERING_H

#include "listener.h"

#include <pthread.h>
#include <stdatomic.h>

/* The id decides: "done..." is finished, "wait..." is in work, of "mute..." nothing is ever said. */
typedef struct answering {
    listener here;
    pthread_t accepting;
    atomic_int connections, open;
    atomic_long answered;
} answering;

typedef struct conversation {
    answering *service;
    int socket;
} conversation;

static inline void answer(int socket, const char *path, int is_submit)
{
    char body[512], all[1024];
    char id[128] = "done-0";
    const char *last = strrchr(path, '/');
    int length;
    if (last != NULL)
        snprintf(id, sizeof id, "%.100s", last + 1);
    if (is_submit)
        snprintf(body, sizeof body, "{\"created\":1777080000,\"task_id\":\"done-1\",\"data\":[]}");
    else if (strncmp(id, "done", 4) == 0)
        snprintf(body, sizeof body,
                 "{\"id\":\"%s\",\"status\":\"succeeded\",\"progress\":100,\"result\":{\"data\":[{\"url\":\"/p/img/%s/0\"}]}}", id, id);
    else
        snprintf(body, sizeof body, "{\"id\":\"%s\",\"status\":\"in_progress\",\"progress\":40}", id);
    length = snprintf(all, sizeof all, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                      (int)strlen(body), body);
    /* Who asked may be gone. */
    (void)!send(socket, all, (size_t)length, MSG_NOSIGNAL);
}

static inline void *converse(void *argument)
{
    conversation talk = *(conversation *)argument;
    char request[16384];
    size_t have = 0;
    ssize_t got;
    free(argument);
    while ((got = recv(talk.socket, request + have, sizeof request - 1 - have, 0)) > 0) {
        char *end, *body, *path, *length;
        have += (size_t)got;
        request[have] = 0;
        while ((end = strstr(request, "\r\n\r\n")) != NULL) {
            size_t whole = (size_t)(end - request) + 4;
            int is_submit = strncmp(request, "POST", 4) == 0, mute;
            length = strstr(request, "ontent-length: ");
            if (length == NULL)
                length = strstr(request, "ontent-Length: ");
            if (length != NULL && length < end)
                whole += (size_t)atol(length + strlen("ontent-length: "));
            if (have < whole)
                break;
            path = strchr(request, ' ') + 1;
            body = strchr(path, ' ');
            *body = 0;
            mute = strstr(path, "/mute") != NULL;
            if (!mute) {
                atomic_fetch_add(&talk.service->answered, 1);
                answer(talk.socket, path, is_submit);
            }
            memmove(request, request + whole, have - whole + 1);
            have -= whole;
        }
    }
    close(talk.socket);
    atomic_fetch_sub(&talk.service->open, 1);
    return NULL;
}

static inline void *accept_all(void *argument)
{
    answering *service = argument;
    struct pollfd wait = {service->here.socket, POLLIN, 0};
    while (poll(&wait, 1, -1) == 1 && (wait.revents & POLLHUP) == 0) {
        int socket = accept(service->here.socket, NULL, NULL);
        conversation *talk;
        pthread_t thread;
        if (socket < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED)
                continue;
            break;
        }
        talk = malloc(sizeof *talk);
        CHECK(talk != NULL);
        talk->service = service;
        talk->socket = socket;
        atomic_fetch_add(&service->connections, 1);
        atomic_fetch_add(&service->open, 1);
        CHECK(pthread_create(&thread, NULL, converse, talk) == 0);
        CHECK(pthread_detach(thread) == 0);
    }
    return NULL;
}

static inline void answer_at_once(answering *service)
{
    memset(service, 0, sizeof *service);
    service->here = listen_on_loopback();
    CHECK(listen(service->here.socket, 1024) == 0);
    CHECK(pthread_create(&service->accepting, NULL, accept_all, service) == 0);
}

/* When no client has a connection any more. */
static inline void end_answering(answering *service)
{
    long since = now_ms();
    shutdown(service->here.socket, SHUT_RDWR);
    CHECK(pthread_join(service->accepting, NULL) == 0);
    while (atomic_load(&service->open) > 0) {
        struct timespec pause = {0, 1000000};
        CHECK(now_ms() - since < 60000);
        nanosleep(&pause, NULL);
    }
    close(service->here.socket);
}

/* A client of it that nothing holds back: a look costs what the machine makes of it. */
static inline imgtask_client *unpaced_client(const answering *service)
{
    imgtask_client_options options = options_for("dimilinks", service->here.url, "key");
    options.poll_interval_ms = 5;
    options.max_requests_per_minute = 0x7FFFFFFF;
    return client_with(&options);
}

#endif
