# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The error tree: complete tables, and no secrets."""

import errno

import pyfuse3
import pytest

import kontenumfs.protocol.errors as errors
from kontenumfs.fuse.errors import ERRNO, translated
from kontenumfs.protocol.answers import BY_CODE, error_from_answer

EVERY = {
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.KontenumError)
}


def test_every_error_has_an_errno() -> None:
    """A new class is a decision, not an accident."""
    assert set(ERRNO) == EVERY
    assert all(number in errno.errorcode for number in ERRNO.values())


def test_every_error_is_drawn_in_the_tree() -> None:
    """The docstring's drawing names each class."""
    drawn = set(
        (errors.__doc__ or "").replace("│", " ").replace("├──", " ").replace("└──", " ").split()
    )
    assert {kind.__name__ for kind in EVERY} <= drawn


def test_only_404_means_that_a_file_does_not_exist() -> None:
    """Throttling and refusals must never look like a missing file."""
    for status in (*range(400, 404), *range(405, 600)):
        assert ERRNO[type(error_from_answer(status, "", ""))] != errno.ENOENT
    for code, kind in BY_CODE.items():
        assert (ERRNO[kind] == errno.ENOENT) == (code == "NoSuchKey")


async def test_a_defect_is_eio_to_one_program(caplog: pytest.LogCaptureFixture) -> None:
    """Its traceback is in the log, and nothing else ends: pyfuse3 would take the mount down."""
    with pytest.raises(pyfuse3.FUSEError) as caught:
        async with translated("write"):
            raise ZeroDivisionError
    assert caught.value.errno == errno.EIO
    [record] = caplog.records
    assert record.getMessage() == "a defect, please report it: write"
    assert record.exc_info is not None
    caplog.clear()
