# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A ring of one or two key pairs."""

import pytest

from kontenumfs.protocol.errors import ConfigurationError
from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.keys import KeyRing

ONE, TWO = KeyPair("A1", "s1/+="), KeyPair("A2", "s2")


def test_a_ring_has_one_or_two_and_prefers_what_works() -> None:
    ring = KeyRing([ONE, TWO])
    assert ring.current == ONE
    assert ring.other_than(ONE) == TWO
    ring.prefer(TWO)
    ring.prefer(TWO)
    assert ring.current == TWO
    assert KeyRing([ONE]).other_than(ONE) is None
    with pytest.raises(ConfigurationError):
        KeyRing([])
    with pytest.raises(ConfigurationError):
        KeyRing([ONE, TWO, ONE])


def test_no_repr_shows_a_secret() -> None:
    assert "s1/+=" not in repr(ONE) + repr(KeyRing([ONE]))
