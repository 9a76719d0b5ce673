# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The emulator: a Kontenum-compatible server on this machine, for the demo and for tests.

It may import protocol alone: it shares the words of S3 with the client, and none of its code.
"""
