# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a file are, and what may become of them."""

from dataclasses import dataclass
from enum import Enum

from kontenumfs.protocol.errors import KontenumError


@dataclass(eq=False, slots=True)
class Unsaved:
    """What one open file description has written and the store has not.

    Args:
        dirty: whether there is anything.
        error: why it will never be stored.
    """

    dirty: bool = False
    error: KontenumError | None = None


class State(Enum):
    """Where the bytes of a file are."""

    FRESH = "fresh"  # as it was opened: nothing was written
    BUFFERED = "buffered"  # some bytes are here only
    LIVE = "live"  # the object grows by appends
    STAGED = "staged"  # an upload gathers the bytes, unseen
    STORED = "stored"  # the store has everything
    FAILED = "failed"  # an upload failed: who opens the name anew gets another file
    ABANDONED = "abandoned"  # the name was deleted: bytes go nowhere
    CLOSED = "closed"  # nobody has it open, and its bytes are forgotten here

    def may_become(self, state: "State") -> bool:
        """Whether `state` can follow."""
        return state in _ENDS or state in _NEXT[self]


_NEXT = {
    State.FRESH: {State.BUFFERED, State.STORED},
    State.BUFFERED: {State.LIVE, State.STAGED, State.STORED},
    State.LIVE: {State.STAGED, State.STORED, State.BUFFERED},
    State.STAGED: {State.LIVE, State.STORED, State.BUFFERED},
    State.STORED: {State.BUFFERED},
    State.FAILED: set[State](),
    State.ABANDONED: set[State](),
    State.CLOSED: set[State](),
}
_ENDS = frozenset({State.FAILED, State.ABANDONED, State.CLOSED})
"""What every state may become."""
