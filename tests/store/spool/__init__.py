# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests drive: a real emulator process, real mounts, and real programs."""
