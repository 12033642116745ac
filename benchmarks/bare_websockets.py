"""A reference server: ``websockets``' own ``broadcast()`` and nothing else. No accounts, no database, no order."""

import asyncio
import sys
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed


async def run(port: int) -> None:
    """Serve until terminated; prints a line when ready."""
    clients: set[ServerConnection] = set()

    async def handle(client: ServerConnection) -> None:
        clients.add(client)
        with suppress(ConnectionClosed):
            async for message in client:
                broadcast(clients, message)
        clients.discard(client)

    async with serve(handle, "127.0.0.1", port, compression=None, backlog=2048):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1])))
