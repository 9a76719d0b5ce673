# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The rings: imports point inwards only, and each ring keeps to its own libraries."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kontenumfs"
INNER: dict[str, set[str]] = {
    "protocol": set(),
    "store": {"protocol"},
    "tree": {"protocol", "store"},
    "writing": {"protocol", "store", "tree"},
    "fuse": {"protocol", "store", "tree", "writing"},
    "daemon": {"protocol", "store", "tree", "writing", "fuse"},
    "cli": {"protocol", "store", "tree", "writing", "fuse", "daemon", "emulator"},
    "emulator": {"protocol"},
}
FOREIGN: dict[str, set[str]] = {
    "pyfuse3": {"fuse", "daemon"},
    "trio": {"store", "tree", "writing", "fuse", "daemon", "cli"},
    "httpx": {"store"},
    "uvicorn": {"emulator"},
    "socket": {"store", "emulator", "cli"},
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, by its dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the ring"
            yield node.module or ""


def test_every_ring_is_known() -> None:
    """A new package is a decision."""
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(INNER)


@pytest.mark.parametrize("ring", INNER)
def test_imports_point_inwards(ring: str) -> None:
    """A ring imports itself and the rings inside it, and only the libraries that are its own."""
    for path in (PACKAGE / ring).glob("*.py"):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "kontenumfs" and len(parts) > 1:
                assert parts[1] in INNER[ring] | {ring}, f"{path} imports {name}"
            elif parts[0] in FOREIGN:
                assert ring in FOREIGN[parts[0]], f"{path} imports {name}"
