"""What programs get where there is no call: a problem document, not the page that people get."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

PROGRAMS = ("/api", "/health", "/metrics")
"""What the paths begin with that are for programs."""

PATHS = ("/api", "/api/{path:path}", "/health", "/health/{path:path}", "/metrics")

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class Unknown:
    """Answers 405 where another method would be a call, and 404 elsewhere.

    :param calls: the routes of all calls.
    """

    def __init__(self, calls: Sequence[BaseRoute]) -> None:
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's arguments
        """Refuse a request.

        :raises HTTPException: always.
        """
        allowed = [method for method in METHODS if self._is_call({**scope, "method": method})]
        if allowed:
            raise HTTPException(405, "This call takes another method.", {"Allow": ", ".join(allowed)})
        raise HTTPException(404, "There is no such call.")

    def _is_call(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._calls)


def install(app: FastAPI) -> None:
    """Answer for the programs' paths, behind the routes that the application has now."""
    unknown = Unknown(list(app.router.routes))
    app.router.routes.extend(Route(path, unknown, include_in_schema=False) for path in PATHS)
