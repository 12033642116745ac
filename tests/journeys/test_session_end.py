import asyncio

from playwright.async_api import expect

from tests.conftest import NewPage, NewPerson, StartServer
from tests.journeys.screen import Screen
from tests.support.browser import Watch
from tests.support.person import Person


async def sign_in(screen: Screen, *, username: str, password: str) -> None:
    await screen.page.get_by_label("User name").fill(username)
    await screen.page.get_by_label("Password").fill(password)
    await screen.page.get_by_role("button", name="Sign in", exact=True).click()


async def test_a_page_whose_session_ends_is_locked_and_goes_on_after_signing_in(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("401|HTTP Authentication failed")
    ada, bob = await new_person(), await new_person(display_name="Bob Waits")
    chat = await ada.group_chat(bob, title="Locked")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await screen.composer.fill("half a sentence")

    await ada.delete(f"/sessions/{ada.session_id}")
    ended = screen.page.get_by_role("heading", name="Your session has ended")
    await expect(ended).to_be_visible()
    await bob.say(chat["id"], "said to a locked page")
    await sign_in(screen, username=ada.username, password="not the password")
    await expect(screen.page.get_by_text("The user name or the password is wrong.")).to_be_visible()
    await sign_in(screen, username=ada.username, password=ada.password)

    await expect(ended).to_be_hidden()
    await expect(screen.composer).to_have_value("half a sentence")
    await expect(screen.message("said to a locked page")).to_be_visible()
    await screen.composer.press("Enter")
    await expect(screen.message("half a sentence").get_by_label("Sending")).to_be_hidden()
    await screen.page.get_by_role("button", name="New chat").click()
    await expect(screen.page.get_by_role("button", name="Bob Waits")).to_be_visible()


async def test_the_server_does_nothing_for_a_page_whose_session_ended(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("401|HTTP Authentication failed")
    ada = await new_person()
    chat = await ada.group_chat(title="Refused")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await expect(screen.composer).to_be_visible()
    await ada.delete(f"/sessions/{ada.session_id}")
    await expect(screen.page.get_by_role("heading", name="Your session has ended")).to_be_visible()

    await screen.page.get_by_role("button", name="New chat", include_hidden=True).dispatch_event("click")
    await asyncio.sleep(0.5)  # what must not happen announces nothing
    await expect(screen.page.get_by_label("Search people")).to_have_count(0)


async def test_another_person_who_signs_in_gets_a_page_of_their_own(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("401|HTTP Authentication failed")
    page_errors.expect("404")
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(title="Only for Ada")
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await screen.composer.fill("Ada's unsent words")

    await ada.delete(f"/sessions/{ada.session_id}")
    await sign_in(screen, username=bob.username, password=bob.password)
    await expect(screen.page.get_by_text("Nobody has written to you yet.")).to_be_visible()
    await expect(screen.chat("Only for Ada")).to_have_count(0)
    assert "unsent words" not in await screen.page.content()


async def test_a_password_changed_in_one_window_locks_all_others(
    new_person: NewPerson, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("401|HTTP Authentication failed")
    ada = await new_person()
    async with Person(ada.url, username=ada.username) as elsewhere:
        await elsewhere.sign_in()
        other = await Screen.of(new_page, elsewhere)
    screen = await Screen.of(new_page, ada)
    await expect(other.page.get_by_text("Nobody has written to you yet.")).to_be_visible()

    await screen.choose("You and your settings", "Profile")
    await screen.page.get_by_role("link", name="Change password").click()
    current, new = screen.page.get_by_label("Current password"), screen.page.get_by_label("New password")
    await expect(current).to_be_focused()
    await expect(screen.page.locator("input[name=username]")).to_have_value(ada.username)
    for field, kind in ((current, "current-password"), (new, "new-password")):
        await expect(field).to_have_attribute("type", "password")
        await expect(field).to_have_attribute("autocomplete", kind)
    await current.fill(ada.password)
    await new.fill("another password")
    await screen.page.get_by_role("button", name="Change password").click()
    await expect(screen.page.get_by_text("Your password is changed.")).to_be_visible()
    await screen.page.get_by_role("link", name="Back to the chats").last.click()
    await expect(screen.page.get_by_text("Nobody has written to you yet.")).to_be_visible()

    await expect(other.page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    await sign_in(other, username=ada.username, password="another password")
    await expect(other.page.get_by_role("heading", name="Your session has ended")).to_be_hidden()


async def test_the_page_says_before_its_session_ends(
    new_person: NewPerson, new_page: NewPage, start_server: StartServer
) -> None:
    server = await start_server(PARLEY_SESSION_HOURS="0.1")
    ada = await new_person(url=server.url)
    screen = await Screen.of(new_page, ada)
    await expect(screen.page.get_by_text("Your session ends in 6 minutes.")).to_be_visible()
    await screen.page.get_by_role("button", name="Sign in again").click()
    await sign_in(screen, username=ada.username, password=ada.password)
    await expect(screen.page.get_by_role("heading", name="Sign in again")).to_be_hidden()
