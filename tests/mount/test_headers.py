# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Headers and metadata: by rule, by extended attribute, and over everything that happens."""

import errno
import os
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.mount.test_publishing import config

RULES = """
[[headers]]
match = ["*.m3u8", "live/*"]
Cache-Control = "max-age=2"
[[headers]]
match = "*.ts"
Content-Type = "video/x-own"
Cache-Control = "max-age=60"
"""


@pytest.fixture
def ruled(mount: MountFactory, tmp_path: Path) -> MountedBucket:
    """A mount with rules."""
    return mount(config(tmp_path, RULES))


def test_rules_give_headers(ruled: MountedBucket, emulator: Emulator) -> None:
    """By name, at every way into the store; a rename gives the new name's headers."""

    def headers(name: str) -> tuple[str, str | None]:
        found = emulator.head(ruled.key(name))
        return found["content-type"], found.get("cache-control")

    shell(
        "mkdir live; echo x > a.m3u8; echo x > live/b.html; echo x > c.ts; echo x > d", ruled.path
    )
    assert headers("a.m3u8") == ("application/vnd.apple.mpegurl", "max-age=2")
    assert headers("live/b.html") == ("text/html", "max-age=2")
    assert headers("c.ts") == ("video/x-own", "max-age=60")
    assert headers("d") == ("application/octet-stream", None)
    shell("mv d e.ts; cat a.m3u8 c.ts > f.ts; mv c.ts g.m3u8; echo y >> a.m3u8", ruled.path)
    assert headers("e.ts") == headers("f.ts") == ("video/x-own", "max-age=60")
    assert headers("g.m3u8") == ("application/vnd.apple.mpegurl", "max-age=2")
    assert headers("a.m3u8") == ("application/vnd.apple.mpegurl", "max-age=2")
    shell("mv live dead", ruled.path)
    assert headers("dead/b.html")[0] == "text/html"


def test_extended_attributes(mount: MountFactory, emulator: Emulator) -> None:
    """user.mime_type, user.http.* and user.meta.* are the object's, and survive a new mount."""
    mounted = mount()
    path = mounted.path / "file.bin"
    path.write_bytes(b"content")
    os.setxattr(path, "user.mime_type", b"text/x-own")
    os.setxattr(path, "user.http.cache-control", b"no-store")
    os.setxattr(path, "user.meta.colour", "grün".encode())
    os.setxattr(path, "user.meta.gone", b"x")
    os.removexattr(path, "user.meta.gone")
    assert os.getxattr(path, "user.mime_type") == b"text/x-own"
    mounted.unmount()
    found = emulator.head(mounted.key("file.bin"))
    assert (found["content-type"], found["cache-control"]) == ("text/x-own", "no-store")
    mounted.mount()
    assert sorted(os.listxattr(path)) == [
        "user.http.cache-control",
        "user.meta.colour",
        "user.mime_type",
    ]
    assert os.getxattr(path, "user.meta.colour").decode() == "grün"
    assert os.getxattr(path, "user.kontenum.key").decode() == mounted.key("file.bin")
    shell("chmod 600 file.bin; mv file.bin moved.bin; echo more >> moved.bin", mounted.path)
    mounted.unmount()
    found = emulator.head(mounted.key("moved.bin"))
    assert (found["content-type"], found["cache-control"]) == ("text/x-own", "no-store")


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("user.other", b"x", errno.EOPNOTSUPP),
        ("user.http.host", b"x", errno.EOPNOTSUPP),
        ("user.meta.mode", b"x", errno.EOPNOTSUPP),
        ("user.meta.a b", b"x", errno.EOPNOTSUPP),
        ("user.http.cache-control", "ü".encode(), errno.EINVAL),
        ("user.http.cache-control", b"a\nb", errno.EINVAL),
        ("user.meta.x", b"a\nb", errno.EINVAL),
        ("user.meta.x", b"\xff", errno.EOPNOTSUPP),
        ("user.meta.x", b"\0\1", errno.EOPNOTSUPP),
        ("user.mime_type", b"\xff", errno.EOPNOTSUPP),
        ("user.DOSATTRIB", b"\0\0\5", errno.EOPNOTSUPP),
        ("trusted.x", b"x", errno.EOPNOTSUPP),
        ("security.x", b"\0", errno.EOPNOTSUPP),
    ],
)
def test_attributes_that_no_object_has(
    mount: MountFactory, name: str, value: bytes, error: int
) -> None:
    """A clean errno, and nothing changes."""
    mounted = mount()
    path = mounted.path / "f"
    path.write_bytes(b"content")
    with pytest.raises(OSError, match=os.strerror(error)):
        os.setxattr(path, name, value)
    assert os.listxattr(path) == []
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        os.getxattr(path, "user.meta.none")
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        os.removexattr(path, "user.meta.none")


def test_rsync_takes_attributes_along(
    mount: MountFactory, emulator: Emulator, tmp_path: Path
) -> None:
    """rsync -X from a directory that has them."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_bytes(b"content")
    os.setxattr(source / "f", "user.mime_type", b"text/x-own")
    mounted = mount()
    run("rsync", "-aX", f"{source}/", mounted.path)
    assert emulator.head(mounted.key("f"))["content-type"] == "text/x-own"
    assert emulator.counts()["PutObject"] <= 3
    assert run("rsync", "-aXi", f"{source}/", mounted.path).stdout == ""
    os.removexattr(source / "f", "user.mime_type")
    (source / "page.html").write_bytes(b"content")
    run("rsync", "-aX", f"{source}/", mounted.path)
    mounted.unmount()
    assert emulator.head(mounted.key("f"))["content-type"] == "application/octet-stream"
    assert emulator.head(mounted.key("page.html"))["content-type"] == "text/html"


def test_symbolic_links(mount: MountFactory, tmp_path: Path) -> None:
    """Off by default; with symlinks=metadata they survive a new mount and rsync -a."""
    off = mount(prefix="links")
    with pytest.raises(PermissionError):
        os.symlink("target", off.path / "link")
    off.unmount()
    mounted = mount("symlinks=metadata", prefix="links")
    os.symlink("some/ünusual target", mounted.path / "link")
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    os.symlink("file", source / "to-file")
    run("rsync", "-a", f"{source}/", mounted.path)
    mounted.unmount()
    mounted.mount()
    assert os.readlink(mounted.path / "link") == "some/ünusual target"
    assert os.readlink(mounted.path / "to-file") == "file"
    assert (mounted.path / "to-file").stat().st_size == 7
    shell("mv to-file moved && rm link", mounted.path)
    assert os.readlink(mounted.path / "moved") == "file"
    assert sorted(os.listdir(mounted.path)) == ["file", "moved"]
    assert run("rsync", "-ai", "--exclude=moved", f"{source}/file", mounted.path).stdout == ""
