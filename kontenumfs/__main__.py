# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m kontenumfs``: the same as the ``kontenumfs`` command."""

import sys

from kontenumfs.cli import main

sys.exit(main())
