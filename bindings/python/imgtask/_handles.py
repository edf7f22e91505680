"""Owners of the library's handles.

Each is the pointer that an out parameter fills, so that there is no moment in which a signal could lose a handle, and
its last reference frees it. Ctrl-C meanwhile would be forgotten there: it strikes again afterwards.
"""

from . import _abi
from ._library import Loaded, loaded
from ._patience import StrikeAgain


class ClientHandle(_abi.imgtask_client):
    """Owns an `imgtask_client`. Every call under way holds a reference, so that no client is freed under a call."""

    def __del__(self, loaded: Loaded = loaded) -> None:
        try:
            if self:
                loaded.library.imgtask_client_free(self)
        except KeyboardInterrupt:
            _again = StrikeAgain()


class TaskHandle(_abi.imgtask_task):
    """Owns an `imgtask_task`."""

    def __del__(self, loaded: Loaded = loaded) -> None:
        try:
            if self:
                loaded.library.quick_task_free(self)
        except KeyboardInterrupt:
            _again = StrikeAgain()


class BytesHandle(_abi.imgtask_bytes):
    """Owns an `imgtask_bytes`."""

    def __del__(self, loaded: Loaded = loaded) -> None:
        try:
            if self:
                loaded.library.imgtask_bytes_free(self)
        except KeyboardInterrupt:
            _again = StrikeAgain()


class ErrorHandle(_abi.imgtask_error):
    """Owns an `imgtask_error`."""

    def __del__(self, loaded: Loaded = loaded) -> None:
        try:
            if self:
                loaded.library.imgtask_error_free(self)
        except KeyboardInterrupt:
            _again = StrikeAgain()


class EventHandle(_abi.imgtask_event):
    """Owns what is in an `imgtask_event`. Being forgotten is no acknowledgement: `imgtask_event_clear` is."""

    def __del__(self, loaded: Loaded = loaded) -> None:
        try:
            if self.op:
                self.keep_in_journal = 1
                loaded.library.imgtask_event_clear(self)
        except KeyboardInterrupt:
            _again = StrikeAgain()
