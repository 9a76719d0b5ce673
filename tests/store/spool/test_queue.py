# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The order in which what was acknowledged reaches the store, against a naive oracle."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from kontenumfs.store.api import Attributes
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Belief, Version
from kontenumfs.store.spool.entries import After, Entry, Kind, Link, Piece
from kontenumfs.store.spool.order import PUBLISH_LAST, are_related, directory, last_names
from kontenumfs.store.spool.pace import BURST, LINGER, LONGEST_LINGER
from kontenumfs.store.spool.queue import MOST_DELETIONS, Queue
from kontenumfs.store.spool.slots import Phase

IS_LAST = last_names(PUBLISH_LAST)


def is_related(one: str, other: str) -> bool:
    """Whether two keys may be about the same names."""
    return are_related(directory(one), directory(other))


KEYS = ["a/1.ts", "a/2.ts", "a/3.ts", "a/live.m3u8", "b/1.ts", "b/index.html", "log"]


@dataclass
class Stored:
    """An object of the oracle's store: its content, what it is stored with, and its version."""

    content: tuple[str, ...]
    attributes: Attributes | None
    version: int

    @property
    def size(self) -> int:
        """A byte for each word."""
        return len(self.content)


@dataclass
class Oracle:
    """What a program has done, one after another, and what the store has; both are plain dicts."""

    queue: Queue
    view: dict[str, Stored] = field(default_factory=dict)
    store: dict[str, Stored] = field(default_factory=dict)
    active: dict[int, Entry] = field(default_factory=dict)
    parked: set[int] = field(default_factory=set)
    running: list[Entry] = field(default_factory=list)
    resting: list[Entry] = field(default_factory=list)
    number: int = 0
    versions: int = 0

    def link(self, key: str) -> Link:
        """What a writer that has seen everything believes of a key."""
        last = self.queue.last(key)
        if last is not None:
            return ABSENT if last.kind is Kind.DELETE else After(last.number)
        found = self.store.get(key)
        return ABSENT if found is None else Version(str(found.version), found.size)

    def push(self, kind: Kind, key: str, *, sources: tuple[str, ...] = (), unsure: bool) -> None:
        """A program asks for something that makes sense in what it sees."""
        self.number += 1
        word = f"w{self.number}"
        if IS_LAST(key) and kind is Kind.PUT:
            there = [k for k in self.view if is_related(k, key) and not IS_LAST(k)]
            word = "names:" + " ".join(there)
        attributes = Attributes({"n": str(self.number)}) if kind is not Kind.APPEND else None
        old = self.view.get(key)
        pieces = (Piece(word, 0, 1, 0),) if kind in (Kind.PUT, Kind.APPEND) else ()
        made: tuple[str, ...] = (word,)
        if kind is Kind.APPEND:
            made = (*old.content, word) if old else made
        elif kind is Kind.COPY:
            made = self.view[sources[0]].content
        entry = Entry(
            self.number,
            kind,
            key,
            expected=UNKNOWN if unsure or kind is Kind.COPY else self.link(key),
            sources=sources,
            source_expected=self.link(sources[0]) if sources else UNKNOWN,
            attributes=attributes,
            pieces=pieces,
            size=len(made),
        )
        if kind is Kind.DELETE:
            self.view.pop(key, None)
        else:
            kept = old.attributes if kind is Kind.APPEND and old else attributes
            self.view[key] = Stored(made, kept, 0)
        change = self.queue.push(entry)
        for number in change.dropped:
            assert number not in self.parked
            assert number not in [other.number for other in self.running]
            del self.active[number]
            self.resting = [other for other in self.resting if other.number != number]
        for changed in change.changed:
            self.active[changed.number] = changed
        if change.added is not None:
            self.active[change.added.number] = change.added

    def start(self) -> bool:
        """Take what may run, and check by the rules that it may."""
        batches = self.queue.take(64)
        for batch in batches:
            assert len(batch) == 1 or all(entry.kind is Kind.DELETE for entry in batch)
            assert len(batch) <= MOST_DELETIONS
            for entry in batch:
                assert self.queue.phase(entry.number) is Phase.RUNNING
                self.check(entry)
                self.running.append(entry)
        return bool(batches)

    def check(self, entry: Entry) -> None:
        """Whether all that must be stored before it is."""
        stuck = self.stuck()
        for other in self.active.values():
            if other.number >= entry.number:
                continue
            touched = {entry.key, *entry.sources}
            assert other.key not in touched, (other, entry)
            assert entry.key not in other.sources, (other, entry)
            if entry.kind is Kind.DELETE or IS_LAST(entry.key):
                is_elsewhere = other.number in stuck and not is_related(other.key, entry.key)
                is_parallel = other.kind is Kind.DELETE
                assert is_parallel or is_elsewhere, (other, entry)

    def stuck(self) -> set[int]:
        """What is parked, and whatever waits for that."""
        stuck: set[int] = set()
        for entry in sorted(self.active.values(), key=lambda entry: entry.number):
            before = [self.active[n] for n in sorted(stuck) if n < entry.number]
            is_barrier = entry.kind is Kind.DELETE or IS_LAST(entry.key)
            if (
                entry.number in self.parked
                or any(other.key in (entry.key, *entry.sources) for other in before)
                or any(entry.key in other.sources for other in before)
                or (is_barrier and any(is_related(o.key, entry.key) for o in before))
            ):
                stuck.add(entry.number)
        return stuck

    def finish(self, entry: Entry) -> None:
        """The store does it; nobody else changes anything, so what was believed is true."""
        self.versions += 1
        made: Belief = ABSENT
        if entry.kind is Kind.DELETE:
            self.holds(entry.key, entry.expected)
            self.store.pop(entry.key, None)
        else:
            old = self.store.get(entry.key)
            content = tuple(piece.file for piece in entry.pieces)
            attributes = entry.attributes
            if entry.kind is Kind.COPY:
                self.holds(entry.sources[0], entry.source_expected)
                content = self.store[entry.sources[0]].content
            else:
                self.holds(entry.key, entry.expected)
            if entry.kind is Kind.APPEND and old is not None:
                content, attributes = (*old.content, *content), old.attributes
            assert len(content) == entry.size
            self.store[entry.key] = Stored(content, attributes, self.versions)
            made = Version(str(self.versions), len(content))
        del self.active[entry.number]
        for changed in self.queue.resolve(entry.number, made):
            self.active[changed.number] = changed
        self.queue.done(entry.number)
        self.no_hole()

    def holds(self, key: str, link: Link) -> None:
        """Whether what an entry believes is so."""
        assert not isinstance(link, After)
        found = self.store.get(key)
        if isinstance(link, Version):
            assert found is not None
            assert (str(found.version), found.size) == (link.etag, link.size)
        elif link is ABSENT:
            assert found is None

    def no_hole(self) -> None:
        """No playlist in the store names what is not there."""
        for key, stored in self.store.items():
            if IS_LAST(key) and stored.content[0].startswith("names:"):
                for name in stored.content[0].removeprefix("names:").split():
                    assert name in self.store, (key, name)

    def is_named(self, key: str) -> bool:
        """Whether the last playlist that a program has written names a key."""
        return any(
            IS_LAST(name) and key in stored.content[0].removeprefix("names:").split()
            for name, stored in self.view.items()
        )


