# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""``kontenumfs emulator``: a Kontenum of your own on this machine."""

import argparse
from collections.abc import Sequence

from kontenumfs.protocol.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Serve until interrupted; the emulator's own --help says the rest."""
    try:
        from kontenumfs.emulator.server import main as serve
    except ModuleNotFoundError as error:
        raise UserError(
            f"the emulator needs {error.name}: pip install 'kontenumfs[emulator]'"
        ) from None
    return serve(argv)


def parser() -> argparse.ArgumentParser:
    """Make the parser of ``kontenumfs emulator``."""
    from kontenumfs.emulator import options

    return options.parser()
