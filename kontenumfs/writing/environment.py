# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the open files of a mount share."""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.store.api import Store
from kontenumfs.store.proof import Ask
from kontenumfs.store.tasks import Spawner
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.appending import Appender
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.identity import Composer
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.policy import Policies
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
    clock: Callable[[], float] = trio.current_time
