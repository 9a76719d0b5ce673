# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads that were begun here: what they will be when somebody completes them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache

from kontenumfs.protocol.dialect import MIN_PART
from kontenumfs.protocol.errors import InvalidRequest
from kontenumfs.store.api import Attributes, Part

REMEMBERED = 10_000


@dataclass(slots=True)
class Begun:
    """One upload.

    Args:
        parts: of each number: the part and its length.
    """

    key: str
    attributes: Attributes
    parts: dict[int, tuple[Part, int]] = field(default_factory=dict)


class Uploads:
    """The uploads of one mount."""

    def __init__(self) -> None:
        self._begun: LRUCache[str, Begun] = LRUCache(REMEMBERED)

    def begun(self, upload_id: str, key: str, attributes: Attributes) -> None:
        """An upload was created."""
        self._begun[upload_id] = Begun(key, attributes)

    def sent(self, upload_id: str, part: Part, length: int) -> None:
        """A part of it is stored."""
        if upload_id in self._begun:
            self._begun[upload_id].parts[part.number] = (part, length)

    def ended(self, upload_id: str) -> None:
        """It was completed or aborted."""
        self._begun.pop(upload_id, None)

    def completed(
        self, key: str, upload_id: str, parts: Sequence[Part]
    ) -> tuple[int, Attributes] | None:
        """The size and the attributes of what it makes; None for one that is not known here.

        Raises InvalidRequest for what the store would not complete.
        """
        begun = self._begun.get(upload_id)
        if begun is None or begun.key != key:
            return None
        numbers = [part.number for part in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise _refusal(key, "InvalidPartOrder")
        lengths = []
        for part in parts:
            known, length = begun.parts.get(part.number, (None, 0))
            if known != part:
                raise _refusal(key, "InvalidPart")
            lengths.append(length)
        if any(length < MIN_PART for length in lengths[:-1]):
            raise _refusal(key, "EntityTooSmall")
        return sum(lengths), begun.attributes


def _refusal(key: str, code: str) -> InvalidRequest:
    return InvalidRequest(code=code, status=400, operation="CompleteMultipartUpload", resource=key)
