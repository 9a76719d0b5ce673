# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What a key is: what the queue will make of it, over what the store says."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from kontenumfs.protocol.errors import InvalidRequest, NoSuchKey
from kontenumfs.store.api import Attributes, ListPage, ObjectInfo
from kontenumfs.store.outage import WatchedReads
from kontenumfs.store.spool.entries import Entry, Kind, State
from kontenumfs.store.spool.queue import Queue
from kontenumfs.store.spool.tokens import Tokens
from kontenumfs.store.tasks import each

MOST_KEYS = 1000
"""Keys of one page (AWS)."""
MARK = "spool:"
States = Mapping[str, State]


@dataclass(eq=False, slots=True)
class Reading:
    """A question that is with the store.

    Args:
        stored: what has been stored since it was asked, which the answer may not show.
    """

    stored: dict[str, State] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a listing goes on.

    Args:
        token: the store's, of the page that comes next; None for the first one.
        cursor: the last name that was told; what comes up to it is passed over.
        start_after: where the listing began.
    """

    token: str | None = None
    cursor: str = ""
    start_after: str = ""

    def told(self) -> str:
        """The token of a page."""
        return MARK + json.dumps([self.token, self.cursor, self.start_after])

    @classmethod
    def of(cls, token: str) -> "Position":
        """What a token says; raises InvalidRequest."""
        try:
            inner, cursor, start_after = json.loads(token.removeprefix(MARK))
        except ValueError:
            raise InvalidRequest("a token that is none", operation="ListObjectsV2") from None
        return cls(inner, cursor, start_after)


class Overlay:
    """Answers of the store, with what is queued.

    Args:
        store: what is behind the spool.
    """

    def __init__(self, store: WatchedReads, queue: Queue, tokens: Tokens) -> None:
        self._store = store
        self._queue = queue
        self._tokens = tokens
        self._readings: set[Reading] = set()

    def stored(self, entry: Entry) -> None:
        """An entry is in the store, and leaves the queue: who has asked before may not see it."""
        size = None if entry.kind is Kind.DELETE else entry.size
        for reading in self._readings:
            reading.stored[entry.key] = State(entry, size, entry.attributes)

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        reading = Reading()
        self._readings.add(reading)
        try:
            yield reading
        finally:
            self._readings.remove(reading)

    def _state(self, key: str, reading: Reading) -> State | None:
        return self._queue.state(key) or reading.stored.get(key)

    def _states(self, prefix: str, reading: Reading) -> dict[str, State]:
        found = {k: state for k, state in reading.stored.items() if k.startswith(prefix)}
        for key in self._queue.keys:
            if key.startswith(prefix) and (state := self._queue.state(key)) is not None:
                found[key] = state
        return found

    def told(self, key: str, state: State, attributes: Attributes | None = None) -> ObjectInfo:
        """An object as the queue knows it; raises NoSuchKey where there will be none."""
        if state.size is None:
            raise NoSuchKey(code="NoSuchKey", status=404, operation="HeadObject", resource=key)
        token = self._tokens.of(state.entry.number)
        return ObjectInfo(key, state.size, token, float(int(state.entry.created)), attributes)

    # One object

    async def head(self, key: str) -> ObjectInfo:
        """Describe an object; raises NoSuchKey, and what the store reports where it is asked."""
        state = self._queue.state(key)
        if state is not None and (state.size is None or state.attributes is not None):
            return self.told(key, state, state.attributes)
        with self._reading() as reading:
            try:
                info = await self._store.head(key)
            except NoSuchKey:
                state = self._state(key, reading)
                if state is None:
                    raise
                return self.told(key, state, state.attributes or Attributes())
            state = self._state(key, reading)
            if state is None:
                return self._tokens.outward(info)
            return self.told(key, state, state.attributes or info.attributes)

    # Many

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str,
        max_keys: int,
        token: str | None,
        start_after: str,
    ) -> ListPage:
        """One page, in byte order, of what the keys will be."""
        if token is not None and not token.startswith(MARK):
            raise InvalidRequest("a token that is none", operation="ListObjectsV2")
        if token is None:
            # A listing that begins after a common prefix does not tell that one.
            is_prefix = delimiter and start_after.endswith(delimiter)
            at = Position(None, start_after if is_prefix else "", start_after)
        else:
            at = Position.of(token)
        while True:
            with self._reading() as reading:
                names = _Names(prefix, delimiter, at)
                ask = self._wanted(names, max_keys, reading)
                page = await self._store.list_page(
                    prefix,
                    delimiter=delimiter,
                    max_keys=ask,
                    token=at.token,
                    start_after="" if at.token else at.start_after,
                )
                states = self._states(prefix, reading)
                gone = await self._gone(page, states, reading)
            found = self._merged(page, states, names, gone)
            page, at, ends = _cut(found, page, at, max_keys)
            if page.objects or page.prefixes or ends:
                return page

    def _wanted(self, names: "_Names", most: int, reading: Reading) -> int:
        """Keys to ask the store for, so that with what the queue has it is about one page."""
        states = self._states(names.prefix, reading)
        added = {names.of(key) for key, state in states.items() if state.size is not None}
        removed = sum(state.size is None for state in states.values())
        added.discard(None)
        wanted = most - min(len(added), most // 2)
        return max(1, min(MOST_KEYS, wanted + removed))

    async def _gone(self, page: ListPage, states: States, reading: Reading) -> set[str]:
        """The common prefixes below which everything is being deleted."""
        gone: set[str] = set()
        there = [key for key, state in states.items() if state.size is not None]
        removed = [key for key, state in states.items() if state.size is None]

        async def look(prefix: str, count: int) -> None:
            token: str | None = None
            while True:
                some = await self._store.list_page(prefix, max_keys=count, token=token)
                for info in some.objects:
                    state = self._state(info.key, reading)
                    if state is None or state.size is not None:
                        return
                token = some.next_token
                if token is None:
                    gone.add(prefix)
                    return

        doubted = []
        for prefix in page.prefixes:
            below = sum(key.startswith(prefix) for key in removed) if removed else 0
            if below and not any(key.startswith(prefix) for key in there):
                doubted.append((prefix, min(MOST_KEYS, below + 1)))
        await each(look, doubted)
        return gone

    def _merged(
        self, page: ListPage, states: States, names: "_Names", gone: set[str]
    ) -> list[ObjectInfo | str]:
        """What a page of the store is with what is queued, in order of names."""
        told = [info.key for info in page.objects] + list(page.prefixes)
        last = max(told, default="") if page.next_token is not None else None
        found: dict[str, ObjectInfo | str] = {
            prefix: prefix for prefix in page.prefixes if prefix not in gone
        }
        for info in page.objects:
            if info.key not in states:
                found[info.key] = self._tokens.outward(info)
        for key, state in states.items():
            name = names.of(key)
            if state.size is None or name is None or (last is not None and name > last):
                continue
            found.setdefault(name, name if names.is_common(key) else self.told(key, state))
        return [found[name] for name in sorted(found) if name > names.at.cursor]


@dataclass(frozen=True, slots=True)
class _Names:
    """What a key is called in one listing."""

    prefix: str
    delimiter: str
    at: Position

    def of(self, key: str) -> str | None:
        """The key, or the common prefix that stands for it; None where it was told already."""
        if key <= self.at.start_after:
            return None
        name = key
        if self.delimiter:
            head, found, _ = key[len(self.prefix) :].partition(self.delimiter)
            name = self.prefix + head + found
        return name if name > self.at.cursor else None

    def is_common(self, key: str) -> bool:
        """Whether it is a common prefix that stands for a key, such as a directory's marker."""
        return bool(self.delimiter) and self.delimiter in key[len(self.prefix) :]


def _cut(
    found: list[ObjectInfo | str], page: ListPage, at: Position, most: int
) -> tuple[ListPage, Position, bool]:
    """At most so many names, where the listing goes on, and whether that is the end."""
    told = [info.key for info in page.objects] + list(page.prefixes)
    if len(found) > most:
        last = _name(found[most - 1])
        following = Position(at.token, last, at.start_after)
        found = found[:most]
    elif page.next_token is not None:
        following = Position(page.next_token, max([*told, at.cursor]), at.start_after)
    else:
        following = None
    objects = tuple(item for item in found if isinstance(item, ObjectInfo))
    prefixes = tuple(item for item in found if isinstance(item, str))
    token = following.told() if following is not None else None
    return ListPage(objects, prefixes, token), following or at, following is None


def _name(item: ObjectInfo | str) -> str:
    return item if isinstance(item, str) else item.key
