from datetime import UTC, datetime, timedelta

import pytest

from pages.sessions import ago, described
from services import accounts, sessions
from services.parley import Parley
from tests.pages.conftest import SignUp, Visit
from tests.support.person import PASSWORD

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36 Edg/156.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1"


@pytest.mark.parametrize(
    ("device", "shown"),
    [
        (WINDOWS, "Edge on Windows"),
        (PHONE, "Safari on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Linux"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "Unknown device"),
    ],
)
def test_a_device_is_named_as_people_name_it(device: str, shown: str) -> None:
    assert described(device) == shown


@pytest.mark.parametrize(("minutes", "said"), [(0, "just now"), (5, "5 minutes ago"), (125, "2 hours ago")])
def test_a_moment_is_told_by_how_long_it_was_ago(minutes: int, said: str) -> None:
    assert ago(datetime.now(UTC) - timedelta(minutes=minutes)) == said


async def test_one_sees_where_one_is_signed_in_and_ends_all_others(
    parley: Parley, sign_up: SignUp, visit: Visit
) -> None:
    ada = await sign_up("ada")
    elsewhere = await accounts.sign_in(parley, username="ada", password=PASSWORD, address="192.0.2.7", device=WINDOWS)
    user = await visit(ada)
    await user.open("/sessions")
    await user.should_see("Edge on Windows")
    await user.should_see("192.0.2.7")

    user.find("Sign out everywhere else").click()
    await user.should_see("Every other browser")
    user.find(marker="confirm").click()
    await user.should_not_see("Edge on Windows")
    assert await sessions.authenticate(parley, elsewhere.token) is None
    assert await sessions.authenticate(parley, ada.token) is not None


async def test_a_page_whose_session_ended_changes_nothing(parley: Parley, sign_up: SignUp, visit: Visit) -> None:
    ada = await sign_up("ada")
    elsewhere = await accounts.sign_in(
        parley, username="ada", password=PASSWORD, address="192.0.2.7", device="another"
    )
    user = await visit(ada)
    await user.open("/sessions")
    async with parley.transaction() as tx:
        await sessions.end(tx, actor=ada.user.id, session_id=ada.session.id)

    user.find(content="Sign out", marker="end-session").click()
    await user.should_see("Sign in first.")
    assert await sessions.authenticate(parley, elsewhere.token) is not None
