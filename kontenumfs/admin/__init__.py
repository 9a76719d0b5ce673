# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Administration: the tools of the command line that are not the process of a mount.

Checks, diagnosis, units, and what mounts and daemons this host has. The process uses some of it
too. It may import protocol, store and config, but not the process itself, so that no command has
to load the kernel's library (pyfuse3) for it.
"""
