# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What an object is stored with: its name's Content-Type, its file's metadata, its own headers."""

from collections.abc import Iterator
from contextlib import contextmanager

from kontenumfs.protocol.content_type import guess_content_type
from kontenumfs.protocol.metadata import NANOSECONDS, OWN_NAMES, FileMetadata, encode
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.tree.attributes import metadata_of
from kontenumfs.tree.node import File
from kontenumfs.tree.tree import Tree

DIRECTORY_TYPE = "application/x-directory"
"""The Content-Type of a marker object, as s3fs and the AWS console write it."""


class NodeIdentity:
    """A node's key and attributes, asked anew for each request, for names can change."""

    def __init__(self, tree: Tree, node: File) -> None:
        self._tree = tree
        self._node = node
        self._becoming: tuple[str, str] | None = None

    @contextmanager
    def becoming(self, key: str, name: str) -> Iterator[None]:
        """Within the block, what is stored is stored under the name that a rename will give."""
        self._becoming = key, name
        try:
            yield
        finally:
            self._becoming = None

    def key(self) -> str:
        """The object key."""
        return self._becoming[0] if self._becoming else self._tree.key(self._node)

    def attributes(self, metadata: FileMetadata, size: int) -> Attributes:
        """What an object of `size` bytes is stored with."""
        node = self._node
        known = node.info.attributes if node.info else None
        name = self._becoming[1] if self._becoming else node.name
        return compose_attributes(name, known, metadata.over(metadata_of(node)), size)

    def stored(self, info: ObjectInfo) -> None:
        """The store has taken the content as `info` says."""
        if not self._node.removed:
            self._tree.stored(self._node, info)


def compose_attributes(
    name: str, known: Attributes | None, metadata: FileMetadata, size: int
) -> Attributes:
    """The attributes of an object called `name`.

    Args:
        known: what it has now: its headers and the user's own metadata are kept.
        metadata: mode, owner and time to store with it.
        size: bytes of the object.
    """
    kept = known or Attributes()
    users = {key: value for key, value in kept.metadata.items() if key not in OWN_NAMES}
    headers = {"content-type": guess_content_type(name), **kept.headers}
    return Attributes(metadata={**users, **encode(metadata, size=size)}, headers=headers)


def copied_attributes(node: File, info: ObjectInfo, new_name: str | None = None) -> Attributes:
    """What a copy of the stored object `info` must carry so that the file stays what it is.

    A Content-Type that was guessed from the old name is guessed anew from `new_name`, and a time
    that only LastModified told is written down, for the copy gets a LastModified of its own.
    """
    known = info.attributes or Attributes()
    if new_name is not None:
        guessed = known.headers.get("content-type", "") in ("", guess_content_type(node.name))
        if guessed:
            headers = {**known.headers, "content-type": guess_content_type(new_name)}
            known = Attributes(metadata=known.metadata, headers=headers)
    shown = FileMetadata(mtime_ns=round(info.last_modified * NANOSECONDS))
    metadata = metadata_of(node).over(shown)
    return compose_attributes(new_name or node.name, known, metadata, info.size)


def marker_attributes(metadata: FileMetadata) -> Attributes:
    """The attributes of a directory's marker object."""
    return Attributes(
        metadata=encode(metadata, size=0, directory=True), headers={"content-type": DIRECTORY_TYPE}
    )
