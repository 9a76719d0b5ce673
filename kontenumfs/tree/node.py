# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One name of the tree: a file or a directory. There can be a million, so each is kept small.

Nodes are read everywhere. They are written by the cache (`cache`, `observations`, `changes`,
`refresh` and `eviction`), their inode numbers and lookup counts by `inodes`, and by nobody else:
outside this package a caller tells the Tree, or calls one of the methods below.
"""

from typing import Protocol

from kontenumfs.protocol.errors import NameTooLong, StaleInode
from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.protocol.names import MAX_KEY_BYTES
from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.objects import same_object, with_known_attributes
from kontenumfs.tree.packed import is_young, pack_attributes, pack_facts, unpack_facts

NEVER = float("-inf")
FOREVER = float("inf")


class LocalContent(Protocol):
    """Content that is being written, and known better here than by the store."""

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
        "pending",
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
        self.pending: FileMetadata | None = None
        """Metadata that was set and waits for a request to carry it."""
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

    def require_linked(self) -> None:
        """Raise StaleInode if this node has no name any more: what has it now is another file."""
        at: Node | None = self
        while at is not None:
            if at.removed:
                raise StaleInode(f"{self.key!r} was deleted")
            at = at.parent

    def set_pending(self, metadata: FileMetadata | None) -> None:
        """Show `metadata` over what the store keeps, until it is sent; None when it was."""
        self.pending = metadata

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
        """Record all that HEAD tells; of a `young` object no listing proves it later on."""
        self.info = info
        if young:
            self._facts = pack_facts(info, young=True)

    def confirm(self, info: ObjectInfo) -> bool:
        """Record what a listing says of the object; return True if something changed.

        The attributes that are known stay where it is still the same object.
        """
        known = self.info
        info = with_known_attributes(info, None if self.is_young else known)
        self.info = info
        return known is None or not same_object(info, known) or info.attributes != known.attributes

    @property
    def is_young(self) -> bool:
        """True if the attributes were learnt too early to be proved by a listing."""
        return self._facts is not None and is_young(self._facts)

    @property
    def has_object(self) -> bool:
        """True if there is an object (of a directory: a marker)."""
        return self._facts is not None

    @property
    def is_described(self) -> bool:
        """True if there is an object, and its attributes are known."""
        return self._attributes is not None


class File(Node):
    """An object, or one that is about to be."""

    __slots__ = ("local",)

    def __init__(self, parent: "Directory", name: str) -> None:
        super().__init__(parent, name)
        self.local: LocalContent | None = None
        """Set while the file is open for writing."""

    def attach(self, local: LocalContent) -> None:
        """Show `local` for what the file is, until `detach`: it is open for writing."""
        self.local = local

    def detach(self) -> None:
        """Show what the store has: the file is not written any more."""
        self.local = None


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
        """How often names were evicted or expired: a listing under way is not whole then."""
        self.hidden = 0
        """How many keys that listing could not show."""
        self.own_since = NEVER
        """Since when this mount alone knows of it: emptied here, or made where the store keeps no
        markers. It stays until rmdir, or until the store shows it later than that."""
        self.legacy = False
        """Whether an object `NAME_$folder$` stands for it, as old Hadoop tools write."""
        self.marker_checked = NEVER

    @property
    def key(self) -> str:
        """The prefix that all keys in it start with: empty, or ends with a slash."""
        return super().key + "/" if self.parent is not None else self.name

    def child_key(self, name: str, *, directory: bool = False) -> str:
        """Return the key that `name` has here; raise NameTooLong past S3's 1,024 bytes."""
        key = self.key + name + ("/" if directory else "")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise NameTooLong(f"the key would be longer than {MAX_KEY_BYTES} bytes: {key[:80]}...")
        return key

    def absent_since(self, name: str) -> float:
        """Return when the store last said that there is no `name`; NEVER where it did not."""
        return max(self.missing.get(name, NEVER), self.listed)

    @property
    def own(self) -> bool:
        """True if only this mount knows of it, so that no listing can show it."""
        return self.own_since != NEVER

    @property
    def has_local_children(self) -> bool:
        """True if something is in it, at any depth, that no listing can show.

        Who deletes a directory because the store shows nothing in it asks this, too.
        """
        return any(is_local(child) for child in self.children.values())


def is_local(node: Node) -> bool:
    """Return True if the name exists because of this mount, whatever the store lists.

    That is a file which is open for writing, a directory that only this mount knows of, and one
    with any of these in it, at any depth.
    """
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, File):
            if at.local is not None:
                return True
        elif isinstance(at, Directory):
            if at.own:
                return True
            waiting += at.children.values()
    return False


def exists_since(node: Node, when: float) -> bool:
    """Return True if the name was confirmed at `when` or later, or exists because of this mount."""
    return node.checked >= when or is_local(node)
