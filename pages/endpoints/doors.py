"""The HTTP doors for programs, hung into an application."""

from fastapi import APIRouter, FastAPI

from pages.endpoints import api_docs, health, problems, unknown
from pages.endpoints.description import DescribedApi
from pages.endpoints.rest import auth, chats, invites, members, messages, search, sessions, users
from services.parley import Parley

DESCRIPTION = """The interface that Parley's own page uses too. Sign in with `POST /api/v1/auth/login`; programs then
send `Authorization: Bearer` with the token. Events come over the WebSocket `/ws`, see `docs/protocol.md`."""


def create_api(parley: Parley) -> FastAPI:
    """Build the application with REST and what operators need.

    :param parley: the node.
    """
    app = DescribedApi(
        title="Parley",
        version="1",
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.parley = parley
    problems.install(app)
    api = APIRouter(prefix="/api/v1")
    for part in (auth, sessions, invites, users, chats, members, messages, search):
        api.include_router(part.router)
    app.include_router(api)
    app.include_router(health.router)
    api_docs.install(app)
    unknown.install(app)
    return app
