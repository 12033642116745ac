import asyncio

import pytest

from services import accounts
from services.acting import acting, refuse_ended
from services.errors import NotAuthenticated
from services.parley import Parley
from tests.support.actor import Actor


async def test_what_is_not_committed_when_the_session_ends_is_not_committed(parley: Parley, ann: Actor) -> None:
    holding = True

    async def rename() -> None:
        nonlocal holding
        async with parley.transaction() as tx:
            await accounts.rename(tx, actor=ann.id, display_name="Too late")
            holding = False

    with acting(lambda: holding), pytest.raises(NotAuthenticated):
        await rename()
    assert (await ann.see(accounts.me)).display_name == "Ann"


async def test_it_concerns_what_is_started_from_there_and_nothing_else() -> None:
    async def ask() -> bool:
        try:
            refuse_ended()
        except NotAuthenticated:
            return False
        return True

    with acting(lambda: False):
        inside = asyncio.create_task(ask())
    outside = asyncio.create_task(ask())
    assert (await inside, await outside) == (False, True)
