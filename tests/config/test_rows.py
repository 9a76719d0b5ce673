# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A new option is one row: a copy of the package that has one more shows it everywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kontenumfs

TABLE = "class MountOptions:\n"
ROW = '    paint: str = option(one_of("red", "green"), "red", "cache", "colour", reload=True)\n'
SWITCH = '    shiny: bool = option(SWITCH, False, "mount", "with a gloss")\n'
USE = """
import os, sys
from functools import partial
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.settings import read_settings

live = LiveSettings(partial(read_settings, [], os.environ, name="m"), os.environ)
print(live.settings.options.paint, live.settings.options.shiny)
with open(sys.argv[1], "w") as file:
    file.write("[cache]\\npaint = 'red'\\n[mount]\\nshiny = false\\n")
print(live.reload())
print(live.settings.options.paint)
"""


class Copy:
    """A copy of the package with two rows more, and a mount "m" to set up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        source = Path(kontenumfs.__file__).parent
        shutil.copytree(
            source, directory / source.name, ignore=shutil.ignore_patterns("__pycache__")
        )
        table = directory / "kontenumfs/config/options.py"
        before, head, after = table.read_text().partition(TABLE)
        docstring, end, rows = after.partition('"""\n\n')
        table.write_text(before + head + docstring + end + ROW + SWITCH + rows)
        self.file = directory / "m.toml"
        self.file.write_text("[cache]\npaint = 'green'\n[mount]\nshiny = true\n")
        (directory / "m.keys").write_text("A:s\n")
        (directory / "m.keys").chmod(0o600)

    def python(self, *words: str, code: int = 0) -> str:
        """Run Python there; returns what it says, on both outputs."""
        ours = {"PYTHONPATH": str(self.directory), "KONTENUM_CONFIG_DIR": str(self.directory)}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.directory,
            env=os.environ | ours,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def command(self, *words: str, code: int = 0) -> str:
        """Run the command."""
        return self.python("-m", "kontenumfs", *words, code=code)

    def shown(self, *words: str) -> str:
        """The option's line of ``kontenumfs config``, with single blanks."""
        said = self.command("config", *words).splitlines()
        return next(" ".join(line.split()) for line in said if line.startswith("paint"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


def test_every_way_to_set_it(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, file, environment and option, and what is wrong with each."""
    assert copy.shown() == "paint = red # default"
    assert copy.shown("m") == f"paint = green # {copy.file}, line 2"
    monkeypatch.setenv("KONTENUM_PAINT", "red")
    assert copy.shown("m") == "paint = red # KONTENUM_PAINT"
    assert copy.shown("-o", "nodev,paint=green,shiny") == "paint = green # option"
    wrong = copy.command("config", "-o", "paint=blue", code=2)
    assert wrong == "kontenumfs: mount option paint: 'blue' is none of red, green\n"
    assert "did you mean 'paint'?" in copy.command("config", "-o", "pain=red", code=2)


def test_a_mount_uses_it_and_reloads_it(copy: Copy) -> None:
    """The field is there, and a reload names what waits for the next start."""
    copy.file.write_text("[cache]\npaint = 'green'\n[mount]\nshiny = true\n")
    first, reloaded, second = copy.python("-c", USE, str(copy.file)).splitlines()
    assert first == "green True"
    assert reloaded.endswith("these count from the next start on: shiny")
    assert second == "red"


def test_every_text_has_it(copy: Copy) -> None:
    """--help, the shells' completion, the manual pages and the reference."""
    said = copy.command("mount", "--help")
    assert "\n  paint=red|green                  colour (default red)\n" in said
    assert "(paint= shiny " in copy.command("completion", "bash")
    documents = copy.directory / "docs"
    shutil.copytree(Path(kontenumfs.__file__).parents[1] / "docs", documents)
    copy.command("manual", "--write", str(documents))
    reference = (documents / "configuration.md").read_text()
    assert "| `paint` | red, green | red | yes | colour |\n" in reference
    assert "| `shiny` | true, false | false |  | with a gloss |\n" in reference
    page = (documents / "man/kontenumfs.toml.5").read_text()
    assert "\n.B paint = red|green\nColour (default red). A reload changes it.\n" in page
    assert "\n.B shiny\nWith a gloss.\n" in (documents / "man/mount.kontenumfs.8").read_text()
