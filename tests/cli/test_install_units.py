# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""`kontenumfs install-units`: what it puts in place, and takes away again."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kontenumfs.admin.units import UNITS, Installation
from tests.harness.mounts import kontenumfs, run

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("kontenumfs")


def install(root: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run it for an image."""
    return kontenumfs("install-units", "--root", root, *words, check=check)


def below(root: Path) -> set[str]:
    """Every file and link."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_units_helpers_and_command(tmp_path: Path) -> None:
    """Units call this installation; mount(8) finds its helpers; all users find the command."""
    said = install(tmp_path).stdout
    links = {f"usr/sbin/mount.{kind}" for kind in ("kontenumfs", "fuse.kontenumfs")}
    assert below(tmp_path) == {*UNITS.values(), *links, "usr/local/bin/kontenumfs"}
    assert len(said.splitlines()) == len(below(tmp_path))
    for unit in ("kontenumfs@.service", "kontenumfs-sandbox@.service"):
        text = (tmp_path / UNITS[unit]).read_text()
        calls = re.findall(r"\S+/bin/kontenumfs\b", text)
        assert set(calls) <= {str(PROGRAM), f"ExecStart={PROGRAM}", f"ExecStopPost=-{PROGRAM}"}
        assert len(calls) >= 2
    for link in links:
        assert run(tmp_path / link, check=False).returncode == 32
    assert run(tmp_path / "usr/local/bin/kontenumfs", "--version").stdout.startswith("kontenumfs")


@pytest.mark.parametrize("umask", [0o077, 0o777, 0])
def test_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    """All users find the command and the units; nobody else may change them."""
    old = os.umask(umask)
    try:
        made = list(Installation.of(tmp_path).install())
    finally:
        os.umask(old)
    for path in made:
        if not path.is_symlink():
            assert path.stat().st_mode & 0o777 == 0o644
        inside = path.relative_to(tmp_path).parents
        assert {(tmp_path / at).stat().st_mode & 0o777 for at in list(inside)[:-1]} == {0o755}


def test_a_system_with_one_sbin(tmp_path: Path) -> None:
    """/sbin may be a link of the image."""
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "sbin").symlink_to("usr/bin")
    install(tmp_path)
    assert (tmp_path / "usr/bin/mount.kontenumfs").is_symlink()


def test_twice_and_away_again(tmp_path: Path) -> None:
    """An upgrade writes anew; nothing of ours stays after --uninstall."""
    install(tmp_path)
    before = below(tmp_path)
    install(tmp_path)
    assert below(tmp_path) == before
    install(tmp_path, "--uninstall")
    assert below(tmp_path) == set()
    assert install(tmp_path, "--uninstall").stdout == ""


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """Neither written over nor removed."""
    unit, helper = tmp_path / UNITS["kontenumfs@.service"], tmp_path / "usr/sbin/mount.kontenumfs"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    done = install(tmp_path, check=False)
    assert (done.returncode, f"{unit}: is not ours" in done.stderr) == (2, True)
    unit.unlink()
    helper.parent.mkdir(parents=True)
    helper.write_text("#!/bin/sh\n")
    assert f"{helper}: is not ours" in install(tmp_path, check=False).stderr
    install(tmp_path, "--uninstall")
    assert below(tmp_path) == {str(helper.relative_to(tmp_path))}


def test_a_link_of_that_name_may_be_somebody_elses(tmp_path: Path) -> None:
    """Where it leads says whose it is; one that leads nowhere is left of an older kontenumfs."""
    link = tmp_path / "usr/sbin/mount.kontenumfs"
    other = tmp_path / "opt/mount.kontenumfs"
    for directory in (link.parent, other.parent):
        directory.mkdir(parents=True)
    other.write_text("#!/bin/sh\n")
    link.symlink_to(other)
    assert f"{link}: is not ours" in install(tmp_path, check=False).stderr
    install(tmp_path, "--uninstall")
    assert link.is_symlink()
    other.unlink()
    install(tmp_path)
    assert link.resolve() == PROGRAM.with_name("mount.kontenumfs").resolve()


@pytest.mark.parametrize(
    ("program", "hidden"),
    [
        ("/root/venv/bin/kontenumfs", True),
        ("/home/me/bin/kontenumfs", True),
        ("/opt/kontenumfs/bin/kontenumfs", False),
        ("/homestead/kontenumfs", False),
    ],
)
def test_what_a_sandbox_cannot_see_is_said(tmp_path: Path, program: str, hidden: bool) -> None:
    """ProtectHome= takes homes away from the sandboxed service."""
    installation = Installation(tmp_path, Path(program), PROJECT / "systemd")
    assert bool(installation.warning) is hidden


def test_the_units_are_in_the_wheel(tmp_path: Path) -> None:
    """What pip installs has them, and an installation from it finds them."""
    for part in ("kontenumfs", "systemd", "docs", "pyproject.toml", "README.md", "LICENSE"):
        run("cp", "-r", PROJECT / part, tmp_path / part)
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path / "wheel", tmp_path)
    (wheel,) = (tmp_path / "wheel").iterdir()
    prefix = tmp_path / "installed"
    run(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", "--prefix", prefix, wheel)
    with zipfile.ZipFile(wheel) as packed:
        names = {name.partition("/share/kontenumfs/")[2] for name in packed.namelist()} - {""}
    tree = PROJECT / "systemd"
    assert names == {f"systemd/{path}" for path in below(tree)}
    (site,) = prefix.glob("lib/python*/site-packages")
    script = (
        f"import sys; sys.path.insert(0, {str(site)!r}); "
        "from kontenumfs.admin import units; print(units._source())"
    )
    found = run(sys.executable, "-c", script, cwd="/").stdout.strip()
    assert found == str(prefix / "share/kontenumfs/systemd")
