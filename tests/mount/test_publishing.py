# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""When the CDN sees what: publish=, append_interval=, temporary names, and the rules by glob."""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, kontenumfs, run, shell
from tests.mount.test_files import eventually
from tests.mount.test_writing import MIB, noise


def config(tmp_path: Path, text: str) -> str:
    """A configuration file, as a mount option."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    return f"config={path}"


def test_a_slow_log_can_be_followed(mount: MountFactory, emulator: Emulator) -> None:
    """S2.1: What waits longer than append_interval is appended, with the file still open."""
    mounted = mount("append_interval=0.2")
    with open(mounted.path / "log", "ab", buffering=0) as log:
        log.write(b"first\n")
        eventually(lambda: mounted.exists("log") and mounted.fetch("log") == b"first\n")
        log.write(b"second\n")
        eventually(lambda: mounted.fetch("log") == b"first\nsecond\n")
    assert emulator.sent(mounted.key("log")) == len(b"first\nsecond\n")


def test_atomic_shows_nothing_before_close(mount: MountFactory) -> None:
    """S2.2: publish=atomic: new names, old names and appends, longer than memory and slower."""
    mounted = mount("publish=atomic,append_interval=0.1,memory=16M")
    shell("echo old > old; echo old > log", mounted.path)
    data = noise(40 * MIB)
    for name, mode, before in (
        ("new", "wb", None),
        ("old", "wb", b"old\n"),
        ("log", "ab", b"old\n"),
    ):
        with open(mounted.path / name, mode, buffering=0) as file:
            for at in range(0, len(data), MIB):
                file.write(data[at : at + MIB])
            assert (mounted.fetch(name) if mounted.exists(name) else None) == before
        assert mounted.fetch(name) == (b"old\n" if mode == "ab" else b"") + data


def test_live_replaces_in_the_open(mount: MountFactory) -> None:
    """S2.2: publish=live: the new content of an old name grows under the eyes of the CDN."""
    mounted = mount("publish=live,append_interval=0.2")
    (mounted.path / "page").write_bytes(b"old")
    with open(mounted.path / "page", "wb", buffering=0) as file:
        file.write(b"new")
        eventually(lambda: mounted.fetch("page") == b"new")


def test_rules_by_glob(mount: MountFactory, tmp_path: Path) -> None:
    """The first rule that matches decides; a pattern without a slash is for the name."""
    rules = """
    [[files]]
    match = ["*.part", "private/*"]
    publish = "atomic"
    [[files]]
    match = "*.slow"
    append_interval = "1h"
    """
    mounted = mount("append_interval=0.1", config(tmp_path, rules))
    (mounted.path / "private").mkdir()
    with ExitStack() as stack:
        for name in ("a.part", "private/b", "c.slow", "d.log"):
            file = stack.enter_context(open(mounted.path / name, "wb", buffering=0))
            file.write(b"content")
        eventually(lambda: mounted.exists("d.log"))
        assert not any(mounted.exists(name) for name in ("a.part", "private/b", "c.slow"))
    assert all(mounted.exists(name) for name in ("a.part", "private/b", "c.slow"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[files]\n", "line 1"),
        ("[other]\n", "line 1: unknown section [other]"),
        ("[files]\n", "write [[files]]"),
        ("[[files]]\npublish='live'\n", "match is missing"),
        ("[[files]]\nmatch='*'\npublish='never'\n", "line 3: publish = 'never' is none of auto"),
        ("[[files]]\nmatch='*'\nspeed=1\n", "line 3: unknown key 'speed'"),
        ("[[headers]]\nmatch='*'\nAuthorization='x'\n", "Authorization is no header"),
        (
            "[[headers]]\nmatch='*'\nTransfer-Encoding='chunked'\n",
            "Transfer-Encoding is no",
        ),
        ("[[headers]]\nmatch='*'\nIf-Match='x'\n", "a header of the request itself"),
        ("[[headers]]\nmatch='*'\nCache-Control='a '\n", "Cache-Control has a blank at an end"),
        ('[[headers]]\nmatch="*"\nCache-Control="a\\nb"\n', "one line"),
    ],
)
def test_a_wrong_configuration(
    emulator: Emulator, tmp_path: Path, text: str, complaint: str
) -> None:
    """One line that names the file and the place; nothing is mounted."""
    (tmp_path / "mnt").mkdir()
    done = kontenumfs(
        *("mount", "-o", f"endpoint={emulator.s3_url}", "-o", config(tmp_path, text)),
        *("bucket", tmp_path / "mnt"),
        check=False,
        environment={"KONTENUM_ACCESS_KEY": "AK", "KONTENUM_SECRET_KEY": "SK"},
    )
    assert done.returncode not in (0, 1)
    assert len(done.stderr.splitlines()) == 1
    assert complaint in done.stderr
    assert "config.toml" in done.stderr
    assert not os.path.ismount(tmp_path / "mnt")


def test_rsync_sends_one_request_a_file(
    mount: MountFactory, emulator: Emulator, tmp_path: Path
) -> None:
    """S1.7: 1,000 files in 20 directories: at most 1.1 object requests a file; then none."""
    source = tmp_path / "source"
    for number in range(1000):
        path = source / f"d{number % 20}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise(10 * 1024))
    os.utime(source, (1e9, 1e9))  # or it is the mount's own for a second, and rsync leaves it
    mounted = mount()
    run("rsync", "-a", f"{source}/", mounted.path)
    mounted.unmount()
    counts = emulator.counts()
    requests = sum(n for name, n in counts.items() if not name.startswith("List"))
    assert requests <= 1100, counts
    for number in range(0, 1000, 37):
        assert mounted.fetch(f"d{number % 20}/f{number}") == noise(10 * 1024)
    mounted.mount()
    emulator.mark()
    run("rsync", "-a", f"{source}/", mounted.path)
    counts = emulator.counts()
    assert counts.keys() <= {"ListObjectsV2", "HeadObject", "ListMultipartUploads"}
    emulator.mark()
    run("rsync", "-a", f"{source}/", mounted.path)
    assert emulator.counts().keys() <= {"ListObjectsV2"}


def test_a_temporary_name_is_stored_when_nobody_renames_it(mount: MountFactory) -> None:
    """S1.8: After two seconds, at fsync, and at the end of the mount."""
    mounted = mount("temporary=*.tmp:*.new")

    def make(name: str, *, sync: bool = False) -> None:
        handle = os.open(mounted.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(handle, b"content")
        if sync:
            os.fsync(handle)
        os.close(handle)

    make("synced.tmp", sync=True)
    assert mounted.fetch("synced.tmp") == b"content"
    make("waits.tmp")
    assert not mounted.exists("waits.tmp")
    assert (mounted.path / "waits.tmp").stat().st_size == 7
    eventually(lambda: mounted.exists("waits.tmp"))
    make("ends.new")
    make(".rsync.AbC123")
    mounted.unmount()
    assert mounted.fetch("ends.new") == b"content"
    assert mounted.fetch(".rsync.AbC123") == b"content"


def replaced(commands: Callable[[int], str], mounted: MountedBucket, contents: list[bytes]) -> None:
    """Run a command for each round, while a thread fetches: only whole contents are seen."""
    wrong: list[int] = []
    stop = threading.Event()

    def fetch() -> None:
        while not stop.is_set():
            seen = mounted.fetch("movie.ts")
            if seen not in contents:
                wrong.append(len(seen))

    fetcher = threading.Thread(target=fetch)
    fetcher.start()
    try:
        for number in range(9):
            shell(commands(number), mounted.path)
    finally:
        stop.set()
        fetcher.join()
    assert wrong == []


def test_half_objects_are_never_seen(mount: MountFactory, tmp_path: Path) -> None:
    """S2.3, S5.6: cp, rsync --inplace and mv over a 64 MiB object: the old or the new one,
    whole.
    """
    mounted = mount()
    contents = [bytes([number]) + noise(64 * MIB) for number in range(3)]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    (mounted.path / "movie.ts").write_bytes(contents[0])

    def command(number: int) -> str:
        source = tmp_path / str(number % 3)
        return [
            f"cp {source} movie.ts",
            f"rsync --inplace --ignore-times {source} movie.ts",
            f"cp {source} other && mv other movie.ts",
        ][number // 3]

    replaced(command, mounted, contents)
