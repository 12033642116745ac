import asyncio
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.conftest import NewPerson
from tests.support.person import Person
from tests.support.server import ParleyServer
from tests.support.socket import Socket


async def refusal(server: ParleyServer, **headers: str) -> tuple[int, str]:
    """The status and the code with which a handshake is refused."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(server.ws_url, additional_headers=named, proxy=None):
            pass
    response = refused.value.response
    assert response.headers["Content-Type"].startswith("application/problem+json")
    code = response.body.decode().partition('"code":"')[2].partition('"')[0]
    return response.status_code, code


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"Authorization": "Bearer made-up"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Cookie": "parley_session=made-up"},
    ],
)
async def test_a_handshake_without_valid_credentials_is_refused_with_401(
    server: ParleyServer, credentials: dict[str, str]
) -> None:
    assert await refusal(server, **credentials) == (401, "not_authenticated")


async def test_a_handshake_with_an_ended_session_is_refused_with_401(
    server: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person()
    await alice.post("/auth/logout")
    assert await refusal(server, Authorization=f"Bearer {alice.token}") == (401, "not_authenticated")


async def test_the_cookie_opens_the_connection_as_well_as_the_token(
    server: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person()
    for headers in ({"Cookie": f"parley_session={alice.cookie}"}, {"Authorization": f"Bearer {alice.token}"}):
        async with Socket.connect(server.ws_url, headers) as socket:
            assert socket.hello["user"]["id"] == alice.id


async def test_a_page_of_this_server_may_connect(server: ParleyServer, new_person: NewPerson) -> None:
    alice = await new_person()
    headers = {"Cookie": f"parley_session={alice.cookie}", "Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    async with Socket.connect(server.ws_url, headers) as socket:
        assert socket.hello["user"]["id"] == alice.id


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://", ""])
@pytest.mark.parametrize("with_cookie", [True, False])
async def test_a_handshake_from_another_origin_is_refused_with_403(
    server: ParleyServer, administrator: Person, origin: str, with_cookie: bool
) -> None:
    token, cookie = f"Bearer {administrator.token}", f"parley_session={administrator.cookie}"
    credentials = {"Cookie": cookie} if with_cookie else {"Authorization": token}
    assert await refusal(server, Origin=origin, **credentials) == (403, "forbidden")


async def test_a_cross_site_handshake_without_origin_is_refused_with_403(
    server: ParleyServer, administrator: Person
) -> None:
    headers = {"Authorization": f"Bearer {administrator.token}", "Sec_Fetch_Site": "cross-site"}
    assert await refusal(server, **headers) == (403, "forbidden")


async def test_refusing_a_handshake_is_no_error_in_the_log(server: ParleyServer) -> None:
    before = len(server.output())
    await refusal(server)
    await refusal(server, Origin="https://evil.example")
    assert "ERROR" not in server.output()[before:]


async def test_a_person_has_at_most_20_connections(limited: ParleyServer, new_person: NewPerson) -> None:
    alice, bob = await new_person(url=limited.url), await new_person(url=limited.url)
    async with AsyncExitStack() as open_sockets:
        first = await open_sockets.enter_async_context(AsyncExitStack())
        await first.enter_async_context(alice.socket())
        for _ in range(19):
            await open_sockets.enter_async_context(alice.socket())
        assert await refusal(limited, Authorization=f"Bearer {alice.token}") == (429, "rate_limited")
        await open_sockets.enter_async_context(bob.socket())
        await first.aclose()
        await open_sockets.enter_async_context(alice.socket())


async def test_connections_made_at_the_same_time_do_not_pass_the_limit(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person(url=limited.url)
    async with AsyncExitStack() as open_sockets:
        attempts = [open_sockets.enter_async_context(alice.socket()) for _ in range(30)]
        came = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(one, Socket) for one in came) == 20
    assert {one.response.status_code for one in came if isinstance(one, InvalidStatus)} == {429}
