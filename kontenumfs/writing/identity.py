# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What an object is stored with: its name's Content-Type, its file's metadata, its own headers."""

from collections.abc import Callable, Mapping

from kontenumfs.protocol.content_type import guess_content_type
from kontenumfs.protocol.dialect import SYSTEM_HEADERS
from kontenumfs.protocol.errors import NameTooLong
from kontenumfs.protocol.metadata import NANOSECONDS, OWN_NAMES, FileMetadata, encode, fitting
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.tree.attributes import metadata_of
from kontenumfs.tree.node import File

DIRECTORY_TYPE = "application/x-directory"
"""The Content-Type of a marker object, as s3fs and the AWS console write it."""

UNTYPED = frozenset({"", "binary/octet-stream", "application/octet-stream"})
"""What says nothing of an object; the second is S3's default."""

HeaderRules = Callable[[str], Mapping[str, str]]
"""The headers that the configuration gives to a path, which is a key without the prefix."""


class Composer:
    """Makes the attributes of objects, from their names and what is known of them.

    Args:
        prefix: of the mount; rules match what follows it.
        rules: the configuration's headers by path.
    """

    def __init__(self, prefix: str = "", rules: HeaderRules = lambda path: {}) -> None:
        self._prefix = prefix
        self._rules = rules

    def named(self, key: str) -> dict[str, str]:
        """Return the headers that a key suggests: its Content-Type, and the configuration's."""
        path = key.removeprefix(self._prefix)
        return {"content-type": guess_content_type(path), **self._rules(path)}

    def written(
        self, key: str, known: Attributes | None, metadata: FileMetadata, size: int
    ) -> Attributes:
        """Return the attributes of new content of `size` bytes under `key`.

        Args:
            known: what the object has now: the user's own metadata is kept, and its headers where
                the key suggests no others.
            metadata: mode, owner and time to store with it, and changes of the above.
        """
        kept = known or Attributes()
        path = key.removeprefix(self._prefix)
        named = self.named(key)
        own_type = kept.headers.get("content-type", "")
        if own_type not in UNTYPED and "content-type" not in self._rules(path):
            named["content-type"] = own_type
        return _composed({**kept.headers, **named}, self.named(key), kept, metadata, size)

    def copied(self, node: File, info: ObjectInfo, new_key: str | None = None) -> Attributes:
        """Return what a copy of `info` must carry so that the file stays what it is.

        What the old key suggested gives way to what the new key suggests, and a time that only
        LastModified told is written down, for the copy gets a LastModified of its own.
        """
        known = info.attributes or Attributes()
        old, new = self.named(info.key), self.named(new_key or info.key)
        own = {name: value for name, value in known.headers.items() if old.get(name) != value}
        shown = FileMetadata(mtime_ns=round(info.last_modified * NANOSECONDS))
        metadata = metadata_of(node).over(shown)
        return _composed({**new, **own}, new, known, metadata, info.size)

    def renewed(self, info: ObjectInfo) -> Attributes:
        """Return what a stored object must carry so that a copy onto itself leaves it as it is.

        HEAD does not show all of it: what a rule says of access is said again.
        """
        known = info.attributes or Attributes()
        ruled = self._rules(info.key.removeprefix(self._prefix))
        unseen = {name: value for name, value in ruled.items() if name not in SYSTEM_HEADERS}
        return Attributes(known.metadata, {**known.headers, **unseen})


def _composed(
    headers: Mapping[str, str],
    named: Mapping[str, str],
    known: Attributes,
    metadata: FileMetadata,
    size: int,
) -> Attributes:
    """Put in place what was set; what was removed is what the name suggests again."""
    chosen = {**headers, **metadata.headers}
    users = {name: value for name, value in known.metadata.items() if name not in OWN_NAMES}
    changed = {k: v for k, v in {**users, **metadata.user}.items() if v is not None}
    carried = fitting(changed, encode(metadata, size=size))
    if metadata.target is not None and "symlink-target" not in carried:
        raise NameTooLong(f"no object can carry {metadata.target[:80]!r}...")
    return Attributes(
        metadata=carried,
        headers={
            name: value
            for name, given in chosen.items()
            if (value := named.get(name) if given is None else given) is not None
        },
    )


def marker_attributes(metadata: FileMetadata) -> Attributes:
    """Return the attributes of a directory's marker object."""
    return Attributes(
        metadata=encode(metadata, size=0, directory=True), headers={"content-type": DIRECTORY_TYPE}
    )
