"""Someone who acts through the services, without a web server between."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID, uuid4

import models
from services import chats, describe, messages, views
from services.parley import Parley

T = TypeVar("T")

NO_PASSWORD = "no password has this hash"


class Actor:
    """A person with an account, whose every action is a transaction of its own.

    :param parley: the node that they use.
    :param user: who they are.
    """

    def __init__(self, parley: Parley, user: views.User) -> None:
        self.parley = parley
        self.user = user
        self.id = user.id

    @classmethod
    async def create(cls, parley: Parley, *, display_name: str | None = None, is_admin: bool = False) -> "Actor":
        """Someone new, who has no password: hashing one would take most of a test's time."""
        username = f"person-{uuid4().hex[:12]}"
        async with parley.transaction() as tx:
            row = models.User(
                username=username,
                display_name=display_name or username,
                password_hash=NO_PASSWORD,
                is_admin=is_admin,
            )
            tx.session.add(row)
            await tx.session.flush()
            await tx.session.refresh(row)
            return cls(parley, describe.user(row))

    async def do(self, verb: Callable[..., Awaitable[T]], **arguments: Any) -> T:
        """Act in a transaction.

        :param verb: a service's function that changes something.
        """
        async with self.parley.transaction() as tx:
            return await verb(tx, actor=self.id, **arguments)

    async def see(self, verb: Callable[..., Awaitable[T]], **arguments: Any) -> T:
        """Read in a snapshot.

        :param verb: a service's function that changes nothing.
        """
        async with self.parley.snapshot() as tx:
            return await verb(tx, actor=self.id, **arguments)

    async def group(self, *others: "Actor", title: str = "Group") -> UUID:
        """Start a group with these people and return its id."""
        member_ids = [other.id for other in others]
        chat, _ = await self.do(chats.create, kind="group", title=title, member_ids=member_ids)
        return chat.id

    async def private(self, other: "Actor") -> UUID:
        """Return the id of their private chat, made when missing."""
        chat, _ = await self.do(chats.create, kind="private", title=None, member_ids=[other.id])
        return chat.id

    async def say(self, chat_id: UUID, body: str = "Hello", **fields: Any) -> views.Message:
        """Send a message.

        :param fields: `nonce` and `reply_to`, if they matter.
        """
        message, _ = await self.send(chat_id, body, **fields)
        return message

    async def send(self, chat_id: UUID, body: str, **fields: Any) -> tuple[views.Message, bool]:
        """Send a message, and tell whether it was new.

        :param fields: `nonce` and `reply_to`, if they matter.
        """
        return await self.parley.sends.send(actor=self.id, chat_id=chat_id, body=body, **fields)

    async def page(self, chat_id: UUID, **fields: Any) -> views.MessagePage:
        """Read a page of messages.

        :param fields: `before` and `limit`, if they matter.
        """
        return await self.see(messages.page, cache=self.parley.cache, chat_id=chat_id, **fields)

    async def chat(self, chat_id: UUID) -> views.MyChat:
        """Read a chat as it is now."""
        return await self.see(chats.get, chat_id=chat_id)

    async def seq(self, chat_id: UUID) -> int:
        """Read the number of a chat's last change."""
        return (await self.chat(chat_id)).seq

    async def unread(self, chat_id: UUID) -> int:
        """Read how many messages this person has not read."""
        return (await self.chat(chat_id)).unread
