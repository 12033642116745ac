from pathlib import Path

import pytest

from services.disk_room import DiskRoom
from services.errors import Unavailable


def test_a_disk_with_less_room_than_is_kept_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="disk is full"):
        DiskRoom(tmp_path, least=1 << 62).check()


def test_a_disk_with_room_takes_everything(tmp_path: Path) -> None:
    DiskRoom(tmp_path, least=1).check()


def test_a_disk_that_cannot_be_asked_is_no_reason_to_refuse(tmp_path: Path) -> None:
    DiskRoom(tmp_path / "missing", least=1).check()
