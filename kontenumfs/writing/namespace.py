# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Changes of names: mkdir, rmdir, unlink, rename."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from kontenumfs.protocol.errors import (
    DirectoryNotEmpty,
    FileAlreadyExists,
    FileMissing,
    IsDirectory,
    KontenumError,
    NotDirectory,
    PreconditionFailed,
    RenameConflict,
    WriterConflict,
)
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, believed
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.reconciler import LEGACY_MARKER
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.directories import DirectoryRename, Progress
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.identity import marker_attributes
from kontenumfs.writing.markers import Markers
from kontenumfs.writing.metadata import Token
from kontenumfs.writing.moving import move
from kontenumfs.writing.namespace_locks import NamespaceLocks
from kontenumfs.writing.state import State

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a new file is stored over an object that others change meanwhile."""


class Namespace:
    """Changes names in the store first and in the tree after, so that a failure changes nothing."""

    def __init__(
        self,
        environment: Environment,
        files: OpenFiles,
        deferred: DeferredMetadata,
        markers: Markers,
        locks: NamespaceLocks,
    ) -> None:
        self._store = environment.store
        self._tree = environment.tree
        self._composer = environment.composer
        self._copier = environment.copier
        self._wall_ns = environment.wall_ns
        self._is_spooled = environment.spool is not None
        self._files = files
        self._deferred = deferred
        self._markers = markers
        self._locks = locks
        self._directories = DirectoryRename(environment, files, deferred)

    @property
    def directory_renames(self) -> list[Progress]:
        """How far the renames of directories are that run now."""
        return self._directories.running

    async def _find(self, parent: Directory, name: str) -> Node | None:
        try:
            return await self._tree.lookup(parent, name)
        except FileMissing:
            return None

    @asynccontextmanager
    async def _begun_here(self, parent: Directory, name: str) -> AsyncIterator[None]:
        """Turn a refusal in the block, whose object must be new, into FileAlreadyExists."""
        try:
            yield
        except PreconditionFailed as error:
            self._tree.invalidate(parent, name)
            raise FileAlreadyExists(name) from error

    async def make_directory(
        self, parent: Directory, name: str, metadata: FileMetadata
    ) -> Directory:
        """Make a directory: a zero-byte marker object whose key ends with a slash."""
        async with self._locks.hold(within=(parent,)):
            key = parent.child_key(name, directory=True)
            if await self._find(parent, name) is not None:
                raise FileAlreadyExists(key)
            attributes = marker_attributes(metadata)
            async with self._begun_here(parent, name):
                etag = await self._markers.create(key, attributes)
            info = ObjectInfo(key, 0, etag, self._wall_ns() / 1e9, attributes)
            return self._tree.add_directory(parent, name, info)

    async def make_symlink(
        self, parent: Directory, name: str, target: str, metadata: FileMetadata
    ) -> File:
        """Make a symbolic link: an object that says in its metadata what it points to.

        Its body is the target too, which is how s3fs keeps it.
        """
        body, carried = target.encode(), replace(metadata, target=target)
        async with self._locks.hold(within=(parent,)):
            key = parent.child_key(name)
            if await self._find(parent, name) is not None:
                raise FileAlreadyExists(key)
            attributes = self._composer.written(key, None, carried, len(body))
            async with self._begun_here(parent, name):
                written = await self._store.put(key, [body], attributes, expected=ABSENT)
            node = self._tree.add_file(parent, name)
            now = self._wall_ns() / 1e9
            self._tree.stored(node, ObjectInfo(key, len(body), written.etag, now, attributes))
            return node

    async def remove_directory(self, parent: Directory, name: str) -> None:
        """Delete an empty directory; raises DirectoryNotEmpty when the store has keys in it.

        With a spool, a listing that is fresh is believed: what others have put there since is seen
        within the ttl, and brings the directory back.
        """
        node = await self._tree.lookup(parent, name)
        if not isinstance(node, Directory):
            raise NotDirectory(name)
        async with self._locks.hold(node, within=(parent,)):
            await self._require_empty(node)
            key = node.key
            await self._markers.delete(key)
            if node.legacy:
                await self._store.delete(key.removesuffix("/") + LEGACY_MARKER)
            log.info("deleted key=%r directory", key)
            self._deferred.drop(node)
            self._tree.remove(node)

    async def _require_empty(self, node: Directory) -> None:
        key = node.key
        if node.has_local_children:
            raise DirectoryNotEmpty(key)
        if self._is_spooled and self._tree.freshness(node.listed) and not node.children:
            return
        # The marker itself is one of the two, so a second key means that something is inside.
        page = await self._store.list_page(key, max_keys=2)
        inside = [*(info.key for info in page.objects if info.key != key), *page.prefixes]
        if inside:
            # Others may have put it there: who is refused shall see why.
            self._tree.invalidate(node, inside[0].removeprefix(key).partition("/")[0])
            raise DirectoryNotEmpty(key)

    async def unlink(self, parent: Directory, name: str) -> None:
        """Delete a file; who has it open goes on writing to nowhere."""
        node = await self._tree.lookup(parent, name)
        if not isinstance(node, File):
            raise IsDirectory(name)
        async with self._locks.hold(node, within=(parent,)):
            async with self._files.unlinking(node):
                # Only now: it may have been stored meanwhile, or in part before an error.
                writer, stored = self._files.table.writer(node), self._files.table.remote(node)
                if stored is not None or (writer is not None and writer.error is not None):
                    key = node.key
                    await self._store.delete(key)
                    log.info("deleted key=%r", key)
            self._deferred.drop(node)
            self._tree.remove(node)

    async def rename(
        self,
        parent: Directory,
        name: str,
        new_parent: Directory,
        new_name: str,
        *,
        overwrite: bool = True,
    ) -> None:
        """Give a file or directory another name: copied first, deleted after, never nowhere.

        Everything written so far is stored when this returns. With `overwrite` false, raises
        FileAlreadyExists when the new name is taken. Raises RenameConflict where others go on
        changing what is renamed, or have changed what it was renamed to.
        """
        node = await self._tree.lookup(parent, name)
        target = await self._find(new_parent, new_name)
        if target is not None and not overwrite:
            raise FileAlreadyExists(new_name)
        if target is node:
            return
        held = (node,) if target is None else (node, target)
        belief = UNKNOWN if overwrite else ABSENT
        async with self._locks.hold(*held, within=(parent, new_parent)):
            try:
                await self._rename(node, target, new_parent, new_name, belief)
            except KontenumError as error:
                for place, known in ((parent, name), (new_parent, new_name)):
                    self._tree.invalidate(place, known)  # it may be under both, or under neither
                if isinstance(error, PreconditionFailed | WriterConflict):
                    raise RenameConflict(str(error)) from error
                raise

    async def _rename(
        self,
        node: Node,
        target: Node | None,
        new_parent: Directory,
        new_name: str,
        belief: Belief,
    ) -> None:
        if isinstance(node, Directory):
            await self._directories.rename(node, target, new_parent, new_name, belief)
            return
        assert isinstance(node, File)
        if isinstance(target, Directory):
            raise IsDirectory(new_name)
        assert target is None or isinstance(target, File)
        new_key = new_parent.child_key(new_name)
        parent, name = node.parent, node.name
        if target is None:
            stays = await self._rename_file(node, new_key, belief)
        else:
            stays = await self._rename_over(node, target, new_key)
        self._tree.move(node, new_parent, new_name)
        if stays and parent is not None:
            self._tree.invalidate(parent, name)
        await self._files.close_unused(node)

    async def _rename_file(
        self, node: File, new_key: str, belief: Belief, *, over: ObjectInfo | None = None
    ) -> bool:
        """Bring the object of `node` to its new key, which must be what is believed of it.

        Returns whether the old key has another object now, which others have begun there.

        Args:
            over: what has the new name: something must be there instead.
        """
        writer = self._files.table.writer(node)
        stays = False
        if writer is None:
            await self._tree.fetch_attributes(node, exact=True)
            stays = await self._move(node, new_key, belief)
        elif writer.content.current is None:
            is_new = writer.state is State.FRESH and not writer.write_back.temporary
            if is_new and writer.handles and over is None:
                return False
            await self._store_as(writer, new_key, belief, over)
            self._deferred.drop(node)
        current = writer.content.current if writer is not None else None
        if writer is not None and (current is None or current.key != new_key):
            async with writer.quiesced(empty=False):
                metadata = writer.write_back.metadata
                token = metadata.token
                stays = await self._move(node, new_key, belief)
                metadata.carried(token)
        return stays

    async def _store_as(
        self, writer: WritableFile, key: str, belief: Belief, over: ObjectInfo | None
    ) -> None:
        """Store a file that has no object yet under its new name.

        What has that name is replaced as what it is, even where anything may be: a request that
        comes late would replace what is there by then.
        """
        expected = belief
        if belief is UNKNOWN:
            expected = ABSENT if over is None else believed(over.etag, over.size)
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                await writer.sync_as(key, expected)
                return
            except WriterConflict as error:
                if belief is ABSENT:
                    raise FileAlreadyExists(key) from error
                if not attempts_left:
                    raise
            found = await self._copier.find(key)
            expected = ABSENT if found is None else believed(found.etag, found.size)

    async def _rename_over(self, node: File, target: File, new_key: str) -> bool:
        """Do the same where `target` loses its name: what it was sending must not come after."""
        writer = self._files.table.writer(node)
        if writer is not None and writer.content.current is not None:
            # Or it would wait, once `target` is held, for that to keep what it has of it.
            await writer.sync(empty=False)
        async with self._files.unlinking(target):
            over = target.info  # only now: what was under way has ended
            stays = await self._rename_file(node, new_key, UNKNOWN, over=over)
        self._deferred.drop(target)
        return stays

    async def _move(self, node: File, new_key: str, belief: Belief) -> bool:
        info, pending = node.info, Token.of(node)
        if info is None:
            raise FileMissing(node.name)  # it was closed meanwhile, and never stored

        def described(found: ObjectInfo) -> Attributes:
            if found is not info:
                self._tree.observed(node, found, self._tree.clock())
            return self._composer.copied(node, found, new_key)

        moved = await move(self._copier, info, new_key, described, expected=belief)
        log.info("renamed key=%r to=%r", info.key, new_key)
        self._deferred.carried(node, pending)
        self._files.table.renamed(node, moved.source, moved.made)
        self._tree.stored(node, moved.made)
        return moved.stays
