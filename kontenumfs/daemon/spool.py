# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a mount spools, and where."""

import logging
import os
from pathlib import Path

from kontenumfs.admin.spool_place import SpoolPlace, default_size, doubt_of
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.source import Source
from kontenumfs.writing.spooling import Spooling

log = logging.getLogger(__name__)


def spooling_of(live: LiveSettings, source: Source, mountpoint: Path) -> Spooling | None:
    """Return how a mount spools; None where it writes through, and nothing was left to send.

    What an earlier mount has left is gone on with, also where nothing is to be spooled any more.
    Raises SpoolRefused.
    """
    options, rules = live.settings.options, live.rules
    place = SpoolPlace.of(options, source, mountpoint, os.environ)
    if not (rules.uses_spool or place.is_left):
        return None
    place.prepare(mountpoint, is_given=options.spool_dir is not None)
    if doubt := doubt_of(place.directory):
        log.warning("%s", doubt)
    for other in place.others():
        log.warning(
            "%s has what a mount of %s/%s at %s has not stored: mount it there again",
            *(other[name] for name in ("directory", "bucket", "prefix", "mountpoint")),
        )
    size = options.spool_size
    return Spooling(
        directory=place.directory,
        whose=place.whose,
        size=default_size(place.directory) if size is None else size,
        is_spooled=lambda path: rules.policy(path).is_spooled,
        publish_last=[glob for glob in options.publish_last.split(":") if glob],
    )
