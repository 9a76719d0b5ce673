# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The protocol: what S3 and Kontenum's dialect of it say, without any input or output.

It may import nothing of the package; no file, socket, clock or task is touched here.
"""
