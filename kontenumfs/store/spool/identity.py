# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whose spool a directory is: refused by name where it is another bucket's, user's or format's."""

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kontenumfs.protocol.errors import SpoolRefused
from kontenumfs.store.spool.disk import NO_LINKS, Disk

FORMAT = 1
IDENTITY = "identity"
LOCK = "lock"


def lock(directory: Path) -> int:
    """The descriptor that holds a spool for this process alone.

    Raises SpoolRefused where the directory is missing, another user's, open to others, or in use.
    """
    try:
        status = os.stat(directory)
    except OSError as error:
        raise SpoolRefused(f"spool {directory}: {error.strerror}") from None
    if status.st_uid != os.geteuid():
        raise SpoolRefused(f"spool {directory}: it belongs to user {status.st_uid}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise SpoolRefused(f"spool {directory}: others may enter it: chmod 700")
    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o600)
    except OSError as error:
        raise SpoolRefused(f"spool {directory}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SpoolRefused(f"spool {directory}: another mount has it") from None
    return descriptor


def identify(directory: Path, whose: Mapping[str, str], disk: Disk) -> str:
    """What tells this spool from all others: eight hexadecimal digits, made for a new one.

    Args:
        whose: what it must be the spool of, such as bucket and prefix.

    Raises SpoolRefused where it is the spool of something else, and OSError.
    """
    with suppress(FileNotFoundError):
        return _read(directory / IDENTITY, whose)
    if any(name.startswith(("segment-", "body-")) for name in os.listdir(directory)):
        raise SpoolRefused(f"spool {directory}: its file {IDENTITY!r} is missing")
    spool = secrets.token_hex(4)
    told = json.dumps({"format": FORMAT, "spool": spool, **whose}).encode()
    fresh = directory / f"{IDENTITY}.new"
    disk.unlink(fresh)
    descriptor = disk.create(fresh)
    try:
        disk.write(descriptor, told, 0)
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(fresh, directory / IDENTITY)
    disk.sync_directory(directory)
    return spool


def _read(path: Path, whose: Mapping[str, str]) -> str:
    with open(os.open(path, os.O_RDONLY | NO_LINKS), "rb") as file:
        content = file.read(65536)
    try:
        told = json.loads(content)
        form, spool = int(told["format"]), str(told["spool"])
        if len(spool) != 8 or int(spool, 16) < 0:
            raise ValueError(spool)
    except (ValueError, TypeError, KeyError):
        raise SpoolRefused(f"spool {path.parent}: its file {IDENTITY!r} is damaged") from None
    if form > FORMAT:
        raise SpoolRefused(f"spool {path.parent}: a newer release has written it (format {form})")
    for name, value in whose.items():
        if told.get(name) != value:
            has = told.get(name)
            raise SpoolRefused(f"spool {path.parent}: it is that of {name} {has!r}, not {value!r}")
    return spool
