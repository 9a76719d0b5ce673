# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A mount made by root for a daemon that may not mount: the descriptor waits in systemd's hands.

systemd keeps it (FDSTORE) and passes it to the service's main process (LISTEN_FDS), which serves
the mount without a capability and in a mount namespace of its own.
"""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from kontenumfs.admin.mounts import FSTYPE, clear_dead, detach, is_mountpoint
from kontenumfs.admin.notify import Notifier
from kontenumfs.admin.preflight import check_mountpoint
from kontenumfs.admin.runtime import Running
from kontenumfs.config.source import Source
from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit

NAME = "fuse"
"""The descriptor's name (FDNAME, LISTEN_FDNAMES)."""
FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START, sd_listen_fds(3)."""
MS_RDONLY, MS_NOSUID, MS_NODEV = 1, 2, 4
DEVICE = "/dev/fuse"


def premount(
    source: Source, mountpoint: Path, notifier: Notifier, *, read_only: bool, nonempty: bool
) -> None:
    """Mount, and leave the descriptor with systemd; raises UserError, and nothing is mounted then.

    All users are let in, as far as modes permit: the daemon itself is another user.
    """
    check_mountpoint(mountpoint, nonempty=nonempty)
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        why = "load the fuse module (modprobe fuse), and allow the device to the unit"
        raise UserError(f"{DEVICE}: {error.strerror}: {why}", Exit.FUSE) from None
    try:
        _mount(source, mountpoint, device, read_only)
        notifier.keep(NAME, device)
        if not notifier.barrier():
            detach(mountpoint)
            raise UserError(
                "systemd does not take the mount: premount is for kontenumfs-sandbox@.service, "
                "with NotifyAccess=exec and FileDescriptorStoreMax=1",
                Exit.FUSE,
            )
    finally:
        os.close(device)


def _mount(source: Source, mountpoint: Path, device: int, read_only: bool) -> None:
    data = (
        f"fd={device},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    ).encode()
    flags = MS_NOSUID | MS_NODEV | (MS_RDONLY if read_only else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    name, at = str(source).encode(), os.fsencode(mountpoint)
    if libc.mount(name, at, FSTYPE.encode(), flags, data) != 0:
        raise UserError(f"{mountpoint}: {os.strerror(ctypes.get_errno())}", Exit.FUSE)


def clear(mountpoint: Path, notifier: Notifier) -> None:
    """Take a mount whose daemon has died out of the tree; raises UserError where that is refused.

    A mount that a daemon serves stays.
    """
    # While systemd holds a dead daemon's descriptor, whoever looks at the mount waits for ever.
    notifier.drop(NAME)
    notifier.barrier()
    while is_mountpoint(mountpoint, FSTYPE) and Running(mountpoint).pid() is None:
        clear_dead(mountpoint)


def handed_over(environment: Mapping[str, str]) -> int | None:
    """Return the descriptor of the mount that systemd has passed to this process, or None."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    return FIRST_DESCRIPTOR + names.index(NAME) if NAME in names else None
