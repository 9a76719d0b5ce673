# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the kernel is told of names, and for how long it may believe it; pyfuse3's readdir."""

import itertools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyfuse3
import trio

from kontenumfs.fuse.errors import translated
from kontenumfs.fuse.kernel import BELIEF_SECONDS
from kontenumfs.fuse.xattrs import ExtendedAttributes
from kontenumfs.protocol.errors import FileMissing
from kontenumfs.tree.attributes import Defaults, stat_of
from kontenumfs.tree.listing import Listing
from kontenumfs.tree.node import Directory, File, Node
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.files import OpenFiles

BLOCK_SIZE = 512
"""What st_blocks counts in (POSIX)."""
PREFERRED_IO = 1024 * 1024
"""st_blksize: what programs should write at once; the kernel's largest FUSE write."""
DIRECTORY_TIMEOUT = 1.0
"""Seconds that the kernel may believe that a directory is there: it cannot be made to forget one,
for a process may be in it."""
DESCRIBE_AHEAD = 64
"""Entries of a directory that are told at once, where each has to be asked for."""
LONGEST_LINK = 4096
"""PATH_MAX: no larger object is a symbolic link."""


@dataclass(eq=False, slots=True)
class OpenDirectory:
    """One opendir(): its entries, from memory or as the pages of a listing come."""

    node: Directory
    entries: Sequence[Node] = ()
    listing: Listing | None = None

    @property
    def dots(self) -> tuple[tuple[bytes, Node], tuple[bytes, Node]]:
        """What every directory begins with."""
        return (b".", self.node), (b"..", self.node.parent or self.node)

    async def rewind(self, tree: Tree) -> None:
        """Begin anew."""
        self.listing = await tree.open_listing(self.node)
        if self.listing is None:
            self.entries = await tree.children(self.node)
        else:
            self.entries = self.listing.entries

    async def has(self, number: int) -> bool:
        """Whether there is an entry of this number, once that is known."""
        if self.listing is not None:
            return await self.listing.read_beyond(number)
        return number < len(self.entries)


class Entries(ExtendedAttributes):
    """The part of a mount's operations that tells what is there.

    Args:
        defaults: what objects without metadata look like.
    """

    def __init__(self, tree: Tree, files: OpenFiles, defaults: Defaults) -> None:
        super().__init__(tree, files)
        self._defaults = defaults
        self._numbers = itertools.count(1)
        self._directories: dict[int, OpenDirectory] = {}

    def _entry(self, node: Node) -> pyfuse3.EntryAttributes:
        shown = stat_of(node, self._defaults)
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = self.inodes.number(node)
        kind = stat.S_IFDIR if shown.is_directory else stat.S_IFREG
        if shown.target is not None:
            kind = stat.S_IFLNK
        entry.st_mode = kind | shown.mode
        entry.st_nlink = 0 if node.removed else 1
        entry.st_uid, entry.st_gid = shown.uid, shown.gid
        entry.st_size = shown.size
        entry.st_blksize = PREFERRED_IO
        # With no blocks, cp takes a file for a hole and reads it instead of asking for a copy.
        entry.st_blocks = -(-shown.size // BLOCK_SIZE)
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = shown.mtime_ns
        entry.generation = self.inodes.generation(node)
        # What nobody has asked for yet is asked for when somebody wants it.
        fresh = DIRECTORY_TIMEOUT if shown.is_directory else self._tree.freshness(node.checked)
        entry.entry_timeout = min(fresh, BELIEF_SECONDS)
        entry.attr_timeout = fresh if self._tree.attributes_known(node) else 0.0
        if isinstance(node, File) and node.local is not None:
            entry.attr_timeout = 0.0
            # A name that was made and not written to may vanish: its maker could not read a source.
            may_stay = bool(shown.size or node.has_object)
            entry.entry_timeout = BELIEF_SECONDS if may_stay else 0.0
        return entry

    def _absent(self) -> pyfuse3.EntryAttributes:
        """There is no such name: the kernel remembers none, for it cannot be told of a new one."""
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = 0
        entry.entry_timeout = 0.0
        return entry

    def _may_be_link(self, node: Node) -> bool:
        """Whether only its attributes tell if it is a symbolic link, which stat must know first."""
        if not self._defaults.symlinks or not isinstance(node, File):
            return False
        info = node.info
        return info is not None and info.size <= LONGEST_LINK

    async def opendir(self, inode: int, ctx: Any) -> int:
        async with translated("opendir"):
            number = next(self._numbers)
            self._directories[number] = OpenDirectory(self.inodes.directory(inode))
            return number

    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        async with translated("readdir"):
            opened = self._directories[fh]
            if start_id == 0:
                await opened.rewind(self._tree)
            at = start_id
            for number, (name, node) in enumerate(opened.dots, 1):
                if at < number:
                    # The kernel keeps no count of these two, so neither is it counted here.
                    if not pyfuse3.readdir_reply(token, name, self._entry(node), number):
                        return
                    at = number
            at -= len(opened.dots)
            told = False
            # What has come is told at once; for the next page the kernel asks again.
            while at < len(opened.entries) or (not told and await opened.has(at)):
                batch = opened.entries[at : at + DESCRIBE_AHEAD]
                await self._describe_links(batch)
                for node in map(self._tree.current, batch):
                    at += 1
                    if node.removed:
                        continue
                    name, following = os.fsencode(node.name), at + len(opened.dots)
                    if not pyfuse3.readdir_reply(token, name, self._entry(node), following):
                        return
                    self.inodes.remember(node)
                    told = True

    async def _describe_links(self, nodes: Sequence[Node]) -> None:
        """Ask for the attributes of what may be a link, side by side; who has gone is skipped."""

        async def describe(node: Node) -> None:
            try:
                await self._tree.fetch_attributes(node)
            except FileMissing:
                pass
            except BaseException as error:
                failures.append(error)

        failures: list[BaseException] = []
        async with trio.open_nursery() as nursery:
            for node in filter(self._may_be_link, nodes):
                nursery.start_soon(describe, node)
        if failures:
            raise failures[0]

    async def releasedir(self, fh: int) -> None:
        del self._directories[fh]

    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Names are in the store as soon as they are seen, or in the spool (fsync=)."""
        async with translated("fsyncdir"):
            await self._files.fsync(self._directories[fh].node)
