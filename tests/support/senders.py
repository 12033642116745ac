"""People who all send at once, over `/ws`, whatever happens to the servers, and remember what they were told.

A message that was not answered is sent again, with its nonce, until it is. Whoever sends also listens: everyone keeps
the messages of their chats in the order in which events and `sync` brought them.
"""

import asyncio
import json
import math
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count, cycle
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.support.audit import Findings, Place, Run, Sent, Stored, audit, fetch_history
from tests.support.person import Person
from tests.support.processes import until

Frame = dict[str, Any]

ANSWERED_WITHIN = 40.0
"""Seconds after which a request without an answer is a fault: twice and more what a statement may take."""

AGAIN_AFTER = 0.1, 0.5
"""Seconds until a refused connection or message is tried again, spread between these."""

LOOK_EVERY = 0.1
"""Seconds between two looks whether there is something to send again."""

TRANSIENT = {"unavailable", "rate_limited"}


class Heard:
    """What one person got of one chat."""

    def __init__(self, chat_id: str) -> None:
        self.runs = [Run(chat_id, since=0, upto=0)]
        self.behind = False
        self.faults: list[str] = []
        self._live = 0
        self._kept: list[Frame] = []

    @property
    def known(self) -> int:
        """The number up to which this person knows everything."""
        return self.runs[-1].upto

    def connected(self, seq: int) -> None:
        """A connection's `hello` gave this number; its events follow."""
        self._live, self._kept = seq, []
        self.behind = self.known < seq

    def take_event(self, frame: Frame) -> None:
        """An event with a number, or a `sync` that nobody asked for."""
        seq = frame["seq"]
        is_page = frame["type"] == "sync"
        if seq < self._live if is_page else seq != self._live + 1:
            self.faults.append(f"{frame['type']} {seq} after {self._live}")
        self._live = seq
        if self.behind:
            self._kept.append(frame)
        else:
            self._apply(frame)

    def take_answer(self, page: Frame) -> None:
        """A `sync` that was asked for; the last one ends being behind."""
        if page["reset"]:
            since = min(row["seq"] for row in page["messages"]) - 1
            self.runs.append(Run(page["chat_id"], since=since, upto=since))
        self._apply(page)
        if not page["more"]:
            self.behind = False
            for frame in self._kept:
                self._apply(frame)
            self._kept = []

    def _apply(self, frame: Frame) -> None:
        run = self.runs[-1]
        rows = frame["messages"] if frame["type"] == "sync" else [frame["message"]] if "message" in frame else []
        run.places += sorted(Place(row["seq"], row["id"]) for row in rows if row["seq"] > run.upto)
        run.upto = max(run.upto, frame["seq"])


