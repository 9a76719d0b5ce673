# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The store: a typed client of one bucket, a method for each S3 operation.

It may import protocol. It owns retries, keys, capabilities and conditions, and knows no files.
"""
