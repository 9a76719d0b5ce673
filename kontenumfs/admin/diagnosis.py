# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""Diagnosis: the network, the store and the keys, tried one after the other."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import trio

from kontenumfs.admin.preflight import verdict
from kontenumfs.config.live import WRONG_CLOCK_SECONDS
from kontenumfs.protocol import errors as e
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.names import STAGING_PREFIX
from kontenumfs.protocol.signing import KeyPair
from kontenumfs.store.api import Attributes, Store
from kontenumfs.store.auth import Clock
from kontenumfs.store.client import open_store, trust
from kontenumfs.store.keys import KeyRing
from kontenumfs.store.probe import CLEAN_UP_SECONDS
from kontenumfs.store.wire import Endpoint

UNABLE = (e.NotImplementedByStore, e.InvalidRequest, e.Conflict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table.

    Args:
        name: what was tried.
        state: "warning" where a mount works all the same; "skipped" after a failure.
        detail: what was found, or the cause and the cure.
        code: the exit code that the failure asks for.
    """

    name: str
    state: Literal["ok", "warning", "failed", "skipped"]
    detail: str = ""
    code: Exit = Exit.OK


class Diagnosis:
    """One bucket at one endpoint.

    Args:
        prefix: the mount's; the scratch keys are below it, in the mounts' own place.
        deadline: seconds that one step may take.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        bucket: str,
        prefix: str,
        pairs: Sequence[KeyPair],
        *,
        deadline: float,
    ) -> None:
        self._endpoint = endpoint
        self._bucket = bucket
        self._prefix = prefix
        self._pairs = list(pairs)
        self._deadline = deadline
        self._clock = Clock()
        self._scratch = f"{prefix}{STAGING_PREFIX}check-{secrets.token_hex(6)}"

    async def run(self) -> AsyncIterator[Finding]:
        """Yield each finding as soon as it is made; what rests on a failed step is skipped."""
        steps: list[tuple[str, Callable[[], Awaitable[Finding | str]]]] = [
            ("name", self._name),
            ("connection", self._connection),
            ("TLS", self._tls),
            ("keys", self._keys),
            ("clock", self._skew),
        ]
        async for finding in self._steps(steps):
            yield finding
            if finding.state == "failed":
                for name in (*_after(steps, finding.name), *RIGHTS):
                    yield Finding(name, "skipped")
                return
        async for finding in self._rights():
            yield finding

    async def _steps(
        self, steps: Sequence[tuple[str, Callable[[], Awaitable[Finding | str]]]]
    ) -> AsyncIterator[Finding]:
        for name, step in steps:
            try:
                with trio.fail_after(self._deadline):
                    said = await step()
            except trio.TooSlowError:
                said = Finding(
                    name,
                    "failed",
                    f"no answer within {self._deadline:g} s: check endpoint= and firewall",
                    Exit.DEADLINE,
                )
            except e.KontenumError as error:
                said = self._failed(name, error)
            yield said if isinstance(said, Finding) else Finding(name, "ok", said)

    def _failed(self, name: str, error: e.KontenumError) -> Finding:
        said = verdict(error, self._bucket, self._endpoint.url)
        return Finding(name, "failed", str(said), said.exit_code)

    @property
    def _origin(self) -> tuple[str, int]:
        url = self._endpoint.origin(self._bucket)
        return url.host, url.port or (443 if self._endpoint.is_tls else 80)

    async def _name(self) -> str:
        host, port = self._origin
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except OSError as error:
            raise e.NameResolutionError(f"{host}: {error.strerror}") from None
        return f"{host} is {', '.join(sorted({str(entry[4][0]) for entry in found}))}"

    async def _connect(self) -> trio.SocketStream:
        host, port = self._origin
        try:
            return await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise e.NotSent(f"{host}:{port}: {error.strerror or error}") from None

    async def _connection(self) -> str:
        began = time.monotonic()
        stream = await self._connect()
        await stream.aclose()
        return f"port {self._origin[1]} answers in {(time.monotonic() - began) * 1000:.0f} ms"

    async def _tls(self) -> Finding | str:
        if not self._endpoint.is_tls:
            if self._origin[0] in ("127.0.0.1", "::1", "localhost"):
                return "not used"
            return Finding("TLS", "warning", "not used: what is written can be seen on its way")
        context = trust(self._endpoint.ca_file)
        stream = trio.SSLStream(
            await self._connect(), context, server_hostname=self._origin[0], https_compatible=True
        )
        try:
            await stream.do_handshake()
            return f"{stream.version()}, the certificate is trusted"
        except trio.BrokenResourceError as error:
            raise e.TLSError(str(error.__cause__ or error)) from None
        finally:
            with trio.move_on_after(1):
                await stream.aclose()

    def _open(self, pairs: Sequence[KeyPair]) -> Store:
        return open_store(
            self._endpoint,
            self._bucket,
            KeyRing(pairs),
            deadline=self._deadline,
            connections=2,
            clock=self._clock,
        )

    async def _keys(self) -> Finding | str:
        """Try each pair by itself, so that the second is known to work before it is needed."""
        good: list[KeyPair] = []
        refused: list[tuple[KeyPair, e.StoreError]] = []
        for pair in self._pairs:
            store = self._open([pair])
            try:
                await store.head_bucket()
                good.append(pair)
            except (e.InvalidAccessKeyId, e.SignatureDoesNotMatch) as error:
                refused.append((pair, error))
            finally:
                await store.aclose()
        if not good:
            raise refused[0][1]
        self._pairs = good
        names = ", ".join(pair.access_key for pair in good)
        if refused:
            others = ", ".join(f"{pair.access_key} ({error.code})" for pair, error in refused)
            return Finding("keys", "warning", f"{names} works; refused: {others}")
        return f"{names}; the bucket is there"

    async def _skew(self) -> Finding | str:
        if self._clock.measured is None:
            return Finding("clock", "warning", "the store does not tell its time")
        skew = self._clock.measured.total_seconds()
        if abs(skew) < WRONG_CLOCK_SECONDS:
            return f"differs by {abs(skew):.0f} s"
        corrected = " (requests are signed with the store's time)" if self._clock.correction else ""
        return Finding(
            "clock",
            "warning",
            f"this machine is {abs(skew):,.0f} s {'behind' if skew > 0 else 'ahead'}: "
            f"synchronise it (NTP){corrected}",
        )

    async def _rights(self) -> AsyncIterator[Finding]:
        """Try one of each verb, on scratch keys that are gone afterwards."""
        store = self._open(self._pairs)
        rights = _Rights(store, self._scratch, self._prefix)
        try:
            failed = False
            for name in RIGHTS:
                if failed and name not in ("list", "delete"):
                    yield Finding(name, "skipped")
                    continue
                step: Callable[[], Awaitable[Finding | str]] = getattr(rights, name)
                async for finding in self._steps([(name, step)]):
                    yield finding
                    # Without an object to work on, the rest says nothing.
                    failed |= finding.state == "failed" and name == "put"
        finally:
            with trio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await store.aclose()


