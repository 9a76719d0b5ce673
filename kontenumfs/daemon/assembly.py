# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a mount, put together from its options."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kontenumfs.admin.safe_files import open_safely
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.options import MountOptions
from kontenumfs.daemon.cache import cache_file, identity_file, journal_file, safe
from kontenumfs.daemon.commands import Commands
from kontenumfs.daemon.supervision import Supervisor
from kontenumfs.fuse.guarding import guard
from kontenumfs.fuse.kernel import FuseKernel
from kontenumfs.fuse.locks import watch_locks
from kontenumfs.fuse.operations import Operations
from kontenumfs.store.api import Store
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.tasks import Spawner
from kontenumfs.tree.attributes import Defaults
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.appending import Appender
from kontenumfs.writing.claims import Claims
from kontenumfs.writing.content import Environment
from kontenumfs.writing.copying import Copier
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.identity import Composer
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.markers import Markers
from kontenumfs.writing.memory import MemoryBudget
from kontenumfs.writing.namespace import Namespace
from kontenumfs.writing.staging import Staging


@dataclass(frozen=True, slots=True)
class Parts:
    """What a mount is made of."""

    tree: Tree
    files: OpenFiles
    namespace: Namespace
    memory: MemoryBudget
    deferred: DeferredMetadata
    remembered: RememberedAttributes
    journal: Journal
    operations: Operations
    commands: Commands

    def start(self, supervisor: Supervisor) -> None:
        """Begin what they do by themselves, until cancelled."""
        for name, run in (
            ("deferred metadata", self.deferred.run),
            ("flush timers", self.files.run),
            ("look-ahead", self.tree.run),
            ("remembered attributes", self.remembered.run),
        ):
            supervisor.keep(run, name)


def assemble(
    nursery: Spawner,
    store: Store,
    live: LiveSettings,
    *,
    prefix: str,
    staging: Staging,
) -> Parts:
    """Put a mount together.

    Args:
        nursery: for uploads; it lives as long as the mount.
        live: the settings; those that may change are asked for whenever they are needed.
        prefix: what every key starts with: empty, or ends with a slash.
        staging: where this run has its helper objects.
    """
    options = live.settings.options
    capabilities = ProvenCapabilities.within(store, prefix, deadline=options.deadline)
    store = ConditionalStore(store, capabilities, deadline=options.deadline)
    kept = safe(cache_file(options.cache_dir, options.endpoint, store.bucket, os.environ))
    remembered = RememberedAttributes(kept, limit=options.cache_entries)
    journal = _journal(kept, staging)
    kernel = FuseKernel()
    tree = _tree(store, prefix, options, remembered, kernel)
    wall_ns: Callable[[], int] = time.time_ns
    composer = Composer(prefix, lambda path: live.rules.headers_of(path))
    markers, claims = Markers(store, prefix), Claims()
    runner = PlanRunner(store, staging.run, journal, nursery=nursery)
    copier = Copier(runner, composer, capabilities.get, wall_ns=wall_ns, patience=options.deadline)
    appender = Appender(
        store,
        journal,
        capabilities=capabilities.get,
        restart=copier.recount,
        new_key=runner.new_key,
        patience=options.deadline,
    )
    deferred = DeferredMetadata(
        tree, markers, composer, claims, copier, delay=options.metadata_delay, wall_ns=wall_ns
    )
    memory = MemoryBudget(options.memory, patience=options.deadline)
    files = _open_files(nursery, runner, appender, live, tree, deferred, composer, claims, memory)
    namespace = Namespace(
        store, tree, files, deferred, markers, composer, claims, copier, wall_ns=wall_ns
    )
    operations = _operations(tree, files, namespace, options, wall_ns)
    operations = guard(operations, operations.inodes)
    watch_locks(operations, kernel)
    commands = Commands(tree, files)
    return Parts(
        tree, files, namespace, memory, deferred, remembered, journal, operations, commands
    )


def _operations(
    tree: Tree,
    files: OpenFiles,
    namespace: Namespace,
    options: MountOptions,
    wall_ns: Callable[[], int],
) -> Operations:
    return Operations(
        tree,
        files,
        namespace,
        defaults=_defaults(options),
        deny_open=options.deny_open,
        capacity=options.capacity,
        wall_ns=wall_ns,
    )


def _journal(kept: Path | None, staging: Staging) -> Journal:
    """What is under way, in a file that no other daemon has."""
    alone = staging.claim(identity_file(kept, staging.name), open_safely)
    journal = Journal(journal_file(kept, staging.name) if alone else None, open_safely)
    journal.open()
    return journal


def _tree(
    store: Store,
    prefix: str,
    options: MountOptions,
    remembered: RememberedAttributes,
    kernel: FuseKernel,
) -> Tree:
    return Tree(
        store,
        prefix=prefix,
        ttl=options.ttl,
        entries=options.cache_entries,
        trust_listings=options.attributes == "list",
        remembered=remembered,
        kernel=kernel,
    )


def _open_files(
    nursery: Spawner,
    runner: PlanRunner,
    appender: Appender,
    live: LiveSettings,
    tree: Tree,
    deferred: DeferredMetadata,
    composer: Composer,
    claims: Claims,
    memory: MemoryBudget,
) -> OpenFiles:
    prefix = tree.root.key
    environment = Environment(
        store=runner.store,
        runner=runner,
        appender=appender,
        memory=memory,
        nursery=nursery,
        chunk_size=live.settings.options.chunk_size,
        capabilities=appender.capabilities,
        policy=lambda key: live.rules.policy(key.removeprefix(prefix)),
        wall_ns=time.time_ns,
        spare=lambda remote: files.spare(remote),
        waiting=lambda file, seconds: files.waiting(file, seconds),
        failed=lambda file: files.failed(file),
    )
    files = OpenFiles(
        environment,
        tree,
        deferred,
        composer,
        claims,
        is_temporary=lambda name, creator: live.rules.is_temporary(name, creator),
    )
    memory.reclaim = files.reclaim
    return files


def _defaults(options: MountOptions) -> Defaults:
    return Defaults(
        uid=options.uid,
        gid=options.gid,
        file_mode=options.file_mode & ~options.umask,
        directory_mode=options.dir_mode & ~options.umask,
        mtime_ns=time.time_ns(),
        symlinks=options.symlinks == "metadata",
    )
