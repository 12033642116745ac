import pytest

from tests.support.audit import Findings, Place, Run, Sent, Stored, audit

CHAT = "chat"
ROWS = [Stored(seq, f"id {seq}", "ann" if seq % 2 else "ben", f"nonce {seq}", f"body {seq}") for seq in range(2, 8)]
SENT = {Sent(CHAT, row.author_id, row.nonce): row.body for row in ROWS}
PLACES = [Place(row.seq, row.id) for row in ROWS]
ACKNOWLEDGED = dict(zip(SENT, PLACES, strict=True))


def audited(
    rows: list[Stored], *, last: int = 7, heard: list[Place] | None = None, since: int = 1, upto: int = 7
) -> Findings:
    run = Run(CHAT, since=since, upto=upto, places=PLACES if heard is None else heard)
    return audit({CHAT: rows}, seqs={CHAT: last}, sent=SENT, acknowledged=ACKNOWLEDGED, heard=[run])


def kinds(findings: Findings) -> set[str]:
    with pytest.raises(AssertionError):
        findings.verify()
    return {kind for kind, lines in vars(findings).items() if lines}


def renumbered(rows: list[Stored]) -> list[Stored]:
    return [row._replace(seq=seq) for seq, row in enumerate(rows, start=2)]


def test_a_history_in_which_all_is_well_passes() -> None:
    audited(ROWS).verify()
    audited(ROWS, heard=PLACES[2:5], since=3, upto=6).verify()
    audited(ROWS, heard=[], since=7, upto=7).verify()


def test_an_acknowledged_message_that_is_not_there_is_lost() -> None:
    assert "lost" in kinds(audited(ROWS[:-1], last=6, heard=[], since=0, upto=0))
    assert "lost" in kinds(audited(renumbered(ROWS[:2] + ROWS[3:]), last=6, heard=[], since=0, upto=0))


def test_a_hole_in_the_numbers_is_found() -> None:
    assert "out_of_order" in kinds(audited(ROWS[:2] + ROWS[3:]))
    assert "out_of_order" in kinds(audited(ROWS, last=8))


def test_messages_that_changed_places_are_found() -> None:
    swapped = [ROWS[1], ROWS[0], *ROWS[2:]]
    assert "out_of_order" in kinds(audited(swapped))
    assert "altered" in kinds(audited(renumbered(swapped)))


def test_a_nonce_that_is_there_twice_is_found() -> None:
    again = ROWS[0]._replace(seq=8, id="another id")
    assert "twice" in kinds(audited([*ROWS, again], last=8))


def test_a_message_that_nobody_sent_or_that_has_another_text_is_found() -> None:
    assert "altered" in kinds(audited([*ROWS, Stored(8, "id 8", "cat", "nonce", "who?")], last=8))
    assert "altered" in kinds(audited([*ROWS[:-1], ROWS[-1]._replace(body="another text")]))


def test_a_reader_who_missed_a_message_is_found() -> None:
    for missed in range(len(PLACES)):
        assert kinds(audited(ROWS, heard=PLACES[:missed] + PLACES[missed + 1 :])) == {"lost"}


def test_a_reader_who_heard_a_message_twice_is_found() -> None:
    assert "twice" in kinds(audited(ROWS, heard=[*PLACES, PLACES[-1]]))
    assert "twice" in kinds(audited(ROWS, heard=[PLACES[0], *PLACES]))


def test_a_reader_who_heard_messages_in_another_order_is_found() -> None:
    assert kinds(audited(ROWS, heard=[*PLACES[:3], PLACES[4], PLACES[3], PLACES[5]])) == {"out_of_order"}


def test_a_reader_who_heard_what_is_not_there_is_found() -> None:
    assert "altered" in kinds(audited(ROWS, heard=[*PLACES[:-1], Place(7, "another id")]))
