# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What an option's value may be: text to value, each with the words for what is wrong."""

import re
from collections.abc import Callable

HIGHEST_PORT = 65535
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}


def text(given: str) -> str:
    """Any text, but no NUL: neither a path nor an argument can have one."""
    if "\0" in given:
        raise ValueError("has a NUL character")
    return given


def token(given: str) -> str:
    """Text that a header can carry: printable ASCII without white space."""
    if not re.fullmatch(r"[!-~]+", given):
        raise ValueError("is not a name such as us-east-1")
    return given


def size(given: str) -> int:
    """Bytes, with K, M, G, T (1,024 each)."""
    match = re.fullmatch(r"(\d+)([KMGTP]?)i?B?", given, re.IGNORECASE)
    if match is None:
        raise ValueError("is not a size such as 8M")
    return int(match[1]) * UNITS[match[2].upper()]


def seconds(given: str) -> float:
    """Seconds, with s, m or h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", given)
    if match is None:
        raise ValueError("is not a duration such as 60 or 5m")
    return float(match[1]) * {None: 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]


def octal(given: str) -> int:
    """Permission bits, in octal."""
    if not re.fullmatch(r"0?[0-7]{1,4}", given):
        raise ValueError("is not an octal mode such as 0644")
    return int(given, 8)


def number(given: str) -> int:
    """A number that is not negative."""
    if not re.fullmatch(r"\d{1,10}", given):
        raise ValueError("is not a number")
    return int(given)


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(given: str) -> str:
        if given not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return given

    return parse


def endpoint(given: str) -> str:
    """An http or https address without a path."""
    match = re.fullmatch(r"https?://(?:[^/?#@\s:\0]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?/?", given)
    if match is None or int(match[1] or 0) > HIGHEST_PORT:
        raise ValueError("is not an address such as https://s3.kontenum.com")
    return given.rstrip("/")


def address(given: str) -> str:
    """Where to listen."""
    match = re.fullmatch(r"unix:/.+|([^\s:]+|\[[0-9a-f:]+\]):(\d{1,5})", given)
    if match is None or (match[2] and int(match[2]) > HIGHEST_PORT):
        raise ValueError("is no address such as 127.0.0.1:9464 or unix:/run/kontenumfs/m.sock")
    return given


def switch(given: str) -> bool:
    """On or off."""
    if given not in ("true", "false"):
        raise ValueError("is none of true, false")
    return given == "true"


def plainly(parse: Callable[[str], object] | None, value: object) -> str:
    """A value as one would write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if parse is octal and isinstance(value, int):
        return f"{value:04o}"
    if parse is size and isinstance(value, int):
        for unit in "PTGMK":
            if value and value % UNITS[unit] == 0:
                return f"{value // UNITS[unit]}{unit}"
    return f"{value:g}" if isinstance(value, float) else str(value)
