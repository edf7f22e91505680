/*
 * imgtask: gets your image back from an asynchronous image API.
 *
 *     imgtask_client_options options = IMGTASK_INIT(imgtask_client_options);
 *     options.provider = "dimilinks";   (the key comes from its environment variable)
 *     imgtask_client *client = NULL;
 *     imgtask_task *task = NULL;
 *     imgtask_error *error = NULL;
 *     imgtask_status status = imgtask_client_create(&options, &client, &error);
 *     if (status == IMGTASK_STATUS_OK)
 *         status = imgtask_client_wait(client, "task_abc", IMGTASK_TIMEOUT_DEFAULT, &task, &error);
 *     if (status == IMGTASK_STATUS_OK)
 *         status = imgtask_client_download_file(client, task, 0, "image.png", 0, NULL, &error);
 *     if (status != IMGTASK_STATUS_OK)
 *         fprintf(stderr, "%s: %s\n", imgtask_status_name(status), imgtask_error_message(error));
 *     imgtask_error_free(error);
 *     imgtask_task_free(task);
 *     imgtask_client_free(client);
 *
 * Without blocking, once a frame:
 *
 *     imgtask_job job = IMGTASK_INIT(imgtask_job);
 *     job.request_json = "{\"prompt\": \"a red apple\"}";
 *     job.goal = IMGTASK_GOAL_BYTES;
 *     status = imgtask_client_start(client, &job, NULL);
 *     ...
 *     imgtask_event event = IMGTASK_INIT(imgtask_event);
 *     while (imgtask_client_next_event(client, 0, &event) == IMGTASK_STATUS_OK) {
 *         if (event.kind == IMGTASK_EVENT_KIND_FINAL && event.status == IMGTASK_STATUS_OK)
 *             show(event.bytes);
 *         imgtask_event_clear(&event);
 *     }
 *
 * Handles. A client, a task, bytes and an error are opaque. Each has one free function; NULL is fine there. Tasks, bytes and
 * errors never change: any number of threads may read them, and they outlive their client.
 *
 * Structs begin with struct_size. Start from IMGTASK_INIT(type), which sets it; zero always means the default. A program and
 * a library of different versions work together: a field that the other side does not know counts as zero, and an option that
 * the library does not know is UNSUPPORTED when it is not zero.
 *
 * Strings are NUL-terminated UTF-8. Those you pass are copied before the call returns. Those you get are never NULL, borrowed
 * from their handle, and good until it is freed.
 *
 * Results. A call returns an imgtask_status; the words behind OK, TIMEOUT ... in this file are its values, with
 * IMGTASK_STATUS_ in front. A call that can fail for a reason worth words takes an imgtask_error ** last, which may be NULL.
 * On failure every out value is NULL or 0, except after TIMEOUT, CANCELLED, STARVED, NO_IMAGE and SUBMIT_UNKNOWN, where a task
 * may hold what is known: test the pointer, and free it.
 *
 * Threads. Any function on any thread that has 64 KiB of stack; none inside a signal handler. Free a handle only when no call
 * is using it. The library calls nothing of yours but the log sink, and only on a thread that is inside a call. It has threads of
 * its own for jobs only, from the first one on; they block the signals that a program may handle, and run nothing of yours.
 *
 * The gate. All requests of a client, blocking or not, share one budget: the service's limit less a tenth. A pause that the service
 * asks for holds for all of them. A blocking call waits for the gate as long as one look may take, and is RATE_LIMITED with the time
 * when that is not enough; then nothing was sent.
 *
 * Times are milliseconds (_ms), Unix seconds (_at) or Unix milliseconds (_at_ms). Every call ends by its deadline.
 *
 * Processes. After a fork, the child may not use the parent's clients: calls answer WRONG_PROCESS. Once loaded, the shared
 * library stays loaded. Nothing is ever written to stdout or stderr. Memory of the library never goes to free().
 *
 * This file is made from the library's sources: `make header`.
 */
