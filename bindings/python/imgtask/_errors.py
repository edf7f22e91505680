"""What can go wrong: one class per status of the library, in families by who can help."""

import ctypes
import re
from dataclasses import fields
from typing import Any, Dict, Optional, Type

from . import _abi
from ._abi import Status
from ._handles import ErrorHandle
from ._library import Library
from ._task import Failure, State, Task


class Error(Exception):
    """A call that did not do what it was asked. Its text is one line for people and holds no secret.

    >>> try:
    ...     client.fetch("img_0000")
    ... except Error as error:
    ...     print(error.status.name, error.http_status, error.retry_after, error.task_id)
    NOT_FOUND 404 None img_0000
    """

    #: What kind of error this is.
    status: Status
    #: One line for people.
    message: str
    #: The HTTP status of the answer, `None` when there was none.
    http_status: Optional[int]
    #: Seconds to wait before the same call may help; 0.0 when any time will do; `None` when it will not help.
    retry_after: Optional[float]
    #: The service's own code, "" when it gave none.
    provider_code: str
    #: The service's id of this request, for its support; "" when it gave none.
    request_id: str
    #: The task it happened to, "" when none is known.
    task_id: str
    #: What is known of the task, after a wait that did not end well or a submit without an answer.
    task: Optional[Task]

    def __init__(
        self,
        message: str,
        *,
        status: Status = Status.INVALID_ARGUMENT,
        http_status: Optional[int] = None,
        retry_after: Optional[float] = None,
        provider_code: str = "",
        request_id: str = "",
        task_id: str = "",
        task: Optional[Task] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.http_status = http_status
        self.retry_after = retry_after
        self.provider_code = provider_code
        self.request_id = request_id
        self.task_id = task_id
        self.task = task

    @property
    def retryable(self) -> bool:
        """Whether the same call can succeed later, after `retry_after` seconds."""
        return self.retry_after is not None

    def __str__(self) -> str:
        return self.message


class CallerError(Error):
    """The call itself cannot be carried out."""


class InvalidArgument(CallerError, ValueError):
    """An argument is outside its documented range or form."""


class Unsupported(CallerError):
    """This build, this system or this provider cannot do that."""


class Closed(CallerError):
    """The client was closed."""


class Busy(CallerError):
    """Called from within the log function, or too much is pending."""


class WrongProcess(CallerError):
    """The client was created before a fork, in the parent process. Create one in each process."""


class UnknownOperation(CallerError):
    """No such operation, or its final event was delivered already."""


class FlowError(Error):
    """The call ended before the task did; the task is still with the service."""


class Timeout(FlowError, TimeoutError):
    """The time given was over. `task` holds what was seen last: wait for it again, it is still with the service.

    >>> try:
    ...     client.wait(client.submit(prompt="a cat [never]"), timeout=0.3)
    ... except Timeout as late:
    ...     print(late.task.is_final, late.retryable)
    False True
    """


class Starved(Timeout):
    """The time was over and the request budget had allowed no look that could have decided."""


class Cancelled(FlowError):
    """Ended by `interrupt` or `close`; the task is still with the service."""


class NoEvent(FlowError):
    """No event in the time given."""


class NetworkError(Error):
    """The service could not be reached, or the connection broke."""


class ResolveError(NetworkError):
    """The host's name did not resolve."""


class ConnectError(NetworkError):
    """No connection to the host."""


class TlsError(NetworkError):
    """The TLS handshake or the certificate check failed."""


class ConnectionLost(NetworkError):
    """The connection broke, or a body was cut short."""


class ProtocolError(NetworkError):
    """The answer was not valid HTTP."""


class ProxyError(NetworkError):
    """The proxy refused or failed."""


class ServiceError(Error):
    """The service answered, and the answer is no."""


class Unauthorized(ServiceError):
    """The key is missing, wrong or not allowed to do this (HTTP 401, 403)."""


class PaymentRequired(ServiceError):
    """The account has no balance (HTTP 402)."""


class NotFound(ServiceError):
    """No such task, or not this key's task (HTTP 404, 410)."""


class RateLimited(ServiceError):
    """Too many requests (HTTP 429)."""


class Rejected(ServiceError):
    """The service refused the request (other HTTP 4xx, a redirect)."""


class ServerError(ServiceError):
    """The service is in trouble (HTTP 408, 425, 5xx)."""


class BadResponse(ServiceError):
    """The answer could not be understood."""


class SubmitUnknown(ServiceError):
    """The request was sent and its answer lost: the task may exist and be paid for. Look before submitting again."""


class NoImage(ServiceError):
    """The task has no usable image: it failed, is not finished, or succeeded without one."""


class LinkExpired(ServiceError):
    """The image's address is no longer valid. Fetch the task again for a fresh one."""


class Blocked(ServiceError):
    """An address that the rules do not allow to be contacted."""


class LocalError(Error):
    """Something on this machine stands in the way."""


class FileError(LocalError, OSError):
    """A file could not be written. `filename` is its name as the caller gave it, `None` where the library made it up.

    >>> try:
    ...     client.download_file(client.wait(client.submit(prompt="a lighthouse")), "/nowhere/lighthouse.png")
    ... except FileError as error:
    ...     print(error.filename)
    /nowhere/lighthouse.png
    """

    # Beside what else it tells, so that it is pickled, too.
    filename: Optional[str] = None


class TooLarge(LocalError):
    """A body or an image is larger than its limit."""


class BadImage(LocalError):
    """The bytes are not a whole image."""


class JournalError(LocalError):
    """The journal could not be read or written."""


class ResourceError(LocalError):
    """The system gave no thread, socket or memory."""


class InternalError(Error):
    """A bug in imgtask; the client is closed. Please report it."""


class TaskFailed(Error):
    """The task ended without success: `task.state` says how and `task.failure` why.

    `status` is `Status.OK`: the look was fine, it is the task that failed.

    >>> try:
    ...     client.wait(client.submit(prompt="a cat [fail:content_moderation]"))
    ... except TaskFailed as failed:
    ...     print(failed.state, failed.failure.code, failed.failure.action)
    failed content_moderation change_request
    """

    # Never `None` here, which who catches it need not check.
    task: Task  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def state(self) -> State:
        """How the task ended: failed, cancelled or expired."""
        return self.task.state

    @property
    def failure(self) -> Failure:
        """Why: `task.failure`, which is there for every task that ended so."""
        failure = self.task.failure
        assert failure is not None
        return failure


_CLASSES: Dict[int, Type[Error]] = {
    Status.NULL_ARGUMENT: InvalidArgument,
    Status.INVALID_ARGUMENT: InvalidArgument,
    Status.INVALID_UTF8: InvalidArgument,
    Status.UNSUPPORTED: Unsupported,
    Status.CLOSED: Closed,
    Status.BUSY: Busy,
    Status.WRONG_PROCESS: WrongProcess,
    Status.UNKNOWN_OP: UnknownOperation,
    Status.TIMEOUT: Timeout,
    Status.CANCELLED: Cancelled,
    Status.NO_EVENT: NoEvent,
    Status.STARVED: Starved,
    Status.RESOLVE: ResolveError,
    Status.CONNECT: ConnectError,
    Status.TLS: TlsError,
    Status.IO: ConnectionLost,
    Status.PROTOCOL: ProtocolError,
    Status.PROXY: ProxyError,
    Status.UNAUTHORIZED: Unauthorized,
    Status.PAYMENT: PaymentRequired,
    Status.NOT_FOUND: NotFound,
    Status.RATE_LIMITED: RateLimited,
    Status.REJECTED: Rejected,
    Status.SERVER: ServerError,
    Status.BAD_RESPONSE: BadResponse,
    Status.SUBMIT_UNKNOWN: SubmitUnknown,
    Status.NO_IMAGE: NoImage,
    Status.LINK_EXPIRED: LinkExpired,
    Status.BLOCKED: Blocked,
    Status.FILE: FileError,
    Status.TOO_LARGE: TooLarge,
    Status.BAD_IMAGE: BadImage,
    Status.JOURNAL: JournalError,
    Status.RESOURCE: ResourceError,
    Status.PANIC: InternalError,
}

# For the numbers of a newer library.
_FAMILIES = (
    (1, 19, CallerError),
    (20, 39, FlowError),
    (40, 59, NetworkError),
    (60, 79, ServiceError),
    (80, 99, LocalError),
)


# What calls without room for a message may come to.
_TOLD: Dict[int, str] = {
    Status.WRONG_PROCESS: "the client belongs to the process before the fork: create one in this process"
}


def error_class(status: int) -> Type[Error]:
    """The class for a status; the family's for a number this package does not know."""
    known = _CLASSES.get(status)
    if known is not None:
        return known
    for first, last, family in _FAMILIES:
        if first <= status <= last:
            return family
    return InternalError


def read_error(library: Library, status: int, handle: ErrorHandle, task: Optional[Task] = None) -> Error:
    """The exception for a call that gave `status`."""
    if not handle:
        told = _TOLD.get(status) or f"imgtask: {library.imgtask_status_name(status).decode()}"
        return error_class(status)(told, status=Status(status), task=task)
    info: Any = _abi.imgtask_error_info()
    info.struct_size = ctypes.sizeof(info)
    library.imgtask_error_get(handle, info)
    status = info.status
    return error_class(status)(
        info.message.decode(),
        status=Status(status),
        http_status=info.http_status or None,
        retry_after=info.retry_after_ms / 1000 if info.retry_after_ms >= 0 else None,
        provider_code=info.provider_code.decode(),
        request_id=info.request_id.decode(),
        task_id=info.task_id.decode(),
        task=task,
    )


_ADVICE = {
    "resubmit": "submit it again",
    "change_request": "change the request first",
    "check_account": "look at the account first",
}


def without_image(task: Task, index: int) -> Optional[Error]:
    """Why a task has no such image, in the library's words; `None` when it has it."""
    name = f"task {task.id}" if task.id else "the task"
    if index < len(task.images):
        return None
    if task.images:
        return InvalidArgument(f"no image {index}: {name} has {len(task.images)}", task_id=task.id)
    stands = _WITHOUT_IMAGE.get(task.state, "is not finished and has no image yet")
    why = f": {task.failure.message}" if task.failure is not None else ""
    return NoImage(f"{name} {stands}{why}", status=Status.NO_IMAGE, task_id=task.id)


_WITHOUT_IMAGE = {
    State.SUCCEEDED: "succeeded, but has no image",
    State.FAILED: "failed and has no image",
    State.CANCELLED: "was cancelled and has no image",
    State.EXPIRED: "has expired and has no image",
}


def not_finished(title: str, ref: str, task: Optional[Task], error: Optional[Error]) -> Timeout:
    """The exception for a wait whose one look saw `task`, or came to `error`: as the library's own wait tells it."""
    if task is None:
        task = unseen(error.task_id if error is not None else "", ref)
    if error is not None:
        saw = f"no look succeeded, the last one: {error.message}"
    else:
        # A word of the service's with something else in it may be anything.
        word = task.provider_status
        saw = f'last seen "{word if re.fullmatch("[A-Za-z_ -]{1,64}", word) else task.state}"'
    whose, name = f"{title}: " if title else "", f"task {task.id}" if task.id else "the task"
    return Timeout(
        f"{whose}{name} is not finished ({saw}); it goes on at the service and can be waited for again",
        status=Status.TIMEOUT,
        http_status=error.http_status if error is not None else None,
        retry_after=0.0,
        task_id=task.id,
        task=task,
    )


def unseen(id: str, ref: str) -> Task:
    """A task that no look has seen."""
    known: Dict[str, Any] = {each.name: "" for each in fields(Task)}
    for name in ("progress", "failure", "created_at", "completed_at", "looked_at", "credit_cost"):
        known[name] = None
    known.update(id=id, state=State.UNKNOWN, is_final=False, images=(), poll_ref=ref)
    return Task(**known)


def task_failed(task: Task) -> TaskFailed:
    """The exception for a task that ended without success."""
    name = f"task {task.id}" if task.id else "the task"
    message = f"{name}: {task.state}"
    code = ""
    if task.failure is not None:
        code = task.failure.code
        message += f": {task.failure.message}"
        if code:
            message += f" ({code})"
        advice = _ADVICE.get(task.failure.action)
        if advice:
            message += f"; {advice}"
    return TaskFailed(message, status=Status.OK, provider_code=code, task_id=task.id, task=task)
