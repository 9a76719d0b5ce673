# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What an object is stored with is what is known of it afterwards."""

import pytest

from kontenumfs.protocol.errors import NameTooLong
from kontenumfs.protocol.metadata import MAX_USER_METADATA, FileMetadata, metadata_size
from kontenumfs.store.api import Attributes, ObjectInfo
from kontenumfs.tree.node import File
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.identity import Composer, NodeIdentity
from tests.doubles.fake import FakeStore


@pytest.fixture
def tree() -> Tree:
    """A mount of an empty bucket."""
    return Tree(FakeStore(), clock=lambda: 0.0)


def identity_of(tree: Tree, node: File) -> NodeIdentity:
    """What a writer of `node` asks."""
    return NodeIdentity(tree, Composer(), node)


def test_what_was_sent_is_recorded_whatever_has_been_set_since(tree: Tree) -> None:
    """A chmod that comes while the request is under way is not in the store yet."""
    node = tree.add_file(tree.root, "f")
    identity = identity_of(tree, node)
    sent = identity.attributes(FileMetadata(mode=0o600), 5)
    node.set_pending(FileMetadata(mode=0o644))
    identity.stored(ObjectInfo("f", 5, "etag", 1.0, sent))
    assert node.info is not None
    assert node.info.attributes == sent
    assert sent.metadata["mode"] == "33152"


def test_an_append_leaves_what_the_object_has(tree: Tree) -> None:
    """It carries nothing, so nothing new is believed of the object."""
    node = tree.add_file(tree.root, "f")
    identity = identity_of(tree, node)
    sent = identity.attributes(FileMetadata(mtime_ns=10**9), 5)
    identity.stored(ObjectInfo("f", 5, "etag", 1.0, sent))
    identity.stored(ObjectInfo("f", 9, "other", 2.0))
    assert node.info == ObjectInfo("f", 9, "other", 2.0, sent)


def test_content_is_stored_with_what_fits_of_its_metadata(tree: Tree) -> None:
    """Where others have filled the object's, the bytes are not refused because of ours."""
    users = {"theirs": "x" * (MAX_USER_METADATA - 20)}
    composed = Composer().written("f", Attributes(users), FileMetadata(mode=0o600, uid=1), 5)
    assert composed.metadata == users | {"mode": "33152", "uid": "1"}
    composed = Composer().written(
        "f", Attributes(users), FileMetadata(mode=0o600, mtime_ns=10**18), 5
    )
    assert composed.metadata == users | {"mode": "33152"}
    assert metadata_size(composed.metadata) <= MAX_USER_METADATA


def test_a_link_to_what_no_object_can_carry_is_an_error() -> None:
    with pytest.raises(NameTooLong):
        Composer().written("l", None, FileMetadata(target="x" * 3000), 3000)
