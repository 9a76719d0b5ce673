# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""kontenumfs: a write-only FUSE mount for Kontenum, the object store for CDN origins."""

__version__ = "0.1.0"
