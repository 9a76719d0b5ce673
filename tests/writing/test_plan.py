# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Which requests a rope becomes, and that they make the bytes that it stands for."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontenumfs.protocol.dialect import GIB, MIB, Limits
from kontenumfs.protocol.errors import DeadlineExceeded, Unsupported
from kontenumfs.store.api import Attributes
from kontenumfs.store.beliefs import believed
from kontenumfs.store.proof import CAPABLE, UNPROVEN, Capabilities, Proof
from kontenumfs.writing.execute import PlanRunner
from kontenumfs.writing.extents import Extent, Literal, Range, RemoteObject, Rope, Zeros
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.plan import compile_rope
from kontenumfs.writing.plan_run import Publication
from kontenumfs.writing.steps import Append, Multipart
from tests.doubles.fake import FakeStore

KONTENUM = CAPABLE
PLAIN = Capabilities(Proof.DISPROVEN, Proof.DISPROVEN, Proof.DISPROVEN)
APPEND_ONLY = Capabilities(Proof.PROVEN, Proof.DISPROVEN, Proof.PROVEN)

OLD = RemoteObject("target", 100 * MIB, "etag")
HUGE = RemoteObject("huge", 12 * GIB, "etag")
TINY = RemoteObject("tiny", 100, "etag")
A, B = (RemoteObject(name, 100 * MIB, "etag") for name in "ab")


def literal(length: int) -> Literal:
    """That many bytes."""
    return Literal(bytes(length))


def whole(source: RemoteObject) -> Range:
    """All of an object."""
    return Range(source, 0, source.size)


def planned(*extents: Extent, capabilities: Capabilities = KONTENUM, current: object = OLD) -> str:
    """The plan for a file of these extents, in a line."""
    rope = Rope(*extents)
    known = current if isinstance(current, RemoteObject) else None
    target = RemoteObject("target", rope.size, "")
    return str(compile_rope(rope, target, known, capabilities, Limits()))


@pytest.mark.parametrize(
    ("extents", "expected"),
    [
        ([], "put 0"),
        ([literal(10)], "put 10"),
        ([whole(A)], f"copy {100 * MIB}"),
        ([whole(HUGE)], "compose of 1"),
        ([whole(A), whole(B)], "compose of 2"),
        ([whole(A)] * 40, "compose of 32, compose of 8; compose of 2; delete helpers"),
        ([whole(TINY)] * 33, "compose of 32; compose of 2; delete helpers"),
        ([whole(A), literal(10), whole(B)], "put 10; compose of 3; delete helpers"),
        ([whole(OLD), whole(A)], "compose of 2"),
        ([Range(OLD, 0, 60 * MIB)], "multipart of 1 copied and 0 sent"),
        ([whole(OLD), Zeros(20 * MIB)], f"put {MIB}; compose of 21; delete helpers"),
        (
            [whole(OLD), Zeros(GIB + 5)],
            f"put {MIB}, put 5; compose of 32; compose of 32; compose of 3; delete helpers",
        ),
    ],
)
def test_what_a_new_file_becomes(extents: list[Extent], expected: str) -> None:
    """The cheapest plan: bytes on the wire first, then round trips, then requests."""
    assert planned(*extents, current=None) == expected


@pytest.mark.parametrize(
    ("extents", "expected"),
    [
        ([], "put 0"),
        ([literal(10)], "put 10"),
        ([whole(OLD)], "nothing to do"),
        ([whole(OLD), literal(MIB)], f"append {MIB}"),
        ([whole(OLD), Zeros(100), literal(1)], "append 101"),
        ([whole(A)], "multipart of 1 copied and 0 sent"),
        ([whole(HUGE)], "multipart of 3 copied and 0 sent"),
        ([whole(A), whole(B)], "multipart of 2 copied and 0 sent"),
        (
            [whole(TINY), whole(B)],
            "compose of 2; multipart of 1 copied and 0 sent; delete helpers",
        ),
        ([whole(OLD), whole(A)], "multipart of 2 copied and 0 sent"),
        ([Range(OLD, 0, 60 * MIB)], "multipart of 1 copied and 0 sent"),
        ([Range(OLD, 0, 60 * MIB), literal(1)], "multipart of 1 copied and 1 sent"),
        ([Range(HUGE, 1, 12 * GIB - 1)], "multipart of 3 copied and 0 sent"),
        ([literal(8 * MIB), Range(OLD, 8 * MIB, 92 * MIB)], "multipart of 1 copied and 1 sent"),
        # 1 MiB in the middle: too short for a part, so it is joined to what is before it.
        (
            [Range(OLD, 0, 50 * MIB), literal(MIB), Range(OLD, 51 * MIB, 49 * MIB)],
            "multipart of 1 copied and 1 sent; multipart of 2 copied and 0 sent; delete helpers",
        ),
        # 20 MiB of zeros cost one block of 1 MiB.
        (
            [whole(OLD), Zeros(20 * MIB)],
            f"put {MIB}; compose of 21; multipart of 1 copied and 0 sent; delete helpers",
        ),
    ],
)
def test_what_a_replaced_file_becomes(extents: list[Extent], expected: str) -> None:
    """The same, ended by a request that can say which object it replaces."""
    assert planned(*extents) == expected


