# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What test_misconfigurations has no row for: where keys come from, TLS that works, dead mounts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kontenumfs.admin.mounts import is_mountpoint
from kontenumfs.config.options import mount_options
from kontenumfs.protocol.exits import Exit
from tests.harness.emulator import ACCESS, BUCKET, SECRET, Emulator, running_emulator
from tests.harness.mounts import MountFactory, kontenumfs, run, wait_until
from tests.harness.tls import certificate

pytestmark = pytest.mark.usefixtures("fuse")


class Attempt:
    """A try to mount that must fail.

    Args:
        endpoint: where the store is said to be.
        directory: mountpoint and credentials are made in it.
    """

    def __init__(self, endpoint: str, directory: Path) -> None:
        self.endpoint = endpoint
        self.mountpoint = directory / "mnt"
        self.mountpoint.mkdir()
        self.credentials = directory / "credentials"
        self.credentials.write_text(f"{ACCESS}:{SECRET}\n")
        self.credentials.chmod(0o600)

    def words(self, *options: str, bucket: str = BUCKET) -> list[str]:
        """The command line."""
        settings = [f"endpoint={self.endpoint}", f"credentials_file={self.credentials}"]
        settings += ["deadline=5", *options]
        return ["mount", "-o", ",".join(settings), bucket, str(self.mountpoint)]

    def check(self, done: subprocess.CompletedProcess[str], code: Exit) -> str:
        """One line, the right code, no secret, and nothing mounted."""
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("kontenumfs: ")
        assert SECRET not in done.stderr
        assert not is_mountpoint(self.mountpoint)
        return done.stderr


@pytest.fixture
def attempt(emulator: Emulator, tmp_path: Path) -> Attempt:
    """A try to mount the emulator's bucket, in which one thing is made wrong."""
    return Attempt(emulator.s3_url, tmp_path)


def test_a_trusted_certificate_mounts(mount: MountFactory, tmp_path: Path) -> None:
    """https with ca_file: the payload is not signed, and everything works."""
    cert, key = certificate(tmp_path, "localhost")
    tls = (f"--tls-cert={cert}", f"--tls-key={key}")
    with running_emulator(tmp_path / "tls", *tls) as emulator:
        emulator.s3_url = emulator.s3_url.replace("127.0.0.1", "localhost")
        mounted = mount(f"ca_file={cert}", prefix="tls", server=emulator)
        (mounted.path / "file").write_bytes(b"over tls")
        with open(mounted.path / "file", "ab") as file:
            file.write(b", appended")
        assert emulator.fetch("tls/file") == b"over tls, appended"
        mounted.close()


def test_no_keys_at_all(attempt: Attempt) -> None:
    """Where keys can come from is said."""
    words = ["mount", "-o", f"endpoint={attempt.endpoint}", BUCKET, str(attempt.mountpoint)]
    attempt.check(kontenumfs(*words, check=False), Exit.CREDENTIALS)


def test_keys_from_the_environment(attempt: Attempt, mount: MountFactory) -> None:
    """KONTENUM_* comes before AWS_*, and no options file is needed."""
    environment = {
        "KONTENUM_ENDPOINT": attempt.endpoint,
        "KONTENUM_ACCESS_KEY": ACCESS,
        "KONTENUM_SECRET_KEY": SECRET,
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SECRET_ACCESS_KEY": "keys",
    }
    kontenumfs("mount", BUCKET, attempt.mountpoint, environment=environment)
    assert is_mountpoint(attempt.mountpoint, "fuse.kontenumfs")
    kontenumfs("unmount", attempt.mountpoint)


def test_a_store_that_only_fails(attempt: Attempt, emulator: Emulator) -> None:
    """500 for ever is reported when the deadline has passed."""
    emulator.fault(op="*", count=None, status=500, code="InternalError")
    done = kontenumfs(*attempt.words("deadline=1"), check=False)
    assert done.returncode in (Exit.STORE, Exit.DEADLINE)
    assert len(done.stderr.splitlines()) == 1


def test_a_store_that_is_slow_again_and_again(attempt: Attempt, emulator: Emulator) -> None:
    """No request takes longer than the deadline, and the start does."""
    emulator.fault(op="*", count=None, delay=2.4)
    done = kontenumfs(*attempt.words("deadline=3"), check=False)
    attempt.check(done, Exit.DEADLINE)


