# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m kontenumfs.emulator``: the emulator alone."""

import sys

from kontenumfs.emulator.server import main

sys.exit(main(sys.argv[1:]))
