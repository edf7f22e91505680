// The half of a program that has exceptions.
#include <imgtask.hpp>

#include <cstdio>
#include <string_view>

int without_exceptions(imgtask::client &client);

int main(int count, char **)
{
    try {
        imgtask::client client("no-such-provider");
        return 1;
    } catch (const imgtask::exception &exception) {
        if (exception.status() != imgtask::status::invalid_argument)
            return 2;
    }
    imgtask::client client;
    try {
        (void)client.fetch("somebody").value();
        return 3;
    } catch (const imgtask::exception &exception) {
        if (exception.status() != imgtask::status::null_argument)
            return 4;
    }
    return count > 1 ? without_exceptions(client) : 0;
}