@pytest.mark.parametrize(
    ("extents", "capabilities", "expected"),
    [
        ([literal(10)], PLAIN, "put 10"),
        ([whole(A)], PLAIN, f"copy {100 * MIB}"),  # looked at before, and no more is possible
        ([Zeros(2 * MIB)], PLAIN, f"put {2 * MIB}"),
        ([whole(OLD), literal(10)], APPEND_ONLY, "append 10"),
        ([whole(A), whole(B)], APPEND_ONLY, "multipart of 2 copied and 0 sent"),
    ],
)
def test_stores_that_can_less(
    extents: list[Extent], capabilities: Capabilities, expected: str
) -> None:
    """S3.6: The plan uses what was shown, and nothing else."""
    assert planned(*extents, capabilities=capabilities) == expected


@pytest.mark.parametrize(
    ("extents", "capabilities"),
    [
        ([whole(OLD), literal(10)], PLAIN),  # a copied part is an empty one on such servers
        ([Range(OLD, 0, 60 * MIB)], PLAIN),
        ([whole(TINY), whole(B)], APPEND_ONLY),
        ([Extent for n in range(4000) for Extent in (literal(1), Range(OLD, n * 9, 2))], KONTENUM),
    ],
)
def test_what_is_refused(extents: list[Extent], capabilities: Capabilities) -> None:
    """S3.4: No plan is better than one that harms the object, or takes hours."""
    with pytest.raises(Unsupported):
        planned(*extents, capabilities=capabilities)


@pytest.mark.parametrize("extents", [[whole(OLD), literal(10)], [Range(OLD, 0, 60 * MIB)]])
def test_what_is_not_known_is_not_refused(extents: list[Extent]) -> None:
    """A store that was silent when it was asked what it can is out of time, and not unable."""
    with pytest.raises(DeadlineExceeded):
        planned(*extents, capabilities=UNPROVEN)


@pytest.mark.parametrize("size", [200 * GIB, 5 * 1024 * GIB])
def test_holes_of_any_size_are_planned_at_once(size: int) -> None:
    """`truncate -s 5T`: by a tree of composed zeros, and no list of five million of them."""
    tracemalloc.start()
    try:
        rope = Rope(whole(OLD), Zeros(size - OLD.size))
        plan = compile_rope(rope, RemoteObject("target", size, ""), OLD, KONTENUM, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert plan.cost[0] < 2 * MIB + 64 * 1024
    assert plan.cost[2] < 1100  # parts of 5 GiB, mostly
    assert peak < MIB


def test_an_append_stays_one_where_others_append() -> None:
    """A hole is cheaper composed, but a composed object would lose the other hosts' lines."""
    rope = Rope(whole(OLD), Zeros(20 * MIB))
    target = RemoteObject("target", rope.size, "")
    plan = compile_rope(rope, target, OLD, KONTENUM, Limits(), appended=True)
    assert str(plan) == f"append {20 * MIB}"


SMALL = Limits(max_components=3, min_part=8, max_part=2 * MIB, max_copy=40, max_put=3 * MIB)
OBJECTS = {"target": 70, "a": 100, "b": 5, "c": 20}


def extents(draw_from: dict[str, RemoteObject]) -> st.SearchStrategy[Extent]:
    """Any extent: bytes, a hole, a range of an object or all of it."""
    ranges = st.sampled_from(sorted(draw_from)).flatmap(
        lambda name: st.tuples(
            st.integers(0, OBJECTS[name] - 1), st.integers(1, OBJECTS[name])
        ).map(lambda span: Range(draw_from[name], span[0], min(span[1], OBJECTS[name] - span[0])))
    )
    return st.one_of(
        st.binary(min_size=1, max_size=30).map(Literal),
        st.integers(1, 3 * MIB).map(Zeros),
        ranges,
        st.sampled_from(sorted(draw_from)).map(lambda name: whole(draw_from[name])),
    )


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([SMALL, replace(SMALL, max_parts=4)]))
async def test_every_plan_makes_the_bytes(data: st.DataObject, limits: Limits) -> None:
    """Run on a store, the plan leaves the rope's bytes, and no helper behind."""
    store = FakeStore(limits=limits)
    known: dict[str, RemoteObject] = {}
    for name, size in OBJECTS.items():
        content = [bytes((ord(name[0]) + at) % 256 for at in range(size))]
        written = await store.put(name, content, Attributes())
        known[name] = RemoteObject(name, size, written.etag)
    rope = Rope(*data.draw(st.lists(extents(known), max_size=6)))
    expected = b"".join(
        bytes(e.data)
        if isinstance(e, Literal)
        else bytes(e.length)
        if isinstance(e, Zeros)
        else store.data(e.source.key)[e.offset : e.offset + e.length]
        for e in rope
    )
    target = RemoteObject("target", rope.size, "")
    old = known["target"]
    plan = compile_rope(rope, target, old, KONTENUM, limits)
    runner = PlanRunner(store, "staging/", Journal())
    match plan.stages:
        case []:
            pass  # the object is that already
        case [[Append() as step]]:
            await store.append("target", step.body.pieces, expected=believed(old.etag, step.start))
        case _:
            await runner.run(plan, Publication(Attributes(), believed(old.etag, old.size)))
    assert store.data("target") == expected
    assert sorted(store.objects) == sorted(OBJECTS)
    assert not store.uploads


