"""What REST endpoints depend on: the node, the session of the caller, and answers encoded once."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from msgspec import json
from starlette.responses import Response

from pages.credentials import COOKIE, token_of
from services import sessions
from services.acting import acting
from services.errors import NotAuthenticated, Unavailable
from services.parley import Parley
from services.sessions import ActiveSession


def parley_of(request: Request) -> Parley:
    """Return the node that serves a request."""
    parley: Parley = request.app.state.parley
    if parley.draining:
        raise Unavailable("The server is restarting; try again.")
    return parley


Node = Annotated[Parley, Depends(parley_of)]


# For the description alone: `session_of` looks by itself.
BEARER = Security(HTTPBearer(auto_error=False, scheme_name="token", description="the token that signing in returns"))
IN_COOKIE = Security(APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="cookie", description="for browsers"))


async def session_of(
    request: Request, parley: Node, _bearer: Any = BEARER, _cookie: Any = IN_COOKIE
) -> AsyncIterator[ActiveSession]:
    """Return the caller's session, for which the request works.

    :raises NotAuthenticated: there is none, or it is over.
    """
    session = await sessions.authenticate(parley, token_of(request))
    if session is None:
        raise NotAuthenticated
    with acting(partial(parley.session_ends.holds, session.id, session.expires_at)):
        yield session


Caller = Annotated[ActiveSession, Depends(session_of)]


def answer(content: Any, status: int = 200) -> Response:
    """Encode an answer; the types are declared with the endpoint, for its description."""
    return Response(
        json.encode(content), status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def nothing() -> Response:
    """Answer that it is done."""
    return Response(status_code=204)
