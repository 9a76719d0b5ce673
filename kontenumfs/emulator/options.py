# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The emulator's command line."""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from kontenumfs.emulator.conditions import VERBS
from kontenumfs.emulator.listing import is_bucket_name
from kontenumfs.protocol.dialect import MAX_APPENDS, MAX_COMPONENTS, MIN_PART
from kontenumfs.protocol.exits import Exit

MAX_KEYS = 2
"""Active key pairs of an account."""
_LATENCY = "wait before each S3 request is looked at, such as 20ms or 1.5s (default: 0)"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; --help shows the usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(Exit.USAGE, f"{self.prog}: {message}; see --help\n")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options, checked; exits with one line for what is wrong with them."""
    made = parser()
    options = made.parse_args(argv)
    if not options.access_key or len(options.access_key) != len(options.secret_key):
        made.error("give one --secret-key for each --access-key, and at least one pair")
    if len(options.access_key) > MAX_KEYS:
        made.error("an account has at most two active key pairs")
    if len(set(options.access_key)) < len(options.access_key):
        made.error("two key pairs with the same --access-key")
    for name in options.bucket:
        if not is_bucket_name(name):
            made.error(f"{name!r} cannot be the name of a bucket")
    if bool(options.tls_cert) != bool(options.tls_key):
        made.error("--tls-cert and --tls-key go together")
    return options


def parser() -> Parser:
    """What ``kontenumfs emulator`` takes."""
    made = Parser(
        prog="kontenumfs emulator",
        description="A Kontenum-compatible store on this machine, for demonstrations and tests.",
        allow_abbrev=False,
    )

    add = made.add_argument
    add("--data", required=True, metavar="DIR", help="where objects are kept (required)")
    for name, letter, told in (
        ("--access-key", "K", "may be given twice (required)"),
        ("--secret-key", "S", "one for each access key (required)"),
    ):
        add(name, action="append", default=[], metavar=letter, help=told)
    for name, told in (
        ("--bucket", "create it when missing; repeatable (default: none)"),
        ("--domain", "host name before which a bucket may stand; repeatable (default: none)"),
    ):
        add(name, action="append", default=[], metavar="NAME", help=told)
    listen = ("127.0.0.1", 9000)
    for name, address, told in (
        ("--listen", listen, "S3 side, port 0: a free one (default: 127.0.0.1:9000)"),
        ("--cdn-listen", None, "CDN side: GET and HEAD without keys (default: off)"),
        ("--control-listen", None, "fault injection, for tests (default: off)"),
    ):
        add(name, type=_address, default=address, metavar="HOST:PORT", help=told)
    told = "that SigV4 must be scoped to (default: us-east-1)"
    add("--region", default="us-east-1", help=told)
    add("--latency", type=_seconds, default=0.0, metavar="TIME", help=_LATENCY)
    for name, told in (
        ("--access-log", "add a JSON object for each request (default: none)"),
        ("--tls-cert", "serve S3 by https with this certificate (default: http)"),
        ("--tls-key", "and this key (default: none)"),
    ):
        add(name, metavar="FILE", help=told)
    for name, count, told in (
        ("--max-appends", MAX_APPENDS, "appends to one object"),
        ("--max-components", MAX_COMPONENTS, "objects of one compose"),
        ("--min-part-size", MIN_PART, "bytes of a part that is not the last"),
        ("--min-range-source", 0, "bytes of an object of which a part may copy a range"),
    ):
        add(name, type=_count, default=count, metavar="N", help=f"{told} (default: {count})")
    _add_habits(made)
    add("--fsync", action="store_true", help="let a write outlive a power cut too (default: off)")
    return made


def _add_habits(made: Parser) -> None:
    """In what S3 servers differ."""
    add = made.add_argument
    add(
        "--conditional",
        type=_verbs,
        default=frozenset(VERBS),
        metavar="LIST",
        help=f"what honours If-Match and its like: {', '.join(VERBS)}; none, or all (default: all)",
    )
    for name, action, told in (
        ("--md5-etags", "store_true", "ETags are the MD5 of what was put or copied (default: on)"),
        ("--no-md5-etags", "store_false", "ETags are opaque, as where KMS encrypts (default: off)"),
    ):
        add(name, action=action, dest="md5_etags", default=True, help=told)


def _verbs(text: str) -> frozenset[str]:
    if text in ("all", "none"):
        return frozenset(VERBS if text == "all" else ())
    named = frozenset(text.split(","))
    if unknown := named - set(VERBS):
        raise argparse.ArgumentTypeError(f"{min(unknown)!r} is none of {', '.join(VERBS)}")
    return named


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and re.fullmatch(r"[0-9]{1,5}", port)) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 20ms")
    return float(match[1]) * (0.001 if match[2] == "ms" else 1)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)
