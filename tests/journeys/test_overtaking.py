"""Answers, events and people overtake each other; the page ends up with what is true all the same."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen
from tests.support.browser import Watch
from tests.support.person import Person


@asynccontextmanager
async def held(page: Page, path: str) -> AsyncIterator[asyncio.Event]:
    """Hold back an answer that the server has given already until the end of the block.

    :param path: a glob of the request's path.
    :return: set once the server has answered.
    """
    answered, release = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        response = await route.fetch()
        answered.set()
        await release.wait()
        await route.fulfill(response=response)

    await page.route(path, hold)
    try:
        yield answered
    finally:
        release.set()
        await page.unroute_all(behavior="wait")


async def hay_with_a_needle(author: Person, reader: Person, *, hay: int) -> str:
    """A group whose oldest message is the needle; returns its id."""
    chat = await author.group_chat(reader, title="Haystack")
    await author.say(chat["id"], "the needle")
    for number in range(hay):
        await author.say(chat["id"], f"hay {number}\n\nwhich\n\nis\n\ntall")
    return str(chat["id"])


async def search_for_the_needle(screen: Screen) -> None:
    await screen.page.get_by_role("button", name="Search messages").click()
    await screen.page.get_by_label("Words that the message contains").fill("needl")


async def test_choosing_a_hit_twice_shows_it(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    chat_id = await hay_with_a_needle(bob, ada, hay=130)
    screen = await Screen.of(new_page, ada, f"/chat/{chat_id}")
    await expect(screen.message("hay 129")).to_be_visible()
    await search_for_the_needle(screen)
    await screen.dialog("Search messages").get_by_role("button", name="the needle").dblclick()
    await expect(screen.message("the needle")).to_be_in_viewport()


async def test_a_jump_whose_way_fails_is_given_up_with_a_notice(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("503")
    ada, bob = await new_person(), await new_person()
    chat_id = await hay_with_a_needle(bob, ada, hay=170)
    screen = await Screen.of(new_page, ada, f"/chat/{chat_id}")
    await expect(screen.message("hay 169")).to_be_visible()
    asked: list[str] = []

    async def refuse(route: Route) -> None:
        asked.append(route.request.url)
        await route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "Not now."}')

    await screen.page.route(re.compile(r"/messages\?.*before="), refuse)
    await search_for_the_needle(screen)
    await screen.dialog("Search messages").get_by_role("button", name="the needle").click()
    await expect(screen.page.get_by_text("Not now.").first).to_be_visible()
    await screen.page.wait_for_timeout(500)  # nothing tells when a request is not made
    assert len(asked) < 4


async def test_an_edit_that_overtakes_the_page_it_changes_is_shown(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    open_now, other = await ada.group_chat(bob, title="Open now"), await ada.group_chat(bob, title="Other")
    message = await bob.say(other["id"], "before the edit")
    screen = await Screen.of(new_page, ada, f"/chat/{open_now['id']}")
    async with held(screen.page, f"**/chats/{other['id']}/messages?**") as answered:
        await screen.chat("Other").click()
        await asyncio.wait_for(answered.wait(), 5)
        await bob.patch(f"/chats/{other['id']}/messages/{message['id']}", body="after the edit")
        await expect(screen.chat("Other")).to_contain_text("after the edit")
    await expect(screen.message("after the edit")).to_be_visible()
    await expect(screen.message("before the edit")).to_have_count(0)


async def test_events_that_come_after_the_page_which_holds_them_change_nothing(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada, bob = await new_person(), await new_person()
    open_now, other = await ada.group_chat(bob, title="Open now"), await ada.group_chat(bob, title="Other")
    await bob.say(other["id"], "number 0")
    late: list[str | bytes] = []
    sockets: list[WebSocketRoute] = []

    def delay_new_messages(route: WebSocketRoute) -> None:
        sockets.append(route)
        server = route.connect_to_server()
        server.on_message(
            lambda text: late.append(text) if json.loads(text)["type"] == "message.created" else route.send(text)
        )

    screen = await Screen.of(new_page, ada, f"/chat/{open_now['id']}", over=delay_new_messages)
    await expect(screen.chat("Other")).to_be_visible()
    async with held(screen.page, f"**/chats/{other['id']}/messages?**") as answered:
        await bob.say(other["id"], "number 1")
        await bob.say(other["id"], "number 2")
        await screen.chat("Other").click()
        await asyncio.wait_for(answered.wait(), 5)
        sockets[0].send(late[0])
        await expect(screen.message("number 1")).to_be_visible()
    await expect(screen.message("number 2")).to_be_visible()
    sockets[0].send(late[1])
    await expect(screen.chat("Other")).to_contain_text("number 2")
    await expect(screen.log.get_by_text("number")).to_have_text(["number 0", "number 1", "number 2"])


async def test_people_who_were_not_known_get_their_names(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person(display_name="Bob")
    dave = await new_person(display_name="Dave Quiet")
    others = [await new_person() for _ in range(2)]
    chat = await ada.group_chat(bob, dave, *others, title="Quiet ones")
    message = await bob.say(chat["id"], "who is there?")

    def only_bob(text: str | bytes) -> str:
        frame = json.loads(text)
        return json.dumps(frame | {"users": [user for user in frame.get("users", []) if user["id"] == bob.id]})

    def in_a_large_team(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda text: route.send(only_bob(text)))

    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}", over=in_a_large_team)
    await expect(screen.message("who is there?")).to_contain_text("Bob")
    await dave.put(f"/chats/{chat['id']}/messages/{message['id']}/reactions/👍")
    await expect(screen.page.get_by_role("button", name="👍, 1: Dave Quiet")).to_be_visible()
    await dave.say(chat["id"], "me")
    await expect(screen.page.get_by_role("article", name="Dave Quiet")).to_contain_text("Dave Quiet")


async def test_the_members_shown_are_those_of_the_open_chat(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person(display_name="Bob")
    trio, solo = await ada.group_chat(bob, title="Trio"), await ada.group_chat(title="Solo")
    screen = await Screen.of(new_page, ada, f"/chat/{solo['id']}")
    await screen.chat("Trio").click()
    async with held(screen.page, f"**/chats/{trio['id']}/members") as answered:
        await screen.page.get_by_role("button", name="Members", exact=True).click()
        await asyncio.wait_for(answered.wait(), 5)
        await screen.chat("Solo").click()
    members = screen.page.get_by_role("list", name="Members").get_by_role("listitem")
    await expect(members).to_have_count(1)
    await screen.chat("Trio").click()
    await expect(members).to_have_count(2)


async def test_a_member_who_came_while_the_members_were_read_is_among_them(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada, bob = await new_person(), await new_person(display_name="Bob")
    chat = await ada.group_chat(title="Growing")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    async with held(screen.page, f"**/chats/{chat['id']}/members") as answered:
        await screen.page.get_by_role("button", name="Members", exact=True).click()
        await asyncio.wait_for(answered.wait(), 5)
        await ada.post(f"/chats/{chat['id']}/members", user_id=bob.id)
        await bob.say(chat["id"], "here I am")
        await expect(screen.message("here I am")).to_be_visible()
    await expect(screen.page.get_by_role("list", name="Members").get_by_role("listitem")).to_have_count(2)


async def test_another_tab_leaves_a_draft_alone(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    await ada.group_chat(bob, title="First")
    chat = await ada.group_chat(bob, title="Drafted")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    other = Screen(await screen.page.context.new_page())
    await other.page.goto(screen.page.url.replace(f"/chat/{chat['id']}", "/"))
    await expect(other.chat("First")).to_be_visible()
    await screen.composer.fill("my long draft")
    await expect(screen.composer).to_have_value("my long draft")
    await other.chat("First").click()
    await other.chat("Drafted").click()
    await expect(other.composer).to_be_visible()
    await screen.page.reload()
    await expect(screen.composer).to_have_value("my long draft")


async def test_what_waits_to_be_sent_goes_out_when_one_is_let_in_again(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("ERR_INTERNET_DISCONNECTED")
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="Revolving door")
    await ada.say(chat["id"], "an old message")
    screen = await Screen.of(new_page, bob, f"/chat/{chat['id']}")
    await expect(screen.message("an old message")).to_be_visible()
    await screen.page.context.set_offline(True)
    await screen.say("written while away")
    await ada.delete(f"/chats/{chat['id']}/members/{bob.id}")
    await screen.page.context.set_offline(False)
    await expect(screen.page.get_by_text("You are no longer in “Revolving door”.")).to_be_visible(timeout=15_000)
    await expect(screen.chat("Revolving door")).to_have_count(0)

    await ada.post(f"/chats/{chat['id']}/members", user_id=bob.id)
    await expect(screen.chat("Revolving door")).to_contain_text("You: written while away")
    answer = await ada.get(f"/chats/{chat['id']}/messages")
    assert [message["body"] for message in answer.json()["messages"]] == ["written while away", "an old message"]


async def test_one_who_is_let_in_again_sees_what_was_last_said(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="With a past")
    await ada.say(chat["id"], "said before")
    screen = await Screen.of(new_page, bob)
    await expect(screen.chat("With a past")).to_contain_text("said before")
    await ada.delete(f"/chats/{chat['id']}/members/{bob.id}")
    await expect(screen.chat("With a past")).to_have_count(0)
    await ada.post(f"/chats/{chat['id']}/members", user_id=bob.id)
    await expect(screen.chat("With a past")).to_contain_text("said before")


async def test_a_refused_message_stays_refused_until_one_tries_again(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("ERR_INTERNET_DISCONNECTED")
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="Closing")
    await ada.say(chat["id"], "hurry up")
    screen = await Screen.of(new_page, bob, f"/chat/{chat['id']}")
    await expect(screen.message("hurry up")).to_be_visible()
    await screen.page.context.set_offline(True)
    await screen.say("too late")
    await ada.post(f"/chats/{chat['id']}/close")
    await screen.page.context.set_offline(False)
    refused = screen.message("too late").get_by_role("alert")
    await expect(refused).to_contain_text("This chat is closed.", timeout=15_000)

    await ada.post(f"/chats/{chat['id']}/reopen")
    await screen.page.reload()
    await expect(refused).to_contain_text("Not sent")
    await refused.get_by_role("button", name="Try again").click()
    await expect(refused).to_have_count(0)
    answer = await ada.get(f"/chats/{chat['id']}/messages")
    assert [message["body"] for message in answer.json()["messages"]] == ["too late", "hurry up"]
