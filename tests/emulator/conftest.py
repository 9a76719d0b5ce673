# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the emulator's own tests."""

from collections.abc import Iterator

import pytest

from tests.emulator.wire import Wire
from tests.harness.emulator import Emulator


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    """A connection to the emulator of the session."""
    with Wire(emulator) as made:
        yield made
