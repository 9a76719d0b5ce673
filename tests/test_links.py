# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The pages of the documentation: links and named files exist, and each page is of one kind."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]
KINDS = ("Tutorial", "How-to", "Reference", "Explanation")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:kontenumfs|tests|bench|docs|systemd|\.ci)/[\w./@-]*[\w/])`")


def prose(page: Path) -> str:
    """Return a page without its code blocks, in which brackets are no links."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    return re.sub(r"(?m)^    .*$", "", text)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(page))
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links within the repository."""
    yield from (target for target in LINK.findall(prose(page)) if "://" not in target)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """The file exists, and so does the heading in it."""
    wrong = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            wrong.append(target)
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    """A module or a test that has moved is moved in the text, too."""
    named = NAMED.findall(page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_is_in_the_index() -> None:
    """docs/README.md lists every page."""
    listed = {target for target in links(DOCS / "README.md") if "#" not in target}
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= listed


@pytest.mark.parametrize("page", sorted({*DOCS.glob("*.md")} - {DOCS / "README.md"}), ids=str)
def test_every_page_says_which_kind_it_is(page: Path) -> None:
    """A page teaches, solves a task, states facts or explains: one of these."""
    first = page.read_text().split("\n\n")[1]
    assert first.startswith(tuple(f"*{kind}.*" for kind in KINDS))
