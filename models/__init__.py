"""The tables of Parley, one module per aggregate; PostgreSQL is the only source of truth."""

from models.base import Base, among, new_id
from models.chat import Chat, Member
from models.invite import Invite
from models.message import Message, Reaction
from models.server import ServerSecret
from models.session import Session
from models.user import User

__all__ = [
    "Base",
    "Chat",
    "Invite",
    "Member",
    "Message",
    "Reaction",
    "ServerSecret",
    "Session",
    "User",
    "among",
    "new_id",
]
