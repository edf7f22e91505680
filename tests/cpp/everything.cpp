// Every function of the header once, to be compiled with all warnings there are; after the macros that engines and window systems define.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus > 202000L
#include <ranges>
#include <span>
#endif

#ifdef HOSTILE
#define min 1
#define max 2
#define ERROR 3
#define TEXT 4
#define None 5
#define Bool 6
#define True 7
#define False 8
#define Status 9
#define Success 10
#define check 11
#define verify 12
#define small 13
#define near
#define far
#define interface struct
#define DELETE 14
#define OPAQUE 15
#define IN
#define OUT
#define Always 16
#define require 17
#define ensure 18
#define major 19
#define minor 20
#define signals public
#define slots
#define emit
#define foreach
#define nil 0
#define YES 1
#define NO 0
#endif

#include <imgtask.hpp>
#include <imgtask.hpp>

template class imgtask::result<imgtask::client>;
template class imgtask::result<imgtask::task>;
template class imgtask::result<imgtask::bytes>;
template class imgtask::result<imgtask::event>;
template class imgtask::result<std::uint64_t>;
template class imgtask::result<int>;

std::size_t everything(imgtask::client &client, const imgtask::options &options);

std::size_t everything(imgtask::client &client, const imgtask::options &given)
{
    std::size_t sum = imgtask::version().size() + imgtask::abi_version() + (imgtask::abi_matches() ? 1 : 0) +
                      imgtask::debug_live_handles() + imgtask::providers().size();

    imgtask::options options = given;
    auto sink = [&sum](imgtask::log_level, std::string_view line) { sum += line.size(); };
    options.log_to(sink);
    imgtask::client other = imgtask::client::create(options).value();
    other = imgtask::client(options);
    other = imgtask::client("dimilinks");
    other = imgtask::client(client.release());
    client = std::move(other);

    std::string words;
    const auto say = [&words](std::string_view text) { words += text; };
    imgtask::task task = client.submit("{}").value();
    task = client.fetch(task).value();
    task = client.fetch(std::string("id")).value();
    task = client.wait(std::string_view("id"), std::chrono::seconds(1)).value();
    task = client.wait("id").value_or(imgtask::task());
    task = client.cancel_task(task).value();
    for (auto text : {task.id(), task.poll_ref(), task.provider_status(), task.failure_code(), task.failure_type(),
                      task.failure_message(), task.revised_prompt(), task.model(), task.conversation_id(), task.billing_id(),
                      task.json(), imgtask::name(task.state()), imgtask::name(task.failure_action())})
        say(text);
    sum += task.image_count() + (task.is_final() ? 1 : 0) + (task.succeeded() ? 1 : 0) + (task.progress() ? 1 : 0) +
           (task.created_at() ? 1 : 0) + (task.completed_at() ? 1 : 0) + (task.looked_at() ? 1 : 0) + (task.credit_cost() ? 1 : 0);
    const imgtask::image image = task.image(0).value();
    say(image.url);

    imgtask::bytes bytes = client.download(task, 0, imgtask::flag::none).value();
    bytes = client.download_file(task, "a.png", 0, imgtask::flag::no_replace).value();
    bytes = bytes.decode(64, imgtask::flag::bgra | imgtask::flag::flip_y).value();
    for (auto text : {bytes.media_type(), bytes.declared_media_type(), bytes.extension(), bytes.sha256(), bytes.path(),
                      imgtask::name(bytes.format())})
        say(text);
    sum += bytes.view().size() + bytes.byte_size() + bytes.width() + bytes.height() + bytes.row_bytes() + *bytes.data() +
           bytes.size() + bytes.view()[0] + (bytes.view().empty() ? 1 : 0) + (bytes.get() != nullptr ? 1 : 0);
#if __cplusplus > 202000L
    const std::span<const std::uint8_t> span = bytes.view();
    static_assert(std::ranges::contiguous_range<imgtask::bytes_view> && std::ranges::sized_range<imgtask::bytes_view>);
    sum += span.size();
    imgtask::job designated{.request_json = "{}", .goal = imgtask::goal::pixels, .max_side = 512};
    sum += client.start(designated).value();
    sum += client.start({.task_ref = "id", .timeout = std::chrono::minutes(5)}).value();
#endif

    imgtask::job job;
    job.task = &task;
    job.flags |= imgtask::flag::progress;
    const std::uint64_t op = client.start(job).value();
    for (imgtask::event &event : client.events(8)) {
        say(imgtask::name(event.kind));
        say(imgtask::name(event.goal));
        if (event.is_final() && event.ok())
            event.keep_in_journal();
    }
    imgtask::event event = client.next_event(imgtask::forever).value();
    imgtask_event in_c = event.release();
    imgtask_event_clear(&in_c);
    sum += client.pending() + client.resume(imgtask::flag::progress).value() + client.stats().value().looks;
    client.forget(task).value();
    client.set_key("key").value();
    sum += static_cast<std::size_t>(client.event_fd().value());
    for (auto status : {client.stop(op), client.interrupt(), client.close(std::chrono::seconds(1))})
        say(imgtask::name(status));

    auto chained = client.submit("{}")
                       .and_then([&](imgtask::task made) { return client.wait(made); })
                       .transform([](imgtask::task made) { return made.image_count(); });
    if (!chained) {
        const imgtask::error &error = chained.error();
        for (auto text : {error.message(), error.provider_code(), error.request_id(), error.task_id(), error.task().id()})
            say(text);
        sum += error.http_status() + (error.retry_after() ? 1 : 0);
    }
#if defined(__cpp_exceptions)
    try {
        sum += chained.value();
    } catch (imgtask::exception &exception) {
        say(exception.what());
        say(imgtask::name(exception.status()));
        task = std::move(exception.error().task());
    }
#endif
    return sum + words.size();
}
