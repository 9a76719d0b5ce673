# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Names are key components as they stand, or refused, or hidden; none is ever changed."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontenumfs.protocol.errors import InvalidName, NameTooLong
from kontenumfs.protocol.names import component_from_bytes, is_mappable, quote_key

KEYS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    "name", ["a", "...", ".a", "a b", "ünï", "\n", "\\", "*", "l" * 255, "%2F"]
)
def test_ordinary_and_odd_names_are_themselves(name: str) -> None:
    assert component_from_bytes(name.encode()) == name
    assert is_mappable(name)


@pytest.mark.parametrize("name", ["", ".", "..", "n\0l", "a/b", "/", "l" * 256, "ü" * 128])
def test_what_linux_cannot_name_is_not_mappable(name: str) -> None:
    assert not is_mappable(name)


def test_the_limit_is_in_bytes() -> None:
    assert is_mappable("ü" * 127 + "l")
    assert component_from_bytes(("ü" * 127 + "l").encode()) == "ü" * 127 + "l"
    with pytest.raises(NameTooLong):
        component_from_bytes(("ü" * 128).encode())


@pytest.mark.parametrize("name", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf"])
def test_a_name_that_is_not_utf8_is_refused(name: bytes) -> None:
    """Latin-1, a surrogate and an overlong slash."""
    with pytest.raises(InvalidName):
        component_from_bytes(name)


def test_a_lone_surrogate_is_judged_and_does_not_fail() -> None:
    """A careless server's listing may hold one."""
    assert not is_mappable("\ud800")


def test_a_path_is_encoded_as_sigv4_wants_it() -> None:
    assert quote_key("a b/c+d~e_f-g.h/ü?&=%#") == "a%20b/c%2Bd~e_f-g.h/%C3%BC%3F%26%3D%25%23"


@given(KEYS)
def test_quoting_is_reversible_and_plain(key: str) -> None:
    quoted = quote_key(key)
    assert unquote(quoted) == key
    assert quoted.isascii()
    assert not set(quoted) & set(" ?#&+\"'<>\\^`{|}\r\n\0")


@given(st.binary(min_size=1, max_size=255))
def test_every_name_that_is_taken_comes_back_from_its_key(name: bytes) -> None:
    """What the kernel can send is never hidden afterwards."""
    cleaned = name.replace(b"\0", b"").replace(b"/", b"")
    if cleaned in (b"", b".", b".."):
        return
    try:
        component = component_from_bytes(cleaned)
    except InvalidName:
        return
    assert component.encode() == cleaned
    assert is_mappable(component)
