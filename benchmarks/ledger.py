"""The honesty of the measurements: a figure counts only when every receiver got every message once and in order."""

from collections.abc import Iterable

STRIDE = 1_000_000
"""A mark is ``sender * STRIDE + number``: it names the sender and the how-manieth message of that sender it is."""


class WrongDelivery(AssertionError):
    """A message is missing, came twice, came out of order, or was never sent."""


class Ledger:
    """The deliveries of one chat, checked one by one as they come.

    The receiver that is ahead of all others fixes the order; every other one must see the same.

    :param receivers: how many get each message.
    """

    def __init__(self, receivers: int) -> None:
        self.deliveries = 0
        self._receivers = receivers
        self._sent: dict[int, int] = {}
        self._missing: dict[int, int] = {}
        self._order: list[int] = []
        self._places: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._taken: dict[int, int] = {}

    @property
    def incomplete(self) -> int:
        """Messages that not every receiver has yet."""
        return len(self._missing)

    def send(self, sender: int) -> int:
        """Note that a message leaves.

        :return: its mark, to be written into it.
        """
        number = self._sent.get(sender, 0)
        self._sent[sender] = number + 1
        mark = sender * STRIDE + number
        self._missing[mark] = self._receivers
        return mark

    def take(self, receiver: int, marks: Iterable[int]) -> list[int]:
        """Note what a receiver got.

        :param marks: in the order in which they came; with all bits turned where it is no fault that one repeats what
            the receiver has.
        :return: those that every receiver has now.
        :raises WrongDelivery: they are not what this receiver has to get next.
        """
        place = self._taken.get(receiver, 0)
        order, missing, complete = self._order, self._missing, []
        for one in marks:
            mark = one if one >= 0 else ~one
            if one < 0 and self._places.get(mark, place) < place:
                continue
            if place == len(order):
                self._begin(mark)
            elif order[place] != mark:
                raise WrongDelivery(f"receiver {receiver} got {mark} where others got {order[place]}")
            place += 1
            if mark not in missing:
                raise WrongDelivery(f"{mark} came to more than {self._receivers} receivers")
            missing[mark] -= 1
            if not missing[mark]:
                del missing[mark]
                complete.append(mark)
        self.deliveries += place - self._taken.get(receiver, 0)
        self._taken[receiver] = place
        return complete

    def verify(self) -> None:
        """Make sure that nothing is missing.

        :raises WrongDelivery: something is.
        """
        if self._missing:
            mark, receivers = next(iter(self._missing.items()))
            raise WrongDelivery(
                f"{len(self._missing)} messages are missing somewhere; the first, {mark}, at {receivers} receivers"
            )

    def _begin(self, mark: int) -> None:
        """Let a message be the next one of the chat, if it is the next one of its sender."""
        sender, number = divmod(mark, STRIDE)
        expected = self._begun.get(sender, 0)
        if number >= self._sent.get(sender, 0):
            raise WrongDelivery(f"{mark} was never sent")
        if number != expected:
            raise WrongDelivery(f"message {number} of sender {sender} came where {expected} had to come")
        self._begun[sender] = number + 1
        self._places[mark] = len(self._order)
        self._order.append(mark)
