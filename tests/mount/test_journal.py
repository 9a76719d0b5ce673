# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the midst of a request: the next daemon says how it ended, and clears up."""

import os
import subprocess
import zlib
from contextlib import suppress

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, shell
from tests.mount.test_files import eventually
from tests.mount.test_writing import MIB, noise

TOLD = "the last daemon ended during an append"


def journal(mounted: MountedBucket) -> bytes:
    """What the mount has under way."""
    (file,) = (mounted.log.parent / "cache").glob("*.journal")
    return file.read_bytes()


def remount(mounted: MountedBucket) -> None:
    """Clear away what a killed daemon left, and start another."""
    mounted.unmount()
    mounted.mount()


@pytest.mark.parametrize("arrives", [False, True])
def test_an_append_that_was_cut_short(
    mount: MountFactory, emulator: Emulator, arrives: bool
) -> None:
    """S11.2: Key, place, length and checksum are in the log, and whether the bytes arrived."""
    other = mount()
    (other.path / "log").write_bytes(b"before\n")
    mounted = mount("append_interval=0")
    emulator.fault(op="AppendObject", key=mounted.key("log"), delay=60, count=1)
    body = noise(8 * MIB)  # one chunk
    handle = os.open(mounted.path / "log", os.O_WRONLY)
    os.pwrite(handle, body, 7)
    eventually(lambda: b'"append"' in journal(mounted))
    mounted.kill()
    with suppress(OSError):
        os.close(handle)
    emulator.clear_faults()
    if arrives:
        with open(other.path / "log", "ab", buffering=0) as file:
            file.write(body)
    remount(mounted)
    eventually(lambda: TOLD in mounted.log.read_text())
    (line,) = (line for line in mounted.log.read_text().splitlines() if TOLD in line)
    assert f"{mounted.key('log')!r} offset=7 bytes={8 * MIB} crc32={zlib.crc32(body):08x}" in line
    assert line.endswith("it was stored" if arrives else "it was not stored")
    remount(mounted)  # it is told once
    assert mounted.log.read_text().count(TOLD) == 1


def test_an_upload_that_was_cut_short(mount: MountFactory, emulator: Emulator) -> None:
    """S11.3: Parts of an object that was to be replaced cost money until somebody aborts them."""
    mounted = mount()
    path = mounted.path / "file"
    path.write_bytes(noise(20 * MIB))
    emulator.fault(op="UploadPartCopy", delay=60, count=1)
    command = ["dd", "if=/dev/zero", f"of={path}", "bs=6M", "seek=1", "count=1", "conv=notrunc"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as writer:
        eventually(lambda: b'"upload"' in journal(mounted))
        mounted.kill()
    assert writer.returncode
    emulator.clear_faults()
    emulator.mark()
    remount(mounted)
    eventually(lambda: emulator.counts()["AbortMultipartUpload"] == 1)
    assert {r["key"] for r in emulator.requests() if r["op"] == "AbortMultipartUpload"} == {
        mounted.key("file")
    }
    assert mounted.fetch("file") == noise(20 * MIB)
    remount(mounted)
    assert emulator.counts()["AbortMultipartUpload"] == 1


def helpers(emulator: Emulator, mounted: MountedBucket) -> set[str]:
    """The objects below `.kontenumfs/` that are there."""
    emulator_keys = {str(request["key"]) for request in emulator.all_requests()}
    area = mounted.key(".kontenumfs/")
    return {key for key in emulator_keys if key.startswith(area) and emulator.exists(key)}


@pytest.mark.parametrize("op", ["AppendObject", "ComposeObject"])
def test_helper_objects_that_a_killed_daemon_has_left(
    mount: MountFactory, emulator: Emulator, op: str
) -> None:
    """S7.1, S11.3: The scratch keys of the probe, and what a join was made of: deleted at once."""
    mounted = mount()
    pattern = f"{mounted.key('.kontenumfs/')}*"
    if op == "ComposeObject":
        shell("echo one >> log; echo two > other", mounted.path)  # the probe is over
    emulator.fault(op=op, key=pattern, delay=60)
    script = "echo one >> log" if op == "AppendObject" else "printf X | dd of=log bs=1 conv=notrunc"
    with subprocess.Popen(script, shell=True, cwd=mounted.path, stderr=subprocess.DEVNULL):
        eventually(lambda: any(fault["seen"] for fault in emulator.faults()))
        eventually(lambda: bool(helpers(emulator, mounted)))
        mounted.kill()
    emulator.clear_faults()
    remount(mounted)
    eventually(lambda: not helpers(emulator, mounted))
    shell("echo two >> log", mounted.path)
    assert mounted.fetch("log").endswith(b"two\n")
