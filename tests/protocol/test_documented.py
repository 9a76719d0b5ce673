# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/protocol.md are what the signers make of them."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from kontenumfs.protocol.signing import KeyPair, Signable, signer_for
from kontenumfs.protocol.xml import parse_components

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
KEYS = KeyPair("AKEXAMPLE", "example-secret")

EXAMPLES = re.findall(r"(?m)^    ((?:PUT|DELETE) \S+) HTTP/1\.1\n((?:    .+\n)+)", PAGE)


def test_every_extension_and_signature_has_an_example() -> None:
    assert len(EXAMPLES) == 5
    for word in ("?append", "?compose", "?force_delete=true"):
        assert any(word in line for line, _ in EXAMPLES)


@pytest.mark.parametrize(("line", "block"), EXAMPLES)
def test_an_example_is_signed_as_it_says(line: str, block: str) -> None:
    unfolded = re.sub(r",\n\s+", ",", block)
    headers = dict(re.findall(r"(?m)^    ([A-Za-z0-9-]+): (.+)$", unfolded))
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    name, _, value = query.partition("=")
    said = headers.pop("Authorization")
    date = headers.pop("x-amz-date", "20260101T000000Z")
    payload = headers.pop("x-amz-content-sha256", "")
    if date.endswith("Z"):
        now = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    else:
        now = parsedate_to_datetime(date)
    kind = "v4" if said.startswith("AWS4-") else "v2" if said.startswith("AWS ") else "plain"
    request = Signable(method, path, [(name, value)], headers, payload)
    assert signer_for(kind, "us-east-1").sign(request, KEYS, now)["Authorization"] == said


def test_the_composition_is_one() -> None:
    (body,) = re.findall(r"(?m)^    (<ComposeRequest>.*)$", PAGE)
    assert parse_components(body.encode()) == ["logs/app.log"] * 2
    assert f"content-length: {len(body)}\n" in PAGE
