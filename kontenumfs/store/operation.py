# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""One operation, one deadline: however many requests it takes, and as long as bytes do not move.

A program that closes a file waits for one thing, which may be a plan of a thousand requests. All
of them share the seconds of `deadline`. What is large may take longer, as long as it gets on: the
time counts from the last MiB that the store took of it, or copied. An answer alone is no progress.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

import trio

STRIDE = 1 << 20
"""Bytes that count as progress."""


class Operation:
    """What somebody waits for: it has begun, and was last seen getting on."""

    def __init__(self) -> None:
        self._since = trio.current_time()
        self._limits: dict[trio.CancelScope, float] = {}
        self._seconds = inf

    @property
    def left(self) -> float:
        """Seconds until a request of it would be out of time; inf before the first one."""
        return max(0.0, self._since + self._seconds - trio.current_time())

    @property
    def waited(self) -> float:
        """Seconds without progress so far."""
        return trio.current_time() - self._since

    def progress(self) -> None:
        """A good piece of it is done: the time counts from here."""
        self._since = trio.current_time()
        for scope, seconds in self._limits.items():
            scope.deadline = max(scope.deadline, self._since + seconds)

    def until(self, seconds: float) -> float:
        """When it has gone on for `seconds` without progress, on trio's clock."""
        return self._since + seconds

    @contextmanager
    def limited(self, seconds: float) -> Iterator[trio.CancelScope]:
        """Cancel the block when the operation has gone on for `seconds` without progress."""
        with trio.CancelScope(deadline=self.until(seconds)) as scope:
            self._limits[scope] = self._seconds = seconds
            try:
                yield scope
            finally:
                del self._limits[scope]


class Transfer:
    """One request with its repetitions: bytes that are sent a second time are no progress."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._furthest = 0

    def sent(self, count: int) -> None:
        """So many bytes of the body have gone out."""
        if count - self._furthest >= STRIDE:
            self._furthest = count
            self._operation.progress()
            _last_sent.set(trio.current_time())


_last_sent: trio.lowlevel.RunVar[float] = trio.lowlevel.RunVar("last_sent", -inf)
_operation: ContextVar[Operation | None] = ContextVar("operation", default=None)
_transfer: ContextVar[Transfer | None] = ContextVar("transfer", default=None)


@contextmanager
def operation() -> Iterator[Operation]:
    """Whatever is asked of the store in the block is one operation; a new one, always.

    Tasks inherit the operation of who starts them: what goes on in the background begins its own.
    """
    new = Operation()
    token = _operation.set(new)
    try:
        yield new
    finally:
        _operation.reset(token)


@contextmanager
def joined() -> Iterator[Operation]:
    """The same, as a part of the operation that is under way, if there is one."""
    current = _operation.get()
    if current is not None:
        yield current
        return
    with operation() as new:
        yield new


@contextmanager
def transfer(current: Operation) -> Iterator[None]:
    """The block sends one request of an operation, as often as it takes."""
    token = _transfer.set(Transfer(current))
    try:
        yield
    finally:
        _transfer.reset(token)


@contextmanager
def cleaning_up(seconds: float) -> Iterator[trio.CancelScope]:
    """The block drops what was begun, in `seconds` of its own, whatever has ended before."""
    with trio.move_on_after(seconds, shield=True) as scope, operation():
        yield scope


def sent(count: int) -> None:
    """So many bytes of the body of the request that is under way have gone out."""
    current = _transfer.get()
    if current is not None:
        current.sent(count)


def last_sent() -> float:
    """When a MiB of any operation's body has gone out for the first time, on trio's clock."""
    return _last_sent.get()


def copied(count: int) -> None:
    """The store has copied so many bytes for the operation that is under way."""
    if count >= STRIDE:
        progress()


def time_left(longest: float) -> float:
    """Seconds that the operation under way has for more requests, `longest` at most."""
    current = _operation.get()
    return longest if current is None else min(longest, current.left)


def waited() -> float | None:
    """Seconds without progress of the operation under way, if there is one."""
    current = _operation.get()
    return None if current is None else current.waited


def progress() -> None:
    """The operation that is under way gets on: a page of names, one of many objects moved."""
    current = _operation.get()
    if current is not None:
        current.progress()
