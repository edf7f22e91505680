/*
 * From a request to the image on disk, with "try again" when the task fails.
 *
 *     wait_and_save dimilinks '{"prompt": "a lighthouse at dusk"}' lighthouse.png
 *
 * The request is the provider's own JSON; the key is in the environment (DIMILINKS_API_KEY). A submit costs money, so
 * this program never submits again without asking.
 */
#include <imgtask.h>
#include <inttypes.h>
#include <stdio.h>

/* Says what went wrong and frees it. */
static int complain(const char *what, imgtask_status status, imgtask_error *error)
{
    imgtask_error_info info = IMGTASK_INIT(imgtask_error_info);

    fprintf(stderr, "%s: %s (%s)\n", what, imgtask_error_message(error), imgtask_status_name(status));
    if (imgtask_error_get(error, &info) == IMGTASK_STATUS_OK && info.retry_after_ms > 0)
        fprintf(stderr, "the service asks to wait %" PRId64 " ms before the next try\n", info.retry_after_ms);
    imgtask_error_free(error);
    return 1;
}

/* Whether the user wants to submit once more. */
static int try_again(const imgtask_task_info *failed)
{
    char answer[8];

    fprintf(stderr, "the task %s failed: %s", failed->id, failed->failure_message);
    fprintf(stderr, failed->failure_code[0] ? " (%s)\n" : "%s\n", failed->failure_code);
    switch (failed->failure_action) {
    case IMGTASK_FAILURE_ACTION_CHANGE_REQUEST:
        fprintf(stderr, "change the request, then try again\n");
        return 0;
    case IMGTASK_FAILURE_ACTION_CHECK_ACCOUNT:
        fprintf(stderr, "look at the account's balance and rights, then try again\n");
        return 0;
    default:
        fprintf(stderr, "try again? [y/N] ");
        return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
    }
}

/* Saves the first image of a task that succeeded. */
static int save(imgtask_client *client, const imgtask_task *task, const char *path)
{
    imgtask_bytes_info info = IMGTASK_INIT(imgtask_bytes_info);
    imgtask_bytes *saved = NULL;
    imgtask_error *error = NULL;
    imgtask_status status = imgtask_client_download_file(client, task, 0, path, 0, &saved, &error);

    if (status != IMGTASK_STATUS_OK)
        return complain("download", status, error);
    status = imgtask_bytes_get(saved, &info);
    if (status == IMGTASK_STATUS_OK)
        printf("%s: %s, %" PRIu32 " x %" PRIu32 ", %zu bytes\n", path, info.media_type, info.width, info.height, info.len);
    imgtask_bytes_free(saved);
    return status == IMGTASK_STATUS_OK ? 0 : 1;
}

/* Submits and waits, as often as the user wants to; then saves. */
static int make(imgtask_client *client, const char *request, const char *path)
{
    for (;;) {
        imgtask_task_info info = IMGTASK_INIT(imgtask_task_info);
        imgtask_task *submitted = NULL, *task = NULL;
        imgtask_error *error = NULL;
        int again = 0, result = 1;
        imgtask_status status = imgtask_client_submit(client, request, &submitted, &error);

        if (status == IMGTASK_STATUS_OK)
            status = imgtask_task_get(submitted, &info);
        if (status == IMGTASK_STATUS_OK && !info.is_final) {
            printf("submitted: %s\n", info.id);
            /* The service may name an address of its own to look at; poll_ref is that, or the id. */
            status = imgtask_client_wait(client, info.poll_ref, IMGTASK_TIMEOUT_DEFAULT, &task, &error);
            if (status == IMGTASK_STATUS_OK)
                status = imgtask_task_get(task, &info);
        }

        if (status != IMGTASK_STATUS_OK)
            /* After a TIMEOUT the task is still in work: wait for its id again instead of submitting once more. */
            complain(info.id && info.id[0] ? info.id : "submit", status, error);
        else if (info.state == IMGTASK_TASK_STATE_SUCCEEDED)
            result = save(client, task ? task : submitted, path);
        else
            again = try_again(&info);

        imgtask_task_free(task);
        imgtask_task_free(submitted);
        if (!again)
            return result;
    }
}

int main(int argc, char **argv)
{
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    imgtask_client *client = NULL;
    imgtask_error *error = NULL;
    imgtask_status status;
    int result;

    if (argc != 4) {
        fprintf(stderr, "usage: wait_and_save PROVIDER REQUEST FILE\n");
        return 2;
    }
    options.provider = argv[1];
    status = imgtask_client_create(&options, &client, &error);
    if (status != IMGTASK_STATUS_OK)
        return complain("create", status, error);
    result = make(client, argv[2], argv[3]);
    imgtask_client_free(client);
    return result;
}
