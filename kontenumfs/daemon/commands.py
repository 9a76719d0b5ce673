# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of a running mount that its control socket takes."""

import os
from typing import Any

from kontenumfs.daemon.control import Command, Send
from kontenumfs.protocol.errors import FileMissing, IsDirectory, NotDirectory, UserError
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.protocol.names import check_text, component_from_bytes
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.handle import Handle

PROGRESS_EVERY = 50
"""Sources between two lines of progress."""


class Commands:
    """The commands of one mount; paths in them are relative to the mountpoint."""

    def __init__(self, tree: Tree, files: OpenFiles) -> None:
        self._tree = tree
        self._files = files

    def table(self) -> dict[str, Command]:
        """Return the commands by name."""
        return {"concat": self.concat, "refresh": self.refresh}

    async def refresh(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        """Believe nothing any more of `path`, and with `recursive` of all that is below it."""
        path, recursive = request.get("path", ""), request.get("recursive", False)
        check_text(path)
        count = await self._tree.refresh(self._tree.root, path, recursive=recursive)
        return {"refreshed": count}

    async def forget_names(self) -> None:
        """Believe nothing any more of the whole mount."""
        await self._tree.refresh(self._tree.root, recursive=True)

    async def concat(self, request: dict[str, Any], send: Send) -> dict[str, Any]:
        """Make `target` of `sources`, in order, or add them to it with `append`."""
        target, sources = request.get("target"), request.get("sources")
        if not isinstance(target, str) or not isinstance(sources, list):
            raise UserError("concat takes a target and sources")
        # All are looked up first: a name that is wrong must not leave half a file, and the target
        # may be among them, as it is now.
        contents = []
        for number, source in enumerate(sources):
            contents.append(await self._files.ranges.content_of(await self._find(str(source))))
            if number % PROGRESS_EVERY == 0:
                await send({"stage": "looking up", "done": number, "of": len(sources)})
        opened = await self._open_target(target)
        assert opened.file is not None
        try:
            at = opened.file.size if request.get("append") else 0
            for content in contents:
                await self._files.ranges.lend(content, opened.file, at)
                at += content.length
            await opened.file.truncate(at)
            await send({"stage": "joining"})
            await self._files.sync(opened.node)
        finally:
            await self._files.release(opened)
        return {"size": at}

    async def _parent(self, path: str) -> tuple[Directory, str]:
        *parts, name = path.split("/")
        if not name:
            raise UserError(f"{path!r} names no file")
        at: Directory = self._tree.root
        for part in parts:
            found = await self._tree.lookup(at, component_from_bytes(os.fsencode(part)))
            if not isinstance(found, Directory):
                raise NotDirectory(f"{part} in {path} is not a directory")
            at = found
        return at, component_from_bytes(os.fsencode(name))

    async def _find(self, path: str) -> File:
        try:
            parent, name = await self._parent(path)
            node = await self._tree.lookup(parent, name)
        except FileMissing:
            raise FileMissing(f"{path}: no such file") from None
        if not isinstance(node, File):
            raise IsDirectory(f"{path} is a directory")
        return node

    async def _open_target(self, path: str) -> Handle:
        try:
            return await self._files.open(await self._find(path), os.O_WRONLY, 0)
        except FileMissing:
            parent, name = await self._parent(path)
            return await self._files.create(parent, name, FileMetadata())
