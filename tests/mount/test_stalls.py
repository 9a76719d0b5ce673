# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Uploads that stall hold up nobody but who waits for them."""

import os
import subprocess
from contextlib import ExitStack

from tests.harness.emulator import Emulator
from tests.harness.mounts import MountFactory, kontenumfs, run, shell

STALLED = 40
"""More than there are connections."""
HANGS = 600.0


def test_what_memory_knows_is_answered_while_uploads_stall(
    mount: MountFactory, own_emulator: Emulator
) -> None:
    """S9.9: FAULTS 5.1: ls, stat and statfs of a cached directory, and a write of another key."""
    mounted = mount("deadline=20", server=own_emulator)
    shell("mkdir cached; touch cached/{1..9}; ls -l cached", mounted.path)
    own_emulator.fault(op="PutObject", key=mounted.key("stalled-*"), delay=HANGS, count=None)
    with ExitStack() as stack:
        writers = []
        for number in range(STALLED):
            command = f"echo x > {mounted.path}/stalled-{number}"
            writers.append(stack.enter_context(subprocess.Popen(["bash", "-c", command])))
        for _ in range(3):
            run("stat", mounted.path / "cached" / "1")
            run("ls", "-l", mounted.path / "cached")
            os.statvfs(mounted.path)
        shell("echo stored > other", mounted.path)
        assert mounted.fetch("other") == b"stored\n"
        hanging = sum(writer.poll() is None for writer in writers)
        assert hanging > 20, "the rest was not asked after the stalled ones had ended"
        mounted.expected = "stalled|not stored|could not"
        for writer in writers:
            writer.wait(60)  # one deadline for all of them, not one after another
    assert mounted.peak_memory() < 300 << 20
    own_emulator.clear_faults()
    kontenumfs("unmount", mounted.path)
