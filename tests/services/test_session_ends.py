from datetime import UTC, datetime, timedelta
from uuid import uuid4

from services.bus import LocalBus
from services.session_ends import SessionEnds


async def test_who_watches_a_session_that_has_expired_is_told_at_once() -> None:
    ends, told = SessionEnds(LocalBus()), []
    ends.watch(uuid4(), datetime.now(UTC) - timedelta(seconds=1), lambda: told.append("over"))
    assert told == ["over"]
    assert ends.watched() == []
