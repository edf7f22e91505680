/* A shop with orders to deliver, which may be killed at any moment and started again. Its book says which orders are delivered, and is
 * on the disk before the library is told. Everything else it leaves to the journal.
 *
 *     orders JOURNAL BOOK TRACE FOLDER ORDERS stay|leave
 *
 * Ends when all orders are in the book, or with "stay" when it is killed. Writes one byte to stdout when it has resumed. */
#include "../c/check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 1000

static struct {
    int in_hand, in_book;
} orders[MOST];

static int book, trace, wanted, left;

static int goal_of(int number)
{
    switch (number % 10) {
    case 3: return IMGTASK_GOAL_FILE;
    case 6: return IMGTASK_GOAL_BYTES;
    case 9: return IMGTASK_GOAL_SUBMITTED;
    default: return IMGTASK_GOAL_FINISHED;
    }
}

static int number_of(const char *label)
{
    int number = -1;
    CHECK(sscanf(label, "order-%d", &number) == 1 && number >= 0 && number < MOST);
    return number;
}

static void note(int file, const char *line)
{
    CHECK(write(file, line, strlen(line)) == (ssize_t)strlen(line));
}

/* What is in the book counts line by line: a line without its end was never written. */
static void read_book(const char *path)
{
    static char text[1 << 20];
    char *line, *end;
    ssize_t length;
    book = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(book >= 0);
    length = read(book, text, sizeof text - 1);
    CHECK(length >= 0 && length < (ssize_t)sizeof text - 1);
    text[length] = 0;
    for (line = text; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        int number = number_of(line);
        if (!orders[number].in_book && number < wanted)
            left--;
        orders[number].in_book = 1;
    }
    CHECK(ftruncate(book, line - text) == 0 && lseek(book, 0, SEEK_END) == line - text);
}

static const char *id_of(const imgtask_task *task)
{
    imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
    if (task == NULL)
        return "-";
    CHECK_STATUS(imgtask_task_get(task, &info), IMGTASK_STATUS_OK);
    return info.id[0] ? info.id : "-";
}

/* The book's line: the label, the task, what came of it, and of a file its name and fingerprint. */
static void deliver(const imgtask_event *event, int number)
{
    char line[2000];
    imgtask_bytes_info bytes = IMGTASK_INIT(imgtask_bytes_info);
    bytes.path = bytes.sha256 = "";
    if (event->status != IMGTASK_STATUS_OK && event->status != IMGTASK_STATUS_SUBMIT_UNKNOWN) {
        fprintf(stderr, "%s: %s: %s\n", event->label, imgtask_status_name(event->status), imgtask_error_message(event->error));
        exit(1);
    }
    if (event->status == IMGTASK_STATUS_OK) {
        int goal = goal_of(number);
        CHECK((int)event->goal == goal);
        CHECK((event->bytes != NULL) == (goal == IMGTASK_GOAL_BYTES || goal == IMGTASK_GOAL_FILE));
        if (event->bytes != NULL)
            CHECK_STATUS(imgtask_bytes_get(event->bytes, &bytes), IMGTASK_STATUS_OK);
        CHECK(goal != IMGTASK_GOAL_BYTES || bytes.len > 0);
    }
    snprintf(line, sizeof line, "%s\t%s\t%s\t%s\t%s\n", event->label, id_of(event->task), imgtask_status_name(event->status),
             bytes.path, bytes.sha256);
    note(book, line);
    CHECK(fsync(book) == 0);
    if (!orders[number].in_book)
        left--;
    orders[number].in_book = 1;
}

/* Takes one event; whether one of the kind wanted came. */
static int take(imgtask_client *client, uint32_t kind)
{
    char line[600];
    int number, was_it;
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    CHECK_STATUS(imgtask_client_next_event(client, 30000, &event), IMGTASK_STATUS_OK);
    number = number_of(event.label);
    was_it = event.kind == kind;
    if (event.kind == IMGTASK_EVENT_KIND_RESUMED) {
        snprintf(line, sizeof line, "resumed\t%s\t%s\n", event.label, id_of(event.task));
        note(trace, line);
        orders[number].in_hand = 1;
    } else if (event.kind == IMGTASK_EVENT_KIND_FINAL) {
        snprintf(line, sizeof line, "final\t%s\t%s\n", event.label, id_of(event.task));
        note(trace, line);
        deliver(&event, number);
    }
    imgtask_event_clear(&event);
    return was_it;
}

static void start(imgtask_client *client, int number, const char *folder)
{
    char label[64], request[300], path[1000];
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    snprintf(label, sizeof label, "order-%d", number);
    snprintf(request, sizeof request, "{\"model\":\"gpt-image-2\",\"prompt\":\"%s of apples\",\"size\":\"64x48\"}", label);
    snprintf(path, sizeof path, "%s/{id}.{ext}", folder);
    job.request_json = request;
    job.label = label;
    job.goal = (uint32_t)goal_of(number);
    job.path = goal_of(number) == IMGTASK_GOAL_FILE ? path : NULL;
    CHECK_STATUS(imgtask_client_start(client, &job, NULL), IMGTASK_STATUS_OK);
    orders[number].in_hand = 1;
}

int main(int count, char **words)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client;
    size_t resumed;
    int number;
    CHECK(count == 7);
    wanted = left = atoi(words[5]);
    CHECK(wanted > 0 && wanted <= MOST);
    read_book(words[2]);
    trace = open(words[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECK(trace >= 0);

    options.journal_path = words[1];
    options.poll_interval_ms = 20;
    options.max_requests_per_minute = 600000;
    client = client_with(&options);
    CHECK_STATUS(imgtask_client_resume(client, 0, &resumed, NULL), IMGTASK_STATUS_OK);
    note(STDOUT_FILENO, "r");
    while (resumed > 0)
        resumed -= (size_t)take(client, IMGTASK_EVENT_KIND_RESUMED);
    for (number = 0; number < wanted; number++)
        if (!orders[number].in_book && !orders[number].in_hand)
            start(client, number, words[4]);
    while (left > 0 || imgtask_client_pending(client) > 0)
        take(client, 0);
    while (strcmp(words[6], "stay") == 0)
        pause();
    CHECK_STATUS(imgtask_client_close(client, 10000), IMGTASK_STATUS_OK);
    imgtask_client_free(client);
    return done();
}
