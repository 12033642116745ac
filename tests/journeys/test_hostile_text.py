"""Script that people put wherever a page shows something: nothing of it runs, loads anything, or becomes an element.

That the policy of the page refused nothing (`page_errors`) says that there was nothing to refuse.
"""

import json
from base64 import urlsafe_b64encode
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen
from tests.support.browser import Watch
from tests.support.person import Person
from tests.support.server import ParleyServer

SCRIPT = "<img src=x onerror=alert(1)>"
TEMPLATE = "{{constructor.constructor('alert(1)')()}}"
BREAKOUT = "\"'`><script>alert(1)</script><svg/onload=alert(1)>${alert(1)}"
MESSAGES = [
    f"<script>alert(1)</script>{SCRIPT}",
    "[a link](javascript:alert(1)) and <a href='javascript:alert(1)'>another</a>",
    "![a picture](https://example.org/tracker.png)",
    f"`${{alert(1)}}` {TEMPLATE}",
    "<svg onload=alert(1)><style>* { display: none }</style><iframe src=/></iframe>",
    f"{BREAKOUT} </p></div></template><form action=https://example.org><input name=password>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "&lt;img src=x onerror=alert(1)&gt; &#x3c;script&#x3e;alert(1)&#x3c;/script&#x3e;",
]
ACTIVE = (
    "img, iframe, object, embed, base, [onerror], [onload], [onclick], [onfocus], a[href^='javascript' i], "
    "form[action*='example.org'], .prose :is(script, svg, style, form, img), body svg[onload]"
)


