# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Content-Type by name: what a CDN serves, the same on every machine."""

import mimetypes

import pytest

from kontenumfs.protocol.content_type import DEFAULT_TYPE, guess_content_type

EXPECTED = {
    "page.html": "text/html",
    "style.css": "text/css",
    "app.js": "text/javascript",
    "app.mjs": "text/javascript",
    "data.json": "application/json",
    "app.js.map": "application/json",
    "photo.jpg": "image/jpeg",
    "photo.avif": "image/avif",
    "icon.svg": "image/svg+xml",
    "font.woff2": "font/woff2",
    "live.m3u8": "application/vnd.apple.mpegurl",
    "live.mpd": "application/dash+xml",
    "segment.ts": "video/mp2t",
    "segment.m4s": "video/iso.segment",
    "film.mp4": "video/mp4",
    "captions.vtt": "text/vtt",
    "module.wasm": "application/wasm",
    "app.log": "text/plain",
    "UPPER.HTML": "text/html",
    "dir.html/none": DEFAULT_TYPE,
    "dir/page.html": "text/html",
    "none": DEFAULT_TYPE,
    "": DEFAULT_TYPE,
    "ends.": DEFAULT_TYPE,
    "odd.kontenum": DEFAULT_TYPE,
}


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_a_name_suggests_a_type(name: str, expected: str) -> None:
    assert guess_content_type(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("page.html.gz", "application/gzip"),
        ("backup.tar.gz", "application/gzip"),
        ("dump.sql.zst", "application/zstd"),
        ("dump.sql.xz", "application/x-xz"),
        ("dump.sql.bz2", "application/x-bzip2"),
    ],
)
def test_a_compressed_file_is_what_it_is(name: str, expected: str) -> None:
    """As text/html with an encoding, browsers would unpack what somebody wants to keep packed."""
    assert guess_content_type(name) == expected


def test_the_hosts_tables_are_left_out() -> None:
    """What this machine's registry says of a suffix changes nothing."""
    mimetypes.add_type("application/x-here-only", ".here-only")
    assert guess_content_type("file.here-only") == DEFAULT_TYPE
