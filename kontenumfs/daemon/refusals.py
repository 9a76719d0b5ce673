# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The reason for which a mount is refused, which libfuse prints on stderr only."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kontenumfs.protocol.errors import UserError
from kontenumfs.protocol.exits import Exit


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn a refused mount into a UserError that says why: libfuse says it on stderr only."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as said:
            os.dup2(said.fileno(), 2)
            try:
                yield
            except RuntimeError as error:
                said.seek(0)
                lines = said.read().decode(errors="replace").splitlines()
                reason = lines[-1].removeprefix("fusermount3: ") if lines else str(error)
                raise UserError(f"{path}: {reason}: {_cure(reason)}", Exit.FUSE) from None
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)


def _cure(reason: str) -> str:
    if "allow_other" in reason:
        return "write user_allow_other into /etc/fuse.conf, or mount as root"
    if "write access" in reason:
        return "mount on a directory of your own, or as root"
    return "a mount needs root, or fusermount3 with its set-user-id bit (in a container SYS_ADMIN)"
