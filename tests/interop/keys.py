# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Keys that clients and servers like to get wrong."""

ODD_KEYS = [
    "with space",
    "plus+plus",
    "percent%41%2F%",
    "a/deep/path/file.txt",
    "question?mark",
    "hash#tag",
    "amp&semi;eq=,colon:@",
    "quotes'\"`",
    "tilde~star*(paren)!$",
    "[brackets]{braces}|^",
    "ünïcödé-日本語-🎬",
    "combining-e\u0301",
    "<xml>&amp;]]>",
    "trailing space ",
    "trailing/slash/",
]
"""For every client."""

AWKWARD_KEYS = [
    "new\nline",
    "tab\tand\x7f",
    "back\\slash",
    "/leading/slash",
    "double//slash",
    "./dot",
    "up/../up",
    "k" * 1024,
    "é" * 512,
]
"""For clients that do not rewrite keys themselves."""
