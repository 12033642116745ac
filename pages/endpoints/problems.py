"""Refusals as problem documents (RFC 9457)."""

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from msgspec import json
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from services import errors
from services.errors import ParleyError
from services.logs import REQUEST_ID

MEDIA_TYPE = "application/problem+json"
SCHEMA = "#/components/schemas/Problem"

BAD_REQUEST = 400


class Problem(BaseModel):
    """An error (RFC 9457); ``code`` is stable, ``detail`` is for people."""

    type: str = "about:blank"
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"])
    detail: str = Field(examples=["There is no such chat."])
    field: str | None = None
    retry_after: float | None = Field(default=None, description="seconds")


EXPLANATIONS: dict[type[ParleyError], str] = {
    errors.NotAuthenticated: "No valid session, or wrong credentials.",
    errors.Forbidden: "Known, and not allowed; or the request comes from another site.",
    errors.NotFound: "No such thing, or none that the caller may know of.",
    errors.Conflict: "The state of things does not allow it (`conflict`, `chat_closed`).",
    errors.TooLarge: "The request body is larger than the server takes.",
    errors.ValidationFailed: "An input is malformed or outside its limit.",
    errors.RateLimited: "Too much at once; `Retry-After` says how long to wait.",
    errors.Unavailable: "The database cannot be reached; try again.",
}


def documented(*kinds: type[ParleyError]) -> dict[int | str, dict[str, Any]]:
    """Describe, for OpenAPI, the errors that a call may answer with, each with an example.

    :param kinds: those that not every call has; the description adds what follows from signing in and from methods.
    """
    always = (errors.TooLarge, errors.ValidationFailed, errors.Unavailable)
    return {
        kind.status: {
            "description": EXPLANATIONS[kind],
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": SCHEMA},
                    "example": _document(kind.code, kind.status, EXPLANATIONS[kind]),
                }
            },
        }
        for kind in EXPLANATIONS
        if kind in always or kind in kinds
    }


def problem(
    code: str, status: int, detail: str, *, field: str | None = None, retry_after: float | None = None
) -> Response:
    """Build a problem document."""
    headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
    document = _document(code, status, detail)
    if field is not None:
        document["field"] = field
    if retry_after is not None:
        document["retry_after"] = round(retry_after, 3)
    return Response(json.encode(document), status, headers, media_type=MEDIA_TYPE)


def of_error(error: ParleyError) -> Response:
    """Turn a service's refusal into a problem document."""
    return problem(error.code, error.status, error.detail, field=error.field, retry_after=error.retry_after)


def failure() -> Response:
    """Answer for what nobody expected, with the id by which the operator finds it in the log."""
    return problem("unavailable", 500, f"Something went wrong on the server (request {REQUEST_ID.get()}).")


def install(app: FastAPI) -> None:
    """Have every error that leaves the application be a problem document, without a traceback."""

    @app.exception_handler(ParleyError)
    async def refused(_: Request, error: ParleyError) -> Response:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["loc"] == ("body",) and not _says_json(request):
            return of_error(errors.ValidationFailed("Content-Type", "must be application/json"))
        place = [str(part) for part in first["loc"][1:] if isinstance(part, str)]
        name = ".".join(place) if place and first["type"] != "json_invalid" else "body"
        return of_error(errors.ValidationFailed(name, first["msg"].removeprefix("Value error, ")))

    @app.exception_handler(HTTPException)
    async def not_served(_: Request, error: HTTPException) -> Response:
        if error.status_code == BAD_REQUEST:
            # So the framework calls JSON that is nested too deeply, or is not Unicode.
            return of_error(errors.ValidationFailed("body", "must be JSON of reasonable depth, in UTF-8"))
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "validation_failed")
        response = problem(code, error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=BAD_REQUEST)  # nobody is there any more to read it

    @app.exception_handler(Exception)
    async def failed(_: Request, _error: Exception) -> Response:
        return failure()  # the exception goes on to where it is logged


def _says_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _document(code: str, status: int, detail: str) -> dict[str, Any]:
    title = code.replace("_", " ").capitalize()
    return {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
