# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Renaming a directory: every object below it gets a new key."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import trio

from kontenumfs.protocol.dialect import MAX_COPY
from kontenumfs.protocol.errors import (
    DirectoryNotEmpty,
    NotDirectory,
    WriteError,
)
from kontenumfs.store.api import Attributes, ObjectInfo, Store, Written
from kontenumfs.store.beliefs import UNKNOWN
from kontenumfs.store.tasks import open_flat_nursery
from kontenumfs.tree.attributes import metadata_of
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.sightings import LEGACY_MARKER
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.identity import Composer, marker_attributes

log = logging.getLogger(__name__)

PARALLEL_COPIES = 16


@dataclass(slots=True)
class Progress:
    """How far one rename is, in objects."""

    source: str
    target: str
    copied: int = 0


class DirectoryRename:
    """Copies everything, then deletes everything: a crash leaves both names, never neither.

    A rename that was interrupted is safe to repeat over what it has left.
    """

    def __init__(
        self,
        store: Store,
        tree: Tree,
        files: OpenFiles,
        deferred: DeferredMetadata,
        composer: Composer,
        *,
        wall_ns: Callable[[], int],
    ) -> None:
        self._store = store
        self._tree = tree
        self._files = files
        self._deferred = deferred
        self._composer = composer
        self._wall_ns = wall_ns
        self.running: list[Progress] = []

    async def rename(
        self, node: Directory, target: Node | None, new_parent: Directory, new_name: str
    ) -> None:
        """Give `node` another name; `target` is what has it now.

        Writers below it wait meanwhile. Raises DirectoryNotEmpty, NotDirectory, and what the
        first failed request reports; then nothing was deleted.
        """
        old, new = self._tree.key(node), self._tree.child_key(new_parent, new_name, directory=True)
        if target is not None and not isinstance(target, Directory):
            raise NotDirectory(new_name)
        if target is not None:
            await self._require_free(old, new)
        progress = Progress(old, new)
        self.running.append(progress)
        try:
            async with AsyncExitStack() as stack:
                for _, writer in self._files.below(node):
                    await stack.enter_async_context(writer.settled(empty=False))
                copied = await self._copy_all(node, progress)
                if node.legacy:
                    copied |= await self._replace_legacy_marker(node, progress)
                await self._delete_all(list(copied))
                self._tree.move(node, new_parent, new_name)
                self._follow(node, progress, copied)
        finally:
            self.running.remove(progress)
        log.info("renamed key=%r to=%r objects=%d", old, new, progress.copied)

    async def _require_free(self, old: str, new: str) -> None:
        """Nothing is in the way but the copies that an interrupted rename has left."""
        there = {info.key[len(new) :]: info async for info in self._all(new)}
        there.pop("", None)
        if not there:
            return
        here = {info.key[len(old) :]: info async for info in self._all(old)}
        for name, info in there.items():
            source = here.get(name)
            if source is None or (source.size, source.etag) != (info.size, info.etag):
                raise DirectoryNotEmpty(new)

    async def _all(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        token: str | None = None
        while True:
            page = await self._store.list_page(prefix, token=token)
            for info in page.objects:
                yield info
            token = page.next_token
            if token is None:
                return

    async def _copy_all(self, node: Directory, progress: Progress) -> dict[str, Written]:
        """Copy page by page; returns the receipts by old key."""
        copied: dict[str, Written] = {}
        known = {file.key: file for file in files_below(node) if file.has_object}
        limit = trio.CapacityLimiter(PARALLEL_COPIES)

        async def copy(info: ObjectInfo) -> None:
            async with limit:
                new_key = progress.target + info.key[len(progress.source) :]
                copied[info.key] = await self._copy(info, new_key, known.get(info.key))
                progress.copied += 1

        token: str | None = None
        while True:
            page = await self._store.list_page(progress.source, token=token)
            async with open_flat_nursery() as nursery:
                for info in page.objects:
                    nursery.start_soon(copy, info)
            token = page.next_token
            if token is None:
                return copied

    async def _copy(self, info: ObjectInfo, new_key: str, node: File | None) -> Written:
        attributes: Attributes | None = None
        if node is not None and node.info is not None and node.info.attributes is not None:
            # What waits to be sent goes along, and a time that only LastModified told.
            attributes = self._composer.copied(node, node.info, new_key)
        if info.size <= MAX_COPY:
            return await self._store.copy(info.key, new_key, attributes)
        if attributes is None:
            attributes = (await self._store.head(info.key)).attributes or Attributes()
        return await self._store.compose(new_key, [info.key], attributes)

    async def _replace_legacy_marker(
        self, node: Directory, progress: Progress
    ) -> dict[str, Written]:
        """A directory that stood by another object's name has a marker of its own from now on."""
        written = await self._store.put(progress.target, [], marker_attributes(metadata_of(node)))
        node.legacy = False
        return {progress.source.removesuffix("/") + LEGACY_MARKER: written}

    async def _delete_all(self, keys: list[str]) -> None:
        failed = await self._store.delete_many(dict.fromkeys(keys, UNKNOWN)) if keys else {}
        if failed:
            key, reason = next(iter(failed.items()))
            raise WriteError(f"{len(failed)} objects are under both names: {key!r}: {reason}")

    def _follow(self, node: Directory, progress: Progress, copied: dict[str, Written]) -> None:
        """The nodes below have new keys."""
        now = self._wall_ns() / 1e9
        for file in files_below(node):
            old = progress.source + file.key[len(progress.target) :]
            info, written = file.info, copied.get(old)
            if info is None or written is None:
                continue
            if file.local is None and info.attributes is not None:
                was = replace(info, key=old)
                info = replace(info, attributes=self._composer.copied(file, was, file.key))
                self._deferred.carried(file)
            self._files.renamed(file, old, file.key, written.etag)
            self._tree.stored(file, replace(info, etag=written.etag, last_modified=now))


def files_below(directory: Directory) -> list[File]:
    """The files in `directory` that are known, at any depth."""
    found: list[File] = []
    directories = [directory]
    while directories:
        for child in directories.pop().children.values():
            if isinstance(child, Directory):
                directories.append(child)
            elif isinstance(child, File):
                found.append(child)
    return found
