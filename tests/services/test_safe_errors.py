import asyncpg
import pytest
from redis.exceptions import ResponseError
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from models.engine import create_engine
from services.errors import Unavailable
from services.safe_errors import told, traced
from tests.conftest import FreshDatabase

MARK = "marked-secret"


def raised(error: BaseException) -> BaseException:
    secret = MARK  # a local variable, which no traceback may show
    try:
        raise error
    except BaseException as caught:
        assert secret
        return caught


@pytest.mark.parametrize(
    "error",
    [
        ValueError(MARK),
        KeyError(MARK),
        UnicodeEncodeError("utf-8", MARK, 0, 1, "surrogates"),
        OSError(36, "File name too long", MARK),
        ResponseError(f"ERR unknown command with args beginning with: {MARK}"),
        ExceptionGroup(MARK, [ValueError(MARK)]),
        RuntimeError(ValueError(MARK)),
    ],
)
def test_an_exceptions_own_text_is_not_told_but_its_type_and_place_are(error: BaseException) -> None:
    lines = "\n".join(traced(raised(error)))
    assert MARK not in lines
    assert type(error).__name__ in lines
    assert "in raised" in lines


def test_what_led_to_an_exception_is_told_too() -> None:
    try:
        try:
            raise KeyError(MARK)
        except KeyError as cause:
            raise Unavailable from cause
    except Unavailable as error:
        lines = list(traced(error))
    assert "KeyError" in lines
    assert lines[-1] == "Unavailable: The server cannot do this right now; try again."


def test_what_is_harmless_is_told() -> None:
    assert told(ConnectionRefusedError(111, "Connection refused")) == "ConnectionRefusedError: Connection refused"
    assert (
        told(AttributeError("'X' object has no attribute 'y'")) == "AttributeError: 'X' object has no attribute 'y'"
    )
    assert told(TimeoutError()) == "TimeoutError"


async def test_of_a_refused_statement_the_state_and_the_names_are_told_and_no_value(
    fresh_database: FreshDatabase,
) -> None:
    engine = create_engine(await fresh_database(), pool_size=1, timeout=10)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE kept (word text CONSTRAINT once UNIQUE)"))
            insert = text("INSERT INTO kept VALUES (:word)")
            await connection.execute(insert, {"word": MARK})
            with pytest.raises(DBAPIError) as refusal:
                await connection.execute(insert, {"word": MARK})
    finally:
        await engine.dispose()
    assert told(refusal.value) == "IntegrityError: UniqueViolationError: 23505 kept once"
    assert MARK not in "\n".join(traced(refusal.value))


async def test_of_a_server_that_refuses_everyone_its_words_are_told(postgres_url: str) -> None:
    engine = create_async_engine(make_url(postgres_url).set(database="nowhere"))
    with pytest.raises((DBAPIError, asyncpg.PostgresError)) as refusal:
        async with engine.connect():
            pass
    assert "3D000" in told(refusal.value)
    assert "nowhere" in told(refusal.value)
