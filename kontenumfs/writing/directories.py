# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Renaming a directory: every object below it gets a new key."""

import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import trio

from kontenumfs.protocol.errors import (
    DirectoryNotEmpty,
    FileAlreadyExists,
    FileMissing,
    KontenumError,
    NameTooLong,
    NotDirectory,
    NotFound,
    ServerError,
    StoreError,
    UnexpectedAnswer,
    WriteError,
)
from kontenumfs.protocol.names import MAX_KEY_BYTES
from kontenumfs.store import operation
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.store.beliefs import ABSENT, REFUSED, UNKNOWN, Belief, believed
from kontenumfs.store.operation import cleaning_up
from kontenumfs.store.tasks import open_flat_nursery
from kontenumfs.tree.attributes import metadata_of, stored_metadata
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.reconciler import LEGACY_MARKER
from kontenumfs.writing.deferred import DeferredMetadata
from kontenumfs.writing.environment import Environment
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.identity import marker_attributes
from kontenumfs.writing.metadata import Token
from kontenumfs.writing.moving import Moved, move
from kontenumfs.writing.upload import CLEAN_UP_SECONDS

log = logging.getLogger(__name__)

PARALLEL_COPIES = 16
MD5 = re.compile("[0-9a-f]{32}")
"""The ETag of an object that was stored by one request; others say nothing of the bytes."""
CHANGED = ("PreconditionFailed", "ConditionalRequestConflict")
"""The codes of objects that are not what was believed of them (AWS, DeleteObjects)."""


@dataclass(slots=True)
class Progress:
    """How far one rename is, in objects."""

    source: str
    target: str
    copied: int = 0
    moved: dict[str, Moved] = field(default_factory=dict)
    """What has a copy, by its old key."""
    pending: dict[File, Token] = field(default_factory=dict)
    """What waited to be sent with a file when it was copied."""

    def new_key(self, key: str) -> str:
        """Return the new key of the object with this one."""
        return self.target + key[len(self.source) :]


