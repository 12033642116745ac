"""Logs: lines for people, or one JSON object an event for machines, each with the request that it belongs to.

A message is written by us and holds ids, numbers and names from the program. Of exceptions it tells what
:mod:`services.safe_errors` lets through, as arguments of a message as well as with a traceback. Other packages are
heard from warnings on: below that some would tell what people write.
"""

import asyncio
import logging
import re
import secrets
import sys
from contextvars import ContextVar
from typing import Any

from prometheus_client import Counter
from pythonjsonlogger.json import JsonFormatter

from services import safe_errors
from services.settings import Settings

REQUEST_ID: ContextVar[str] = ContextVar("parley_request_id", default="")
"""Names the request, or the WebSocket connection, that is worked for; empty for the node's own work."""

RECORDS = Counter("parley_log_records_total", "Lines of the log from warnings on", ["level"])

OWN_LOGGERS = ("parley", "alembic")
"""Those whose messages below a warning are fit for a log."""

logger = logging.getLogger("parley")


def new_request_id() -> str:
    """Make up the id of a request: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def configure(settings: Settings) -> None:
    """Have everything that is logged go to standard error, in the form and from the level that the settings name."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_prepare)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines())
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)


def for_machines() -> bool:
    """Whether the log is JSON, and what is not in it reaches nobody."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the event loop could tell nobody; its own handler would print the arguments of what failed."""
    what = re.split(r"[(<]", str(context.get("message", "")), maxsplit=1)[0].strip()
    logger.error("event loop: %s", what, exc_info=context.get("exception"))


class TextLines(logging.Formatter):
    """One line an event, and a traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(of_request)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Keep an event on one line."""
        request_id = getattr(record, "request_id", "")
        record.of_request = f" [{request_id}]" if request_id else ""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Tell a traceback without what people wrote."""
        return "\n".join(safe_errors.traced(ei[1]))


class JsonLines(JsonFormatter):
    """One JSON object an event: ``time``, ``level``, ``logger``, ``message``, and what belongs to it."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
            timestamp="time",
        )

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Tell a traceback without what people wrote."""
        return "\n".join(safe_errors.traced(ei[1]))


def _prepare(record: logging.LogRecord) -> bool:
    """Note the request, and let no exception speak for itself."""
    if request_id := REQUEST_ID.get():
        record.request_id = request_id
    if isinstance(record.args, tuple):
        record.args = tuple(_Told(one) if isinstance(one, BaseException) else one for one in record.args)
    if isinstance(record.msg, BaseException):  # as some log an exception
        record.msg = safe_errors.told(record.msg).replace("%", "%%")
    if record.levelno >= logging.WARNING:
        RECORDS.labels(record.levelname.lower()).inc()
    return True


class _Told:
    """An exception as an argument of a message, whether it is written with ``%s`` or ``%r``."""

    def __init__(self, error: BaseException) -> None:
        self._text = safe_errors.told(error)

    def __repr__(self) -> str:
        return self._text
