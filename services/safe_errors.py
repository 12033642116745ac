"""What may be told of an exception in a log.

An exception's own text may quote what people wrote, or what lets them in: a database driver quotes values, a parser
quotes its input. So of most exceptions the log tells the type, and where they happened, and no more.
"""

import traceback
from collections.abc import Iterator

from asyncpg import PostgresError
from redis.exceptions import RedisError, ResponseError
from sqlalchemy.exc import DBAPIError

from services.errors import ParleyError

PLAIN = (ParleyError, AttributeError, NameError, ImportError, EOFError)
"""Exceptions whose text holds names from the program, or was written for everyone to read."""

ABOUT_THE_SERVER = frozenset({"08", "25", "28", "3D", "53", "54", "55", "57", "58", "F0", "XX"})
"""Classes of SQLSTATE (PostgreSQL, appendix A) whose messages speak of the server and not of values."""

ABOUT_THE_TABLES = frozenset({"42501", "42703", "42883", "42P01"})
"""The same for single states: a right, a column, a function or a table that is not there."""


def told(error: BaseException) -> str:
    """Describe an exception in one line without anything that people wrote."""
    said = " ".join(_text(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def traced(error: BaseException) -> Iterator[str]:
    """Give the traceback of an exception, and of those that led to it, line by line and with no variable's value."""
    led = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if led is not None:
        yield from traced(led)
        yield "which led to:"
    yield "Traceback (most recent call last):"
    for entry in traceback.format_tb(error.__traceback__):
        yield entry.rstrip("\n")
    yield told(error)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from traced(one)


def _text(error: BaseException) -> str:
    if isinstance(error, DBAPIError) and error.orig is not None:
        # SQLAlchemy's own wrapper of a driver's error hangs between the two.
        return told(error.orig.__cause__ or error.orig)
    if isinstance(error, PostgresError):
        return _postgres(error)
    if isinstance(error, OSError):
        return error.strerror or ""
    if isinstance(error, RedisError):
        # A refusal begins with a code and may go on with the command's arguments.
        return str(error).partition(" ")[0] if isinstance(error, ResponseError) else str(error)
    return str(error) if isinstance(error, PLAIN) else ""


def _postgres(error: PostgresError) -> str:
    state = str(error.sqlstate or "")
    if state[:2] in ABOUT_THE_SERVER or state in ABOUT_THE_TABLES:
        return f"{state} {error.args[0] if error.args else ''}"
    names = [error.table_name, error.column_name, error.constraint_name]
    return " ".join([state, *(name for name in names if name)])
