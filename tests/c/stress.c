/* Everything at once on one client, from eight threads, for a thread sanitizer to watch. */
#include "answering.h"
#include "events.h"

#define THREADS 8

typedef struct party {
    imgtask_client *client;
    const answering *service;
    atomic_int closed;
    atomic_ullong last_op, accepted, ended;
} party;

typedef struct guest {
    party *here;
    unsigned seed;
    int takes_events;
} guest;

static void start_one(party *here, unsigned *seed)
{
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    uint64_t op = 0;
    imgtask_status status;
    char label[16];
    snprintf(label, sizeof label, "n%u", *seed % 1000);
    switch (rand_r(seed) % 5) {
    case 0:
        job = job_of("{\"prompt\":\"a cup\"}", IMGTASK_GOAL_SUBMITTED);
        break;
    case 1:
        job = job_for("wait-1", IMGTASK_GOAL_LOOKED);
        break;
    case 2:
        job = job_for("mute-1", IMGTASK_GOAL_FINISHED);
        break;
    case 3:
        job = job_for("wait-2", IMGTASK_GOAL_FINISHED);
        job.flags = IMGTASK_FLAG_PROGRESS;
        break;
    default:
        job = job_for("done-1", IMGTASK_GOAL_FINISHED);
    }
    job.label = label;
    job.user_data = here;
    status = imgtask_client_start(here->client, &job, &op);
    if (status == IMGTASK_STATUS_OK) {
        atomic_fetch_add(&here->accepted, 1);
        atomic_store(&here->last_op, op);
        return;
    }
    CHECK(status == IMGTASK_STATUS_CLOSED || status == IMGTASK_STATUS_BUSY);
}

static void take_one(party *here, uint32_t timeout_ms)
{
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    imgtask_status status = imgtask_client_next_event(here->client, timeout_ms, &event);
    if (status == IMGTASK_STATUS_OK && event.kind == IMGTASK_EVENT_KIND_FINAL)
        atomic_fetch_add(&here->ended, 1);
    CHECK(status == IMGTASK_STATUS_OK || status == IMGTASK_STATUS_NO_EVENT || status == IMGTASK_STATUS_CANCELLED ||
          status == IMGTASK_STATUS_CLOSED);
    imgtask_event_clear(&event);
}

static void call_one(party *here, unsigned *seed)
{
    imgtask_task *task = NULL;
    imgtask_stats stats = IMGTASK_INIT(imgtask_stats);
    imgtask_status status;
    int fd;
    switch (rand_r(seed) % 8) {
    case 0:
        status = imgtask_client_fetch(here->client, "done-7", &task, NULL);
        CHECK(status == IMGTASK_STATUS_OK || status == IMGTASK_STATUS_CANCELLED || status == IMGTASK_STATUS_CLOSED);
        break;
    case 1:
        status = imgtask_client_wait(here->client, "wait-7", 20, &task, NULL);
        CHECK(status != IMGTASK_STATUS_OK && status != IMGTASK_STATUS_PANIC);
        break;
    case 2:
        CHECK_STATUS(imgtask_client_get_stats(here->client, &stats), IMGTASK_STATUS_OK);
        break;
    case 3:
        CHECK_STATUS(imgtask_client_event_fd(here->client, &fd), IMGTASK_STATUS_OK);
        break;
    case 4:
        CHECK_STATUS(imgtask_client_set_key(here->client, "another key", NULL), IMGTASK_STATUS_OK);
        break;
    case 5:
        (void)imgtask_client_pending(here->client);
        break;
    case 6:
        CHECK_STATUS(imgtask_client_interrupt(here->client), IMGTASK_STATUS_OK);
        break;
    default: {
        uint64_t last = atomic_load(&here->last_op);
        status = imgtask_client_stop(here->client, last > 8 ? last - (uint64_t)(rand_r(seed) % 8) : last);
        CHECK(status == IMGTASK_STATUS_OK || status == IMGTASK_STATUS_UNKNOWN_OP);
    }
    }
    imgtask_task_free(task);
}

static void *join_in(void *argument)
{
    guest *me = argument;
    while (!atomic_load(&me->here->closed)) {
        if (me->takes_events)
            take_one(me->here, (uint32_t)rand_r(&me->seed) % 3);
        else if (rand_r(&me->seed) % 2)
            start_one(me->here, &me->seed);
        else
            call_one(me->here, &me->seed);
    }
    return NULL;
}

static void log_line(void *user_data, uint32_t level, const char *line)
{
    CHECK(level > 0 && strlen(line) > 0);
    atomic_fetch_add((atomic_long *)user_data, 1);
}

/* One client's life. It is closed while seven threads are in the midst of it, and freed without a wait in every other one. */
static void a_party(const answering *service, unsigned seed, int wait_for_the_end)
{
    party here;
    guest guests[THREADS];
    pthread_t threads[THREADS];
    atomic_long lines = 0;
    struct timespec pause = {0, 60 * 1000000};
    imgtask_client_options options = options_for("dimilinks", service->here.url, "key");
    char journal[32];
    size_t i;
    options.poll_interval_ms = 2;
    options.max_requests_per_minute = 0x7FFFFFFF;
    options.max_pending = 200;
    options.log_level = IMGTASK_LOG_LEVEL_DEBUG;
    options.log = log_line;
    options.log_user_data = &lines;
    memset(&here, 0, sizeof here);
    /* One of its own: what a free leaves behind may have the last one's open. */
    snprintf(journal, sizeof journal, "stress-%u.journal", seed);
    remove(journal);
    options.journal_path = seed % 3 == 0 ? journal : NULL;
    /* A build without a journal does without. */
    if (imgtask_client_create(&options, &here.client, NULL) == IMGTASK_STATUS_UNSUPPORTED)
        options.journal_path = NULL;
    if (here.client == NULL)
        here.client = client_with(&options);
    here.service = service;
    for (i = 0; i < THREADS; i++) {
        guests[i] = (guest){&here, seed * 100 + (unsigned)i, i == 0};
        CHECK(pthread_create(&threads[i], NULL, join_in, &guests[i]) == 0);
    }
    nanosleep(&pause, NULL);
    (void)imgtask_client_close(here.client, wait_for_the_end ? SOON_MS : 0);
    atomic_store(&here.closed, 1);
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    if (wait_for_the_end) {
        imgtask_event event = IMGTASK_INIT(imgtask_event);
        imgtask_status status;
        CHECK_STATUS(imgtask_client_close(here.client, SOON_MS), IMGTASK_STATUS_OK);
        while ((status = imgtask_client_next_event(here.client, 0, &event)) == IMGTASK_STATUS_OK) {
            if (event.kind == IMGTASK_EVENT_KIND_FINAL)
                atomic_fetch_add(&here.ended, 1);
            imgtask_event_clear(&event);
        }
        CHECK_STATUS(status, IMGTASK_STATUS_CLOSED);
        /* What was accepted has ended, once. */
        CHECK(atomic_load(&here.accepted) > 0 && atomic_load(&here.accepted) == atomic_load(&here.ended));
        CHECK(imgtask_client_pending(here.client) == 0);
    }
    imgtask_client_free(here.client);
    remove(journal);
    /* Nobody calls the sink after that, so it may go. */
}

int main(void)
{
    answering service;
    unsigned round, rounds = getenv("IMGTASK_TEST_ROUNDS") ? (unsigned)atoi(getenv("IMGTASK_TEST_ROUNDS")) : 12;
    answer_at_once(&service);
    for (round = 1; round <= rounds; round++)
        a_party(&service, round, round % 2 == 0);
    end_answering(&service);
    return done();
}