class DirectoryRename:
    """Copies everything, then deletes everything: a crash leaves both names, never neither.

    A rename that was interrupted can be repeated over what it has left.
    """

    def __init__(
        self, environment: Environment, files: OpenFiles, deferred: DeferredMetadata
    ) -> None:
        self._store = environment.store
        self._tree = environment.tree
        self._composer = environment.composer
        self._copier = environment.copier
        self._files = files
        self._deferred = deferred
        self.running: list[Progress] = []

    async def rename(
        self,
        node: Directory,
        target: Node | None,
        new_parent: Directory,
        new_name: str,
        belief: Belief = UNKNOWN,
    ) -> None:
        """Give `node` another name; `target` is what has it now, ABSENT that nothing may have it.

        Writers below it wait meanwhile. Raises DirectoryNotEmpty, FileAlreadyExists, NotDirectory,
        NameTooLong, and what the first failed request reports; then nothing was deleted, and what
        was copied is deleted again.
        """
        old, new = node.key, new_parent.child_key(new_name, directory=True)
        if target is not None and not isinstance(target, Directory):
            raise NotDirectory(new_name)
        if target is not None and target.has_local_children:
            raise DirectoryNotEmpty(new)
        progress = Progress(old, new)
        self.running.append(progress)
        try:
            async with AsyncExitStack() as stack:
                for writer in self._files.table.below(node):
                    await stack.enter_async_context(writer.quiesced(empty=False))
                objects = [info async for info in self._all(old)]
                _require_names(objects, progress)
                there = await self._require_free(objects, progress, belief)
                await self._copy_all(node, objects, progress, there)
                await self._delete_all(progress, there)
                self._tree.move(node, new_parent, new_name)
                self._follow(node, progress)
        finally:
            self.running.remove(progress)
        log.info("renamed key=%r to=%r objects=%d", old, new, progress.copied)

    async def _all(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield every object below `prefix`; a listing that shows another one moves none."""
        token: str | None = None
        while True:
            page = await self._store.list_page(prefix, token=token)
            for info in page.objects:
                if not info.key.startswith(prefix):
                    message = f"the listing of {prefix!r} has {info.key!r}"
                    raise UnexpectedAnswer(message, operation="ListObjectsV2", resource=prefix)
                yield info
            token = page.next_token
            if token is None:
                return

    async def _require_free(
        self, objects: list[ObjectInfo], progress: Progress, belief: Belief
    ) -> set[str]:
        """Require that only copies which an interrupted rename has left are in the way.

        It was interrupted while it copied, and each is a copy of what is here, or while it
        deleted, and all that is here has a copy there. Returns the keys that are there.
        """
        new = progress.target
        there = {info.key: info async for info in self._all(new)}
        if there and belief is ABSENT:
            raise FileAlreadyExists(new)
        found = {key: info for key, info in there.items() if key != new}
        if not found:
            return set(there)
        here = {progress.new_key(info.key): info for info in objects if info.key != progress.source}
        both = here.keys() & found.keys()
        if not both or (len(both) < len(found) and len(both) < len(here)):
            raise DirectoryNotEmpty(new)
        for key in both:
            if not await self._is_copy(found[key], here[key]):
                raise DirectoryNotEmpty(new)
        return set(there)

    async def _is_copy(self, copy: ObjectInfo, source: ObjectInfo) -> bool:
        """Tell whether a rename may have made one of the other: a copy can have another ETag."""
        if copy.size != source.size:
            return False
        if copy.etag and copy.etag == source.etag:
            return True
        if MD5.fullmatch(copy.etag) and MD5.fullmatch(source.etag):
            return False  # other bytes
        try:
            metadata = [stored_metadata(await self._store.head(o.key)) for o in (copy, source)]
        except NotFound:
            return False
        return metadata[0].mtime_ns is not None and metadata[0].mtime_ns == metadata[1].mtime_ns

    async def _copy_all(
        self, node: Directory, objects: list[ObjectInfo], progress: Progress, there: set[str]
    ) -> None:
        """Copy all of it; where that fails, what was copied goes again."""
        known = {file.key: file for file in files_below(node) if file.has_object}
        limit = trio.CapacityLimiter(PARALLEL_COPIES)
        remaining = iter(objects)

        async def copy() -> None:
            for info in remaining:  # shared: each is taken once
                async with limit:
                    await self._copy(info, progress, known.get(info.key))
                    progress.copied += 1
                    operation.progress()

        try:
            async with open_flat_nursery() as nursery:
                for _ in range(min(PARALLEL_COPIES, len(objects))):
                    nursery.start_soon(copy)
            if node.legacy:
                await self._replace_legacy_marker(node, progress)
        except BaseException:
            await self._retract(progress, there)
            raise

    async def _copy(self, info: ObjectInfo, progress: Progress, node: File | None) -> None:
        """Copy one object as it is now, which may be another one than the listing has shown."""
        new_key = progress.new_key(info.key)
        while True:
            attributes = self._carried(info, progress, node)
            try:
                made = await self._copier.copy(info, new_key, attributes)
            except (REFUSED, NotFound):
                try:
                    found = await self._store.head(info.key)
                except NotFound:
                    return  # others have deleted it
                if (found.size, found.etag) == (info.size, info.etag):
                    raise
                info = found
            else:
                progress.moved[info.key] = Moved(info, made)
                return

    def _carried(
        self, info: ObjectInfo, progress: Progress, node: File | None
    ) -> Attributes | None:
        """Return what the copy of `info` is stored with; None: with what it has.

        What waits to be sent goes along, and a time that only LastModified told.
        """
        if node is None:
            return None
        if info.attributes is not None:
            self._tree.observed(node, info, self._tree.clock())
        known = node.info
        if known is None or known.attributes is None:
            return None
        if (known.size, known.etag) != (info.size, info.etag):
            return None
        progress.pending[node] = Token.of(node)
        return self._composer.copied(node, known, progress.new_key(info.key))

    async def _replace_legacy_marker(self, node: Directory, progress: Progress) -> None:
        """Give a directory that stood by another object's name a marker of its own."""
        attributes = marker_attributes(metadata_of(node))
        written = await self._store.put(progress.target, [], attributes)
        old = ObjectInfo(progress.source.removesuffix("/") + LEGACY_MARKER, 0, "", 0.0)
        progress.moved[old.key] = Moved(old, ObjectInfo(progress.target, 0, written.etag, 0.0))

    async def _retract(self, progress: Progress, there: set[str]) -> None:
        """Delete the copies that a failed rename has made, as far as nobody has touched them.

        Only those whose source is listed still: a deletion may have had its effect and no answer.
        """
        with cleaning_up(CLEAN_UP_SECONDS):
            try:
                left = {info.key async for info in self._all(progress.source)}
                made = [
                    moved.made
                    for key, moved in progress.moved.items()
                    if key in left and moved.made.key not in there
                ]
                failed = await self._store.delete_many(
                    {info.key: believed(info.etag, info.size) for info in made}
                )
            except KontenumError as error:
                failed = {progress.target: str(error)}
            for key, reason in failed.items():
                log.warning("a copy of a failed rename is left: key=%r (%s)", key, reason)

    async def _delete_all(self, progress: Progress, there: set[str]) -> None:
        """Delete what was copied, as that; what has changed meanwhile is brought over again."""
        sources = [moved.source for moved in progress.moved.values()]
        beliefs = {info.key: believed(info.etag, info.size) for info in sources}
        try:
            failed = await self._store.delete_many(beliefs) if beliefs else {}
        except StoreError as error:
            if not isinstance(error, ServerError | UnexpectedAnswer):
                await self._retract(progress, there)  # refused: nothing was deleted
            raise
        changed = [key for key, reason in failed.items() if reason in CHANGED]
        kept = {key: reason for key, reason in failed.items() if key not in changed}
        if kept and len(kept) == len(beliefs):
            await self._retract(progress, there)
        if kept:
            key, reason = next(iter(kept.items()))
            raise WriteError(f"{len(kept)} objects could not be deleted: {key!r}: {reason}")
        for key in changed:
            await self._bring_over(progress, key)

    async def _bring_over(self, progress: Progress, key: str) -> None:
        """Move an object that others have changed since it was copied."""
        before = progress.moved[key]
        try:
            found = await self._store.head(key)
        except NotFound:
            return
        if found.size < before.made.size:
            return  # begun anew by others: what it was has moved
        expected = believed(before.made.etag, before.made.size)
        try:
            progress.moved[key] = await move(
                self._copier,
                found,
                before.made.key,
                lambda info: info.attributes,
                expected=expected,
            )
        except FileMissing:
            log.info("deleted by others while it was renamed: key=%r", key)

    def _follow(self, node: Directory, progress: Progress) -> None:
        """Bring the nodes below up to date, which have new keys."""
        for file in files_below(node):
            moved = progress.moved.get(progress.source + file.key[len(progress.target) :])
            info = file.info
            if info is None or moved is None:
                continue
            made = moved.made
            self._files.table.renamed(file, moved.source, made)
            if file in progress.pending and file.local is None:
                self._deferred.carried(file, progress.pending[file])
            elif made.attributes is None and (info.size, info.etag) == (
                moved.source.size,
                moved.source.etag,
            ):
                made = replace(made, attributes=info.attributes)
            self._tree.stored(file, made)
            if made.size != info.size:
                self._tree.attributes_changed(file)  # or copies would end at the old length


def _require_names(objects: Iterable[ObjectInfo], progress: Progress) -> None:
    """Require that every new key can be one: asked before the first copy."""
    for info in objects:
        key = progress.new_key(info.key)
        if len(key.encode()) > MAX_KEY_BYTES:
            message = f"the key would be longer than {MAX_KEY_BYTES} bytes: {key[:80]}..."
            raise NameTooLong(message)


def files_below(directory: Directory) -> list[File]:
    """Return the files in `directory` that are known, at any depth."""
    found: list[File] = []
    directories = [directory]
    while directories:
        for child in directories.pop().children.values():
            if isinstance(child, Directory):
                directories.append(child)
            elif isinstance(child, File):
                found.append(child)
    return found
