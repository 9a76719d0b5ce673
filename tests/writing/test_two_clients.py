# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Two clients of one bucket, interleaved at every request: nothing is lost, nothing is doubled."""

import re
from pathlib import Path

import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from kontenumfs.store.proof import Verb
from tests.writing.two_clients import BLIND, RISKS, ROWS, Row, run

SEMANTICS = Path(__file__).parents[2] / "docs" / "semantics.md"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_byte_of_either_client_is_lost(row: Row) -> None:
    """Whatever B does between two requests of A, and whatever answer A does not get.

    Where a store passes over a condition, B does nothing in the moments that RISKS names.
    """

    @settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(seed=st.integers(0, 1 << 32))
    def play(seed: int) -> None:
        trio.run(run, row, seed, clock=MockClock(autojump_threshold=0))

    play()


def test_what_can_be_lost_is_what_the_documentation_says() -> None:
    """Each condition has its row in the documentation, and so has what no condition helps with."""
    told = SEMANTICS.read_text().split("## What a careless store can lose")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|`]+|`[^`]+`) \|", told, re.MULTILINE)
    named = {row.strip("`") for row in rows} - {"what the store passes over", "---"}
    assert named == {*(verb.value for verb in Verb), *BLIND}
    assert {*RISKS} == {*Verb}