@pytest.mark.parametrize("trouble", [{"status": 400}, {"delay": 30}], ids=str)
def test_a_mount_begins_whatever_its_own_marker_is(
    emulator: Emulator, mount: MountFactory, trouble: dict[str, int]
) -> None:
    """The kernel is answered from memory at the start: a directory's attributes may fail later."""
    emulator.fault(op="HeadObject", key=f"{mount.prefix}/", count=None, **trouble)
    mounted = mount("deadline=5")
    emulator.clear_faults()
    (mounted.path / "f").write_text("content")
    assert mounted.fetch("f") == b"content"


def test_something_else_than_a_store(attempt: Attempt, emulator: Emulator) -> None:
    """The CDN side as endpoint: it answers, but not as S3 does."""
    attempt.endpoint = emulator.cdn_url
    done = kontenumfs(*attempt.words("deadline=2"), check=False)
    assert done.returncode not in (Exit.OK, Exit.FAILED)
    assert len(done.stderr.splitlines()) == 1


def test_a_mountpoint_that_is_taken(mount: MountFactory, attempt: Attempt) -> None:
    """Mounting twice at one place is refused, and the first mount goes on."""
    first = mount()
    words = attempt.words()
    words[-1] = str(first.path)
    done = kontenumfs(*words, check=False)
    assert done.returncode == Exit.MOUNTPOINT
    (first.path / "still").write_text("here")


def test_a_mountpoint_whose_daemon_hangs(mount: MountFactory, attempt: Attempt) -> None:
    """Refused at once: whoever looked at it would wait for that daemon."""
    first = mount()
    os.kill(first.daemon(), signal.SIGSTOP)
    try:
        done = kontenumfs(*attempt.words()[:-1], first.path, check=False)
    finally:
        os.kill(first.daemon(), signal.SIGCONT)
    assert done.returncode == Exit.MOUNTPOINT
    assert "something is mounted here" in done.stderr


def test_without_dev_fuse(attempt: Attempt) -> None:
    """A machine or a container without the device."""
    script = 'mount -t tmpfs none /dev && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh"]
    possible = run(*command, "true", check=False)
    if possible.returncode:
        pytest.skip("needs the right to make a mount namespace")
    attempt.check(run(*command, *kontenumfs_words(attempt.words()), check=False), Exit.FUSE)


def kontenumfs_words(words: list[str]) -> list[str]:
    """The command line with its interpreter."""
    return [sys.executable, "-m", "kontenumfs", *words]


def test_every_reason_has_its_own_exit_code() -> None:
    """Scripts can tell the reasons apart."""
    assert len({int(code) for code in Exit}) == len(Exit.__members__)


def test_help_shows_every_option() -> None:
    """With its default and its unit."""
    said = kontenumfs("mount", "--help").stdout
    for name, option in mount_options().items():
        line = next(line for line in said.splitlines() if line.strip().startswith(name))
        assert option.kind.unit in line
        assert option.text in line


def test_unmounting_what_is_not_mounted(tmp_path: Path) -> None:
    """One line, and an exit code."""
    done = kontenumfs("unmount", tmp_path, check=False)
    assert done.returncode == Exit.MOUNTPOINT
    assert len(done.stderr.splitlines()) == 1


def test_a_full_mountpoint_is_allowed_on_request(mount: MountFactory, tmp_path: Path) -> None:
    """-o nonempty: what is below comes back after the unmount."""
    below = tmp_path / "mount0" / "mnt" / "below"
    below.parent.mkdir(parents=True)
    below.touch()
    mounted = mount("nonempty")
    assert not below.exists()
    mounted.unmount()
    assert below.exists()


def test_a_dead_mount_is_cleared(mount: MountFactory) -> None:
    """After a crash, "Transport endpoint is not connected" goes away by mounting again."""
    mounted = mount()
    mounted.kill()
    with pytest.raises(OSError, match="not connected"):
        list(mounted.path.iterdir())
    mounted.mount()
    assert list(mounted.path.iterdir()) == []


def test_foreground_stays_until_it_is_told_to_stop(attempt: Attempt) -> None:
    """-f: the process is the mount; SIGTERM unmounts, and the exit code is 0."""
    words = kontenumfs_words(attempt.words())
    words.insert(4, "-f")
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        try:
            wait_until(lambda: is_mountpoint(attempt.mountpoint))
            (attempt.mountpoint / "file").write_text("content")
        finally:
            process.terminate()
        assert process.wait(30) == Exit.OK
    assert not is_mountpoint(attempt.mountpoint)
