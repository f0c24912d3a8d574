"""A server of WebSockets that sends each message back."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from websockets.asyncio.server import ServerConnection, serve as listen
from websockets.frames import CloseCode


async def echo(connection: ServerConnection) -> None:
    """Sends each message back, and closes at the word."""
    async for message in connection:
        if message == "close":
            return await connection.close(CloseCode.GOING_AWAY, "as asked")
        await connection.send(message)


@contextlib.contextmanager
def running() -> Iterator[int]:
    """A server of WebSockets on a port of its own."""
    loop, opened, port = asyncio.new_event_loop(), threading.Event(), []

    async def run() -> None:
        async with listen(echo, "127.0.0.1", 0, subprotocols=["chat"]) as server:
            port.append(server.sockets[0].getsockname()[1])
            opened.set()
            await stop

    stop = loop.create_future()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert opened.wait(20)
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(stop.set_result, None)
        thread.join(20)
