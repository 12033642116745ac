from services.installation import name_of
from services.parley import Parley
from tests.services.conftest import Connect, NewParley
from tests.support.actor import Actor
from tests.support.chat_client import ChatClient
from tests.support.eventually import eventually
from tests.support.postgres_server import create_database, drop_database
from tests.support.redis_server import RedisServer


async def name(parley: Parley) -> str:
    async with parley.snapshot() as tx:
        return await name_of(tx)


async def test_a_database_has_one_name_and_another_database_another(parley: Parley, new_parley: NewParley) -> None:
    other = await new_parley()
    assert await name(parley) == await name(parley)
    assert len({await name(parley), await name(other)}) == 2


async def test_a_copy_of_the_data_that_uses_the_same_redis_is_not_heard(
    new_parley: NewParley, redis: RedisServer, postgres_url: str, connect: Connect
) -> None:
    first = await new_parley()
    ann = await Actor.create(first)
    chat_id = await ann.group()
    await first.stop()
    original = first.engine.url.render_as_string(hide_password=False)
    copy = await create_database(postgres_url, like=original)
    one = await new_parley(database_url=original, REDIS_URL=redis.url)
    other = await new_parley(database_url=copy, REDIS_URL=redis.url)
    client: ChatClient = await connect(Actor(one, ann.user))
    await Actor(other, ann.user).say(chat_id, "on the copy")
    await Actor(one, ann.user).say(chat_id, "here")
    await eventually(lambda: client.numbers(chat_id))
    assert [frame["message"]["body"] for frame in client.of_type("message.created")] == ["here"]
    assert [one.bus.nodes(), other.bus.nodes()] == [frozenset(), frozenset()]
    await other.stop()
    await drop_database(postgres_url, database=copy)
