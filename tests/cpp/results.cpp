// From a request to the image in memory, by somebody who builds without exceptions and type information.
#include "check.hpp"

#include <cstring>
#include <memory>
#include <thread>
#include <utility>

namespace {

imgtask::client sandbox_client()
{
    auto client = imgtask::client::create(sandbox_options());
    CHECK(client.has_value() && client && !client.error());
    return *std::move(client);
}

void a_task_comes_to_its_image()
{
    imgtask::client client = sandbox_client();
    auto submitted = client.submit(cup);
    CHECK(submitted && !submitted->is_final());
    auto done = client.wait(*submitted, 60s);
    if (!done) {
        std::fprintf(stderr, "%s\n", done.error().message().data());
        std::exit(1);
    }
    auto bytes = client.download(*done);
    CHECK(bytes && as_text(bytes->view()).substr(0, 8) == png_head);
    // Where it cannot fail, value() is as good.
    CHECK(bytes.value().width() == 64);
}

void calls_go_one_behind_the_other()
{
    imgtask::client client = sandbox_client();
    int steps = 0;
    auto file = client.submit(cup)
                    .and_then([&](imgtask::task task) { return ++steps, client.wait(task); })
                    .and_then([&](imgtask::task task) { return ++steps, client.download(task); })
                    .transform([&](imgtask::bytes bytes) { return ++steps, std::string(bytes.extension()); });
    CHECK(steps == 3 && file);
    CHECK_TEXT(*file, "png");

    steps = 0;
    auto failed = client.fetch(nobody)
                      .and_then([&](imgtask::task task) { return ++steps, client.download(task); })
                      .transform([&](imgtask::bytes) { return ++steps, std::make_unique<int>(1); });
    CHECK(steps == 0 && !failed);
    CHECK_STATUS(failed.error().status(), imgtask::status::not_found);
    CHECK_TEXT(failed.error().task_id(), nobody);
    CHECK(failed.error().http_status() == 404);

    CHECK(!client.fetch(nobody).value_or(imgtask::task()));
    auto task = client.submit(never);
    CHECK(task);
    const std::string id(task->id());
    const auto same = std::move(task).value_or(imgtask::task());
    CHECK_TEXT(same.id(), id);

    auto changed = client.set_key("").and_then([&] { return ++steps, client.submit(cup); });
    CHECK(steps == 0 && !changed);
    CHECK_STATUS(changed.error().status(), imgtask::status::invalid_argument);
    changed = client.set_key(setting("KEY", "dimilinks")).and_then([&] { return ++steps, client.submit(cup); });
    CHECK(steps == 1 && changed);

    // Also to nothing, and from nothing.
    imgtask::result<void> counted = client.submit(cup).transform([&](imgtask::task) { ++steps; });
    CHECK(counted && steps == 2);
    CHECK(std::move(counted).transform([&] { return ++steps; }).value() == 3);
    CHECK(client.set_key(setting("KEY", "dimilinks")).transform([&] { ++steps; }) && steps == 4);
    counted = client.fetch(nobody).transform([&](imgtask::task) { ++steps; });
    CHECK_STATUS(counted.error().status(), imgtask::status::not_found);
    auto neither = std::move(counted).transform([&] { ++steps; });
    CHECK_STATUS(neither.error().status(), imgtask::status::not_found);
    CHECK(steps == 4);
}

void an_error_holds_the_task_that_is_known()
{
    imgtask::client client = sandbox_client();
    auto task = client.submit(never).value();

    auto late = client.wait(task, 50ms);
    CHECK(!late);
    CHECK_STATUS(late.error().status(), imgtask::status::timeout);
    CHECK_TEXT(late.error().task().id(), task.id());
    CHECK(!late.error().task().is_final() && late.error().retry_after().has_value());
    // An error that moves takes it along, and hands it out.
    imgtask::error error = std::move(late).error();
    const imgtask::task known = std::move(error).task();
    CHECK_TEXT(known.id(), task.id());

    imgtask::status interrupted = imgtask::status::panic;
    std::thread other([&] {
        do
            std::this_thread::sleep_for(10ms);
        while (client.stats().value().looks < 3);
        interrupted = client.interrupt();
    });
    auto ended = client.wait(task, 60s);
    other.join();
    CHECK_STATUS(interrupted, imgtask::status::ok);
    CHECK_STATUS(ended.error().status(), imgtask::status::cancelled);
    CHECK_TEXT(ended.error().task().id(), task.id());

    imgtask::options slow = sandbox_options();
    slow.max_requests_per_minute = 1;
    auto starved = imgtask::client::create(slow).and_then([&](imgtask::client starving) {
        (void)starving.fetch(task);
        return starving.wait(task, 3s);
    });
    CHECK_STATUS(starved.error().status(), imgtask::status::starved);
    CHECK_TEXT(starved.error().task().id(), task.id());
}

void a_call_without_words_says_its_status()
{
    imgtask::client client = sandbox_client();
    imgtask::job nothing;
    auto op = client.start(nothing);
    CHECK(!op);
    CHECK_STATUS(op.error().status(), imgtask::status::null_argument);
    CHECK_TEXT(op.error().message(), "null_argument");
    CHECK(!op.error().retry_after() && op.error().task_id().empty() && op.error().get() == nullptr);
    const imgtask::error none;
    CHECK_TEXT(none.message(), "");
    CHECK(!none.retry_after());

    // Its status says whether another try helps.
    CHECK(client.next_event(0ms).error().retry_after() == 0ms);
    imgtask::options options = sandbox_options();
    options.max_pending = 1;
    auto small = imgtask::client::create(options).value();
    imgtask::job job;
    job.request_json = never;
    CHECK(small.start(job));
    auto busy = small.start(job);
    CHECK_STATUS(busy.error().status(), imgtask::status::busy);
    CHECK(busy.error().retry_after() == 0ms);
    CHECK_STATUS(small.close(), imgtask::status::ok);
    auto closed = small.start(job);
    CHECK_STATUS(closed.error().status(), imgtask::status::closed);
    CHECK(!closed.error().retry_after());
    CHECK_STATUS(client.resume().error().status(), imgtask::status::journal);
    CHECK_STATUS(client.forget(nobody).error().status(), imgtask::status::journal);
}

void a_nul_in_a_text_ends_nothing()
{
    // C would take the part before it: another key, another file.
    imgtask::client client = sandbox_client();
    const std::string two("a.png\0b.png", 11);
    CHECK_STATUS(client.submit(two).error().status(), imgtask::status::invalid_utf8);
    CHECK_STATUS(client.set_key(two).error().status(), imgtask::status::invalid_utf8);
    CHECK_STATUS(client.fetch(two).error().status(), imgtask::status::invalid_utf8);
    CHECK_STATUS(client.forget(two).error().status(), imgtask::status::invalid_utf8);
    auto task = client.submit(cup).value();
    CHECK_STATUS(client.download_file(task, two).error().status(), imgtask::status::invalid_utf8);
    imgtask::job job;
    job.request_json = cup;
    job.label = two;
    CHECK_STATUS(client.start(job).error().status(), imgtask::status::invalid_utf8);
    imgtask::options options = sandbox_options();
    options.user_agent = two;
    CHECK_STATUS(imgtask::client::create(options).error().status(), imgtask::status::invalid_utf8);
}

void a_text_that_is_null_is_an_argument_that_is_null()
{
    imgtask::client client = sandbox_client();
    // As std::getenv gives it.
    const char *none = std::getenv("IMGTASK_TEST_NO_SUCH_VARIABLE");
    CHECK(none == nullptr);
    const auto null = imgtask::status::null_argument;
    CHECK_STATUS(client.submit(none).error().status(), null);
    CHECK_STATUS(client.fetch(none).error().status(), null);
    CHECK_STATUS(client.wait(none, 1s).error().status(), null);
    CHECK_STATUS(client.cancel_task(none).error().status(), null);
    CHECK_STATUS(client.forget(none).error().status(), null);
    CHECK_STATUS(client.set_key(none).error().status(), null);
    auto task = client.submit(cup).value();
    CHECK_STATUS(client.download_file(task, none).error().status(), null);
    auto nowhere = imgtask::client::create(none);
    CHECK_STATUS(nowhere.error().status(), imgtask::status::invalid_argument);
    CHECK(holds(nowhere.error().message(), "provider"));

    // What is a text by a conversion of its own goes in as it did.
    struct name {
        operator std::string_view() const { return nobody; }
        operator const char *() const { return "another"; }
    };
    const imgtask::text converted = name();
    CHECK_TEXT(converted.view(), nobody);
}

void every_option_arrives()
{
    // Each is refused by a name that is in the message, or changes what the client does.
    const auto refusal = [](void (*change)(imgtask::options &), const char *part) {
        imgtask::options options = sandbox_options();
        change(options);
        auto client = imgtask::client::create(options);
        CHECK(!client);
        if (holds(client.error().message(), part))
            return true;
        std::fprintf(stderr, "%s: %s\n", part, client.error().message().data());
        return false;
    };
    CHECK(refusal([](auto &o) { o.provider = ""; }, "provider"));
    CHECK(refusal([](auto &o) { o.provider = "", o.dialect_json = "{\"no\": 1}"; }, "/no"));
    CHECK(refusal([](auto &o) { o.base_url = "gopher://x"; }, "base URL"));
    CHECK(refusal([](auto &o) { o.api_key = "a\nb"; }, "key"));
    CHECK(refusal([](auto &o) { o.user_agent = "a\nb"; }, "user agent"));
    CHECK(refusal([](auto &o) { o.proxy_url = "gopher://x"; }, "prox"));
    CHECK(refusal([](auto &o) { o.ca_file = "no/such/file.pem"; }, "ca_file"));
    CHECK(refusal([](auto &o) { o.journal_path = "no/such/folder/journal"; }, "no/such/folder"));
    CHECK(refusal([](auto &o) { o.log_level = static_cast<imgtask::log_level>(9); }, "log_level"));
}

void times_are_clamped_to_what_c_can_say()
{
    imgtask::client client = sandbox_client();
    auto task = client.submit(never).value();
    // Neither the default, nor some remainder.
    CHECK_STATUS(client.wait(task, -1s).error().status(), imgtask::status::timeout);
    CHECK_STATUS(client.next_event(-1h).error().status(), imgtask::status::no_event);
    // Where 0 is the default, which is minutes.
    imgtask::job job;
    job.task = &task;
    job.timeout = -1s;
    CHECK(client.start(job));
    auto over = client.next_event(20s);
    CHECK(over && over->is_final());
    CHECK_STATUS(over->status, imgtask::status::timeout);
    imgtask::options options = sandbox_options();
    options.wait_timeout = -1s;
    CHECK_STATUS(imgtask::client::create(options).value().wait(task).error().status(), imgtask::status::timeout);
    std::thread other([&] {
        while (client.stats().value().in_flight == 0)
            std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(50ms);
        (void)client.interrupt();
    });
    CHECK_STATUS(client.wait(task, std::chrono::milliseconds::max()).error().status(), imgtask::status::cancelled);
    other.join();
}

void nothing_is_wrong_with_empty_ones()
{
    imgtask::client client;
    imgtask::task task;
    imgtask::bytes bytes;
    CHECK(!client && !task && !bytes);
    CHECK(task.id().empty() && task.json().empty() && task.id().data()[0] == '\0' && !task.progress() && !task.created_at());
    CHECK(!task.credit_cost() && !task.looked_at() && task.state() == imgtask::task_state::unknown && !task.is_final());
    CHECK(!task.image(0) && bytes.view().empty() && bytes.data() == nullptr && bytes.sha256().empty());
    CHECK_STATUS(bytes.decode().error().status(), imgtask::status::null_argument);
    CHECK_STATUS(client.submit(cup).error().status(), imgtask::status::null_argument);
    CHECK_STATUS(client.wait(nobody, 1s).error().status(), imgtask::status::null_argument);
    CHECK_STATUS(client.next_event(0ms).error().status(), imgtask::status::null_argument);
    CHECK_STATUS(client.close(0ms), imgtask::status::null_argument);
    CHECK(client.pending() == 0 && !client.stats() && !client.event_fd());
    for (imgtask::event &event : client.events())
        CHECK(event.op == 0);
    imgtask::client real = sandbox_client();
    CHECK_STATUS(real.download(task).error().status(), imgtask::status::null_argument);
    CHECK_STATUS(real.wait(task).error().status(), imgtask::status::invalid_argument);
}

} // namespace

int main(int count, char **words)
{
    if (count > 1 && std::strcmp(words[1], "abort") == 0) {
        (void)sandbox_client().fetch(nobody).value();
        return 0;
    }
    a_task_comes_to_its_image();
    calls_go_one_behind_the_other();
    an_error_holds_the_task_that_is_known();
    a_call_without_words_says_its_status();
    a_nul_in_a_text_ends_nothing();
    a_text_that_is_null_is_an_argument_that_is_null();
    every_option_arrives();
    times_are_clamped_to_what_c_can_say();
    nothing_is_wrong_with_empty_ones();
    return done();
}
