"""Where the HTML forms go: signing in, up and out, and another password.

Each answers with a redirect; cookies need an HTTP answer.

Here too goes what the chat page does after its person signed in again: tie the page to the new session.
"""

from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from pages.credentials import address_of, clear_cookie, device_of, set_cookie, token_of
from pages.flash import Refusal
from pages.frame import Frame
from pages.sign_in import checked_target
from services import accounts, sessions
from services.acting import acting
from services.errors import ParleyError
from services.views import SignedIn


class Forms:
    """The endpoints behind the forms.

    :param frame: whose pages send them.
    """

    def __init__(self, frame: Frame) -> None:
        self._parley, self._guard = frame.parley, frame.guard

    async def sign_in(self, request: Request) -> Response:
        """Sign in and go on to the page that was asked for."""
        sent = await _fields(request)
        target = checked_target(sent.get("next"))
        try:
            signed_in = await accounts.sign_in(
                self._parley,
                username=sent.get("username", ""),
                password=sent.get("password", ""),
                address=address_of(request),
                device=device_of(request),
            )
        except ParleyError as error:
            return _refused(request, error, sent, f"/sign-in?next={quote(target)}")
        return self._entered(request, signed_in, target)

    async def sign_up(self, request: Request) -> Response:
        """Make an account, signed in to it."""
        sent = await _fields(request)
        invite = sent.get("invite") or None
        try:
            signed_in = await accounts.register(
                self._parley,
                username=sent.get("username", ""),
                password=sent.get("password", ""),
                display_name=sent.get("display_name", ""),
                invite=invite,
                address=address_of(request),
                device=device_of(request),
            )
        except ParleyError as error:
            return _refused(request, error, sent, "/sign-up" + (f"?invite={quote(invite)}" if invite else ""))
        return self._entered(request, signed_in, "/")

    async def sign_out(self, request: Request) -> Response:
        """End this browser's session."""
        session = await sessions.authenticate(self._parley, token_of(request))
        if session is not None:
            async with self._parley.transaction() as tx:
                await sessions.end(tx, actor=session.user.id, session_id=session.id)
        response = RedirectResponse("/sign-in", 303)
        clear_cookie(response)
        return response

    async def change_password(self, request: Request) -> Response:
        """Change the password, and go on in this session."""
        session = await sessions.authenticate(self._parley, token_of(request))
        if session is None:
            return RedirectResponse("/sign-in?next=/password", 303)
        sent = await _fields(request)
        try:
            with acting(partial(self._parley.session_ends.holds, session.id, session.expires_at)):
                await accounts.change_password(
                    self._parley,
                    actor=session.user.id,
                    session_id=session.id,
                    current_password=sent.get("current_password", ""),
                    new_password=sent.get("new_password", ""),
                    address=address_of(request),
                )
        except ParleyError as error:
            return _refused(request, error, sent, "/password")
        return RedirectResponse("/password?changed", 303)

    async def resume(self, request: Request, client_id: str) -> Response:
        """Let an open page go on in this browser's new session, if it is the same person's."""
        session = await sessions.authenticate(self._parley, token_of(request))
        resumed = session is not None and self._guard.resume(client_id, session)
        return Response(status_code=204 if resumed else 404)

    def _entered(self, request: Request, signed_in: SignedIn, target: str) -> Response:
        response = RedirectResponse(target, 303)
        set_cookie(response, request, self._parley, signed_in)
        return response


def _refused(request: Request, error: ParleyError, sent: dict[str, str], path: str) -> Response:
    response = RedirectResponse(path, 303)
    Refusal.of(error, sent).keep(response, path=path.partition("?")[0], secure=request.url.scheme == "https")
    return response


async def _fields(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=10) as form:
        return {name: _storable(value) for name, value in form.items() if isinstance(value, str)}


def _storable(value: str) -> str:
    """Replace surrogates: a form may name an encoding, such as UTF-7, that has them, and Unicode's own have not."""
    return value.encode(errors="replace").decode()


def register(app: FastAPI, frame: Frame) -> None:
    """Add the endpoints to the application."""
    forms = Forms(frame)
    routes: dict[str, Any] = {
        "/sign-in": forms.sign_in,
        "/sign-up": forms.sign_up,
        "/sign-out": forms.sign_out,
        "/password": forms.change_password,
        "/page/resume/{client_id}": forms.resume,
    }
    for path, endpoint in routes.items():
        app.add_api_route(path, endpoint, methods=["POST"], include_in_schema=False)
