from services import chats, members, messages, reactions
from services.hello_statement import Greeting, chat_ids, greeting
from services.parley import Parley
from tests.services.conftest import NewActor
from tests.support.actor import Actor


async def greeted(actor: Actor, *among: Actor) -> Greeting:
    return await greeting(actor.parley.reads, user_id=actor.id, among=[person.id for person in among])


async def test_the_chats_are_those_that_the_list_shows_in_its_order(ann: Actor, ben: Actor, cat: Actor) -> None:
    silent, private = await ann.group(ben), await ann.private(ben)
    closed, left = await ann.group(cat, title="Closed"), await cat.group(ann)
    await ben.say(private, "**Hello**", nonce="n")
    reply_to = (await cat.say(closed, "first")).id
    last = await cat.say(closed, "second", reply_to=reply_to)
    for person in (cat, ann):
        await person.do(reactions.add, chat_id=closed, message_id=last.id, emoji="👍")
    await cat.do(reactions.add, chat_id=closed, message_id=last.id, emoji="🎉")
    await ann.do(chats.close, chat_id=closed)
    await ann.do(members.remove, chat_id=left, user_id=ann.id)
    found = await greeted(ann)
    assert found.chats == await ann.see(chats.list_for)
    assert [chat.id for chat in found.chats] == [closed, private, silent]
    assert found.chats[0].last_message is not None
    assert found.chats[0].last_message.reactions["👍"].user_ids == [ann.id, cat.id]
    assert set(await chat_ids(ann.parley.reads, user_id=ann.id)) == {closed, private, silent}


async def test_a_deleted_message_is_the_last_one_all_the_same(ann: Actor) -> None:
    chat_id = await ann.group()
    message = await ann.say(chat_id)
    await ann.do(messages.delete, chat_id=chat_id, message_id=message.id)
    (chat,) = (await greeted(ann)).chats
    assert chat.last_message is not None
    assert (chat.last_message.deleted, chat.last_message.body) == (True, None)


async def test_the_people_are_those_whom_the_chats_refer_to_and_fellows(
    ann: Actor, ben: Actor, cat: Actor, new_actor: NewActor
) -> None:
    owner, gone, stranger = [await new_actor() for _ in range(3)]
    chat_id = await owner.group(ann, gone)
    await gone.say(chat_id, "goodbye")
    await gone.do(members.remove, chat_id=chat_id, user_id=gone.id)
    await ann.private(ben)
    await stranger.group(cat)
    found = await greeted(ann)
    assert {user.id for user in found.users} == {owner.id, gone.id, ben.id}
    assert next(user for user in found.users if user.id == ben.id) == ben.user


async def test_one_is_among_the_people_only_where_a_chat_refers_to_oneself(ann: Actor, ben: Actor) -> None:
    chat_id = await ben.group(ann)
    assert {user.id for user in (await greeted(ann)).users} == {ben.id}
    await ann.say(chat_id)
    found = await greeted(ann)
    assert {user.id for user in found.users} == {ann.id, ben.id}
    assert (found.user.id, found.user.is_admin, found.user.is_active) == (ann.id, False, True)


async def test_of_many_fellows_some_are_named(parley: Parley, ann: Actor, new_actor: NewActor) -> None:
    most = members.MOST_FELLOWS
    crowd = [await new_actor() for _ in range(most + 3)]
    await ann.group(*crowd)
    found = await greeted(ann)
    assert most <= len({user.id for user in found.users}) <= most + 1


async def test_fellows_are_those_who_share_a_chat_each_named_once(ann: Actor, ben: Actor, cat: Actor) -> None:
    await ann.group(ben)
    await ann.private(ben)
    left = await ann.group(cat)
    await cat.do(members.remove, chat_id=left, user_id=cat.id)
    assert set((await greeted(ann, ann, ben, cat)).fellows) == {ann.id, ben.id}
    assert (await greeted(ann)).fellows == []


async def test_a_newcomer_has_nobody_and_nothing(ann: Actor) -> None:
    found = await greeted(ann)
    assert (found.user.id, found.chats, found.users, found.fellows) == (ann.id, [], [], [])
