import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bus_frames import Frame, MalformedFrame, Outbox, pack, unpack

NODE = "0123456789abcdef"


def outbox(*, max_messages: int = 100, max_bytes: int = 1000) -> Outbox:
    return Outbox(NODE, max_messages=max_messages, max_bytes=max_bytes)


@given(st.binary(min_size=8, max_size=8), st.integers(0, 2**64 - 1), st.lists(st.binary()))
def test_a_frame_comes_out_as_it_went_in(node: bytes, first: int, payloads: list[bytes]) -> None:
    frame = Frame(node.hex(), first, payloads)
    assert unpack(pack(frame)) == frame


@given(st.binary(max_size=64))
def test_anything_else_is_refused(data: bytes) -> None:
    try:
        frame = unpack(data)
    except MalformedFrame:
        return
    assert pack(frame) == data


def test_a_frame_that_was_cut_off_is_refused() -> None:
    data = pack(Frame(NODE, 0, [b"payload"]))
    frame_without_payloads = 16
    for length in {*range(len(data))} - {frame_without_payloads}:
        with pytest.raises(MalformedFrame):
            unpack(data[:length])


def test_neighbours_of_one_topic_share_a_frame_and_the_order_stays() -> None:
    box = outbox()
    for topic, payload in [("a", b"1"), ("a", b"2"), ("b", b"3"), ("a", b"4")]:
        box.put(topic, payload)
    assert box.take(max_bytes=1000) == [
        ("a", Frame(NODE, 0, [b"1", b"2"])),
        ("b", Frame(NODE, 0, [b"3"])),
        ("a", Frame(NODE, 2, [b"4"])),
    ]
    assert not box


def test_only_so_much_is_taken_at_once() -> None:
    box = outbox()
    for number in range(5):
        box.put("a", b"%d" % number * 10)
    assert [len(box.take(max_bytes=20)[0][1].payloads) for _ in range(3)] == [2, 2, 1]


def test_the_oldest_goes_when_there_are_too_many_and_its_number_with_it() -> None:
    box = outbox(max_messages=2)
    assert [box.put("a", payload) for payload in (b"1", b"2", b"3", b"4")] == [0, 0, 1, 1]
    assert box.take(max_bytes=1000) == [("a", Frame(NODE, 2, [b"3", b"4"]))]
    assert box.numbers() == {"a": 4}


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    box = outbox(max_bytes=10)
    box.put("a", b"x" * 4)
    box.put("a", b"y" * 4)
    assert box.put("a", b"z" * 9) == 2
    assert box.put("a", b"!" * 11) == 2
    assert not box
    assert box.numbers() == {"a": 4}
