"""A real browser: Debian's Chromium, driven by Playwright, and what is wrong on the pages it shows."""

import os
import re
import shutil
from importlib import resources

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Chromium's own conversations with the outside would fail on a closed network, and slow the tests.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


async def launch(playwright: Playwright) -> Browser:
    """Start Chromium: `$CHROMIUM`, or the one on PATH."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "Chromium not found: install it (Debian: chromium) or set CHROMIUM to its path"
    # Chromium's sandbox does not work for root.
    return await playwright.chromium.launch(executable_path=path, args=ARGUMENTS, chromium_sandbox=os.geteuid() != 0)


class Watch:
    """Collects what went wrong on pages: uncaught exceptions, console errors, what the policy refused."""

    def __init__(self) -> None:
        """Watch nothing yet: see `watch`."""
        self._errors: list[str] = []
        self._expected: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        """Watch all pages of a context, those opened later included."""
        context.on("weberror", lambda error: self._errors.append(f"uncaught: {error.error}"))
        context.on("console", self._console)

    def expect(self, pattern: str) -> None:
        """Take errors that match a regular expression as meant by the test."""
        self._expected.append(pattern)

    def verify(self) -> None:
        """Tell what went wrong.

        :raises AssertionError: something did that the test did not expect.
        """
        unexpected = [
            error for error in self._errors if not any(re.search(pattern, error) for pattern in self._expected)
        ]
        assert not unexpected, "errors on the page:\n" + "\n".join(unexpected)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self._errors.append(f"{message.type}: {message.text} ({message.location.get('url')})")


async def serious_violations(page: Page) -> list[str]:
    """What axe finds on a page that would keep people with disabilities from using it.

    :return: each serious or critical violation with the elements that have it.
    """
    await page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = await page.evaluate("axe.run({preload: false, resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'] for node in violation['nodes']]}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]
