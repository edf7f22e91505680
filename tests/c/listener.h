/* A port of our own on loopback: to prove that nobody came, or to keep somebody waiting. */
#ifndef LISTENER_H
#define LISTENER_H

#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct listener {
    int socket;
    int port;
    char url[64];
} listener;

static inline listener listen_on_loopback(void)
{
    listener here;
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    here.socket = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(here.socket >= 0);
    CHECK(bind(here.socket, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(here.socket, 64) == 0);
    CHECK(getsockname(here.socket, (struct sockaddr *)&address, &length) == 0);
    CHECK(fcntl(here.socket, F_SETFL, O_NONBLOCK) == 0);
    here.port = ntohs(address.sin_port);
    snprintf(here.url, sizeof here.url, "http://127.0.0.1:%d", here.port);
    return here;
}

/* Whether somebody has connected since the last time it was asked; takes the connection. */
static inline int somebody_came(const listener *here)
{
    int connection = accept(here->socket, NULL, NULL);
    if (connection < 0) {
        CHECK(errno == EAGAIN || errno == EWOULDBLOCK);
        return 0;
    }
    close(connection);
    return 1;
}

/* Waits for a connection and for the first bytes on it; returns the connection. */
static inline int next_request(const listener *here, int limit_ms)
{
    struct pollfd wait = {here->socket, POLLIN, 0};
    char bytes[4096];
    int connection;
    CHECK(poll(&wait, 1, limit_ms) == 1);
    connection = accept(here->socket, NULL, NULL);
    CHECK(connection >= 0);
    CHECK(recv(connection, bytes, sizeof bytes, 0) > 0);
    return connection;
}

#endif
