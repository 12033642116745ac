"""The hub of one node: it knows the node's connections and gives each the events of its chats, in order.

A connection takes a :class:`Seat`. While its ``hello`` is being read, events for it are held; what the ``hello``
already contains is dropped from them. Every chat that has a seat has a stream with an ordered queue. A number that
stays missing is read from the database and goes out as an unsolicited ``sync``.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Protocol
from uuid import UUID

from prometheus_client import Counter

from services import events, frames, observation, views
from services.errors import ParleyError
from services.events import Announcement
from services.members import Audience
from services.ordering import OrderedQueue
from services.wire import framed

GAP_PATIENCE = 0.1
"""Seconds that an announcement waits for the ones before it until they are read from the database."""

HEAL_RETRY = 1.0
"""Seconds until a gap that could not be read is tried again."""

COMPARED_AT_ONCE = 2_000
"""Chats whose numbers are compared in one query, so that other work gets its turn between two of them."""

JOIN_AT_ONCE = 4
"""Connections whose ``hello`` is read at once. A thousand that come together wait here in turn, instead of taking the
database's connections from everything else until waiting for one takes too long."""

READ_AT_ONCE = 4
"""Chats that are read from the database at the same time, so that healing leaves it room for those who send."""

DELIVERIES = Counter("parley_deliveries_total", "Events of chats handed to connections")
GAPS_HEALED = Counter("parley_gaps_healed_total", "Gaps in a chat's numbers that were read from the database")

logger = logging.getLogger("parley.hub")


class Reader(Protocol):
    """What the hub reads from the database; each method reads one consistent snapshot."""

    async def chat_ids(self, user_id: UUID) -> list[UUID]:
        """Return the chats of a person."""

    async def hello(self, user_id: UUID, expires_at: datetime) -> frames.Hello:
        """Return the first frame of a person's connection."""

    async def audience(self, chat_id: UUID) -> Audience | None:
        """Return a chat and who is in it, or None when there is no such chat."""

    async def gap(self, chat_id: UUID, since: int) -> tuple[Audience, frames.SyncPage] | None:
        """Return what changed in a chat since ``since``, and who is in it."""

    async def moved(self, known: Mapping[UUID, int]) -> dict[UUID, int]:
        """Return the current numbers of those chats whose number is higher than the known one."""

    async def admissions(self, since: datetime | None) -> tuple[datetime, list[tuple[UUID, UUID]]]:
        """Return who became a member of what (chat, person) since the last look, and the time of this one.

        :param since: the time of the last look, None for the first.
        """


class Greeting:
    """What happens to a seat while its ``hello`` is being read.

    ``held`` are the events that come meanwhile: which chat they are about and their number, where they have them.
    """

    __slots__ = ("held", "joined", "left")

    def __init__(self) -> None:
        self.held: list[tuple[UUID | None, int | None, bytes]] = []
        self.joined: set[UUID] = set()
        self.left: dict[UUID, int] = {}

    def left_at(self, chat_id: UUID) -> int:
        """Return the number with which the person left a chat meanwhile, or -1."""
        return self.left.get(chat_id, -1)


class Seat:
    """One connection's place in the hub.

    :param write: queues what is framed (:mod:`services.wire`); never blocks and never raises. A thousand of them are
        called for each message, so nothing stands between them and the transports.
    """

    __slots__ = ("chats", "expires_at", "greeting", "user_id", "write")

    def __init__(self, write: Callable[[bytes], None], *, user_id: UUID, expires_at: datetime) -> None:
        self.write = write
        self.user_id = user_id
        self.expires_at = expires_at
        self.chats: set[UUID] = set()
        self.greeting: Greeting | None = None

    def push(self, chat_id: UUID | None, seq: int | None, framed_one: bytes) -> None:
        """Write a frame, or hold it until the ``hello`` is out."""
        if self.greeting is None:
            self.write(framed_one)
        else:
            self.greeting.held.append((chat_id, seq, framed_one))

    def silence(self) -> None:
        """Write nothing any more: the connection is about to end."""
        self.write = _drop


class Stream:
    """One chat with the seats that hear it.

    ``started_at`` is the number it was started with: seats that were there before have heard nothing up to it.
    ``floors`` are the numbers that a seat's ``hello`` already contains though the stream has not delivered them.
    """

    __slots__ = ("chat_id", "floors", "healing", "queue", "seats", "started_at")

    def __init__(self, chat_id: UUID, deliver: Callable[["Stream", list[Announcement]], None]) -> None:
        self.chat_id = chat_id
        self.queue = OrderedQueue(partial(deliver, self))
        self.seats: set[Seat] = set()
        self.floors: dict[Seat, int] = {}
        self.healing = False
        self.started_at = -1

    @property
    def started(self) -> bool:
        """Whether the queue knows where it stands."""
        return self.queue.delivered is not None

    @property
    def delivered(self) -> int:
        """The last number delivered, -1 before the start."""
        return -1 if self.queue.delivered is None else self.queue.delivered

    def start(self, seq: int) -> None:
        """Go on from ``seq``, which the seats know by other means."""
        if not self.started:
            self.started_at = seq
        self.queue.start(seq)


