/*
 * Three images in a loop of 60 frames a second that never waits for them: bars while they are on their way, pictures in the
 * terminal when they are there. Builds without exceptions and type information, as games do.
 *
 *     frame_loop_cpp [PROVIDER [COLUMNS]]
 *
 * The key is in the environment (DIMILINKS_API_KEY). A game that ships has none: it asks its studio's backend
 * (imgtask::options::base_url).
 */
#include <imgtask.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

namespace {

constexpr auto frame_time = std::chrono::microseconds(16667);
constexpr std::size_t events_a_frame = 8;
constexpr int bar_cells = 16;

// A place for an image that is on its way.
struct tile {
    const char *name;
    const char *request; // the provider's own JSON, as its documentation writes it
    int percent = 0;
    bool done = false;
    imgtask::bytes pixels{};
};

using tiles = std::array<tile, 3>;

// Asks for an image. Returns at once: all that happens to the job comes as events.
void ask(imgtask::client &client, tile &place, unsigned columns)
{
    imgtask::job job;
    job.request_json = place.request;
    job.goal = imgtask::goal::pixels; // decoded on a thread of the library, from PNG, JPEG or WebP
    job.max_side = columns;           // and made no larger than they are drawn
    job.flags = imgtask::flag::progress | imgtask::flag::premultiply;
    job.label = place.name;
    job.user_data = &place;
    const auto started = client.start(job);
    place.done = !started;
    if (!started)
        std::fprintf(stderr, "%s: %s\n", place.name, started.error().message().data());
}

// Takes what has happened since the last frame. Never waits, and allocates nothing.
void take_events(imgtask::client &client)
{
    for (imgtask::event &event : client.events(events_a_frame)) {
        tile &place = *static_cast<tile *>(event.user_data);
        if (event.task)
            place.percent = std::max(place.percent, event.task.progress().value_or(0));
        if (!event.is_final())
            continue;
        place.done = true;
        if (event.ok())
            place.pixels = std::move(event.bytes); // ours from here on
        else
            std::fprintf(stderr, "\n%s: %s\n", place.name, event.error.message().data());
    }
}

void draw_bars(const tiles &all)
{
    std::string line = "\r";
    for (const tile &place : all) {
        const auto filled = static_cast<std::size_t>(place.percent * bar_cells / 100);
        line += std::string(place.name) + " [" + std::string(filled, '#') + std::string(bar_cells - filled, '.') + "]  ";
    }
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);
}

// Two pixels a letter, one above the other.
void draw_picture(const imgtask::bytes &picture)
{
    const imgtask::bytes_view pixels = picture.view();
    const std::size_t width = picture.width(), height = picture.height(), row_bytes = picture.row_bytes();
    for (std::size_t y = 0; y + 1 < height; y += 2) {
        for (std::size_t x = 0; x < width; ++x) {
            const std::uint8_t *upper = pixels.data() + y * row_bytes + x * 4, *lower = upper + row_bytes;
            std::printf("\x1b[38;2;%d;%d;%dm\x1b[48;2;%d;%d;%dm\u2580", upper[0], upper[1], upper[2], lower[0], lower[1], lower[2]);
        }
        std::puts("\x1b[0m");
    }
}

} // namespace

int main(int count, char **words)
{
    using clock = std::chrono::steady_clock;
    auto made = imgtask::client::create(count > 1 ? words[1] : "dimilinks");
    if (!made) {
        std::fprintf(stderr, "%s\n", made.error().message().data());
        return 1;
    }
    imgtask::client client = *std::move(made);
    tiles all = {{{"lighthouse", R"({"prompt": "a lighthouse at dusk", "size": "256x192"})"},
                  {"fox", R"({"prompt": "a fox in the snow", "size": "256x192"})"},
                  {"harbour", R"({"prompt": "a harbour in the morning", "size": "256x192"})"}}};
    const int columns = count > 2 ? std::atoi(words[2]) : 40;
    for (tile &place : all)
        ask(client, place, static_cast<unsigned>(std::max(columns, 1)));

    const auto begun = clock::now();
    auto last = begun;
    clock::duration longest{};
    int frames = 0;
    while (!std::all_of(all.begin(), all.end(), [](const tile &place) { return place.done; })) {
        take_events(client);
        draw_bars(all);
        std::this_thread::sleep_until(last + frame_time);
        const auto now = clock::now();
        longest = std::max(longest, now - last);
        last = now;
        ++frames;
    }
    draw_bars(all);
    std::puts("");
    for (const tile &place : all)
        if (place.pixels)
            draw_picture(place.pixels);
    const auto ms = [](clock::duration time) {
        return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    std::printf("%d frames in %d ms, the longest %d ms\n", frames, ms(last - begun), ms(longest));
    return std::all_of(all.begin(), all.end(), [](const tile &place) { return bool(place.pixels); }) ? 0 : 1;
}
