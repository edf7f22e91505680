"""What the native library has: its providers, its version, its handles."""

import ctypes
from dataclasses import dataclass
from typing import List, Tuple

from . import _abi
from ._abi import Status
from ._library import load


@dataclass(frozen=True)
class Provider:
    """A built-in provider.

    >>> first = providers()[0]
    >>> first.name, first.title, first.key_variable, first.documented
    ('dimilinks', 'DimiLinks', 'DIMILINKS_API_KEY', True)
    """

    #: What to pass as `Client(provider)`.
    name: str
    #: The service's name for people.
    title: str
    #: Its default address, "" where none is confirmed and `base_url` must be given.
    base_url: str
    #: The environment variable of its key.
    key_variable: str
    #: Whether it can be submitted to.
    can_submit: bool
    #: Whether it can be asked to cancel a task.
    can_cancel: bool
    #: Whether its dialect is documented by the service. Otherwise it is put together from pages, clients and examples, and
    #: was never tried against the service: no promise. Listed behind the others.
    documented: bool
    #: How long a wait lasts when nobody says, seconds.
    wait_timeout: float


def providers() -> Tuple[Provider, ...]:
    """The built-in providers.

    >>> [provider.name for provider in providers()][:3]
    ['dimilinks', 'dimilinks-legacy', 'lemondata']
    """
    library = load()
    info = _abi.imgtask_provider_info()
    found: List[Provider] = []
    info.struct_size = ctypes.sizeof(info)
    while library.imgtask_provider_get(len(found), info) == Status.OK:
        found.append(
            Provider(
                name=info.name.decode(),
                title=info.title.decode(),
                base_url=info.base_url.decode(),
                key_variable=info.key_variable.decode(),
                can_submit=bool(info.can_submit),
                can_cancel=bool(info.can_cancel),
                documented=info.confidence == _abi.Confidence.DOCUMENTED,
                wait_timeout=info.wait_timeout_ms / 1000,
            )
        )
    return tuple(found)


def library_version() -> str:
    """The version of the native library: `"0.1.0"`.

    >>> library_version() >= __version__
    True
    """
    return load().version


def live_handles() -> int:
    """Handles of the native library not yet freed, in this process: for leak tests."""
    return int(load().imgtask_debug_live_handles())
