# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What cannot be mounted is refused in one line, with an exit code of its own."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kontenumfs.daemon.kernel import is_mountpoint
from kontenumfs.daemon.preflight import Exit, check_fuse
from kontenumfs.protocol.errors import UserError
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator, running_emulator
from tests.harness.mounts import kontenumfs, run


@pytest.fixture
def mountpoint(fuse: None, tmp_path: Path) -> Path:
    """An empty directory."""
    path = tmp_path / "mnt"
    path.mkdir()
    return path


def refused(
    mountpoint: Path, endpoint: str, *options: str, source: str = BUCKET, secret: str = SECRET
) -> tuple[int, str]:
    """Try to mount; returns the exit code and the one line."""
    environment = {"KONTENUM_ACCESS_KEY": ACCESS, "KONTENUM_SECRET_KEY": secret}
    words = ",".join((f"endpoint={endpoint}", "deadline=5", *options))
    done = kontenumfs(
        "mount", "-o", words, source, mountpoint, check=False, environment=environment
    )
    assert not is_mountpoint(mountpoint)
    assert done.stderr.count("\n") == 1, done.stderr
    assert secret not in done.stderr
    return done.returncode, done.stderr


def test_a_wrong_secret(mountpoint: Path, emulator: Emulator) -> None:
    """The secret key is blamed, and not shown."""
    code, line = refused(mountpoint, emulator.s3_url, secret="wrong-secret")
    assert code == Exit.KEYS
    assert "secret key" in line


def test_an_unknown_access_key(mountpoint: Path, emulator: Emulator) -> None:
    """The access key is blamed."""
    environment = {"KONTENUM_ACCESS_KEY": "NOBODY", "KONTENUM_SECRET_KEY": SECRET}
    words = f"endpoint={emulator.s3_url}"
    done = kontenumfs(
        "mount", "-o", words, BUCKET, mountpoint, check=False, environment=environment
    )
    assert done.returncode == Exit.KEYS
    assert "access key" in done.stderr


def test_an_unknown_bucket(mountpoint: Path, emulator: Emulator) -> None:
    """The bucket is named."""
    code, line = refused(mountpoint, emulator.s3_url, source="nothing-here")
    assert code == Exit.BUCKET
    assert "nothing-here" in line


def test_a_closed_port(mountpoint: Path) -> None:
    """Nothing answers at the endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, line = refused(mountpoint, f"http://127.0.0.1:{port}")
    assert code == Exit.CONNECTION
    assert "endpoint" in line


def test_a_name_that_does_not_resolve(mountpoint: Path) -> None:
    """The name is blamed (RFC 6761 keeps .invalid from ever resolving)."""
    code, line = refused(mountpoint, "http://s3.kontenum.invalid")
    assert code == Exit.NAME
    assert "resolve" in line


@pytest.fixture
def tls_emulator(tmp_path: Path) -> Iterator[tuple[Emulator, Path]]:
    """An emulator behind TLS with a certificate for localhost."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", key, "-out", certificate),
    )
    options = (f"--tls-cert={certificate}", f"--tls-key={key}")
    (tmp_path / "tls").mkdir()
    with running_emulator(tmp_path / "tls", *options) as emulator:
        yield emulator, certificate


def test_tls_is_verified(mountpoint: Path, tls_emulator: tuple[Emulator, Path]) -> None:
    """An unknown authority and a wrong name are refused; the right name is mounted."""
    emulator, certificate = tls_emulator
    by_name = emulator.s3_url.replace("127.0.0.1", "localhost")
    assert refused(mountpoint, by_name)[0] == Exit.TLS
    assert refused(mountpoint, emulator.s3_url, f"ca_file={certificate}")[0] == Exit.TLS
    environment = {"KONTENUM_ACCESS_KEY": ACCESS, "KONTENUM_SECRET_KEY": SECRET}
    words = f"endpoint={by_name},ca_file={certificate}"
    kontenumfs("mount", "-o", words, BUCKET, mountpoint, environment=environment)
    (mountpoint / "f").write_bytes(b"over TLS")
    kontenumfs("unmount", mountpoint)
    assert emulator.fetch("f") == b"over TLS"


