# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The daemon: one mount's life, and its guests."""

import kontenumfs.fuse  # noqa: F401  # before any module here imports pyfuse3: see there
