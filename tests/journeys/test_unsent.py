import json
from typing import Any

from playwright.async_api import WebSocketRoute, expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen


async def test_drafts_survive_loading_the_page_again(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    one, two = await ada.group_chat(bob, title="One draft"), await ada.group_chat(bob, title="Another draft")
    screen = await Screen.of(new_page, ada, f"/chat/{one['id']}")
    await screen.composer.fill("first thoughts")
    await screen.chat("Another draft").click()
    await screen.composer.fill("second thoughts")

    await screen.page.reload()
    await expect(screen.composer).to_have_value("second thoughts")
    await expect(screen.chat("One draft")).to_contain_text("Draft: first thoughts")
    await screen.chat("One draft").click()
    await expect(screen.composer).to_have_value("first thoughts")
    assert two["id"] not in screen.page.url


async def test_an_edit_that_is_not_saved_survives_a_look_into_another_chat_and_loading_the_page_again(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada, bob = await new_person(), await new_person()
    one, _ = await ada.group_chat(bob, title="One edit"), await ada.group_chat(bob, title="Another chat")
    await ada.say(one["id"], "helo")
    screen = await Screen.of(new_page, ada, f"/chat/{one['id']}")
    await expect(screen.message("helo")).to_be_visible()
    await screen.composer.press("ArrowUp")
    await screen.composer.fill("hello")
    await screen.chat("Another chat").click()
    await expect(screen.composer).to_have_value("")
    await screen.chat("One edit").click()
    await expect(screen.composer).to_have_value("hello")

    await screen.page.reload()
    await expect(screen.page.get_by_text("Editing your message")).to_be_visible()
    await screen.composer.press("Enter")
    await expect(screen.message("hello")).to_contain_text("edited")
    await expect(screen.composer).to_have_value("")
    await screen.page.reload()
    await expect(screen.message("hello")).to_be_visible()
    await expect(screen.page.get_by_text("Editing your message")).to_have_count(0)


async def test_a_message_whose_acknowledgement_was_lost_is_there_once(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.private_chat(bob)
    nonces: list[str] = []

    def lose_the_first_answer(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        losing = not nonces

        async def forward(text: str | bytes) -> None:
            frame: dict[str, Any] = json.loads(text)
            if frame["type"] == "message.send":
                nonces.append(frame["nonce"])
            server.send(text)

        async def back(text: str | bytes) -> None:
            if losing and nonces:
                await route.close(code=1001)
            else:
                route.send(text)

        route.on_message(forward)
        server.on_message(back)

    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}", over=lose_the_first_answer)
    await screen.say("only once")

    await expect(screen.message("only once").get_by_label("Sending")).to_have_count(0)
    await expect(screen.message("only once")).to_have_count(1)
    answer = await bob.get(f"/chats/{chat['id']}/messages")
    assert [message["nonce"] for message in answer.json()["messages"]] == nonces[:1]
    assert len(nonces) == 2
    assert nonces[0] == nonces[1]


async def test_a_message_that_failed_is_tried_again_with_the_same_nonce(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.private_chat(bob)
    nonces: list[str] = []

    def refuse_the_first(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def forward(text: str | bytes) -> None:
            frame: dict[str, Any] = json.loads(text)
            if frame["type"] == "message.send":
                nonces.append(frame["nonce"])
            if frame["type"] == "message.send" and len(nonces) == 1:
                refusal = {"type": "error", "re": frame["id"], "code": "conflict", "detail": "Not just now."}
                route.send(json.dumps(refusal))
            else:
                server.send(text)

        route.on_message(forward)

    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}", over=refuse_the_first)
    await screen.say("please take this")
    await expect(screen.message("please take this")).to_contain_text("Not sent: Not just now.")
    await screen.message("please take this").get_by_role("button", name="Try again").click()

    await expect(screen.message("please take this").get_by_text("Not sent")).to_have_count(0)
    await expect(screen.message("please take this").get_by_label("Sending")).to_have_count(0)
    answer = await bob.get(f"/chats/{chat['id']}/messages")
    assert [message["nonce"] for message in answer.json()["messages"]] == [nonces[0]]
