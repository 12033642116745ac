"""A bound for request bodies, whatever their length claims."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.endpoints import problems
from services.errors import TooLarge


class BodyLimit:
    """Refuses larger request bodies with 413.

    :param app: the application behind. :param most: bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, reading no more than the limit of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = HTTPConnection(scope).headers.get("content-length", "0")
        refusal = problems.of_error(TooLarge(f"The request body may have at most {self._most} bytes."))
        if declared.isdigit() and int(declared) > self._most:
            await refusal(scope, receive, send)
            return
        taken, exceeded, started = 0, False, False

        async def counted() -> Message:
            nonlocal taken, exceeded
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                exceeded = True
                raise _Exceeded
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            # What the application makes of a body that was cut off is not the answer.
            if started or not exceeded:
                started = True
                await send(message)

        try:
            await self._app(scope, counted, noted)
        except _Exceeded:
            pass
        finally:
            if exceeded and not started:
                await refusal(scope, receive, send)


class _Exceeded(Exception):
    """More of a body came than is allowed."""
