# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The verbs that make and drop buckets; a mount needs none of them."""

import httpx

from kontenumfs.protocol import dialect
from kontenumfs.protocol.xml import Element
from kontenumfs.store.client import open_client
from kontenumfs.store.gate import exchange, root_of
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.retry import Repeat, RetryPolicy
from kontenumfs.store.wire import Call, Endpoint, prepare


class Account:
    """The buckets of an account; errors and deadlines are those of a Store.

    Args:
        deadline: seconds that one operation may take, its repetitions included.
    """

    def __init__(self, endpoint: Endpoint, keys: KeyRing, *, deadline: float = 60.0) -> None:
        # Buckets are named in the path: a new one's host name may not resolve yet.
        self._endpoint = Endpoint(
            endpoint.url, "path", endpoint.signature, endpoint.region, endpoint.ca_file
        )
        self._client = open_client(self._endpoint, "", keys, deadline=deadline, connections=2)
        self._retry = RetryPolicy(deadline=deadline)

    async def create_bucket(self, bucket: str) -> None:
        """Create a bucket; raises Conflict where the name is taken."""
        await self._send(bucket, Call("CreateBucket", "PUT", bucket), Repeat.UNSENT)

    async def delete_bucket(self, bucket: str, *, force: bool = False) -> None:
        """Delete a bucket; raises BucketNotEmpty unless `force` takes all that is in it along."""
        query = dialect.FORCE_DELETE if force else ()
        call = Call("DeleteBucket", "DELETE", bucket, query=query)
        await self._send(bucket, call, Repeat.UNSENT)

    async def list_buckets(self) -> list[str]:
        """The names of all buckets."""
        call = Call("ListBuckets", "GET")
        root = await root_of(await self._send("", call, Repeat.ALWAYS), call)
        buckets = next(root.all("Buckets"), Element(""))
        return [item.get("Name") for item in buckets.all("Bucket")]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _send(self, bucket: str, call: Call, repeat: Repeat) -> httpx.Response:
        prepared = await prepare(self._endpoint, self._endpoint.origin(""), bucket, call)
        return await self._retry.run(
            lambda: exchange(self._client, prepared.request(), call), repeat
        )
