/* Loaded before a program: makes the disk slow, full or broken, or ends the program at one of the steps in which it asks the system to
 * write to a file or to talk to a peer.
 *
 *     STEPS_KILL_AT=n   SIGKILL instead of the n-th step, from 1
 *     STEPS_SYNC_MS=n   every wait for the disk lasts so long
 *     STEPS_FULL=path   no byte fits on the disk while there is a file of this name
 *     STEPS_FAIL=call:n:error:path   this call fails from the n-th on with this errno, while there is a file of this name; only for the
 *                       parts of images: open, write (the n-th takes half of its bytes), fchmod, fsync, close; and of
 *                       their folder: open-folder, and folder, which is the fsync of one */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* Whether a call of a part is to fail; `nth` counts those while it is to. */
static int fails(const char *call, int *nth)
{
    static atomic_int done;
    const char *what = getenv("STEPS_FAIL");
    char wanted[16], path[1000];
    int from, error;
    if (what == NULL || sscanf(what, "%15[^:]:%d:%d:%999s", wanted, &from, &error, path) != 4)
        return 0;
    if (strcmp(wanted, call) != 0 || access(path, F_OK) != 0)
        return 0;
    *nth = atomic_fetch_add(&done, 1) + 1 - from;
    if (*nth < 0)
        return 0;
    errno = error;
    return 1;
}

/* The same of a descriptor, whose file has to be a part. */
static int fails_for(const char *call, int file, int *nth)
{
    char link[64], name[1000];
    ssize_t length;
    if (getenv("STEPS_FAIL") == NULL)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, name, sizeof name - 1);
    if (length < 0)
        return 0;
    name[length] = 0;
    return strstr(name, "/.imgtask-") != NULL && fails(call, nth);
}

static int is_folder(int file)
{
    struct stat found;
    return fstat(file, &found) == 0 && S_ISDIR(found.st_mode);
}

static int is_folder_at(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
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
    int nth;
    step();
    slow_down();
    if (is_folder(file) ? fails("folder", &nth) : fails_for("fsync", file, &nth))
        return -1;
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
    int nth;
    step();
    if (fails_for("write", file, &nth)) {
        if (nth == 0 && count > 1)
            return next(file, bytes, count / 2);
        return -1;
    }
    return next(file, bytes, count);
}

typedef int open64_fn(const char *, int, ...);
int open64(const char *path, int flags, ...)
{
    NEXT(open64);
    int nth;
    va_list rest;
    mode_t mode;
    va_start(rest, flags);
    mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (strstr(path, "/.imgtask-") != NULL ? fails("open", &nth) : is_folder_at(path) && fails("open-folder", &nth))
        return -1;
    return next(path, flags, mode);
}

typedef int fchmod_fn(int, mode_t);
int fchmod(int file, mode_t mode)
{
    NEXT(fchmod);
    int nth;
    return fails_for("fchmod", file, &nth) ? -1 : next(file, mode);
}

/* The descriptor is gone whatever close says. */
typedef int close_fn(int);
int close(int file)
{
    NEXT(close);
    int nth, failed = fails_for("close", file, &nth), error = errno, result = next(file);
    if (!failed)
        return result;
    errno = error;
    return -1;
}
