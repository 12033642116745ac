from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.bus import LocalBus
from services.session_ends import REMEMBERED, SessionEnds
from tests.support.eventually import eventually


@pytest.fixture
def ends() -> Iterator[SessionEnds]:
    ends = SessionEnds(LocalBus())
    yield ends
    ends.stop()


class Watcher:
    """Watches one session and counts how often it was told of its end."""

    def __init__(self, ends: SessionEnds, session_id: UUID, *, seconds: float = 3600) -> None:
        self.told = 0
        self.unwatch = ends.watch(session_id, datetime.now(UTC) + timedelta(seconds=seconds), self.tell)

    def tell(self) -> None:
        self.told += 1


@pytest.fixture
def session_id() -> UUID:
    return uuid4()


async def test_all_who_watch_a_session_are_told_once_that_it_ended(ends: SessionEnds, session_id: UUID) -> None:
    watchers = [Watcher(ends, session_id) for _ in range(2)]
    other = Watcher(ends, uuid4())
    ends.end(session_id)
    ends.end(session_id)
    assert [watcher.told for watcher in (*watchers, other)] == [1, 1, 0]


async def test_they_are_told_within_a_second_when_it_expires(ends: SessionEnds, session_id: UUID) -> None:
    watcher = Watcher(ends, session_id, seconds=0.1)
    assert watcher.told == 0
    await eventually(lambda: watcher.told, within=1)
    assert ends.watched() == []


async def test_they_are_told_of_one_that_had_expired_before_they_watched(ends: SessionEnds, session_id: UUID) -> None:
    watcher = Watcher(ends, session_id, seconds=-1)
    await eventually(lambda: watcher.told, within=1)
    assert watcher.told == 1
    assert ends.watched() == []


async def test_an_expiry_that_is_years_away_is_no_trouble(ends: SessionEnds, session_id: UUID) -> None:
    watcher = Watcher(ends, session_id, seconds=10 * 365 * 24 * 3600)
    assert ends.watched() == [session_id]
    watcher.unwatch()


async def test_who_no_longer_watches_is_not_told(ends: SessionEnds, session_id: UUID) -> None:
    gone, there = Watcher(ends, session_id), Watcher(ends, session_id)
    for _ in range(2):
        gone.unwatch()
    assert ends.watched() == [session_id]
    ends.end(session_id)
    assert (gone.told, there.told) == (0, 1)
    there.unwatch()
    assert ends.watched() == []


async def test_who_watches_a_session_just_after_its_end_is_told_at_once(ends: SessionEnds, session_id: UUID) -> None:
    first, ended_before = Watcher(ends, session_id), uuid4()
    ends.end(session_id)
    ends.end_here([session_id, ended_before])
    watchers = [Watcher(ends, session_id), Watcher(ends, ended_before)]
    assert [watcher.told for watcher in (first, *watchers)] == [1, 1, 1]
    assert ends.watched() == []


async def test_a_session_holds_until_it_ends_or_expires(ends: SessionEnds, session_id: UUID) -> None:
    now = datetime.now(UTC)
    assert ends.holds(session_id, now + timedelta(hours=1))
    assert not ends.holds(session_id, now)
    ends.end(session_id)
    assert not ends.holds(session_id, now + timedelta(hours=1))


async def test_only_some_thousands_of_ends_are_remembered(ends: SessionEnds, session_id: UUID) -> None:
    ends.end(session_id)
    for _ in range(REMEMBERED):
        ends.end(uuid4())
    assert ends.holds(session_id, datetime.now(UTC) + timedelta(hours=1))
