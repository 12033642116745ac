"""For operators: is it alive, may it get traffic, what does it count."""

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.responses import JSONResponse, Response

from pages.endpoints.problems import of_error
from services.errors import ParleyError, Unavailable
from services.parley import Parley

router = APIRouter(tags=["operation"])


@router.get("/health/live")
async def live() -> Response:
    """Answer 200 while the process runs."""
    return JSONResponse({"status": "ok"})


@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Answer 200 when the node can serve: it is not stopping, and the database answers."""
    parley: Parley = request.app.state.parley
    try:
        if parley.draining:
            raise Unavailable("The server is stopping.")
        async with parley.snapshot() as tx:
            await tx.session.execute(text("SELECT 1"))
    except ParleyError as error:
        return of_error(error)
    return JSONResponse({"status": "ok"})


@router.get("/metrics")
async def metrics() -> Response:
    """Return what this node counts, for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
