# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration: the options of a mount, from the command line, the environment and the file.

It may import protocol, store (for keys) and writing (for policies). It reads files when it is
called, and neither waits nor talks to a store.
"""
