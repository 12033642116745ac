import asyncio

import pytest

from pages.endpoints.idle import Gate, Inbox


async def test_an_inbox_gives_what_came_in_its_order_whether_it_was_waited_for_or_not() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put_nowait(1)
    inbox.put_nowait(2)
    assert not inbox.empty()
    assert [await inbox.get(), await inbox.get()] == [1, 2]
    assert inbox.empty()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait(3)
    inbox.put_nowait(4)
    assert [await waiting, await inbox.get()] == [3, 4]


async def test_a_reader_that_gives_up_takes_nothing_with_it() -> None:
    inbox: Inbox[int] = Inbox()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put_nowait(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await inbox.get() == 1


async def test_a_closed_gate_holds_all_back_until_it_opens() -> None:
    gate = Gate()
    await gate.wait()
    gate.clear()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    gate.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    await gate.wait()
