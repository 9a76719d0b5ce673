# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The examples of the documentation: settings are accepted as they stand, and commands exist."""

import re
from pathlib import Path

import pytest

from kontenumfs.cli import COMMANDS
from tests.harness.mounts import kontenumfs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"(?ms)^```toml\n(.*?)^```$")
INDENTED = re.compile(r"(?m)^ {4}\[\[\w+\]\]\n(?:^ {4}.+\n)+")
BUCKET = "[mount]\nbucket = 'my-bucket'\nmountpoint = '/srv/origin'\n"


def examples() -> list[tuple[str, str]]:
    """Return the settings files that pages show, whole ones and rules, with their page's name."""
    found = []
    for page in PAGES:
        text = page.read_text()
        found += [(page.name, whole) for whole in FENCED.findall(text)]
        rules = [re.sub(r"(?m)^ {4}", "", rule) for rule in INDENTED.findall(text)]
        found += [(page.name, BUCKET + rule) for rule in rules]
    return found


def test_there_are_examples_of_both_kinds() -> None:
    """Or the patterns would find nothing, and prove it."""
    assert {name for name, _ in examples()} >= {"configuration.md", "how-to.md"}


@pytest.mark.parametrize(("page", "text"), examples())
def test_an_example_is_a_settings_file(tmp_path: Path, page: str, text: str) -> None:
    """`kontenumfs config` reads it without a complaint."""
    path = tmp_path / "origin.toml"
    path.write_text(text)
    done = kontenumfs("config", path)
    assert "my-bucket" in done.stdout, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    """In code, the word behind `kontenumfs` is a subcommand."""
    code = re.findall(r"`([^`\n]+)`|^ {4}(.+)$", page.read_text(), re.MULTILINE)
    lines = ["".join(pair) for pair in code]
    words = [match for line in lines for match in re.findall(r"^kontenumfs ([a-z-]+)", line)]
    assert [word for word in words if word not in COMMANDS] == []
