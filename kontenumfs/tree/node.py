# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One name of the tree: a file or a directory, with an inode number for life."""

from typing import Protocol

from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import ObjectInfo


class LocalContent(Protocol):
    """What a file that is being written knows better than the store."""

    @property
    def size(self) -> int:
        """Bytes, those not sent yet included."""

    @property
    def metadata(self) -> FileMetadata:
        """Mode, owner and times that the next request will carry."""


class Node:
    """A name; its meaning is in the subclass.

    Args:
        inode: the number that the kernel knows it by; never reused within a mount.
        parent: the directory that holds it, or None for the root.
        name: one path component.
    """

    __slots__ = ("checked", "inode", "lookups", "name", "parent", "removed")

    def __init__(self, inode: int, parent: "Directory | None", name: str) -> None:
        self.inode = inode
        self.parent = parent
        self.name = name
        self.lookups = 0
        """How often the kernel was told of this inode, less what it forgot."""
        self.checked = float("-inf")
        """When the store last confirmed that the name exists, on the tree's clock."""
        self.removed = False


class File(Node):
    """An object, or one that is about to be."""

    __slots__ = ("info", "local", "pending")

    def __init__(self, inode: int, parent: "Directory", name: str) -> None:
        super().__init__(inode, parent, name)
        self.info: ObjectInfo | None = None
        """The object as last seen; None while it exists only here."""
        self.local: LocalContent | None = None
        """Set while the file is open for writing."""
        self.pending: FileMetadata | None = None
        """Metadata that was set and waits for a request to carry it."""


class Directory(Node):
    """A prefix that ends with a slash, with or without a marker object."""

    __slots__ = (
        "asked",
        "children",
        "hidden",
        "info",
        "large",
        "listed",
        "marker_checked",
        "missing",
        "own",
        "pending",
    )

    def __init__(self, inode: int, parent: "Directory | None", name: str) -> None:
        super().__init__(inode, parent, name)
        self.children: dict[str, Node] = {}
        self.missing: dict[str, float] = {}
        """Names known to be absent, and since when."""
        self.listed = float("-inf")
        """When the last complete listing began."""
        self.asked = 0
        """Names that the store was asked for one by one since then."""
        self.large = False
        """Whether a listing is more than one page: then names are asked for one by one."""
        self.hidden = 0
        """How many keys that listing could not show."""
        self.own = False
        """Made or emptied by this mount: exists until rmdir, whatever listings say."""
        self.info: ObjectInfo | None = None
        """The marker object, where there is one."""
        self.marker_checked = float("-inf")
        self.pending: FileMetadata | None = None
