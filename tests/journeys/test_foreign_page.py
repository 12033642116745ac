"""A page of another origin, opened in a browser that is signed in to Parley, tries to act with its cookie.

From another port of the same host the cookie comes along, since it is kept by site; from another host it does not. In
both cases the refusal must not depend on that alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from playwright.async_api import Page

from tests.conftest import NewPage, NewPerson
from tests.support.browser import Watch
from tests.support.person import PASSWORD, Person

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<!doctype html><title>Elsewhere"

SOCKET = """url => new Promise(done => {
  const socket = new WebSocket(url)
  socket.onmessage = event => done("heard " + event.data)
  socket.onclose = event => done(event.code)
})"""

FORM = """([action, fields, target]) => {
  const form = Object.assign(document.createElement("form"), {action, method: "post", target})
  for (const [name, value] of Object.entries(fields))
    form.append(Object.assign(document.createElement("input"), {name, value}))
  document.body.append(form)
  form.submit()
}"""

FETCH = """async ([url, options]) => {
  try { const answer = await fetch(url, {credentials: "include", ...options}); return answer.type + answer.status }
  catch { return "failed" }
}"""


@asynccontextmanager
async def foreign_site(host: str) -> AsyncIterator[str]:
    """A site of its own on a host of this machine; yields its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as site:
        yield f"http://{host}:{site.sockets[0].getsockname()[1]}/"


async def posted(page: Page, action: str, fields: dict[str, str]) -> int:
    """Send a form from a page into a window of its own.

    :return: the status of the answer.
    """
    # A window of the same name that is about to close would be taken instead of a new one.
    name = uuid4().hex
    async with page.context.expect_page() as opened:
        await page.evaluate("name => { window.open('about:blank', name) }", name)
    window = await opened.value
    async with window.expect_response(action) as response:
        await page.evaluate(FORM, [action, fields, name])
    status = (await response.value).status
    await window.close()
    return status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["another port", "another host"])
async def test_a_foreign_page_can_neither_listen_nor_act_nor_read_nor_frame(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch, host: str
) -> None:
    page_errors.expect("WebSocket|CORS|ERR_|403|frame|Refused|resource")
    ada = await new_person()
    async with foreign_site(host) as site:
        page = await new_page()
        await page.context.add_cookies([{"name": "parley_session", "value": ada.cookie, "url": ada.url}])
        await page.goto(site)
        heard = await page.evaluate(SOCKET, ada.url.replace("http", "ws", 1) + "/ws")
        assert heard == 1006

        other = {"username": ada.username, "password": PASSWORD, "display_name": "Eve"}
        for path, fields in (("/sign-out", {}), ("/sign-in", other), ("/sign-up", other | {"username": "eve"})):
            assert await posted(page, ada.url + path, fields) == 403
        simple = {"method": "POST", "mode": "no-cors", "body": '{"kind": "group", "title": "Eve was here"}'}
        preflighted = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": simple["body"]}
        chats = f"{ada.url}/api/v1/chats"
        assert await page.evaluate(FETCH, [chats, simple]) in {"failed", "opaque0"}
        assert await page.evaluate(FETCH, [chats, preflighted]) == "failed"
        assert await page.evaluate(FETCH, [f"{ada.url}/api/v1/sessions", {"method": "DELETE"}]) == "failed"
        assert await page.evaluate(FETCH, [f"{ada.url}/api/v1/me", {}]) == "failed"
        await _framed(page, ada)

    assert [one["title"] for one in (await ada.get("/chats")).json()["chats"]] == []
    assert len((await ada.get("/sessions")).json()["sessions"]) == 1
    assert (await ada.get("/users", q="eve")).json()["users"] == []


async def _framed(page: Page, person: Person) -> None:
    """Put a page of Parley's into a frame, and expect that nothing of it is shown there."""
    await page.evaluate(
        """url => new Promise(done => {
          const frame = Object.assign(document.createElement("iframe"), {src: url, onload: done})
          document.body.append(frame)
        })""",
        f"{person.url}/sessions",
    )
    frame = page.frames[-1]
    assert "Where you are signed in" not in await frame.content()


async def test_a_page_that_opened_parley_cannot_reach_into_it(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("Cross-Origin-Opener-Policy")
    ada = await new_person()
    async with foreign_site("localhost") as site:
        page = await new_page()
        await page.context.add_cookies([{"name": "parley_session", "value": ada.cookie, "url": ada.url}])
        await page.goto(site)
        async with page.context.expect_page() as opened:
            await page.evaluate("url => { window.opened = window.open(url) }", f"{ada.url}/sessions")
        window = await opened.value
        await window.get_by_role("heading", name="Where you are signed in").wait_for()
        await page.wait_for_function("window.opened.closed")
        assert await window.evaluate("window.opener") is None
