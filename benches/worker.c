/* One side of the cost benchmark, which run.py conducts:
 *
 *     worker serve          the server, in a process of its own so that its work is nobody else's
 *     worker WAY PORT       looks at tasks of that server in one way: imgtask, job, curl or raw
 *
 * A way takes its orders from stdin and answers each with a line:
 *
 *     M N        looks M times, to have its caches to itself, then N times; nanoseconds of wall time of the N
 *     peak ID    looks once at the task ID; bytes of resident memory that the process grew by at most
 *     save ID FILE   saves the image of the task ID; nanoseconds, and by how many bytes resident memory grew at most
 *     end        microseconds of user CPU, microseconds of system CPU and threads started, since the first order's end
 */

#define _GNU_SOURCE
#include "cost.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

size_t threads_started;

/* Stands before the C library's, for the libraries too: a thread that came and went is counted. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    __atomic_add_fetch(&threads_started, 1, __ATOMIC_RELAXED);
    return real(thread, attr, start, arg);
}

void give_up(const char *what, const char *detail) {
    fprintf(stderr, "worker: %s: %s\n", what, detail);
    exit(1);
}

void check_image(const char *url, const char *base, const char *file_id, int64_t created, int64_t completed) {
    size_t head = strlen(base);
    if (strncmp(url, base, head) != 0 || strcmp(url + head, LINK) != 0)
        give_up("wrong address", url);
    if (strcmp(file_id, FILE_ID) != 0)
        give_up("wrong file id", file_id);
    if (created != CREATED || completed != COMPLETED)
        give_up("wrong time", url);
}

/* Server and clients share one core: what counts is work, not how well two cores hand over. */
static void pin(void) {
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        give_up("sched_getaffinity", "failed");
    int last = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            last = cpu;
    CPU_SET(last, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        give_up("sched_setaffinity", "failed");
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int64_t microseconds(struct timeval time) {
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

/* A line of /proc/self/status in bytes. */
static int64_t memory(const char *name) {
    char line[256];
    int64_t kibibytes = -1;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL)
        give_up("/proc/self/status", "cannot be read");
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kibibytes = strtoll(line + strlen(name), NULL, 10);
    fclose(status);
    if (kibibytes < 0)
        give_up(name, "is not in /proc/self/status");
    return kibibytes * 1024;
}

/* The peak is set back to what is resident now. */
static void forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL || fputs("5", file) < 0 || fclose(file) != 0)
        give_up("/proc/self/clear_refs", "cannot be written");
}

void keep(int file, const char *temporary, const char *path) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        give_up(path, "has no folder");
    *slash = '\0';
    int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fsync(file) != 0 || rename(temporary, path) != 0 || opened < 0 || fsync(opened) != 0 || close(opened) != 0)
        give_up(path, "cannot be brought to the disk");
}

static void save(const way *way, void *state, char *order) {
    char *path = strchr(order, ' ');
    if (path == NULL || way->save == NULL)
        give_up(order, "cannot be saved");
    *path++ = '\0';
    forget_peak();
    int64_t before = memory("VmRSS:");
    uint64_t start = now_ns();
    way->save(state, order, path);
    uint64_t time = now_ns() - start;
    printf("%llu %lld\n", (unsigned long long)time, (long long)(memory("VmHWM:") - before));
}

static void work(const way *way, uint16_t port) {
    char base[64], order[512];
    snprintf(base, sizeof base, "http://127.0.0.1:%u", port);
    void *state = way->open(base, port);
    struct rusage first = {0}, last;
    size_t threads = 0;
    for (int orders = 0; fgets(order, sizeof order, stdin) != NULL; orders++) {
        order[strcspn(order, "\n")] = '\0';
        if (strcmp(order, "end") == 0)
            break;
        if (strncmp(order, "peak ", 5) == 0) {
            forget_peak();
            int64_t before = memory("VmRSS:");
            way->look(state, order + 5);
            printf("%lld\n", (long long)(memory("VmHWM:") - before));
        } else if (strncmp(order, "save ", 5) == 0) {
            save(way, state, order + 5);
        } else {
            char *rest;
            for (long left = strtol(order, &rest, 10); left > 0; left--)
                way->look(state, SMALL);
            uint64_t start = now_ns();
            for (long left = strtol(rest, NULL, 10); left > 0; left--)
                way->look(state, SMALL);
            printf("%llu\n", (unsigned long long)(now_ns() - start));
        }
        fflush(stdout);
        if (orders == 0) {
            getrusage(RUSAGE_SELF, &first);
            threads = threads_started;
        }
    }
    getrusage(RUSAGE_SELF, &last);
    /* Were a library's calls to go past the counter, no thread would ever be counted. */
    if (dlsym(RTLD_DEFAULT, "pthread_create") != (void *)pthread_create)
        give_up("pthread_create", "the libraries do not call the counting one");
    printf("%lld %lld %zu\n", (long long)(microseconds(last.ru_utime) - microseconds(first.ru_utime)),
           (long long)(microseconds(last.ru_stime) - microseconds(first.ru_stime)), threads_started - threads);
    way->close(state);
}

int main(int argc, char **argv) {
    static const way *const ways[] = {
        &way_imgtask,
        &way_job,
        &way_raw,
#ifndef NO_CURL
        &way_curl,
#endif
    };
    pin();
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        serve();
        return 0;
    }
    for (size_t i = 0; argc == 3 && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(argv[1], ways[i]->name) == 0) {
            work(ways[i], (uint16_t)strtoul(argv[2], NULL, 10));
            return 0;
        }
    }
    give_up("usage", "worker serve | worker imgtask|job|curl|raw PORT");
}
