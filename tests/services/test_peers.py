from services.peers import Peers


def test_a_node_is_found_once() -> None:
    peers = Peers(lost_after=10)
    assert [peers.alive("a", now=0), peers.alive("a", now=1), peers.alive("b", now=1)] == [True, False, True]
    assert peers.nodes == {"a", "b"}


def test_a_silent_node_is_lost_once_and_found_again() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    peers.alive("b", now=5)
    assert peers.lost(now=10) == []
    assert peers.lost(now=10.1) == ["a"]
    assert peers.lost(now=10.1) == []
    assert peers.alive("a", now=11)


def test_silence_says_nothing_while_nobody_can_be_heard() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    peers.deaf(now=20)
    assert peers.lost(now=30) == []
    assert peers.lost(now=31) == ["a"]


def test_a_node_that_left_is_forgotten() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    peers.left("a")
    peers.left("unknown")
    assert peers.nodes == frozenset()


def test_what_follows_without_a_gap_is_complete() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    assert not peers.arrived("a", "chat", first=0, count=3)
    assert not peers.arrived("a", "chat", first=3, count=1)
    assert not peers.arrived("a", "typing", first=0, count=1)
    assert not peers.sent("a", {"chat": 4, "typing": 1})


def test_a_gap_is_noticed_once() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    peers.arrived("a", "chat", first=0, count=1)
    assert peers.arrived("a", "chat", first=2, count=1)
    assert not peers.arrived("a", "chat", first=3, count=1)


def test_a_loss_that_nothing_follows_is_noticed_by_what_the_node_says() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    peers.arrived("a", "chat", first=0, count=1)
    assert peers.sent("a", {"chat": 2})
    assert not peers.sent("a", {"chat": 2})


def test_what_a_node_sent_before_it_was_found_was_missed() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    assert peers.arrived("a", "chat", first=7, count=1)


def test_what_comes_late_does_not_look_like_a_second_loss() -> None:
    peers = Peers(lost_after=10)
    peers.alive("a", now=0)
    assert peers.arrived("a", "chat", first=2, count=1)
    assert not peers.arrived("a", "chat", first=0, count=2)
    assert not peers.arrived("a", "chat", first=3, count=1)
