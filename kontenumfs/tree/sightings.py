# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""An old name, until its callers are moved in one step."""

from kontenumfs.tree.reconciler import LEGACY_MARKER

__all__ = ["LEGACY_MARKER"]
