# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs premount``: what our systemd units do as root, before and after the daemon."""

import argparse
import os
from collections.abc import Mapping, Sequence

from kontenumfs.admin.notify import Notifier
from kontenumfs.admin.premount import clear, premount
from kontenumfs.admin.runtime import remember_mountpoint, remembered_mountpoint
from kontenumfs.cli import arguments as given
from kontenumfs.config.outside import Outside
from kontenumfs.config.settings import read_settings
from kontenumfs.protocol.exits import Exit


def main(argv: Sequence[str]) -> int:
    """Return when systemd has the mount, or with --clear when no dead mount is left."""
    arguments = parser().parse_args(argv)
    notifier = Notifier(os.environ)
    last = remembered_mountpoint(arguments.name)
    if arguments.clear and has_died(os.environ):
        # Its mount stays, dead, until the next start takes it over, or whoever writes there
        # meanwhile would write to the directory below it.
        return Exit.OK
    if last is not None:
        clear(last, notifier)
    if arguments.clear:
        return Exit.OK
    settings = read_settings([], os.environ, name=arguments.name)
    mountpoint = settings.mountpoint()
    Outside(mountpoint, os.environ).check(settings)
    remember_mountpoint(arguments.name, mountpoint)
    premount(
        settings.source(),
        mountpoint,
        notifier,
        read_only=settings.options.ro,
        nonempty=settings.options.nonempty,
    )
    return Exit.OK


def has_died(environment: Mapping[str, str]) -> bool:
    """Tell whether the daemon was ended by something else, by systemd's word (systemd.exec(5))."""
    how, status = environment.get("EXIT_CODE", "exited"), environment.get("EXIT_STATUS", "0")
    return how != "exited" or status == str(int(Exit.DEFECT))


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs premount``."""
    made = given.parser(
        "premount",
        "Mount for a sandboxed daemon and leave the mount with systemd: for our units alone.",
    )
    made.add_argument("--clear", action="store_true", help="take a dead mount out of the tree")
    made.add_argument("name", metavar="NAME")
    return made
