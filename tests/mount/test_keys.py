# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Keys and settings change while a mount runs, and nobody who writes notices."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.emulator import ACCESS, SECRET, Emulator, running_emulator
from tests.harness.mounts import MountedBucket, MountFactory, kontenumfs, wait_until

SECOND = ("AKSECOND", "sEcOnD/+test")
FILES = 300


@pytest.fixture
def two_keys(tmp_path: Path) -> Iterator[Emulator]:
    """An account with two pairs, of which the first alone is active; answers take their time."""
    pair = (f"--access-key={SECOND[0]}", f"--secret-key={SECOND[1]}", "--latency=5ms")
    with running_emulator(tmp_path / "two-keys", *pair) as emulator:
        emulator.activate(ACCESS)
        yield emulator


@pytest.fixture
def mounted(mount: MountFactory, two_keys: Emulator) -> MountedBucket:
    """A mount that knows the first pair."""
    return mount(server=two_keys)


def stored(emulator: Emulator) -> int:
    """How many objects were stored."""
    return sum(
        request["op"] == "PutObject" and request["status"] == 200 for request in emulator.requests()
    )


def replace(file: Path, text: str) -> None:
    """As an editor does it: a new file under the old name."""
    new = file.with_name("new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(file)


def access_key(mounted: MountedBucket) -> str:
    """The access key that the mount uses."""
    return str(json.loads(kontenumfs("status", "--json", mounted.path).stdout)["access_key"])


def test_rotation_under_rsync(mounted: MountedBucket, two_keys: Emulator, tmp_path: Path) -> None:
    """The vendor's steps while rsync writes: a new key, the old one off and gone; no file fails."""
    source = tmp_path / "source"
    for number in range(FILES):
        path = source / f"{number % 7}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(100 + number))
    rsync = subprocess.Popen(
        ["rsync", "-a", f"{source}/", f"{mounted.path}/"], stderr=subprocess.PIPE, text=True
    )
    with rsync:
        wait_until(lambda: stored(two_keys) > FILES // 6)
        two_keys.activate(ACCESS, SECOND[0])
        replace(mounted.credentials, f"{':'.join(SECOND)}\n{ACCESS}:{SECRET}\n")
        two_keys.activate(SECOND[0])
        at = stored(two_keys)
        wait_until(lambda: stored(two_keys) > at + FILES // 6)
        replace(mounted.credentials, f"{':'.join(SECOND)}\n")
        assert rsync.stderr is not None
        said = rsync.stderr.read()
        assert rsync.wait(60) == 0, said
        assert said == ""
    assert stored(two_keys) > at + FILES // 6
    for path in source.rglob("*.bin"):
        assert mounted.fetch(str(path.relative_to(source))) == path.read_bytes()
    assert access_key(mounted) == SECOND[0]
    assert mounted.log.read_text().count("key pairs read anew") >= 1


def test_the_second_pair_takes_over_once(mounted: MountedBucket, two_keys: Emulator) -> None:
    """Both pairs known, the first is deactivated: one warning, and no write fails."""
    replace(mounted.credentials, f"{ACCESS}:{SECRET}\n{':'.join(SECOND)}\n")
    wait_until(lambda: "key pairs read anew" in mounted.log.read_text())
    two_keys.activate(SECOND[0])
    for number in range(20):
        (mounted.path / f"{number}").write_text("content")
    said = [line for line in mounted.log.read_text().splitlines() if "was refused" in line]
    assert len(said) == 1
    assert "WARNING" in said[0]
    assert SECOND[0] in said[0]
    assert SECOND[1] not in mounted.log.read_text()


def test_a_refused_key_looks_at_its_file_at_once(
    mounted: MountedBucket, two_keys: Emulator
) -> None:
    """The file was written and the old key deactivated in the same moment."""
    for _ in range(2):
        replace(mounted.credentials, f"{':'.join(SECOND)}\n")
        two_keys.activate(SECOND[0])
        (mounted.path / "file").write_text("second")
        replace(mounted.credentials, f"{ACCESS}:{SECRET}\n")
        two_keys.activate(ACCESS)
        (mounted.path / "file").write_text("first")
    assert mounted.fetch("file") == b"first"


def test_a_bad_file_of_keys_changes_nothing(mounted: MountedBucket) -> None:
    """A file that is half written: the old pair goes on, and the log says why."""
    mounted.credentials.write_text("nonsense\n")
    wait_until(lambda: "not read anew" in mounted.log.read_text())
    (mounted.path / "file").write_text("content")
    assert mounted.fetch("file") == b"content"
    assert "nonsense" not in mounted.log.read_text()


def test_hangup_reads_settings_anew(mount: MountFactory, tmp_path: Path) -> None:
    """SIGHUP: rules by name count at once, and what needs a restart is named."""
    file = tmp_path / "origin.toml"
    file.write_text("[[headers]]\nmatch = '*.m3u8'\nCache-Control = 'max-age=2'\n")
    mounted = mount(f"config={file}")
    (mounted.path / "a.m3u8").write_text("1")
    file.write_text(
        "[cache]\nttl = 7\n[[headers]]\nmatch = '*.m3u8'\nCache-Control = 'max-age=9'\n"
    )
    os.kill(mounted.daemon(), signal.SIGHUP)
    wait_until(lambda: "read anew" in mounted.log.read_text())
    assert "from the next start on: ttl" in mounted.log.read_text()
    (mounted.path / "b.m3u8").write_text("1")
    ages = [
        os.getxattr(mounted.path / name, "user.http.cache-control") for name in ("a.m3u8", "b.m3u8")
    ]
    assert ages == [b"max-age=2", b"max-age=9"]


def test_hangup_with_a_broken_file(mount: MountFactory, tmp_path: Path) -> None:
    """The mount goes on with what it has, and the log names the line."""
    file = tmp_path / "origin.toml"
    file.write_text("[[headers]]\nmatch = '*'\nCache-Control = 'max-age=2'\n")
    mounted = mount(f"config={file}")
    file.write_text("[[headers]]\nmatch = '*'\nCache-Control = 5\n")
    os.kill(mounted.daemon(), signal.SIGHUP)
    wait_until(lambda: "not reloaded" in mounted.log.read_text())
    assert f"{file}, line 3: Cache-Control takes one line" in mounted.log.read_text()
    (mounted.path / "a").write_text("1")
    assert os.getxattr(mounted.path / "a", "user.http.cache-control") == b"max-age=2"
    mounted.expected = "not reloaded"
