"""What travels on the bus: frames of many payloads of one node and topic, numbered so that a loss is noticed.

::

    8 bytes node id · 8 bytes number of the first payload · for each: 4 bytes length · payload

A node numbers the payloads of each topic from 0, those that it drops included. `Outbox` makes the frames.
"""

import struct
from collections import Counter, deque
from itertools import groupby
from typing import NamedTuple

_HEAD = struct.Struct(">8sQ")
_LENGTH = struct.Struct(">I")


class MalformedFrame(Exception):
    """These bytes were not made by `pack`."""


class Frame(NamedTuple):
    """Payloads of one node and topic that follow each other; ``first`` is the number of the first."""

    node_id: str
    first: int
    payloads: list[bytes]


class Queued(NamedTuple):
    """A payload that waits to be sent, with its number in its topic."""

    topic: str
    number: int
    payload: bytes


def pack(frame: Frame) -> bytes:
    """Encode a frame."""
    parts = [_HEAD.pack(bytes.fromhex(frame.node_id), frame.first)]
    for payload in frame.payloads:
        parts += _LENGTH.pack(len(payload)), payload
    return b"".join(parts)


def unpack(data: bytes) -> Frame:
    """Decode a frame.

    :raises MalformedFrame: it is none.
    """
    try:
        node, first = _HEAD.unpack_from(data)
        payloads, at = [], _HEAD.size
        while at < len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size + length
            payloads.append(data[at - length : at])
    except struct.error as error:
        raise MalformedFrame from error
    if at != len(data):
        raise MalformedFrame
    return Frame(node.hex(), first, payloads)


class Outbox:
    """A bounded queue of what is to be sent; the oldest goes when it is full.

    :param node_id: whose payloads they are.
    :param max_messages: payloads that may wait.
    :param max_bytes: their bytes together.
    """

    def __init__(self, node_id: str, *, max_messages: int, max_bytes: int) -> None:
        self._node_id = node_id
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._queue: deque[Queued] = deque()
        self._bytes = 0
        self._numbers: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._queue)

    def numbers(self) -> dict[str, int]:
        """For each topic the number that its next payload gets."""
        return dict(self._numbers)

    def put(self, topic: str, payload: bytes) -> int:
        """Queue a payload.

        :returns: how many were dropped to make room.
        """
        self._queue.append(Queued(topic, self._numbers[topic], payload))
        self._numbers[topic] += 1
        self._bytes += len(payload)
        dropped = 0
        while len(self._queue) > self._max_messages or self._bytes > self._max_bytes:
            self._pop()
            dropped += 1
        return dropped

    def take(self, *, max_bytes: int) -> list[tuple[str, Frame]]:
        """Take the oldest payloads out, in order, as frames with their topics.

        :param max_bytes: no more are taken once they exceed it.
        """
        taken: list[Queued] = []
        size = 0
        while self._queue and size < max_bytes:
            taken.append(self._pop())
            size += len(taken[-1].payload)
        frames = []
        for topic, group in groupby(taken, key=lambda queued: queued.topic):
            run = list(group)
            frames.append((topic, Frame(self._node_id, run[0].number, [queued.payload for queued in run])))
        return frames

    def _pop(self) -> Queued:
        queued = self._queue.popleft()
        self._bytes -= len(queued.payload)
        return queued
