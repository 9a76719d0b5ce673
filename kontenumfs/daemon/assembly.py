# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a mount, put together from its options."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
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
from kontenumfs.store.tasks import Spawner
from kontenumfs.tree.attributes import Defaults
from kontenumfs.tree.remembered import RememberedAttributes
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.filesystem import Filesystem, Settings
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.staging import Staging


@dataclass(frozen=True, slots=True)
class Parts:
    """What a mount is made of."""

    filesystem: Filesystem
    tree: Tree
    remembered: RememberedAttributes
    operations: Operations
    commands: Commands

    def start(self, supervisor: Supervisor) -> None:
        """Begin what they do by themselves, until cancelled."""
        for name, run in (
            *self.filesystem.tasks.items(),
            ("look-ahead", self.tree.run),
            ("remembered attributes", self.remembered.run),
        ):
            supervisor.keep(run, name)


@asynccontextmanager
async def assemble(
    nursery: Spawner,
    store: Store,
    live: LiveSettings,
    *,
    prefix: str,
    staging: Staging,
) -> AsyncIterator[Parts]:
    """Put a mount together, for the length of the block.

    Args:
        nursery: for uploads; it lives as long as the mount.
        live: the settings; those that may change are asked for whenever they are needed.
        prefix: what every key starts with: empty, or ends with a slash.
        staging: where this run has its helper objects.
    """
    options = live.settings.options
    kept = safe(cache_file(options.cache_dir, options.endpoint, store.bucket, os.environ))
    remembered = RememberedAttributes(kept, limit=options.cache_entries)
    kernel = FuseKernel()
    make_tree = partial(
        Tree,
        prefix=prefix,
        ttl=options.ttl,
        entries=options.cache_entries,
        trust_listings=options.attributes == "list",
        remembered=remembered,
        kernel=kernel,
    )
    journal = _journal(kept, staging)  # first: it decides which area this run has
    settings = _settings(live, prefix, staging)
    filesystem = Filesystem(store, nursery, settings, make_tree=make_tree, journal=journal)
    async with filesystem:
        operations = _operations(filesystem, options)
        operations = guard(operations, operations.inodes)
        watch_locks(operations, kernel)
        commands = Commands(filesystem.tree, filesystem.files)
        yield Parts(filesystem, filesystem.tree, remembered, operations, commands)


def _settings(live: LiveSettings, prefix: str, staging: Staging) -> Settings:
    """Translate options; rules are asked for anew each time, for a reload may change them."""
    options = live.settings.options
    return Settings(
        prefix=prefix,
        staging=staging.run,
        deadline=options.deadline,
        chunk_size=options.chunk_size,
        memory=options.memory,
        metadata_delay=options.metadata_delay,
        policy=lambda path: live.rules.policy(path),
        headers=lambda path: live.rules.headers_of(path),
        is_temporary=lambda name, creator: live.rules.is_temporary(name, creator),
    )


def _operations(filesystem: Filesystem, options: MountOptions) -> Operations:
    return Operations(
        filesystem.tree,
        filesystem.files,
        filesystem.namespace,
        defaults=_defaults(options),
        deny_open=options.deny_open,
        capacity=options.capacity,
        wall_ns=time.time_ns,
    )


def _journal(kept: Path | None, staging: Staging) -> Journal:
    """Return the journal of what is under way, in a file that no other daemon has."""
    alone = staging.claim(identity_file(kept, staging.name), open_safely)
    return Journal(journal_file(kept, staging.name) if alone else None, open_safely)


def _defaults(options: MountOptions) -> Defaults:
    return Defaults(
        uid=options.uid,
        gid=options.gid,
        file_mode=options.file_mode & ~options.umask,
        directory_mode=options.dir_mode & ~options.umask,
        mtime_ns=time.time_ns(),
        symlinks=options.symlinks == "metadata",
    )
