/* Gets the image of a task: fetch PROVIDER TASK FILE (fetch dimilinks img_4f1c cat.png). The key is in the environment. */
#include <imgtask.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
    imgtask_client *client = NULL;
    imgtask_task *task = NULL;
    imgtask_error *error = NULL;
    if (argc != 4) return fprintf(stderr, "usage: fetch PROVIDER TASK FILE\n"), 2;

    options.provider = argv[1];
    imgtask_status status = imgtask_client_create(&options, &client, &error);
    if (!status) status = imgtask_client_wait(client, argv[2], IMGTASK_TIMEOUT_DEFAULT, &task, &error);
    if (!status) status = imgtask_client_download_file(client, task, 0, argv[3], 0, NULL, &error);
    fprintf(status ? stderr : stdout, "%s\n", status ? imgtask_error_message(error) : argv[3]);

    imgtask_error_free(error);
    imgtask_task_free(task);
    imgtask_client_free(client);
    return status ? 1 : 0;
}
