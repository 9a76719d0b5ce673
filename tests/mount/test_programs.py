# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Programs that origin hosts run, and what each costs: docs/costs.md shows these counts."""

import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountedBucket, MountFactory, run, shell
from tests.mount.test_files import eventually
from tests.mount.test_writing import MIB, noise


@pytest.fixture
def mounted(mount: MountFactory) -> MountedBucket:
    """A mount that has appended before: the probe of the store is not counted."""
    made = mount("temporary=*.tmp")
    shell("echo x > probe; echo x >> probe; rm probe", made.path)
    return made


@pytest.fixture(autouse=True)
def costs(
    request: pytest.FixtureRequest, emulator: Emulator, mounted: MountedBucket
) -> Iterator[None]:
    """Count from here, and print what was counted (pytest -s)."""
    emulator.mark()
    yield
    counts = ", ".join(f"{n} {name}" for name, n in sorted(emulator.counts().items()))
    print(f"\n{request.node.name}: {counts}; {emulator.sent()} bytes")


def ffmpeg(*words: str | Path) -> None:
    """Run the static ffmpeg of imageio-ffmpeg."""
    run(imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *words)


PICTURE = ("-f", "lavfi", "-i", "testsrc=size=320x180:rate=25:duration=12")
HLS = ("-c:v", "mpeg4", "-g", "25", "-f", "hls", "-hls_time", "2")


def test_ffmpeg_hls(mounted: MountedBucket, tmp_path: Path, emulator: Emulator) -> None:
    """Segments, and a playlist that is renamed over the last one each time."""
    ffmpeg(*PICTURE, *HLS, "-hls_list_size", "0", mounted.path / "live.m3u8")
    ffmpeg(*PICTURE, *HLS, "-hls_list_size", "0", tmp_path / "live.m3u8")
    for local in tmp_path.glob("live*"):
        assert mounted.fetch(local.name) == local.read_bytes(), local.name
    assert not list(mounted.path.glob("*.tmp"))
    found = emulator.head(mounted.key("live.m3u8"))
    assert found["content-type"] == "application/vnd.apple.mpegurl"
    assert emulator.counts()["CopyObject"] == 0  # the playlist waited for its name


def test_ffmpeg_mp4(mounted: MountedBucket, tmp_path: Path) -> None:
    """A muxer that goes back to the start of the file at its end."""
    ffmpeg(*PICTURE, "-fflags", "+bitexact", "-c:v", "mpeg4", mounted.path / "film.mp4")
    ffmpeg(*PICTURE, "-fflags", "+bitexact", "-c:v", "mpeg4", tmp_path / "film.mp4")
    assert mounted.fetch("film.mp4") == (tmp_path / "film.mp4").read_bytes()


def test_ffmpeg_append_list(mounted: MountedBucket) -> None:
    """-hls_flags append_list reads the old playlist, which is refused: a new one is begun."""
    words = (*PICTURE, *HLS, "-hls_flags", "append_list", mounted.path / "live.m3u8")
    ffmpeg(*words)
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    playlist = mounted.fetch("live.m3u8").decode()
    assert playlist.startswith("#EXTM3U"), done.stderr
    assert playlist.rstrip().endswith("#EXT-X-ENDLIST")


def test_logrotate(mounted: MountedBucket, tmp_path: Path) -> None:
    """A daemon that logs, logrotate that renames, and the daemon's new file."""
    configuration = tmp_path / "logrotate.conf"
    configuration.write_text(
        f"{mounted.path}/log {{\n  rotate 3\n  create 644 root root\n  su root root\n}}\n"
    )
    configuration.chmod(0o644)
    for round_ in range(3):
        shell(f"for i in 1 2 3; do echo {round_} $i >> log; done", mounted.path)
        run("logrotate", "-f", "-s", tmp_path / "state", configuration)
    for number in range(3):
        lines = "".join(f"{2 - number} {i}\n" for i in (1, 2, 3))
        assert mounted.fetch(f"log.{number + 1}") == lines.encode()


def test_a_daemon_keeps_its_log_open(mounted: MountedBucket) -> None:
    """S5.4: mv log log.1 while it is written: the handle follows, until the daemon reopens."""
    with open(mounted.path / "log", "ab", buffering=0) as log:
        log.write(b"one\n")
        os.rename(mounted.path / "log", mounted.path / "log.1")
        log.write(b"two\n")
        eventually(lambda: mounted.fetch("log.1") == b"one\ntwo\n")
    (mounted.path / "log").write_bytes(b"three\n")
    assert mounted.fetch("log.1") == b"one\ntwo\n"
    assert mounted.fetch("log") == b"three\n"


def test_tar_and_unzip(mounted: MountedBucket, tmp_path: Path) -> None:
    """Archives of 20 files, unpacked into the mount."""
    files = {f"d{n % 3}/f{n}": noise(1000 + n) for n in range(20)}
    for name, data in files.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(data)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "source", "tar")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(f"zip/{name}", data)
    run("tar", "-x", "-C", mounted.path, "-f", tmp_path / "a.tar")
    run("unzip", "-q", tmp_path / "a.zip", "-d", mounted.path)
    for name, data in files.items():
        assert mounted.fetch(f"tar/{name}") == data
        assert mounted.fetch(f"zip/{name}") == data
    old = int((tmp_path / "source/d0/f0").stat().st_mtime)
    assert int((mounted.path / "tar/d0/f0").stat().st_mtime) == old


def test_split_and_tee(mounted: MountedBucket, tmp_path: Path) -> None:
    """split into the mount, and tee -a."""
    data = noise(3 * MIB)
    (tmp_path / "data").write_bytes(data)
    shell(f"split -b 1M {tmp_path}/data part.", mounted.path)
    assert b"".join(mounted.fetch(f"part.a{letter}") for letter in "abc") == data
    shell("echo one | tee -a log; echo two | tee -a log", mounted.path)
    assert mounted.fetch("log") == b"one\ntwo\n"


def test_curl_resumes(mounted: MountedBucket, emulator: Emulator) -> None:
    """curl -C - goes on behind what is there, and only that is sent."""
    data = noise(4 * MIB)
    (mounted.path / "source").write_bytes(data)
    (mounted.path / "target").write_bytes(data[:MIB])
    emulator.mark()
    url = f"{emulator.cdn_url}/bucket/{mounted.key('source')}"
    shell(f"curl -sf -C - -o target {url}", mounted.path)
    assert mounted.fetch("target") == data
    assert emulator.sent() == 3 * MIB


def test_mv_from_another_file_system(mounted: MountedBucket, tmp_path: Path) -> None:
    """Bytes, mode and time arrive, and only then the source goes."""
    source = tmp_path / "file.html"
    source.write_bytes(noise(2 * MIB))
    source.chmod(0o640)
    os.utime(source, (1e9, 1e9))
    shutil.copy2(source, tmp_path / "kept")
    shell(f"mv {source} .", mounted.path)
    assert not source.exists()
    assert mounted.fetch("file.html") == (tmp_path / "kept").read_bytes()
    status = (mounted.path / "file.html").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o640, 1e9)
