"""What is shown where there is no page, or where making one failed."""

from fastapi import Request
from fastapi.responses import Response
from nicegui import Client, app, ui
from nicegui.page import page as nicegui_page

from pages import theme
from pages.elements import link, text
from pages.frame import LANGUAGE, Frame, card


def register(frame: Frame) -> None:
    """Show a page of our own for 404 and 500."""

    def show(request: Request, status: int, title: str, about: str) -> Response:
        with Client(nicegui_page("", title=f"{title} · Parley", language=LANGUAGE), request=request) as client:
            frame.guard.open_to_all(client)
            theme.dress(request)
            with card(title):
                text(about)
                with ui.element("div").classes("actions"):
                    link("Back to the chats", "/", look="primary")
        return client.build_response(request, status)

    @app.exception_handler(404)
    async def not_found(request: Request, _error: Exception) -> Response:
        return show(request, 404, "There is nothing here", "The address is wrong, or what was here is gone.")

    @app.exception_handler(500)
    async def failed(request: Request, _error: Exception) -> Response:
        return show(request, 500, "Something went wrong", "It has been noted. Try again in a moment.")
