# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What programs see of `durability=spool`: they go on at the disk's speed, and nothing is lost."""

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, kontenumfs, shell, wait_until

Spooled = Callable[..., MountedBucket]


@pytest.fixture
def spooled(own_emulator: Emulator, mount: MountFactory, tmp_path: Path) -> Spooled:
    """Make mounts that spool, in front of a store that the test may stop."""
    place = tmp_path / "spool"
    place.mkdir()

    def make(*options: str, **more: str) -> MountedBucket:
        return mount(
            "durability=spool", f"spool_dir={place}", *options, server=own_emulator, **more
        )

    return make


def refuse_writes(emulator: Emulator) -> None:
    """The store answers, and takes nothing for now."""
    for op in ("PutObject", "AppendObject", "CopyObject", "DeleteObject", "DeleteObjects"):
        emulator.fault(op=op, count=None, status=503, code="SlowDown")


def proven(mounted: MountedBucket) -> None:
    """Return when the mount has found out what the store can do."""
    wait_until(lambda: "all is known of the store" in mounted.log.read_text())


def test_programs_do_not_wait_for_the_store(spooled: Spooled, own_emulator: Emulator) -> None:
    """S13.1: what was closed, made, renamed and deleted is seen at once."""
    mounted = spooled()
    proven(mounted)
    refuse_writes(own_emulator)
    shell(
        "mkdir d && echo one > d/a && echo two > d/b && mv d/b d/c && echo more >> d/a"
        " && touch -d @1000 d/c && echo gone > d/x && rm d/x && mkdir e && rmdir e",
        mounted.path,
    )
    assert sorted(os.listdir(mounted.path)) == ["d"]
    assert sorted(os.listdir(mounted.path / "d")) == ["a", "c"]
    assert (mounted.path / "d" / "a").stat().st_size == len("one\nmore\n")
    assert (mounted.path / "d" / "c").stat().st_mtime == 1000
    assert not own_emulator.exists(mounted.key("d/a"))
    own_emulator.clear_faults()
    wait_until(lambda: own_emulator.exists(mounted.key("d/c")))
    mounted.unmount()
    assert mounted.fetch("d/a") == b"one\nmore\n"
    assert mounted.fetch("d/c") == b"two\n"
    assert not mounted.exists("d/b")
    assert not mounted.exists("d/x")
    mounted.mount()
    assert (mounted.path / "d" / "c").stat().st_mtime == 1000


def test_an_outage_is_waited_out(spooled: Spooled, own_emulator: Emulator) -> None:
    """S13.5, S13.4: names that are known are believed; a playlist comes after its segments."""
    mounted = spooled("ttl=0.1")
    proven(mounted)
    shell(
        "mkdir vod && echo 0 > vod/0.ts && echo 0.ts > vod/list.m3u8 && echo a > log", mounted.path
    )
    wait_until(lambda: own_emulator.exists(mounted.key("vod/list.m3u8")))
    own_emulator.stop()
    shell(
        "for n in 1 2 3; do echo $n > vod/$n.ts; echo $n.ts > vod/list.tmp;"
        " mv vod/list.tmp vod/list.m3u8; echo $n >> log; done",
        mounted.path,
    )
    assert sorted(os.listdir(mounted.path / "vod")) == ["0.ts", "1.ts", "2.ts", "3.ts", "list.m3u8"]
    assert (mounted.path / "log").stat().st_size == len("a\n1\n2\n3\n")
    before = len(own_emulator.all_requests())
    own_emulator.start()
    wait_until(lambda: own_emulator.exists(mounted.key("vod/3.ts")))
    mounted.unmount()
    assert mounted.fetch("vod/list.m3u8") == b"3.ts\n"
    assert mounted.fetch("log") == b"a\n1\n2\n3\n"
    stored = [
        request["key"].rpartition("/")[2]
        for request in own_emulator.all_requests()[before:]
        if request["op"] in ("PutObject", "CopyObject") and request["status"] == 200
    ]
    lists = [at for at, name in enumerate(stored) if name == "list.m3u8"]
    assert lists
    assert all(stored.index(f"{n}.ts") < at for n, at in enumerate(lists, 1))
    assert all(stored.index(f"{n}.ts") < lists[-1] for n in (1, 2, 3))


