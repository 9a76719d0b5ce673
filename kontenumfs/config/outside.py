# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A mount's own files lie outside of it: a daemon that opens one inside waits for itself.

Paths are resolved here by readlink(2) alone, and never at or below the mountpoint, so that they can
be judged while the mount is served, and while nobody serves it yet.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from kontenumfs.config.options import OPTIONS
from kontenumfs.config.settings import Settings
from kontenumfs.protocol.errors import ConfigurationError

LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


class Outside:
    """Judges paths beside one mountpoint.

    Args:
        mountpoint: may be reached by links, which are resolved once, here.
        environment: where systemd says that it has put credentials.
        places: further paths of the mount, by the words for them in an error.
    """

    def __init__(
        self,
        mountpoint: Path,
        environment: Mapping[str, str],
        places: Mapping[str, Path] | None = None,
    ) -> None:
        self._mountpoint = mountpoint
        self._real = _resolved(mountpoint)
        self._places = dict(places or {})
        if directory := environment.get("CREDENTIALS_DIRECTORY"):
            self._places["CREDENTIALS_DIRECTORY"] = Path(directory)

    def has(self, path: Path) -> bool:
        """Tell whether `path` leads elsewhere than to the mountpoint or below it."""
        return _resolved(path, stop=self._real) != self._real

    def check(self, settings: Settings) -> None:
        """Raise ConfigurationError for the first path of a mount that leads into it."""
        for words, path in self._of(settings):
            self._require(words, path)

    def check_file(self, settings: Settings) -> None:
        """Do that for the configuration file alone, before it is read again."""
        if settings.file is not None:
            self._require("config", settings.file.path)

    def _of(self, settings: Settings) -> Iterator[tuple[str, Path]]:
        for name, option in OPTIONS.items():
            setting = settings.values[name]
            if option.kind.place is None or setting.value is None:
                continue
            if (path := option.kind.place(setting.value)) is not None:
                yield (
                    (f"{setting.place}: {name}" if setting.place else f"option {name}"),
                    Path(path),
                )
        if settings.file is not None:
            yield "config", settings.file.path
            yield "the file of keys", settings.file.path.with_suffix(".keys")
        yield from self._places.items()

    def _require(self, words: str, path: Path) -> None:
        if not self.has(path):
            raise ConfigurationError(
                f"{words}: {path} leads into the mountpoint {self._mountpoint}: "
                "name a place outside of it"
            )


def _resolved(path: Path, *, stop: str | None = None) -> str:
    """Return where `path` leads, as far as it exists; nothing at `stop` or below is looked at."""
    absolute = str(path) if path.is_absolute() else os.path.join(os.getcwd(), path)
    left, at, links = list(reversed(absolute.split("/"))), "/", 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        at = os.path.dirname(at) if part == ".." else os.path.join(at, part)
        if at == stop:
            return at
        target = _target(at) if part != ".." else None
        if target is not None and links < LINKS:
            links += 1
            left += reversed(target.split("/"))
            at = "/" if target.startswith("/") else os.path.dirname(at)
    return at


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None  # no link, or nothing: the way goes on by its name