@pytest.mark.parametrize(
    ("mode", "text", "told"),
    [
        (0o644, f"{ACCESS}:{SECRET}", "chmod 600"),
        (0o600, "no colon here", "ACCESS:SECRET"),
        (0o600, "", "ACCESS:SECRET"),
    ],
)
def test_bad_credential_files(
    mountpoint: Path, emulator: Emulator, tmp_path: Path, mode: int, text: str, told: str
) -> None:
    """A file that others can read, or that says nothing, is refused with the cure."""
    file = tmp_path / "keys"
    file.write_text(text)
    file.chmod(mode)
    code, line = refused(mountpoint, emulator.s3_url, f"credentials_file={file}")
    assert code == Exit.CREDENTIALS
    assert told in line


def test_missing_credentials(mountpoint: Path, emulator: Emulator, tmp_path: Path) -> None:
    """A file that is not there, and no keys at all."""
    code, _ = refused(mountpoint, emulator.s3_url, f"credentials_file={tmp_path / 'none'}")
    assert code == Exit.CREDENTIALS
    done = kontenumfs("mount", "-o", f"endpoint={emulator.s3_url}", BUCKET, mountpoint, check=False)
    assert done.returncode == Exit.CREDENTIALS
    assert "credentials_file" in done.stderr


def test_bad_mountpoints(mountpoint: Path, emulator: Emulator) -> None:
    """Missing, a file, or not empty; the last may be allowed."""
    assert refused(mountpoint / "none", emulator.s3_url)[0] == Exit.MOUNTPOINT
    (mountpoint / "file").touch()
    assert refused(mountpoint / "file", emulator.s3_url)[0] == Exit.MOUNTPOINT
    code, line = refused(mountpoint, emulator.s3_url)
    assert code == Exit.MOUNTPOINT
    assert "nonempty" in line


def test_a_missing_fuse_device(tmp_path: Path) -> None:
    """The device is named, and the cure."""
    with pytest.raises(UserError, match="modprobe fuse") as caught:
        check_fuse(str(tmp_path / "fuse"))
    assert caught.value.exit_code == Exit.FUSE


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("chunk=8M", "chunk_size"),
        ("ttl=soon", "ttl"),
        ("chunk_size=1M", "5M"),
        ("memory=8M", "memory"),
        ("addressing=dns", "path, virtual"),
        ("ro=yes", "switch"),
        ("endpoint=s3.kontenum.com", "https://"),
        ("umask=999", "octal"),
    ],
)
def test_bad_options(mountpoint: Path, emulator: Emulator, option: str, told: str) -> None:
    """Each names the option and what it takes."""
    code, line = refused(mountpoint, emulator.s3_url, option)
    assert code == Exit.USAGE
    assert told in line


def test_a_dead_mount_is_cleared(mountpoint: Path, emulator: Emulator) -> None:
    """After kill -9 of the daemon, the same command mounts again: one layer, nothing lost."""
    environment = {"KONTENUM_ACCESS_KEY": ACCESS, "KONTENUM_SECRET_KEY": SECRET}
    words = ("mount", "-f", "-o", f"endpoint={emulator.s3_url}", f"{BUCKET}/dead", mountpoint)
    import os
    import sys

    daemon = subprocess.Popen(
        [sys.executable, "-m", "kontenumfs", *map(str, words)], env=os.environ | environment
    )
    try:
        while not is_mountpoint(mountpoint, "fuse.kontenumfs"):
            assert daemon.poll() is None
        (mountpoint / "before").write_bytes(b"kept")
    finally:
        daemon.kill()
        daemon.wait()
    kontenumfs(*(word for word in words if word != "-f"), environment=environment)
    assert [path.name for path in mountpoint.iterdir()] == ["before"]
    kontenumfs("unmount", mountpoint)
    assert not is_mountpoint(mountpoint)
