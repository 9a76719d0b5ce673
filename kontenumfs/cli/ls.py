# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs ls``: list keys, also those that cannot be files."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import trio

from kontenumfs.admin.client import follow
from kontenumfs.admin.listing import entries, hidden
from kontenumfs.admin.preflight import verdict
from kontenumfs.cli import arguments as given
from kontenumfs.cli.concat import inside, mount_of
from kontenumfs.cli.text import printable
from kontenumfs.protocol.errors import KontenumError
from kontenumfs.protocol.exits import Exit
from kontenumfs.store.client import open_store

Show = Callable[[dict[str, Any]], None]


def main(argv: Sequence[str]) -> int:
    """Print one line an entry."""
    arguments = parser().parse_args(argv)
    show: Show = _print_json if arguments.json else _print
    if arguments.place.startswith(("/", "./", "../")) or arguments.place in (".", ".."):
        _of_mount(arguments.place, arguments.hidden, show)
    else:
        _of_bucket(arguments, show)
    return Exit.OK


def _of_mount(place: str, only_hidden: bool, show: Show) -> None:
    mountpoint = mount_of(place)
    path = inside(mountpoint, place)
    request = {"command": "ls", "path": path, "hidden": only_hidden}
    for line in follow(mountpoint, request, place):
        for entry in line.get("entries", ()):
            show(entry)


def _of_bucket(arguments: argparse.Namespace, show: Show) -> None:
    live = given.live_settings(arguments)
    source = live.settings.source(arguments.place)
    options = live.settings.options

    async def run() -> None:
        store = open_store(
            given.endpoint_of(live.settings),
            source.bucket,
            live.keys,
            deadline=options.deadline,
            connections=2,
        )
        try:
            found = (
                hidden(store, source.prefix, "")
                if arguments.hidden
                else entries(store, source.prefix)
            )
            async for entry in found:
                show(entry)
        except KontenumError as error:
            raise verdict(error, source.bucket, options.endpoint) from None
        finally:
            await store.aclose()

    trio.run(run)


def _print_json(entry: dict[str, Any]) -> None:
    print(json.dumps(entry))


def _print(entry: dict[str, Any]) -> None:
    key = printable(entry["key"])
    if "size" not in entry:
        print(f"{'':>14}  {'':<16}  {key}")
        return
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["modified"]))
    why = f"  ({entry['why']})" if "why" in entry else ""
    print(f"{entry['size']:>14}  {when}  {key}{why}")


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs ls``."""
    made = given.parser(
        "ls",
        "List keys as the bucket has them: one level of a bucket, or of a directory in a mount\n"
        "(a path that begins with / or ./). --json prints one object a line.",
    )
    made.add_argument(
        "--hidden",
        action="store_true",
        help="only keys that no mount shows, however deep, and why they are hidden",
    )
    given.add_settings(made)
    given.add_json(made)
    made.add_argument("place", metavar="BUCKET[/PREFIX]|PATH")
    return made
