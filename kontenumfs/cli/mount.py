# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs mount``: mount a bucket."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from kontenumfs.daemon.background import Running, run_in_background
from kontenumfs.daemon.logs import set_up_logging
from kontenumfs.daemon.mount import Mount, Source
from kontenumfs.daemon.options import options_help, parse_options
from kontenumfs.daemon.preflight import Exit, check_fuse, check_mountpoint
from kontenumfs.protocol.errors import UserError
from kontenumfs.store.client import open_store
from kontenumfs.store.keys import load_keys
from kontenumfs.store.wire import Endpoint


def main(argv: Sequence[str]) -> int:
    """Return when the mount answers a stat, or with -f when it has ended."""
    arguments = _parser().parse_args(argv)
    options = parse_options(arguments.options, os.environ)
    source = Source.parse(arguments.source)
    mountpoint = Path(os.path.abspath(arguments.mountpoint))
    check_mountpoint(mountpoint, nonempty=options.nonempty)
    check_fuse()
    keys = load_keys(options.credentials_file, os.environ)
    endpoint = Endpoint(
        url=options.endpoint,
        addressing=options.addressing,
        signature=options.signature,
        region=options.region,
        ca_file=options.ca_file,
    )

    async def life(ready: Callable[[], None]) -> list[str]:
        store = open_store(
            endpoint,
            source.bucket,
            keys,
            deadline=options.deadline,
            connections=options.connections,
        )
        mount = Mount(source, mountpoint, options, store, ready)
        await mount.run()
        return mount.lost

    def serve(ready: Callable[[], None]) -> None:
        set_up_logging(options.log_level, options.log_file, foreground=arguments.foreground)
        Running(mountpoint).hold()
        if lost := trio.run(life, ready):
            raise UserError(f"{len(lost)} files could not be stored: {lost[0]}", Exit.FAILED)

    if arguments.foreground:
        serve(lambda: None)
    else:
        run_in_background(serve)
    return Exit.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kontenumfs mount",
        description="Mount a bucket, or the keys below a prefix of it, write-only.",
        epilog="mount options:\n" + options_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-f", "--foreground", action="store_true", help="stay in the foreground")
    parser.add_argument(
        "-o", dest="options", action="append", default=[], metavar="OPT,...", help="mount options"
    )
    parser.add_argument("source", metavar="BUCKET[/PREFIX]")
    parser.add_argument("mountpoint", metavar="MOUNTPOINT")
    return parser
