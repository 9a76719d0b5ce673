# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Which names point to others, and what a parked request holds up."""

from collections.abc import Callable, Sequence
from fnmatch import translate
from re import compile as compile_pattern

PUBLISH_LAST = ("*.m3u8", "*.mpd", "*.ism/*", "*.f4m", "index.html", "*.json")
"""Playlists, manifests and pages: what names other objects."""


def last_names(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a key is one that names others.

    A glob without a slash is about the last component of a key; one with a slash about its end,
    from any component on.
    """
    patterns = [translate(glob if "/" not in glob else f"*/{glob}") for glob in globs]
    whole = compile_pattern("|".join(patterns)) if patterns else None
    is_path = any("/" in glob for glob in globs)

    def matches(key: str) -> bool:
        if whole is None:
            return False
        name = key.rpartition("/")[2]
        return bool(whole.match(name) or (is_path and whole.match(f"/{key}")))

    return matches


def directory(key: str) -> str:
    """What a key is in, with a slash at its end."""
    return key[: key.rstrip("/").rfind("/") + 1]


def are_related(one: str, other: str) -> bool:
    """Whether one of two directories is in the other, or is that.

    What names others names them there: a parked request holds up what waits for everything only
    where it may be about the same names. All else goes on.
    """
    return one.startswith(other) or other.startswith(one)
