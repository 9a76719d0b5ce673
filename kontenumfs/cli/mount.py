# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs mount``: mount a bucket."""

import argparse
import faulthandler
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from kontenumfs.admin.preflight import check_fuse, check_mountpoint
from kontenumfs.admin.premount import handed_over
from kontenumfs.admin.runtime import Running, remember_mountpoint
from kontenumfs.cli import arguments as given
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.options import mount_options
from kontenumfs.config.source import Source
from kontenumfs.daemon.background import run_in_background
from kontenumfs.daemon.hardening import keep_memory_private
from kontenumfs.daemon.logs import set_up_logging
from kontenumfs.daemon.metrics import Metrics
from kontenumfs.daemon.mount import Mount
from kontenumfs.daemon.signals import ignore_what_means_nothing
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit
from kontenumfs.store.client import open_store


def main(argv: Sequence[str]) -> int:
    """Return when the mount answers a stat, or with -f when it has ended."""
    arguments = parser().parse_args(argv)
    if arguments.name and arguments.source and not arguments.mountpoint:
        # With a name the file says the bucket: one argument alone could be either.
        raise UserError("with --name give BUCKET and MOUNTPOINT, or none of them", Exit.USAGE)
    settings = given.settings_of(arguments)
    source = settings.source(arguments.source)
    mountpoint = settings.mountpoint(arguments.mountpoint)
    outside = given.outside_of(mountpoint, settings)
    outside.check(settings)
    handed = handed_over(os.environ)
    if handed is None:
        check_mountpoint(mountpoint, nonempty=settings.options.nonempty)
        check_fuse()
        if arguments.name and os.getuid() == 0:
            remember_mountpoint(arguments.name, mountpoint)
    live = given.live_settings(arguments, outside)
    serve_mount(source, mountpoint, live, foreground=arguments.foreground, handed=handed)
    return Exit.OK


def serve_mount(
    source: Source,
    mountpoint: Path,
    live: LiveSettings,
    *,
    foreground: bool,
    handed: int | None = None,
) -> None:
    """Mount; returns when the mount answers, or in the foreground when it has ended.

    Args:
        handed: the descriptor of a mount that was made for us, or None to make it.

    Raises UserError, also where not everything could be stored at the end.
    """
    keep_memory_private()
    options = live.settings.options

    async def life(ready: Callable[[], None]) -> Mount:
        metrics = Metrics()
        store = open_store(
            given.endpoint_of(live.settings),
            source.bucket,
            live.keys,
            deadline=options.deadline,
            connections=options.connections,
            clock=live.clock,
            observer=metrics,
        )
        mount = Mount(source, mountpoint, live, store, metrics, ready, handed=handed)
        await mount.run()
        return mount

    def serve(ready: Callable[[], None]) -> None:
        ignore_what_means_nothing()
        set_up_logging(options.log_level, options.log_file, foreground=foreground)
        if foreground:
            # systemd's watchdog ends a daemon that hangs by SIGABRT: have it say where it hung.
            faulthandler.enable()
        Running(mountpoint).hold()
        mount = trio.run(life, ready)
        if lost := mount.lost:
            raise UserError(f"{len(lost)} files could not be stored: {lost[0]}", Exit.FAILED)
        if mount.left:
            raise UserError(f"{mountpoint}: {mount.left}", Exit.SPOOLED)

    if foreground:
        serve(lambda: None)
    else:
        run_in_background(serve)


def _options_help() -> str:
    """Return a line for each mount option: value, text and default."""
    lines = []
    for option in mount_options().values():
        default = "" if option.kind.is_switch else option.shown_default
        shown = f" (default {default})" if default else ""
        lines.append(f"  {option.word:<32} {option.text}{shown}")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs mount``."""
    made = given.parser(
        "mount",
        "Mount a bucket, or the keys below a prefix of it, write-only.",
        "mount options:\n" + _options_help(),
    )
    made.add_argument("-f", "--foreground", action="store_true", help="stay in the foreground")
    given.add_settings(made)
    made.add_argument("source", metavar="BUCKET[/PREFIX]", nargs="?", help="default: of the file")
    made.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?", help="default: of the file")
    return made
