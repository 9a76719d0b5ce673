# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a file are, and what may become of them."""

import logging
from dataclasses import dataclass
from enum import Enum

from kontenumfs.protocol.errors import KontenumError
from kontenumfs.tree.node import File

log = logging.getLogger(__name__)


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
    ORPHANED = "orphaned"  # the name was deleted: bytes go nowhere
    CLOSED = "closed"  # nobody has it open, and its bytes are forgotten here


_NEXT = {
    State.FRESH: {State.BUFFERED, State.STORED},
    State.BUFFERED: {State.LIVE, State.STAGED, State.STORED},
    State.LIVE: {State.STAGED, State.STORED, State.BUFFERED},
    State.STAGED: {State.LIVE, State.STORED, State.BUFFERED},
    State.STORED: {State.BUFFERED},
    State.FAILED: set[State](),
    State.ORPHANED: set[State](),
    State.CLOSED: set[State](),
}
ENDED = frozenset({State.FAILED, State.ORPHANED, State.CLOSED})
"""What every state may become."""


class Progress:
    """The state of one file, its failure, and whose bytes in it are unsaved."""

    def __init__(self, node: File) -> None:
        self._node = node
        self.state = State.FRESH
        self.error: KontenumError | None = None
        self.waiting_since: float | None = None
        """When the oldest byte that was not sent was written, on the mount's clock."""
        self._unsaved: set[Unsaved] = set()

    def check(self) -> None:
        """Raise what an upload has failed with."""
        if self.error is not None:
            raise self.error.with_traceback(None)

    def enter(self, state: State) -> None:
        """Go on to `state`, which must be one that can follow."""
        if state is self.state:
            return
        assert state in ENDED or state in _NEXT[self.state], f"{self.state} cannot become {state}"
        if log.isEnabledFor(logging.DEBUG):  # a key takes its time
            log.debug("key=%r %s -> %s", self._node.key, self.state.value, state.value)
        self.state = state

    def changed(self, by: Unsaved | None, now: float) -> bool:
        """Note a write of `by`; returns whether it is the first one that waits to be sent."""
        self.unsaved_by(by)
        if by is not None:
            by.dirty = True
        if self.state not in (State.LIVE, State.STAGED):
            self.enter(State.BUFFERED)
        is_first = self.waiting_since is None
        if is_first:
            self.waiting_since = now
        return is_first

    def stored(self) -> None:
        """Note that the store has everything."""
        self.enter(State.STORED)
        self.waiting_since = None
        for unsaved in self._unsaved:
            unsaved.dirty = False
        self._unsaved.clear()

    def unsaved_by(self, by: Unsaved | None) -> None:
        """Note who has something here that the store has not: he is told when that fails."""
        if by is not None:
            self._unsaved.add(by)

    def failed(self, error: KontenumError) -> None:
        """Note that what is unsaved never will be stored, and why."""
        self.error = error
        self.enter(State.FAILED)
        for unsaved in self._unsaved:
            unsaved.error = error
        self._unsaved.clear()

    @property
    def is_unsaved(self) -> bool:
        """Whether anybody has written what is not stored."""
        return bool(self._unsaved)

    def is_only_of(self, unsaved: Unsaved) -> bool:
        """Tell whether nobody else has written what is unsaved."""
        return self._unsaved == {unsaved}
