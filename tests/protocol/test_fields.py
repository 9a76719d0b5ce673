# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Single values of answers: read within bounds, or one ValueError."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontenumfs.protocol import errors as e
from kontenumfs.protocol import fields
from kontenumfs.protocol.answers import error_from_answer
from kontenumfs.protocol.headers import name_fault, value_fault


@pytest.mark.parametrize("said", ['"abc-1"', 'W/"abc-1"', 'w/"abc-1"', "abc-1", ' "abc-1" '])
def test_an_etag_has_one_form(said: str) -> None:
    assert fields.etag(said) == "abc-1"


@pytest.mark.parametrize("said", ["", '""', 'W/""'])
def test_an_empty_etag_is_empty(said: str) -> None:
    assert fields.etag(said) == ""


@pytest.mark.parametrize("said", ["a b", 'a"b', "é", "a\x7f", "e" * 257, "<a b>"])
def test_what_is_no_etag_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="no ETag"):
        fields.etag(said)


@pytest.mark.parametrize("said", ["", "-1", "+1", "1_0", "1.0", "١", "9" * 15, "9" * 5000, "x"])
def test_what_is_no_size_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        fields.size(said)
    assert fields.size(" 5497558138880 ") == 5 << 40


@given(st.text())
@pytest.mark.parametrize("read", [fields.iso_time, fields.http_time, fields.token, fields.size])
def test_any_text_is_read_or_refused(read: Callable[[str], object], text: str) -> None:
    with suppress(ValueError):
        read(text)


def test_times_are_sane() -> None:
    assert fields.iso_time("2026-07-01T00:00:00.000Z") == fields.iso_time("2026-07-01T00:00:00")
    for far in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"):
        with pytest.raises(ValueError, match="no time"):
            fields.iso_time(far)


def test_what_a_store_says_is_one_clean_short_line() -> None:
    """No line end, no control character of either set, nothing that turns the text around."""
    said = "a\r\nb\x1b[31m\x9b0m\u202egnp.exe\u2066\ud800" + "x" * 10_000
    error = e.AccessDenied(said, code="C\n" * 500, request_id="r\x1b" * 500)
    assert str(error).isprintable()
    assert len(error.message) <= e.MESSAGE_LENGTH
    assert error.message.startswith("a b [31m 0m gnp.exe xxx")
    assert len(error.code) <= e.NAME_LENGTH
    assert str(e.AnswerLost(said)).isprintable()


@pytest.mark.parametrize("status", [408, 425, 500, 502])
def test_statuses_that_may_pass_are_the_servers(status: int) -> None:
    assert isinstance(error_from_answer(status, "", ""), e.ServerError)


REQUEST_HEADERS = [
    *("Transfer-Encoding", "Connection", "Expect", "If-Match", "if-none-match", "Content-MD5"),
    *("Content-Length", "Host", "Authorization", "Date", "TE", "Trailer", "Upgrade", "Keep-Alive"),
    *("Proxy-Connection", "Range", "User-Agent", "X-Forwarded-For", "Accept-Encoding"),
    *("x-amz-date", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-security-token"),
    *("x-amz-decoded-content-length", "x-amz-meta-mode", "x-amz-metadata-directive"),
]


@pytest.mark.parametrize("name", [*REQUEST_HEADERS, "", "a b", "a:b", "é"])
def test_a_header_of_the_request_is_not_an_objects(name: str) -> None:
    assert name_fault(name)


@pytest.mark.parametrize(
    "name",
    [
        *("Cache-Control", "Content-Type", "Content-Encoding", "Expires", "x-amz-acl", "X-Own"),
        *("x-amz-storage-class", "x-amz-tagging", "x-amz-server-side-encryption"),
    ],
)
def test_a_header_of_an_object_is_one(name: str) -> None:
    assert not name_fault(name)


@pytest.mark.parametrize("value", [" a", "a ", "a\nb", "a\x7f", "é", "a\tb", "a" * 3000])
def test_a_value_that_http_changes_is_refused(value: str) -> None:
    assert value_fault(value)
    assert not value_fault("text/html; charset=utf-8")
