# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Notifications of the kernel, whose own caches would else show what is no longer so."""

from collections.abc import Iterable
from typing import Protocol


class Kernel(Protocol):
    """The kernel's caches of one mount. Inodes and names that it does not know are no error."""

    def attributes_changed(self, inode: int) -> None:
        """Have the attributes of an inode asked for again."""

    def entry_changed(self, parent: int, name: str) -> None:
        """Have `name` in `parent` looked up again soon."""

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """Have many names looked up again; return when the kernel believes none any more."""

    async def end(self) -> None:
        """Tell nothing from now on; return when the kernel has let go of what it was told.

        The session must not end before that. May be awaited again after a cancel.
        """


class NoKernel:
    """A kernel that needs no notification: there is no mount."""

    def attributes_changed(self, inode: int) -> None:
        """See Kernel."""

    def entry_changed(self, parent: int, name: str) -> None:
        """See Kernel."""

    async def entries_changed(self, entries: Iterable[tuple[int, str]]) -> None:
        """See Kernel."""

    async def end(self) -> None:
        """See Kernel."""
