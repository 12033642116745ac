"""What a node knows of the others on the bus: who is alive, and whether all that they sent has arrived."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Peer:
    heard: float
    expected: dict[str, int] = field(default_factory=dict)


class Peers:
    """The other nodes. Times are seconds on any clock that never goes back.

    :param lost_after: seconds of silence after which a node counts as lost.
    """

    def __init__(self, *, lost_after: float) -> None:
        self._lost_after = lost_after
        self._peers: dict[str, _Peer] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """Those that count as alive."""
        return frozenset(self._peers)

    def alive(self, node_id: str, *, now: float) -> bool:
        """Note a sign of life.

        :returns: whether the node was unknown until now.
        """
        if node_id in self._peers:
            self._peers[node_id].heard = now
            return False
        self._peers[node_id] = _Peer(now)
        return True

    def arrived(self, node_id: str, topic: str, *, first: int, count: int) -> bool:
        """Note that ``count`` payloads came from a node that is alive, numbered from ``first``.

        :returns: whether others before them did not come; a node just found was missed from its beginning.
        """
        expected = self._peers[node_id].expected
        due = expected.get(topic, 0)
        # What Redis held back over a break of the link comes late, when it was found missing already.
        expected[topic] = max(due, first + count)
        return first > due

    def sent(self, node_id: str, numbers: Mapping[str, int]) -> bool:
        """Note what a node that is alive says it has sent: for each topic the number that comes next.

        :returns: whether some of it did not come.
        """
        missed = [self.arrived(node_id, topic, first=number, count=0) for topic, number in numbers.items()]
        return any(missed)

    def left(self, node_id: str) -> None:
        """Forget a node."""
        self._peers.pop(node_id, None)

    def lost(self, *, now: float) -> list[str]:
        """Forget the nodes that were silent for too long, and name them."""
        silent = [node_id for node_id, peer in self._peers.items() if now - peer.heard > self._lost_after]
        for node_id in silent:
            del self._peers[node_id]
        return silent

    def deaf(self, *, now: float) -> None:
        """Note that nobody could be heard until now, so that their silence says nothing."""
        for peer in self._peers.values():
            peer.heard = now
