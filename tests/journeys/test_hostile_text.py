from playwright.async_api import expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen

SCRIPT = "<img src=x onerror=alert(1)>"
TEMPLATE = "{{constructor.constructor('alert(1)')()}}"
MESSAGES = [
    f"<script>alert(1)</script>{SCRIPT}",
    "[a link](javascript:alert(1)) and <a href='javascript:alert(1)'>another</a>",
    "![a picture](https://example.org/tracker.png)",
    f"`${{alert(1)}}` {TEMPLATE}",
    "<svg onload=alert(1)><style>* { display: none }</style><iframe src=/></iframe>",
]


async def test_what_people_write_never_runs_and_never_loads_anything(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada = await new_person(display_name=SCRIPT)
    bob = await new_person(display_name=TEMPLATE)
    chat = await ada.group_chat(bob, title=SCRIPT[:40] + TEMPLATE[:40])
    for text in MESSAGES:
        await ada.say(chat["id"], text)
    screen = Screen(await new_page(base_url=ada.url))
    dialogs: list[str] = []
    foreign: list[str] = []
    screen.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    screen.page.on("request", lambda asked: foreign.append(asked.url) if "example.org" in asked.url else None)
    await screen.page.context.add_cookies([{"name": "parley_session", "value": bob.cookie, "url": bob.url}])
    await screen.page.goto(f"/chat/{chat['id']}")

    await expect(screen.page.get_by_role("article")).to_have_count(len(MESSAGES))
    await screen.page.get_by_role("button", name="Members").click()
    await expect(screen.page.get_by_role("list", name="Members")).to_contain_text(SCRIPT)
    await expect(screen.page.get_by_role("list", name="Members")).to_contain_text(TEMPLATE)
    await screen.page.get_by_role("button", name="Search messages").click()
    await screen.page.get_by_label("Words that the message contains").fill("alert")
    await expect(screen.dialog("Search messages").get_by_role("button").first).to_be_visible()
    await screen.page.keyboard.press("Escape")
    await screen.choose("You and your settings", "Profile")
    await expect(screen.page.get_by_label("Your name")).to_have_value(TEMPLATE)

    assert dialogs == []
    assert foreign == []
    active = ":is(script, img, svg, style, iframe, [onerror], [onload], a[href^='javascript'])"
    assert await screen.page.locator(f".prose {active}").count() == 0
