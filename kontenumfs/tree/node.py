# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One name of the tree: a file or a directory. There can be a million, so each is kept small."""

from typing import Protocol

from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.packed import is_young, pack_attributes, pack_facts, unpack_facts

NEVER = float("-inf")
FOREVER = float("inf")


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
        parent: the directory that holds it, or None for the root.
        name: one path component; of the root, what every key of the mount starts with.
    """

    __slots__ = (
        "_attributes",
        "_facts",
        "checked",
        "inode",
        "lookups",
        "name",
        "parent",
        "removed",
    )

    def __init__(self, parent: "Directory | None", name: str) -> None:
        self.inode = 0
        """The number that the kernel knows it by; 0 until it was told one (see InodeTable)."""
        self.parent = parent
        self.name = name
        self.lookups = 0
        """How often the kernel was told of this inode, less what it forgot."""
        self.checked = NEVER
        """When the store last confirmed that the name exists, on the tree's clock."""
        self.removed = False
        self._facts: bytes | None = None
        self._attributes: bytes | None = None

    @property
    def key(self) -> str:
        """The object key of a file, or the prefix (with its slash) of a directory."""
        parts: list[str] = []
        at: Node = self
        while at.parent is not None:
            parts.append(at.name)
            at = at.parent
        return at.name + "/".join(reversed(parts))

    @property
    def info(self) -> ObjectInfo | None:
        """The object (of a directory: its marker) as last seen; None where there is none."""
        if self._facts is None:
            return None
        return unpack_facts(self.key, self._facts, self._attributes)

    @info.setter
    def info(self, info: ObjectInfo | None) -> None:
        known = info.attributes if info is not None else None
        self._facts = pack_facts(info) if info is not None else None
        self._attributes = pack_attributes(known) if known is not None else None

    def learn(self, info: ObjectInfo, *, young: bool) -> None:
        """HEAD has told all of the object; when it was `young`, no listing proves it later on."""
        self.info = info
        if young:
            self._facts = pack_facts(info, young=True)

    @property
    def is_young(self) -> bool:
        """Whether the attributes were learnt too early to be proved by a listing."""
        return self._facts is not None and is_young(self._facts)

    @property
    def has_object(self) -> bool:
        """Whether there is an object (of a directory: a marker)."""
        return self._facts is not None

    @property
    def is_described(self) -> bool:
        """Whether there is an object, and its attributes are known."""
        return self._attributes is not None


class File(Node):
    """An object, or one that is about to be."""

    __slots__ = ("local", "pending")

    def __init__(self, parent: "Directory", name: str) -> None:
        super().__init__(parent, name)
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
        "large",
        "legacy",
        "listed",
        "losses",
        "marker_checked",
        "missing",
        "own_since",
        "pending",
    )

    def __init__(self, parent: "Directory | None", name: str) -> None:
        super().__init__(parent, name)
        self.children: dict[str, Node] = {}
        self.missing: dict[str, float] = {}
        """Names known to be absent, and since when."""
        self.listed = NEVER
        """When the last complete listing began."""
        self.asked = 0
        """Names that the store was asked for one by one since then."""
        self.large = False
        """Whether its listing is more than a page."""
        self.losses = 0
        """How often names were forgotten to make room: a listing under way is not whole then."""
        self.hidden = 0
        """How many keys that listing could not show."""
        self.own_since = NEVER
        """Since when this mount alone knows of it: emptied here, or made where the store keeps no
        markers. It stays until rmdir, or until the store shows it later than that."""
        self.legacy = False
        """Whether an object `NAME_$folder$` stands for it, as old Hadoop tools write."""
        self.marker_checked = NEVER
        self.pending: FileMetadata | None = None

    @property
    def key(self) -> str:
        """The prefix that all keys in it start with: empty, or ends with a slash."""
        return super().key + "/" if self.parent is not None else self.name

    @property
    def own(self) -> bool:
        """Whether only this mount knows of it, so that no listing can show it."""
        return self.own_since != NEVER
