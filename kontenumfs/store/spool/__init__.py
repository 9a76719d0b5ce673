# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The spool: requests that are safe on the local disk, and on their way to the store."""
