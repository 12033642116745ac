"""Password hashing with argon2id, off the event loop and never more at once than the machine bears."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.errors import RateLimited
from services.rate_limits import REFUSED

T = TypeVar("T")

HASHES_AT_ONCE = 2
"""Each takes tens of megabytes and a whole core for its time."""

BUSY_RETRY = 2.0
"""Seconds after which someone turned away is told to try again."""


class Passwords:
    """Hashes and verifies passwords.

    :param max_waiting: requests that may wait for a free hasher; more are refused.
    """

    def __init__(self, *, max_waiting: int) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="argon2")
        self._most = HASHES_AT_ONCE + max_waiting
        self._running = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """Hash a password.

        :raises RateLimited: too many wait already.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Compare a password with its hash; without a hash, take as long and say no.

        :raises RateLimited: too many wait already.
        """
        if password_hash is None:
            password_hash = await self._hash_of_nobody()
            await self._run(lambda: self._matches(password, password_hash))
            return False
        return await self._run(lambda: self._matches(password, password_hash))

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a hash was made with weaker parameters than those of today."""
        return self._hasher.check_needs_rehash(password_hash)

    async def start(self) -> None:
        """Prepare the hash that unknown user names are compared with."""
        await self._hash_of_nobody()

    async def stop(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _hash_of_nobody(self) -> str:
        if self._nobody is None:
            self._nobody = await self._run(lambda: self._hasher.hash("nobody has this password"))
        return self._nobody

    def _matches(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._running >= self._most:
            REFUSED.labels("password-hashing").inc()
            raise RateLimited(BUSY_RETRY, "Too many people are signing in; try again in a moment.")
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._running -= 1
