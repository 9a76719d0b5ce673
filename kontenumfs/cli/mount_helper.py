# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``mount.kontenumfs`` and ``mount.fuse.kontenumfs``: what mount(8) and fstab call.

mount(8) passes ``SOURCE DIRECTORY [-sfnrwv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]``, and takes an
exit code of 0 for mounted and 32 for not mounted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from kontenumfs.admin.journal import complain
from kontenumfs.admin.mounts import FSTYPE
from kontenumfs.admin.preflight import check_fuse, check_mountpoint
from kontenumfs.cli import arguments as given
from kontenumfs.cli.mount import serve_mount
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.settings import read_settings
from kontenumfs.config.words import parse_words
from kontenumfs.protocol.errors import ConfigurationError, UserError
from kontenumfs.protocol.exits import Exit

TYPES = ("kontenumfs", FSTYPE)


@dataclass(slots=True)
class Call:
    """One call of mount(8)."""

    arguments: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    fake: bool = False
    sloppy: bool = False
    verbose: bool = False


def main() -> int:
    """Mount; return 0 when the mount answers, else 32, with the reason on stderr."""
    name = os.path.basename(sys.argv[0])
    try:
        _run(name, parse(sys.argv[1:]))
    except UserError as error:
        complain(f"{name}: {error}")
        return Exit.NOT_MOUNTED
    except KeyboardInterrupt:
        return Exit.NOT_MOUNTED
    except Exception as error:
        # mount(8) knows no other code, and shows a user what stands here.
        complain(f"{name}: internal error: {error!r}")
        return Exit.NOT_MOUNTED
    return Exit.OK


def _run(name: str, call: Call) -> None:
    if len(call.arguments) != 2:
        raise UserError("takes SOURCE and DIRECTORY: mount -t kontenumfs BUCKET[/PREFIX] DIRECTORY")
    name_of_source, directory = call.arguments
    if "remount" in call.options:
        raise UserError(f"{directory}: cannot be remounted: unmount it and mount it again")
    options = _known(name, call.options) if call.sloppy else call.options
    read = partial(read_settings, options, os.environ, directory=given.working_directory())
    settings = read()
    source = settings.source(name_of_source)
    mountpoint = settings.mountpoint(directory)
    live = LiveSettings(read, os.environ, given.outside_of(mountpoint, settings))
    check_mountpoint(mountpoint, nonempty=live.settings.options.nonempty)
    check_fuse()
    if not call.fake:
        serve_mount(source, mountpoint, live, foreground=False)
    if call.verbose:
        print(f"{name}: {source} {'would be' if call.fake else 'is'} mounted on {mountpoint}")


def parse(words: Sequence[str]) -> Call:
    """Read the arguments; raises UserError, which names one that is unknown."""
    call = Call()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            call.arguments.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _SWITCHES:
                _SWITCHES[letter](call)
            elif letter in _VALUES:
                if not letters and not rest:
                    raise UserError(f"-{letter} needs a value")
                _VALUES[letter](call, letters or rest.pop(0))
                letters = ""
            else:
                raise UserError(f"unknown argument -{letter} in {word!r}")
    return call


def _options(call: Call, value: str) -> None:
    call.options += value.split(",")


def _type(call: Call, value: str) -> None:
    if value not in TYPES:
        raise UserError(f"-t {value}: is no type of ours: {', '.join(TYPES)}")


def _namespace(call: Call, value: str) -> None:
    raise UserError(f"-N {value}: mounts into other namespaces are not made here: use nsenter(1)")


_SWITCHES: dict[str, Callable[[Call], None]] = {
    "r": lambda call: call.options.append("ro"),
    "w": lambda call: None,
    "n": lambda call: None,  # no line in /etc/mtab: there has been none for long
    "s": lambda call: setattr(call, "sloppy", True),
    "f": lambda call: setattr(call, "fake", True),
    "v": lambda call: setattr(call, "verbose", True),
}
_VALUES: dict[str, Callable[[Call, str], None]] = {
    "o": _options,
    "t": _type,
    "N": _namespace,
}


def _known(name: str, options: Sequence[str]) -> list[str]:
    """Keep the options that can be used; the others are named and left out, as -s asks."""
    kept = []
    for word in options:
        try:
            parse_words([word])
        except ConfigurationError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
        else:
            kept.append(word)
    return kept
