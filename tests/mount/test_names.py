# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Names: creating, renaming, deleting, and the odd ones."""

import errno
import os
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.harness.objects import ObjectStore

ODD_NAMES = [
    "with space",
    " leading and trailing ",
    "plus+plus",
    "percent%41%2F%",
    "question?mark",
    "hash#tag",
    "ampersand&semi;colon",
    "quotes'\"`",
    "back\\slash",
    "new\nline",
    "tab\tand\x01control\x7f",
    "ünïcödé-日本語-🎬",
    "combining-e\u0301",
    "-dash",
    "~tilde",
    "a" * 255,
    "é" * 127,
    "...",
    "star*[glob]",
    "<xml>&amp;]]>",
    "@at=equals,comma:colon",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_odd_names_go_in_and_come_out(session_mount: MountedBucket, name: str) -> None:
    """Whatever Linux takes as a name is the key, unchanged."""
    directory = f"odd{ODD_NAMES.index(name)}"
    path = session_mount.path / directory / name
    path.parent.mkdir()
    path.write_bytes(name.encode())
    assert session_mount.fetch(f"{directory}/{name}") == name.encode()
    assert name in os.listdir(path.parent)
    assert path.stat().st_size == len(name.encode())
    joined = path.with_name("joined")
    with open(path, "rb") as source, open(joined, "wb") as target:
        for _ in range(2):
            os.copy_file_range(source.fileno(), target.fileno(), 1024, offset_src=0)
    assert session_mount.fetch(f"{directory}/joined") == 2 * name.encode()
    joined.unlink()
    renamed = path.with_name("renamed")
    path.rename(renamed)
    assert session_mount.fetch(f"{directory}/renamed") == name.encode()
    renamed.rename(path)
    path.unlink()
    path.parent.rmdir()


def test_odd_names_survive_a_new_mount(mount: MountFactory, emulator: Emulator) -> None:
    """What another mount lists is what was written, for directories too."""
    first = mount()
    for name in ODD_NAMES:
        directory = first.path / name[:250]
        directory.mkdir()
        (directory / name).write_text(name)
    second = mount()
    assert sorted(os.listdir(second.path)) == sorted(name[:250] for name in ODD_NAMES)
    for name in ODD_NAMES:
        assert os.listdir(second.path / name[:250]) == [name]
    run("find", second.path, "-type", "f", "-delete")
    assert run("find", first.path, "-type", "f", "-newermt", "2100-01-01").stdout == ""


def test_a_name_that_is_not_utf8(mounted: MountedBucket) -> None:
    """S9.4: EILSEQ: S3 keys are UTF-8, and a changed name would be a lie."""
    with pytest.raises(OSError, match=os.strerror(errno.EILSEQ)):
        os.mkdir(os.fsencode(mounted.path) + b"/latin-\xe9")
    with pytest.raises(OSError, match=os.strerror(errno.EILSEQ)):
        os.mknod(os.fsencode(mounted.path) + b"/latin-\xe9")


def test_a_path_that_is_too_long_for_a_key(mounted: MountedBucket) -> None:
    """S9.4: A key has 1,024 bytes at most: ENAMETOOLONG, also where each name is short enough."""
    path = mounted.path
    with pytest.raises(OSError, match="too long"):
        (path / ("n" * 256)).touch()
    for _ in range(3):
        path = path / ("d" * 250)
        path.mkdir()
    with pytest.raises(OSError, match="too long"):
        (path / ("f" * 255)).write_text("the prefix counts, too")
    assert os.listdir(path) == []


def test_keys_that_cannot_be_names_are_hidden(mount: MountFactory, store: ObjectStore) -> None:
    """S9.5: `a//b`, `.`, `..` and names over 255 bytes do no harm; an object `x` beside `x/y`
    neither."""
    for key in ("a//b", "./c", "../d", "e/./f", "g" * 256, "x", "x/y", "plain"):
        store.put(key, b"hidden?")
    mounted = mount()
    assert sorted(os.listdir(mounted.path)) == ["a", "e", "plain", "x"]
    assert os.listdir(mounted.path / "a") == []
    assert os.listdir(mounted.path / "x") == ["y"]
    run("ls", "-lR", mounted.path)
    assert not (mounted.path / ("g" * 255)).exists()


def test_directories_come_and_go(mounted: MountedBucket, emulator: Emulator) -> None:
    """S9.6: mkdir -p, rmdir, ENOTEMPTY, rm -r; the last file gone, the directory stays."""
    shell("mkdir -p a/b/c && rmdir a/b/c && touch a/b/file", mounted.path)
    with pytest.raises(OSError, match="not empty"):
        (mounted.path / "a").rmdir()
    (mounted.path / "a/b/file").unlink()
    assert os.listdir(mounted.path / "a") == ["b"]
    with pytest.raises(FileExistsError):
        (mounted.path / "a").mkdir()
    shell("touch a/1 a/b/2 && rm -r a && ! test -e a", mounted.path)


def test_a_directory_without_a_marker(mount: MountFactory, store: ObjectStore) -> None:
    """Keys that other programs wrote make directories, which last while somebody uses them."""
    store.put("made/by/others", b"12345")
    mounted = mount()
    assert (mounted.path / "made/by/others").stat().st_size == 5
    assert (mounted.path / "made").is_dir()
    (mounted.path / "made/by/others").unlink()
    assert (mounted.path / "made/by").is_dir()
    shell("rmdir made/by && rmdir made", mounted.path)


def test_renaming_files(mounted: MountedBucket) -> None:
    """mv replaces what is there, mv -n does not; into a directory, and onto itself."""
    shell(
        "echo one > one; echo two > two; mkdir dir\n"
        "mv one two && ! test -e one\n"
        "echo three > three; mv -n three two; test -e three\n"
        "mv two dir/ && mv dir/two dir/two.renamed\n",
        mounted.path,
    )
    assert mounted.fetch("dir/two.renamed") == b"one\n"
    assert mounted.fetch("three") == b"three\n"
    os.rename(mounted.path / "three", mounted.path / "three")
    assert mounted.fetch("three") == b"three\n"
    with pytest.raises(IsADirectoryError):
        os.rename(mounted.path / "three", mounted.path / "dir")
    with pytest.raises(FileNotFoundError):
        os.rename(mounted.path / "nothing", mounted.path / "something")


def test_renaming_costs_a_copy_and_a_delete(mounted: MountedBucket, emulator: Emulator) -> None:
    """No byte of the file crosses the wire again."""
    (mounted.path / "before").write_bytes(bytes(1 << 20))
    emulator.mark()
    (mounted.path / "before").rename(mounted.path / "after")
    counts = emulator.counts()
    assert counts["CopyObject"] == counts["DeleteObject"] == 1
    assert emulator.sent() == 0
    assert mounted.fetch("after") == bytes(1 << 20)


def test_renaming_a_directory_loses_nothing(mounted: MountedBucket) -> None:
    """Not there yet: a clean error, or done completely; never half."""
    shell("mkdir d; echo content > d/file", mounted.path)
    done = shell("mv d e", mounted.path, check=False)
    name = "e/file" if done.returncode == 0 else "d/file"
    assert mounted.fetch(name) == b"content\n"
    if done.returncode:
        assert "not supported" in done.stderr


def test_what_an_object_store_does_not_have(mounted: MountedBucket) -> None:
    """Links, pipes and devices: EPERM, and nothing is made."""
    (mounted.path / "file").touch()
    with pytest.raises(PermissionError):
        os.link(mounted.path / "file", mounted.path / "hard")
    with pytest.raises(PermissionError):
        os.symlink("file", mounted.path / "soft")
    with pytest.raises(PermissionError):
        os.mkfifo(mounted.path / "pipe")
    assert os.listdir(mounted.path) == ["file"]


def test_the_usual_errors(mounted: MountedBucket) -> None:
    """ENOENT, EISDIR, ENOTDIR, EEXIST as everywhere."""
    path = mounted.path
    (path / "dir").mkdir()
    (path / "file").touch()
    with pytest.raises(FileNotFoundError):
        (path / "missing").stat()
    with pytest.raises(FileNotFoundError):
        (path / "missing/file").touch()
    with pytest.raises(FileNotFoundError):
        (path / "missing").unlink()
    with pytest.raises(IsADirectoryError):
        (path / "dir").write_text("")
    with pytest.raises(NotADirectoryError):
        (path / "file/below").stat()
    with pytest.raises(NotADirectoryError):
        (path / "file").rmdir()
    with pytest.raises(FileExistsError):
        (path / "file").touch(exist_ok=False)
    with pytest.raises((IsADirectoryError, PermissionError)):
        (path / "dir").unlink()


def test_a_deleted_file_can_still_be_written(mounted: MountedBucket) -> None:
    """An open file without a name takes bytes to nowhere, and the name stays free."""
    with open(mounted.path / "file", "wb") as file:
        file.write(b"before")
        file.flush()
        (mounted.path / "file").unlink()
        file.write(b"after")
    assert os.listdir(mounted.path) == []
    assert not mounted.exists("file")


def test_another_mount_sees_changes_after_the_ttl(mount: MountFactory) -> None:
    """S9.1: ttl=0: what one mount does, the other sees at once, appearing and disappearing."""
    writer, reader = mount("ttl=0"), mount("ttl=0")
    assert os.listdir(reader.path) == []
    (writer.path / "file").write_text("content")
    assert (reader.path / "file").stat().st_size == 7
    assert os.listdir(reader.path) == ["file"]


def test_a_mount_of_a_prefix_stays_inside(mount: MountFactory, store: ObjectStore) -> None:
    """Names beside the prefix are neither seen nor touched."""
    store.put("inside/a", b"1")
    store.put("inside-not/b", b"2")
    store.put("outside", b"3")
    mounted = mount(prefix=f"{mount.prefix}/inside")
    assert os.listdir(mounted.path) == ["a"]
    shell("rm -r ./*; echo new > new", mounted.path)
    assert store.keys() == ["inside-not/b", "inside/new", "outside"]


def test_a_mount_of_a_whole_bucket(mount: MountFactory, emulator: Emulator) -> None:
    """Without a prefix the bucket is the root."""
    mounted = mount(prefix="")
    name = f"{mount.prefix}-file"
    (mounted.path / name).write_text("content")
    assert emulator.fetch(name) == b"content"
    assert name in os.listdir(mounted.path)
    (mounted.path / name).unlink()


def test_a_read_only_mount(mount: MountFactory, store: ObjectStore, tmp_path: Path) -> None:
    """-o ro: every change is EROFS, listing works."""
    store.put("file", b"content")
    mounted = mount("ro")
    assert (mounted.path / "file").stat().st_size == 7
    with pytest.raises(OSError, match="Read-only"):
        (mounted.path / "new").touch()
    with pytest.raises(OSError, match="Read-only"):
        (mounted.path / "file").unlink()
