/* Thousands of tasks through the C ABI, measured by their own process. Ids come on standard input, one a line; figures go to
 * standard output, "name value" each.
 *
 *     fleet watch  BASE KEY PER_MINUTE [DEAD_BASE]   every task to its end, beside a dead host where one is given
 *     fleet memory BASE KEY PER_MINUTE               what a waiting task weighs
 *     fleet empty  BASE KEY                          asking for an event when there is none
 *     fleet ask    BASE KEY CALLS                    so many calls of it, for a tool that counts instructions
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <imgtask.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 20000, SAMPLES = 400000 };

static char ids[MOST][64];
static size_t id_count;
static unsigned char delivered[MOST + 1];
static uint64_t samples[SAMPLES];

/* Counts what the library takes from the heap: these stand before the C library's own. */
static atomic_ulong allocations;
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *malloc(size_t size) { atomic_fetch_add(&allocations, 1); return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { atomic_fetch_add(&allocations, 1); return __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { atomic_fetch_add(&allocations, 1); return __libc_realloc(old, size); }

static void die(const char *what, imgtask_status status)
{
    fprintf(stderr, "%s: %s\n", what, imgtask_status_name(status));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static imgtask_client *client_at(const char *base, const char *key, uint32_t per_minute, uint32_t pace_ms)
{
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    imgtask_client *client = NULL;
    imgtask_error *error = NULL;
    options.provider = "lemondata";
    options.base_url = base;
    options.api_key = key;
    options.max_requests_per_minute = per_minute;
    options.poll_interval_ms = pace_ms;
    if (imgtask_client_create(&options, &client, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "%s\n", imgtask_error_message(error));
        exit(1);
    }
    return client;
}

static uint64_t start(imgtask_client *client, const char *id)
{
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    uint64_t op = 0;
    job.task_ref = id;
    job.goal = IMGTASK_GOAL_FINISHED;
    imgtask_status status = imgtask_client_start(client, &job, &op);
    if (status != IMGTASK_STATUS_OK) die("start", status);
    return op;
}

static imgtask_stats stats_of(imgtask_client *client)
{
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    imgtask_status status = imgtask_client_get_stats(client, &stats);
    if (status != IMGTASK_STATUS_OK) die("stats", status);
    return stats;
}

static size_t resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &pages, &resident) != 2) exit(1);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Entries of /proc/self/fd that are sockets, or of /proc/self/task. */
static size_t entries(const char *path, int sockets_only)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    if (!folder) exit(1);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char link[512], target[64] = "";
        if (entry->d_name[0] == '.') continue;
        snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
        if (sockets_only && (readlink(link, target, sizeof target - 1) < 0 || strncmp(target, "socket:", 7))) continue;
        count++;
    }
    closedir(folder);
    return count;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *name, double value) { printf("%s %.1f\n", name, value); }

