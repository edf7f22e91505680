/* A look, and a download, as a careful C programmer writes them by hand: one libcurl handle that is kept, cJSON for the answer,
 * stdio for the file. */

#include "cost.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct state {
    const char *base;
    CURL *curl;
    struct curl_slist *headers;
    char *body;
    size_t len, room;
    char message[CURL_ERROR_SIZE];
} state;

static size_t take(char *bytes, size_t one, size_t count, void *opened) {
    state *way = opened;
    (void)one;
    if (way->len + count + 1 > way->room) {
        size_t room = 2 * (way->len + count + 1);
        char *body = realloc(way->body, room);
        if (body == NULL)
            return 0;
        way->body = body;
        way->room = room;
    }
    memcpy(way->body + way->len, bytes, count);
    way->len += count;
    way->body[way->len] = '\0';
    return count;
}

static void *open_way(const char *base, uint16_t port) {
    (void)port;
    state *way = calloc(1, sizeof *way);
    if (way == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (way->curl = curl_easy_init()) == NULL)
        give_up("curl_easy_init", "failed");
    way->base = base;
    way->headers = curl_slist_append(way->headers, "Authorization: Bearer " KEY);
    way->headers = curl_slist_append(way->headers, "Accept: application/json");
    curl_easy_setopt(way->curl, CURLOPT_HTTPHEADER, way->headers);
    curl_easy_setopt(way->curl, CURLOPT_TIMEOUT_MS, (long)DEADLINE_MS);
    curl_easy_setopt(way->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(way->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(way->curl, CURLOPT_USERAGENT, "bench/1.0");
    curl_easy_setopt(way->curl, CURLOPT_ERRORBUFFER, way->message);
    curl_easy_setopt(way->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(way->curl, CURLOPT_WRITEDATA, way);
    return way;
}

static const char *text(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static double number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static void look(void *opened, const char *task_id) {
    state *way = opened;
    char address[256], url[512];
    long status = 0;
    snprintf(address, sizeof address, "%s/v1/tasks/%s", way->base, task_id);
    curl_easy_setopt(way->curl, CURLOPT_URL, address);
    way->len = 0;
    if (curl_easy_perform(way->curl) != CURLE_OK)
        give_up("curl_easy_perform", way->message);
    curl_easy_getinfo(way->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        give_up("curl_easy_perform", "not 200");
    cJSON *task = cJSON_ParseWithLength(way->body, way->len);
    if (task == NULL || strcmp(text(task, "id"), task_id) != 0)
        give_up("cJSON", "not the task");
    if (strcmp(task_id, SMALL) == 0) {
        const cJSON *result = cJSON_GetObjectItemCaseSensitive(task, "result");
        const cJSON *image = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(result, "data"), 0);
        if (strcmp(text(task, "status"), "succeeded") != 0 || number(task, "progress") != 100)
            give_up("cJSON", "not succeeded");
        snprintf(url, sizeof url, "%s%s", way->base, text(image, "url"));
        check_image(url, way->base, text(image, "file_id"), (int64_t)number(task, "created_at"),
                    (int64_t)number(task, "completed_at"));
    }
    cJSON_Delete(task);
}

/* As the program curl does it, with its buffer; then what makes a file one that a crash does not take, as the library does it too.
 * Nothing looks at what came: that it is an image, that its end is there, its SHA-256. */
static void save(void *opened, const char *task_id, const char *path) {
    state *way = opened;
    char address[256], temporary[512];
    long status = 0;
    snprintf(address, sizeof address, "%s" PICTURE "%s", way->base, task_id);
    snprintf(temporary, sizeof temporary, "%s.part", path);
    FILE *file = fopen(temporary, "wb");
    CURL *curl = curl_easy_init();
    if (file == NULL || curl == NULL)
        give_up(temporary, "cannot be written");
    curl_easy_setopt(curl, CURLOPT_URL, address);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 100L * 1024);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)DEADLINE_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, way->message);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
    if (curl_easy_perform(curl) != CURLE_OK)
        give_up("curl_easy_perform", way->message);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (status != 200 || fflush(file) != 0)
        give_up(temporary, "cannot be written");
    keep(fileno(file), temporary, path);
    fclose(file);
}

static void close_way(void *opened) {
    state *way = opened;
    curl_easy_cleanup(way->curl);
    curl_slist_free_all(way->headers);
    curl_global_cleanup();
    free(way->body);
    free(way);
}

const way way_curl = {"curl", open_way, look, save, close_way};
