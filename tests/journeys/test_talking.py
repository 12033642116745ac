import re

from playwright.async_api import Page, expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen
from tests.support.browser import Watch
from tests.support.server import ParleyServer


async def sign_up(page: Page, *, name: str, username: str) -> Screen:
    await page.goto("/sign-up")
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("User name").fill(username)
    await page.get_by_label("Password").fill("correct horse battery staple")
    await page.get_by_role("button", name="Sign up").click()
    await page.wait_for_url("**/")
    return Screen(page)


async def test_two_people_sign_up_find_each_other_and_talk(server: ParleyServer, new_page: NewPage) -> None:
    ada = await sign_up(await new_page(base_url=server.url), name="Ada Talks", username="ada-talks")
    bob = await sign_up(await new_page(base_url=server.url), name="Bob Talks", username="bob-talks")

    await ada.page.get_by_role("button", name="New chat").click()
    await ada.page.get_by_label("Search people").fill("bob-talks")
    await ada.page.get_by_role("button", name="Bob Talks").click()
    await ada.say("Is **anybody** there?")
    await expect(ada.message("anybody").locator("strong").last).to_have_text("anybody")
    await expect(bob.chat("Ada Talks")).to_contain_text("anybody")
    await expect(bob.page).to_have_title(re.compile(r"^\(1\)"))

    await bob.chat("Ada Talks").click()
    await expect(bob.message("anybody")).to_be_visible()
    await expect(bob.page).to_have_title("Ada Talks · Parley")
    await bob.composer.press_sequentially("Y")
    await expect(ada.page.get_by_text("Bob Talks is typing…")).to_be_visible()
    await bob.composer.press_sequentially("es, me.")
    await bob.composer.press("Shift+Enter")
    await bob.composer.press_sequentially("Hello!")
    await bob.composer.press("Enter")
    await expect(ada.message("Hello!")).to_contain_text("Yes, me.")
    await expect(ada.page.get_by_text("Bob Talks is typing…")).to_be_hidden()
    await expect(ada.chat("Bob Talks").get_by_text("online")).to_be_attached()


async def test_what_happened_while_one_was_offline_is_there_when_one_is_back(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("ERR_INTERNET_DISCONNECTED")
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="Offline")
    old = await bob.say(chat["id"], "before it was edited")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await expect(screen.message("before it was edited")).to_be_visible()

    await screen.page.context.set_offline(True)
    await expect(screen.page.get_by_text("The connection is lost")).to_be_visible()
    await screen.say("written without a connection")
    await expect(screen.message("written without a connection").get_by_label("Sending")).to_be_visible()
    await bob.say(chat["id"], "said meanwhile")
    await bob.patch(f"/chats/{chat['id']}/messages/{old['id']}", body="after it was edited")
    await screen.page.context.set_offline(False)

    await expect(screen.message("said meanwhile")).to_be_visible()
    await expect(screen.message("after it was edited")).to_contain_text("edited")
    await expect(screen.message("written without a connection").get_by_label("Sending")).to_be_hidden()
    answer = await bob.get(f"/chats/{chat['id']}/messages")
    bodies = [message["body"] for message in answer.json()["messages"]]
    assert bodies == ["written without a connection", "said meanwhile", "after it was edited"]


async def test_one_edits_deletes_and_reacts_and_the_other_sees_it(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.private_chat(bob)
    here = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    there = await Screen.of(new_page, bob, f"/chat/{chat['id']}")
    await here.say("Lunch at twelve?")
    await expect(there.message("Lunch")).to_be_visible()

    await here.composer.press("ArrowUp")
    await here.say("Lunch at one?")
    await expect(there.message("Lunch at one?")).to_contain_text("edited")

    await there.message("Lunch").hover()
    await there.page.get_by_role("button", name="React", exact=True).click()
    await there.page.get_by_role("button", name="React with 👍").click()
    await expect(here.message("Lunch").get_by_role("button", name=re.compile("👍, 1"))).to_be_visible()

    await here.message("Lunch").hover()
    await here.choose("More", "Delete")
    await here.dialog("Delete this message?").get_by_role("button", name="Delete").click()
    await expect(there.message("Message deleted")).to_be_visible()
    await expect(there.message("Lunch")).to_have_count(0)
