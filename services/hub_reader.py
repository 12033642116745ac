"""What the hub of a node reads from the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services import chats, frames, hello_statement, members, sync
from services.members import Audience

if TYPE_CHECKING:
    from services.parley import Parley


class DatabaseReader:
    """What the hub reads; see :class:`services.hub.Reader`."""

    def __init__(self, parley: "Parley") -> None:
        self._parley = parley

    async def chat_ids(self, user_id: UUID) -> list[UUID]:
        """Return the chats of a person."""
        return await hello_statement.chat_ids(self._parley.reads, user_id=user_id)

    async def hello(self, user_id: UUID, expires_at: datetime) -> frames.Hello:
        """Return the first frame of a person's connection."""
        hub, online = self._parley.hub, self._parley.presence.online()
        # Whom this node has connected, its hub knows without asking.
        others = self._parley.presence.out_of_sight()
        greeting = await hello_statement.greeting(self._parley.reads, user_id=user_id, among=others)
        here = {seat.user_id for chat in greeting.chats for seat in hub.seats_in(chat.id)}
        return frames.Hello(
            protocol=frames.PROTOCOL,
            user=greeting.user,
            session_expires_at=expires_at,
            chats=greeting.chats,
            users=greeting.users,
            online=list((here & online).union(greeting.fellows)),
        )

    async def audience(self, chat_id: UUID) -> Audience | None:
        """Return a chat and who is in it, or None when there is no such chat."""
        async with self._parley.snapshot() as tx:
            return await members.audience(tx, chat_id=chat_id)

    async def gap(self, chat_id: UUID, since: int) -> tuple[Audience, frames.SyncPage] | None:
        """Return what changed in a chat since a number, and who is in it."""
        async with self._parley.snapshot() as tx:
            audience = await members.audience(tx, chat_id=chat_id)
            changes = await sync.gap(tx, chat_id=chat_id, since=since)
        return (audience, frames.SyncPage.of(changes)) if audience and changes else None

    async def moved(self, known: Mapping[UUID, int]) -> dict[UUID, int]:
        """Return the current numbers of those chats whose number is higher than the known one."""
        async with self._parley.snapshot() as tx:
            return await chats.moved(tx, known=known)

    async def admissions(self, since: datetime | None) -> tuple[datetime, list[tuple[UUID, UUID]]]:
        """Return who became a member of what since the last look, and the time of this one."""
        async with self._parley.snapshot() as tx:
            return await members.admissions(tx, since=since)
