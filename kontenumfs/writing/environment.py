# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the open files of a mount share."""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.protocol.errors import Parked
from kontenumfs.store.api import Store
from kontenumfs.store.proof import Ask
from kontenumfs.store.spool.spool import Spool
from kontenumfs.store.tasks import Spawner
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.appending import Appender
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.identity import Composer
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.policy import Durability, Policies
from kontenumfs.writing.timers import Timers


@dataclass(frozen=True, slots=True)
class Environment:
    """What the files of a mount share.

    Args:
        store: the bucket.
        tree: the names of the mount.
        composer: makes the attributes of objects.
        runner: runs plans in the bucket.
        appender: appends there.
        copier: copies within it.
        memory: the budget for unsent bytes.
        nursery: background uploads run here.
        timers: wake files whose bytes have waited long enough.
        chunk_size: bytes that are sent at once.
        capabilities: what the store is proven to do; asked only when it matters.
        policy: how the object of a key is published.
        wall_ns: the time of day in nanoseconds since the epoch.
        limits: of the store.
        spool: what is acknowledged and not in the store yet; None where nothing ever is.
        clock: monotonic seconds.
    """

    store: Store
    tree: Tree
    composer: Composer
    runner: PlanRunner
    appender: Appender
    copier: Copier
    memory: MemoryBudget
    nursery: Spawner
    timers: Timers
    chunk_size: int
    capabilities: Ask
    policy: Policies
    wall_ns: Callable[[], int]
    limits: Limits
    spool: Spool | None = None
    clock: Callable[[], float] = trio.current_time

    def require_unparked(self, key: str) -> None:
        """Raise Parked where the store has refused what was acknowledged for a key."""
        if self.spool is not None:
            state, why = self.spool.condition(key)
            if state == "parked":
                raise Parked(f"{key!r}: {why}")

    async def settle(self, key: str) -> None:
        """Return when what was acknowledged for a key is where fsync promises it to be.

        Raises what the store has refused it with, and DeadlineExceeded: it stays in the spool.
        """
        if self.spool is not None and self.policy(key).fsync is Durability.STORE:
            await self.spool.sync(key)

    async def settle_names(self, prefix: str) -> None:
        """Do the same for all keys right below a prefix."""
        if self.spool is not None:
            for key in self.spool.changed_in(prefix):
                await self.settle(key)
