/*
 * An image as pixels, without an engine: drawn in a terminal that knows colours, with a bar that moves while it is made.
 *
 *     show_in_terminal PROVIDER REQUEST_JSON [COLUMNS]
 *
 *     show_in_terminal dimilinks '{"prompt": "a lighthouse at dusk"}' 72
 *
 * The key is in the environment: DIMILINKS_API_KEY.
 */
#include <imgtask.h>
#include <stdio.h>
#include <stdlib.h>

/* Two rows of pixels in each line: the upper one in the colour of the letter, the lower one behind it. */
static void draw(const imgtask_bytes_info *image)
{
    uint32_t x, y;

    for (y = 0; y < image->height; y += 2) {
        for (x = 0; x < image->width; x++) {
            const uint8_t *upper = image->data + y * image->row_bytes + 4 * x;

            printf("\033[38;2;%d;%d;%dm", upper[0], upper[1], upper[2]);
            if (y + 1 < image->height) {
                const uint8_t *lower = upper + image->row_bytes;
                printf("\033[48;2;%d;%d;%dm", lower[0], lower[1], lower[2]);
            }
            printf("\xe2\x96\x80"); /* the upper half block */
        }
        printf("\033[0m\n");
    }
}

/* Follows the job to its end; one turn of the loop is a frame. Gives whether there was an image. */
static int follow(imgtask_client *client)
{
    imgtask_event event = IMGTASK_INIT(imgtask_event);
    imgtask_task_info task = IMGTASK_INIT(imgtask_task_info);
    imgtask_bytes_info image = IMGTASK_INIT(imgtask_bytes_info);
    int over = 0, good = 0, frame = 0, percent = 0;

    while (!over) {
        /* Waits a frame at most. A host that draws at its own pace gives 0, which never waits. */
        imgtask_status status = imgtask_client_next_event(client, 33, &event);

        if (status == IMGTASK_STATUS_OK) {
            if (event.task && imgtask_task_get(event.task, &task) == IMGTASK_STATUS_OK && task.progress > percent)
                percent = task.progress;
            if (event.kind == IMGTASK_EVENT_KIND_FINAL) {
                fprintf(stderr, "\r%*s\r", 40, "");
                over = 1;
                good = event.status == IMGTASK_STATUS_OK && imgtask_bytes_get(event.bytes, &image) == IMGTASK_STATUS_OK;
                if (good)
                    draw(&image);
                else
                    fprintf(stderr, "%s\n", imgtask_error_message(event.error));
            }
            imgtask_event_clear(&event); /* the pixels go with it */
        } else if (status != IMGTASK_STATUS_NO_EVENT) {
            fprintf(stderr, "%s\n", imgtask_status_name(status));
            over = 1;
        }
        if (!over)
            fprintf(stderr, "\r%c [%-20.*s] %d %%", "|/-\\"[frame++ / 3 % 4], percent / 5, "####################", percent);
    }
    return good;
}

int main(int argc, char **argv)
{
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    imgtask_job job = IMGTASK_INIT(imgtask_job);
    imgtask_client *client = NULL;
    imgtask_error *error = NULL;
    imgtask_status status;
    int good = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: %s PROVIDER REQUEST_JSON [COLUMNS]\n", argv[0]);
        return 2;
    }
    options.provider = argv[1];
    if (imgtask_client_create(&options, &client, &error) != IMGTASK_STATUS_OK) {
        fprintf(stderr, "%s\n", imgtask_error_message(error));
        imgtask_error_free(error);
        return 1;
    }
    job.request_json = argv[2];
    job.goal = IMGTASK_GOAL_PIXELS;
    /* Colours come multiplied by alpha, which is what they look like on black. */
    job.flags = IMGTASK_FLAG_PROGRESS | IMGTASK_FLAG_PREMULTIPLY;
    job.max_side = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 72;
    status = imgtask_client_start(client, &job, NULL);
    if (status == IMGTASK_STATUS_OK)
        good = follow(client);
    else
        fprintf(stderr, "%s\n", imgtask_status_name(status));
    imgtask_client_free(client);
    return good ? 0 : 1;
}
