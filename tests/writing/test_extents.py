# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The rope against a plain bytearray: any program of changes gives the same bytes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kontenumfs.writing.extents import COALESCE, Extent, Literal, Range, RemoteObject, Rope, Zeros

CONTENT = bytes(range(256)) * 4
REMOTE = RemoteObject("source", len(CONTENT), "etag")


def shown(extent: Extent) -> bytes:
    """The bytes that an extent stands for."""
    if isinstance(extent, Literal):
        return bytes(extent.data)
    if isinstance(extent, Range):
        return CONTENT[extent.offset : extent.offset + extent.length]
    return bytes(extent.length)


def content(rope: Rope) -> bytes:
    """The bytes that a rope stands for."""
    return b"".join(shown(extent) for extent in rope)


offsets = st.integers(0, 700)
changes = st.one_of(
    st.tuples(st.just("write"), offsets, st.binary(max_size=300)),
    st.tuples(st.just("append"), st.just(0), st.binary(max_size=300)),
    st.tuples(st.just("truncate"), offsets, st.just(b"")),
    st.tuples(st.just("splice"), offsets, st.tuples(st.integers(0, 500), st.integers(1, 500))),
)


@settings(max_examples=300)
@given(st.lists(changes, max_size=30))
def test_a_rope_is_the_bytes_it_stands_for(program: list[tuple[str, int, object]]) -> None:
    """Every change has the effect that it has on bytes, and the sums stay right."""
    rope, model = Rope(), bytearray()
    for change, offset, detail in program:
        if change == "truncate":
            rope.truncate(offset)
            model[:] = (bytes(model) + bytes(offset))[:offset]
            continue
        if change == "splice":
            assert isinstance(detail, tuple)
            first, length = detail
            data = CONTENT[first : first + length]
            rope.splice(offset, Range(REMOTE, first, len(data)))
        else:
            assert isinstance(detail, bytes)
            offset, data = len(model) if change == "append" else offset, detail
            rope.write(offset, data)
        if data:
            model.extend(bytes(max(0, offset - len(model))))
            model[offset : offset + len(data)] = data
        assert content(rope) == model
        assert rope.size == len(model)
        assert rope.literal == sum(len(e.data) for e in rope if isinstance(e, Literal))
        assert rope.holes == sum(e.length for e in rope if isinstance(e, Zeros))
    before = content(rope)
    rope.fill_holes(bytes(1000), 100)
    assert content(rope) == before
    assert all(e.length > 100 for e in rope if isinstance(e, Zeros))
    assert rope.holes == sum(e.length for e in rope if isinstance(e, Zeros))
    sent, literal = RemoteObject("sent", 1 << 20, "etag"), rope.literal
    assert len(b"".join(bytes(piece) for piece in rope.gather(sent, 7))) == literal
    assert rope.literal == 0
    assert rope.size == len(model)
    assert sum(e.length for e in rope if isinstance(e, Range) and e.source is sent) == literal


def test_pieces_of_one_object_are_one_range_again() -> None:
    """A copy of more than 4 GiB arrives in pieces; the store is asked for it once."""
    large = RemoteObject("large", 5 << 30, "etag")
    rope = Rope()
    for offset in range(0, 5 << 30, 1 << 30):
        rope.splice(offset, Range(large, offset, 1 << 30))
    assert list(rope) == [Range(large, 0, 5 << 30)]


def test_pieces_written_out_of_order_join_too() -> None:
    """The gap between two ranges is filled with what belongs there."""
    rope = Rope(Range(REMOTE, 0, 100), Zeros(100), Range(REMOTE, 200, 100))
    rope.splice(100, Range(REMOTE, 100, 100))
    assert list(rope) == [Range(REMOTE, 0, 300)]


def test_short_lines_are_joined() -> None:
    """A million short writes make few extents."""
    rope = Rope()
    for _ in range(100_000):
        rope.write(rope.size, b"line\n")
    assert len(rope) <= 500_000 // COALESCE + 1
    assert rope.weight < 600_000


def test_a_sliver_lets_go_of_its_buffer() -> None:
    """One byte that is left of a large write does not hold the whole of it."""
    rope = Rope(Literal(bytes(1 << 20)))
    rope.truncate(1)
    (extent,) = rope
    assert isinstance(extent, Literal)
    assert isinstance(extent.data, bytearray)


def test_another_writers_bytes_move_ours() -> None:
    """An appender that was faster: what is ours begins further on."""
    grown = RemoteObject("log", 10, "etag")
    rope = Rope(Range(grown, 0, 10), Literal(b"ours"))
    rope.lengthen_first(5)
    assert rope.size == 19
    assert list(rope) == [Range(grown, 0, 15), Literal(b"ours")]
