# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Which file writes which name, and the one object that all who refer to it share."""

from collections.abc import Collection

from kontenumfs.store.api import ObjectInfo
from kontenumfs.store.beliefs import UNKNOWN, believed
from kontenumfs.tree.node import Directory, File
from kontenumfs.writing.extents import RemoteObject, whole
from kontenumfs.writing.file import WritableFile
from kontenumfs.writing.remotes import Remotes


class FileTable:
    """The files of a mount that are open for writing, one a node, and their objects."""

    def __init__(self) -> None:
        self._files: dict[File, WritableFile] = {}
        self._remotes = Remotes()

    @property
    def pending(self) -> int:
        """Bytes that the store has not taken yet, over all files."""
        return sum(file.write_back.pending for file in self._files.values())

    @property
    def count(self) -> int:
        """Files that are open for writing."""
        return len(self._files)

    @property
    def writers(self) -> Collection[WritableFile]:
        """All of them."""
        return self._files.values()

    def writer(self, node: File) -> WritableFile | None:
        """Return the file that writes `node` now, or None."""
        return self._files.get(node)

    def add(self, file: WritableFile) -> None:
        """Have `file` write its node from now on."""
        self._files[file.node] = file

    def remove(self, file: WritableFile) -> bool:
        """Have nobody write the node of `file`; returns False where another file does already."""
        if self._files.get(file.node) is not file:
            return False
        del self._files[file.node]
        if file.content.current is not None and file.error is None:
            self._remotes.add(file.content.current)
        return True

    def below(self, directory: Directory) -> list[WritableFile]:
        """Return the open files in `directory`, at any depth."""
        found = []
        for node, file in self._files.items():
            at = node.parent
            while at is not None and at is not directory:
                at = at.parent
            if at is directory and not node.removed:
                found.append(file)
        return found

    # Objects that files refer to

    def remote(self, node: File) -> RemoteObject | None:
        """Return the stored object of `node`: one and the same for all who refer to it."""
        file = self._files.get(node)
        if file is not None:
            return file.content.current
        info = node.info
        return None if info is None else self._remotes.of(info)

    def renamed(self, node: File, was: ObjectInfo, now: ObjectInfo) -> None:
        """Note that the object of `node` was copied to another key: what `was` is `now`."""
        file = self._files.get(node)
        content = file.content if file else None
        as_it_is = content is not None and content.stored
        is_known = self._remotes.renamed(content.current if content else None, was, now)
        if content is None:
            return
        if not is_known and as_it_is:
            # Others had changed it, and nothing was written here: the file is what there is.
            content.current = self._remotes.of(now)
            content.rope = whole(content.current)
        if is_known or as_it_is or content.expected is UNKNOWN:
            content.expected = believed(now.etag, now.size)
        # Else it was emptied here, and what others have added since must not go with that: it is
        # still expected as it was, and the store will refuse to replace what it has become.
