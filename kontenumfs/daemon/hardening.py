# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A process that has secret keys in its memory shows it to nobody."""

import ctypes
import resource

PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """Write no core file, and let no process of the same user trace this one (prctl(2))."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
