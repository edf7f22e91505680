/* Loaded before a program: makes the disk slow or full, or ends the program at one of the steps in which it asks the system to write to
 * a file or to talk to a peer.
 *
 *     STEPS_KILL_AT=n   SIGKILL instead of the n-th step, from 1
 *     STEPS_SYNC_MS=n   every wait for the disk lasts so long
 *     STEPS_FULL=path   no byte fits on the disk while there is a file of this name */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void step(void)
{
    static atomic_int done;
    const char *at = getenv("STEPS_KILL_AT");
    if (at != NULL && atomic_fetch_add(&done, 1) + 1 == atoi(at))
        kill(getpid(), SIGKILL);
}

static int is_full(void)
{
    const char *path = getenv("STEPS_FULL");
    if (path == NULL || access(path, F_OK) != 0)
        return 0;
    errno = ENOSPC;
    return 1;
}

static void slow_down(void)
{
    const char *value = getenv("STEPS_SYNC_MS");
    long ms = value == NULL ? 0 : atol(value);
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

#define NEXT(name) \
    static name##_fn *next; \
    if (next == NULL) \
        next = (name##_fn *)dlsym(RTLD_NEXT, #name)

typedef ssize_t pwrite64_fn(int, const void *, size_t, off64_t);
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at)
{
    NEXT(pwrite64);
    step();
    return is_full() ? -1 : next(file, bytes, count, at);
}

typedef int fdatasync_fn(int);
int fdatasync(int file)
{
    NEXT(fdatasync);
    step();
    slow_down();
    return is_full() ? -1 : next(file);
}

typedef int fsync_fn(int);
int fsync(int file)
{
    NEXT(fsync);
    step();
    slow_down();
    return next(file);
}

typedef int ftruncate64_fn(int, off64_t);
int ftruncate64(int file, off64_t length)
{
    NEXT(ftruncate64);
    step();
    return is_full() ? -1 : next(file, length);
}

typedef int rename_fn(const char *, const char *);
int rename(const char *from, const char *to)
{
    NEXT(rename);
    step();
    return next(from, to);
}

typedef int linkat_fn(int, const char *, int, const char *, int);
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    NEXT(linkat);
    step();
    return next(from_folder, from, to_folder, to, flags);
}

typedef ssize_t send_fn(int, const void *, size_t, int);
ssize_t send(int socket, const void *bytes, size_t count, int flags)
{
    NEXT(send);
    step();
    return next(socket, bytes, count, flags);
}

typedef ssize_t recv_fn(int, void *, size_t, int);
ssize_t recv(int socket, void *bytes, size_t count, int flags)
{
    NEXT(recv);
    step();
    return next(socket, bytes, count, flags);
}

typedef ssize_t write_fn(int, const void *, size_t);
ssize_t write(int file, const void *bytes, size_t count)
{
    NEXT(write);
    step();
    return next(file, bytes, count);
}
