# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What need not be sent any more, now that something newer is queued: a pure function.

Only what was not begun may go, what nobody was promised, and what no other entry reads. And an
entry goes only where no name that points to others, and no deletion, was acknowledged between it
and what replaces it: those wait for it, and must not be let go earlier than it would have been.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kontenumfs.store.beliefs import ABSENT, UNKNOWN
from kontenumfs.store.spool.entries import After, Entry, Kind, Link

LONGEST_JOINED = 8 << 20
"""Bytes of appends that are joined into one request."""
MOST_PIECES = 256
REPLACING = (Kind.PUT, Kind.COPY, Kind.COMPOSE, Kind.COMPLETE)
REPLACEABLE = (Kind.PUT, Kind.APPEND, Kind.COPY, Kind.COMPOSE)


@dataclass(frozen=True, slots=True)
class Change:
    """What one acknowledged request does to the queue.

    Args:
        added: what is to be queued; None where nothing has to be sent.
        dropped: numbers of entries that are not to be sent any more.
        changed: entries that take the place of those with their numbers.
    """

    added: Entry | None
    dropped: tuple[int, ...] = ()
    changed: tuple[Entry, ...] = ()


def collapse(
    entry: Entry,
    last: Entry | None,
    readers: Sequence[Entry],
    is_idle: Callable[[Entry], bool],
) -> Change:
    """What becomes of the queue with `entry`.

    Args:
        last: the last entry that changes the key, if one is queued.
        readers: the entries that read what `last` makes.
        is_idle: whether an entry may still be taken back: not begun, not promised, not parked, and
            nothing was acknowledged since that waits for it.
    """
    if last is None or not is_idle(last) or entry.key in _others(entry):
        return Change(entry)
    if entry.kind is Kind.DELETE:
        return _deleted(entry, last, readers, is_idle)
    if readers:
        return Change(entry)
    if entry.kind is Kind.APPEND:
        return _appended(entry, last)
    if entry.kind is Kind.COPY and entry.sources == (entry.key,):
        return _described(entry, last)
    if entry.kind in REPLACING and last.kind in REPLACEABLE:
        return Change(_instead(entry, last), (last.number,))
    return Change(entry)


def _others(entry: Entry) -> tuple[str, ...]:
    """What is read, but for a copy onto itself."""
    is_own = entry.kind is Kind.COPY and entry.sources == (entry.key,)
    return () if is_own else entry.sources


def _inherited(entry: Entry, last: Entry) -> Link:
    """What the key must have, where `last` is not sent."""
    return last.expected if entry.expected == After(last.number) else entry.expected


def _instead(entry: Entry, last: Entry) -> Entry:
    return replace(entry, expected=_inherited(entry, last))


def _deleted(
    entry: Entry, last: Entry, readers: Sequence[Entry], is_idle: Callable[[Entry], bool]
) -> Change:
    """What was made and is deleted again costs nothing; what was renamed is sent under its name."""
    if last.kind not in REPLACEABLE:
        return Change(entry)
    changed: tuple[Entry, ...] = ()
    if readers:
        (reader, *others) = readers
        is_renamed = last.kind is Kind.PUT and reader.sources == (last.key,) and is_idle(reader)
        if others or not is_renamed or reader.kind is not Kind.COPY or reader.key == last.key:
            return Change(entry)
        changed = (_renamed(reader, last),)
    rest = None if last.expected is ABSENT else _instead(entry, last)
    return Change(rest, (last.number,), changed)


def _renamed(copy: Entry, put: Entry) -> Entry:
    """The put of what was put under another name and copied from there."""
    return replace(
        copy,
        kind=Kind.PUT,
        sources=(),
        source_expected=UNKNOWN,
        attributes=put.attributes if copy.attributes is None else copy.attributes,
        pieces=put.pieces,
        size=put.size,
    )


def _appended(entry: Entry, last: Entry) -> Change:
    """Bytes behind bytes that were not sent either."""
    if last.kind not in (Kind.PUT, Kind.APPEND) or entry.expected != After(last.number):
        return Change(entry)
    if last.kind is Kind.APPEND and last.shared != entry.shared:
        return Change(entry)
    pieces = last.pieces + entry.pieces
    if last.length + entry.length > LONGEST_JOINED or len(pieces) > MOST_PIECES:
        return Change(entry)
    joined = replace(
        entry,
        kind=last.kind,
        expected=last.expected,
        attributes=last.attributes,
        pieces=pieces,
        shared=last.shared,
    )
    return Change(joined, (last.number,))


def _described(entry: Entry, last: Entry) -> Change:
    """Attributes of an object that was not sent yet go along with it."""
    if last.kind is not Kind.PUT or entry.source_expected not in (UNKNOWN, After(last.number)):
        return Change(entry)
    made = replace(
        entry,
        kind=Kind.PUT,
        expected=last.expected,
        sources=(),
        source_expected=UNKNOWN,
        attributes=last.attributes if entry.attributes is None else entry.attributes,
        pieces=last.pieces,
        size=last.size,
    )
    return Change(made, (last.number,))
