// Who owns what: moves, the way to the C interface and back, the log's sink, threads.
#include "check.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

// One owner each, as cheap to move as a pointer.
template <class Owner>
constexpr bool moves_only = std::is_nothrow_move_constructible_v<Owner> && std::is_nothrow_move_assignable_v<Owner> &&
                            !std::is_copy_constructible_v<Owner> && !std::is_copy_assignable_v<Owner> &&
                            std::is_nothrow_default_constructible_v<Owner>;
static_assert(moves_only<imgtask::client> && moves_only<imgtask::task> && moves_only<imgtask::bytes>);
static_assert(moves_only<imgtask::error> && moves_only<imgtask::event>);
static_assert(sizeof(imgtask::client) == sizeof(void *) && sizeof(imgtask::task) == sizeof(void *) &&
              sizeof(imgtask::bytes) == sizeof(void *));
static_assert(std::is_nothrow_move_constructible_v<imgtask::result<imgtask::event>>);
static_assert(std::is_nothrow_copy_constructible_v<imgtask::exception>);
static_assert(noexcept(std::declval<imgtask::client &>().next_event(imgtask::forever)));
static_assert(noexcept(std::declval<imgtask::client &>().start(std::declval<const imgtask::job &>())));

// A view of what is gone with the statement is a mistake that does not compile.
template <class T, class = void>
constexpr bool gives_id = false;
template <class T>
constexpr bool gives_id<T, std::void_t<decltype(std::declval<T>().id())>> = true;
static_assert(gives_id<imgtask::task &> && gives_id<const imgtask::task &> && !gives_id<imgtask::task>);
template <class T, class = void>
constexpr bool gives_view = false;
template <class T>
constexpr bool gives_view<T, std::void_t<decltype(std::declval<T>().view())>> = true;
static_assert(gives_view<const imgtask::bytes &> && !gives_view<imgtask::bytes>);
// Nor through a result that is gone with it.
template <class T, class = void>
constexpr bool leads_to_id = false;
template <class T>
constexpr bool leads_to_id<T, std::void_t<decltype(std::declval<T>()->id())>> = true;
static_assert(leads_to_id<imgtask::result<imgtask::task> &> && leads_to_id<const imgtask::result<imgtask::task> &>);
static_assert(!leads_to_id<imgtask::result<imgtask::task>> && !leads_to_id<const imgtask::result<imgtask::task>>);

// Nor a loop over the events of a client that is gone before it begins.
template <class T, class = void>
constexpr bool gives_events = false;
template <class T>
constexpr bool gives_events<T, std::void_t<decltype(std::declval<T>().events())>> = true;
static_assert(gives_events<imgtask::client &> && !gives_events<imgtask::client>);

// NULL as it stands there is an empty owner, and no text.
template <class T>
constexpr bool takes_null = std::is_constructible_v<T, std::nullptr_t>;
static_assert(takes_null<imgtask::client> && !takes_null<imgtask::text> && !takes_null<imgtask::task_ref>);

static_assert(imgtask::name(imgtask::goal::pixels) == "pixels"sv && imgtask::name(imgtask::task_state::expired) == "expired"sv);
static_assert((imgtask::flag::bgra | imgtask::flag::flip_y) == static_cast<imgtask::flag>(12));
static_assert((imgtask::flag::bgra & imgtask::flag::flip_y) == imgtask::flag::none);

void a_move_takes_all_and_leaves_nothing()
{
    imgtask::client first(sandbox_options());
    imgtask::client second = std::move(first);
    CHECK(second && !first); // NOLINT: that is the question
    CHECK_STATUS(first.fetch(nobody).error().status(), imgtask::status::null_argument);
    auto task = second.submit(cup).value();
    const auto id = task.id();
    imgtask::task moved = std::move(task);
    // Views are of the handle, which went along.
    CHECK(id.data() == moved.id().data() && !task && task.id().empty());
    moved = imgtask::task();
    CHECK(!moved);
    imgtask::task &same = second ? moved : task;
    moved = std::move(same);
    CHECK(!moved);
    second = imgtask::client(sandbox_options("lemondata"));
    CHECK(second.submit(cup).value());
}

void c_takes_over_and_gives_back()
{
    imgtask::client client(sandbox_options());
    auto task = client.submit(cup).value();
    const std::string id(task.id());
    imgtask_task *in_c = task.release();
    CHECK(in_c != nullptr && task.get() == nullptr && imgtask::debug_live_handles() == 2);
    imgtask_task_info info = {};
    info.struct_size = sizeof info;
    CHECK(imgtask_task_get(in_c, &info) == IMGTASK_STATUS_OK);
    CHECK_TEXT(info.id, id);
    imgtask::task back(in_c);
    CHECK_TEXT(back.id(), id);
    CHECK(back.get() == in_c);
    imgtask::client again(client.release());
    CHECK(again.fetch(back).value() && !client);
}

void the_log_goes_to_anything_that_can_be_called()
{
    struct notes {
        std::mutex lock;
        std::vector<std::string> lines;
        imgtask::log_level highest = imgtask::log_level::off;
        void operator()(imgtask::log_level level, std::string_view line)
        {
            const std::lock_guard guard(lock);
            highest = level > highest ? level : highest;
            lines.emplace_back(line);
        }
    } kept;
    auto options = sandbox_options();
    options.log_to(kept, imgtask::log_level::debug);
    {
        imgtask::client client(options);
        imgtask::client moved = std::move(client);
        CHECK(!moved.fetch(nobody));
    }
    CHECK(!kept.lines.empty() && kept.highest == imgtask::log_level::debug);
    for (const auto &line : kept.lines)
        CHECK(!line.empty() && !holds(line, setting("KEY", "dimilinks")));

    // A lambda, and a C function with its pointer.
    int lines = 0;
    const auto count = [&](imgtask::log_level, std::string_view) { ++lines; };
    options.log_to(count);
    CHECK(!imgtask::client(options).fetch(nobody));
    CHECK(lines > 0 && lines < static_cast<int>(kept.lines.size()));
    options.log = [](void *user_data, std::uint32_t, const char *) { --*static_cast<int *>(user_data); };
    options.log_user_data = &lines;
    CHECK(!imgtask::client(options).fetch(nobody));
    CHECK(lines == 0);
}

void one_client_serves_many_threads()
{
    imgtask::client client(sandbox_options());
    std::atomic<int> images{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n)
        threads.emplace_back([&] {
            auto image = client.submit(cup)
                             .and_then([&](imgtask::task task) { return client.wait(task, 60s); })
                             .and_then([&](imgtask::task task) { return client.download(task); });
            images += image && image->width() == 64;
        });
    for (auto &thread : threads)
        thread.join();
    CHECK(images == 4);
}

void a_client_may_live_in_a_member_until_it_is_known()
{
    struct game {
        std::optional<imgtask::client> late;
        imgtask::client empty;
    } game;
    game.late.emplace(sandbox_options());
    game.empty = std::move(*game.late);
    CHECK(game.empty.fetch(nobody).error().http_status() == 404);
}

} // namespace

int main()
{
    a_move_takes_all_and_leaves_nothing();
    c_takes_over_and_gives_back();
    the_log_goes_to_anything_that_can_be_called();
    one_client_serves_many_threads();
    a_client_may_live_in_a_member_until_it_is_known();
    return done();
}
