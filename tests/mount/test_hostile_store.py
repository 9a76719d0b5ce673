# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store that lies: nothing that is not the mount's own is touched, and the mount goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator
from tests.harness.mounts import MountFactory, kontenumfs, shell
from tests.harness.objects import ObjectStore
from tests.harness.proxy import LyingProxy
from tests.store import hostile
from tests.store.hostile import KINDS, Kind, answer

PRECIOUS = [f"precious/{number}" for number in range(5)]
MEMORY = 200 << 20
STAGING = b".kontenumfs"


@pytest.fixture
def proxy(emulator: Emulator) -> Iterator[LyingProxy]:
    """Between mounts and the emulator; honest at first."""
    made = LyingProxy(emulator)
    yield made
    made.close()


@pytest.fixture
def others(emulator: Emulator) -> Iterator[ObjectStore]:
    """Another program's objects in the same bucket."""
    bucket = ObjectStore(emulator.s3_url, "")
    for key in PRECIOUS:
        bucket.put(key, b"precious")
    yield bucket
    bucket.close()


def everything() -> bytes:
    """A listing that does not look at the prefix."""
    return b"<ListBucketResult>%s</ListBucketResult>" % b"".join(
        hostile.entry(key.encode()) for key in PRECIOUS
    )


def all_uploads() -> bytes:
    """The same of uploads."""
    return hostile.UPLOADS % b"".join(hostile.UPLOAD % (key.encode(), b"u") for key in PRECIOUS)


def untouched(proxy: LyingProxy, emulator: Emulator) -> bool:
    """Nothing was asked of the others' keys, and all of them are there."""
    asked = [head for head in proxy.heads if b"/precious" in head.split(b"\r\n")[0]]
    deleted = [head for head in proxy.heads if head.startswith((b"DELETE", b"POST /bucket?delete"))]
    return not asked and not deleted and all(emulator.exists(key) for key in PRECIOUS)


def test_mounting_deletes_nothing_where_listings_ignore_the_prefix(
    mount: MountFactory, proxy: LyingProxy, emulator: Emulator, others: ObjectStore
) -> None:
    """The clean-up of the staging area is given the whole bucket."""

    def lie(head: bytes) -> bytes | None:
        target = head.split(b" ")[1]
        if not head.startswith(b"GET") or STAGING not in target:
            return None
        return answer(b"200 OK", body=all_uploads() if b"uploads" in target else everything())

    proxy.lie = lie
    mounted = mount(server=proxy)
    lied = [head for head in proxy.heads if STAGING in head.split(b" ")[1]]
    assert lied
    assert untouched(proxy, emulator)
    assert "staging area was not cleared" in mounted.log.read_text()
    (mounted.path / "f").write_text("stored")
    assert mounted.fetch("f") == b"stored"


def test_a_store_that_ignores_prefixes_is_not_mounted(
    mount: MountFactory, proxy: LyingProxy, emulator: Emulator, others: ObjectStore
) -> None:
    """It would show, and move, what is not below the mount."""
    proxy.lie = lambda head: (
        answer(b"200 OK", body=everything()) if b"list-type=2" in head.split(b" ")[1] else None
    )
    target = mount.prefix
    directory = emulator.directory / "nowhere"
    directory.mkdir(exist_ok=True)
    done = kontenumfs(
        *("mount", "-o", f"endpoint={proxy.s3_url}", f"{BUCKET}/{target}", directory),
        check=False,
        environment={"KONTENUM_ACCESS_KEY": ACCESS, "KONTENUM_SECRET_KEY": SECRET},
    )
    assert done.returncode == Exit.STORE
    assert len(done.stderr.splitlines()) == 1
    assert "ListObjectsV2" in done.stderr
    assert untouched(proxy, emulator)


PROGRAMS: dict[hostile.Verb, tuple[str, str]] = {
    hostile.put: ("PUT", "echo x > new; sync new"),
    hostile.append: ("PUT", "echo x >> log"),
    hostile.head: ("HEAD", "touch -c log; stat log"),
    hostile.listing: ("GET", "ls -l"),
    hostile.delete: ("DELETE", "rm -f old"),
    hostile.copy: ("PUT", "mv log log.1"),
    hostile.complete: ("POST", "truncate -s 6M large"),
}
TRIED = [kind for kind in KINDS if kind.verb in PROGRAMS and not callable(kind.said)]


def test_a_mount_survives_every_broken_answer(
    mount: MountFactory, proxy: LyingProxy, tmp_path: Path
) -> None:
    """Programs hear an error or have it right; the daemon lives, and is small."""
    mounted = mount("deadline=1", "ttl=0", "metadata_delay=0s", server=proxy)
    mounted.expected = "."
    daemon = mounted.daemon()
    for kind in TRIED:
        method, program = PROGRAMS[kind.verb]
        at = f"cd {mounted.path} && "  # which may fail itself
        shell(at + "echo old > old; echo line > log; rm -f new log.1", tmp_path, check=False)
        proxy.lie = telling(kind, method.encode())
        shell(at + program, tmp_path, check=False)
        proxy.lie = lambda head: None
        assert mounted.daemon() == daemon, kind.name
    (mounted.path / "after").write_text("all is well")
    assert mounted.fetch("after") == b"all is well"
    assert mounted.peak_memory() < MEMORY
    assert not [head for head in proxy.heads if b"theirs" in head.split(b"\r\n")[0]]


def telling(kind: Kind, method: bytes) -> Callable[[bytes], bytes | None]:
    """A lie to every request of a method."""
    assert not callable(kind.said)
    said = kind.said[0]
    return lambda head: said if head.startswith(method) else None
