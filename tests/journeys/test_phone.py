from typing import Any

from playwright.async_api import expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen
from tests.support.person import Person

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


async def test_a_phone_shows_one_column_at_a_time(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="In the pocket")
    await bob.say(chat["id"], "a word that is " + "very" * 60 + " long")
    screen = await Screen.of(new_page, ada, **PHONE)
    await expect(screen.chat("In the pocket")).to_be_visible()
    await expect(screen.log).to_be_hidden()

    await screen.chat("In the pocket").tap()
    await expect(screen.message("a word")).to_be_visible()
    await expect(screen.chat("In the pocket")).to_be_hidden()
    width = await screen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "the page scrolls sideways"

    await screen.composer.fill("one line")
    await screen.composer.press("Enter")
    await screen.composer.press_sequentially("and another")
    await screen.page.get_by_role("button", name="Send").tap()
    await expect(screen.message("one line")).to_contain_text("and another")

    await screen.page.get_by_role("button", name="Members").tap()
    await expect(screen.page.get_by_role("list", name="Members")).to_be_visible()
    await expect(screen.log).to_be_hidden()
    await screen.page.get_by_role("button", name="Close the list of members").tap()
    await screen.page.get_by_role("link", name="Back to the chats").tap()
    await expect(screen.chat("In the pocket")).to_be_visible()


async def test_the_other_pages_fit_a_phone_too(administrator: Person, new_page: NewPage) -> None:
    screen = await Screen.of(new_page, administrator, **PHONE)
    for path in ("/sessions", "/password", "/invites", "/people"):
        await screen.page.goto(path)
        await expect(screen.page.get_by_role("heading", level=1)).to_be_visible()
        right = await screen.page.evaluate("document.querySelector('.card').getBoundingClientRect().right")
        assert right <= 390, f"{path} is wider than the screen"
