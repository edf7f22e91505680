/* The log sink is told what happened, on the caller's thread, and never a secret. */
#include "check.h"

#include <pthread.h>

typedef struct notes {
    imgtask_client *client;
    pthread_t thread;
    char text[16384];
    unsigned lines;
    int call_back;
} notes;

static void note(void *user_data, uint32_t level, const char *line)
{
    notes *kept = user_data;
    size_t used = strlen(kept->text);
    CHECK(pthread_equal(pthread_self(), kept->thread));
    CHECK(level >= IMGTASK_LOG_LEVEL_ERROR && level <= IMGTASK_LOG_LEVEL_DEBUG);
    CHECK(strchr(line, '\n') == NULL);
    CHECK(used + strlen(line) + 2 < sizeof kept->text);
    strcat(kept->text, line);
    strcat(kept->text, "\n");
    kept->lines++;
    if (kept->call_back && kept->client != NULL) {
        imgtask_task *task = NULL;
        imgtask_client *other = NULL;
        imgtask_client_options options = options_for("dimilinks", NULL, "key");
        CHECK_REFUSED(imgtask_client_fetch(kept->client, "task_1", &task, &error), IMGTASK_STATUS_BUSY, "log sink");
        CHECK_REFUSED(imgtask_client_create(&options, &other, &error), IMGTASK_STATUS_BUSY, "log sink");
        CHECK_STATUS(imgtask_client_close(kept->client, 0), IMGTASK_STATUS_BUSY);
        CHECK_TEXT(imgtask_status_name(IMGTASK_STATUS_BUSY), "busy");
    }
}

static notes kept_by(uint32_t level, int call_back, const char *prompt)
{
    notes kept;
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_task *task = NULL, *final = NULL;
    imgtask_bytes *bytes = NULL;
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    char request[256];
    memset(&kept, 0, sizeof kept);
    kept.thread = pthread_self();
    kept.call_back = call_back;
    options.poll_interval_ms = 20;
    options.log_level = level;
    options.log = note;
    options.log_user_data = &kept;
    kept.client = client_with(&options);
    snprintf(request, sizeof request, "{\"model\":\"gpt-image-1\",\"prompt\":\"%s\",\"size\":\"64x64\"}", prompt);
    CHECK_STATUS(imgtask_client_submit(kept.client, request, &task, NULL), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_wait(kept.client, info.id, 60000, &final, NULL), IMGTASK_STATUS_OK);
    CHECK_STATUS(imgtask_client_download(kept.client, final, 0, 0, &bytes, NULL), IMGTASK_STATUS_OK);
    imgtask_task_free(task);
    CHECK_STATUS(imgtask_client_fetch(kept.client, "img_000000000000000000000000", &task, NULL), IMGTASK_STATUS_NOT_FOUND);
    imgtask_bytes_free(bytes);
    imgtask_task_free(final);
    imgtask_client_free(kept.client);
    return kept;
}

static void no_secret_is_told(const notes *kept)
{
    CHECK(strstr(kept->text, setting("KEY", "dimilinks")) == NULL);
    CHECK(strstr(kept->text, "sig=") == NULL);
    CHECK(strstr(kept->text, "secret prompt") == NULL);
}

int main(void)
{
    notes all, few, none;
    all = kept_by(IMGTASK_LOG_LEVEL_DEBUG, 1, "a secret prompt");
    no_secret_is_told(&all);
    CHECK(all.lines >= 3);
    few = kept_by(IMGTASK_LOG_LEVEL_INFO, 0, "a secret prompt");
    no_secret_is_told(&few);
    CHECK(few.lines >= 2 && few.lines < all.lines);
    none = kept_by(IMGTASK_LOG_LEVEL_OFF, 0, "a secret prompt");
    CHECK(none.lines == 0);
    return done();
}