RIGHTS = ("list", "put", "head", "append", "compose", "copy", "delete")


class _Rights:
    """The verbs by their names in RIGHTS; each returns what it found or raises."""

    def __init__(self, store: Store, scratch: str, prefix: str) -> None:
        self._store = store
        self._key = scratch
        self._prefix = prefix
        self._made: list[str] = []

    async def list(self) -> str:
        page = await self._store.list_page(self._prefix, max_keys=1)
        return "there are keys" if page.objects or page.prefixes else "there are no keys yet"

    async def put(self) -> str:
        await self._store.put(self._key, [b"12"], Attributes())
        self._made.append(self._key)
        return self._key

    async def head(self) -> str:
        found = await self._store.head(self._key)
        if found.size != 2:
            raise e.UnexpectedAnswer(
                f"{found.size} bytes instead of 2", operation="HeadObject", resource=self._key
            )
        return "sizes and times are seen"

    async def append(self) -> Finding | str:
        try:
            await self._store.append(self._key, [b"345"])
            works = (await self._store.head(self._key)).size == 5
        except UNABLE:
            works = False
        lacking = "this store has none: adding to a file will be EOPNOTSUPP"
        return "only new bytes are sent" if works else Finding("append", "warning", lacking)

    async def compose(self) -> Finding | str:
        self._made.append(self._key + "-composed")
        try:
            size = (await self._store.head(self._key)).size
            await self._store.compose(self._made[-1], [self._key, self._key], Attributes())
            works = (await self._store.head(self._made[-1])).size == 2 * size
        except UNABLE:
            works = False
        lacking = "this store has none: joining files copies parts instead"
        return "files are joined in the store" if works else Finding("compose", "warning", lacking)

    async def copy(self) -> str:
        self._made.append(self._key + "-copied")
        await self._store.copy(self._key, self._made[-1])
        return "renaming works"

    async def delete(self) -> str:
        for key in self._made:
            await self._store.delete(key)
        if not self._made:
            await self._store.delete(self._key)
        return "the scratch keys are gone"


def _after(steps: Sequence[tuple[str, object]], name: str) -> list[str]:
    names = [step for step, _ in steps]
    return names[names.index(name) + 1 :]
