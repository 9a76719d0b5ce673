# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The kernel's side of a mount: thin adapters from pyfuse3 to tree/ and writing/.

Importing this package loads the extension for copy_file_range, which has to happen before pyfuse3
is loaded: its call to libfuse's fuse_session_new() must find the extension's function first.
"""

import os
import sys
from contextlib import suppress


def _load_extension() -> None:
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_GLOBAL)
    try:
        # Where it could not be built, copy_range.install() says so.
        with suppress(ImportError):
            import kontenumfs.fuse._copy_range  # noqa: F401
    finally:
        sys.setdlopenflags(flags)


_load_extension()
