/* Work that goes on by itself: what can be started, what it comes to, and how that is told. */
#include "events.h"
#include "listener.h"

static int file_exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file != NULL)
        fclose(file);
    return file != NULL;
}

/* ---- goals ---- */

static void a_job_goes_from_each_beginning_to_each_goal(const char *provider)
{
    imgtask_client *client = sandbox_client(provider);
    imgtask_job job = job_of(CUP, IMGTASK_GOAL_SUBMITTED);
    imgtask_task *submitted, *final;
    imgtask_event event;
    imgtask_bytes_info file = IMGTASK_INIT(imgtask_bytes_info);
    char path[256];
    uint64_t first, op, looks;

    first = started(client, &job);
    event = final_event(client, first, IMGTASK_STATUS_OK);
    CHECK(event.goal == IMGTASK_GOAL_SUBMITTED && event.bytes == NULL && event.error == NULL);
    submitted = event.task;
    event.task = NULL;
    imgtask_event_clear(&event);
    CHECK(strlen(info_of(submitted).id) > 0 && !info_of(submitted).is_final);
    CHECK(stats_of(client).looks == 0);

    job = job_for(info_of(submitted).id, IMGTASK_GOAL_LOOKED);
    op = started(client, &job);
    CHECK(op > first);
    event = final_event(client, op, IMGTASK_STATUS_OK);
    CHECK(event.goal == IMGTASK_GOAL_LOOKED);
    CHECK_TEXT(info_of(event.task).id, info_of(submitted).id);
    CHECK(info_of(event.task).looked_at_ms > 1500000000000);
    imgtask_event_clear(&event);
    CHECK(stats_of(client).looks == 1);

    job = job_for(NULL, IMGTASK_GOAL_FINISHED);
    job.task = submitted;
    op = started(client, &job);
    /* Everything was copied. */
    imgtask_task_free(submitted);
    event = final_event(client, op, IMGTASK_STATUS_OK);
    CHECK(event.goal == IMGTASK_GOAL_FINISHED && event.bytes == NULL);
    final = event.task;
    event.task = NULL;
    imgtask_event_clear(&event);
    CHECK(info_of(final).state == IMGTASK_TASK_STATE_SUCCEEDED && info_of(final).image_count == 1);
    CHECK_HOLDS(imgtask_task_json(final, NULL), info_of(final).id);

    /* A final task is downloaded without another look. */
    looks = stats_of(client).looks;
    job = job_for(NULL, IMGTASK_GOAL_BYTES);
    job.task = final;
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    CHECK(event.goal == IMGTASK_GOAL_BYTES && event.image_index == 0);
    png(event.bytes);
    CHECK_TEXT(info_of(event.task).id, info_of(final).id);
    imgtask_event_clear(&event);
    CHECK(stats_of(client).looks == looks);
    /* And one that wants a look gets one. */
    job.goal = IMGTASK_GOAL_LOOKED;
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    imgtask_event_clear(&event);
    CHECK(stats_of(client).looks == looks + 1);

    job = job_for(info_of(final).poll_ref, IMGTASK_GOAL_FILE);
    job.path = "{id}-{index}.{ext}";
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    CHECK(event.goal == IMGTASK_GOAL_FILE);
    CHECK_STATUS(imgtask_bytes_get(event.bytes, &file), IMGTASK_STATUS_OK);
    CHECK(file.data == NULL && file.len > 8);
    snprintf(path, sizeof path, "%s-0.png", info_of(final).id);
    CHECK_HOLDS(file.path, path);
    CHECK(file_exists(path));
    imgtask_event_clear(&event);

    /* What stands there and may not be replaced stays; when it is this very image, that is what was asked for. */
    job.flags = IMGTASK_FLAG_NO_REPLACE;
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    CHECK(event.goal == IMGTASK_GOAL_FILE && event.bytes != NULL);
    imgtask_event_clear(&event);
    CHECK(truncate(path, 8) == 0);
    event = final_event(client, started(client, &job), IMGTASK_STATUS_FILE);
    CHECK(event.bytes == NULL && event.goal == IMGTASK_GOAL_FINISHED && event.task != NULL);
    imgtask_event_clear(&event);
    remove(path);

    imgtask_task_free(final);
    nothing_waits(client);
    CHECK(imgtask_client_pending(client) == 0);
    imgtask_client_free(client);
}