STEPS = st.tuples(
    st.sampled_from(
        [
            "put",
            "put",
            "append",
            "copy",
            "describe",
            "delete",
            "rename",
            "confirm",
            "start",
            "start",
            "finish",
            "finish",
            "fail",
            "resume",
            "park",
            "retry",
            "promise",
            "wait",
        ]
    ),
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.booleans(),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_whatever_is_asked_the_store_ends_as_if_one_thing_was_done_after_another(
    steps: list[tuple[str, str, str, bool]],
) -> None:
    now = [100.0]
    oracle = Oracle(Queue(IS_LAST, clock=lambda: now[0]))
    for step, key, other, flag in steps:
        _step(oracle, now, step, key, other, unsure=flag)
        for name in KEYS:
            state = oracle.queue.state(name)
            seen = oracle.view.get(name)
            if state is not None:
                assert state.size == (None if seen is None else seen.size)
                if state.attributes is not None and seen is not None:
                    assert state.attributes == seen.attributes
    _drain(oracle)
    assert {key: (o.content, o.attributes) for key, o in oracle.store.items()} == {
        key: (o.content, o.attributes) for key, o in oracle.view.items()
    }
    assert not len(oracle.queue)
    assert oracle.queue.bytes == 0
    assert not oracle.queue.keys


def _step(
    oracle: Oracle, now: list[float], step: str, key: str, other: str, *, unsure: bool
) -> None:
    queue, view = oracle.queue, oracle.view
    if step == "put":
        oracle.push(Kind.PUT, key, unsure=unsure)
    elif step == "append" and not IS_LAST(key):
        oracle.push(Kind.APPEND, key, unsure=False)
    elif step == "copy" and key in view and not IS_LAST(key) and not IS_LAST(other):
        if key != other:
            oracle.push(Kind.COPY, other, sources=(key,), unsure=unsure)
    elif step == "describe" and key in view:
        oracle.push(Kind.COPY, key, sources=(key,), unsure=unsure)
    elif step == "delete" and not oracle.is_named(key):
        oracle.push(Kind.DELETE, key, unsure=unsure)
    elif step == "rename" and key in view and key != other and not oracle.is_named(key):
        if not IS_LAST(key) and not IS_LAST(other):
            oracle.push(Kind.COPY, other, sources=(key,), unsure=unsure)
            oracle.push(Kind.DELETE, key, unsure=unsure)
    elif step == "confirm":
        for number in [*oracle.active]:
            queue.confirm(number)
    elif step == "start":
        oracle.start()
    elif step == "finish" and oracle.running:
        oracle.finish(oracle.running.pop(0 if unsure else -1))
    elif step == "fail" and oracle.running:
        entry = oracle.running.pop(0)
        queue.rest(entry.number, doubtful=unsure)
        oracle.resting.append(entry)
    elif step == "resume" and oracle.resting:
        entry = queue.resume(oracle.resting.pop().number) or entry_missing()
        oracle.running.append(entry)
    elif step == "park" and oracle.running:
        entry = oracle.running.pop(0)
        oracle.active[entry.number] = queue.park(entry.number, "no")
        oracle.parked.add(entry.number)
    elif step == "retry" and oracle.parked:
        number = oracle.parked.pop()
        oracle.active[number] = queue.retry(number)
    elif step == "promise" and (last := queue.last(key)) is not None:
        queue.promise(last.number)
    elif step == "wait":
        now[0] += LINGER / 2


def entry_missing() -> Entry:
    raise AssertionError("what rests has gone unheard")


def _drain(oracle: Oracle) -> None:
    queue = oracle.queue
    queue.hurry += 1
    for number in [*oracle.active]:
        queue.confirm(number)
    _work_off(oracle)
    assert set(oracle.active) <= oracle.stuck(), "what nothing holds up is still here"
    for number in sorted(oracle.parked):
        oracle.active[number] = queue.retry(number)
    oracle.parked.clear()
    _work_off(oracle)
    assert not oracle.active, "nothing may run, and something is left"


def _work_off(oracle: Oracle) -> None:
    for entry in oracle.resting:
        oracle.running.append(oracle.queue.resume(entry.number) or entry_missing())
    oracle.resting.clear()
    while oracle.start() or oracle.running:
        while oracle.running:
            oracle.finish(oracle.running.pop())


def _queue(now: float = 100.0) -> Queue:
    return Queue(IS_LAST, clock=lambda: now)


def _put(number: int, key: str, expected: Link = ABSENT, *, size: int = 1) -> Entry:
    return Entry(number, Kind.PUT, key, expected, pieces=(Piece("f", 0, size, 0),), size=size)


def test_a_name_made_and_deleted_while_both_wait_costs_nothing() -> None:
    queue = _queue()
    queue.push(_put(1, "x"))
    change = queue.push(Entry(2, Kind.DELETE, "x", After(1)))
    assert (change.added, change.dropped) == (None, (1,))
    assert len(queue) == 0


def test_a_name_that_may_have_been_there_is_still_deleted() -> None:
    queue = _queue()
    queue.push(_put(1, "x", UNKNOWN))
    change = queue.push(Entry(2, Kind.DELETE, "x", After(1)))
    assert change.dropped == (1,)
    assert change.added is not None
    assert change.added.expected is UNKNOWN


def test_a_file_renamed_before_it_was_sent_is_one_put() -> None:
    queue = _queue()
    queue.push(_put(1, ".x.tmp"))
    queue.push(Entry(2, Kind.COPY, "x", sources=(".x.tmp",), source_expected=After(1), size=1))
    change = queue.push(Entry(3, Kind.DELETE, ".x.tmp", After(1)))
    assert (change.added, change.dropped) == (None, (1,))
    (only,) = queue
    assert (only.kind, only.key, only.sources, only.number) == (Kind.PUT, "x", (), 2)


def test_appends_to_what_was_not_sent_are_one_request() -> None:
    queue = _queue()
    queue.push(
        Entry(
            1,
            Kind.APPEND,
            "log",
            Version("e", 9),
            size=10,
            shared=True,
            pieces=(Piece("f", 0, 1, 0),),
        )
    )
    queue.push(
        Entry(2, Kind.APPEND, "log", After(1), size=11, shared=True, pieces=(Piece("f", 1, 1, 0),))
    )
    (only,) = queue
    assert (only.number, only.expected, only.size, only.length) == (2, Version("e", 9), 11, 2)


def test_what_was_promised_is_stored_as_it_was() -> None:
    queue = _queue()
    queue.push(_put(1, "x"))
    queue.promise(1)
    assert queue.push(_put(2, "x", After(1))).dropped == ()


def test_what_may_be_stored_already_is_not_taken_back() -> None:
    queue = _queue()
    queue.push(_put(1, "x"), durable=True)
    (batch,) = queue.take(1)
    queue.rest(batch[0].number, doubtful=True)
    assert queue.push(Entry(2, Kind.DELETE, "x", After(1))).dropped == ()


def test_deletions_that_stand_together_are_one_request() -> None:
    now = [0.0]
    queue = Queue(IS_LAST, clock=lambda: now[0])
    for number in range(1, 101):
        queue.push(Entry(number, Kind.DELETE, f"x/{number}"), durable=True)
    assert queue.take(64) == []
    assert queue.lingers() == LINGER
    now[0] += LINGER
    (batch,) = queue.take(64)
    assert len(batch) == 100


def test_a_parked_segment_holds_up_the_playlist_beside_it_and_no_other() -> None:
    queue = _queue()
    queue.push(_put(1, "a/1.ts"), durable=True)
    queue.take(1)
    queue.park(1, "AccessDenied")
    queue.push(_put(2, "a/live.m3u8"), durable=True)
    queue.push(_put(3, "b/live.m3u8"), durable=True)
    assert [[entry.key for entry in batch] for batch in queue.take(9)] == [["b/live.m3u8"]]
    queue.push(_put(4, "b/1.ts"), durable=True)
    assert [[entry.key for entry in batch] for batch in queue.take(9)] == [["b/1.ts"]]


def test_what_is_dropped_lets_go_what_waited_for_it() -> None:
    queue = _queue()
    queue.push(_put(1, "x", Version("e", 3)), durable=True)
    queue.take(1)
    queue.park(1, "AccessDenied")
    queue.push(replace(_put(2, "x", After(1)), promised=True), durable=True)
    assert queue.is_stuck(2)
    assert queue.take(9) == []
    (changed,) = queue.drop(1)
    assert changed.expected == Version("e", 3)
    assert [batch[0].number for batch in queue.take(9)] == [2]


def test_a_burst_is_acknowledged_first() -> None:
    """What pours in is sent when it has ended; a live segment is sent at once."""
    now = [0.0]
    queue = Queue(lambda key: False, clock=lambda: now[0])

    def push(number: int, key: str) -> None:
        queue.push(Entry(number, Kind.PUT, key, size=1), durable=True)

    for number in range(1, BURST):
        push(number, f"segment-{number}")
        assert [entry.number for (entry,) in queue.take(64)] == [number]
    for number in range(BURST, 50):
        push(number, f"file-{number % 10}")
        now[0] += LINGER / 10
        assert queue.take(64) == []
    assert 0 < queue.lingers() < LINGER
    now[0] += queue.lingers()
    assert len(queue.take(64)) == 10, "the last version of each is sent"
    push(50, "segment")
    assert len(queue.take(64)) == 1


def test_a_burst_that_does_not_end_is_sent_all_the_same() -> None:
    now = [0.0]
    queue = Queue(lambda key: False, clock=lambda: now[0])
    number = 0
    while now[0] < LONGEST_LINGER:
        number += 1
        queue.push(Entry(number, Kind.PUT, f"file-{number}", size=1), durable=True)
        if number > BURST:
            assert queue.take(64) == []
        now[0] += LINGER / 10
    now[0] += LINGER * 0.9
    queue.push(Entry(number + 1, Kind.PUT, "last", size=1), durable=True)
    assert len(queue.take(64)) == number + 1


def test_a_burst_does_not_keep_those_waiting_who_need_the_store() -> None:
    """Fsync, a full spool, the end of the mount."""
    queue = Queue(lambda key: False, clock=lambda: 0.0)
    for number in range(1, 20):
        queue.push(Entry(number, Kind.PUT, f"file-{number}", size=1), durable=True)
    assert queue.take(64) == []
    queue.hurry += 1
    assert len(queue.take(64)) == 19


def test_a_new_directory_waits_for_what_comes_with_it() -> None:
    """Its times are set at the end of rsync: the marker is one request."""
    now = [0.0]
    queue = Queue(lambda key: False, clock=lambda: now[0])
    for number in (1, 2):
        queue.push(Entry(number, Kind.PUT, "d/", size=0), durable=True)
        assert queue.take(64) == []
    now[0] += LINGER
    assert [entry.number for (entry,) in queue.take(64)] == [2]
