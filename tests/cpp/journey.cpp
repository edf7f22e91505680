// From a request to the image on disk, by somebody who likes exceptions.
#include "check.hpp"

#include <cstring>
#include <ctime>
#include <exception>
#include <thread>
#include <utility>

namespace {

// What the call threw; it must throw.
template <class Call>
imgtask::exception thrown(const Call &call)
{
    try {
        call();
    } catch (const imgtask::exception &exception) {
        return exception;
    }
    check_that(__FILE__, __LINE__, "it throws", false);
    std::abort();
}

void a_task_comes_to_its_image(std::string_view provider)
{
    imgtask::client client(sandbox_options(provider));
    auto submitted = client.submit(cup).value();
    CHECK(submitted && !submitted.is_final() && !submitted.succeeded() && submitted.image_count() == 0);
    CHECK(!submitted.id().empty() && !submitted.poll_ref().empty());

    auto seen = client.fetch(submitted.id()).value();
    CHECK_TEXT(seen.id(), submitted.id());
    CHECK(seen.looked_at().has_value() && seen.json().size() > 2 && holds(seen.json(), seen.id()));
    CHECK(seen.json().data()[seen.json().size()] == '\0');

    auto done = client.wait(submitted, 60s).value();
    CHECK(done.succeeded() && done.is_final() && done.progress() == 100 && done.image_count() == 1);
    CHECK_TEXT(imgtask::name(done.state()), "succeeded");
    CHECK(done.failure_action() == imgtask::failure_action::none && done.failure_message().empty());
    const auto created = done.created_at();
    CHECK(created && created->time_since_epoch() > 1500000000s);
    CHECK(std::chrono::system_clock::to_time_t(*created) > 1500000000);
    CHECK(!done.completed_at() || done.completed_at() >= created);

    auto image = done.image(0).value();
    CHECK(image.index == 0 && (image.is_inline || image.url.substr(0, 7) == "http://"));
    CHECK_STATUS(done.image(1).error().status(), imgtask::status::invalid_argument);

    auto bytes = client.download(done).value();
    CHECK(bytes.format() == imgtask::bytes_format::encoded && bytes.row_bytes() == 0);
    CHECK(as_text(bytes.view()).substr(0, 8) == png_head);
    CHECK(bytes.data() == bytes.view().data() && bytes.size() == bytes.view().size() && bytes.byte_size() == bytes.size());
    CHECK(bytes.width() == 64 && bytes.height() == 48);
    CHECK_TEXT(bytes.media_type(), "image/png");
    CHECK_TEXT(bytes.extension(), "png");
    CHECK(bytes.path().empty() && bytes.sha256().size() == 64);

    std::remove("journey.png");
    auto file = client.download_file(done, "journey.png").value();
    CHECK(file.view().empty() && file.data() == nullptr && file.size() == 0 && file.byte_size() == bytes.size());
    CHECK_TEXT(file.sha256(), bytes.sha256());
    CHECK(holds(file.path(), "journey.png"));
    CHECK(file_bytes("journey.png") == as_text(bytes.view()));
    CHECK_STATUS(thrown([&] {
        client.download_file(done, "journey.png", 0, imgtask::flag::no_replace).value();
    }).status(), imgtask::status::file);
    std::remove("journey.png");

    auto stats = client.stats().value();
    CHECK(stats.looks >= 2 && stats.requests > stats.looks && stats.retries == 0 && stats.threads == 0 && stats.staleness_p50_ms == -1);
    CHECK(stats.bytes_received > 0 && stats.connections_opened > 0 && stats.in_flight == 0 && stats.pending == 0);
}

void pixels_are_as_flags_say()
{
    imgtask::client client(sandbox_options());
    auto bytes = client.download(client.wait(client.submit(cup).value()).value()).value();
    auto pixels = bytes.decode().value();
    CHECK(pixels.format() == imgtask::bytes_format::rgba8 && pixels.row_bytes() == 64 * 4 && pixels.size() == 64 * 48 * 4);
    auto small = bytes.decode(32, imgtask::flag::bgra | imgtask::flag::flip_y).value();
    CHECK(small.format() == imgtask::bytes_format::bgra8 && small.width() == 32 && small.height() == 24);
    auto flipped = bytes.decode(0, imgtask::flag::flip_y).value();
    const auto row = pixels.row_bytes();
    CHECK(std::memcmp(pixels.data(), flipped.data() + 47 * row, row) == 0);
    std::size_t opaque = 0;
    for (std::uint8_t byte : pixels.view())
        opaque += byte == 255;
    CHECK(opaque >= 64 * 48 && pixels.view()[3] == 255);
    CHECK_STATUS(thrown([&] { (void)pixels.decode().value(); }).status(), imgtask::status::invalid_argument);
}

void a_failure_says_all_that_is_known()
{
    imgtask::client client(sandbox_options());
    const auto exception = thrown([&] { (void)client.fetch(nobody).value(); });
    CHECK_STATUS(exception.status(), imgtask::status::not_found);
    const imgtask::error &error = exception.error();
    CHECK_TEXT(error.message(), exception.what());
    CHECK(error.http_status() == 404 && !error.retry_after());
    CHECK_TEXT(error.task_id(), nobody);
    CHECK(!error.task());
    // It is what people catch who do not know us.
    try {
        (void)client.fetch("two/words").value();
        check_that(__FILE__, __LINE__, "it throws", false);
    } catch (const std::exception &known) {
        CHECK(std::strlen(known.what()) > 0);
    }
    CHECK_STATUS(thrown([&] { (void)client.cancel_task(nobody).value(); }).status(), imgtask::status::unsupported);
}

void a_task_that_is_known_is_not_lost_with_the_exception()
{
    imgtask::client client(sandbox_options());
    auto task = client.submit(never).value();

    imgtask::task kept;
    try {
        (void)client.wait(task, 0ms).value();
    } catch (imgtask::exception &exception) {
        CHECK_STATUS(exception.status(), imgtask::status::timeout);
        CHECK(exception.error().retry_after().has_value());
        kept = std::move(exception.error().task());
    }
    CHECK(kept && !kept.is_final());
    CHECK_TEXT(kept.id(), task.id());

    // Also from another thread, by an exception_ptr, as std::async does it.
    std::exception_ptr from_there;
    std::thread([&] {
        try {
            (void)client.wait(task, 10ms).value();
        } catch (...) {
            from_there = std::current_exception();
        }
    }).join();
    const auto copied = thrown([&] { std::rethrow_exception(from_there); });
    CHECK_TEXT(copied.error().task().id(), task.id());
    // And one that was moved from has it still.
    imgtask::exception first = copied;
    const imgtask::exception second = std::move(first);
    CHECK_STATUS(first.status(), imgtask::status::timeout); // NOLINT: that is the question
    CHECK_TEXT(second.error().task().id(), task.id());

    // A submit whose answer was lost.
    const auto lost = thrown([&] {
        (void)client.submit(R"({"model":"gpt-image-2","prompt":"cpp )" + std::to_string(std::time(nullptr)) + R"( [lost-reply]"})").value();
    });
    CHECK_STATUS(lost.status(), imgtask::status::submit_unknown);
    CHECK(lost.error().task() && lost.error().task().state() == imgtask::task_state::unknown);
    CHECK(!lost.error().retry_after());
}

void a_task_that_failed_is_a_value_and_its_download_is_not()
{
    imgtask::client client(sandbox_options());
    auto task = client.wait(client.submit(R"({"prompt":"a cup [fail:content_policy_violation]"})").value()).value();
    CHECK(task.is_final() && !task.succeeded() && !task.progress());
    CHECK_TEXT(task.failure_code(), "content_policy_violation");
    CHECK(task.failure_action() == imgtask::failure_action::change_request && !task.failure_message().empty());
    const auto exception = thrown([&] { (void)client.download(task).value(); });
    CHECK_STATUS(exception.status(), imgtask::status::no_image);
    CHECK(holds(exception.what(), "failed and has no image"));
}

void a_client_that_cannot_be_says_why()
{
    imgtask::options options;
    options.provider = "no-such-provider";
    CHECK_STATUS(thrown([&] { imgtask::client client(options); }).status(), imgtask::status::invalid_argument);
    CHECK(holds(thrown([] { imgtask::client client("no-such-provider"); }).what(), "no-such-provider"));

    options = sandbox_options();
    options.api_key = "canary-0123456789";
    imgtask::client client(options);
    const auto refused = thrown([&] { (void)client.submit(cup).value(); });
    CHECK_STATUS(refused.status(), imgtask::status::unauthorized);
    CHECK(!holds(refused.what(), "canary"));
    client.set_key(setting("KEY", "dimilinks")).value();
    CHECK(client.submit(cup).value());
}

void what_the_library_is()
{
    CHECK(imgtask::abi_matches() && imgtask::abi_version() == IMGTASK_ABI_VERSION);
    CHECK_TEXT(imgtask::version(), std::to_string(IMGTASK_VERSION_MAJOR) + "." + std::to_string(IMGTASK_VERSION_MINOR) + "." +
                                       std::to_string(IMGTASK_VERSION_PATCH));
    const auto all = imgtask::providers();
    CHECK(all.size() > 3);
    CHECK_TEXT(all[0].name, "dimilinks");
    CHECK(all[0].can_submit && all[0].confidence == imgtask::confidence::documented && all[0].wait_timeout > 10s);
    CHECK_TEXT(all[0].key_variable, "DIMILINKS_API_KEY");
}

} // namespace

int main()
{
    a_task_comes_to_its_image("dimilinks");
    a_task_comes_to_its_image("dimilinks-legacy");
    a_task_comes_to_its_image("lemondata");
    pixels_are_as_flags_say();
    a_failure_says_all_that_is_known();
    a_task_that_is_known_is_not_lost_with_the_exception();
    a_task_that_failed_is_a_value_and_its_download_is_not();
    a_client_that_cannot_be_says_why();
    what_the_library_is();
    return done();
}
