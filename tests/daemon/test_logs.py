# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Log lines that cannot be written end nothing, and flood nobody."""

import sys

from tests.harness.mounts import run

PROGRAM = """
import logging
from kontenumfs.daemon.logs import set_up_logging
set_up_logging("info", "/dev/full", foreground=True)
for number in range(5000):
    logging.getLogger("kontenumfs").info("line %d", number)
"""


def test_a_full_disk_is_told_once() -> None:
    """Not by a traceback for each line, on the terminal of who mounts or in the journal."""
    said = run(sys.executable, "-c", PROGRAM).stderr
    assert said == "kontenumfs: log_file /dev/full: No space left on device: lines are lost\n"
