"""Parley put together: one object with everything a node holds, built when it starts and taken down when it stops."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from models.engine import create_engine
from models.prepared import Driver
from services import chats, events, members, messages, observation, sessions, views
from services.acting import refuse_ended
from services.bus import Bus, LocalBus
from services.cache import Cache, MemoryCache, cached
from services.disk_room import DiskRoom
from services.errors import ParleyError
from services.events import Announcement, ReadMoved, Typed
from services.hub import Hub, Seat
from services.hub_reader import DatabaseReader
from services.installation import name_of as installation_name
from services.node_lock import ANSWER_SECONDS, NodeLock, NodeLockTaken
from services.notices import Notices
from services.passwords import Passwords
from services.presence import Presence
from services.rate_limits import MemoryRateLimiter, NoRateLimiter, RateLimiter
from services.readiness import Readiness
from services.redis_bus import RedisBus
from services.redis_cache import RedisCache
from services.redis_link import RedisLink
from services.redis_rate_limits import RedisRateLimiter
from services.send_statement import PLANNED_ONCE
from services.send_writer import LANES_AT_ONCE, SendWriter
from services.session_ends import SessionEnds
from services.sessions import Tokens
from services.settings import Settings
from services.single_reads import SingleReads
from services.transaction import Transaction, database_errors

CHAT_TOPIC = "chat"

COMPARE_EVERY = 2.0
"""Seconds between two looks for events that never came."""

SESSIONS_EVERY = 0.5
"""Seconds between two looks for ended sessions of which the bus has not told."""

LOCK_EVERY = 2.0
"""Seconds between two looks whether this node still holds its lock on the database."""

TIDY_EVERY = 600.0
"""Seconds between two removals of expired sessions."""

TOLD_AT_ONCE = 100
"""People whose chats are read in one query after a node was lost or found."""

PRESENCE_RETRY = 1.0
"""Seconds until it is tried again."""

MEMBERSHIP_KEPT = 1.0
"""Seconds that a cached membership is believed without asking again."""

logger = logging.getLogger("parley")


class Parley:
    """One node: the services' shared parts, and the transactions they work in.

    :param settings: the settings. :param database_url: a ``postgresql+asyncpg`` URL.
    """

    tokens: Tokens

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.engine = create_engine(database_url, pool_size=settings.database_pool, timeout=settings.database_timeout)
        self.reads = SingleReads(database_url, timeout=settings.database_timeout)
        self.passwords = Passwords(max_waiting=settings.max_hashes_waiting)
        self._redis = RedisLink(settings.redis_url) if settings.redis_url else None
        self.cache: Cache = RedisCache(self._redis) if self._redis else MemoryCache()
        self.bus: Bus = RedisBus(settings.redis_url) if settings.redis_url else LocalBus()
        self.limits = self._limiter()
        self.hub = Hub(DatabaseReader(self))
        self.session_ends = SessionEnds(self.bus)
        self.notices = Notices(self.hub, self.bus)
        self.presence = Presence(self.hub, self.bus)
        self._sending = create_engine(
            database_url, pool_size=1 + LANES_AT_ONCE, timeout=settings.database_timeout, **PLANNED_ONCE
        )
        self._room = DiskRoom(settings.data, least=settings.min_free_bytes) if settings.database_url is None else None
        self.sends = SendWriter(
            self._sending,
            settings,
            admit=self._check_room,
            committed=self._announce_sent,
            read=self._read_message,
        )
        self.readiness = Readiness(database_url)
        self.draining = False
        self.displaced = False
        self.on_displaced: Callable[[], None] = _nothing
        lock_engine = create_engine(database_url, pool_size=1, timeout=ANSWER_SECONDS)
        self._lock = NodeLock(lock_engine, alone=settings.redis_url is None)
        self._tasks: set[asyncio.Task[None]] = set()
        self._announced: list[Announcement] = []
        self.hub.on_joining = self.presence.joining
        self.hub.on_joined = self._meet
        self.presence.on_turned = lambda user_ids: self.spawn(self._tell_presence(user_ids))
        self.bus.subscribe(CHAT_TOPIC, lambda payload: self._announce_soon(events.unpack_announcements(payload)))
        self.bus.on_reconnect(lambda: self.spawn(self.hub.compare()))
        observation.show(self)

    async def start(self) -> None:
        """Connect to everything and begin to work; the database must have its tables.

        :raises NodeLockTaken: another node works on this database, and this one has no Redis to share with it.
        """
        await self._lock.acquire()
        # Whatever room the disk has: where the key is made already, nothing is written.
        async with self._work() as tx:
            self.tokens = Tokens(await sessions.signing_key(tx))
            installation = await installation_name(tx)
        await self.passwords.start()
        if self._redis is not None:
            self._redis.namespace = installation
            await self._redis.start()
        await self.bus.start(installation)
        await self.sends.start()
        self.spawn(self._every(COMPARE_EVERY, self.hub.compare))
        self.spawn(self._every(SESSIONS_EVERY, self._check_sessions))
        self.spawn(self._every(LOCK_EVERY, self._keep_lock))
        self.spawn(self._every(TIDY_EVERY, self._tidy))
        self.spawn(observation.measure_lag())

    async def stop(self) -> None:
        """Let go of everything."""
        self.draining = True
        await self.sends.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.presence.stop()
        self.notices.stop()
        self.session_ends.stop()
        await self.hub.stop()
        await self.bus.stop()
        if self._redis is not None:
            await self._redis.stop()
        await self.passwords.stop()
        await self._lock.release()
        await self._sending.dispose()
        await self.reads.stop()
        await self.readiness.stop()
        await self.engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Work in a transaction that is committed at the end; what it announces follows the commit.

        :raises NotAuthenticated: the session for which one works ended meanwhile.
        :raises Unavailable: the database cannot be reached, does not answer in time or has no room.
        """
        self._check_room()
        async with self._work() as tx:
            yield tx

    def _check_room(self) -> None:
        if self._room is not None:
            self._room.check()

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[Transaction]:
        with database_errors():
            async with AsyncSession(self.engine, expire_on_commit=False) as session:
                tx = Transaction(session, await _connect(session), self.settings)
                yield tx
                refuse_ended()
                await _uninterrupted(self._finish(tx))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Transaction]:
        """Read everything as of one moment; nothing is committed.

        :raises Unavailable: the database cannot be reached or does not answer in time.
        """
        with database_errors():
            async with AsyncSession(self.engine, expire_on_commit=False) as session:
                # SQLAlchemy would begin with its own first statement, and the driver may be asked before that.
                driver = await _connect(session, isolation_level="AUTOCOMMIT")
                await driver.begin_snapshot()
                try:
                    yield Transaction(session, driver, self.settings)
                finally:
                    await driver.end_snapshot()

    async def is_member(self, *, chat_id: UUID, user_id: UUID) -> bool:
        """Tell whether someone is in a chat, from the cache where it knows; for events without a number only."""

        async def read() -> bytes:
            async with self.snapshot() as tx:
                return b"1" if await members.is_member(tx, chat_id=chat_id, user_id=user_id) else b"0"

        return await cached(self.cache, members.member_key(chat_id, user_id), read, ttl=MEMBERSHIP_KEPT) == b"1"

    async def typed(self, *, actor: UUID, chat_id: UUID) -> None:
        """Show the other members of a chat that someone is typing; does nothing for one who is not a member."""
        if await self.is_member(chat_id=chat_id, user_id=actor):
            self.notices.typed(Typed(chat_id, actor))

    async def join(self, seat: Seat) -> None:
        """Give a connection its seat: its ``hello`` first, then its events.

        :raises ParleyError: the database cannot be read.
        """
        await self.hub.join(seat)
        self.presence.came(seat)

    def leave(self, seat: Seat) -> None:
        """Take a connection's seat away."""
        chat_ids = list(seat.chats)
        self.hub.leave(seat)
        self.presence.went(seat, chat_ids)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background until it ends or Parley stops."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._spent)

    def _limiter(self) -> RateLimiter:
        if not self.settings.limited:
            return NoRateLimiter()
        return RedisRateLimiter(self._redis) if self._redis else MemoryRateLimiter()

    async def _finish(self, tx: Transaction) -> None:
        await tx.session.commit()
        if tx.outdated:
            await self.cache.invalidate(*tx.outdated)
        for session_id in tx.ended_sessions:
            self.session_ends.end(session_id)
        self._announce(*tx.announcements)
        for moved in tx.moved_reads:
            self.notices.moved_read(moved)

    def _announce(self, *announcements: Announcement) -> None:
        if self.bus.alone:
            self.hub.announce(*announcements)
        elif announcements:
            # The others first: what goes to them leaves before a thousand connections here are written to.
            self.bus.publish(CHAT_TOPIC, events.pack(announcements))
            self._announce_soon(announcements)

    def _announce_soon(self, announcements: Sequence[Announcement]) -> None:
        """Deliver at the next turn of the event loop, together with what other nodes have announced by then."""
        if not self._announced:
            asyncio.get_running_loop().call_soon(self._deliver)
        self._announced += announcements

    def _deliver(self) -> None:
        announced, self._announced = self._announced, []
        self.hub.announce(*announced)

    def _announce_sent(self, sent: list[views.Message]) -> None:
        self._announce(*map(events.message_created, sent))
        for message in sent:
            self.notices.moved_read(ReadMoved(message.chat_id, message.author_id, message.seq))

    async def _read_message(self, actor: UUID, message_id: UUID) -> views.Message:
        async with self.snapshot() as tx:
            return await messages.get(tx, actor=actor, message_id=message_id)

    def _meet(self, chat_id: UUID, joined: tuple[UUID, ...]) -> None:
        self.spawn(self._introduce(chat_id, joined))

    async def _introduce(self, chat_id: UUID, joined: tuple[UUID, ...]) -> None:
        async with self.snapshot() as tx:
            member_ids = await members.ids_of(tx, chat_id=chat_id)
        self.presence.meet(chat_id, joined=[*{*joined} & member_ids], member_ids=member_ids)

    async def _tell_presence(self, user_ids: list[UUID]) -> None:
        for start in range(0, len(user_ids), TOLD_AT_ONCE):
            self.presence.tell(await self._chats_of(user_ids[start : start + TOLD_AT_ONCE]))

    async def _chats_of(self, user_ids: list[UUID]) -> dict[UUID, list[UUID]]:
        while True:
            try:
                async with self.snapshot() as tx:
                    return await chats.ids_of_each(tx, user_ids=user_ids)
            except ParleyError as error:
                logger.warning("who is concerned by presence cannot be read: %s", error.detail)
                await asyncio.sleep(PRESENCE_RETRY)

    async def _check_sessions(self) -> None:
        watched = self.session_ends.watched()
        if watched:
            async with self.snapshot() as tx:
                ended = await sessions.ended_of(tx, session_ids=watched)
            self.session_ends.end_here(ended)

    async def _keep_lock(self) -> None:
        with database_errors():
            try:
                await self._lock.keep()
            except NodeLockTaken as error:
                # Two that do not hear each other would serve what the other one has outdated.
                logger.critical("This node was cut off from the database and stops: %s", error)
                self.displaced = True
                self.on_displaced()

    async def _tidy(self) -> None:
        async with self.transaction() as tx:
            await sessions.forget_expired(tx)

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except ParleyError as error:
                logger.warning("%s: %s", work.__name__.strip("_"), error.detail)
            except Exception:
                # What fails once must not end what heals everything else.
                logger.exception("%s failed", work.__name__.strip("_"))

    def _spent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, ParleyError):
            # The database is away, of which everything else speaks already; what was missed here is not vital.
            logger.warning("background work: %s", error.detail)
        else:
            logger.error("background work failed", exc_info=error)


async def _connect(session: AsyncSession, **options: Any) -> Driver:
    with observation.POOL_WAITS.time():
        return await Driver.of(await session.connection(execution_options=options))


def _nothing() -> None:
    """Wait for somebody who wants to know."""


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Finish the work however often the caller is cancelled: a commit without its announcement would be a gap."""
    task = asyncio.ensure_future(work)
    interruption: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            interruption = error
    if interruption is not None:
        # The error of the work, if it failed, gives way to the interruption, and is said to be seen.
        _ = task.cancelled() or task.exception()
        raise interruption
    task.result()
