"""A reference server: compiled ``picows``, sending to each client in turn. No accounts, no database, no order."""

import asyncio
import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

CLIENTS: set[WSTransport] = set()


class Client(WSListener):
    """One client's connection."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Send to this client too."""
        CLIENTS.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Send to this client no more."""
        CLIENTS.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Pass a message on to all."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()
            return
        message = frame.get_payload_as_bytes()
        for client in CLIENTS:
            client.send(WSMsgType.TEXT, message)


def _client(_request: WSUpgradeRequest) -> WSListener:
    return Client()


async def run(port: int) -> None:
    """Serve until terminated; prints a line when ready."""
    await ws_create_server(_client, "127.0.0.1", port, backlog=2048)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(int(sys.argv[1])))
