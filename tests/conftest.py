# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures, and what every test is held to: no error logged, no mount and no process left."""

import gc
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kontenumfs.daemon.kernel import mounts
from tests.harness.emulator import Emulator, running_emulator
from tests.harness.mounts import MountedBucket


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that logs an error, or leaves a mount, a child process or a socket behind."""
    before, children = set(mounts()), _children()
    yield
    gc.collect()  # an unclosed socket is a ResourceWarning, and warnings are errors
    assert not set(mounts()) - before, "a mount was left behind"
    assert not _children() - children, "a process was left behind"
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors, f"an error was logged: {errors}"


def _children() -> set[str]:
    """The processes that this one has started."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= set((task / "children").read_text().split())
    return found


@pytest.fixture(scope="session")
def fuse() -> None:
    """/dev/fuse: required in CI, where a missing one must not hide the tests."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        if os.environ.get("CI"):
            pytest.fail("/dev/fuse is missing, and CI must test real mounts")
        pytest.skip("/dev/fuse is missing: run as root on a machine with FUSE")


@pytest.fixture(scope="session")
def session_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for the tests that leave it as it was; no mount ever reads an object."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator
        reads = [
            request
            for request in emulator.all_requests()
            if request["op"] == "GetObject" and request["user_agent"].startswith("kontenumfs")
        ]
        assert not reads, f"a mount sent GetObject: {reads}"


@pytest.fixture
def emulator(session_emulator: Emulator) -> Iterator[Emulator]:
    """The emulator, with the requests counted from here on, and without faults."""
    session_emulator.mark()
    yield session_emulator
    session_emulator.clear_faults()


@pytest.fixture
def mount(
    fuse: None, emulator: Emulator, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., MountedBucket]]:
    """Make mounts of a prefix of the test's own; all of them end with the test."""
    made: list[MountedBucket] = []

    def make(*options: str, prefix: str | None = None) -> MountedBucket:
        own = request.node.name.replace("[", "-").replace("]", "") if prefix is None else prefix
        directory = tmp_path / f"mount{len(made)}"
        source = f"bucket/{own}" if own else "bucket"
        made.append(MountedBucket(directory, emulator.s3_url, *options, source=source))
        emulator.mark()
        return made[-1]

    yield make
    for mounted in made:
        mounted.close()
