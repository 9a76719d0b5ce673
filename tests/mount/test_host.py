# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The host around a mount: other mount namespaces, odd names, a daemon killed while it is asked."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kontenumfs.admin.mounts import ask_mount, is_mountpoint, mount_table, uppermost
from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, await_end, kontenumfs, run, wait_until
from tests.harness.processes import comm


@contextmanager
def another_namespace(mounted: MountedBucket) -> Iterator[int]:
    """A process that keeps the mount, as a container does; its number."""
    command = ["unshare", "-m", "--propagation", "private", "sleep", "300"]
    with subprocess.Popen(command) as process:
        try:
            own = os.readlink("/proc/self/ns/mnt")
            wait_until(lambda: os.readlink(f"/proc/{process.pid}/ns/mnt") != own)
            wait_until(lambda: any(at.path == mounted.path for at in mount_table(process.pid)))
            wait_until(lambda: "sleep" in comm(process.pid))
            yield process.pid
        finally:
            process.kill()


def test_another_namespace_does_not_keep_the_daemon(mounted: MountedBucket) -> None:
    """It is named, the daemon ends, and the next mount is made."""
    (mounted.path / "f").write_text("content")
    with another_namespace(mounted) as holder:
        done = kontenumfs("unmount", "--timeout", "60", mounted.path)
        assert f"process {holder} (sleep)" in done.stderr
        mounted.mount()
        (mounted.path / "g").write_text("more")
    assert mounted.fetch("f") == b"content"
    assert mounted.fetch("g") == b"more"


def test_a_lazy_unmount_ends_the_daemon(mounted: MountedBucket) -> None:
    """Although another namespace keeps the mount: what is written there now is not ours."""
    pid = mounted.daemon()
    with another_namespace(mounted) as holder:
        run("umount", "-l", mounted.path)
        await_end(pid)
        said = mounted.log.read_text()
        assert f"process {holder} (sleep)" in said


def test_a_lazy_unmount_leaves_open_files_alone(mounted: MountedBucket) -> None:
    """Who writes here goes on until the file is closed, and then the daemon ends."""
    pid = mounted.daemon()
    with open(mounted.path / "f", "wb", buffering=0) as file:
        file.write(b"one ")
        run("umount", "-l", mounted.path)
        wait_until(lambda: not is_mountpoint(mounted.path))
        file.write(b"two")
    await_end(pid)
    assert mounted.fetch("f") == b"one two"


@pytest.mark.parametrize("way", ["mount", "unmount"])
def test_a_daemon_is_killed_while_it_is_asked(
    mount: MountFactory, emulator: Emulator, way: str
) -> None:
    """Nothing hangs for ever: not the daemon, not who asked, and not who clears it up."""
    mounted = mount("ttl=1", "deadline=300")
    directory = mounted.path / "d"
    directory.mkdir()
    for name in ("x", "y"):
        (directory / name).write_text(name)
    emulator.fault(op="DeleteObject", delay=60, count=None)
    with subprocess.Popen(["rm", directory / "x"], stderr=subprocess.DEVNULL) as remover:
        pid = mounted.daemon()
        wait_until(lambda: any(fault["seen"] for fault in emulator.faults()))
        kontenumfs("refresh", mounted.path)
        os.kill(pid, signal.SIGKILL)
        if way == "mount":
            mounted.mount()
        else:
            kontenumfs("unmount", "--force", mounted.path, check=False)
            assert not is_mountpoint(mounted.path)
        assert remover.wait(30) != 0
    await_end(pid)


@pytest.mark.parametrize("prefix", ["vod/é", "a b", "komma,\\back", "100%"])
def test_a_prefix_with_odd_characters_is_mounted(mount: MountFactory, prefix: str) -> None:
    """Mount tables know ASCII without commas only."""
    mounted = mount(prefix=prefix)
    (mounted.path / "f").write_text("content")
    assert mounted.fetch("f") == b"content"


def test_a_mountpoint_with_odd_characters_is_found(mounted: MountedBucket) -> None:
    """The kernel escapes what is special in its table."""
    for name in ("a b", "é", "tab\there", "back\\slash", "new\nline"):
        place = mounted.path.parent / name
        place.mkdir()
        run("mount", "--bind", place, place)
        try:
            assert is_mountpoint(place)
        finally:
            run("umount", place)


def test_a_mountpoint_that_is_not_utf8_is_mounted(mount: MountFactory) -> None:
    """A directory's name is bytes."""
    mounted = mount()
    mounted.unmount()
    place = mounted.path.parent / os.fsdecode(b"caf\xe9")
    place.mkdir()
    kontenumfs("mount", *mounted.words[:-1], place)
    try:
        (place / "f").write_text("content")
        assert mounted.fetch("f") == b"content"
        kontenumfs("status", "--json", place)
        kontenumfs("refresh", place)
    finally:
        kontenumfs("unmount", place)
    assert not is_mountpoint(place)


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_what_is_mounted_over_a_mount_is_left_alone(
    mounted: MountedBucket, options: tuple[str, ...]
) -> None:
    """It is somebody else's, and the mount below goes on."""
    run("mount", "-t", "tmpfs", "tmpfs", mounted.path)
    try:
        done = kontenumfs("unmount", *options, mounted.path, check=False)
        assert done.returncode == Exit.MOUNTPOINT
        assert "tmpfs is mounted over it" in done.stderr
        assert is_mountpoint(mounted.path, "tmpfs")
    finally:
        run("umount", mounted.path)
    (mounted.path / "f").write_text("content")
    assert mounted.fetch("f") == b"content"


def test_the_self_check_does_not_ask_the_store(mount: MountFactory, emulator: Emulator) -> None:
    """A store that is away is no reason to have the daemon killed; another mount there is."""
    mounted = mount("ttl=10ms", "deadline=1", prefix="self/check")
    found = uppermost(mounted.path)
    assert found is not None
    emulator.mark()
    emulator.fault(op="*", count=None, delay=60)
    ask_mount(mounted.path, found.device)
    ask_mount(mounted.path, None)
    emulator.clear_faults()
    assert not emulator.requests()
    with pytest.raises(OSError, match="not what is mounted"):
        ask_mount(mounted.path, found.device + 1)
    with pytest.raises(OSError, match="not what is mounted"):
        ask_mount(mounted.path.parent, found.device)
