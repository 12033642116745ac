"""The chat page in a browser, in the words of those who use it."""

from collections.abc import Callable
from typing import Any

from playwright.async_api import Locator, Page, WebSocketRoute

from tests.conftest import NewPage
from tests.support.person import Person


class Screen:
    """A browser window that shows Parley."""

    def __init__(self, page: Page) -> None:
        """Wrap a page that may show anything yet.

        :param page: the page.
        """
        self.page = page
        self.composer = page.get_by_role("textbox", name="Message")
        self.chats = page.get_by_role("navigation", name="Chats")
        self.log = page.get_by_role("log")

    @classmethod
    async def of(
        cls,
        new_page: NewPage,
        person: Person,
        path: str = "/",
        *,
        over: Callable[[WebSocketRoute], None] | None = None,
        **options: Any,
    ) -> "Screen":
        """Open a window in which someone is signed in already.

        :param person: who signed up or in.
        :param path: the page to open.
        :param over: what stands between the page and ``/ws``.
        :param options: of the browser context, as Playwright takes them.
        """
        page = await new_page(base_url=person.url, **options)
        if over is not None:
            await page.route_web_socket("**/ws", over)
        return await cls.on(page, person, path)

    @classmethod
    async def on(cls, page: Page, person: Person, path: str = "/") -> "Screen":
        """Sign someone in on an empty page, and open another there."""
        await page.context.add_cookies([{"name": "parley_session", "value": person.cookie, "url": person.url}])
        await page.goto(path)
        return cls(page)

    async def say(self, text: str) -> None:
        """Write a message and send it with Enter."""
        await self.composer.fill(text)
        await self.composer.press("Enter")

    def message(self, text: str) -> Locator:
        """The message that contains a text."""
        return self.page.get_by_role("article").filter(has_text=text)

    def chat(self, title: str) -> Locator:
        """The entry of a chat in the list."""
        return self.chats.get_by_role("link").filter(has=self.page.locator(".chat-title", has_text=title))

    async def choose(self, of: str, entry: str) -> None:
        """Open a menu by its button's name and choose from it."""
        await self.page.get_by_role("button", name=of, exact=True).click()
        await self.page.get_by_role("menuitem", name=entry).click()

    def dialog(self, title: str) -> Locator:
        """The dialog with a title."""
        return self.page.get_by_role("dialog", name=title)
