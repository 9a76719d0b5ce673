# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs config``: the settings of a mount, and where each comes from."""

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from kontenumfs.cli import arguments as given
from kontenumfs.config.credentials import find_keys
from kontenumfs.config.options import OPTIONS, SECTIONS
from kontenumfs.config.settings import RULES, Setting, Settings, read_settings
from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.exits import Exit

MASK = "********"


def main(argv: Sequence[str]) -> int:
    """Print every effective value with its origin."""
    arguments = parser().parse_args(argv)
    options, name = list(arguments.options), arguments.name
    if name and "/" in name:
        options.append(f"config={name}")
        name = None
    settings = read_settings(options, os.environ, name=name, directory=given.working_directory())
    shown = describe(settings)
    if arguments.json:
        print(json.dumps(shown, indent=2))
    else:
        _print(settings, shown)
    return Exit.OK


def describe(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON has them; secrets are masked."""
    keys: dict[str, Any]
    try:
        found = find_keys(settings, os.environ)
        keys = {
            "origin": found.origin,
            "pairs": [{"access_key": pair.access_key, "secret_key": MASK} for pair in found.pairs],
        }
    except ConfigurationError as error:
        keys = {"error": str(error), "pairs": []}
    file = settings.file
    return {
        "file": None if file is None else str(file.path),
        "options": {
            name: {"value": _value(name, setting), "origin": setting.origin}
            for name, setting in settings.values.items()
        },
        "keys": keys,
        "rules": {} if file is None else {name: file.table.get(name, []) for name in RULES},
    }


def _value(name: str, setting: Setting) -> Any:
    if isinstance(setting.value, bool | None):
        return setting.value
    return MASK if OPTIONS[name].secret else OPTIONS[name].kind.show(setting.value)


def _print(settings: Settings, shown: dict[str, Any]) -> None:
    section = None
    order = ("", *SECTIONS)
    for name, option in sorted(OPTIONS.items(), key=lambda item: order.index(item[1].section)):
        entry = shown["options"][name]
        if entry["value"] is None:
            continue
        if option.section != section:
            section = option.section
            print(f"[{section}]" if section else "# mount options")
        value = entry["value"] if isinstance(entry["value"], str) else json.dumps(entry["value"])
        print(f"{name:<17} = {value:<32} # {entry['origin']}")
    for rule in RULES:
        for number, table in enumerate(shown["rules"].get(rule, [])):
            assert settings.file is not None
            print(f"[[{rule}]]  # {settings.file.at((rule, number))}")
            for name, value in table.items():
                print(f"{name:<17} = {value}")
    keys = shown["keys"]
    for pair in keys["pairs"]:
        print(f"# key pair: {pair['access_key']}:{MASK} from {keys['origin']}")
    if "error" in keys:
        print(f"# key pair: {keys['error']}")


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs config``."""
    made = given.parser(
        "config",
        "Show the settings of a mount, and where each comes from: an option, the environment,\n"
        "the file with its line, or the default. Secrets are masked.",
    )
    given.add_options(made)
    given.add_json(made)
    made.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="of /etc/kontenumfs/NAME.toml, or a path with a slash in it",
    )
    return made
