"""How PostgreSQL finds what is asked for in a large chat: by an index, as its plans say. Nobody looks at a clock."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import event, text

from services import chats, hello_statement, messages, reactions, reads, search, sync
from services.hub_reader import DatabaseReader
from services.parley import Parley
from tests.services.conftest import NewParley
from tests.support.actor import Actor

MESSAGES = 100_000
OTHER_CHATS = 500
NEWEST = MESSAGES + 1
"""The number of the newest message; the chat itself took the first."""

FILL = """
INSERT INTO messages (id, chat_id, seq, version, ordinal, author_id, body, html, created_at)
SELECT
    gen_random_uuid(), '{chat_id}', n + 1, n + 1, n, '{author_id}', 'word' || n % 1000 || ' and more', '<p></p>',
    now() - interval '1 second' * ({messages} - n)
FROM generate_series(1, {messages}) AS n;
UPDATE chats SET seq = {messages} + 1, message_count = {messages} WHERE id = '{chat_id}';
WITH made AS (
    INSERT INTO chats (id, kind, title, seq, message_count, owner_id)
    SELECT gen_random_uuid(), 'group', 'Chat', 2, 1, '{author_id}' FROM generate_series(1, {others})
    RETURNING id
), joined AS (
    INSERT INTO members (chat_id, user_id, version, read_seq, read_ordinal)
    SELECT id, '{author_id}', 1, 1, 0 FROM made
)
INSERT INTO messages (id, chat_id, seq, version, ordinal, author_id, body, html)
SELECT gen_random_uuid(), id, 2, 2, 1, '{author_id}', 'Hello', '<p>Hello</p>' FROM made;
"""


async def filled(parley: Parley) -> tuple[Actor, UUID, UUID]:
    """Someone in a chat of a hundred thousand messages and in five hundred others; the chat; one of its messages."""
    ann = await Actor.create(parley)
    chat_id = await ann.group()
    async with parley.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        fill = FILL.format(chat_id=chat_id, author_id=ann.id, messages=MESSAGES, others=OTHER_CHATS)
        await driver.execute(fill, timeout=60)
        await driver.execute("VACUUM ANALYZE", timeout=60)
        message_id = await driver.fetchval("SELECT id FROM messages WHERE seq = 50000")
    return ann, chat_id, message_id


async def statements(parley: Parley, act: Callable[[], Awaitable[Any]]) -> list[tuple[str, tuple[Any, ...]]]:
    """What an action asks PostgreSQL, through SQLAlchemy or its driver, which does not tell what it prepares."""
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, tuple(parameters)))

    def note_query(query: Any) -> None:
        if not query.query.lstrip().startswith(("BEGIN", "SET", "COMMIT", "ROLLBACK")):
            asked.append((query.query, tuple(query.args)))

    def listen(connection: Any, _entry: Any, _proxy: Any) -> None:
        connection.driver_connection.add_query_logger(note_query)

    def listen_no_more(connection: Any, _entry: Any) -> None:
        connection.driver_connection.remove_query_logger(note_query)

    listeners: dict[str, Callable[..., None]] = {
        "before_cursor_execute": note,
        "checkout": listen,
        "checkin": listen_no_more,
    }
    for name, listener in listeners.items():
        event.listen(parley.engine.sync_engine, name, listener)
    try:
        await act()
    finally:
        for name, listener in listeners.items():
            event.remove(parley.engine.sync_engine, name, listener)
    return asked


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads from one end to the other."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", []):
        yield from scanned(part)


async def scans(parley: Parley, act: Callable[[], Awaitable[Any]]) -> list[str]:
    """The statements of an action that read all messages, of whatever chat."""
    found = []
    asked = await statements(parley, act)
    assert asked, "nothing was asked"
    async with parley.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        for statement, parameters in asked:
            [[plan]] = await driver.fetch(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
            if "messages" in scanned(plan[0]["Plan"]):
                found.append(statement)
    return found


async def test_nothing_that_is_asked_often_reads_all_messages(new_parley: NewParley) -> None:
    parley = await new_parley()
    ann, chat_id, message_id = await filled(parley)
    reader = DatabaseReader(parley)
    in_chat, of_message = {"chat_id": chat_id}, {"chat_id": chat_id, "message_id": message_id}
    actions: dict[str, Callable[[], Awaitable[Any]]] = {
        "the newest page": lambda: ann.page(chat_id),
        "a page in the middle": lambda: ann.page(chat_id, before=MESSAGES // 2),
        "a page of all": lambda: ann.page(chat_id, before=NEWEST, limit=100),
        "catching up": lambda: ann.see(sync.changes, **in_chat, since=NEWEST - 90),
        "catching up from too far": lambda: ann.see(sync.changes, **in_chat, since=1),
        "healing a gap": lambda: reader.gap(chat_id, NEWEST - 3),
        "the chats": lambda: ann.see(chats.list_for),
        "one chat": lambda: ann.chat(chat_id),
        "a rare word": lambda: ann.see(search.search, query="word7 more"),
        "a rare word in one chat": lambda: ann.see(search.search, **in_chat, query="word7"),
        "a frequent word": lambda: ann.see(search.search, query="more"),
        "a frequent word in one chat": lambda: ann.see(search.search, **in_chat, query="more", before=NEWEST),
        "a word that is nowhere": lambda: ann.see(search.search, query="nowhere"),
        "a word in letters of no ASCII": lambda: ann.see(search.search, query="wörd"),
        "reading": lambda: ann.do(reads.mark, **in_chat, seq=MESSAGES // 2),
        "editing": lambda: ann.do(messages.edit, **of_message, body="new"),
        "reacting": lambda: ann.do(reactions.add, **of_message, emoji="👍"),
        "who reacted": lambda: ann.see(reactions.list_of, **of_message),
        "deleting": lambda: ann.do(messages.delete, **of_message),
    }
    found = {name: await scans(parley, act) for name, act in actions.items()}
    assert {name: statements for name, statements in found.items() if statements} == {}


async def test_a_greeting_reads_no_table_from_one_end_to_the_other(new_parley: NewParley) -> None:
    parley = await new_parley()
    ann, _, _ = await filled(parley)
    for statement, arguments in [
        (hello_statement.CHAT_IDS, (ann.id,)),
        (hello_statement.HELLO, (ann.id, [ann.id], 200, 100)),
    ]:
        [[plan]] = await parley.reads.fetch(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
        assert list(scanned(plan[0]["Plan"])) == []


async def test_a_scan_of_all_messages_would_be_noticed(new_parley: NewParley) -> None:
    parley = await new_parley()
    await filled(parley)

    async def count() -> None:
        async with parley.snapshot() as tx:
            await tx.session.execute(text("SELECT count(*) FROM messages WHERE body LIKE '%word7%'"))

    assert len(await scans(parley, count)) == 1
