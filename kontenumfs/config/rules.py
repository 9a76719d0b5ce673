# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of the configuration file: by file name, for what one mount option cannot say."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import Any

from kontenumfs.config.options import MountOptions, options_by_file
from kontenumfs.config.toml_file import Place, TOMLFile
from kontenumfs.config.words import nearest
from kontenumfs.protocol.headers import name_fault, value_fault
from kontenumfs.writing.policy import Durability, FilePolicy, is_temporary


class Globs:
    """Patterns of paths: one without a slash is for the last component, others for all of it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._names = [re.compile(translate(p)) for p in patterns if "/" not in p]
        self._paths = [re.compile(translate(p.lstrip("/"))) for p in patterns if "/" in p]

    def match(self, path: str) -> bool:
        """Tell whether a path below the mount matches one of them."""
        name = path.rpartition("/")[2]
        return any(p.match(name) for p in self._names) or any(p.match(path) for p in self._paths)


@dataclass(frozen=True, slots=True)
class Rules:
    """The treatment of files by their names.

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
        """Return how a file is published."""
        for globs, changes in self.files:
            if globs.match(path):
                return replace(self.default, **changes)
        return self.default

    @property
    def uses_spool(self) -> bool:
        """Whether any file may be acknowledged by the local disk."""
        changed = (changes.get("durability") for _, changes in self.files)
        return self.default.is_spooled or Durability.SPOOL in changed

    def headers_of(self, path: str) -> dict[str, str]:
        """Return the headers for a file's object, by lower-case name."""
        found: dict[str, str] = {}
        for globs, headers in self.headers:
            if globs.match(path):
                found |= headers
        return found

    def is_temporary(self, name: str, creator: str) -> bool:
        """Tell whether a new file of this name will be renamed when it is whole."""
        return is_temporary(name, creator) or self.temporary.match(name)


def read_rules(options: MountOptions, file: TOMLFile | None) -> Rules:
    """Read the rules of a mount; raises ConfigurationError, which names the file and the line."""
    default = FilePolicy(
        options.publish, options.append_interval, options.durability, options.fsync
    )
    temporary = Globs(options.temporary.split(":") if options.temporary else ())
    files: list[tuple[Globs, Mapping[str, Any]]] = []
    headers: list[tuple[Globs, Mapping[str, str]]] = []
    if file is not None:
        files = [_file_rule(file, *rule) for rule in _tables(file, "files")]
        headers = [_headers_rule(file, *rule) for rule in _tables(file, "headers")]
    return Rules(default, tuple(files), tuple(headers), temporary)


def _tables(file: TOMLFile, name: str) -> list[tuple[Place, dict[str, Any]]]:
    rules = file.table.get(name, [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise file.error((name,), f"write [[{name}]], once for each rule")
    return [((name, number), dict(rule)) for number, rule in enumerate(rules)]


def _globs(file: TOMLFile, at: Place, rule: dict[str, Any]) -> Globs:
    patterns = rule.pop("match", None)
    if patterns is None:
        raise file.error(at, f"[[{at[0]}]]: match is missing, such as match = '*.log'")
    if isinstance(patterns, str):
        patterns = [patterns]
    if (
        not isinstance(patterns, list)
        or not patterns
        or not all(isinstance(pattern, str) and pattern for pattern in patterns)
    ):
        raise file.error((*at, "match"), "match takes patterns, such as '*.log'")
    return Globs(patterns)


def _file_rule(file: TOMLFile, at: Place, rule: dict[str, Any]) -> tuple[Globs, dict[str, Any]]:
    globs = _globs(file, at, rule)
    options = options_by_file()
    changes: dict[str, Any] = {}
    for name, value in rule.items():
        if name not in options:
            keys = ("match", *options)
            hint = nearest(name, keys, f"there are {', '.join(keys)}")
            raise file.error((*at, name), f"unknown key {name!r} in [[files]]; {hint}")
        try:
            changes[name] = options[name].kind.parse(str(value))
        except ValueError as error:
            raise file.error((*at, name), f"{name} = {value!r} {error}") from None
    return globs, changes


def _headers_rule(file: TOMLFile, at: Place, rule: dict[str, Any]) -> tuple[Globs, dict[str, str]]:
    globs = _globs(file, at, rule)
    headers: dict[str, str] = {}
    for name, value in rule.items():
        if fault := name_fault(name):
            raise file.error((*at, name), f"{name} is no header that can be set: it {fault}")
        if not isinstance(value, str):
            raise file.error((*at, name), f"{name} takes one line of ASCII text")
        if fault := value_fault(value):
            raise file.error((*at, name), f"{name} {fault}")
        headers[name.lower()] = value
    return globs, headers
