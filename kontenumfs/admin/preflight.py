# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The checks before anything is mounted: each failure is one line and an exit code."""

import errno
import os
import stat
from pathlib import Path

from kontenumfs.admin.mounts import FSTYPE, clear_dead, type_of_mount
from kontenumfs.admin.runtime import Running
from kontenumfs.protocol import errors as e
from kontenumfs.protocol.exits import Exit
from kontenumfs.store.api import Store

STUCK_SECONDS = 10.0
"""The time for a killed daemon to end when nothing holds it any more."""


VERDICTS: tuple[tuple[type[e.KontenumError], Exit, str], ...] = (
    (e.InvalidAccessKeyId, Exit.KEYS, "the access key is not known or not active: check the keys"),
    (e.SignatureDoesNotMatch, Exit.KEYS, "the secret key does not fit the access key: check it"),
    (e.RequestTimeTooSkewed, Exit.CLOCK, "this machine's clock is wrong: synchronise it (NTP)"),
    (e.AccessDenied, Exit.DENIED, "these keys may not use this bucket: check their rights"),
    (e.NoSuchBucket, Exit.BUCKET, "there is no such bucket: check its name, or create it"),
    (e.NotFound, Exit.BUCKET, "there is no such bucket: check its name, or create it"),
    (e.NameResolutionError, Exit.NAME, "the endpoint's name does not resolve: check endpoint="),
    (
        e.NotPrivate,
        Exit.USAGE,
        "signature=plain sends the secret key itself: use an https endpoint",
    ),
    (e.TLSError, Exit.TLS, "the endpoint's certificate is not trusted: check endpoint=, ca_file="),
    (e.NotSent, Exit.CONNECTION, "nothing answers at the endpoint: check endpoint= and firewall"),
    (e.DeadlineExceeded, Exit.DEADLINE, "the endpoint did not answer in time"),
    (e.TransportError, Exit.CONNECTION, "the connection broke: check that endpoint= speaks S3"),
    (e.KontenumError, Exit.STORE, "the store refused"),
)
"""The first row whose class fits; the order is from the particular to the general."""


async def check_store(store: Store, prefix: str, endpoint: str) -> None:
    """Prove endpoint, keys, clock and bucket with two requests; raises UserError."""
    try:
        await store.head_bucket()
        await store.list_page(prefix, max_keys=1)
    except e.KontenumError as error:
        raise verdict(error, store.bucket, endpoint) from error


def verdict(error: e.KontenumError, bucket: str, endpoint: str) -> e.UserError:
    """Turn a failed request into the one line and the exit code for the user."""
    if isinstance(error, e.UserError):
        return error
    code, cure = next((code, cure) for kind, code, cure in VERDICTS if isinstance(error, kind))
    return e.UserError(f"{bucket} at {endpoint}: {cure} ({error})", code)


def check_mountpoint(path: Path, *, nonempty: bool) -> None:
    """Make sure that `path` can be mounted on, and clear a dead mount; raises UserError."""
    daemon = Running(path)
    if daemon.is_stuck() and type_of_mount(path) == FSTYPE:
        # Whoever looks at that mount waits for its daemon, which was killed and cannot end.
        clear_dead(path)
        daemon.wait_for_end(STUCK_SECONDS)
    if daemon.pid() is not None and type_of_mount(path) == FSTYPE:
        # Not looked at: its daemon may hang, and whoever looks would wait for it.
        raise e.UserError(f"{path}: something is mounted here: unmount it first", Exit.MOUNTPOINT)
    try:
        entries = os.listdir(path)
    except FileNotFoundError:
        raise e.UserError(f"{path}: no such directory: create it first", Exit.MOUNTPOINT) from None
    except NotADirectoryError:
        raise e.UserError(
            f"{path}: not a directory: name one that is empty", Exit.MOUNTPOINT
        ) from None
    except OSError as error:
        if error.errno == errno.EACCES and _is_guarded(path):
            entries = []
        elif error.errno != errno.ENOTCONN:
            hint = ": mount as its owner or as root" if error.errno == errno.EACCES else ""
            raise e.UserError(f"{path}: {error.strerror}{hint}", Exit.MOUNTPOINT) from None
        else:
            # "Transport endpoint is not connected": the daemon of an earlier mount has died.
            clear_dead(path)
            check_mountpoint(path, nonempty=nonempty)
            return
    # An automount is to be mounted over.
    if type_of_mount(path) not in (None, "autofs"):
        raise e.UserError(f"{path}: something is mounted here: unmount it first", Exit.MOUNTPOINT)
    if entries and not nonempty:
        raise e.UserError(
            f"{path}: the directory is not empty: mount elsewhere, or allow it with -o nonempty",
            Exit.MOUNTPOINT,
        )


def _is_guarded(path: Path) -> bool:
    """Tell whether nobody may enter the bare directory, so that none writes there unmounted.

    Root without root's right to read everything, as in our unit, cannot look into it either.
    """
    status = os.stat(path)
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode)


def check_fuse(device: str = "/dev/fuse") -> None:
    """Make sure that the kernel's side of FUSE is there; raises UserError."""
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError as error:
        raise e.UserError(
            f"{device}: {error.strerror}: load the fuse module (modprobe fuse) and check the "
            "rights of the device",
            Exit.FUSE,
        ) from None
