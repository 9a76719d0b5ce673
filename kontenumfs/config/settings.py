# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The effective settings and where each comes from: option, environment, file, default."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kontenumfs.config.options import OPTIONS, SECTIONS, MountOptions, mount_options, options_of
from kontenumfs.config.rules import Rules, read_rules
from kontenumfs.config.source import Source
from kontenumfs.config.toml_file import TOMLFile
from kontenumfs.config.words import nearest, parse_words
from kontenumfs.protocol.errors import ConfigurationError, UserError

DIRECTORY = "/etc/kontenumfs"
RULES = ("files", "headers")
"""The arrays of tables beside the options' sections."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value.

    Args:
        value: parsed.
        layer: which of the four counted.
        place: the environment variable, or the file and its line.
    """

    value: Any
    layer: Literal["option", "environment", "file", "default"] = "default"
    place: str = ""

    @property
    def origin(self) -> str:
        """Return its place as people read it."""
        return self.place or self.layer


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them.

    Args:
        options: the values that a mount runs with.
        rules: what the mount does with files, by name.
        values: every option of the table, with its origin.
        file: the configuration file, or None.
    """

    options: MountOptions
    rules: Rules
    values: Mapping[str, Setting]
    file: TOMLFile | None

    def source(self, given: str | None = None) -> Source:
        """Return what to mount: the argument, else what the file says; raises UserError."""
        if given is not None:
            return Source.parse(given)
        bucket, prefix = self.values["bucket"], self.values["prefix"]
        if bucket.value is None:
            where = f"[mount] in {self.file.path} has no bucket" if self.file else "no bucket"
            raise UserError(f"{where}: write bucket = 'NAME' there, or BUCKET as an argument")
        try:
            return Source.of(bucket.value, prefix.value or "")
        except UserError as error:
            wrong = prefix if str(error).startswith("prefix") else bucket
            raise UserError(f"{wrong.origin}: {error}") from None

    def mountpoint(self, given: str | None = None) -> Path:
        """Return where to mount it: the argument, else what the file says; raises UserError."""
        place = self.values["mountpoint"].value if given is None else given
        if place is None:
            where = f"[mount] in {self.file.path} has no mountpoint" if self.file else "where?"
            raise UserError(f"{where}: write mountpoint = '/PATH' there, or give it as an argument")
        if given is None and not os.path.isabs(place):
            raise UserError(f"{self.values['mountpoint'].origin}: {place!r} must begin with /")
        return Path(os.path.abspath(place))


def configuration_path(name: str, environment: Mapping[str, str]) -> Path:
    """Return the path of a named mount's file; raises UserError where the name cannot be one."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]*", name):
        raise UserError(f"{name!r} cannot be the name of a mount: letters, digits, . _ - @ :")
    return Path(environment.get("KONTENUM_CONFIG_DIR", DIRECTORY)) / f"{name}.toml"


def read_settings(
    given: Sequence[str],
    environment: Mapping[str, str],
    *,
    name: str | None = None,
    directory: str = "",
) -> Settings:
    """Read the settings of one mount; raises ConfigurationError, which says what is wrong where.

    Args:
        given: the values of ``-o``, each a comma-separated list.
        environment: KONTENUM_ and an option's name in capitals come before the file.
        name: of the configuration file, unless ``-o config=`` names another.
        directory: what relative paths begin at; those of a file begin where it is.
    """
    values = {option: Setting(row.default_in(environment)) for option, row in OPTIONS.items()}
    words = {option: Setting(value, "option") for option, value in parse_words(given).items()}
    variables = _from_environment(environment)
    file = None
    if "config" in words or (name is None and "config" in variables):
        file = TOMLFile(Path(directory, (words.get("config") or variables["config"]).value))
    elif name is not None:
        file = _named(name, environment)
        variables["config"] = Setting(str(file.path), "option")
    if file is not None:
        values |= _from_file(file)
    values |= variables | words
    for option, setting in values.items():
        within = OPTIONS[option].kind.within
        if within is not None and setting.value is not None:
            base = str(file.path.parent) if file and setting.layer == "file" else directory
            values[option] = replace(setting, value=within(base, setting.value))
    options = MountOptions(**{option: setting.value for option, setting in values.items()})
    _check(options, values)
    return Settings(options, read_rules(options, file), values, file)


