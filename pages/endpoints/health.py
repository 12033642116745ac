"""For operators: is it alive, may it get traffic, what does it count."""

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from pages.endpoints.access import answer
from pages.endpoints.problems import documented, of_error
from services.errors import ParleyError, Unavailable
from services.parley import Parley

router = APIRouter(tags=["operation"])


@dataclass(frozen=True, slots=True)
class Health:
    """All is well; otherwise there is no such answer."""

    status: Literal["ok"]


@router.get("/health/live", response_model=Health)
async def live() -> Response:
    """Answer 200 while the process runs."""
    return answer(Health("ok"))


@router.get("/health/ready", response_model=Health, responses=documented())
async def ready(request: Request) -> Response:
    """Answer 200 when the node can serve: it is not stopping, and the database answers within 1.5 seconds."""
    parley: Parley = request.app.state.parley
    try:
        if parley.draining:
            raise Unavailable("The server is stopping.")
        await parley.readiness.check()
    except ParleyError as error:
        return of_error(error)
    return answer(Health("ok"))


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics() -> Response:
    """Return what this node counts, for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
