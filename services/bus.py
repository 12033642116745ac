"""The bus carries opaque bytes between nodes, quickly and without promises: it may lose some, and says so.

What is lost is healed from the database, so nobody ever waits for the bus.
"""

import secrets
from collections.abc import Callable
from typing import Protocol

Handler = Callable[[bytes], None]


class Bus(Protocol):
    """A node's place on the bus.

    Handlers and callbacks are plain functions, called in the event loop, registered before `start`. One that
    raises is logged, and called again the next time.
    """

    @property
    def node_id(self) -> str:
        """Names this run of this process."""
        ...

    @property
    def alone(self) -> bool:
        """Whether nobody will ever hear this node, so that what it would publish need not even be made."""
        ...

    @property
    def connected(self) -> bool:
        """Whether messages get through, as far as this node can tell."""
        ...

    def nodes(self) -> frozenset[str]:
        """The other nodes that are alive, as far as this node can tell."""
        ...

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to all other nodes, at once or a little later; never waits and never raises."""
        ...

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Have ``handler`` called with each payload that another node publishes under ``topic``.

        Each arrives at most once. What one node publishes arrives in its order, over all topics, except
        across a break of the link.
        """
        ...

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever messages for this node may have been lost.

        That is when its own link has come up, and soon after another node could not send something.
        """
        ...

    def on_node_found(self, callback: Callable[[str], None]) -> None:
        """Have ``callback`` called with the id of another node that is heard for the first time, or anew."""
        ...

    def on_node_lost(self, callback: Callable[[str], None]) -> None:
        """Have ``callback`` called with the id of another node that stopped, or was silent for too long."""
        ...

    async def start(self, namespace: str = "") -> None:
        """Join the bus; where it cannot be reached, go on without it and keep trying.

        :param namespace: names the installation; the nodes of others are not heard, and do not hear this one.
        """
        ...

    async def stop(self) -> None:
        """Tell the others and leave."""
        ...


def new_node_id() -> str:
    """Make up an id for this run of this process: 16 hexadecimal digits."""
    return secrets.token_hex(8)


class LocalBus:
    """The bus of a node that runs alone: there is nobody to talk to."""

    def __init__(self) -> None:
        self._node_id = new_node_id()

    @property
    def node_id(self) -> str:
        """Names this run of this process."""
        return self._node_id

    @property
    def alone(self) -> bool:
        """Always."""
        return True

    @property
    def connected(self) -> bool:
        """Always: there is nobody who could be out of reach."""
        return True

    def nodes(self) -> frozenset[str]:
        """Nobody."""
        return frozenset()

    def publish(self, topic: str, payload: bytes) -> None:
        """Do nothing."""

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Do nothing."""

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Do nothing."""

    def on_node_found(self, callback: Callable[[str], None]) -> None:
        """Do nothing."""

    def on_node_lost(self, callback: Callable[[str], None]) -> None:
        """Do nothing."""

    async def start(self, namespace: str = "") -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""