def _named(name: str, environment: Mapping[str, str]) -> TOMLFile:
    path = configuration_path(name, environment)
    if not path.exists():
        there = sorted(file.stem for file in path.parent.glob("*.toml"))
        hint = nearest(name, there, f"there are {', '.join(there)}" if there else "create it")
        raise ConfigurationError(f"{path}: no such file; {hint}")
    return TOMLFile(path)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Setting]:
    found = {}
    for name, option in mount_options().items():
        if given := environment.get(option.variable):
            try:
                value = option.kind.parse(given)
            except ValueError as error:
                raise ConfigurationError(f"{option.variable}: {given!r} {error}") from None
            found[name] = Setting(value, "environment", option.variable)
    return found


def _from_file(file: TOMLFile) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for section, table in file.table.items():
        if section in RULES:
            continue
        if section not in SECTIONS:
            raise file.error((section,), _unknown_section(section))
        if not isinstance(table, dict):
            raise file.error((section,), f"{section} is a table: write [{section}]")
        for name, value in table.items():
            place = (section, name)
            option = OPTIONS.get(name)
            if option is None or option.section != section:
                raise file.error(place, _unknown(name, section))
            found[name] = Setting(_value(file, place, value), "file", file.at(place))
    return found


def _unknown_section(name: str) -> str:
    if name in OPTIONS and OPTIONS[name].section:
        return f"{name} belongs below [{OPTIONS[name].section}]"
    there = ", ".join((*SECTIONS, *RULES))
    return f"unknown section [{name}]; {nearest(name, (*SECTIONS, *RULES), f'there are {there}')}"


def _unknown(name: str, section: str) -> str:
    if name in OPTIONS and OPTIONS[name].section:
        return f"{name} belongs below [{OPTIONS[name].section}], not [{section}]"
    names = options_of(section)
    everywhere = [name for name, option in OPTIONS.items() if option.section]
    hint = nearest(name, names, "")
    if not hint:
        hint = nearest(name, everywhere, f"there are {', '.join(names)}")
    return f"unknown key {name!r} in [{section}]; {hint}"


def _value(file: TOMLFile, place: tuple[str, str], value: Any) -> Any:
    """Read a value as TOML has it: text, or a number or a boolean where the option is one."""
    name = place[1]
    option = OPTIONS[name]
    kind = option.kind
    if kind.is_switch:
        if not isinstance(value, bool):
            raise file.error(place, f"{name} = {value!r} is none of true, false (no quotes)")
        return value
    if kind.separator and isinstance(value, list):
        value = kind.separator.join(str(item) for item in value)
    shown = "(hidden)" if option.secret else repr(value)
    if isinstance(value, bool | list | dict) or (value == "" and not kind.may_be_empty):
        raise file.error(place, f"{name} = {shown} is not a value: write {name} = {kind.unit!r}")
    if kind.quoted and not isinstance(value, str):
        raise file.error(place, f'{name} = {shown} needs quotes, such as "{kind.quoted}"')
    try:
        return kind.parse(str(value))
    except ValueError as error:
        raise file.error(place, f"{name} = {shown} {error}") from None


def _check(options: MountOptions, values: Mapping[str, Setting]) -> None:
    """Raise ConfigurationError for what is wrong with one option beside the others."""
    for name, option in OPTIONS.items():
        if option.check is not None and (why := option.check(options)):
            at = values[name].place
            place = f"{at}: {name}" if at else f"mount option {name}"
            raise ConfigurationError(f"{place}: {why}")
