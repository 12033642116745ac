"""Whether a history is what it was promised to be: nothing lost, nothing twice, nothing out of order."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from tests.support.person import Person

PAGE = 100
SHOWN = 5


class Sent(NamedTuple):
    """A message as its sender knows it, before any answer."""

    chat_id: str
    author_id: str
    nonce: str


class Stored(NamedTuple):
    """A message as the history has it."""

    seq: int
    id: str
    author_id: str
    nonce: str
    body: str


class Place(NamedTuple):
    """Which number, and which id, an answer or an event gave a message."""

    seq: int
    id: str


@dataclass
class Run:
    """What somebody got of a chat without a break: everything after one number, up to another."""

    chat_id: str
    since: int
    upto: int
    places: list[Place] = field(default_factory=list)


@dataclass
class Findings:
    """What is wrong, one line for each case."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    def verify(self) -> None:
        """Tell what is wrong.

        :raises AssertionError: something is.
        """
        wrong = {name: lines for name, lines in vars(self).items() if lines}
        told = [f"{name}: {len(lines)}, such as {lines[:SHOWN]}" for name, lines in wrong.items()]
        assert not told, "\n".join(told)


def audit(
    histories: Mapping[str, Sequence[Stored]],
    *,
    seqs: Mapping[str, int],
    sent: Mapping[Sent, str],
    acknowledged: Mapping[Sent, Place],
    heard: Iterable[Run] = (),
) -> Findings:
    """Compare the history of every chat with what its senders and readers know.

    :param histories: each chat's messages, oldest first, as somebody fetched them.
    :param seqs: each chat's own number.
    :param sent: the body of everything that was sent, answered or not.
    :param acknowledged: what was promised to be stored, and where.
    :param heard: what readers got.
    """
    findings = Findings()
    for chat_id, rows in histories.items():
        _check_numbers(findings, chat_id, rows, seqs[chat_id])
        _check_rows(findings, chat_id, rows, sent)
    _check_acknowledged(findings, histories, acknowledged)
    for run in heard:
        _check_heard(findings, run, histories[run.chat_id])
    return findings


def _check_numbers(findings: Findings, chat_id: str, rows: Sequence[Stored], last: int) -> None:
    wanted = range(last - len(rows) + 1, last + 1)
    wrong = [f"{row.seq} in the place of {seq}" for row, seq in zip(rows, wanted, strict=True) if row.seq != seq]
    if wrong:
        findings.out_of_order.append(f"{chat_id} up to {last}: {wrong[0]}")


def _check_rows(findings: Findings, chat_id: str, rows: Sequence[Stored], sent: Mapping[Sent, str]) -> None:
    for what, count in Counter((row.author_id, row.nonce) for row in rows).items():
        if count > 1:
            findings.twice.append(f"{chat_id}: {what} is there {count} times")
    for row in rows:
        body = sent.get(Sent(chat_id, row.author_id, row.nonce))
        if row.body != body:
            findings.altered.append(f"{chat_id}: {row} was sent as {body!r}")


def _check_acknowledged(
    findings: Findings, histories: Mapping[str, Sequence[Stored]], acknowledged: Mapping[Sent, Place]
) -> None:
    stored = {
        Sent(chat_id, row.author_id, row.nonce): Place(row.seq, row.id)
        for chat_id, rows in histories.items()
        for row in rows
    }
    for message, place in acknowledged.items():
        if message not in stored:
            findings.lost.append(f"{message} was acknowledged as {place}")
        elif stored[message] != place:
            findings.altered.append(f"{message} was acknowledged as {place} and is {stored[message]}")


def _check_heard(findings: Findings, run: Run, rows: Sequence[Stored]) -> None:
    fetched = [Place(row.seq, row.id) for row in rows if run.since < row.seq <= run.upto]
    if run.places == fetched:
        return
    heard = Counter(run.places)
    findings.twice += [f"{run.chat_id}: {place} was heard twice" for place in heard if heard[place] > 1]
    findings.lost += [f"{run.chat_id}: {place} was not heard" for place in fetched if place not in heard]
    findings.altered += [f"{run.chat_id}: {place} was heard and is not there" for place in heard.keys() - fetched]
    if sorted(run.places) != run.places:
        findings.out_of_order.append(f"{run.chat_id}: heard {[place.seq for place in run.places]}")


async def fetch_history(person: Person, chat_id: str, *, url: str = "") -> tuple[list[Stored], int]:
    """Read all that a chat has, by REST.

    :param person: a member. :param url: another node than the person's own.
    :return: its messages, oldest first, and its number.
    """
    headers = {"Authorization": f"Bearer {person.token}"}
    base = f"{url or person.url}/api/v1/chats/{chat_id}"
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, verify=False) as client:
        chat = (await client.get(base)).raise_for_status().json()
        rows: list[dict[str, Any]] = []
        more = True
        while more:
            before = {"before": rows[-1]["seq"]} if rows else {}
            answer = await client.get(f"{base}/messages", params={"limit": PAGE, **before})
            page = answer.raise_for_status().json()
            rows += page["messages"]
            more = page["more"]
    found = [Stored(row["seq"], row["id"], row["author_id"], row["nonce"], row["body"]) for row in reversed(rows)]
    return found, chat["seq"]
