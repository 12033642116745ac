"""Fixtures for pages without a browser: NiceGUI's simulated user on a Parley inside the test's own process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI
from nicegui import Client
from nicegui.testing import User
from nicegui.testing.general import nicegui_reset_globals

from migrations.run import migrate
from pages import mount_pages
from services import accounts, views
from services.parley import Parley
from services.settings import Settings
from tests.conftest import FreshDatabase
from tests.support.person import PASSWORD

SignUp = Callable[[str], Awaitable[views.SignedIn]]
Visit = Callable[[views.SignedIn], Awaitable[User]]


@pytest.fixture
async def parley(fresh_database: FreshDatabase) -> AsyncIterator[Parley]:
    """A running node with an empty database and no doors."""
    settings = Settings(limits="off", database_url=await fresh_database(), redis_url=None)
    assert settings.database_url is not None
    await migrate(settings.database_url)
    node = Parley(settings, settings.database_url)
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
def sign_up(parley: Parley) -> SignUp:
    """Makes an account; its display name is the user name with a capital letter."""

    async def register(username: str) -> views.SignedIn:
        return await accounts.register(
            parley,
            username=username,
            password=PASSWORD,
            display_name=username.capitalize(),
            address="127.0.0.1",
            device="a test",
        )

    return register


@pytest.fixture
async def visit(parley: Parley, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Visit]:
    """Gives someone who signed in a simulated browser, which shows nothing yet."""
    monkeypatch.setenv("NICEGUI_USER_SIMULATION", "true")
    with nicegui_reset_globals():
        app = FastAPI()
        mount_pages(app, parley)
        async with AsyncExitStack() as ends:
            await ends.enter_async_context(app.router.lifespan_context(app))

            async def browser(signed_in: views.SignedIn) -> User:
                client = httpx.AsyncClient(
                    transport=httpx.ASGITransport(app),
                    base_url="http://test",
                    cookies={"parley_session": signed_in.token},
                )
                return User(await ends.enter_async_context(client))

            yield browser
        # NiceGUI would forget the modules of the pages, and the next test would have each of them twice.
        Client.page_routes.clear()
