# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What may be seen of a file before it is closed, by its name."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Publish(Enum):
    """When the CDN sees what is written.

    AUTO lets a new name grow in the open and replaces an existing object as a whole; LIVE grows
    in both cases; ATOMIC shows nothing before the file is closed or synced.
    """

    AUTO = "auto"
    LIVE = "live"
    ATOMIC = "atomic"


class Durability(Enum):
    """Where bytes are safe when a call returns: in the store, or in the spool on the local disk."""

    STORE = "store"
    SPOOL = "spool"


@dataclass(frozen=True, slots=True)
class FilePolicy:
    """How one file is published.

    Args:
        publish: when its bytes are seen.
        append_interval: seconds after which a slow writer's bytes are sent; 0 for never.
        durability: where they are when close() returns.
        fsync: where they are when fsync() returns; never less far than `durability`.
    """

    publish: Publish = Publish.AUTO
    append_interval: float = 1.0
    durability: Durability = Durability.STORE
    fsync: Durability = Durability.STORE

    @property
    def is_spooled(self) -> bool:
        """Whether close() returns when the local disk has the bytes."""
        return self.durability is Durability.SPOOL


Policies = Callable[[str], FilePolicy]
"""The policy of an object key."""

RSYNC_TEMPORARY = re.compile(r"\..+\.[A-Za-z0-9]{6}")
"""How rsync names a file until it is whole: ``.name.XXXXXX`` (receiver.c, get_tmpname)."""


def is_temporary(name: str, creator: str) -> bool:
    """Tell whether `creator` (a comm; empty: without O_EXCL) will rename `name` when whole.

    Names alone tell nothing: cp, tar and install create ``.env.backup`` with O_EXCL too.
    """
    return creator == "rsync" and RSYNC_TEMPORARY.fullmatch(name) is not None
