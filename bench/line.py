# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A long line in front of a server on this machine: what is sent arrives later, in order."""

import math
import threading

import trio


def far_away(url: str, round_trip: float) -> str:
    """Return the address of a server at the end of a line; it is served until this program ends.

    Args:
        url: of the server, on the loopback.
        round_trip: seconds; half of it each way, whatever the length of what is sent.
    """
    ready, told = threading.Event(), list[int]()
    port = int(url.rpartition(":")[2])
    arguments = (port, round_trip / 2, ready, told)
    threading.Thread(target=_relay, args=arguments, daemon=True).start()
    ready.wait()
    return f"http://127.0.0.1:{told[0]}"


def _relay(port: int, one_way: float, ready: threading.Event, told: list[int]) -> None:
    async def serve(client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", port)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, client, server, one_way)
            nursery.start_soon(_pass_on, server, client, one_way)

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        told.append(listeners[0].socket.getsockname()[1])
        ready.set()
        await trio.serve_listeners(serve, listeners)

    trio.run(main)


async def _pass_on(source: trio.SocketStream, sink: trio.SocketStream, one_way: float) -> None:
    """Pass everything on, each piece `one_way` seconds after it came."""
    send, receive = trio.open_memory_channel[tuple[float, bytes | bytearray]](math.inf)

    async def deliver() -> None:
        async for due, data in receive:
            await trio.sleep_until(due)
            await sink.send_all(data)
        await sink.send_eof()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deliver)
            async with send:
                async for data in source:
                    await send.send((trio.current_time() + one_way, data))
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        await sink.aclose()
