# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""docs/getting-started.md, each command as it is written."""

import re
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.harness.mounts import shell

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"


def unused_ports(number: int) -> list[str]:
    """Return ports on which nobody listens at the moment, each of them once."""
    with ExitStack() as stack:
        made = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
        for listener in made:
            stack.enter_context(listener)
        return [str(listener.getsockname()[1]) for listener in made]


def test_the_commands_of_the_tutorial(fuse: None, tmp_path: Path) -> None:
    """They end with what the text says; other ports and another directory, for other tests run."""
    commands = "\n".join(re.findall(r"(?m)^    (.+)$", PAGE.read_text()))
    for port, free in zip(("9000", "9001"), unused_ports(2), strict=True):
        commands = commands.replace(port, free)
    assert commands.count("&\n") == 1
    ready = "until grep -q ready emulator.log; do sleep 0.1; done"
    commands = commands.replace("&\n", f"> emulator.log &\n{ready}\n")
    commands = commands.replace("/tmp/try", str(tmp_path / "try"))
    wrapper = tmp_path / "bin" / "kontenumfs"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m kontenumfs "$@"\n')
    wrapper.chmod(0o755)
    done = shell(f"PATH={wrapper.parent}:$PATH\n{commands}", tmp_path)
    assert done.stdout.startswith("hello\nhello\nworld\n")
    assert done.stdout.count('"request_bytes": 6') == 1
    assert "GPL-3" in done.stdout
    errors = done.stderr.splitlines()
    assert [line for line in errors if "Permission denied" not in line] == []
    assert not (tmp_path / "try").exists()
