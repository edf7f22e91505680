/* Images as pixels: decoded by the caller, and by jobs on threads of the library. */
#include "events.h"

#define FRAME_US 16667

static imgtask_bytes_info of(const imgtask_bytes *bytes)
{
    imgtask_bytes_info info = IMGTASK_INIT(imgtask_bytes_info);
    CHECK_STATUS(imgtask_bytes_get(bytes, &info), IMGTASK_STATUS_OK);
    return info;
}

/* The image of a job with this goal. */
static imgtask_bytes *fetched(imgtask_client *client, const imgtask_job *job)
{
    imgtask_bytes *bytes;
    imgtask_event event = final_event(client, started(client, job), IMGTASK_STATUS_OK);
    CHECK(event.goal == job->goal && event.task != NULL && event.bytes != NULL);
    bytes = event.bytes;
    event.bytes = NULL;
    imgtask_event_clear(&event);
    return bytes;
}

static imgtask_bytes *decoded(const imgtask_bytes *image, uint32_t max_side, uint32_t flags)
{
    imgtask_bytes *pixels = NULL;
    imgtask_error *error = NULL;
    if (imgtask_bytes_decode(image, max_side, flags, &pixels, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "decode: %s\n", imgtask_error_message(error));
        exit(1);
    }
    CHECK(pixels != NULL && error == NULL);
    return pixels;
}

static void are_pixels(imgtask_bytes_info info, uint32_t width, uint32_t height, imgtask_bytes_format format)
{
    CHECK(info.width == width && info.height == height && info.format == format);
    CHECK(info.row_bytes == (size_t)width * 4 && info.len == info.row_bytes * height && info.data != NULL);
    CHECK(strlen(info.sha256) == 64 && *info.path == 0);
}

static void the_caller_decodes(const char *format, const char *media_type)
{
    imgtask_client *client = sandbox_client("dimilinks");
    char request[200];
    imgtask_job job;
    imgtask_bytes *image, *upright, *flipped, *swapped, *small, *again = NULL;
    imgtask_bytes_info from, up, down, blue, little;
    size_t y, n;
    snprintf(request, sizeof request, "{\"prompt\":\"a cup\",\"size\":\"96x64\",\"output_format\":\"%s\"}", format);
    job = job_of(request, IMGTASK_GOAL_BYTES);
    image = fetched(client, &job);
    from = of(image);
    CHECK_TEXT(from.media_type, media_type);
    CHECK(from.format == IMGTASK_BYTES_FORMAT_ENCODED && from.row_bytes == 0 && from.width == 96);
    /* Neither needs the other. */
    imgtask_client_free(client);

    upright = decoded(image, 0, 0);
    up = of(upright);
    are_pixels(up, 96, 64, IMGTASK_BYTES_FORMAT_RGBA8);
    CHECK_TEXT(up.media_type, media_type);
    CHECK_TEXT(up.sha256, from.sha256);
    flipped = decoded(image, 0, IMGTASK_FLAG_FLIP_Y);
    down = of(flipped);
    are_pixels(down, 96, 64, IMGTASK_BYTES_FORMAT_RGBA8);
    for (y = 0; y < 64; y++)
        CHECK(memcmp(up.data + y * up.row_bytes, down.data + (63 - y) * down.row_bytes, up.row_bytes) == 0);
    swapped = decoded(image, 0, IMGTASK_FLAG_BGRA | IMGTASK_FLAG_PREMULTIPLY);
    blue = of(swapped);
    are_pixels(blue, 96, 64, IMGTASK_BYTES_FORMAT_BGRA8);
    for (n = 0; n < up.len; n += 4)
        CHECK(up.data[n] == blue.data[n + 2] && up.data[n + 1] == blue.data[n + 1] && up.data[n + 3] == 255);
    small = decoded(image, 24, 0);
    little = of(small);
    are_pixels(little, 24, 16, IMGTASK_BYTES_FORMAT_RGBA8);

    CHECK_REFUSED(imgtask_bytes_decode(upright, 0, 0, &again, &error), IMGTASK_STATUS_INVALID_ARGUMENT, "pixels already");
    CHECK_REFUSED(imgtask_bytes_decode(image, 0, IMGTASK_FLAG_PROGRESS, &again, &error), IMGTASK_STATUS_UNSUPPORTED, "flags");
    CHECK(again == NULL);
    imgtask_bytes_free(image);
    imgtask_bytes_free(upright);
    imgtask_bytes_free(flipped);
    imgtask_bytes_free(swapped);
    imgtask_bytes_free(small);
}

static void a_job_goes_to_the_pixels(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_job job = job_of("{\"prompt\":\"a cup\",\"size\":\"96x64\"}", IMGTASK_GOAL_BYTES);
    imgtask_event event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    imgtask_bytes *here = decoded(event.bytes, 48, IMGTASK_FLAG_FLIP_Y | IMGTASK_FLAG_BGRA), *there;
    job = job_for(NULL, IMGTASK_GOAL_PIXELS);
    job.task = event.task;
    job.max_side = 48;
    job.flags = IMGTASK_FLAG_FLIP_Y | IMGTASK_FLAG_BGRA;
    there = fetched(client, &job);
    are_pixels(of(there), 48, 32, IMGTASK_BYTES_FORMAT_BGRA8);
    CHECK(memcmp(of(here).data, of(there).data, of(here).len) == 0);
    imgtask_bytes_free(there);
    imgtask_bytes_free(here);
    imgtask_event_clear(&event);
    imgtask_client_free(client);
}

