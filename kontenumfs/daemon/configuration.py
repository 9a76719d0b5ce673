# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration file: rules by file name, for what one mount option cannot say."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from pathlib import Path
from typing import Any

from kontenumfs.daemon.options import MountOptions, seconds
from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.writing.policy import FilePolicy, Publish, is_temporary

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110, token."""
OURS = ("x-amz-meta-", "x-amz-copy-", "x-amz-content-", "x-amz-date", "authorization", "host")
"""Headers that requests carry for other reasons, by how they begin."""


class Globs:
    """Patterns of paths: one without a slash is for the last component, others for all of it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._names = [re.compile(translate(p)) for p in patterns if "/" not in p]
        self._paths = [re.compile(translate(p.lstrip("/"))) for p in patterns if "/" in p]

    def match(self, path: str) -> bool:
        """Whether a path below the mount matches one of them."""
        name = path.rpartition("/")[2]
        return any(p.match(name) for p in self._names) or any(p.match(path) for p in self._paths)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the mount does with files, by their names.

    Args:
        default: how files are published that no rule names.
        files: how others are; the first match counts.
        headers: header values; all that match count, later ones over earlier ones.
        temporary: names that wait for a rename, beside rsync's.
    """

    default: FilePolicy
    files: tuple[tuple[Globs, Mapping[str, Any]], ...]
    headers: tuple[tuple[Globs, Mapping[str, str]], ...]
    temporary: Globs

    def policy(self, path: str) -> FilePolicy:
        """How a file is published."""
        for globs, changes in self.files:
            if globs.match(path):
                return replace(self.default, **changes)
        return self.default

    def headers_of(self, path: str) -> dict[str, str]:
        """The headers that its object has."""
        found: dict[str, str] = {}
        for globs, headers in self.headers:
            if globs.match(path):
                found |= headers
        return found

    def is_temporary(self, name: str, exclusive: bool) -> bool:
        """Whether a new file of this name will be renamed when it is whole."""
        return is_temporary(name, exclusive) or self.temporary.match(name)


def read_rules(options: MountOptions) -> Rules:
    """The rules of a mount; raises ConfigurationError, which names the file and the place."""
    default = FilePolicy(Publish(options.publish), options.append_interval)
    temporary = Globs(options.temporary.split(":") if options.temporary else ())
    table: dict[str, Any] = {}
    if options.config is not None:
        table = _read(Path(options.config))
    place = options.config or ""
    unknown = table.keys() - {"files", "headers"}
    if unknown:
        raise ConfigurationError(f"{place}: [{min(unknown)}] is unknown; there are files, headers")
    files = tuple(_file_rule(place, at, rule) for at, rule in _tables(place, table, "files"))
    headers = tuple(_headers_rule(place, at, rule) for at, rule in _tables(place, table, "headers"))
    return Rules(default, files, headers, temporary)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"config={path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"config={path}: {error}") from None


def _tables(place: str, table: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    rules = table.get(name, [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ConfigurationError(f"{place}: write [[{name}]], once for each rule")
    return [(f"[[{name}]] number {at}", dict(rule)) for at, rule in enumerate(rules, 1)]


def _globs(place: str, at: str, rule: dict[str, Any]) -> Globs:
    patterns = rule.pop("match", None)
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, list) or not patterns:
        raise ConfigurationError(f"{place}: {at}: match is missing, such as match = '*.log'")
    if not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ConfigurationError(f"{place}: {at}: match takes patterns, such as '*.log'")
    return Globs(patterns)


def _file_rule(place: str, at: str, rule: dict[str, Any]) -> tuple[Globs, dict[str, Any]]:
    globs = _globs(place, at, rule)
    changes: dict[str, Any] = {}
    for name, value in rule.items():
        try:
            if name == "publish":
                changes[name] = Publish(value)
            elif name == "append_interval":
                changes[name] = seconds(str(value))
            else:
                raise ConfigurationError(f"{place}: {at}: {name} is unknown")
        except ValueError:
            raise ConfigurationError(f"{place}: {at}: {name} = {value!r} is not valid") from None
    return globs, changes


def _headers_rule(place: str, at: str, rule: dict[str, Any]) -> tuple[Globs, dict[str, str]]:
    globs = _globs(place, at, rule)
    headers: dict[str, str] = {}
    for name, value in rule.items():
        lower = name.lower()
        if not HEADER_NAME.fullmatch(name) or lower.startswith(OURS):
            raise ConfigurationError(f"{place}: {at}: {name} is no header that can be set")
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise ConfigurationError(f"{place}: {at}: {name} takes one line of ASCII text")
        headers[lower] = value
    return globs, headers