def test_parts_grow_with_the_file() -> None:
    """S3.5: No upload has more parts than the store takes: runs of them become objects first."""
    few = Limits(max_parts=3, min_part=8)
    rope = Rope(Range(A, 1, 99 * MIB))
    with pytest.raises(Unsupported):
        compile_rope(rope, OLD, OLD, APPEND_ONLY, replace(few, max_part=MIB))
    rope = Rope(*(Range(A, number * 100, 50) for number in range(20)))
    target = RemoteObject("target", rope.size, "")
    for current in (None, OLD):
        plan = compile_rope(rope, target, current, KONTENUM, few)
        assert all(len(step.parts) <= 3 for step in plan.steps if isinstance(step, Multipart))
    rope = Rope(Range(RemoteObject("most", 5 << 40, "etag"), 0, (5 << 40) - 1))
    (((step,),),) = (compile_rope(rope, target, OLD, KONTENUM, Limits()).stages,)
    assert isinstance(step, Multipart)
    assert len(step.parts) == 1024


@pytest.mark.parametrize("every", [MIB, MIB + 77], ids=["even", "odd"])
@pytest.mark.parametrize("old", [False, True], ids=["new", "in an object"])
def test_a_few_bytes_far_apart_do_not_cost_what_lies_between(every: int, old: bool) -> None:
    """1,024 single bytes, one a MiB, were one PutObject of a GiB."""
    current = RemoteObject("t", 2 * GIB, "etag") if old else None
    rope = Rope(whole(current)) if current is not None else Rope()
    for number in range(1024):
        rope.write(number * every, b"x")
    target = RemoteObject("t", rope.size, "")
    plan = compile_rope(rope, target, current, CAPABLE, Limits())
    assert sum(step.wire for step in plan.steps) < 2 * MIB
    assert plan.cost[2] < 5 * 1024


def test_a_file_that_is_mostly_bytes_is_sent_with_its_short_holes() -> None:
    """A sparse copy costs no request for each of them."""
    rope = Rope()
    for _ in range(200):
        rope.write(rope.size + MIB // 2, bytes(MIB))
    plan = compile_rope(rope, RemoteObject("t", rope.size, ""), None, CAPABLE, Limits())
    assert [str(step) for step in plan.steps] == [f"put {rope.size}"]


def test_too_many_fragments_are_refused_before_they_are_planned() -> None:
    """The reason says how many requests it would take."""
    rope = Rope(whole(HUGE))
    for number in range(20_000):
        rope.write(number * 50_000, b"x")
    with pytest.raises(Unsupported, match=r"too many fragments: 4000\d requests at least"):
        compile_rope(rope, RemoteObject("t", rope.size, ""), HUGE, CAPABLE, Limits())
