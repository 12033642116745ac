"""What the hub of a node reads from the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services import chats, describe, frames, members, sync
from services.members import Audience

if TYPE_CHECKING:
    from services.parley import Parley


class DatabaseReader:
    """What the hub reads; see :class:`services.hub.Reader`."""

    def __init__(self, parley: "Parley") -> None:
        self._parley = parley

    async def chat_ids(self, user_id: UUID) -> list[UUID]:
        """Return the chats of a person."""
        async with self._parley.snapshot() as tx:
            return await chats.ids_of(tx, user_id=user_id)

    async def hello(self, user_id: UUID, expires_at: datetime) -> frames.Hello:
        """Return the first frame of a person's connection."""
        async with self._parley.snapshot() as tx:
            online = await members.fellows(tx, user_id=user_id, among=self._parley.presence.online())
            own_chats = await chats.list_for(tx, actor=user_id)
            referred = {chat.peer.id for chat in own_chats if chat.peer}
            referred |= {chat.last_message.author_id for chat in own_chats if chat.last_message}
            referred |= {chat.owner_id for chat in own_chats if chat.owner_id}
            referred.update(await members.some_fellows(tx, user_id=user_id))
            people = {row.id: row for row in await describe.user_rows(tx, {user_id, *referred})}
            return frames.Hello(
                protocol=frames.PROTOCOL,
                user=describe.own_user(people[user_id]),
                session_expires_at=expires_at,
                chats=own_chats,
                users=[describe.user(people[referred_id]) for referred_id in referred],
                online=online,
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