static void watch(const char *base, const char *key, uint32_t per_minute, const char *dead_base)
{
    imgtask_client *client = client_at(base, key, per_minute, 0), *dead = NULL;
    size_t threads = 0, sockets = 0, finals = 0, twice = 0, succeeded = 0, sampled = 0, rounds = 0;
    if (dead_base) {
        dead = client_at(dead_base, key, per_minute, 0);
        for (size_t i = 0; i < id_count; i++) start(dead, ids[i]);
    }
    uint64_t began = now_ns();
    uint64_t first = 0;
    for (size_t i = 0; i < id_count; i++) {
        uint64_t op = start(client, ids[i]);
        if (!first) first = op;
    }
    while (imgtask_client_pending(client) > 0) {
        imgtask_event event = IMGTASK_INIT(imgtask_event);
        uint64_t before = now_ns();
        imgtask_status status = imgtask_client_next_event(client, 0, &event);
        uint64_t after = now_ns();
        if (sampled < SAMPLES) samples[sampled++] = after - before;
        if (status == IMGTASK_STATUS_OK) {
            imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
            size_t at = (size_t)(event.op - first);
            if (event.task && imgtask_task_get(event.task, &info) == IMGTASK_STATUS_OK && info.is_final) succeeded++;
            if (at > MOST || delivered[at]++) twice++;
            finals++;
            imgtask_event_clear(&event);
            continue;
        }
        if (status != IMGTASK_STATUS_NO_EVENT) die("next_event", status);
        if (rounds++ % 64 == 0) {
            size_t now_threads = entries("/proc/self/task", 0), now_sockets = entries("/proc/self/fd", 1);
            if (now_threads > threads) threads = now_threads;
            if (now_sockets > sockets) sockets = now_sockets;
        }
        if (now_ns() - began > 120000000000u) die("not finished in two minutes", IMGTASK_STATUS_TIMEOUT);
        pause_ms(1);
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    imgtask_stats stats = stats_of(client);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    qsort(samples, sampled, sizeof samples[0], ascending);
    print("finals", (double)finals);
    print("twice", (double)twice);
    print("ended", (double)succeeded);
    print("rate_limited", (double)stats.rate_limited);
    print("looks", (double)stats.looks);
    print("threads", (double)threads);
    print("sockets", (double)sockets);
    print("seconds", seconds);
    print("cpu_ms", (double)usage.ru_utime.tv_sec * 1e3 + (double)usage.ru_utime.tv_usec / 1e3 +
                        (double)usage.ru_stime.tv_sec * 1e3 + (double)usage.ru_stime.tv_usec / 1e3);
    print("ask_p50_ns", (double)samples[sampled / 2]);
    print("ask_p999_ns", (double)samples[sampled - 1 - sampled / 1000]);
    if (dead) {
        if (imgtask_client_close(dead, 5000) != IMGTASK_STATUS_OK) die("close", IMGTASK_STATUS_TIMEOUT);
        imgtask_client_free(dead);
    }
    imgtask_client_close(client, 5000);
    imgtask_client_free(client);
}

static void until_looks(imgtask_client *client, uint64_t looks)
{
    uint64_t began = now_ns();
    while (stats_of(client).looks < looks) {
        if (now_ns() - began > 60000000000u) die("too few looks in a minute", IMGTASK_STATUS_TIMEOUT);
        pause_ms(20);
    }
}

/* What each further waiting task adds, when all have been looked at twice. The few before them have filled what there is once. */
static void memory(const char *base, const char *key, uint32_t per_minute)
{
    enum { FEW = 200 };
    imgtask_client *client = client_at(base, key, per_minute, 100);
    if (id_count <= FEW) die("too few ids", IMGTASK_STATUS_INVALID_ARGUMENT);
    for (size_t i = 0; i < FEW; i++) start(client, ids[i]);
    until_looks(client, 20 * FEW);
    size_t before = resident_bytes();
    for (size_t i = FEW; i < id_count; i++) start(client, ids[i]);
    until_looks(client, stats_of(client).looks + 2 * id_count);
    size_t after = resident_bytes();
    print("bytes_a_task", ((double)after - (double)before) / (double)(id_count - FEW));
    imgtask_client_close(client, 5000);
    imgtask_client_free(client);
}

static void empty(const char *base, const char *key)
{
    enum { TURNS = 2001, CALLS = 500 };
    imgtask_client *client = client_at(base, key, 0, 0);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    unsigned long before = 0;
    for (size_t turn = 0; turn < TURNS; turn++) {
        uint64_t began = now_ns();
        for (size_t call = 0; call < CALLS; call++) {
            imgtask_status status = imgtask_client_next_event(client, 0, &event);
            if (status != IMGTASK_STATUS_NO_EVENT) die("next_event", status);
        }
        samples[turn] = now_ns() - began;
        if (turn == 0) before = atomic_load(&allocations);
    }
    unsigned long more = atomic_load(&allocations) - before;
    qsort(samples, TURNS, sizeof samples[0], ascending);
    print("ask_ns", (double)samples[TURNS / 2] / CALLS);
    print("allocations", (double)more);
    imgtask_client_free(client);
}

static void ask(const char *base, const char *key, unsigned long calls)
{
    imgtask_client *client = client_at(base, key, 0, 0);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    while (calls--) {
        imgtask_status status = imgtask_client_next_event(client, 0, &event);
        if (status != IMGTASK_STATUS_NO_EVENT) die("next_event", status);
    }
    imgtask_client_free(client);
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    if (!strcmp(argv[1], "empty")) {
        empty(argv[2], argv[3]);
        return 0;
    }
    if (argc < 5) return 2;
    if (!strcmp(argv[1], "ask")) {
        ask(argv[2], argv[3], strtoul(argv[4], NULL, 10));
        return 0;
    }
    while (id_count < MOST && scanf("%63s", ids[id_count]) == 1) id_count++;
    uint32_t per_minute = (uint32_t)strtoul(argv[4], NULL, 10);
    if (!strcmp(argv[1], "watch")) watch(argv[2], argv[3], per_minute, argc > 5 ? argv[5] : NULL);
    else if (!strcmp(argv[1], "memory")) memory(argv[2], argv[3], per_minute);
    else return 2;
    return 0;
}
