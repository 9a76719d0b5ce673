# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Mode, owner and time survive the store, and what others wrote is read as far as it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontenumfs.protocol.metadata import FileMetadata, decode, encode

ids = st.none() | st.integers(0, 2**32 - 1)


@given(
    metadata=st.builds(
        FileMetadata,
        mode=st.none() | st.integers(0, 0o7777),
        uid=ids,
        gid=ids,
        mtime_ns=st.none() | st.integers(-(10**18), 4 * 10**18),
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
    ],
)
def test_what_other_programs_wrote(told: dict[str, str], expected: FileMetadata) -> None:
    """s3fs and rclone are understood; nonsense is unknown, not an error."""
    assert decode(told, size=5) == expected
