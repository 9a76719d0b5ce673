# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Writing: what programs write, and the requests that store it.

It may import protocol, store and tree. It knows no kernel (pyfuse3) and no settings.
"""
