# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Odd requests on the control socket: each is refused in one line, and none is a defect."""

import json
import socket

import pytest

from kontenumfs.admin.runtime import own_runtime_file
from tests.harness.mounts import MountedBucket, MountFactory

LONE, NUL, DEEP = "\\ud800", "a\\u0000b", "[" * 100_000 + "]" * 100_000
ODD = ("null", "true", "7", "9" * 5000, "1e999", "[]", "{}", "[[]]", "[7]", DEEP)
TEXTS = (f'"{LONE}"', f'"x/{LONE}/y"', f'"{NUL}"', '"\\udcff"')
REQUESTS = [
    "",
    "no JSON",
    "\xff",
    "[]",
    "null",
    DEEP,
    "{}",
    *(f'{{"command": {value}}}' for value in (*ODD, *TEXTS, json.dumps("x" * 100_000))),
    *(
        f'{{"command": "{command}", "path": {value}, "hidden": true}}'
        for command in ("refresh", "ls")
        for value in (*ODD, *TEXTS)
    ),
    *(f'{{"command": "refresh", "recursive": {value}}}' for value in ("7", "null", '"yes"')),
    *(
        f'{{"command": "concat", "target": {target}, "sources": {sources}}}'
        for target, sources in (
            *((value, '["a"]') for value in (*ODD, *TEXTS, '""', '"/"', '".."')),
            *(('"t"', value) for value in (*ODD[:5], "{}", "[[]]", "[7]", DEEP)),
            *(('"t"', f"[{value}]") for value in (*ODD, *TEXTS, '""', '".."')),
        )
    ),
]


def answers(mounted: MountedBucket, request: str) -> list[dict[str, object]]:
    """All lines of the answer to one raw request."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(own_runtime_file(mounted.path, "sock")))
        client.sendall(request.encode("latin-1") + b"\n")
        with client.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


def test_odd_requests_are_refused_and_are_no_defects(mount: MountFactory) -> None:
    """Wrong types, lone surrogates, NUL, depth, length, no JSON."""
    mounted = mount()
    for request in REQUESTS:
        last = answers(mounted, request)[-1]
        error = str(last.get("error", ""))
        assert error, (request[:200], last)
        assert "defect" not in error, request[:200]
        assert error.isprintable(), request[:200]
        assert len(error) < 1000, request[:200]
    (result,) = answers(mounted, '{"command": "status"}')
    assert isinstance(result["result"], dict)
    assert result["result"]["errors"] == 0


@pytest.mark.parametrize("path", ["", "none", "a//b/", "../..", "x" * 10_000])
def test_a_refresh_of_what_is_not_there_is_none(mount: MountFactory, path: str) -> None:
    """Any text may be given."""
    mounted = mount()
    (result,) = answers(mounted, json.dumps({"command": "refresh", "path": path}))
    assert "result" in result, result
