from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen
from tests.support.browser import Watch, serious_violations
from tests.support.person import Person
from tests.support.server import ParleyServer

TEXT = "# Heading\n\nA [link](https://example.org), `code`, and\n\n```\nmore code\n```\n\n> quoted\n\n- [x] done"


async def on_the_members(screen: Screen) -> None:
    await screen.page.get_by_role("button", name="Members").click()
    await expect(screen.page.get_by_role("list", name="Members")).to_be_visible()


async def on_a_message(screen: Screen) -> None:
    await screen.message("Heading").hover()
    await screen.page.get_by_role("button", name="React", exact=True).click()
    await expect(screen.page.get_by_role("button", name="React with 🎉")).to_be_visible()


async def on_a_new_group(screen: Screen) -> None:
    await screen.page.get_by_role("button", name="New chat").click()
    await screen.page.get_by_role("button", name="Group", exact=True).click()
    await expect(screen.page.get_by_label("Name of the group")).to_be_visible()


async def on_the_profile(screen: Screen) -> None:
    await screen.choose("You and your settings", "Profile")
    await expect(screen.page.get_by_label("Your name")).to_be_visible()


async def settled(page: Page) -> None:
    """Wait for the animations of what has just opened: half transparent text has no contrast."""
    await page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => {})))")


async def assert_open_to_all(page: Page) -> None:
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        await settled(page)
        assert await serious_violations(page) == [], f"in the {scheme} scheme"


@pytest.mark.parametrize("path", ["/sign-in", "/sign-up"])
async def test_one_can_sign_in_and_up_with_any_ability(
    server: ParleyServer, administrator: Person, new_page: NewPage, path: str
) -> None:
    page = await new_page(base_url=server.url)
    await page.goto(path)
    await expect(page.get_by_label("User name")).to_be_visible()
    await assert_open_to_all(page)


@pytest.mark.parametrize("do", [on_the_members, on_a_message, on_a_new_group, on_the_profile])
async def test_one_can_chat_with_any_ability(
    new_person: NewPerson, new_page: NewPage, do: Callable[[Screen], Awaitable[None]]
) -> None:
    ada, bob = await new_person(), await new_person(display_name="Bob")
    chat = await ada.group_chat(bob, title="Accessible")
    await bob.say(chat["id"], TEXT)
    await ada.say(chat["id"], "an answer")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await expect(screen.message("an answer")).to_be_visible()
    await do(screen)
    await assert_open_to_all(screen.page)


@pytest.mark.parametrize("path", ["/sessions", "/password", "/invites", "/people", "/there-is-no-such-page"])
async def test_one_can_manage_ones_account_with_any_ability(
    administrator: Person, new_page: NewPage, page_errors: Watch, path: str
) -> None:
    page_errors.expect("404")
    screen = await Screen.of(new_page, administrator, path)
    await expect(screen.page.get_by_role("heading", level=1)).to_be_visible()
    await assert_open_to_all(screen.page)


async def test_one_reaches_everything_by_keyboard(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="By keyboard")
    await bob.say(chat["id"], "the older one")
    await bob.say(chat["id"], "the newer one")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await expect(screen.composer).to_be_focused()
    await expect(screen.message("the newer one")).to_be_visible()

    await screen.log.focus()
    await screen.page.keyboard.press("ArrowUp")
    await expect(screen.message("the newer one")).to_be_focused()
    await screen.page.keyboard.press("ArrowUp")
    await expect(screen.message("the older one")).to_be_focused()
    await screen.page.keyboard.press("Tab")
    await expect(screen.page.get_by_role("button", name="React", exact=True)).to_be_focused()
    await screen.page.keyboard.press("Tab")
    await screen.page.keyboard.press("Enter")
    await expect(screen.composer).to_be_focused()
    await screen.say("an answer to it")
    await expect(screen.message("an answer to it")).to_contain_text("the older one")
