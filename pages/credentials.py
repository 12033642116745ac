"""What a request says of who sent it, and the cookie that says it next time."""

from starlette.requests import HTTPConnection
from starlette.responses import Response

from services.parley import Parley
from services.views import SignedIn

COOKIE = "parley_session"


def token_of(connection: HTTPConnection) -> str | None:
    """Return the token that a request carries: ``Authorization: Bearer``, else the cookie."""
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return bearer.strip()
    return connection.cookies.get(COOKIE)


def address_of(connection: HTTPConnection) -> str:
    """Return where a request came from; a trusted proxy's word is already taken by the server."""
    return connection.client.host if connection.client else "unknown"


def device_of(connection: HTTPConnection) -> str:
    """Return the browser's description of itself."""
    return connection.headers.get("user-agent", "")


def origin_of(connection: HTTPConnection, parley: Parley) -> str:
    """Return the address of this server as people see it, such as ``https://chat.example.org``."""
    if parley.settings.base_url is not None:
        return parley.settings.base_url
    scheme = {"ws": "http", "wss": "https"}.get(connection.url.scheme, connection.url.scheme)
    return f"{scheme}://{connection.url.netloc}"


def set_cookie(response: Response, connection: HTTPConnection, parley: Parley, signed_in: SignedIn) -> None:
    """Have the browser keep the session until it ends."""
    response.set_cookie(
        COOKIE,
        signed_in.token,
        expires=signed_in.session.expires_at,
        httponly=True,
        samesite="lax",
        secure=origin_of(connection, parley).startswith("https:"),
    )


def clear_cookie(response: Response) -> None:
    """Have the browser forget the session."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
