# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The attributes that stat() shows: stored metadata first, the mount's defaults for the rest."""

from dataclasses import dataclass

from kontenumfs.protocol.metadata import NANOSECONDS, FileMetadata, decode
from kontenumfs.store.api import ObjectInfo
from kontenumfs.tree.node import Directory, File, Node


@dataclass(frozen=True, slots=True)
class Defaults:
    """The attributes of objects that carry no metadata of their own.

    Args:
        uid: owner.
        gid: group.
        file_mode: permission bits of a file.
        directory_mode: permission bits of a directory.
        mtime_ns: time of a directory without a marker, in nanoseconds since the epoch.
        symlinks: whether an object that says so is shown as a symbolic link.
    """

    uid: int
    gid: int
    file_mode: int
    directory_mode: int
    mtime_ns: int
    symlinks: bool = False


@dataclass(frozen=True, slots=True)
class Stat:
    """One node as the kernel sees it.

    Args:
        is_directory: whether it is a directory, else it is a file.
        mode: permission bits.
        size: bytes.
        mtime_ns: modification time in nanoseconds since the epoch.
        target: what a symbolic link points to; None for all else.
    """

    is_directory: bool
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: str | None = None


def stat_of(node: Node, defaults: Defaults) -> Stat:
    """Return what is known of `node` now; ask nobody (Tree.fetch_attributes does)."""
    assert isinstance(node, File | Directory)
    info = node.info
    metadata = _metadata_over(node, info)
    directory = isinstance(node, Directory)
    size = 0
    if isinstance(node, File):
        size = node.local.size if node.local else info.size if info else 0
    fallback_mode = defaults.directory_mode if directory else defaults.file_mode
    fallback_time = defaults.mtime_ns
    if info is not None:
        fallback_time = round(info.last_modified * NANOSECONDS)
    return Stat(
        is_directory=directory,
        mode=fallback_mode if metadata.mode is None else metadata.mode,
        uid=defaults.uid if metadata.uid is None else metadata.uid,
        gid=defaults.gid if metadata.gid is None else metadata.gid,
        size=size,
        mtime_ns=fallback_time if metadata.mtime_ns is None else metadata.mtime_ns,
        target=metadata.target if defaults.symlinks and not directory else None,
    )


def metadata_of(node: File | Directory) -> FileMetadata:
    """Return mode, owner and time of `node`: what waits to be sent over what the store keeps."""
    return _metadata_over(node, node.info)


def _metadata_over(node: File | Directory, info: ObjectInfo | None) -> FileMetadata:
    stored = stored_metadata(info)
    if isinstance(node, File) and node.local is not None:
        return node.local.metadata.over(stored)
    return node.pending.over(stored) if node.pending is not None else stored


def stored_metadata(info: ObjectInfo | None) -> FileMetadata:
    """Return what an object's user metadata says; an empty one where it is not known."""
    if info is None or info.attributes is None:
        return FileMetadata()
    return decode(info.attributes.metadata, size=info.size)
