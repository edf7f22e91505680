// The half that is built without exceptions: there value() says it and aborts, and throws nothing through functions that cannot unwind.
#include <imgtask.hpp>

int without_exceptions(imgtask::client &client);

int without_exceptions(imgtask::client &client)
{
    if (client.fetch("somebody"))
        return 5;
    (void)client.fetch("somebody").value();
    return 6;
}
