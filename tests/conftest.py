"""The fixtures of all tests: databases, Redis, running Parleys, people and browsers, all of them real."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from services.embedded_postgres import EmbeddedPostgres
from tests.support.browser import Watch, launch
from tests.support.person import Person
from tests.support.postgres_server import PostgresServer, create_database, drop_database
from tests.support.redis_server import RedisServer
from tests.support.server import ParleyServer

OUTPUT_SHOWN = 20_000

FreshDatabase = Callable[[], Awaitable[str]]
StartServer = Callable[..., Awaitable[ParleyServer]]
NewPerson = Callable[..., Awaitable[Person]]
NewPage = Callable[..., Awaitable[Page]]

_running: list[ParleyServer] = []
_failed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let one choose what the tests run on."""
    parser.addoption(
        "--served",
        action="store_true",
        help="use a served PostgreSQL and a Redis server instead of what Parley embeds",
    )
    parser.addoption(
        "--connections",
        type=int,
        default=1,
        metavar="TIMES",
        help="let tests/faults/test_connections.py open so many times as many connections",
    )
    parser.addoption(
        "--fuzz",
        type=int,
        default=1,
        metavar="TIMES",
        help="let the fuzzers in tests/fuzz try so many times as many cases, different ones in every run",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test what the running Parleys printed, and remember that it failed."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
        report.sections += [(f"Parley on {one.url}", one.output()[-OUTPUT_SHOWN:]) for one in _running]
    return report


@pytest.fixture(scope="session")
def served(request: pytest.FixtureRequest) -> bool:
    """Whether the tests run on a served PostgreSQL and Redis."""
    return bool(request.config.getoption("--served"))


@pytest.fixture(scope="session")
async def postgres_url(served: bool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of a running PostgreSQL, from which `fresh_database` makes databases."""
    postgres = PostgresServer() if served else EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), connections=300)
    try:
        yield await postgres.start()
    finally:
        await postgres.stop()


@pytest.fixture
async def fresh_database(postgres_url: str) -> AsyncIterator[FreshDatabase]:
    """Makes an empty database at each call and returns its URL; they are gone after the test."""
    async with AsyncExitStack() as ends:

        async def make() -> str:
            database = await create_database(postgres_url)
            ends.push_async_callback(drop_database, postgres_url, database=database)
            return database

        yield make


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A running Redis of the test's own, which it may stop and start again."""
    server = RedisServer(tmp_path)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of a running Redis that all tests share."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        await server.start()
        yield server.url
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def _servers(served: bool, request: pytest.FixtureRequest) -> dict[str, str]:
    """What the Parleys under test are served by: nothing, or PostgreSQL and Redis."""
    if not served:
        return {}
    return {
        "DATABASE_URL": request.getfixturevalue("postgres_url"),
        "REDIS_URL": request.getfixturevalue("redis_url"),
    }


@pytest.fixture(scope="session")
async def _shared(
    _servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[ParleyServer, Person]]:
    """The Parley that tests share, and the first person who signed up to it."""
    settings = dict(_servers)
    if settings:
        settings["DATABASE_URL"] = await create_database(settings["DATABASE_URL"])
    parley = ParleyServer(tmp_path_factory.mktemp("shared") / "data", settings)
    _running.append(parley)
    try:
        await parley.start()
        async with Person.registered(parley.url, username="administrator") as first:
            yield parley, first
        await parley.stop()
    finally:
        await parley.clean_up()
        _running.remove(parley)


@pytest.fixture(scope="session")
def server(_shared: tuple[ParleyServer, Person]) -> ParleyServer:
    """A running Parley that tests share, without rate limits; it embeds PostgreSQL unless `--served`."""
    return _shared[0]


@pytest.fixture(scope="session")
def administrator(_shared: tuple[ParleyServer, Person]) -> Person:
    """The administrator of the shared Parley."""
    return _shared[1]


@pytest.fixture
def _own_redis(served: bool, request: pytest.FixtureRequest) -> dict[str, str]:
    """The test's own Redis if the tests are served, because a Parley keeps its rate limits there."""
    return {"REDIS_URL": request.getfixturevalue("redis").url} if served else {}


@pytest.fixture
async def start_server(
    _own_redis: dict[str, str], fresh_database: FreshDatabase, tmp_path: Path
) -> AsyncIterator[StartServer]:
    """Starts a Parley of the test's own, which ends after the test.

    `await start_server(PARLEY_LIMITS="on")` gives it a fresh database unless there is a `DATABASE_URL`. With
    `embedded=True` it embeds its own, with `launch_only=True` nobody waits until it is ready, and `data` is
    its data folder, if that matters.
    """
    async with AsyncExitStack() as ends:

        async def start(
            *, embedded: bool = False, launch_only: bool = False, data: Path | None = None, **settings: str
        ) -> ParleyServer:
            if not embedded and "DATABASE_URL" not in settings:
                settings = _own_redis | {"DATABASE_URL": await fresh_database()} | settings
            parley = ParleyServer(data or tmp_path / f"parley-{len(_running)}", settings)
            _running.append(parley)
            ends.callback(_running.remove, parley)
            ends.push_async_callback(parley.clean_up)
            if launch_only:
                parley.launch()
            else:
                await parley.start()
            return parley

        yield start


@pytest.fixture
async def new_person(server: ParleyServer) -> AsyncIterator[NewPerson]:
    """Signs up a new person at each call, at the shared Parley unless another's `url` is given."""
    async with AsyncExitStack() as ends:

        async def register(*, url: str = "", **fields: str) -> Person:
            return await ends.enter_async_context(Person.registered(url or server.url, **fields))

        yield register


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A running Chromium that tests share."""
    async with async_playwright() as playwright:
        chromium = await launch(playwright)
        yield chromium
        await chromium.close()


@pytest.fixture
def page_errors() -> Watch:
    """What goes wrong on the test's pages fails it, except what it expects here."""
    return Watch()


@pytest.fixture
async def new_page(
    browser: Browser,
    page_errors: Watch,
    start_server: StartServer,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> AsyncIterator[NewPage]:
    """Opens an empty page in a browser profile of its own at each call.

    The arguments are those of Playwright's `new_context`, such as `base_url=server.url`. A failed test leaves
    a picture of each page. Pages close before the test's own servers end, which is why it asks for those.
    """
    contexts: list[BrowserContext] = []

    async def new(**options: Any) -> Page:
        context = await browser.new_context(**options)
        contexts.append(context)
        page_errors.watch(context)
        return await context.new_page()

    yield new
    failed = request.node.stash.get(_failed, False)
    for number, page in enumerate(page for context in contexts for page in context.pages):
        if failed:
            picture = tmp_path / f"page-{number}.png"
            await page.screenshot(path=picture)
            request.config.get_terminal_writer().line(f"\nPicture: {picture}")
    for context in contexts:
        await context.close()
    if not failed:
        page_errors.verify()
