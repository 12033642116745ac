"""An example of each answer, for the description of the REST interface."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pages.endpoints.health import Health
from pages.endpoints.rest.chats import ChatList
from pages.endpoints.rest.invites import InviteList
from pages.endpoints.rest.members import MemberList
from pages.endpoints.rest.messages import ReactionList
from pages.endpoints.rest.search import Hits
from pages.endpoints.rest.sessions import SessionList
from pages.endpoints.rest.users import UserList
from services import views

CHAT_ID: Final = UUID("01a20c00-0000-7000-8000-000000000001")
ADA_ID: Final = UUID("01a20c00-0000-7000-8000-000000000002")
BOB_ID: Final = UUID("01a20c00-0000-7000-8000-000000000003")

MORNING: Final = datetime(2026, 11, 24, 8, tzinfo=UTC)
NOON: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
AFTERNOON: Final = datetime(2026, 11, 24, 15, tzinfo=UTC)

ADA: Final = views.User(ADA_ID, "ada", "Ada", MORNING)
BOB: Final = views.User(BOB_ID, "bob", "Bob", MORNING)
OWN_ADA: Final = views.OwnUser(ADA_ID, "ada", "Ada", MORNING, is_admin=True)

SESSION: Final = views.OwnSession(
    id=UUID("01a20c00-0000-7000-8000-000000000004"),
    expires_at=AFTERNOON,
    created_at=MORNING,
    last_seen_at=NOON,
    device="Mozilla/5.0",
    address="192.0.2.7",
    current=True,
)

INVITE: Final = views.Invite(
    code="Zm9yIHlvdSBhbG9uZQ",
    url="https://chat.example.org/sign-up?invite=Zm9yIHlvdSBhbG9uZQ",
    expires_at=AFTERNOON,
    uses_left=1,
)

_MESSAGE: Final[dict[str, Any]] = {
    "id": UUID("01a20c00-0000-7000-8000-000000000005"),
    "chat_id": CHAT_ID,
    "seq": 2,
    "version": 3,
    "author_id": ADA_ID,
    "body": "Hello **all**",
    "html": "<p>Hello <strong>all</strong></p>\n",
    "nonce": "3f1c",
    "reply_to": None,
    "created_at": NOON,
    "edited_at": None,
    "deleted": False,
    "reactions": {"👍": views.Reactions(count=1, user_ids=[BOB_ID])},
}
MESSAGE: Final = views.Message(**_MESSAGE)

CHAT: Final = views.MyChat(
    id=CHAT_ID,
    kind="group",
    title="Family",
    seq=3,
    owner_id=ADA_ID,
    created_at=MORNING,
    closed_at=None,
    read_seq=2,
    unread=0,
    last_message=MESSAGE,
    peer=None,
)

MEMBER: Final = views.Member(ADA, "owner", MORNING, version=1, left_at=None)

CHANGES: Final = views.Changes(
    chat_id=CHAT_ID,
    seq=3,
    chat=CHAT,
    messages=[MESSAGE],
    members=[MEMBER],
    users=[ADA, BOB],
    reads={ADA_ID: 2, BOB_ID: 3},
    more=False,
    reset=False,
)

_ALL: Final = [
    Health("ok"),
    views.SignedIn(OWN_ADA, views.Session(SESSION.id, AFTERNOON), "kH3v.q9Zs"),
    OWN_ADA,
    SessionList([SESSION]),
    INVITE,
    InviteList([INVITE]),
    UserList([BOB]),
    CHAT,
    ChatList([CHAT]),
    MEMBER,
    MemberList([MEMBER]),
    MESSAGE,
    views.MessagePage([MESSAGE], more=False),
    ReactionList({"👍": [BOB]}),
    Hits([views.Hit(**_MESSAGE, snippet="Hello all")], more=False),
    CHANGES,
]

EXAMPLES: Final[dict[str, Any]] = {type(example).__name__: example for example in _ALL}
"""By the name of the type."""
