# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The harness on a busy machine: what it looks at may end while it looks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.leaks import children
from tests.harness.processes import comm, memory, running, status, words


def test_a_thread_may_end_while_its_children_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """read(2) is ESRCH then, though open(2) found it."""

    def ends(path: Path, *arguments: object) -> bytes:
        raise ProcessLookupError(3, "No such process", str(path))

    monkeypatch.setattr(Path, "read_bytes", ends)
    monkeypatch.setattr(Path, "read_text", ends)
    assert children() == set()


def test_a_process_that_has_ended_says_nothing() -> None:
    """Before it is waited for it still has a name and a status, and no memory."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process.pid in running()
        assert status(process.pid, "State") == ["Z", "(zombie)"]
        assert status(process.pid, "VmRSS") == []
        assert words(process.pid) == []
    assert comm(process.pid) == ""
    assert status(process.pid, "State") == []
    with pytest.raises(AssertionError, match="has ended"):
        memory(process.pid)