class Harm:
    """Watches a page for what hostile text would do there."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._seen: list[str] = []
        page.on("dialog", lambda dialog: self._seen.append(dialog.message))
        page.on("request", lambda asked: self._seen.append(asked.url) if "example.org" in asked.url else None)

    async def none(self) -> None:
        """Expect that there was none so far."""
        assert self._seen == []
        found = await self._page.locator(ACTIVE).all()
        assert [await one.evaluate("element => element.outerHTML") for one in found] == []


async def test_what_people_write_never_runs_and_never_loads_anything(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada = await new_person(display_name=SCRIPT)
    bob = await new_person(display_name=TEMPLATE)
    chat = await ada.group_chat(bob, title=SCRIPT[:40] + TEMPLATE[:40])
    said = [await ada.say(chat["id"], text) for text in MESSAGES]
    reply = await bob.say(chat["id"], BREAKOUT, reply_to=said[-1]["id"])
    await bob.patch(f"/chats/{chat['id']}/messages/{reply['id']}", body=f"{BREAKOUT} edited")
    page = await new_page(base_url=ada.url)
    harm = Harm(page)
    screen = await Screen.on(page, bob, f"/chat/{chat['id']}")

    await expect(page.get_by_role("article")).to_have_count(len(MESSAGES) + 1)
    await page.get_by_role("button", name="Members").click()
    await expect(page.get_by_role("list", name="Members")).to_contain_text(SCRIPT)
    await expect(page.get_by_role("list", name="Members")).to_contain_text(TEMPLATE)
    async with ada.socket() as socket:
        await socket.send("typing", chat_id=chat["id"])
        await expect(page.get_by_text(f"{SCRIPT} is typing…")).to_be_visible()
    await page.get_by_role("searchbox", name="Filter chats").fill(BREAKOUT)
    await expect(page.get_by_text(f"No chat matches “{BREAKOUT}”.")).to_be_visible()
    await page.get_by_role("searchbox", name="Filter chats").fill("")
    await screen.say(BREAKOUT)
    await expect(screen.message(BREAKOUT).last).to_be_visible()
    await harm.none()

    await page.get_by_role("button", name="Search messages").click()
    await page.get_by_label("Words that the message contains").fill("alert")
    await expect(screen.dialog("Search messages").get_by_role("button").first).to_be_visible()
    await harm.none()
    await page.get_by_label("Words that the message contains").fill(f"{SCRIPT} nowhere")
    await expect(page.get_by_text("Nothing found.")).to_be_visible()
    await page.keyboard.press("Escape")
    await screen.choose("You and your settings", "Profile")
    await expect(page.get_by_label("Your name")).to_have_value(TEMPLATE)
    await page.get_by_label("Your name").fill(BREAKOUT)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("list", name="Members")).to_contain_text(BREAKOUT)
    await page.get_by_role("button", name="New chat").click()
    await page.get_by_role("button", name="Group", exact=True).click()
    await page.get_by_label("Search people").fill("<img")
    await screen.dialog("New chat").get_by_role("button", name=SCRIPT).click()
    await expect(page.get_by_role("button", name=f"Without {SCRIPT}")).to_be_visible()
    await harm.none()


async def test_what_a_program_calls_itself_does_not_act_where_its_session_is_listed(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada = await new_person()
    account = {"username": ada.username, "password": ada.password}
    shown = ["<img/src=x/onerror=alert`1`>", "{{constructor.constructor`alert`}}", "'`><script>alert`1`</script>"]
    for device in (*shown, BREAKOUT, f"<script>alert(1)</script> Chrome/{SCRIPT}"):
        await ada.request("POST", "/auth/login", json=account, headers={"Authorization": "", "User-Agent": device})
    page = await new_page(base_url=ada.url)
    harm = Harm(page)
    await Screen.on(page, ada, "/sessions")
    for device in shown:
        await expect(page.get_by_text(device)).to_be_visible()
    await harm.none()


def forged(detail: str) -> str:
    """What a refused form would leave behind, if an attacker could set its cookie."""
    left = {
        "detail": detail,
        "at": "username",
        "typed": dict.fromkeys(("username", "display_name", "invite"), detail),
    }
    return urlsafe_b64encode(json.dumps(left).encode()).decode()


@pytest.mark.parametrize("payload", [SCRIPT, TEMPLATE, BREAKOUT], ids=["script", "template", "breakout"])
async def test_nothing_in_an_address_or_left_by_a_form_acts_on_a_page_for_strangers(
    server: ParleyServer, administrator: Person, new_page: NewPage, page_errors: Watch, payload: str
) -> None:
    page_errors.expect("404")
    page = await new_page(base_url=server.url)
    harm = Harm(page)
    text = quote(payload, safe="")
    for path in (
        f"/sign-in?next={text}",
        f"/sign-in?{text}={text}#{text}",
        f"/sign-up?invite={text}",
        f"/chat/{text}",
        f"/{text}",
    ):
        await page.goto(path)
        await expect(page.get_by_role("heading").first).to_be_visible()
        await harm.none()
    for path in ("/sign-in", "/sign-up"):
        await page.context.add_cookies([{"name": "parley_form", "value": forged(payload), "url": server.url}])
        await page.goto(path)
        await expect(page.get_by_text(payload).first).to_be_visible()
        await expect(page.get_by_label("User name")).to_have_value(payload)
        await harm.none()


async def test_what_was_typed_into_a_refused_form_is_only_text_when_it_comes_back(
    server: ParleyServer, administrator: Person, new_page: NewPage
) -> None:
    page = await new_page(base_url=server.url)
    harm = Harm(page)
    await page.goto("/sign-up")
    await page.get_by_label("Your name").fill(BREAKOUT)
    await page.get_by_label("User name").fill(TEMPLATE)
    await page.get_by_label("Password").fill("correct horse battery staple")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_label("Your name")).to_have_value(BREAKOUT)
    await expect(page.get_by_label("User name")).to_have_value(TEMPLATE)
    await harm.none()


async def test_an_invitations_link_acts_neither_for_the_administrator_nor_for_the_invited(
    administrator: Person, new_page: NewPage
) -> None:
    await administrator.post("/invites", expires_in=3600, uses=1)
    page = await new_page(base_url=administrator.url)
    harm = Harm(page)
    await Screen.on(page, administrator, f"/invites?{quote(BREAKOUT)}={quote(SCRIPT)}")
    await expect(page.get_by_text("admits 1 person").first).to_be_visible()
    await harm.none()
