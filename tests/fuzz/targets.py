"""What the guided fuzzers try: the renderer, and a connection to `/ws` in this process."""

import logging
import re
from contextlib import AsyncExitStack
from html.parser import HTMLParser
from typing import Any, Self

import uvicorn

from migrations.run import migrate
from pages.endpoints.frame_protocol import FrameProtocol
from pages.endpoints.socket import SocketEndpoint
from services import accounts
from services.markdown import DEEPEST, MOST_CELLS, render
from services.parley import Parley
from services.settings import Settings
from tests.support.actor import Actor
from tests.support.eventually import eventually
from tests.support.person import PASSWORD
from tests.support.processes import free_port
from tests.support.socket import Socket

VOID = {"br", "hr", "input"}
HARMLESS = VOID | {
    "a", "blockquote", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "rel", "target", "title"},
    "code": {"class"},
    "input": {"aria-label", "checked", "disabled", "type"},
    "ol": {"start"},
    "td": {"align"},
    "th": {"align"},
}
SCHEMES = {"", "http", "https", "mailto"}

ANSWERS = {"ack", "history", "sync", "chat.removed", "pong", "error"}
CODES = {"forbidden", "not_found", "conflict", "chat_closed", "validation_failed"}


class Reader(HTMLParser):
    """Reads rendered HTML as Python's own parser understands it, and finds nothing in it that could act."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in HARMLESS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES.get(tag, set()), (tag, name, value)
            if name == "href":
                assert scheme_of(value or "") in SCHEMES, value
        if tag == "a":
            assert dict(attrs).get("rel") == "noopener noreferrer nofollow"
        if tag not in VOID:
            self.open.append(tag)
            assert len(self.open) <= DEEPEST
        self.cells += tag in {"td", "th"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")


def scheme_of(address: str) -> str:
    """Return an address's scheme as browsers read it (WHATWG's URL standard, 4.4), empty when it has none."""
    read = re.sub(r"[\t\r\n]", "", address).lstrip("".join(map(chr, range(33))))
    scheme = re.match(r"([a-z][a-z0-9+.-]*):", read, re.IGNORECASE)
    return scheme[1].lower() if scheme else ""


def try_markdown(data: bytes) -> None:
    """Render a text and read the result."""
    html = render(data.decode(errors="replace"))
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open, reader.open
    assert reader.cells <= 2 * MOST_CELLS


class Frames:
    """A node in this process, and a connection to it; `CHAT` and `MESSAGE` in a case stand for what is there."""

    def __init__(self, url: str, token: str, known: dict[str, str]) -> None:
        self._url, self._token, self._known = url, token, known
        self._socket: Socket | None = None
        self._open = AsyncExitStack()
        self.errors = Errors()
        for name in ("parley", "asyncio", "uvicorn"):
            logging.getLogger(name).addHandler(self.errors)

    @classmethod
    async def start(cls, database: str) -> Self:
        """Start everything; it ends with the process."""
        settings = Settings(limits="off", database_url=database, redis_url=None)
        assert settings.database_url is not None
        await migrate(settings.database_url)
        parley = Parley(settings, settings.database_url)
        await parley.start()
        port = free_port()
        configuration: dict[str, Any] = {"lifespan": "off", "log_config": None, "log_level": "warning"}
        server = uvicorn.Server(
            uvicorn.Config(
                SocketEndpoint(parley), port=port, ws=FrameProtocol, ws_per_message_deflate=False, **configuration
            )
        )
        parley.spawn(server.serve())
        await eventually(lambda: server.started)
        signed_in = await accounts.register(
            parley, username="fuzzer", password=PASSWORD, address="127.0.0.1", device="a fuzzer"
        )
        actor = Actor(parley, signed_in.user)
        chat_id = await actor.group(await Actor.create(parley))
        message = await actor.say(chat_id)
        return cls(f"ws://127.0.0.1:{port}/ws", signed_in.token, {"CHAT": str(chat_id), "MESSAGE": str(message.id)})

    async def try_frame(self, data: bytes) -> None:
        """Send a frame, and expect only answers to it before the answer to a ping."""
        if self._socket is None:
            headers = {"Authorization": f"Bearer {self._token}"}
            self._socket = await self._open.enter_async_context(Socket.connect(self._url, headers))
        text = data.decode(errors="replace")
        for name, value in self._known.items():
            text = text.replace(name, value)
        await self._socket.send_raw(data if data[:1] == b"\x00" else text)
        await self._socket.request("ping")
        for frame in self._socket.waiting:
            if "re" in frame or frame["type"] == "error":
                assert frame["type"] in ANSWERS, frame
                assert frame.get("code", "forbidden") in CODES, frame
        self._socket.waiting.clear()
        assert not self.errors.seen, self.errors.seen


class Errors(logging.Handler):
    """Remembers what was logged as an error: nothing that comes over `/ws` may be one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))
