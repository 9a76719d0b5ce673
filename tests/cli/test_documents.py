# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What is generated from parsers and options is committed as generated, and can be used."""

import sys
from pathlib import Path

import pytest

from kontenumfs.cli import COMMANDS, module
from kontenumfs.cli.manual import PAGES, files
from kontenumfs.config.options import OPTIONS
from kontenumfs.protocol.exits import Exit
from tests.harness.mounts import kontenumfs, shell

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_files_are_what_would_be_generated() -> None:
    """`make docs` was run."""
    for path, text in files(DOCS).items():
        assert path.read_text() == text, f"{path}: run make docs"


def test_every_option_and_command_is_in_the_manual() -> None:
    """The table and the pages do not go apart."""
    toml, first = PAGES["kontenumfs.toml.5"](), PAGES["kontenumfs.1"]()
    assert all(f".B {name} = " in toml for name, option in OPTIONS.items() if option.section)
    names = [name.replace("-", r"\-") for name in COMMANDS]
    assert all(f".SS kontenumfs {name}" in first for name in names)
    assert all(code.meaning for code in Exit)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """--help is the parser's, and names the command."""
    said = kontenumfs(command, "--help").stdout
    assert said.startswith(f"usage: kontenumfs {command}")
    assert module(command).parser().description.splitlines()[0] in said


@pytest.mark.parametrize("page", PAGES)
def test_pages_print(page: str) -> None:
    """`kontenumfs manual PAGE` is the page itself."""
    assert kontenumfs("manual", page).stdout == PAGES[page]()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("unm", "unmount"),
        ("unmount --fo", "--force"),
        ("bucket cr", "create"),
        ("bucket delete --for", "--force"),
        ("completion ba", "bash"),
        ("mount -o symli", "symlinks="),
        ("mount -o deny", "deny_open"),
    ],
)
def test_bash_completes(tmp_path: Path, words: str, expected: str) -> None:
    """As bash asks for it."""
    (tmp_path / "completion").write_text(kontenumfs("completion", "bash").stdout)
    script = f"""
        source ./completion
        complete -p kontenumfs >/dev/null
        COMP_WORDS=(kontenumfs {words}); COMP_CWORD={len(words.split())}
        _shtab_kontenumfs
        echo "${{COMPREPLY[@]}}"
    """
    assert shell(script, tmp_path).stdout.split() == [expected]


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_other_shells_have_a_script(name: str) -> None:
    """Not run here: these shells are on few servers."""
    assert "kontenumfs" in kontenumfs("completion", name).stdout


def test_output_that_nobody_reads(tmp_path: Path) -> None:
    """A pager that was closed is no error to report."""
    done = shell(f"{sys.executable} -m kontenumfs manual | true; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")
