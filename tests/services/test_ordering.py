from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import Announcement
from services.ordering import OrderedQueue

CHAT = UUID(int=1)


class Receiver:
    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.queue = OrderedQueue(self._take)

    @property
    def got(self) -> list[int]:
        return [number for run in self.runs for number in run]

    def _take(self, run: list[Announcement]) -> None:
        self.runs.append([announcement.seq for announcement in run])

    def offer(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.offer(Announcement(chat_id=CHAT, seq=number))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def test_nothing_is_delivered_before_the_start(receiver: Receiver) -> None:
    receiver.offer(1, 2)
    assert receiver.got == []
    assert receiver.queue.delivered is None
    assert receiver.queue.has_gap


def test_the_start_delivers_what_follows_and_drops_what_is_known(receiver: Receiver) -> None:
    receiver.offer(3, 5, 4)
    receiver.queue.start(3)
    assert receiver.got == [4, 5]
    assert not receiver.queue.has_gap


def test_what_comes_too_early_waits_for_what_is_missing(receiver: Receiver) -> None:
    receiver.queue.start(0)
    receiver.offer(3, 2)
    assert receiver.got == []
    assert receiver.queue.has_gap
    receiver.offer(1)
    assert receiver.got == [1, 2, 3]
    assert not receiver.queue.has_gap


def test_what_follows_without_a_hole_leaves_together(receiver: Receiver) -> None:
    receiver.queue.start(0)
    receiver.queue.offer(*(Announcement(chat_id=CHAT, seq=number) for number in (2, 1, 4)))
    receiver.offer(3)
    assert receiver.runs == [[1, 2], [3, 4]]


def test_what_comes_again_is_dropped(receiver: Receiver) -> None:
    receiver.queue.start(0)
    receiver.offer(1, 1, 3, 3, 2, 2, 1)
    assert receiver.got == [1, 2, 3]


def test_a_later_start_skips_what_became_known_by_other_means(receiver: Receiver) -> None:
    receiver.queue.start(0)
    receiver.offer(2, 5)
    receiver.queue.start(4)
    assert receiver.got == [5]


def test_a_start_never_goes_back(receiver: Receiver) -> None:
    receiver.queue.start(5)
    receiver.queue.start(2)
    receiver.offer(3, 6)
    assert receiver.got == [6]


@given(st.permutations(range(1, 12)), st.integers(0, 11), st.integers(0, 11))
def test_whatever_order_they_come_in_they_leave_by_number(order: list[int], start: int, started_after: int) -> None:
    receiver = Receiver()
    receiver.offer(*order[:started_after])
    receiver.queue.start(start)
    receiver.offer(*order[started_after:])
    assert receiver.got == list(range(start + 1, 12))