class Hub:
    """Delivers announcements and notices to the connections of this node.

    :param reader: reads from the database what events alone do not tell.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.on_joining: Callable[[UUID, tuple[UUID, ...]], None] = lambda _chat_id, _user_ids: None
        self.on_joined: Callable[[UUID, tuple[UUID, ...]], None] = lambda _chat_id, _user_ids: None
        self._seats: dict[UUID, set[Seat]] = {}
        self._streams: dict[UUID, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Semaphore(READ_AT_ONCE)
        self._joining = asyncio.Semaphore(JOIN_AT_ONCE)
        self._looked_at: datetime | None = None

    # Connections

    def seats_of(self, user_id: UUID) -> set[Seat]:
        """Return the seats of a person on this node."""
        return self._seats.get(user_id, set())

    def seats_in(self, chat_id: UUID) -> set[Seat]:
        """Return the seats on this node that hear a chat."""
        stream = self._streams.get(chat_id)
        return stream.seats if stream else set()

    def chat_ids(self) -> list[UUID]:
        """Return all chats that someone on this node hears."""
        return list(self._streams)

    @property
    def connection_count(self) -> int:
        """How many connections have a seat."""
        return sum(len(seats) for seats in self._seats.values())

    async def join(self, seat: Seat) -> None:
        """Subscribe a connection to its person's chats and send its ``hello``.

        :raises ParleyError: the database cannot be read; the seat is given up.
        """
        self._seats.setdefault(seat.user_id, set()).add(seat)
        greeting = seat.greeting = Greeting()
        try:
            async with self._joining:
                hello = await self._subscribed_hello(seat, greeting)
        except BaseException:
            self.leave(seat)
            raise
        self._settle(seat, greeting, hello)

    async def _subscribed_hello(self, seat: Seat, greeting: Greeting) -> frames.Hello:
        for chat_id in await self._reader.chat_ids(seat.user_id):
            self._subscribe(seat, self._stream(chat_id))
        hello = await self._reader.hello(seat.user_id, seat.expires_at)
        while missed := self._missed(seat, greeting, hello.chats):
            for chat_id in missed:
                self._subscribe(seat, self._stream(chat_id))
            hello = await self._reader.hello(seat.user_id, seat.expires_at)
        return hello

    def leave(self, seat: Seat) -> None:
        """Give up a seat; does nothing when it is given up already."""
        seats = self._seats.get(seat.user_id)
        if seats is None or seat not in seats:
            return
        seats.remove(seat)
        if not seats:
            del self._seats[seat.user_id]
        for chat_id in list(seat.chats):
            self._unsubscribe(seat, self._streams[chat_id])

    def _missed(self, seat: Seat, greeting: Greeting, chats: list[views.MyChat]) -> list[UUID]:
        """Find chats of the snapshot whose later events have passed the seat by; they need a newer snapshot."""
        return [
            chat.id
            for chat in chats
            if (stream := self._streams.get(chat.id)) is not None
            and greeting.left_at(chat.id) <= chat.seq
            and chat.seq < (stream.started_at if chat.id in seat.chats else stream.delivered)
        ]

    def _settle(self, seat: Seat, greeting: Greeting, hello: frames.Hello) -> None:
        numbers = {chat.id: chat.seq for chat in hello.chats}
        for chat_id in seat.chats - numbers.keys() - greeting.joined:
            self._unsubscribe(seat, self._streams[chat_id])
        for chat_id, seq in numbers.items():
            if chat_id not in seat.chats and greeting.left_at(chat_id) <= seq:
                self._subscribe(seat, self._stream(chat_id))
            if chat_id in seat.chats:
                self._start(self._streams[chat_id], seat, seq)
        known = numbers | dict.fromkeys(greeting.joined - numbers.keys(), -1)
        seat.greeting = None
        seat.write(framed(frames.encode(hello)))
        for about, number, held_one in greeting.held:
            if about is None or (about in known and (number is None or number > known[about])):
                seat.write(held_one)

    def _start(self, stream: Stream, seat: Seat, seq: int) -> None:
        if not stream.started:
            stream.start(seq)
        elif stream.delivered < seq:
            stream.floors[seat] = seq
            self._expect(stream, seq)

    # Events

    def announce(self, *announcements: Announcement) -> None:
        """Take announcements from this node or another and deliver them when their turn comes."""
        by_chat: dict[UUID, list[Announcement]] = {}
        for announcement in announcements:
            by_chat.setdefault(announcement.chat_id, []).append(announcement)
        for chat_id, of_chat in by_chat.items():
            self._announce(chat_id, of_chat)

    def _announce(self, chat_id: UUID, announcements: list[Announcement]) -> None:
        joined = [user_id for announcement in announcements for user_id in announcement.joined]
        if joined:
            self.on_joining(chat_id, tuple(joined))
        stream = self._streams.get(chat_id)
        if stream is None:
            if not any(user_id in self._seats for user_id in joined):
                return
            # What came before it, a later removal perhaps, passed this node by: only the database knows.
            stream = self._begin(chat_id)
        stream.queue.offer(*announcements)
        if stream.started and stream.queue.has_gap:
            self._expect(stream, max(announcement.seq for announcement in announcements))
        self._close_if_empty(stream)

    def send_to_chat(self, chat_id: UUID, *encoded: bytes, except_user: UUID | None = None) -> None:
        """Send events without a number to all who hear a chat."""
        together = framed(*encoded)
        for seat in self.seats_in(chat_id):
            if seat.user_id != except_user:
                seat.push(chat_id, None, together)

    async def compare(self) -> None:
        """Heal what the database knows and no event told: last changes of chats heard here, and new chats.

        :raises ParleyError: the database cannot be read.
        """
        known = {chat_id: stream.delivered for chat_id, stream in self._streams.items() if stream.started}
        rest = iter(known.items())
        while some := dict(islice(rest, COMPARED_AT_ONCE)):
            for chat_id, seq in (await self._reader.moved(some)).items():
                stream = self._streams.get(chat_id)
                if stream is not None and stream.delivered < seq:
                    self._expect(stream, seq)
        self._looked_at, admissions = await self._reader.admissions(self._looked_at)
        for chat_id, user_id in admissions:
            # In a chat that is heard here, the number of the admission is a gap like any other.
            if user_id in self._seats and chat_id not in self._streams:
                self._begin(chat_id)

    async def stop(self) -> None:
        """End what runs in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _deliver(self, stream: Stream, run: list[Announcement]) -> None:
        """Deliver what follows each other; what all get leaves together, for it costs as much as one."""
        together: list[tuple[int, bytes]] = []
        for announcement in run:
            if announcement.joined or announcement.left is not None:
                self._broadcast(stream, together)
                together = []
                self._move(stream, announcement)
            if announcement.frame is not None:
                together.append((announcement.seq, announcement.frame))
        self._broadcast(stream, together)
        if stream.seats:
            _observe(run)
        if stream.floors:
            last = run[-1].seq
            stream.floors = {seat: floor for seat, floor in stream.floors.items() if floor > last}

    def _move(self, stream: Stream, announcement: Announcement) -> None:
        """Let those come and go whose membership an announcement tells of."""
        seq = announcement.seq
        if announcement.joined:
            self.on_joined(stream.chat_id, announcement.joined)
        if announcement.left is not None:
            self._dismiss(stream, announcement.left, seq)
        for user_id in announcement.joined:
            if announcement.welcome is not None:
                self._welcome(stream, user_id, seq, announcement.welcome)

    def _broadcast(self, stream: Stream, numbered: list[tuple[int, bytes]]) -> None:
        if not numbered:
            return
        floors, first = stream.floors, numbered[0][0]
        together = framed(*[frame for _, frame in numbered])
        for seat in stream.seats:
            if seat.greeting is None and not (floors and floors.get(seat, -1) >= first):
                seat.write(together)
            else:
                self._push_each(stream, seat, numbered)
        DELIVERIES.inc(len(stream.seats) * len(numbered))

    def _push_each(self, stream: Stream, seat: Seat, numbered: list[tuple[int, bytes]]) -> None:
        floor = stream.floors.get(seat, -1)
        for seq, frame in numbered:
            if seq > floor:
                seat.push(stream.chat_id, seq, framed(frame))

    def _welcome(self, stream: Stream, user_id: UUID, seq: int, welcome: bytes) -> None:
        event = framed(welcome)
        for seat in self.seats_of(user_id):
            if seat not in stream.seats:
                self._subscribe(seat, stream)
                if seat.greeting is not None:
                    seat.greeting.joined.add(stream.chat_id)
                seat.push(stream.chat_id, seq, event)

    def _dismiss(self, stream: Stream, user_id: UUID, seq: int) -> None:
        farewell = framed(events.chat_removed(stream.chat_id))
        for seat in self.seats_of(user_id):
            if seat.greeting is not None:
                seat.greeting.joined.discard(stream.chat_id)
                seat.greeting.left[stream.chat_id] = seq
            if seat in stream.seats:
                stream.seats.discard(seat)
                stream.floors.pop(seat, None)
                seat.chats.discard(stream.chat_id)
                seat.push(stream.chat_id, seq, farewell)

    # Streams

    def _stream(self, chat_id: UUID) -> Stream:
        stream = self._streams.get(chat_id)
        if stream is None:
            stream = self._streams[chat_id] = Stream(chat_id, self._deliver)
        return stream

    def _begin(self, chat_id: UUID) -> Stream:
        """Start the stream of a chat that someone here may have joined, from what the database knows."""
        stream = self._stream(chat_id)
        stream.healing = True
        self._spawn(self._open(stream))
        return stream

    def _subscribe(self, seat: Seat, stream: Stream) -> None:
        stream.seats.add(seat)
        seat.chats.add(stream.chat_id)

    def _unsubscribe(self, seat: Seat, stream: Stream) -> None:
        stream.seats.discard(seat)
        stream.floors.pop(seat, None)
        seat.chats.discard(stream.chat_id)
        self._close_if_empty(stream)

    def _close_if_empty(self, stream: Stream) -> None:
        # While a stream is read from the database someone may be about to hear it; its reader asks again.
        if stream.seats or stream.healing or self._streams.get(stream.chat_id) is not stream:
            return
        if stream.queue.has_gap:
            # What waits here may be somebody's admission: only the database knows whether it still holds.
            self._begin(stream.chat_id)
        else:
            del self._streams[stream.chat_id]

    async def _open(self, stream: Stream) -> None:
        expected = -1
        try:
            audience = await self._read_audience(stream)
            if audience is not None:
                if stream.started and stream.seats and stream.delivered < audience.chat.seq:
                    # A `hello` that was read before has started it: what lies between, its seats have not heard.
                    expected = audience.chat.seq
                else:
                    self._reconcile(stream, audience)
                    stream.start(audience.chat.seq)
        finally:
            stream.healing = False
        if expected >= 0:
            self._expect(stream, expected)
        self._close_if_empty(stream)

    async def _read_audience(self, stream: Stream) -> Audience | None:
        while True:
            try:
                async with self._reading:
                    audience = await self._reader.audience(stream.chat_id)
            except ParleyError as error:
                logger.warning("chat %s could not be read: %s", stream.chat_id, error.detail)
                await asyncio.sleep(HEAL_RETRY)
                continue
            if audience is None or audience.chat.seq >= stream.delivered:
                return audience

    def _reconcile(self, stream: Stream, audience: Audience) -> None:
        """Make the stream's seats those of the people who are members in the database."""
        seq = audience.chat.seq
        welcome = frames.encode(frames.ChatAdded(chat=audience.chat, users=audience.users))
        for user_id in {seat.user_id for seat in stream.seats} - audience.member_ids:
            self._dismiss(stream, user_id, seq)
        newcomers = audience.member_ids & self._seats.keys() - {seat.user_id for seat in stream.seats}
        for user_id in newcomers:
            self._welcome(stream, user_id, seq, welcome)
        if newcomers:
            self.on_joined(stream.chat_id, tuple(newcomers))

    # Gaps

    def _expect(self, stream: Stream, seq: int) -> None:
        """Give what is missing up to ``seq`` a moment to come, then read it."""
        if not stream.healing:
            stream.healing = True
            self._spawn(self._heal(stream, seq))

    async def _heal(self, stream: Stream, seq: int) -> None:
        try:
            await asyncio.sleep(GAP_PATIENCE)
            while stream.seats and (stream.delivered < seq or stream.queue.has_gap):
                try:
                    await self._read_gap(stream)
                except ParleyError as error:
                    logger.warning("a gap in chat %s could not be read: %s", stream.chat_id, error.detail)
                    await asyncio.sleep(HEAL_RETRY)
                await asyncio.sleep(GAP_PATIENCE)
        finally:
            stream.healing = False
        self._close_if_empty(stream)

    async def _read_gap(self, stream: Stream) -> None:
        async with self._reading:
            found = await self._reader.gap(stream.chat_id, stream.delivered)
        if found is None:
            return
        audience, page = found
        if page.seq <= stream.delivered:
            return
        GAPS_HEALED.inc()
        self._reconcile(stream, audience)
        self._broadcast(stream, [(page.seq, frames.encode(page))])
        stream.start(page.seq)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("background work of the hub failed", exc_info=error)


def _drop(_framed: bytes) -> None:
    """What is written to a connection that ends goes nowhere."""


def _observe(run: list[Announcement]) -> None:
    now = time.time()
    for announcement in run:
        if announcement.written_at is not None:
            # Another node's clock may be ahead of ours.
            observation.DELIVERIES.observe(max(0.0, now - announcement.written_at))
