# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The words of ``-o`` and fstab: ``name=value`` and ``name``, separated by commas."""

import difflib
from collections.abc import Iterable
from typing import Any

from kontenumfs.config.options import OPTIONS, mount_options
from kontenumfs.protocol.errors import ConfigurationError

IGNORED = frozenset(
    [
        "rw",
        "dev",
        "suid",
        "exec",
        "noexec",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "relatime",
        "norelatime",
        "strictatime",
        "async",
        "sync",
        "dirsync",
        "lazytime",
        "nolazytime",
        "silent",
        "loud",
        "user",
        "nouser",
        "users",
        "owner",
        "group",
        "auto",
        "noauto",
        "defaults",
        "_netdev",
        "nofail",
    ]
)
"""Words that mount(8) and fstab pass along, and that no file system acts upon here."""


def parse_words(given: Iterable[str]) -> dict[str, Any]:
    """Read ``-o`` arguments, each a comma-separated list; raises ConfigurationError.

    The last of two counts. What mount(8) passes to every file system is left out.
    """
    values: dict[str, Any] = {}
    for word in ",".join(given).split(","):
        if word and word not in IGNORED and not word.startswith(("x-", "comment=")):
            name, value = _parse_word(word)
            values[name] = value
    return values


def _parse_word(word: str) -> tuple[str, Any]:
    name, equals, given = word.partition("=")
    option = OPTIONS.get(name)
    if option is None:
        raise ConfigurationError(
            f"unknown mount option {name!r}; "
            + nearest(name, mount_options(), "see kontenumfs mount --help")
        )
    if option.file_only:
        raise ConfigurationError(f"{name} is no mount option: {option.file_only}")
    if option.kind.is_switch:
        if equals and given not in ("true", "false"):
            raise ConfigurationError(
                f"mount option {name!r} is a switch: {name}, or {name}=false against the file"
            )
        return name, given != "false"
    if not given:
        raise ConfigurationError(
            f"mount option {name!r} needs a value: {name}={option.kind.unit.upper()}"
        )
    try:
        return name, option.kind.parse(given)
    except ValueError as error:
        raise ConfigurationError(f"mount option {name}: {given!r} {error}") from None


def nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    """Return the hint for an unknown name: the nearest of `names`, or `otherwise`."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
