# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A TOML file whose every complaint names the file and the line."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kontenumfs.protocol.errors import ConfigurationError

Place = tuple[str | int, ...]
"""A place in the file: ("store", "endpoint"), or ("files", 0, "match")."""
LARGEST = 256 << 10
"""Bytes; a file of settings has a few hundred."""


class TOMLFile:
    """One file, read when this is made; raises ConfigurationError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > LARGEST:
                raise ConfigurationError(f"{path}: is larger than 256K: is it the right file?")
            self._text = path.read_text("utf-8")
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: is not a text file in UTF-8") from None
        try:
            self.table: dict[str, Any] = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(self._decode_error(str(error))) from None

    def _decode_error(self, said: str) -> str:
        match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
        if match is None:
            return f"{self.path}: {said}"
        line = match[1] or max(1, len(self._text.splitlines()))
        said = said[: match.start()]
        hint = ": it is there twice" if said.startswith("Cannot") else ""
        if said.startswith("Invalid value"):
            hint = ": text needs quotes"
        return f"{self.path}, line {line}: {said}{hint}"

    def at(self, place: Place) -> str:
        """Return the file and the line of a place, as messages name it."""
        while place and place not in self._lines:
            place = place[:-1]
        return f"{self.path}, line {self._lines[place]}" if place else str(self.path)

    def error(self, place: Place, message: str) -> ConfigurationError:
        """Make the error to raise about a place."""
        return ConfigurationError(f"{self.at(place)}: {message}")

    @cached_property
    def _lines(self) -> dict[Place, int]:
        """Find the first line of everything in the file, which tomllib does not tell."""
        lines = self._text.split("\n")
        found: dict[Place, int] = {}
        counts: Counter[str] = Counter()
        above: Place = ()
        for line, statement in _statements(lines):
            ((name, value),) = statement.items()
            header = _header(name, value, counts)
            if header is not None and lines[line - 1].lstrip().startswith("["):
                above = header
                found.setdefault((name,), line)
                found.setdefault(above, line)
                continue
            for place in _places(statement, above):
                found.setdefault(place, line)
        return found


def _statements(lines: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each header or assignment by itself, with its first line."""
    begun = 0
    while begun < len(lines):
        # The shortest run of lines that can be read: a value may have several.
        for end in range(begun + 1, len(lines) + 1):
            try:
                table = tomllib.loads("\n".join(lines[begun:end]))
            except tomllib.TOMLDecodeError:
                continue
            break
        if table:
            yield begun + 1, table
        begun = end


def _header(name: str, value: Any, counts: Counter[str]) -> Place | None:
    """Return the table that a header begins, if it is one: [a], [a.b] or [[a]]."""
    if isinstance(value, list) and value == [{}]:
        counts[name] += 1
        return (name, counts[name] - 1)
    place: Place = (name,)
    while isinstance(value, dict):
        if not value:
            return place
        ((name, value),) = list(value.items())[:1]
        place = (*place, name)
    return None


def _places(table: dict[str, Any], above: Place) -> Iterator[Place]:
    for name, value in table.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _places(value, (*above, name))
