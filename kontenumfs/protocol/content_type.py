# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Content-Type by name, from a table of our own: the same on every machine."""

import mimetypes
from functools import lru_cache

DEFAULT_TYPE = "application/octet-stream"

# files=() leaves the host's tables out; these are what a CDN origin serves and Python lacks.
_TYPES = mimetypes.MimeTypes(filenames=())
for _suffix, _type in {
    ".avif": "image/avif",
    ".gz": "application/gzip",
    ".js": "text/javascript",
    ".json": "application/json",
    ".log": "text/plain",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".m4s": "video/iso.segment",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mpd": "application/dash+xml",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xz": "application/x-xz",
    ".bz2": "application/x-bzip2",
    ".zst": "application/zstd",
}.items():
    _TYPES.add_type(_type, _suffix)


@lru_cache(maxsize=4096)
def guess_content_type(name: str) -> str:
    """The media type that a file name suggests; application/octet-stream where it does not."""
    # A compressed file is what it is: sent as Content-Encoding, browsers would unpack it.
    last = name.rsplit("/", 1)[-1].rpartition(".")
    if not last[1]:
        return DEFAULT_TYPE
    return _TYPES.types_map[True].get("." + last[2].lower(), DEFAULT_TYPE)
