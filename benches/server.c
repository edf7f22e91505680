/* The least server that speaks HTTP/1.1 with kept connections: a thread a connection, an answer one send.
 * What it costs is in every way's wall time alike. */

#define _GNU_SOURCE
#include "cost.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct answer {
    const char *id;
    char *bytes;
    size_t len;
} answer;

static answer answers[5];

static char *room(size_t len) {
    char *bytes = malloc(len);
    if (bytes == NULL)
        give_up("malloc", "no memory");
    return bytes;
}

/* `head`, then `count` times `part`, then `tail`, behind an answer's head. */
static answer make(const char *id, const char *head, const char *part, size_t count, const char *tail) {
    char date[64], top[256];
    time_t now = time(NULL);
    size_t len = strlen(head) + strlen(part) * count + strlen(tail);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    int top_len = snprintf(top, sizeof top,
                           "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                           date, len);
    answer made = {id, room((size_t)top_len + len + 1), (size_t)top_len + len};
    char *at = stpcpy(stpcpy(made.bytes, top), head);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, part);
    stpcpy(at, tail);
    return made;
}

int send_all(int socket, const void *bytes, size_t len) {
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(socket, at, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        at += sent;
        len -= (size_t)sent;
    }
    return 1;
}

static const answer *answer_to(const char *request) {
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (strstr(request, answers[i].id) != NULL)
            return &answers[i];
    give_up("a request for no task of ours", request);
}

/* Looks send one request and wait for its answer, so one read never holds two requests. */
static void *talk(void *arg) {
    int socket = (int)(intptr_t)arg;
    char request[8192];
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(socket, request + len, sizeof request - 1 - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
        request[len] = '\0';
        if (len < 4 || memcmp(request + len - 4, "\r\n\r\n", 4) != 0)
            continue;
        len = 0;
        int is_picture = strncmp(request, "GET " PICTURE, strlen("GET " PICTURE)) == 0;
        int has_key = strstr(request, "uthorization: Bearer " KEY "\r\n") != NULL;
        if (is_picture == has_key)
            give_up("the key belongs to looks, and to nothing else", request);
        if (is_picture) {
            if (!picture_send(socket, strstr(request, PICTURE BIG) != NULL ? BIG : LITTLE))
                break;
            continue;
        }
        const answer *answer = answer_to(request);
        if (!send_all(socket, answer->bytes, answer->len))
            break;
    }
    close(socket);
    return NULL;
}

static void *accept_all(void *arg) {
    int listener = (int)(intptr_t)arg;
    for (;;) {
        int socket = accept(listener, NULL, NULL);
        int on = 1;
        pthread_t thread;
        if (socket < 0)
            give_up("accept", "failed");
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, talk, (void *)(intptr_t)socket) != 0)
            give_up("pthread_create", "failed");
        pthread_detach(thread);
    }
    return NULL;
}

void serve(void) {
    const char *head = "{\"id\":\"" SMALL "\",\"object\":\"image.task\",\"status\":\"succeeded\",\"progress\":100,"
                       "\"created_at\":1777080000,\"completed_at\":1777080060,"
                       "\"result\":{\"created\":1777080000,\"data\":[{\"url\":\"";
    const char *tail = "\",\"file_id\":\"" FILE_ID "\"}]}}";
    answers[0] = make(SMALL, head, LINK, 1, tail);
    answers[1] = make(INLINE, "{\"id\":\"" INLINE "\",\"status\":\"succeeded\",\"result\":{\"data\":[{\"url\":\"data:image/png;base64,",
                      "iVBORw0KGgoAAAANSUhE", 14 * 1000 * 1000 / 20, "\"}]}}");
    answers[2] = make(ROWS, "{\"id\":\"" ROWS "\",\"rows\":[", "{},", 1000 * 1000, "{}],\"status\":\"running\"}");
    const char *link = "{\"status\":\"succeeded\",\"result\":{\"data\":[{\"url\":\"" PICTURE;
    answers[3] = make(BIG, link, BIG, 1, "\"}]},\"id\":\"" BIG "\"}");
    answers[4] = make(LITTLE, link, LITTLE, 1, "\"}]},\"id\":\"" LITTLE "\"}");
    picture_make();

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        give_up("listen", "no socket on 127.0.0.1");
    pthread_t thread;
    if (pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)listener) != 0)
        give_up("pthread_create", "failed");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    while (getchar() != EOF)
        ;
}
