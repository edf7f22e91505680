"""Numbers of the library that have words."""

from enum import IntEnum
from typing import Any


class Number(IntEnum):
    """An enum whose members are numbers and show themselves as words: `str(Status.NOT_FOUND) == "not_found"`.

    A number of a newer library is a member without a name of its own: `str(Status(199)) == "unknown 199"`.
    """

    def __str__(self) -> str:
        return self.name.lower()

    def __format__(self, form: str) -> str:
        return format(str(self), form)

    def __reduce_ex__(self, protocol: object) -> Any:
        # By its number: some Pythons pickle the name, which one of a newer library does not have.
        return type(self), (int(self),)

    @classmethod
    def _missing_(cls, value: object) -> "Number":
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{value!r} is no {cls.__name__}")
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN {value}"
        member._value_ = value
        return member