def test_a_killed_daemon_loses_nothing(spooled: Spooled, own_emulator: Emulator) -> None:
    """S13.3: the next mount shows what was acknowledged before anything is sent."""
    mounted = spooled()
    proven(mounted)
    refuse_writes(own_emulator)
    shell("echo one > a && mkdir d && echo two > d/b && echo more >> a", mounted.path)
    mounted.kill()
    mounted.mount()
    assert "requests of the last mount are not stored yet" in mounted.log.read_text()
    assert sorted(os.listdir(mounted.path)) == ["a", "d"]
    assert (mounted.path / "a").stat().st_size == len("one\nmore\n")
    assert not own_emulator.exists(mounted.key("a"))
    own_emulator.clear_faults()
    mounted.unmount()
    assert mounted.fetch("a") == b"one\nmore\n"
    assert mounted.fetch("d/b") == b"two\n"


def left_behind(
    spooled: Spooled, own_emulator: Emulator
) -> tuple[MountedBucket, subprocess.CompletedProcess[str]]:
    """A mount that has left a line in its spool, for the store is away; how unmount ended."""
    mounted = spooled("deadline=2")
    proven(mounted)
    assert os.listdir(mounted.path) == []  # so that its names are known
    own_emulator.stop()
    shell("echo one > a", mounted.path)
    return mounted, kontenumfs("unmount", mounted.path, check=False)


def test_an_unmount_leaves_what_the_store_does_not_take(
    spooled: Spooled, own_emulator: Emulator
) -> None:
    """S13.8: within the deadline, with an exit code of its own; the next mount stores it."""
    mounted, done = left_behind(spooled, own_emulator)
    assert done.returncode == Exit.SPOOLED, done.stderr
    assert "1 requests with 4 bytes wait in" in done.stderr
    own_emulator.start()
    assert not own_emulator.exists(mounted.key("a"))
    mounted.mount()
    mounted.unmount()
    assert mounted.fetch("a") == b"one\n"


def test_what_was_left_is_stored_where_nothing_is_spooled_any_more(
    spooled: Spooled, own_emulator: Emulator
) -> None:
    """durability=store sends what durability=spool has left, before anything of its own."""
    mounted, _ = left_behind(spooled, own_emulator)
    own_emulator.start()
    mounted.words[1] = mounted.words[1].replace("durability=spool", "durability=store")
    mounted.mount()
    shell("echo more >> a", mounted.path)
    assert mounted.fetch("a") == b"one\nmore\n"


def test_a_full_spool_makes_writers_wait_and_then_says_so(
    spooled: Spooled, own_emulator: Emulator
) -> None:
    """S13.6: ENOSPC after the deadline, for as long as the store takes nothing."""
    mounted = spooled("deadline=3", "spool_size=1M")
    mounted.expected = "upload failed.*'[^']*/b'|close.*'[^']*/b'"
    proven(mounted)
    refuse_writes(own_emulator)
    (mounted.path / "a").write_bytes(bytes(700_000))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (mounted.path / "b").write_bytes(bytes(700_000))
    own_emulator.clear_faults()
    (mounted.path / "c").write_bytes(bytes(700_000))
    mounted.unmount()
    assert len(mounted.fetch("a")) == len(mounted.fetch("c")) == 700_000
    assert not mounted.exists("b")


def test_a_file_larger_than_the_spool_goes_through(
    spooled: Spooled, own_emulator: Emulator
) -> None:
    """It is stored when close returns, as without a spool."""
    mounted = spooled("spool_size=100K")
    (mounted.path / "a").write_bytes(bytes(300_000))
    assert len(mounted.fetch("a")) == 300_000


@pytest.mark.parametrize("fsync", ["store", "spool"])
def test_fsync_means_the_store_unless_told_otherwise(
    spooled: Spooled, own_emulator: Emulator, fsync: str
) -> None:
    """S13.2: with fsync=spool it returns although the store takes nothing; so does O_SYNC."""
    mounted = spooled(f"fsync={fsync}")
    proven(mounted)
    if fsync == "spool":
        refuse_writes(own_emulator)
    shell(
        "echo one > a && sync a && dd if=/dev/zero of=b bs=5 count=1 oflag=sync && sync .",
        mounted.path,
    )
    assert own_emulator.exists(mounted.key("a")) == (fsync == "store")
    assert own_emulator.exists(mounted.key("b")) == (fsync == "store")
    own_emulator.clear_faults()


def test_durability_by_file_name(spooled: Spooled, own_emulator: Emulator, tmp_path: Path) -> None:
    """S13.9: a rule has some files stored when close returns, in a mount that spools all others."""
    file = tmp_path / "rules.toml"
    file.write_text("[[files]]\nmatch = '*.m3u8'\ndurability = 'store'\n")
    mounted = spooled(f"config={file}")
    proven(mounted)
    own_emulator.fault(op="PutObject", key="*.ts", count=None, status=503, code="SlowDown")
    shell("echo one > a.ts && echo two > b", mounted.path)
    own_emulator.clear_faults()
    shell("echo a.ts > a.m3u8", mounted.path)
    assert mounted.fetch("a.ts") == b"one\n"
    assert mounted.fetch("a.m3u8") == b"a.ts\n"


