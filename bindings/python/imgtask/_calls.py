"""How a client calls the library."""

from typing import Callable, Optional, TypeVar, Union

from ._abi import Status
from ._errors import Cancelled, Closed, Error, read_error
from ._exit import leave_if_over
from ._handles import BytesHandle, ClientHandle, ErrorHandle, TaskHandle
from ._library import Library
from ._patience import patiently
from ._task import Task, read_task

# What a call that may last gives.
Out = TypeVar("Out", TaskHandle, BytesHandle)


class Calls:
    """What every call of a client stands on."""

    _library: Library
    _handle: Optional[ClientHandle]

    def _client(self) -> ClientHandle:
        handle = self._handle
        if handle is None:
            leave_if_over()
            raise closed()
        return handle

    def _check(self, status: int) -> None:
        if status:
            raise read_error(self._library, status, ErrorHandle())

    def _task(self, call: Callable[[Library, ClientHandle, TaskHandle, ErrorHandle], int]) -> Task:
        """Makes a call that gives a task and may last."""
        return read_task(self._library, self._last(call, TaskHandle()))

    def _bytes(self, call: Callable[[Library, ClientHandle, BytesHandle, ErrorHandle], int]) -> BytesHandle:
        """Makes a call that gives bytes and may last."""
        return self._last(call, BytesHandle())

    def _last(self, call: Callable[[Library, ClientHandle, Out, ErrorHandle], int], out: Out) -> Out:
        """Makes a call that may last; signals get through."""
        library, client = self._library, self._client()
        error = ErrorHandle()
        try:
            status = patiently(
                lambda: call(library, client, out, error), lambda: library.imgtask_client_interrupt(client)
            )
        except BaseException as stop:
            # A submit that was stopped may have made a task all the same: the traceback says so.
            if stop.__cause__ is None and (out or error):
                stop.__cause__ = stopped(library, error, known(library, out))
            raise
        if status:
            leave_if_over()
            raise read_error(library, status, error, known(library, out))
        return out


def known(library: Library, out: Union[TaskHandle, BytesHandle]) -> Optional[Task]:
    """The task that came with an error."""
    return read_task(library, out) if isinstance(out, TaskHandle) and out else None


def closed() -> Closed:
    """The error of a call after `close`."""
    return Closed("the client is closed", status=Status.CLOSED)


def stopped(library: Library, error: ErrorHandle, task: Optional[Task]) -> Error:
    """What had become of a call when a signal stopped it."""
    if error:
        return read_error(library, Status.CANCELLED, error, task)
    return ended_before(task)


def ended_before(task: Optional[Task]) -> Cancelled:
    """A call had ended when it was stopped, and nobody got what it gave."""
    told = f"the task {task.id} was known by then" if task is not None else "it had ended by then"
    return Cancelled(told, status=Status.CANCELLED, task_id=task.id if task else "", task=task)
