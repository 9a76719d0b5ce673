# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The rings: imports point inwards only and never in a circle, and what is large is cut."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import kontenumfs
from kontenumfs.tree.node import Directory, File, Node

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

NODE_WRITERS = {
    f"tree/{name}.py"
    for name in ("node", "cache", "observations", "changes", "refresh", "eviction", "inodes")
}
"""Modules that assign to attributes of nodes: the cache, and the inode table."""

LONGEST_FUNCTION = 50
LONGEST_MODULE = 420
MOST_METHODS = 24
"""Of a class: properties count, what it inherits does not."""

INTERFACES = {"fuse/operations.py: Operations"}
"""Classes with a method for each call of an interface that is not ours to cut: the kernel's, the
store's."""

MODULES = sorted(ROOT.rglob("*.py"))


def ring_of(path: Path) -> str:
    """The ring that a module belongs to."""
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else ""


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[str]:
    """The full names of everything that a module imports, wherever it does so.

    That is at its top, in a function, and for the type checker alone: ``if TYPE_CHECKING`` hides
    no dependency, it only has Python not stumble over a circle.
    """
    package = ["kontenumfs", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(parsed(path)):
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


def module_of(name: str) -> Path | None:
    """The module of ours that an imported name is, or is defined in."""
    parts = name.split(".")
    while parts and parts[0] == "kontenumfs":
        at = ROOT.joinpath(*parts[1:])
        for path in (at.with_suffix(".py"), at / "__init__.py"):
            if path.is_file():
                return path
        parts.pop()
    return None


def import_graph() -> dict[Path, list[Path]]:
    """What each module of ours imports of ours."""
    graph = {}
    for path in MODULES:
        found = {module_of(name) for name in imported(path)}
        graph[path] = sorted(other for other in found if other not in (None, path))
    return graph


def circles(graph: dict[Path, list[Path]]) -> list[list[Path]]:
    """Circles of a graph, one for each way back that a search finds; none if there is none."""
    found: list[list[Path]] = []
    finished: set[Path] = set()

    def visit(path: Path, way: list[Path]) -> None:
        if path in way:
            found.append([*way[way.index(path) :], path])
        elif path not in finished:
            for other in graph[path]:
                visit(other, [*way, path])
            finished.add(path)

    for path in graph:
        visit(path, [])
    return found


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


def test_no_imports_in_a_circle() -> None:
    """Each module can be understood after those that it imports, in some order."""
    wrong = [" -> ".join(named(path) for path in circle) for circle in circles(import_graph())]
    assert not wrong


def test_circles_are_found() -> None:
    """Of any length, whichever module the search begins with."""
    a, b, c, d = (Path(name) for name in "abcd")
    assert circles({a: [b], b: [c, d], c: [], d: [c]}) == []
    assert circles({a: [b], b: [c], c: [b], d: [a]}) == [[b, c, b]]
    assert circles({d: [d]}) == [[d, d]]


def test_nodes_are_written_by_the_cache_alone() -> None:
    """All others call its methods, so what is known of a name changes in one place."""
    kinds = (Node, File, Directory)
    attributes = {slot for kind in kinds for slot in kind.__slots__} | {"info"}
    wrong = [
        f"{named(path)}:{target.lineno} writes {ast.unparse(target)}"
        for path in MODULES
        if named(path) not in NODE_WRITERS
        for target in ast.walk(parsed(path))
        if isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store | ast.Del)
        if target.attr in attributes and ast.unparse(target.value) != "self"
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
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := length_of(node)) > LONGEST_FUNCTION
    ]
    assert not wrong


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without those of its docstring."""
    assert node.end_lineno is not None
    docstring = len((ast.get_docstring(node) or "").splitlines())
    return node.end_lineno - node.lineno + 1 - docstring


def test_modules_stay_short() -> None:
    """A module over 420 lines wants to be two."""
    wrong = {named(path) for path in MODULES if len(path.read_text().splitlines()) > LONGEST_MODULE}
    assert not wrong


def test_classes_stay_small() -> None:
    """A class with 25 methods or more wants to be two."""
    wrong = {
        f"{named(path)}: {node.name}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and methods_of(node) > MOST_METHODS
    }
    assert not wrong - INTERFACES


def methods_of(node: ast.ClassDef) -> int:
    """How many methods and properties a class defines."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return len({part.name for part in node.body if isinstance(part, kinds)})
