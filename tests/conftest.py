# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures, and what every test is held to: no error logged, no mount and no process left."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.emulator import Emulator, EmulatorPool, running_emulator
from tests.harness.leaks import LASTING, Leaks, adopt_orphans
from tests.harness.mounts import MountedBucket, MountFactory
from tests.harness.objects import ObjectStore


def pytest_configure(config: pytest.Config) -> None:
    """Watch over daemons too, and keep the machine's own key pairs out of the tests."""
    config.addinivalue_line("markers", "emulator(*options): use an emulator with these options")
    adopt_orphans()
    for name in list(os.environ):
        if name.startswith(("AWS_", "KONTENUM_", "RCLONE_")) and name != "AWS_CA_BUNDLE":
            del os.environ[name]


def pytest_collection_finish() -> None:
    """Let the collections after each test see only what the test has made."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind(
    caplog: pytest.LogCaptureFixture, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Fail a test that logs an error, or leaves a mount, a process or a socket behind.

    A test that provokes an error says so by `caplog.clear()` once it has looked at it.
    """
    leaks = Leaks(tmp_path_factory.getbasetemp())
    yield
    gc.collect()  # an unclosed socket is a ResourceWarning, and warnings are errors
    left = leaks.collect()
    assert not left, f"left behind: {left}"
    errors = [
        record.getMessage()
        for record in (*caplog.get_records("setup"), *caplog.get_records("call"))
        if record.levelno >= logging.ERROR
    ]
    assert not errors, f"errors were logged: {errors}"


@pytest.fixture(scope="session")
def fuse() -> None:
    """/dev/fuse: required in CI, where a missing one must not hide the tests."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        if os.environ.get("CI"):
            pytest.fail("/dev/fuse is missing, and CI must test real mounts")
        pytest.skip("/dev/fuse is missing: run as root on a machine with FUSE")


@pytest.fixture(scope="session")
def session_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests that leave it as it was; it proves that no mount ever reads."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        LASTING.add(emulator.pid)
        yield emulator


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorPool]:
    """More emulators, by their options: `emulators.get("--conditional=none")`."""
    pool = EmulatorPool(tmp_path_factory.mktemp("emulators"), LASTING.add)
    yield pool
    pool.close()


@pytest.fixture
def emulator(
    session_emulator: Emulator, emulators: EmulatorPool, request: pytest.FixtureRequest
) -> Iterator[Emulator]:
    """The emulator, with the requests counted from here on, and without faults.

    A test marked `@pytest.mark.emulator("--conditional=none", ...)`, one parameter of a test
    (`pytest.param(..., marks=pytest.mark.emulator(...))`), or a whole module by its `pytestmark`,
    has one with these options; so have its mounts and whatever else asks for the emulator.
    """
    options = _options(request)
    chosen = emulators.get(*options) if options else session_emulator
    chosen.mark()
    yield chosen
    chosen.clear_faults()
    chosen.check_log()


def _options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What a test's `emulator` mark asks for."""
    marker = request.node.get_closest_marker("emulator")
    return marker.args if marker else ()


@pytest.fixture
def own_emulator(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator for this test alone, which may stop it and kill it; the mark counts too."""
    with running_emulator(tmp_path / "own-emulator", *_options(request)) as emulator:
        yield emulator


@pytest.fixture
def mount(
    fuse: None, emulator: Emulator, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[MountFactory]:
    """Make mounts of a prefix of the test's own; all of them end with the test."""
    factory = MountFactory(emulator, tmp_path, request.node.name)
    yield factory
    factory.close()


@pytest.fixture(scope="session")
def session_mount(
    fuse: None, session_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MountedBucket]:
    """One mount for many small tests that leave it empty."""
    made = MountedBucket(tmp_path_factory.mktemp("session"), session_emulator, prefix="session")
    LASTING.add(made.daemon())
    yield made
    made.close()


@pytest.fixture
def store(emulator: Emulator, mount: MountFactory) -> Iterator[ObjectStore]:
    """Another program at the same bucket, below the prefix of the test's own."""
    other = ObjectStore(emulator.s3_url, mount.prefix)
    yield other
    other.close()


@pytest.fixture
def mounted(mount: MountFactory) -> MountedBucket:
    """One mount with default options, of a prefix of the test's own."""
    return mount()