static void one_job_goes_from_a_prompt_to_the_bytes_and_tells_of_its_progress(void)
{
    imgtask_client *client = sandbox_client("lemondata");
    imgtask_job job = job_of(CUP, IMGTASK_GOAL_BYTES);
    char label[32] = "the cup";
    int told = 0, last = -1, last_goal = 0;
    uint64_t op;
    job.flags = IMGTASK_FLAG_PROGRESS;
    job.label = label;
    job.user_data = &told;
    op = started(client, &job);
    memset(label, 0, sizeof label);
    for (;;) {
        imgtask_event event = next_event(client);
        CHECK(event.op == op && event.user_data == &told);
        CHECK_TEXT(event.label, "the cup");
        if (event.kind == IMGTASK_EVENT_KIND_FINAL) {
            CHECK(event.status == IMGTASK_STATUS_OK && event.goal == IMGTASK_GOAL_BYTES);
            png(event.bytes);
            imgtask_event_clear(&event);
            break;
        }
        CHECK(event.kind == IMGTASK_EVENT_KIND_PROGRESS && event.status == IMGTASK_STATUS_OK && event.bytes == NULL);
        CHECK((int)event.goal >= last_goal && event.goal < IMGTASK_GOAL_BYTES);
        CHECK(info_of(event.task).progress >= last && info_of(event.task).progress < 100);
        last = info_of(event.task).progress;
        last_goal = (int)event.goal;
        told++;
        imgtask_event_clear(&event);
    }
    CHECK(told >= 1);
    nothing_waits(client);
    imgtask_client_free(client);
}

static void every_image_has_an_event_of_its_own(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_job job = job_of("{\"model\":\"gpt-image-1\",\"prompt\":\"cups\",\"size\":\"64x64\",\"n\":3}", IMGTASK_GOAL_BYTES);
    imgtask_task *final;
    imgtask_event event;
    uint64_t op;
    size_t i;
    job.image_index = IMGTASK_ALL_IMAGES;
    op = started(client, &job);
    for (i = 0; i < 3; i++) {
        event = next_event(client);
        CHECK(event.op == op && event.kind == IMGTASK_EVENT_KIND_IMAGE && event.image_index == i);
        CHECK(event.status == IMGTASK_STATUS_OK && event.goal == IMGTASK_GOAL_BYTES);
        png(event.bytes);
        imgtask_event_clear(&event);
    }
    event = final_event(client, op, IMGTASK_STATUS_OK);
    CHECK(event.bytes == NULL && event.goal == IMGTASK_GOAL_BYTES && info_of(event.task).image_count == 3);
    final = event.task;
    event.task = NULL;
    imgtask_event_clear(&event);

    job = job_for(NULL, IMGTASK_GOAL_FILE);
    job.task = final;
    job.image_index = IMGTASK_ALL_IMAGES;
    job.path = "all-{index}.{ext}";
    op = started(client, &job);
    for (i = 0; i < 3; i++) {
        char path[32];
        event = next_event(client);
        CHECK(event.op == op && event.kind == IMGTASK_EVENT_KIND_IMAGE && event.image_index == i);
        imgtask_event_clear(&event);
        snprintf(path, sizeof path, "all-%d.png", (int)i);
        CHECK(file_exists(path));
        remove(path);
    }
    event = final_event(client, op, IMGTASK_STATUS_OK);
    imgtask_event_clear(&event);

    /* One of them alone, and one that there is not. */
    job.image_index = 2;
    job.goal = IMGTASK_GOAL_BYTES;
    job.path = NULL;
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    CHECK(event.image_index == 2);
    png(event.bytes);
    imgtask_event_clear(&event);
    job.image_index = 3;
    event = final_event(client, started(client, &job), IMGTASK_STATUS_INVALID_ARGUMENT);
    CHECK_HOLDS(imgtask_error_message(event.error), "image");
    imgtask_event_clear(&event);
    imgtask_task_free(final);
    imgtask_client_free(client);
}

static void what_a_job_can_end_in_besides_its_goal(void)
{
    const char *unknown = "img_000000000000000000000000";
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_job job = job_of("{\"model\":\"gpt-image-1\",\"prompt\":\"a cup [fail:content_policy_violation]\"}", IMGTASK_GOAL_FINISHED);
    imgtask_task *never = endless(client);
    imgtask_error_info why = IMGTASK_INIT(imgtask_error_info);
    imgtask_event event;

    /* A task that failed was watched to its end: the state says how it ended. */
    event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    CHECK(info_of(event.task).state == IMGTASK_TASK_STATE_FAILED);
    CHECK(info_of(event.task).failure_action == IMGTASK_FAILURE_ACTION_CHANGE_REQUEST);
    imgtask_event_clear(&event);
    /* But it has no image. */
    job.goal = IMGTASK_GOAL_BYTES;
    event = final_event(client, started(client, &job), IMGTASK_STATUS_NO_IMAGE);
    CHECK(event.goal == IMGTASK_GOAL_FINISHED && event.bytes == NULL);
    CHECK(info_of(event.task).state == IMGTASK_TASK_STATE_FAILED);
    imgtask_event_clear(&event);

    job = job_for(unknown, IMGTASK_GOAL_FINISHED);
    event = final_event(client, started(client, &job), IMGTASK_STATUS_NOT_FOUND);
    CHECK(event.task == NULL && event.goal == 0);
    CHECK_STATUS(imgtask_error_get(event.error, &why), IMGTASK_STATUS_OK);
    CHECK_TEXT(why.task_id, unknown);
    imgtask_event_clear(&event);

    job = job_for(info_of(never).id, IMGTASK_GOAL_BYTES);
    job.timeout_ms = 300;
    event = final_event(client, started(client, &job), IMGTASK_STATUS_TIMEOUT);
    CHECK(event.goal == IMGTASK_GOAL_LOOKED);
    CHECK_TEXT(info_of(event.task).id, info_of(never).id);
    CHECK(!info_of(event.task).is_final);
    imgtask_event_clear(&event);

    /* A request that the service refuses. */
    CHECK_STATUS(imgtask_client_set_key(client, "canary-0123456789", NULL), IMGTASK_STATUS_OK);
    job = job_of(CUP, IMGTASK_GOAL_SUBMITTED);
    event = final_event(client, started(client, &job), IMGTASK_STATUS_UNAUTHORIZED);
    CHECK(event.task == NULL && event.goal == 0);
    CHECK(strstr(imgtask_error_message(event.error), "canary") == NULL);
    imgtask_event_clear(&event);
    imgtask_task_free(never);
    imgtask_client_free(client);
}

