# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of values that options have: how each is read, checked and written."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

HIGHEST_PORT = 65535
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value.

    Args:
        parse: reads it from text; raises ValueError with the words for what is wrong.
        unit: what it counts, as manuals show it; empty for a switch alone.
        show: writes it as one would write it.
        within: completes a value that was written down in a directory, such as a relative path.
        quoted: an example, where the configuration file must have quotes; empty where a number
            without any is as good.
        separator: joins the items of a list in the configuration file; empty where a list is wrong.
        may_be_empty: an empty text is a value.
        place: the path that a value names in the file system, or None; None for other kinds.
    """

    parse: Callable[[str], T]
    unit: str
    show: Callable[[T], str] = field(default=str)
    within: Callable[[str, T], T] | None = None
    quoted: str = ""
    separator: str = ""
    may_be_empty: bool = False
    place: Callable[[T], str | None] | None = None

    @property
    def is_switch(self) -> bool:
        """Tell whether the name alone turns it on."""
        return not self.unit


def _text(given: str) -> str:
    """Read any text but a NUL, which neither a path nor an argument can have."""
    if "\0" in given:
        raise ValueError("has a NUL character")
    return given


def text(unit: str, *, separator: str = "", may_be_empty: bool = False) -> Kind[str]:
    """Make the kind of any text; `unit` says what it is."""
    return Kind(_text, unit, separator=separator, may_be_empty=may_be_empty)


def _token(given: str) -> str:
    """Read text that a header can carry: printable ASCII without white space."""
    if not re.fullmatch(r"[!-~]+", given):
        raise ValueError("is not a name such as us-east-1")
    return given


def _size(given: str) -> int:
    match = re.fullmatch(r"(\d+)([KMGTP]?)i?B?", given, re.IGNORECASE)
    if match is None:
        raise ValueError("is not a size such as 8M")
    return int(match[1]) * UNITS[match[2].upper()]


def _show_size(value: int) -> str:
    for unit in "PTGMK":
        if value and value % UNITS[unit] == 0:
            return f"{value // UNITS[unit]}{unit}"
    return str(value)


def _seconds(given: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", given)
    if match is None:
        raise ValueError("is not a duration such as 60 or 5m")
    return float(match[1]) * {None: 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]


def _octal(given: str) -> int:
    if not re.fullmatch(r"0?[0-7]{1,4}", given):
        raise ValueError("is not an octal mode such as 0644")
    return int(given, 8)


def _number(given: str) -> int:
    if not re.fullmatch(r"\d{1,10}", given):
        raise ValueError("is not a number")
    return int(given)


def number(unit: str) -> Kind[int]:
    """Make the kind of a number that is not negative; `unit` says what it counts."""
    return Kind(_number, unit)


def one_of(*choices: str, unit: str = "") -> Kind[str]:
    """Make the kind that is one of these words."""

    def parse(given: str) -> str:
        if given not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return given

    return Kind(parse, unit or "|".join(choices))


def member_of(kind: type[E]) -> Kind[E]:
    """Make the kind that is one member of an Enum, written as its value."""
    words = one_of(*(str(member.value) for member in kind))
    return Kind(lambda given: kind(words.parse(given)), words.unit, lambda member: member.value)


def _endpoint(given: str) -> str:
    match = re.fullmatch(r"https?://(?:[^/?#@\s:\0]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?/?", given)
    if match is None or int(match[1] or 0) > HIGHEST_PORT:
        raise ValueError("is not an address such as https://s3.kontenum.com")
    return given.rstrip("/")


def _address(given: str) -> str:
    match = re.fullmatch(r"unix:/.+|([^\s:]+|\[[0-9a-f:]+\]):(\d{1,5})", given)
    if match is None or (match[2] and int(match[2]) > HIGHEST_PORT):
        raise ValueError("is no address such as 127.0.0.1:9464 or unix:/run/kontenumfs/m.sock")
    return given


def _switch(given: str) -> bool:
    if given not in ("true", "false"):
        raise ValueError("is none of true, false")
    return given == "true"


def _path_or_none(directory: str, value: str) -> str:
    return value if value == "none" else os.path.join(directory, value)


def _place_or_none(value: str) -> str | None:
    return None if value == "none" else value


def _place_of_socket(value: str) -> str | None:
    return value.removeprefix("unix:") if value.startswith("unix:") else None


ADDRESS = Kind(_address, "HOST:PORT|unix:PATH", place=_place_of_socket)
"""An address to listen at."""
DURATION = Kind(_seconds, "seconds", "{:g}".format)
"""Seconds; ms, s, m and h may follow the number."""
ENDPOINT = Kind(_endpoint, "URL")
"""An http or https address without a path."""
MODE = Kind(_octal, "octal", "{:04o}".format, quoted="0644")
"""Permission bits."""
PATH = Kind(_text, "path", within=os.path.join, place=lambda value: value)
"""A path; a relative one begins where it was written down."""
PATH_OR_NONE = Kind(_text, "path|none", within=_path_or_none, place=_place_or_none)
"""The same, or the word none."""
SIZE = Kind(_size, "bytes", _show_size)
"""Bytes; K, M, G, T and P (1,024 each) may follow the number."""
SWITCH = Kind(_switch, "", lambda value: "true" if value else "false")
"""On or off; naming it turns it on."""
TOKEN = Kind(_token, "name")
"""A name that a header can carry."""
