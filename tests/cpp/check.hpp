// What the C++ tests share: checks that say where they failed, and the client that most of them begin with.
#pragma once

#include <imgtask.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using namespace std::string_view_literals;

#define CHECK(condition) check_that(__FILE__, __LINE__, #condition, static_cast<bool>(condition))
#define CHECK_TEXT(text, wanted) check_text(__FILE__, __LINE__, #text, (text), (wanted))
#define CHECK_STATUS(got, wanted) check_text(__FILE__, __LINE__, #got, imgtask::name(got), imgtask::name(wanted))

inline void check_that(const char *file, int line, const char *what, bool so)
{
    if (so)
        return;
    std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    std::exit(1);
}

inline void check_text(const char *file, int line, const char *what, std::string_view text, std::string_view wanted)
{
    if (text == wanted)
        return;
    std::fprintf(stderr, "%s:%d: %s is \"%.*s\", not \"%.*s\"\n", file, line, what, static_cast<int>(text.size()), text.data(),
                 static_cast<int>(wanted.size()), wanted.data());
    std::exit(1);
}

inline bool holds(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// Nothing is left when a test ends.
inline int done()
{
    CHECK(imgtask::debug_live_handles() == 0);
    return 0;
}

// What the driver of these tests says about the sandbox: setting("URL", "dimilinks"), setting("KEY", "lemondata").
inline std::string setting(std::string_view what, std::string_view of)
{
    std::string name = "IMGTASK_TEST_" + std::string(what) + "_" + std::string(of);
    for (char &letter : name)
        letter = letter == '-' ? '_' : letter;
    const char *value = std::getenv(name.c_str());
    check_that(__FILE__, __LINE__, name.c_str(), value != nullptr);
    return value;
}

// How to reach the sandbox, and look every few milliseconds.
inline imgtask::options sandbox_options(std::string_view provider = "dimilinks")
{
    imgtask::options options;
    options.provider = provider;
    options.base_url = setting("URL", provider);
    options.api_key = setting("KEY", provider);
    options.poll_interval = 20ms;
    return options;
}

// How many times slower than usual this run may be: valgrind is.
inline int slowness()
{
    const char *value = std::getenv("IMGTASK_TEST_SLOWNESS");
    return value != nullptr ? std::atoi(value) : 1;
}

inline std::string file_bytes(const char *path)
{
    std::ifstream file(path, std::ios::binary);
    CHECK(file.good());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::string_view as_text(imgtask::bytes_view bytes)
{
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

constexpr auto png_head = "\x89PNG\r\n\x1a\n"sv;
constexpr auto cup = R"({"model":"gpt-image-1","prompt":"a cup","size":"64x48"})";
constexpr auto never = R"({"model":"gpt-image-1","prompt":"a cup [never]"})";
constexpr auto nobody = "img_000000000000000000000000";
