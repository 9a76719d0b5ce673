# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""XML: entity bombs are refused, and keys come back as they went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontenumfs.protocol.errors import UnexpectedAnswer
from kontenumfs.protocol.xml import parse, parse_components, parse_listing, render_components

BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<Error><Code>&b;&b;&b;</Code></Error>"""


ENCODED = b'<?xml version="1.0" encoding="%s"?><html/>'


@pytest.mark.parametrize(
    "document",
    [
        *(BOMB, b"", b" \n", b"<html><p>busy", b"{}", b"<a></b>"),
        *(ENCODED % name for name in (b"gb2312", b"shift_jis", b"no-such", b"hex")),
    ],
)
def test_what_is_not_plain_xml_is_refused(document: bytes) -> None:
    """One exception, whatever arrives."""
    with pytest.raises(UnexpectedAnswer):
        parse(document)


@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8", min_codepoint=32, exclude_characters="￾￿")
            | st.sampled_from("\n\r\t&<>\"'"),
            min_size=1,
        ),
        min_size=1,
        max_size=32,
    )
)
def test_compose_keys_round_trip(keys: list[str]) -> None:
    """Line ends and markup included."""
    assert parse_components(render_components(keys)) == keys


@pytest.mark.parametrize(
    ("encoding", "expected"), [("<EncodingType>url</EncodingType>", "a b+c"), ("", "a+b%2Bc")]
)
def test_keys_are_decoded_only_where_the_answer_says_so(encoding: str, expected: str) -> None:
    """A plus is a space only in an encoded listing."""
    listing = parse_listing(
        f"<ListBucketResult>{encoding}<IsTruncated>false</IsTruncated><Contents><Key>a+b%2Bc</Key>"
        "<LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        "<Size>7</Size></Contents></ListBucketResult>".encode()
    )
    assert [(item.key, item.size, item.etag) for item in listing.objects] == [(expected, 7, "e")]


def test_white_space_may_come_before_the_head() -> None:
    """S3 sends it to keep a connection alive while it works."""
    assert parse(b" \r\n" * 300 + b'<?xml version="1.0"?>\n<x:Error xmlns:x="y"/>').tag == "Error"


@pytest.mark.parametrize("marker", ["", "<NextMarker>k</NextMarker>", "<NextContinuationToken/>"])
def test_a_truncated_listing_that_does_not_go_on_is_refused(marker: str) -> None:
    """It is not the whole, and nobody may take it for that."""
    with pytest.raises(UnexpectedAnswer, match="truncated"):
        parse_listing(
            f"<ListBucketResult><IsTruncated>true</IsTruncated>{marker}</ListBucketResult>".encode()
        )


@pytest.mark.parametrize(
    "inside",
    [b"<a %s/>", b"<!-- %s -->", b"<?a %s?>", b"</a %s>"],
    ids=["tag", "comment", "instruction", "end tag"],
)
def test_no_tag_is_longer_than_s3s(inside: bytes) -> None:
    """It would be one step of the parser, in which the whole mount stands still."""
    filled = b"".join(b"a%d='>' " % n for n in range(100_000))
    with pytest.raises(UnexpectedAnswer):
        parse(b"<L>" + inside.replace(b"%s", filled) + b"</L>")


def test_a_long_document_is_parsed_piece_by_piece() -> None:
    """Whatever stands where it is cut."""
    names = [f"ключ-{n}&" for n in range(40_000)]
    body = "".join(f"<K a='{n}'>{name.replace('&', '&amp;')}</K>" for n, name in enumerate(names))
    root = parse(f"<L>{body}</L>".encode())
    assert [child.text for child in root.all("K")] == names
