# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Command-line clients that nobody here wrote, configured in a directory of the test's own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.harness.emulator import ACCESS, SECRET
from tests.harness.mounts import run

PROGRAMS = Path(sys.executable).parent


class Client:
    """A program with an environment that knows nothing of this machine's settings.

    Args:
        command: the program and the options that each call has.
        home: its home directory.
    """

    def __init__(self, command: list[str], home: Path, **environment: str) -> None:
        home.mkdir(exist_ok=True)
        self.command = command
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            **environment,
        }

    def run(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command; a failure fails the test."""
        return run(*self.command, *words, check=check, env=self.environment)

    def __call__(self, *words: str | Path) -> str:
        """Run one command and return what it prints."""
        return self.run(*words).stdout


def aws(url: str, home: Path) -> Client:
    """The AWS command line."""
    return Client(
        [str(PROGRAMS / "aws"), "--endpoint-url", url],
        home,
        AWS_ACCESS_KEY_ID=ACCESS,
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_PAGER="",
    )


def s3cmd(url: str, home: Path, *, signature_v2: bool) -> Client:
    """s3cmd, which speaks SigV2 on request."""
    home.mkdir(exist_ok=True)
    host = url.removeprefix("http://")
    config = home / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {ACCESS}\nsecret_key = {SECRET}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\n"
        f"signature_v2 = {signature_v2}\ncheck_ssl_certificate = False\nprogress_meter = False\n"
    )
    return Client(["s3cmd", "-c", str(config)], home)


def rclone(url: str, home: Path, **settings: str) -> Client:
    """rclone with one remote, ``k:``."""
    environment = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ACCESS_KEY_ID": ACCESS,
        "SECRET_ACCESS_KEY": SECRET,
        "ENDPOINT": url,
        "REGION": "us-east-1",
        "FORCE_PATH_STYLE": "true",
        **settings,
    }
    return Client(
        [str(PROGRAMS / "rclone"), "--config", "/dev/null", "--retries", "1"],
        home,
        **{f"RCLONE_CONFIG_K_{name}": value for name, value in environment.items()},
    )
