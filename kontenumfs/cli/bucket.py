# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs bucket``: list, create and delete buckets."""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from kontenumfs.admin.preflight import verdict
from kontenumfs.cli import arguments as given
from kontenumfs.config.source import Source
from kontenumfs.protocol.errors import BucketNotEmpty, Conflict, KontenumError, UserError
from kontenumfs.protocol.exits import Exit
from kontenumfs.store.account import Account

T = TypeVar("T")


def main(argv: Sequence[str]) -> int:
    """Return when it is done; deleting with what is inside asks first, on a terminal."""
    arguments = parser().parse_args(argv)
    name = getattr(arguments, "bucket", "")
    if name:
        Source.of(name, "")
    if arguments.verb == "list":
        names = _run(arguments, "all buckets", lambda account: account.list_buckets())
        print(json.dumps(names) if arguments.json else "\n".join(names))
    elif arguments.verb == "create":
        _run(arguments, name, lambda account: account.create_bucket(name))
    else:
        if arguments.force:
            _ask(name)
        _run(arguments, name, lambda account: account.delete_bucket(name, force=arguments.force))
    return Exit.OK


def _ask(name: str) -> None:
    """Ask a person for the name once more; scripts have said it by --force."""
    if not sys.stdin.isatty():
        return
    print(f"This deletes {name} and everything in it, for good.", file=sys.stderr)
    print("Write its name again: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != name:
        raise UserError(f"{name}: not the same name, so nothing was deleted", Exit.FAILED)


def _run(arguments: argparse.Namespace, name: str, do: Callable[[Account], Awaitable[T]]) -> T:
    live = given.live_settings(arguments)
    options = live.settings.options

    async def run() -> T:
        account = Account(given.endpoint_of(live.settings), live.keys, deadline=options.deadline)
        try:
            return await do(account)
        except BucketNotEmpty:
            raise UserError(
                f"{name}: is not empty; --force deletes what is in it too", Exit.BUCKET
            ) from None
        except Conflict as error:
            raise UserError(
                f"{name}: the name is taken: choose another ({error.code})", Exit.BUCKET
            ) from None
        except KontenumError as error:
            raise verdict(error, name, options.endpoint) from None
        finally:
            await account.aclose()

    return trio.run(run)


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs bucket``."""
    made = given.parser("bucket", "List, create and delete buckets.")
    verbs = made.add_subparsers(dest="verb", metavar="list|create|delete", required=True)
    for verb, text in (
        ("list", "the buckets of the account"),
        ("create", "create a bucket"),
        ("delete", "delete a bucket"),
    ):
        one = verbs.add_parser(verb, help=text, description=f"{text[0].upper()}{text[1:]}.")
        given.add_settings(one)
        if verb == "list":
            given.add_json(one)
            continue
        if verb == "delete":
            one.add_argument(
                "--force",
                action="store_true",
                help="with everything in it; asks for the name again on a terminal",
            )
        one.add_argument("bucket", metavar="BUCKET")
    return made