/* ---- arguments ---- */

#define REFUSED(job, wanted) \
    do { \
        uint64_t op = 7; \
        CHECK_STATUS(imgtask_client_start(client, job, &op), wanted); \
        CHECK(op == 0); \
    } while (0)

typedef struct job_of_tomorrow {
    imgtask_job today;
    size_t tomorrow;
} job_of_tomorrow;

static char told[4096];

static void keep_line(void *user_data, uint32_t level, const char *line)
{
    (void)user_data;
    CHECK(level >= IMGTASK_LOG_LEVEL_ERROR);
    snprintf(told, sizeof told, "%s", line);
}

static void what_is_no_job_is_refused_and_nothing_is_sent(void)
{
    const imgtask_status invalid = IMGTASK_STATUS_INVALID_ARGUMENT, unsupported = IMGTASK_STATUS_UNSUPPORTED;
    listener here = listen_on_loopback();
    imgtask_client_options options = options_for("dimilinks", here.url, "key");
    imgtask_client *client;
    imgtask_client *sandbox = sandbox_client("dimilinks");
    imgtask_task *task = endless(sandbox);
    imgtask_job job, good = job_for("task_1", IMGTASK_GOAL_FINISHED);
    job_of_tomorrow newer;
    char label[300];
    const char *bad_refs[] = {"a/b", "//127.0.0.1/v1/tasks/x", "/v1/tasks/../x", "/v1/tasks/%2e%2e/x", "/p/img/x", "task#1",
                              "http://user@127.0.0.1/v1/tasks/x", "https://example.com/v1/tasks/x"};
    size_t i;
    options.log_level = IMGTASK_LOG_LEVEL_WARN;
    options.log = keep_line;
    client = client_with(&options);

    CHECK_STATUS(imgtask_client_start(NULL, &good, NULL), IMGTASK_STATUS_NULL_ARGUMENT);
    REFUSED(NULL, IMGTASK_STATUS_NULL_ARGUMENT);
    CHECK_HOLDS(told, "job");
    /* Where it begins: one of three. */
    job = job_for(NULL, IMGTASK_GOAL_FINISHED);
    REFUSED(&job, IMGTASK_STATUS_NULL_ARGUMENT);
    CHECK_HOLDS(told, "task_ref");
    job = job_for("task_1", IMGTASK_GOAL_FINISHED);
    job.request_json = CUP;
    REFUSED(&job, invalid);
    CHECK_HOLDS(told, "not several");
    job.request_json = NULL;
    job.task = task;
    REFUSED(&job, invalid);
    job = job_of(CUP, IMGTASK_GOAL_FINISHED);
    job.task = task;
    REFUSED(&job, invalid);
    for (i = 0; i < sizeof bad_refs / sizeof *bad_refs; i++) {
        job = job_for(bad_refs[i], IMGTASK_GOAL_FINISHED);
        REFUSED(&job, invalid);
    }
    job = job_for("\xff", IMGTASK_GOAL_FINISHED);
    REFUSED(&job, IMGTASK_STATUS_INVALID_UTF8);
    job = job_of("\xff", IMGTASK_GOAL_FINISHED);
    REFUSED(&job, IMGTASK_STATUS_INVALID_UTF8);
    job = job_of("", IMGTASK_GOAL_FINISHED);
    REFUSED(&job, invalid);
    job = job_of("[1]", IMGTASK_GOAL_FINISHED);
    REFUSED(&job, invalid);
    job = job_of("{\"prompt\":", IMGTASK_GOAL_FINISHED);
    REFUSED(&job, invalid);

    /* How far it goes. */
    job = job_for("task_1", 0);
    REFUSED(&job, invalid);
    CHECK_HOLDS(told, "goal");
    job = job_for("task_1", 7);
    REFUSED(&job, invalid);
    job = job_for("task_1", IMGTASK_GOAL_SUBMITTED);
    REFUSED(&job, invalid);
    CHECK_HOLDS(told, "submitted");
    for (i = 0; i < 32; i++) {
        job = good;
        job.flags = (uint32_t)1 << i;
        if (job.flags > IMGTASK_FLAG_PREMULTIPLY)
            REFUSED(&job, unsupported);
        else if (job.flags > IMGTASK_FLAG_NO_REPLACE)
            REFUSED(&job, invalid);
    }
    /* How pixels lie is said of pixels alone. */
    job = good;
    job.max_side = 512;
    REFUSED(&job, invalid);
    CHECK_HOLDS(told, "pixels");

    /* Where it goes. */
    job = job_for("task_1", IMGTASK_GOAL_FILE);
    REFUSED(&job, invalid);
    CHECK_HOLDS(told, "path");
    job.path = "";
    REFUSED(&job, invalid);
    job.path = "\xff";
    REFUSED(&job, IMGTASK_STATUS_INVALID_UTF8);
    job.path = "{id}.{ext}";
    job.image_index = IMGTASK_ALL_IMAGES;
    REFUSED(&job, invalid);
    CHECK_HOLDS(told, "{index}");
    job = job_for("task_1", IMGTASK_GOAL_BYTES);
    job.path = "x.png";
    REFUSED(&job, invalid);

    memset(label, 'a', sizeof label);
    label[257] = 0;
    job = good;
    job.label = label;
    REFUSED(&job, invalid);
    CHECK_HOLDS(told, "256");
    job.label = "\xff";
    REFUSED(&job, IMGTASK_STATUS_INVALID_UTF8);

    /* Sizes. */
    for (i = 0; i < 3; i++) {
        const size_t sizes[] = {0, sizeof good - 1, 1000000};
        job = good;
        job.struct_size = sizes[i];
        REFUSED(&job, invalid);
        CHECK_HOLDS(told, "sizeof(imgtask_job)");
    }
    memset(&newer, 0, sizeof newer);
    newer.today = good;
    newer.today.struct_size = sizeof newer;
    newer.tomorrow = 1;
    REFUSED(&newer.today, unsupported);
    CHECK_HOLDS(told, "newer");

    CHECK(imgtask_client_pending(client) == 0);
    CHECK(stats_of(client).threads == 0);
    nothing_waits(client);
    CHECK(!somebody_came(&here));

    /* The same with nothing new in it is a job, and nobody needs to take its number. */
    newer.tomorrow = 0;
    label[256] = 0;
    newer.today.label = label;
    CHECK_STATUS(imgtask_client_start(client, &newer.today, NULL), IMGTASK_STATUS_OK);
    CHECK(imgtask_client_pending(client) == 1 && stats_of(client).threads >= 1);
    imgtask_client_free(client);
    imgtask_task_free(task);
    imgtask_client_free(sandbox);
    close(here.socket);
}

