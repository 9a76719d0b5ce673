# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The metadata of a file: set by programs, given by writing, and carried by which request."""

from dataclasses import dataclass, replace

from kontenumfs.protocol.metadata import FileMetadata
from kontenumfs.store.api import Attributes
from kontenumfs.tree.attributes import stored_metadata
from kontenumfs.tree.node import Directory, File
from kontenumfs.writing.identity import Composer


@dataclass(frozen=True, slots=True)
class Token:
    """Identifies what was set of a node at one moment; whatever is set later is another value.

    A request that carries metadata takes the token along, and what still waits afterwards is what
    the token does not cover.
    """

    metadata: FileMetadata | None

    def covers(self, metadata: FileMetadata | None) -> bool:
        """Tell whether `metadata` is what was set then, and nothing was set since."""
        return metadata is self.metadata

    @classmethod
    def of(cls, node: File | Directory) -> "Token":
        """Identify what waits to be sent of a node that nobody writes."""
        return cls(node.pending)


@dataclass(frozen=True, slots=True)
class Carried:
    """What one request has stored beside the bytes, and the metadata that was thereby sent."""

    attributes: Attributes
    token: Token


@dataclass(frozen=True, slots=True)
class Draft:
    """What the next object of a file is called and carries, as it is known now.

    Args:
        key: the object key.
        known: the attributes that the object has, or None.
        metadata: mode, owner and time to store.
        token: of that metadata.
        composer: makes attributes of them.
    """

    key: str
    known: Attributes | None
    metadata: FileMetadata
    token: Token
    composer: Composer

    def carry(self, size: int) -> Carried:
        """Compose what an object of `size` bytes is stored with: once, to be sent and recorded."""
        written = self.composer.written(self.key, self.known, self.metadata, size)
        return Carried(written, self.token)


class OpenMetadata:
    """The metadata of one file that is open for writing.

    Args:
        explicit: what a program has set.
        unsent: whether some of that was set before, and no request has carried it.
    """

    def __init__(self, explicit: FileMetadata, *, unsent: bool) -> None:
        self.explicit = explicit
        self.unsent = unsent
        """Whether metadata was set since a request carried it."""
        self._written_ns: int | None = None

    @property
    def current(self) -> FileMetadata:
        """Mode, owner and time that the next request carries."""
        if self._written_ns is None:
            return self.explicit
        return self.explicit.over(FileMetadata(mtime_ns=self._written_ns))

    @property
    def token(self) -> Token:
        """Identifies what was set so far."""
        return Token(self.explicit)

    def set(self, metadata: FileMetadata) -> None:
        """Change some of it; carried by the next request that is due anyway."""
        self.explicit = metadata.over(self.explicit)
        self.unsent = True

    def written(self, wall_ns: int) -> None:
        """Take the time of a write, in nanoseconds since the epoch, over one that was set."""
        self._written_ns = wall_ns
        if self.explicit.mtime_ns is not None:
            self.explicit = replace(self.explicit, mtime_ns=None)

    def carried(self, token: Token) -> None:
        """Note that a request has carried what `token` identifies; the rest still waits."""
        if token.covers(self.explicit):
            self.unsent = False

    def draft(self, node: File, key: str, composer: Composer) -> Draft:
        """Describe the next object of `node`, to be stored under `key`."""
        info = node.info
        if info is None:
            return Draft(key, None, self.current, self.token, composer)
        metadata = self.current.over(stored_metadata(info))
        return Draft(key, info.attributes, metadata, self.token, composer)