class Sender:
    """One person at one device, which keeps a few messages on their way at any time.

    :param person: who sends. :param urls: the nodes, each tried in turn. :param chat_ids: where they send.
    :param window: messages on their way at once. :param restless: acknowledged messages after which they move to the
        next node, whatever is on its way.
    """

    def __init__(
        self,
        person: Person,
        urls: Sequence[str],
        chat_ids: Sequence[str],
        *,
        window: int,
        restless: float = math.inf,
    ) -> None:
        self.person = person
        self.sent: dict[Sent, str] = {}
        self.acknowledged: dict[Sent, Place] = {}
        self.unanswered: dict[Sent, str] = {}
        self.heard = {chat_id: Heard(chat_id) for chat_id in chat_ids}
        self.tally: Counter[str] = Counter()
        self.close_codes: Counter[int] = Counter()
        self.faults: list[str] = []
        self.sending = True
        self._urls = cycle(urls)
        self._chat_ids = cycle(chat_ids)
        self._window, self._restless = window, restless
        self._numbers = count(1)
        self._again: deque[Sent] = deque()
        self._on_their_way: dict[int, Sent] = {}
        self._requests = count(1)
        self._resume_at = 0.0

    async def run(self) -> None:
        """Send and listen until cancelled."""
        for url in self._urls:
            try:
                await self._connect(url.replace("http", "ws", 1) + "/ws")
            except (OSError, TimeoutError, WebSocketException):
                self.tally["connections refused"] += 1
            await asyncio.sleep(random.uniform(*AGAIN_AFTER))

    async def _connect(self, address: str) -> None:
        headers = {"Authorization": f"Bearer {self.person.token}"}
        options: dict[str, Any] = {
            "proxy": None,
            "ping_interval": None,
            "max_size": None,
            "compression": None,
            "close_timeout": 1,
        }
        async with connect(address, additional_headers=headers, **options) as connection:
            self.tally["connections"] += 1
            self._on_their_way.clear()
            self._again = deque(self.unanswered)
            self._resume_at = 0.0
            try:
                await self._talk(connection)
            except ConnectionClosed:
                self.close_codes[connection.close_code or 1006] += 1

    async def _talk(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        answered = loop.time()
        leave_at = len(self.acknowledged) + self._restless * random.uniform(0.5, 1.5)
        while len(self.acknowledged) < leave_at or not self.sending:
            for message in self._next_messages(loop.time()):
                await self._send(connection, message)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    frame = json.loads(await connection.recv())
            except TimeoutError:
                if self._on_their_way and loop.time() - answered > ANSWERED_WITHIN:
                    self.faults.append(f"{self._on_their_way} not answered within {ANSWERED_WITHIN:g} s")
                    return
                continue
            answered = loop.time()
            await self._take(connection, frame)

    def _next_messages(self, now: float) -> Iterator[Sent]:
        while len(self._on_their_way) < self._window and now >= self._resume_at:
            if self._again:
                self.tally["retries"] += 1
                yield self._again.popleft()
            elif self.sending:
                yield self._new_message()
            else:
                return

    def _new_message(self) -> Sent:
        number = next(self._numbers)
        message = Sent(next(self._chat_ids), self.person.id, str(number))
        self.sent[message] = self.unanswered[message] = f"{number} of {self.person.username}"
        return message

    async def _send(self, connection: ClientConnection, message: Sent) -> None:
        number = next(self._requests)
        self._on_their_way[number] = message
        body = self.unanswered[message]
        request = {"type": "message.send", "id": number, "chat_id": message.chat_id, "nonce": message.nonce}
        await connection.send(json.dumps({**request, "body": body}))

    async def _take(self, connection: ClientConnection, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "hello":
            await self._greet(connection, frame)
        elif kind == "ack":
            self._acknowledge(self._on_their_way.pop(frame["re"]), frame["message"])
        elif kind == "error":
            self._refused(frame)
        elif kind == "sync" and "re" in frame:
            self.heard[frame["chat_id"]].take_answer(frame)
            if frame["more"]:
                await self._catch_up(connection, frame["chat_id"])
        elif "seq" in frame and kind != "read":
            self.heard[frame["chat_id"]].take_event(frame)

    async def _greet(self, connection: ClientConnection, hello: Frame) -> None:
        self.tally["greetings"] += 1
        for chat in hello["chats"]:
            heard = self.heard[chat["id"]]
            heard.connected(chat["seq"])
            if heard.behind:
                await self._catch_up(connection, chat["id"])

    async def _catch_up(self, connection: ClientConnection, chat_id: str) -> None:
        request = {"type": "sync", "id": f"sync {chat_id}", "chats": {chat_id: self.heard[chat_id].known}}
        await connection.send(json.dumps(request))

    def _acknowledge(self, message: Sent, answer: Frame) -> None:
        self.unanswered.pop(message, None)
        self.acknowledged[message] = Place(answer["seq"], answer["id"])

    def _refused(self, frame: Frame) -> None:
        self.tally[f"refused: {frame['code']}"] += 1
        if frame["code"] not in TRANSIENT:
            self.faults.append(f"refused: {frame}")
        message = self._on_their_way.pop(frame.get("re", 0), None)
        if message is not None:
            self._again.append(message)
            self._resume_at = asyncio.get_running_loop().time() + random.uniform(*AGAIN_AFTER)
        elif str(frame.get("re", "")).startswith("sync "):
            raise TimeoutError("catching up is tried again on another connection")


class Crowd:
    """Many senders in a few chats of theirs.

    :param senders: who they are, all on the same nodes. :param urls: the nodes.
    """

    def __init__(self, senders: Sequence[Sender], urls: Sequence[str]) -> None:
        self.senders = senders
        self._urls = urls

    @classmethod
    @asynccontextmanager
    async def gathered(
        cls,
        *urls: str,
        people: int = 8,
        chats: int = 3,
        members: int | None = None,
        window: int = 2,
        restless: float = math.inf,
    ) -> AsyncIterator["Crowd"]:
        """People with new accounts and chats, who are connected and begin to send.

        :param urls: the nodes. :param members: how many people each chat has, all of them if not given.
        :param window: messages that each has on their way at once. :param restless: see :class:`Sender`.
        """
        async with AsyncExitStack() as ends:
            persons = [await ends.enter_async_context(Person.registered(urls[0])) for _ in range(people)]
            circles = [_circle(persons, chat * people // chats, members or people) for chat in range(chats)]
            chat_ids = [(await circle[0].group_chat(*circle[1:]))["id"] for circle in circles]
            senders = [
                Sender(
                    person,
                    urls[number % len(urls) :] + urls[: number % len(urls)],
                    [chat_id for chat_id, circle in zip(chat_ids, circles, strict=True) if person in circle],
                    window=window,
                    restless=restless,
                )
                for number, person in enumerate(persons)
            ]
            running = [asyncio.create_task(sender.run()) for sender in senders]

            async def greeted() -> bool:
                return all(sender.tally["greetings"] for sender in senders)

            try:
                await until(greeted, otherwise=lambda: str([sender.tally for sender in senders]))
                yield cls(senders, urls)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.wait(running)
            failures = [task.exception() for task in running if not task.cancelled()]
            assert not failures, failures

    @property
    def acknowledged(self) -> int:
        """How many messages were acknowledged so far."""
        return sum(len(sender.acknowledged) for sender in self.senders)

    @property
    def tally(self) -> Counter[str]:
        """What happened, and how often."""
        return sum((sender.tally for sender in self.senders), Counter())

    @property
    def close_codes(self) -> Counter[int]:
        """How connections ended, and how often."""
        return sum((sender.close_codes for sender in self.senders), Counter())

    async def more(self, messages: int, *, within: float = 60.0) -> None:
        """Wait until as many more messages were acknowledged.

        :param within: seconds after which waiting fails.
        """
        wanted = self.acknowledged + messages

        async def reached() -> bool:
            return self.acknowledged >= wanted

        await until(reached, within=within, otherwise=lambda: f"{self.acknowledged} of {wanted}; {self.tally}")

    async def finish(self, *, within: float = 60.0) -> Findings:
        """Send nothing new, have everything answered and everyone know everything, and compare what they know.

        :param within: seconds that this may take, twice.
        """
        for sender in self.senders:
            sender.sending = False

        async def answered() -> bool:
            return not any(sender.unanswered for sender in self.senders)

        await until(answered, within=within, otherwise=lambda: f"unanswered: {self._unanswered()}; {self.tally}")
        views = [await self._fetch(url, reader) for reader, url in enumerate(self._urls)]
        histories = {chat_id: rows for chat_id, (rows, _) in views[0].items()}
        seqs = {chat_id: seq for chat_id, (_, seq) in views[0].items()}

        async def caught_up() -> bool:
            return all(heard.known >= seqs[chat_id] for chat_id, heard in self._heard())

        await until(caught_up, within=within, otherwise=lambda: f"not caught up; {self.tally}")
        findings = audit(
            histories,
            seqs=seqs,
            sent={message: body for sender in self.senders for message, body in sender.sent.items()},
            acknowledged={
                message: place for sender in self.senders for message, place in sender.acknowledged.items()
            },
            heard=[run for _, heard in self._heard() for run in heard.runs],
        )
        findings.out_of_order += [f"{chat_id}: {fault}" for chat_id, heard in self._heard() for fault in heard.faults]
        findings.altered += [f"at node {node} a chat differs" for node, view in enumerate(views) if view != views[0]]
        findings.lost += [fault for sender in self.senders for fault in sender.faults]
        return findings

    async def _fetch(self, url: str, reader: int) -> dict[str, tuple[list[Stored], int]]:
        """Read every chat at a node, as one of its members."""
        readers: dict[str, list[Person]] = {}
        for sender in self.senders:
            for chat_id in sender.heard:
                readers.setdefault(chat_id, []).append(sender.person)
        return {
            chat_id: await fetch_history(persons[reader % len(persons)], chat_id, url=url)
            for chat_id, persons in readers.items()
        }

    def _heard(self) -> list[tuple[str, Heard]]:
        return [pair for sender in self.senders for pair in sender.heard.items()]

    def _unanswered(self) -> int:
        return sum(len(sender.unanswered) for sender in self.senders)


def _circle(persons: Sequence[Person], first: int, size: int) -> list[Person]:
    """Take so many people from a round, beginning with one of them."""
    return [persons[(first + number) % len(persons)] for number in range(size)]
