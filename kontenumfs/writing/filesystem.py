# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A filesystem in a bucket, put together: all of it but the kernel."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import trio

from kontenumfs.protocol.dialect import Limits
from kontenumfs.store.api import Store
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.proof import Ask
from kontenumfs.store.spool.spool import Spool
from kontenumfs.store.spool.store import SpoolStore
from kontenumfs.store.tasks import Spawner
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.appending import Appender
from kontenumfs.writing.callers import name_of
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.identity import Composer, HeaderRules
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.markers import Markers
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.namespace import Namespace
from kontenumfs.writing.namespace_locks import NamespaceLocks
from kontenumfs.writing.policy import FilePolicy, Policies, is_temporary
from kontenumfs.writing.spooling import SpooledCapabilities, Spooling, make_spool
from kontenumfs.writing.timers import Timers

MIB = 1 << 20
SPOOLED_DELAY = 0.1
"""Seconds that metadata waits at most where a spool joins it to what it belongs to."""
DEFAULT_LIMITS = Limits()


def default_policy(path: str) -> FilePolicy:
    """Publish every file as it is written by default."""
    return FilePolicy()


def no_headers(path: str) -> Mapping[str, str]:
    """Give no headers but what names suggest."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a filesystem behaves.

    Args:
        prefix: what every key starts with: empty, or ends with a slash.
        staging: what the keys of helper objects start with.
        deadline: seconds that one operation may take.
        chunk_size: bytes that are sent at once.
        memory: bytes that may wait in memory.
        metadata_delay: seconds that metadata waits for a request that can carry it.
        policy: how the object of a path is published; a path is a key without the prefix.
        headers: the headers that the configuration gives to a path.
        is_temporary: whether a new file of this name, created with O_EXCL by the program of that
            name, waits for a rename.
        name_of: what a process is called.
        wall_ns: the time of day in nanoseconds since the epoch.
        limits: of the store.
        spooling: where what is acknowledged waits for the store; None: in no spool.
    """

    prefix: str = ""
    staging: str = ".kontenumfs/"
    deadline: float = 60.0
    chunk_size: int = 8 * MIB
    memory: int = 256 * MIB
    metadata_delay: float = 1.0
    policy: Policies = default_policy
    headers: HeaderRules = no_headers
    is_temporary: Callable[[str, str], bool] = is_temporary
    name_of: Callable[[int], str] = name_of
    wall_ns: Callable[[], int] = time.time_ns
    limits: Limits = DEFAULT_LIMITS
    spooling: Spooling | None = None


class Filesystem:
    """The names and files of a bucket, as an async context manager.

    Within the block, `tasks` are to be run by whoever watches over them. What is open at its end
    is not stored by that: see OpenFiles.drain.

    Args:
        store: the bucket; its conditions are kept here, whatever it makes of them.
        nursery: requests in the background run here; it lives as long as the block.
        make_tree: makes the tree of names, of a store that keeps conditions.
        journal: has what is under way; opened and closed by the block.
    """

    def __init__(
        self,
        store: Store,
        nursery: Spawner,
        settings: Settings,
        *,
        make_tree: Callable[[Store], Tree] = Tree,
        journal: Journal | None = None,
    ) -> None:
        staging, deadline = settings.staging, settings.deadline
        self.capabilities = ProvenCapabilities.within(store, staging, deadline=deadline)
        conditional = ConditionalStore(store, self.capabilities, deadline=deadline)
        self.spool = self._make_spool(conditional, settings)
        self.store: Store = conditional
        self.helpers = store
        """Where helper objects are that an earlier life has left: seen with what is queued."""
        if self.spool is not None:
            self.store = self.helpers = SpoolStore(self.spool)
        self.tree = make_tree(self.store)
        self.journal = journal if journal is not None else Journal()
        self.memory = MemoryBudget(settings.memory, nursery, patience=deadline)
        self.timers = Timers()
        environment = self._environment(nursery, settings)
        self.copier = environment.copier
        behind = None if self.spool is None else conditional
        self.markers = markers = Markers(self.store, staging, behind=behind)
        locks = NamespaceLocks()
        delay = settings.metadata_delay
        if self.spool is not None:
            delay = min(delay, SPOOLED_DELAY)
        self.deferred = DeferredMetadata(environment, markers, locks, delay=delay)
        self.files = OpenFiles(
            environment,
            self.deferred,
            locks,
            is_temporary=settings.is_temporary,
            name_of=settings.name_of,
        )
        self.namespace = Namespace(environment, self.files, self.deferred, markers, locks)

    def _make_spool(self, store: Store, settings: Settings) -> Spool | None:
        if settings.spooling is None:
            return None
        self.spooled = SpooledCapabilities(self.capabilities)
        return make_spool(
            settings.spooling,
            store,
            self.capabilities,
            deadline=settings.deadline,
            prefix=settings.prefix,
            new_key=lambda: f"{settings.staging}{secrets.token_hex(8)}",
        )

    def _environment(self, nursery: Spawner, settings: Settings) -> Environment:
        patience, wall_ns = settings.deadline, settings.wall_ns
        ask: Ask = self.capabilities.get if self.spool is None else self.spooled.get
        composer = Composer(settings.prefix, settings.headers)
        runner = PlanRunner(self.store, settings.staging, self.journal, nursery=nursery)
        copier = Copier(
            runner,
            composer,
            ask,
            wall_ns=wall_ns,
            patience=patience,
            limits=settings.limits,
            copy_over=self.store.copy_over if isinstance(self.store, SpoolStore) else None,
        )
        appender = Appender(
            self.store,
            self.journal,
            capabilities=ask,
            restart=copier.recount,
            new_key=runner.new_key,
            patience=patience,
        )
        return Environment(
            store=self.store,
            tree=self.tree,
            composer=composer,
            runner=runner,
            appender=appender,
            copier=copier,
            memory=self.memory,
            nursery=nursery,
            timers=self.timers,
            chunk_size=settings.chunk_size,
            capabilities=ask,
            policy=lambda key: settings.policy(key.removeprefix(settings.prefix)),
            wall_ns=wall_ns,
            limits=settings.limits,
            spool=self.spool,
        )

    @property
    def tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is to be run until the end, by name; each may be begun again after a defect."""
        tasks: dict[str, Callable[[], Awaitable[None]]] = {
            "deferred metadata": self.deferred.run,
            "flush timers": self.timers.run,
        }
        if self.spool is not None:
            look = partial(self.spool.outage.run, self.spool.store.head_bucket)
            proof = partial(self.spooled.prove, self.markers.prove)
            tasks |= {"spool": self.spool.run, "outages": look, "proof": proof}
        return tasks

    async def __aenter__(self) -> Self:
        if self.spool is not None:
            self.spool.open()
        self.journal.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.journal.close()
        if self.spool is not None:
            with trio.CancelScope(shield=True):
                await self.spool.stop()
            self.spool.close()
