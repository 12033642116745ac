"""Writes messages in groups: while one group commits the next one gathers, and an idle writer commits at once.

A chat that something else holds does not delay the others: its messages wait in a lane of their own until it is free,
in their order.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from asyncpg import Connection, DataError, IntegrityConstraintViolationError, UniqueViolationError
from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services import markdown, views
from services.acting import session_holds
from services.errors import ChatClosed, NotAuthenticated, NotFound, ParleyError, Unavailable, ValidationFailed
from services.send_statement import Draft, Outcome, Verdict, wait_for_chat, write
from services.settings import Settings
from services.texts import clean_body, clean_nonce

LARGEST_GROUP = 200
"""Messages that commit together at most."""

GATHERING = 0.25
"""How long the next group is gathered after one of several messages, as a part of what that one took."""

LONGEST_GATHERING = 0.004
"""Seconds that this takes at most."""

LANES_AT_ONCE = 2
"""Database connections that held chats may take together."""

ATTEMPTS = 3
"""How often a group is written whose nonces became known meanwhile."""

STOPPING = 2.0
"""Seconds that the writer has to write what waits when it stops, which is after requests had theirs to end."""

GROUPS = Histogram("parley_send_group_size", "Messages committed together", buckets=(1, 2, 5, 10, 20, 50, 100, 200))
COMMITTED = Histogram(
    "parley_send_commit_seconds",
    "From the acceptance of a message to its commit",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
HELD = Counter("parley_sends_held", "Messages that waited for a chat which something else held")

logger = logging.getLogger("parley.sends")

Sent = tuple[views.Message, bool]
"""A durable message, and whether it is new."""


@dataclass(slots=True, eq=False)
class _Waiting:
    draft: Draft
    answer: asyncio.Future[Sent]
    since: float
    session_holds: Callable[[], bool]


class SendWriter:
    """One node's writer of messages. What one person sends to one chat is written in the order of the calls.

    :param admit: raises :class:`Unavailable` while nothing may be written.
    :param committed: called after each commit with the messages written, before their senders are answered.
    :param read: reads the message with an id as the person with the other id sees it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        settings: Settings,
        *,
        admit: Callable[[], None] = lambda: None,
        committed: Callable[[list[views.Message]], None],
        read: Callable[[UUID, UUID], Awaitable[views.Message]],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._admit = admit
        self._committed = committed
        self._read = read
        self._waiting: deque[_Waiting] = deque()
        self._held: dict[UUID, deque[_Waiting]] = {}
        self._pending = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._queued = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lane_slots = asyncio.Semaphore(LANES_AT_ONCE)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="send writer")

    async def stop(self) -> None:
        """Write what waits, for a few seconds at most, and end."""
        if self._task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPPING):
                await self._drained.wait()
        tasks = [self._task, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def send(
        self, *, actor: UUID, chat_id: UUID, body: str, nonce: str | None = None, reply_to: UUID | None = None
    ) -> asyncio.Future[Sent]:
        """Queue a message; it is numbered behind what was queued before it.

        :param body: Markdown, 1 to 16,000 characters after trimming.
        :param nonce: the sender's own mark, 1 to 64 printable ASCII characters. A known one answers with its message
            as it is now, whatever the rest says.
        :param reply_to: a message of the same chat.
        :return: done once the message is durable; fails with a :class:`ParleyError` when the sender is not a member,
            the chat is closed, a field is outside its limits, or the database does not answer.
        :raises ValidationFailed: the nonce is malformed. :raises Unavailable: too many wait already, or there is no
            room.
        """
        if nonce is not None:
            clean_nonce(nonce)
        self._admit()
        if self._pending >= self._settings.max_sends_waiting:
            raise Unavailable("Too many messages are waiting to be stored; try again.")
        waiting = _Waiting(
            self._draft(actor, chat_id, body, nonce, reply_to),
            asyncio.get_running_loop().create_future(),
            time.monotonic(),
            session_holds(),
        )
        self._pending += 1
        self._drained.clear()
        self._waiting.append(waiting)
        self._queued.set()
        return waiting.answer

    def _draft(self, actor: UUID, chat_id: UUID, body: str, nonce: str | None, reply_to: UUID | None) -> Draft:
        try:
            text = clean_body("body", body, longest=self._settings.max_message_length)
        except ValidationFailed as refusal:
            return Draft(actor, chat_id, nonce, reply_to, text=None, html=None, refusal=refusal)
        return Draft(actor, chat_id, nonce, reply_to, text=text, html=markdown.render(text))

    async def _run(self) -> None:
        connection = _Connection(self._engine)
        try:
            await self._plan(connection)
            while True:
                await self._queued.wait()
                self._queued.clear()
                began = time.monotonic()
                while group := self._take(self._waiting):
                    await self._write_group(connection, group, patient=False)
                    began = await _gather(len(group), began)
        finally:
            await connection.close()

    async def _plan(self, connection: "_Connection") -> None:
        """Have the statement planned before the first message needs it."""
        try:
            await self._write(connection, [], datetime.now(UTC), patient=False)
        except Exception as error:
            logger.warning("messages cannot be stored yet: %r", error)
            await connection.drop(error)

    def _take(self, queue: deque[_Waiting]) -> list[_Waiting]:
        """Take the next group: no nonce twice, nothing of a chat that is held, or for a session that is over."""
        group: list[_Waiting] = []
        nonces: set[tuple[UUID, UUID, str]] = set()
        while queue and len(group) < LARGEST_GROUP:
            if not queue[0].session_holds():
                self._refuse(queue.popleft(), NotAuthenticated())
                continue
            draft = queue[0].draft
            if queue is self._waiting and (lane := self._held.get(draft.chat_id)) is not None:
                lane.append(queue.popleft())
                continue
            if draft.nonce is not None:
                if (key := (draft.chat_id, draft.actor, draft.nonce)) in nonces:
                    break
                nonces.add(key)
            group.append(queue.popleft())
        return group

    async def _write_group(self, connection: "_Connection", group: list[_Waiting], *, patient: bool) -> None:
        created_at = datetime.now(UTC)
        try:
            outcomes = await self._write(connection, [one.draft for one in group], created_at, patient=patient)
        except (DataError, IntegrityConstraintViolationError) as error:
            await self._write_apart(connection, group, error, patient=patient)
        except asyncio.CancelledError as error:
            self._fail(group)
            await connection.drop(error)
            raise
        except Exception as error:
            logger.warning("%d messages could not be stored: %r", len(group), error)
            await connection.drop(error)
            self._fail(group)
            if isinstance(error, OSError | TimeoutError):
                # The database cannot be reached: those behind would wait as long, one group after the other.
                self._fail(self._waiting)
                self._waiting.clear()
        else:
            self._settle(group, outcomes, created_at)

    async def _write(
        self, connection: "_Connection", drafts: Sequence[Draft], created_at: datetime, *, patient: bool
    ) -> list[Outcome]:
        attempts = 0
        while True:
            try:
                return await write(await connection.get(), drafts, created_at=created_at, patient=patient)
            except UniqueViolationError:
                attempts += 1
                if attempts == ATTEMPTS:
                    raise

    async def _write_apart(
        self, connection: "_Connection", group: list[_Waiting], error: Exception, *, patient: bool
    ) -> None:
        """Write each message of a refused group by itself, so that the one at fault harms no other."""
        if len(group) == 1:
            logger.error("a message could not be stored", exc_info=error)
            self._fail(group)
            return
        for one in group:
            if not patient and (lane := self._held.get(one.draft.chat_id)) is not None:
                lane.append(one)
            else:
                await self._write_group(connection, [one], patient=patient)

    def _settle(self, group: list[_Waiting], outcomes: list[Outcome], created_at: datetime) -> None:
        GROUPS.observe(len(group))
        written = {
            one: _view(one.draft, outcome.seq, created_at)
            for one, outcome in zip(group, outcomes, strict=True)
            if outcome.seq is not None
        }
        try:
            self._committed(list(written.values()))
        except Exception:
            # What is stored stays stored: whoever did not hear of it finds the gap.
            logger.exception("messages could not be announced")
        now = time.monotonic()
        for one, outcome in zip(group, outcomes, strict=True):
            if one in written:
                COMMITTED.observe(now - one.since)
                self._answer(one, (written[one], True))
            elif outcome.verdict is Verdict.BUSY:
                self._hold(one)
            elif outcome.known_id is not None:
                self._spawn(self._answer_known(one, outcome.known_id))
            else:
                self._refuse(one, _refusal(outcome.verdict, one.draft))

    def _hold(self, one: _Waiting) -> None:
        HELD.inc()
        chat_id = one.draft.chat_id
        if chat_id not in self._held:
            self._held[chat_id] = deque()
            self._spawn(self._write_held(chat_id))
        self._held[chat_id].append(one)

    async def _write_held(self, chat_id: UUID) -> None:
        """Write what waits for a chat that something else holds, however long that takes."""
        lane = self._held[chat_id]
        connection = _Connection(self._engine)
        try:
            async with self._lane_slots:
                while lane:
                    # Taken after the wait, so that nothing is written for a session that ended meanwhile.
                    await wait_for_chat(await connection.get(), chat_id)
                    if group := self._take(lane):
                        await self._write_group(connection, group, patient=True)
        except Exception as error:
            logger.warning("a held chat could not be waited for: %r", error)
            await connection.drop()
        finally:
            del self._held[chat_id]
            self._fail(lane)
            await connection.close()

    async def _answer_known(self, one: _Waiting, message_id: UUID) -> None:
        try:
            self._answer(one, (await self._read(one.draft.actor, message_id), False))
        except ParleyError as error:
            self._refuse(one, error)
        except BaseException:
            self._refuse(one, Unavailable())
            raise

    def _answer(self, one: _Waiting, sent: Sent) -> None:
        self._done()
        if not one.answer.done():
            one.answer.set_result(sent)

    def _refuse(self, one: _Waiting, error: ParleyError) -> None:
        self._done()
        if not one.answer.done():
            one.answer.set_exception(error)

    def _done(self) -> None:
        self._pending -= 1
        if not self._pending:
            self._drained.set()

    def _fail(self, group: Iterable[_Waiting]) -> None:
        for one in group:
            self._refuse(one, Unavailable())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection:
    """A database connection, made when it is first needed and made anew after it broke."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._pooled: AsyncConnection | None = None
        self._driver: Connection | None = None

    async def get(self) -> Connection:
        """Return the driver's own connection.

        :raises DBAPIError, OSError, TimeoutError: the database cannot be reached.
        """
        while self._driver is None or self._driver.is_closed():
            await self.drop()
            self._pooled = await self._engine.connect()
            self._driver = (await self._pooled.get_raw_connection()).driver_connection
        return self._driver

    async def drop(self, error: BaseException | None = None) -> None:
        """Throw the connection away: nobody knows what state it is in.

        :param error: why; after a timeout the engine does not trust its other connections either.
        """
        pooled, self._pooled, self._driver = self._pooled, None, None
        if pooled is not None:
            await pooled.invalidate(error)
            await pooled.close()

    async def close(self) -> None:
        """Give the connection back."""
        pooled, self._pooled, self._driver = self._pooled, None, None
        if pooled is not None:
            await pooled.close()


async def _gather(size: int, began: float) -> float:
    """Give those of a large group, who have just been answered, a moment to send more: they commit together again.

    :param began: when their group was begun, on the monotonic clock.
    :return: when the next one is.
    """
    await asyncio.sleep(0)  # what was answered leaves now, which is part of what a group takes
    ended = time.monotonic()
    if size > 1:
        await asyncio.sleep(min(LONGEST_GATHERING, GATHERING * (ended - began)))
    return ended


def _view(draft: Draft, seq: int, created_at: datetime) -> views.Message:
    return views.Message(
        id=draft.id,
        chat_id=draft.chat_id,
        seq=seq,
        version=seq,
        author_id=draft.actor,
        body=draft.text,
        html=draft.html,
        nonce=draft.nonce,
        reply_to=draft.reply_to,
        created_at=created_at,
        edited_at=None,
        deleted=False,
    )


def _refusal(verdict: Verdict, draft: Draft) -> ParleyError:
    if verdict is Verdict.CLOSED:
        return ChatClosed()
    if verdict is Verdict.STRAY:
        return ValidationFailed("reply_to", "names no message of this chat")
    if verdict is Verdict.REFUSED and draft.refusal is not None:
        return draft.refusal
    return NotFound("There is no such chat.")
