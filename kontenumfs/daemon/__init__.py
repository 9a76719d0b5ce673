# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The daemon: the process of one mount, from its checks to the last byte stored.

It may import every ring but cli and emulator; cli alone imports it.
"""

import kontenumfs.fuse  # noqa: F401  # before any module here imports pyfuse3: see there
