// Jobs and their events, in a loop that draws frames.
#include "check.hpp"

#include <poll.h>

#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace {

thread_local int allocations = 0;

} // namespace

// What this program itself takes from the heap.
void *operator new(std::size_t size)
{
    ++allocations;
    void *taken = std::malloc(size);
    CHECK(taken != nullptr);
    return taken;
}
void operator delete(void *taken) noexcept { std::free(taken); }
void operator delete(void *taken, std::size_t) noexcept { std::free(taken); }

namespace {

constexpr auto soon = 60s;

imgtask::job job_of(std::string_view request, imgtask::goal goal)
{
    imgtask::job job;
    job.request_json = request;
    job.goal = goal;
    return job;
}

// A picture of the game, on its way.
struct tile {
    const char *name;
    imgtask::bytes pixels{};
    int percent = 0;
    bool done = false;
};

void a_game_keeps_drawing_while_its_pictures_come()
{
    imgtask::client client(sandbox_options());
    tile tiles[] = {{"lighthouse"}, {"fox"}, {"harbour"}};
    for (tile &each : tiles) {
        auto job = job_of(R"({"prompt":")" + std::string(each.name) + R"(","size":"64x48"})", imgtask::goal::pixels);
        job.max_side = 32;
        job.flags = imgtask::flag::progress | imgtask::flag::bgra;
        job.label = each.name;
        job.user_data = &each;
        CHECK(client.start(job).value() > 0);
    }
    CHECK(client.pending() == 3);

    int frames = 0, taken = 0, most = 0, done = 0;
    for (; done < 3 && frames < 6000 * slowness(); ++frames) {
        int now = 0;
        const int before = allocations;
        for (imgtask::event &event : client.events(2)) {
            auto *at = static_cast<tile *>(event.user_data);
            CHECK_TEXT(event.label, at->name);
            CHECK(event.ok() && !event.error);
            if (event.task)
                at->percent = event.task.progress().value_or(at->percent);
            if (event.is_final()) {
                CHECK(event.goal == imgtask::goal::pixels);
                at->pixels = std::move(event.bytes);
                at->done = true;
                ++done;
            } else {
                CHECK(event.kind == imgtask::event_kind::progress && !event.bytes);
            }
            ++now;
        }
        CHECK(allocations == before);
        taken += now;
        most = now > most ? now : most;
        std::this_thread::sleep_for(5ms);
    }
    CHECK(done == 3 && most <= 2 && taken > 3 && client.pending() == 0);
    for (const tile &each : tiles) {
        CHECK(each.done && each.percent == 100);
        CHECK(each.pixels.format() == imgtask::bytes_format::bgra8 && each.pixels.width() == 32 && each.pixels.height() == 24);
        CHECK(each.pixels.view().size() == 32 * 24 * 4);
    }
}

void a_loop_takes_no_more_than_it_wants_and_says_why_it_ended()
{
    imgtask::client client(sandbox_options());
    auto never_done = client.submit(never).value();
    imgtask::job job;
    job.task = &never_done;
    for (int n = 0; n < 5; ++n) {
        auto op = client.start(job).value();
        CHECK_STATUS(client.stop(op), imgtask::status::ok);
    }
    while (client.stats().value().events_waiting < 5)
        std::this_thread::sleep_for(5ms);
    auto none = client.events(0);
    CHECK(!(none.begin() != none.end()));
    int taken = 0;
    auto two = client.events(2);
    for (imgtask::event &event : two) {
        CHECK(event.is_final() && event.status == imgtask::status::cancelled && !event.ok());
        CHECK_STATUS(event.error.status(), imgtask::status::cancelled);
        CHECK(!event.error.message().empty());
        ++taken;
    }
    CHECK(taken == 2 && client.pending() == 3);
    CHECK_STATUS(two.status(), imgtask::status::ok);
    // What a loop does not get to stays for the next; and an event that is moved out does not end it.
    auto one = client.events();
    auto at = one.begin();
    CHECK(imgtask::event(std::move(*at)).is_final() && at != one.end());
    CHECK(client.pending() == 2);
    auto rest = client.events();
    for (imgtask::event &event : rest)
        taken += event.op != 0;
    CHECK(taken == 4);
    CHECK_STATUS(rest.status(), imgtask::status::no_event);
    CHECK_STATUS(client.close(), imgtask::status::ok);
    auto closed = client.events();
    for (imgtask::event &event : closed)
        CHECK(event.op == 0);
    CHECK_STATUS(closed.status(), imgtask::status::closed);
    CHECK_STATUS(client.start(job).error().status(), imgtask::status::closed);
}

void somebody_waits_for_events_instead()
{
    imgtask::client client(sandbox_options());
    CHECK_STATUS(client.next_event(0ms).error().status(), imgtask::status::no_event);
    const int fd = client.event_fd().value();
    pollfd readable = {fd, POLLIN, 0};
    CHECK(poll(&readable, 1, 0) == 0);

    auto job = job_of(cup, imgtask::goal::file);
    job.path = "{id}-{index}.{ext}";
    job.image_index = imgtask::all_images;
    const auto op = client.start(job).value();
    CHECK(poll(&readable, 1, 60000) == 1);
    auto image = client.next_event(soon).value();
    CHECK(image.op == op && image.kind == imgtask::event_kind::image && image.ok() && image.image_index == 0);
    CHECK(image.bytes.view().empty() && image.bytes.byte_size() > 0 && image.user_data == nullptr && image.label.empty());
    CHECK(file_bytes(image.bytes.path().data()).size() == image.bytes.byte_size());
    std::remove(image.bytes.path().data());
    auto final = client.next_event(imgtask::forever).value();
    CHECK(final.op == op && final.is_final() && final.ok() && final.task.succeeded());
    CHECK_STATUS(client.stop(op), imgtask::status::unknown_op);

    // An event outlives the loop that took it, and its client.
    imgtask::event kept;
    job = job_of(R"({"prompt":"a cup [fail]"})", imgtask::goal::bytes);
    job.label = "kept";
    (void)client.start(job).value();
    while (!kept.is_final())
        kept = client.next_event(soon).value();
    client = imgtask::client();
    imgtask::event moved = std::move(kept);
    CHECK_TEXT(moved.label, "kept");
    CHECK_STATUS(moved.status, imgtask::status::no_image);
    CHECK(moved.task.is_final() && !moved.bytes);
    // What was moved from is empty: its label would be another's.
    CHECK(kept.op == 0 && !kept.is_final() && kept.ok() && kept.label.empty() && !kept.task && !kept.error); // NOLINT
    kept = std::move(moved);
    CHECK(moved.op == 0 && !moved.is_final() && moved.label.empty() && !moved.error); // NOLINT
    moved = std::move(kept);
    CHECK_TEXT(moved.label, "kept");
    try {
        throw imgtask::exception(std::move(moved.error));
    } catch (const imgtask::exception &exception) {
        CHECK_STATUS(exception.status(), imgtask::status::no_image);
    }
}

imgtask::options with_journal()
{
    std::remove("frames.journal");
    auto options = sandbox_options();
    options.journal_path = "frames.journal";
    return options;
}

// How many jobs come back from the journal, with their labels.
std::vector<std::string> come_back(const imgtask::options &options)
{
    std::vector<std::string> labels;
    imgtask::client client(options);
    const auto count = client.resume().value();
    for (imgtask::event &event : client.events()) {
        if (event.kind == imgtask::event_kind::resumed)
            labels.emplace_back(event.label);
        else
            event.keep_in_journal();
    }
    CHECK(labels.size() == count);
    CHECK_STATUS(client.close(), imgtask::status::ok);
    return labels;
}

imgtask::event finished(imgtask::client &client, const char *label)
{
    auto job = job_of(cup, imgtask::goal::finished);
    job.label = label;
    (void)client.start(job).value();
    return client.next_event(soon).value();
}

void what_was_dealt_with_does_not_come_back_and_the_rest_does()
{
    const auto options = with_journal();
    {
        imgtask::client client(options);
        finished(client, "dealt with");
        finished(client, "put off").keep_in_journal();
        // A loop that throws has not dealt with its event.
        auto job = job_of(cup, imgtask::goal::finished);
        job.label = "thrown";
        (void)client.start(job).value();
        bool caught = false;
        while (!caught) {
            try {
                for (imgtask::event &event : client.events())
                    if (event.is_final())
                        throw std::runtime_error("no room for it");
            } catch (const std::runtime_error &) {
                caught = true;
            }
            std::this_thread::sleep_for(5ms);
        }
        // Nor has one whose events were in a list by then; moving them is no end.
        try {
            std::vector<imgtask::event> list;
            list.push_back(finished(client, "in a list"));
            list.push_back(finished(client, "in a list, too"));
            throw std::runtime_error("no room for them");
        } catch (const std::runtime_error &) {
        }
        // But one that came and went while an exception was handled.
        try {
            throw std::runtime_error("something else");
        } catch (const std::runtime_error &) {
            finished(client, "dealt with in a catch");
        }
        CHECK_STATUS(client.close(), imgtask::status::ok);
    }
    auto back = come_back(options);
    CHECK(back.size() == 4);
    for (const char *wanted : {"put off", "thrown", "in a list", "in a list, too"}) {
        bool found = false;
        for (const auto &label : back)
            found = found || label == wanted;
        check_that(__FILE__, __LINE__, wanted, found);
    }
    // Assigning over an event is its end.
    {
        imgtask::client client(options);
        CHECK(client.resume(imgtask::flag::progress).value() == 4);
        imgtask::event event;
        for (int ended = 0; ended < 4; ended += event.is_final())
            event = client.next_event(soon).value();
        event = imgtask::event();
        CHECK_STATUS(client.close(), imgtask::status::ok);
    }
    CHECK(come_back(options).empty());
    std::remove("frames.journal");
}

void a_task_can_be_forgotten()
{
    const auto options = with_journal();
    {
        imgtask::client client(options);
        auto task = client.submit(never).value();
        imgtask::job job;
        job.task_ref = task.id();
        job.label = "forgotten";
        (void)client.start(job).value();
        while (!client.forget(task))
            std::this_thread::sleep_for(5ms);
        CHECK_STATUS(client.forget(task).error().status(), imgtask::status::not_found);
        CHECK_STATUS(client.close(5s), imgtask::status::ok);
        auto final = client.next_event(0ms).value();
        CHECK_STATUS(final.status, imgtask::status::cancelled);
    }
    CHECK(come_back(options).empty());
    std::remove("frames.journal");
}

void an_event_goes_to_c_and_comes_back()
{
    imgtask::client client(sandbox_options());
    imgtask::event event = finished(client, "there and back");
    imgtask_event in_c = event.release();
    CHECK(in_c.task != nullptr && in_c.error == nullptr && in_c.status == IMGTASK_STATUS_OK);
    CHECK_TEXT(in_c.label, "there and back");
    CHECK(in_c.op != 0 && !event.task && event.op == 0 && event.label.empty());
    const imgtask::event back(in_c);
    CHECK_TEXT(back.label, "there and back");
    CHECK(back.task.succeeded());
}

} // namespace

int main()
{
    a_game_keeps_drawing_while_its_pictures_come();
    a_loop_takes_no_more_than_it_wants_and_says_why_it_ended();
    somebody_waits_for_events_instead();
    what_was_dealt_with_does_not_come_back_and_the_rest_does();
    a_task_can_be_forgotten();
    an_event_goes_to_c_and_comes_back();
    return done();
}