static void all_images_of_a_task_become_pixels(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_job job = job_of("{\"prompt\":\"cups\",\"size\":\"32x32\",\"resolution\":\"2k\",\"n\":3}", IMGTASK_GOAL_PIXELS);
    imgtask_event event;
    uint64_t op;
    size_t n;
    job.image_index = IMGTASK_ALL_IMAGES;
    op = started(client, &job);
    for (n = 0; n < 3; n++) {
        event = next_event(client);
        CHECK(event.kind == IMGTASK_EVENT_KIND_IMAGE && event.image_index == n && event.goal == IMGTASK_GOAL_PIXELS);
        are_pixels(of(event.bytes), 32, 32, IMGTASK_BYTES_FORMAT_RGBA8);
        imgtask_event_clear(&event);
    }
    event = final_event(client, op, IMGTASK_STATUS_OK);
    imgtask_event_clear(&event);
    imgtask_client_free(client);
}

static void more_pixels_than_allowed_are_refused_and_the_image_is_not_lost(void)
{
    imgtask_client_options options = options_for("dimilinks", setting("URL", "dimilinks"), setting("KEY", "dimilinks"));
    imgtask_client *client;
    imgtask_job job = job_of("{\"prompt\":\"a cup\",\"size\":\"96x64\"}", IMGTASK_GOAL_PIXELS);
    imgtask_bytes *image = NULL, *pixels = NULL;
    imgtask_event event;
    options.poll_interval_ms = 20;
    options.max_image_pixels = 96 * 64 - 1;
    client = client_with(&options);
    event = final_event(client, started(client, &job), IMGTASK_STATUS_TOO_LARGE);
    CHECK(event.goal == IMGTASK_GOAL_FINISHED && event.bytes == NULL && event.task != NULL);
    CHECK_HOLDS(imgtask_error_message(event.error), "96 x 64");
    /* The task is there, and the encoded image can be had. */
    CHECK_STATUS(imgtask_client_download(client, event.task, 0, 0, &image, NULL), IMGTASK_STATUS_OK);
    CHECK_REFUSED(imgtask_bytes_decode(image, 0, 0, &pixels, &error), IMGTASK_STATUS_TOO_LARGE, "6143");
    imgtask_bytes_free(image);
    imgtask_event_clear(&event);
    imgtask_client_free(client);
}

static long cpu_us(clockid_t clock)
{
    struct timespec used;
    CHECK(clock_gettime(clock, &used) == 0);
    return used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* The processor's time, in microseconds: of the thread that draws, and of all others. */
struct used {
    long own, others;
};

/* Fetches the image of a task with this goal while sixty frames a second are drawn. */
static struct used drawn_meanwhile(imgtask_client *client, const imgtask_task *task, imgtask_goal goal)
{
    imgtask_job job = job_for(NULL, goal);
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    long all = cpu_us(CLOCK_PROCESS_CPUTIME_ID), own = cpu_us(CLOCK_THREAD_CPUTIME_ID), until = now_ms() + SOON_MS;
    struct used used;
    imgtask_status status;
    imgtask_bytes_info info;
    uint64_t op;
    job.task = task;
    op = started(client, &job);
    while ((status = imgtask_client_next_event(client, 0, &event)) == IMGTASK_STATUS_NO_EVENT) {
        struct timespec frame = {0, FRAME_US * 1000};
        CHECK(now_ms() < until);
        nanosleep(&frame, NULL);
    }
    used.own = cpu_us(CLOCK_THREAD_CPUTIME_ID) - own;
    used.others = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - all - used.own;
    CHECK_STATUS(status, IMGTASK_STATUS_OK);
    CHECK(event.op == op && event.kind == IMGTASK_EVENT_KIND_FINAL && event.status == IMGTASK_STATUS_OK);
    info = of(event.bytes);
    if (goal == IMGTASK_GOAL_PIXELS)
        are_pixels(info, 4096, 4096, IMGTASK_BYTES_FORMAT_RGBA8);
    else
        CHECK(info.width == 4096 && info.height == 4096 && info.format == IMGTASK_BYTES_FORMAT_ENCODED);
    imgtask_event_clear(&event);
    return used;
}

/* A host that draws sixty frames a second while 16 million pixels are decoded does none of it on its own thread: the processor's time
   says so, whatever else the machine does. */
static void a_large_image_is_decoded_beside_the_frames(void)
{
    imgtask_client *client = sandbox_client("dimilinks");
    imgtask_job job = job_of("{\"prompt\":\"a wide sea\",\"size\":\"4096x4096\",\"output_format\":\"png\"}", IMGTASK_GOAL_FINISHED);
    imgtask_event event = final_event(client, started(client, &job), IMGTASK_STATUS_OK);
    struct used bytes = drawn_meanwhile(client, event.task, IMGTASK_GOAL_BYTES);
    struct used pixels = drawn_meanwhile(client, event.task, IMGTASK_GOAL_PIXELS);
    /* What pixels cost beyond the download. 16 million of them cannot be decoded in less than this. */
    long decoding = pixels.others - bytes.others;
    CHECK(decoding > 20000);
    CHECK(pixels.own < decoding / 5);
    imgtask_event_clear(&event);
    imgtask_client_free(client);
}

int main(void)
{
    the_caller_decodes("png", "image/png");
    the_caller_decodes("jpeg", "image/jpeg");
    the_caller_decodes("webp", "image/webp");
    a_job_goes_to_the_pixels();
    all_images_of_a_task_become_pixels();
    more_pixels_than_allowed_are_refused_and_the_image_is_not_lost();
    if (slowness() == 1)
        a_large_image_is_decoded_beside_the_frames();
    return done();
}
