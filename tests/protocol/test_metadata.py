# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Mode, owner and time survive the store, and what others wrote is read as far as it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontenumfs.protocol.metadata import (
    MAX_USER_METADATA,
    FileMetadata,
    decode,
    encode,
    fitting,
    leaves_room,
    metadata_size,
)

ids = st.none() | st.integers(0, 2**32 - 2)
nanoseconds = st.integers(-(2**63) * 10**9 + 1, 2**63 * 10**9 - 1)


@given(
    metadata=st.builds(
        FileMetadata,
        mode=st.none() | st.integers(0, 0o7777),
        uid=ids,
        gid=ids,
        mtime_ns=st.none() | nanoseconds,
    ),
    size=st.integers(0, 5 << 40),
    directory=st.booleans(),
)
def test_round_trip(metadata: FileMetadata, size: int, directory: bool) -> None:
    """To the nanosecond."""
    assert decode(encode(metadata, size=size, directory=directory), size=size) == metadata


def test_the_time_counts_only_for_the_bytes_it_was_written_with() -> None:
    """After an append the object is longer, and its LastModified is the time."""
    told = encode(FileMetadata(mtime_ns=10**18), size=100)
    assert decode(told, size=100).mtime_ns == 10**18
    assert decode(told, size=101).mtime_ns is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"mtime": "1700000000"}, FileMetadata(mtime_ns=1_700_000_000 * 10**9)),
        ({"mtime": "1700000000.123456789"}, FileMetadata(mtime_ns=1_700_000_000_123_456_789)),
        ({"mode": "33188", "uid": "1000"}, FileMetadata(mode=0o644, uid=1000)),
        ({"mode": "0"}, FileMetadata()),
        ({"mtime": "2023-11-14T22:13:20Z", "uid": "-1", "mode": "rw"}, FileMetadata()),
        ({"mtime": "9" * 50, "gid": "9" * 50}, FileMetadata()),
        (
            {"mtime": "9" * 20, "gid": "4294967295", "uid": "4294967294"},
            FileMetadata(uid=2**32 - 2),
        ),
        ({"mtime": "253402300800"}, FileMetadata(mtime_ns=253_402_300_800 * 10**9)),
        ({"mtime": "-100000000000.5"}, FileMetadata(mtime_ns=-100_000_000_000_500_000_000)),
    ],
)
def test_what_other_programs_wrote(told: dict[str, str], expected: FileMetadata) -> None:
    """s3fs and rclone are understood; nonsense is unknown, not an error."""
    assert decode(told, size=5) == expected


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("33188", 0o644),  # s3fs: the whole st_mode in decimal
        ("33279", 0o777),
        ("32768", 0),
        ("36863", 0o7777),
        ("16877", 0o755),
        ("17407", 0o1777),
        ("41471", 0o777),  # a symbolic link
        ("100644", 0o644),  # rclone: the same in octal
        ("0100644", 0o644),
        ("100000", 0),
        ("104755", 0o4755),
        ("40755", 0o755),
        ("040755", 0o755),
        ("41777", 0o1777),
        ("42775", 0o2775),
        ("120777", 0o777),
        ("644", 0o644),
        ("0644", 0o644),
        ("0755", 0o755),
        ("7777", 0o7777),
        *(
            (nonsense, None)
            for nonsense in ("", "0", "00", "-1", "rwx", "0x1ff", "9" * 20, "99999")
        ),
        *((nonsense, None) for nonsense in ("4294967296", "200000", "177777", "٣٣١٨٨", "8" * 4000)),
    ],
)
def test_modes_in_decimal_and_in_octal(text: str, mode: int | None) -> None:
    """No text means one mode to s3fs and another to rclone; nonsense is unknown."""
    assert decode({"mode": text}, size=0).mode == mode


@given(st.dictionaries(st.sampled_from(["mode", "uid", "gid", "mtime", "mtime-size"]), st.text()))
def test_whatever_the_store_says_is_no_error(told: dict[str, str]) -> None:
    """What is shown can be told to a kernel."""
    metadata = decode(told, size=5)
    assert 0 <= (metadata.mode or 0) <= 0o7777
    assert 0 <= (metadata.uid or 0) < 2**32 - 1
    assert abs(metadata.mtime_ns or 0) < 2**63 * 10**9


@pytest.mark.parametrize(
    "target", ["", "a\0b", "x" * 4096, "\udcff", "é" * 2048], ids=["", "NUL", "long", "odd", "é"]
)
def test_a_link_to_what_is_no_path_is_a_file(target: str) -> None:
    assert decode({"mode": "41471", "symlink-target": target}, size=1).target is None


def test_our_own_metadata_always_fits_beside_what_a_program_may_set() -> None:
    """And is left out, a time with its size, where others have filled the object's metadata."""
    widest = encode(
        FileMetadata(mode=0o7777, uid=2**32 - 2, gid=2**32 - 2, mtime_ns=-(2**63) * 10**9 + 1),
        size=2**63 - 1,
    )
    free = next(n for n in range(3000) if not leaves_room({"x": "y" * n} | widest)) - 1
    for value in ("y" * free, "é" * (free * 3 // 8 - 12)):
        assert leaves_room({"x": value})
        assert metadata_size({"x": value} | widest) <= MAX_USER_METADATA
        assert fitting({"x": value}, widest) == {"x": value} | widest
    full = {"x": "y" * (MAX_USER_METADATA - 25)}
    assert fitting(full, widest) == full | {"mode": widest["mode"], "uid": widest["uid"]}
    assert fitting({"x": "y" * 5000}, widest) == {"x": "y" * 5000}
