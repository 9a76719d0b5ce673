# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A store whose clock is far from this machine's: requests are signed with its time."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.emulator import BUCKET, Emulator, running_emulator
from tests.harness.mounts import MountFactory, kontenumfs

HOUR = 3600
OTHER_TIME = f"import time\nreal = time.time\ntime.time = lambda: real() + {HOUR}\n"


@pytest.fixture
def ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that lives an hour ahead, and refuses what differs by 15 minutes."""
    (tmp_path / "sitecustomize.py").write_text(OTHER_TIME)
    with ExitStack() as stack:
        with monkeypatch.context() as changed:
            changed.setenv("PYTHONPATH", str(tmp_path))
            emulator = stack.enter_context(running_emulator(tmp_path / "ahead"))
        yield emulator


@pytest.mark.parametrize("signature", ["v4", "v2"])
def test_a_mount_an_hour_behind(mount: MountFactory, ahead: Emulator, signature: str) -> None:
    """Corrected at the first refusal and once, said in the log, the status and the check."""
    mounted = mount(f"signature={signature}", server=ahead)
    for number in range(5):
        (mounted.path / f"{number}").write_text("content")
    assert ahead.counts()["PutObject"] == 5
    assert mounted.fetch("4") == b"content"
    log = mounted.log.read_text()
    assert log.count("clock differs from the store's by 0:59:") + log.count("by 1:00:") == 1
    assert "clock is wrong" in log
    told = json.loads(kontenumfs("status", "--json", mounted.path).stdout)
    assert abs(told["clock_skew_seconds"] - HOUR) < 60
    options = (
        f"endpoint={ahead.s3_url},credentials_file={mounted.credentials},signature={signature}"
    )
    rows = json.loads(kontenumfs("check", "--json", "-o", options, BUCKET).stdout)[0]["checks"]
    clock = next(row for row in rows if row["name"] == "clock")
    assert clock["state"] == "warning"
    assert "synchronise it (NTP)" in clock["detail"]
    mounted.close()