def test_removed_files_go_together(spooled: Spooled, own_emulator: Emulator) -> None:
    """rm -r of a directory is a few requests, not one for each file."""
    mounted = spooled()
    shell("mkdir d && for n in $(seq 40); do echo $n > d/$n; done", mounted.path)
    wait_until(lambda: own_emulator.exists(mounted.key("d/40")))
    shell("sync d", mounted.path)
    own_emulator.mark()
    shell("rm -r d", mounted.path)
    mounted.unmount()
    counts = own_emulator.counts()
    assert counts["DeleteObject"] + counts["DeleteObjects"] <= 3, counts
    assert not mounted.exists("d/1")


def state_of(path: Path) -> str:
    """What `user.kontenum.state` says."""
    return os.getxattr(path, "user.kontenum.state").decode()


@pytest.fixture
def parked(spooled: Spooled, own_emulator: Emulator) -> MountedBucket:
    """A mount with one file that the store has refused for good, and one that it takes."""
    mounted = spooled()
    mounted.expected = "parked in the spool|Parked"
    proven(mounted)
    own_emulator.fault(op="PutObject", key="*/bad", count=None, status=403, code="AccessDenied")
    shell("echo content > bad && echo other > good", mounted.path)
    wait_until(lambda: state_of(mounted.path / "bad") == "parked")
    wait_until(lambda: state_of(mounted.path / "good") == "clean")
    return mounted


def test_what_the_store_refuses_is_parked_and_can_be_sent_again(
    parked: MountedBucket, own_emulator: Emulator
) -> None:
    """S13.7: it keeps its bytes and is EIO for writers; all else goes on; retry sends it."""
    assert parked.fetch("good") == b"other\n"
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        open(parked.path / "bad", "ab").close()
    assert "AccessDenied" in os.getxattr(parked.path / "bad", "user.kontenum.last_error").decode()
    assert "parked" in kontenumfs("status", parked.path).stdout
    listed = kontenumfs("spool", "list", parked.path).stdout
    assert parked.key("bad") in listed
    assert "parked: refused" in listed
    assert parked.key("good") not in listed
    exported = parked.log.parent / "exported"
    kontenumfs("spool", "export", "--output", exported, parked.path, parked.key("bad"))
    assert exported.read_bytes() == b"content\n"
    own_emulator.clear_faults()
    kontenumfs("spool", "retry", parked.path)
    wait_until(lambda: state_of(parked.path / "bad") == "clean")
    assert parked.fetch("bad") == b"content\n"


def test_what_is_parked_can_be_dropped(parked: MountedBucket, own_emulator: Emulator) -> None:
    """For ever, so not without --yes; the name is what the store has then: nothing."""
    words = ("spool", "drop", parked.path, parked.key("bad"))
    refused = kontenumfs(*words, check=False)
    assert refused.returncode == Exit.USAGE
    assert "say --yes" in refused.stderr
    kontenumfs(*words, "--yes")
    assert os.listdir(parked.path) == ["good"]
    own_emulator.clear_faults()


def test_a_spool_whose_mount_does_not_run_can_be_looked_at(
    parked: MountedBucket, own_emulator: Emulator, tmp_path: Path
) -> None:
    """list and export work on what a killed daemon has left; the rest needs a mount."""
    parked.kill()
    place = ("--spool-dir", tmp_path / "spool")
    assert "bad" in kontenumfs("spool", *place, "list", parked.path).stdout
    said = kontenumfs("spool", *place, "export", parked.path, parked.key("bad")).stdout
    assert said == "content\n"
    refused = kontenumfs("spool", *place, "retry", parked.path, check=False)
    assert "mount it first" in refused.stderr
    own_emulator.clear_faults()
    parked.mount()
    kontenumfs("spool", "retry", parked.path)


def test_the_status_tells_of_the_spool(spooled: Spooled, own_emulator: Emulator) -> None:
    """How much waits, for how long, and how much may."""
    mounted = spooled("spool_size=1M")
    proven(mounted)
    refuse_writes(own_emulator)
    shell("echo content > a", mounted.path)
    told = json.loads(kontenumfs("status", "--json", mounted.path).stdout)
    assert (told["spool"]["requests"], told["spool"]["bytes"]) == (1, 8)
    assert told["spool"]["size"] == 1 << 20
    assert "8 B of 1.0 MiB in 1 requests" in kontenumfs("status", mounted.path).stdout
    assert state_of(mounted.path / "a") == "spooled"
    own_emulator.clear_faults()
