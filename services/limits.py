"""The rate limits that belong to a person rather than to an address."""

from typing import TYPE_CHECKING
from uuid import UUID

from services.errors import RateLimited
from services.rate_limits import Rate

if TYPE_CHECKING:
    from services.parley import Parley


async def take_send(parley: "Parley", *, user_id: UUID) -> None:
    """Count one message of a person.

    :raises RateLimited: they send faster than allowed.
    """
    rate = Rate(parley.settings.sends_per_second, 1.0, parley.settings.sends_burst)
    if wait := await parley.limits.take(f"send:{user_id}", rate):
        raise RateLimited(wait, "You are sending too fast.")