static void without_a_journal_there_is_nothing_to_resume(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    size_t count = 7;
    CHECK_REFUSED(imgtask_client_resume(client, 0, &count, &error), IMGTASK_STATUS_JOURNAL, "journal");
    CHECK(count == 0);
    CHECK_REFUSED(imgtask_client_resume(client, IMGTASK_FLAG_BGRA, NULL, &error), IMGTASK_STATUS_UNSUPPORTED, "flags");
    CHECK_REFUSED(imgtask_client_resume(NULL, 0, &count, &error), IMGTASK_STATUS_NULL_ARGUMENT, "client");
    CHECK_REFUSED(imgtask_client_forget(client, "task_1", &error), IMGTASK_STATUS_JOURNAL, "journal");
    CHECK_REFUSED(imgtask_client_forget(client, NULL, &error), IMGTASK_STATUS_NULL_ARGUMENT, "task_ref");
    CHECK_REFUSED(imgtask_client_forget(NULL, "task_1", &error), IMGTASK_STATUS_NULL_ARGUMENT, "client");
    imgtask_client_free(client);
}

int main(void)
{
    a_job_goes_from_each_beginning_to_each_goal("dimilinks");
    a_job_goes_from_each_beginning_to_each_goal("lemondata");
    one_job_goes_from_a_prompt_to_the_bytes_and_tells_of_its_progress();
    every_image_has_an_event_of_its_own();
    what_a_job_can_end_in_besides_its_goal();
    what_is_no_job_is_refused_and_nothing_is_sent();
    without_a_journal_there_is_nothing_to_resume();
    return done();
}
