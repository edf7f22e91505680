/*
 * From a request to the image on disk, with "try again" when the task fails. Errors are exceptions.
 *
 *     wait_and_save_cpp dimilinks '{"prompt": "a lighthouse at dusk"}' lighthouse.png
 *
 * The request is the provider's own JSON; the key is in the environment (DIMILINKS_API_KEY). A submit costs money, so
 * this program never submits again without asking.
 */
#include <imgtask.hpp>

#include <exception>
#include <iostream>
#include <string>

namespace {

// Whether the user wants to submit once more.
bool try_again(const imgtask::task &failed)
{
    std::cerr << "the task " << failed.id() << " failed: " << failed.failure_message() << '\n';
    switch (failed.failure_action()) {
    case imgtask::failure_action::change_request:
        std::cerr << "change the request, then try again\n";
        return false;
    case imgtask::failure_action::check_account:
        std::cerr << "look at the account's balance and rights, then try again\n";
        return false;
    case imgtask::failure_action::none:
    case imgtask::failure_action::resubmit:
        break;
    }
    std::cerr << "try again? [y/N] ";
    std::string answer;
    return std::getline(std::cin, answer) && (answer == "y" || answer == "Y");
}

// Submits and waits, as often as the user wants to. The task that succeeded, or the last one that did not.
imgtask::task make(imgtask::client &client, const char *request)
{
    for (;;) {
        imgtask::task task = client.submit(request).value();
        std::cout << "submitted: " << task.id() << std::endl;
        if (!task.is_final()) // some services answer with the image at once
            task = client.wait(task).value();
        if (task.succeeded() || !try_again(task))
            return task;
    }
}

} // namespace

int main(int count, char **words)
{
    if (count != 4) {
        std::cerr << "usage: wait_and_save_cpp PROVIDER REQUEST FILE\n";
        return 2;
    }
    try {
        imgtask::client client(words[1]);
        const imgtask::task task = make(client, words[2]);
        if (!task.succeeded())
            return 1;
        const imgtask::bytes saved = client.download_file(task, words[3]).value();
        std::cout << saved.path() << ": " << saved.media_type() << ", " << saved.width() << " x " << saved.height() << ", "
                  << saved.byte_size() << " bytes\n";
        return 0;
    } catch (const imgtask::exception &exception) {
        const imgtask::error &error = exception.error();
        std::cerr << exception.what() << " (" << imgtask::name(error.status()) << ")\n";
        if (error.retry_after() > std::chrono::milliseconds(0))
            std::cerr << "the service asks to wait " << error.retry_after()->count() << " ms before the next try\n";
        if (error.task()) // still in work: wait for it again instead of submitting once more
            std::cerr << "the task " << error.task_id() << " is " << imgtask::name(error.task().state()) << '\n';
    } catch (const std::exception &exception) {
        std::cerr << exception.what() << '\n';
    }
    return 1;
}
