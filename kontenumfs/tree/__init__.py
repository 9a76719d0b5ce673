# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The tree: names, inodes and attributes, a cache that listings and writes feed.

It may import protocol and store. It never writes an object, and knows no kernel (pyfuse3).

`tree.Tree` is what others call. Below it, each module imports those further down alone:

- `prefetch`, `attribute_fetcher`: attributes that only HEAD shows; `series` notices who wants many.
- `reader`: names and whole directories, by `listing` (one directory) or `walk` (all below one).
- `reconciler`: one listing of one directory, put into the cache name by name.
- `fetcher`: HEAD and LIST, each asked once for all who want it; `generations` outlast refreshes.
- `observations` (what the store said), `changes` (what this mount does) and `refresh` (what is
  believed no more) write the cache.
- `cache`: names in memory, and no store; `eviction` bounds it, and `kernel` is told of changes.
- `node`: one name. `objects` and `packed` compare and store what is known of its object.

`inodes` numbers nodes for the kernel, `attributes` is what stat() shows of one, and `remembered`
keeps attributes over mounts.
"""
