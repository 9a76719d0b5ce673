# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The tree: names, inodes and attributes, a cache that listings and writes feed.

It may import protocol and store. It never writes an object, and knows no kernel (pyfuse3).
"""
