# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The rings: imports point inwards only, and what is pure stays so."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kontenumfs

ROOT = Path(kontenumfs.__file__).parent
ALLOWED = {
    "protocol": set[str](),
    "store": {"protocol"},
    "tree": {"protocol", "store"},
    "writing": {"protocol", "store", "tree"},
    "fuse": {"protocol", "store", "tree", "writing"},
    "config": {"protocol", "store", "writing"},
    "admin": {"protocol", "store", "config"},
    "daemon": {"protocol", "store", "tree", "writing", "fuse", "config", "admin"},
    "cli": {"protocol", "store", "config", "admin", "daemon", "emulator"},
    "emulator": {"protocol"},
    "": {"cli"},
}
"""Ring -> the rings that it may import, besides itself; "" is the package's own modules."""

FORBIDDEN = {
    "protocol": {"httpx", "trio", "h11", "socket", "ssl", "os", "pathlib", "asyncio", "pyfuse3"},
    "store": {"pyfuse3", "asyncio", "uvicorn"},
    "tree": {"pyfuse3", "httpx", "h11", "socket", "asyncio"},
    "writing": {"pyfuse3", "httpx", "h11", "socket", "asyncio"},
    "fuse": {"httpx", "h11", "socket", "asyncio"},
    "config": {"pyfuse3", "trio", "httpx", "h11", "socket", "asyncio"},
    "admin": {"pyfuse3", "httpx", "h11", "asyncio"},
    "emulator": {"trio", "httpx", "pyfuse3"},
}
"""Ring -> what it must not import from outside: I/O in the pure ring, the kernel in the others."""

LONGEST_FUNCTION = 50
MODULES = sorted(ROOT.rglob("*.py"))


def ring_of(path: Path) -> str:
    """The ring that a module belongs to."""
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else ""


def imported(path: Path) -> Iterator[str]:
    """The full names of everything that a module imports, wherever it does so."""
    package = ["kontenumfs", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outer = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*outer, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def inner_ring(name: str) -> str | None:
    """The ring of an imported name, or None for what is not ours or in no ring."""
    parts = name.split(".")
    is_ours = parts[0] == "kontenumfs" and len(parts) > 1
    return parts[1] if is_ours and (ROOT / parts[1]).is_dir() else None


def named(path: Path) -> str:
    """A module as failures show it."""
    return str(path.relative_to(ROOT))


def test_imports_point_inwards_only() -> None:
    """A module imports its own ring and those inside it, and nothing else of ours."""
    wrong = [
        f"{named(path)} imports {name}"
        for path in MODULES
        for name in imported(path)
        if inner_ring(name) not in (None, ring_of(path), *ALLOWED[ring_of(path)])
    ]
    assert not wrong


def test_no_ring_imports_what_belongs_further_out() -> None:
    """protocol does no I/O, tree and writing know no kernel, fuse no network."""
    wrong = [
        f"{named(path)} imports {name}"
        for path in MODULES
        for name in imported(path)
        if name.split(".")[0] in FORBIDDEN.get(ring_of(path), ())
    ]
    assert not wrong


def test_every_package_is_a_ring_with_rules() -> None:
    """A new package needs a place among the rings."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(ALLOWED) - {""}


def test_functions_stay_short() -> None:
    """A function over 50 lines, its docstring not counted, wants to be two."""
    wrong = [
        f"{named(path)}: {node.name} has {length} lines"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := length_of(node)) > LONGEST_FUNCTION
    ]
    assert not wrong


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without those of its docstring."""
    assert node.end_lineno is not None
    docstring = len((ast.get_docstring(node) or "").splitlines())
    return node.end_lineno - node.lineno + 1 - docstring
