# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Extended attributes become headers: what HTTP cannot carry is refused at once."""

import pytest

from kontenumfs.protocol.errors import InvalidArgument
from kontenumfs.writing.xattrs import change_attribute


@pytest.mark.parametrize("name", ["user.mime_type", "user.http.cache-control"])
@pytest.mark.parametrize("value", [b"text/html ", b" a", "ä".encode(), b"a\nb", b"a\x7f", b"\xff"])
def test_a_value_that_http_would_change_is_einval(name: str, value: bytes) -> None:
    """Else the next close would fail, and not say why."""
    with pytest.raises(InvalidArgument, match=name):
        change_attribute(name, value)
    assert change_attribute(name, b"text/html; charset=utf-8").headers
