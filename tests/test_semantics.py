# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Every promise of docs/semantics.md is proven by a test whose docstring quotes its number."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "semantics.md"
NUMBER = re.compile(r"\bS\d+\.\d+\b")
PROMISE = re.compile(r"^- \*\*(S\d+\.\d+)\*\* ", re.MULTILINE)
CONDITION = re.compile(r"\((?:store|host):\s[^()]+\)")


def promises() -> list[str]:
    """The numbers of the document, in its order."""
    return PROMISE.findall(DOCUMENT.read_text())


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """The tests of a file, and what each says of itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""


def quotes() -> dict[str, list[str]]:
    """By number, the tests whose docstrings quote it."""
    found = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, said in docstrings(path):
            for number in NUMBER.findall(said):
                found[number].append(f"{path.relative_to(TESTS)}::{name}")
    return found


def test_every_promise_is_proven() -> None:
    """A promise that no test quotes is only a hope."""
    proven = quotes()
    assert [number for number in promises() if number not in proven] == []


def test_no_test_quotes_what_nobody_promises() -> None:
    """Numbers are stable: a promise that goes takes its quotes along."""
    known = set(promises())
    assert {number: tests for number, tests in quotes().items() if number not in known} == {}


def test_each_number_is_there_once_and_in_order() -> None:
    """So that it can be found, and stays the same promise's."""
    numbers = [tuple(map(int, number[1:].split("."))) for number in promises()]
    assert len(numbers) > 50
    assert all(one < other for one, other in pairwise(numbers))


def test_every_mentioned_number_exists_and_every_entry_is_numbered() -> None:
    """The document refers to its own promises only, and has no others."""
    text = DOCUMENT.read_text()
    assert set(NUMBER.findall(text)) == set(promises())
    entries = [line for line in text.splitlines() if line.startswith("- ")]
    assert [line for line in entries if not PROMISE.match(line)] == []


def test_conditions_are_written_in_one_way() -> None:
    """(store: ...) or (host: ...), so that they can be searched for."""
    body = DOCUMENT.read_text().partition("\n## ")[2]
    opened = re.findall(r"\((?:store|host)\b", body)
    assert len(opened) == len(CONDITION.findall(body)) > 10
