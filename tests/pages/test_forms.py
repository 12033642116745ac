import html
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import NewPerson, StartServer
from tests.support.person import PASSWORD, Person
from tests.support.server import ParleyServer


@pytest.fixture
async def client(server: ParleyServer, administrator: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield client


async def shown(client: httpx.AsyncClient, answer: httpx.Response) -> str:
    """The page that a form's answer leads to."""
    assert answer.status_code == 303
    return html.unescape(html.unescape((await client.get(answer.headers["location"])).text))


async def test_signing_in_leads_to_the_page_that_was_asked_for(
    client: httpx.AsyncClient, new_person: NewPerson
) -> None:
    ada = await new_person()
    form = {"username": ada.username, "password": ada.password, "next": "/sessions"}
    answer = await client.post("/sign-in", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sessions"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert (await client.get("/sign-in")).headers["location"] == "/"


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "/sign-out", "/chat/../x", "javascript:1"]
)
async def test_signing_in_never_leads_elsewhere(
    client: httpx.AsyncClient, new_person: NewPerson, target: str
) -> None:
    ada = await new_person()
    form = {"username": ada.username, "password": ada.password, "next": target}
    answer = await client.post("/sign-in", data=form)
    assert answer.headers["location"] == "/"


async def test_a_refused_form_keeps_what_was_typed_but_never_the_password(client: httpx.AsyncClient) -> None:
    form = {"username": "nobody-here", "password": "a secret password"}
    page = await shown(client, await client.post("/sign-in", data=form))
    assert "The user name or the password is wrong." in page
    assert "nobody-here" in page
    assert "a secret password" not in page
    assert "a secret password" not in json.dumps(dict(client.cookies))


async def test_one_changes_ones_password_by_a_form_and_stays_signed_in(
    client: httpx.AsyncClient, new_person: NewPerson
) -> None:
    ada = await new_person()
    client.cookies.set("parley_session", ada.cookie)
    wrong = {"username": ada.username, "current_password": "a wrong secret", "new_password": "a new secret"}
    page = await shown(client, await client.post("/password", data=wrong))
    assert "The current password is wrong." in page
    assert "secret" not in page
    assert "secret" not in json.dumps(dict(client.cookies))
    page = await shown(client, await client.post("/password", data=wrong | {"current_password": ada.password}))
    assert "Your password is changed." in page
    assert (await ada.get("/me")).status_code == 200
    ada.password = "a new secret"
    await ada.sign_in()


async def test_changing_ones_password_needs_a_session(client: httpx.AsyncClient) -> None:
    answer = await client.post("/password", data={"current_password": PASSWORD, "new_password": "another password"})
    assert answer.headers["location"] == "/sign-in?next=/password"


@pytest.mark.parametrize("path", ["/sign-in", "/sign-up"])
@pytest.mark.parametrize("encoding", ["utf-7", "utf-16", "unicode-escape", "zlib", "nonsense"])
async def test_a_form_in_an_encoding_of_its_own_choice_is_refused_like_any_other(
    client: httpx.AsyncClient, path: str, encoding: str
) -> None:
    fields = ("username", "password", "display_name", "invite", "next")
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n+2AA-\\ud800\r\n' for name in fields]
    content_type = f"multipart/form-data; boundary=b; charset={encoding}"
    answer = await client.post(path, content="".join([*parts, "--b--\r\n"]), headers={"Content-Type": content_type})
    assert "Try again" not in await shown(client, answer)
    assert "parley_session" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    "left",
    [b"{", b"[]", b"\xff", b'{"detail": 7}', b'{"typed": [1]}', b'{"x": ' + b"[" * 20_000, b'{"at": "\\ud800"}'],
)
async def test_what_a_forged_form_left_behind_is_as_good_as_nothing(client: httpx.AsyncClient, left: bytes) -> None:
    for value in (urlsafe_b64encode(left).decode(), left.decode("latin-1")[:100].replace('"', "")):
        answer = await client.get("/sign-in", headers=[(b"Cookie", f"parley_form={value}".encode("latin-1"))])
        assert answer.status_code == 200
        assert "field-error" not in answer.text


async def test_signing_up_says_beside_the_field_what_is_wrong(client: httpx.AsyncClient) -> None:
    form = {"display_name": "Short", "username": "short-one", "password": "seven77"}
    page = await shown(client, await client.post("/sign-up", data=form))
    assert re.search(r"Must be 8 to 256 characters[^}]*field-error|field-error[^}]*Must be 8 to 256", page)
    assert "short-one" in page


async def test_signing_out_ends_the_session(client: httpx.AsyncClient, new_person: NewPerson) -> None:
    ada = await new_person()
    answer = await client.post("/sign-out", headers={"Cookie": f"parley_session={ada.cookie}"})
    assert answer.headers["location"] == "/sign-in"
    assert (await ada.get("/me")).status_code == 401


@pytest.mark.parametrize("path", ["/sign-in", "/sign-up", "/sign-out"])
async def test_a_foreign_site_sends_no_forms(client: httpx.AsyncClient, path: str) -> None:
    for origin in ("https://evil.example", "null"):
        assert (await client.post(path, data={}, headers={"Origin": origin})).status_code == 403


async def test_the_first_one_is_told_of_becoming_the_administrator(start_server: StartServer) -> None:
    server = await start_server()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, follow_redirects=True) as client:
        page = await client.get("/")
        assert "You are the first one here." in page.text
        form = {"display_name": "Ada", "username": "ada", "password": PASSWORD}
        await client.post("/sign-up", data=form)
        assert (await client.get("/api/v1/me")).json()["is_admin"] is True


async def test_signing_up_by_invitation_needs_the_link(start_server: StartServer) -> None:
    server = await start_server(PARLEY_REGISTRATION="invite")
    async with (
        Person.registered(server.url) as administrator,
        httpx.AsyncClient(base_url=server.url, trust_env=False, follow_redirects=True) as client,
    ):
        assert "needs an invitation" in (await client.get("/sign-up")).text
        invite = (await administrator.post("/invites", expires_in=60, uses=1)).json()
        assert "As the others see it." in (await client.get(invite["url"])).text
        form = {"display_name": "Bob", "username": "bob", "password": PASSWORD, "invite": invite["code"]}
        assert (await client.post("/sign-up", data=form)).url.path == "/"
        assert (await client.get("/api/v1/me")).json()["username"] == "bob"


async def test_a_closed_server_says_so(start_server: StartServer) -> None:
    server = await start_server(PARLEY_REGISTRATION="closed")
    async with (
        Person.registered(server.url),
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        assert "takes no new accounts" in (await client.get("/sign-up")).text
