# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the tree tells the kernel, whose own caches would else show what is no longer so."""

from collections.abc import Iterable
from typing import Protocol


class Kernel(Protocol):
    """The kernel's caches of one mount. Inodes and names that it does not know are no error."""

    def attributes_changed(self, inode: int) -> None:
        """What stat() says of an inode is to be asked again."""

    def entry_changed(self, parent: int, name: str) -> None:
        """Whether `parent` has `name`, and what it is, is to be asked again soon."""

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """The same for many entries; returns when the kernel believes none of them any more."""

    async def end(self) -> None:
        """From now on nothing is told; returns when the kernel has let go of what it was told.

        The session must not end before that. May be awaited again after a cancel.
        """


class NoKernel:
    """Nobody is told."""

    def attributes_changed(self, inode: int) -> None:
        """See Kernel."""

    def entry_changed(self, parent: int, name: str) -> None:
        """See Kernel."""

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """See Kernel."""

    async def end(self) -> None:
        """See Kernel."""
