"""A wait, with a deadline, for what nothing in this process announces."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], object], *, within: float = 10.0) -> None:
    """Let the event loop run until the condition is true.

    :param within: seconds after which waiting fails.
    :raises TimeoutError: the condition was not met in time.
    """
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
