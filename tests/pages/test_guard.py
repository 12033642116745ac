import asyncio
from typing import Any

import httpx
import pytest
from socketio.exceptions import ConnectionError as Refused

from tests.conftest import NewPerson
from tests.support.open_page import OpenPage, updates
from tests.support.server import ParleyServer


async def test_only_ones_own_session_connects_to_ones_page(new_person: NewPerson) -> None:
    ada, bob = await new_person(), await new_person()
    page = await OpenPage.of(ada)
    with pytest.raises(Refused):
        async with page.connected(bob.cookie):
            pass
    with pytest.raises(Refused):
        async with page.connected("nonsense"):
            pass
    async with page.connected(ada.cookie) as socket:
        assert socket.connected


async def test_a_foreign_site_does_not_connect_to_a_page(new_person: NewPerson) -> None:
    ada = await new_person()
    page = await OpenPage.of(ada)
    for origin in ("https://evil.example", "null"):
        with pytest.raises(Refused):
            async with page.connected(ada.cookie, Origin=origin):
                pass


async def test_one_who_knows_the_id_of_anothers_page_cannot_act_on_it(new_person: NewPerson) -> None:
    ada, bob = await new_person(), await new_person()
    page, other = await OpenPage.of(ada), await OpenPage.of(bob)
    async with page.connected(ada.cookie) as own, other.connected(bob.cookie) as foreign:
        changes = updates(own)
        await foreign.emit("event", page.new_chat)
        await asyncio.sleep(0.5)  # what must not happen announces nothing
        assert changes.empty()
        await own.emit("event", page.new_chat)
        async with asyncio.timeout(5):
            await changes.get()


async def test_a_page_takes_no_events_once_its_session_has_ended(new_person: NewPerson) -> None:
    ada = await new_person()
    page = await OpenPage.of(ada)
    async with page.connected(ada.cookie) as socket:
        changes = updates(socket)
        await ada.delete(f"/sessions/{ada.session_id}")
        await socket.emit("event", page.new_chat)
        await socket.emit("event", {"client_id": page.client_id, "id": "nonsense"})
        await asyncio.sleep(0.5)  # what must not happen announces nothing
        assert changes.empty()


async def test_a_page_goes_on_in_a_new_session_of_the_same_person_only(new_person: NewPerson) -> None:
    ada, bob = await new_person(), await new_person()
    page = await OpenPage.of(ada)
    async with page.connected(ada.cookie) as socket, httpx.AsyncClient(trust_env=False) as client:
        changes = updates(socket)
        await ada.delete(f"/sessions/{ada.session_id}")
        await ada.sign_in()
        resume = f"{page.url}/page/resume/{page.client_id}"
        refused = await client.post(resume, headers={"Cookie": f"parley_session={bob.cookie}"})
        assert refused.status_code == 404
        resumed = await client.post(resume, headers={"Cookie": f"parley_session={ada.cookie}"})
        assert resumed.status_code == 204
        await socket.emit("event", page.new_chat)
        async with asyncio.timeout(5):
            await changes.get()


async def test_malformed_events_of_a_page_leave_no_traceback_and_it_takes_others_afterwards(
    server: ParleyServer, new_person: NewPerson
) -> None:
    ada = await new_person()
    await ada.group_chat()
    page = await OpenPage.of(ada)
    before = len(server.output())
    malformed: tuple[Any, ...] = ([], None, 7, "x", [None], ["x"], [{"chat_id": "x"}], {"chat_id": 1}, [[[[]]]])
    values = (None, "7", '"x"', "[null]", '{"chat_id": 1}', "[[[[]]]]", "{")
    async with page.connected(ada.cookie) as socket:
        for _, event in page.events:
            for args in malformed:
                await socket.emit("event", {**event, "args": args})
            for name in ("rename", "leave", "write", "removeMember", "delete", "nothing"):
                for value in values:
                    await socket.emit("event", {**event, "args": [f'"{name}"', value]})
        messages: tuple[Any, ...] = ({}, [1], None, "x", page.new_chat | {"id": [], "listener_id": {}})
        for message in messages:
            for kind in ("event", "javascript_response", "ack", "log", "handshake", "nonsense"):
                await socket.emit(kind, message)
        changes = updates(socket)
        await socket.emit("event", page.new_chat)
        async with asyncio.timeout(20):
            await changes.get()
    assert "Traceback" not in server.output()[before:]
