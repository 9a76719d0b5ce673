# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Extended attributes become headers: what HTTP cannot carry is refused at once."""

import pytest

from kontenumfs.protocol.errors import AttributeUnsupported, InvalidArgument
from kontenumfs.writing.xattrs import change_attribute


@pytest.mark.parametrize("name", ["user.mime_type", "user.http.cache-control"])
@pytest.mark.parametrize("value", [b"text/html ", b" a", "ä".encode(), b"a\nb"])
def test_a_value_that_http_would_change_is_einval(name: str, value: bytes) -> None:
    """Else the next close would fail, and not say why."""
    with pytest.raises(InvalidArgument, match=name):
        change_attribute(name, value)
    assert change_attribute(name, b"text/html; charset=utf-8").headers


@pytest.mark.parametrize("name", ["user.mime_type", "user.comment"])
@pytest.mark.parametrize("value", [b"a\x7f", b"a\0b", b"\xff", b"\x01\0\0\x02"])
def test_a_value_that_is_no_text_is_unsupported(name: str, value: bytes) -> None:
    """`cp -a` and `rsync -X` go on past EOPNOTSUPP: the attribute is for another file system."""
    with pytest.raises(AttributeUnsupported, match=name):
        change_attribute(name, value)
