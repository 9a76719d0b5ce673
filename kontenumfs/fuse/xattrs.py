# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""pyfuse3's methods for extended attributes, which are an object's headers and metadata."""

import os
from collections.abc import Sequence
from typing import Any

import pyfuse3

from kontenumfs.fuse.errors import translated
from kontenumfs.protocol.errors import AttributeMissing, AttributeUnsupported
from kontenumfs.tree.inodes import InodeTable
from kontenumfs.tree.node import Directory, File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.xattrs import (
    TOLD,
    change_attribute,
    own_attributes,
    read_attributes,
    require_room,
)

REFRESH = f"{TOLD}refresh"
"""Set it to forget what is remembered of a file or directory: see kontenumfs refresh."""


class ExtendedAttributes(pyfuse3.Operations):
    """The part of a mount's operations that deals with extended attributes."""

    def __init__(self, tree: Tree, files: OpenFiles) -> None:
        super().__init__()
        self._tree = tree
        self.inodes = InodeTable(tree.root, forgotten=tree.forgotten)
        """The nodes that the kernel knows, by number."""
        self._files = files

    def _file(self, inode: int) -> File:
        node = self.inodes.node(inode)
        if not isinstance(node, File):
            raise AttributeUnsupported("a directory has no extended attributes")
        return node

    def _require_user(self, name: bytes) -> None:
        """Raise AttributeUnsupported for what no object can have: ACLs, labels, capabilities.

        Programs that copy them take that for an answer and go on; the kernel asks for security.*
        all day. So it is answered without a look at the store, or a line in the log.
        """
        if not name.startswith(b"user."):
            raise AttributeUnsupported(os.fsdecode(name))

    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> bytes:
        async with translated("getxattr"):
            self._require_user(name)
            if isinstance(self.inodes.node(inode), Directory):
                raise AttributeMissing(os.fsdecode(name))
            node, text = self._file(inode), os.fsdecode(name)
            if text.startswith(TOLD):
                found = self._files.status.of(node)
            else:
                await self._tree.fetch_attributes(node, exact=True)
                found = read_attributes(node)
            try:
                return found[text.removeprefix(TOLD)].encode("utf-8", "surrogateescape")
            except KeyError:
                raise AttributeMissing(text) from None

    async def listxattr(self, inode: int, ctx: Any) -> Sequence[bytes]:
        async with translated("listxattr"):
            node = self.inodes.node(inode)
            if not isinstance(node, File):
                return []
            await self._tree.fetch_attributes(node, exact=True)
            return [
                os.fsencode(name)
                for name in own_attributes(node, self._files.status.headers_by_name(node))
            ]

    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: Any) -> None:
        async with translated("setxattr"):
            self._require_user(name)
            if os.fsdecode(name) == REFRESH:
                await self._refresh(inode, recursive=value == b"recursive")
            else:
                await self._change_attribute(inode, os.fsdecode(name), value)

    async def _refresh(self, inode: int, *, recursive: bool) -> None:
        node = self.inodes.node(inode)
        await self._tree.refresh(node, recursive=recursive)

    async def removexattr(self, inode: int, name: bytes, ctx: Any) -> None:
        async with translated("removexattr"):
            self._require_user(name)
            node = self._file(inode)
            await self._tree.fetch_attributes(node, exact=True)
            if os.fsdecode(name) not in read_attributes(node):
                raise AttributeMissing(os.fsdecode(name))
            await self._change_attribute(inode, os.fsdecode(name), None)

    async def _change_attribute(self, inode: int, name: str, value: bytes | None) -> None:
        node = self._file(inode)
        change = change_attribute(name, value)
        await self._tree.fetch_attributes(node, exact=True)
        require_room(node, change)
        self._files.set_metadata(node, change)
