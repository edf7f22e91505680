"""imgtask gets your image back from an asynchronous image API.

A service answers "make me an image" with a task id. `Client.submit` gives that task, `Client.wait` looks until it is
done, `Client.download` brings the image: at the pace the service wants, with the key going nowhere else, and without
losing a task you paid for.

    import imgtask

    with imgtask.Client("dimilinks") as client:      # the key: DIMILINKS_API_KEY
        task = client.wait(client.submit(prompt="a lighthouse at dusk"))
        client.download(task).save("lighthouse.png")

`Client.watch` does so for any number of tasks, `Client.aio` has the calls for asyncio.
"""

from typing import TYPE_CHECKING, Any

from ._abi import Status
from ._arguments import TaskRef
from ._client import Client
from ._errors import (
    BadImage,
    BadResponse,
    Blocked,
    Busy,
    CallerError,
    Cancelled,
    Closed,
    ConnectError,
    ConnectionLost,
    Error,
    FileError,
    FlowError,
    InternalError,
    InvalidArgument,
    JournalError,
    LinkExpired,
    LocalError,
    NetworkError,
    NoEvent,
    NoImage,
    NotFound,
    PaymentRequired,
    ProtocolError,
    ProxyError,
    RateLimited,
    Rejected,
    ResolveError,
    ResourceError,
    ServerError,
    ServiceError,
    Starved,
    SubmitUnknown,
    TaskFailed,
    Timeout,
    TlsError,
    TooLarge,
    Unauthorized,
    UnknownOperation,
    Unsupported,
    WrongProcess,
)
from ._event import Event, EventKind, Goal
from ._library import LibraryNotFound, load
from ._lines import Log
from ._picture import Picture, SavedPicture
from ._pixels import Pixels
from ._provider import Provider, library_version, live_handles, providers
from ._stats import Stats
from ._task import Failure, FailureAction, Image, State, Task
from ._watch import Outcome

if TYPE_CHECKING:
    from ._aio import Aio

__version__ = "0.1.0"

__all__ = [
    "Aio",
    "BadImage",
    "BadResponse",
    "Blocked",
    "Busy",
    "CallerError",
    "Cancelled",
    "Client",
    "Closed",
    "ConnectError",
    "ConnectionLost",
    "Error",
    "Event",
    "EventKind",
    "Failure",
    "FailureAction",
    "FileError",
    "FlowError",
    "Goal",
    "Image",
    "InternalError",
    "InvalidArgument",
    "JournalError",
    "LibraryNotFound",
    "LinkExpired",
    "LocalError",
    "Log",
    "NetworkError",
    "NoEvent",
    "NoImage",
    "NotFound",
    "Outcome",
    "PaymentRequired",
    "Picture",
    "Pixels",
    "ProtocolError",
    "Provider",
    "ProxyError",
    "RateLimited",
    "Rejected",
    "ResolveError",
    "ResourceError",
    "SavedPicture",
    "ServerError",
    "ServiceError",
    "Starved",
    "State",
    "Stats",
    "Status",
    "SubmitUnknown",
    "Task",
    "TaskFailed",
    "TaskRef",
    "Timeout",
    "TlsError",
    "TooLarge",
    "Unauthorized",
    "UnknownOperation",
    "Unsupported",
    "WrongProcess",
    "__version__",
    "library_version",
    "live_handles",
    "load",
    "providers",
]


def _show_as_ours() -> None:
    """A traceback names the class where people import it from."""
    for name in __all__:
        thing = globals().get(name)
        if isinstance(thing, type):
            thing.__module__ = __name__


_show_as_ours()
del _show_as_ours


# A type checker would take any name for a good one.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Imports what needs asyncio when it is asked for: asyncio takes longer to import than all of this package."""
        if name == "Aio":
            from ._aio import Aio

            Aio.__module__ = __name__
            globals()[name] = Aio
            return Aio
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
