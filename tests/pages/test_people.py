import pytest

from services import accounts, sessions, views
from services.errors import NotAuthenticated
from services.parley import Parley
from tests.pages.conftest import SignUp, Visit
from tests.support.person import PASSWORD


async def sign_in(parley: Parley, username: str, password: str = PASSWORD) -> views.SignedIn:
    return await accounts.sign_in(parley, username=username, password=password, address="192.0.2.7", device="another")


async def test_an_administrator_deactivates_someone_and_lets_them_back_in(
    parley: Parley, sign_up: SignUp, visit: Visit
) -> None:
    user = await visit(await sign_up("ada"))
    bob = await sign_up("bob")
    await user.open("/people")
    await user.should_see("Ada · you")
    await user.should_see("@ada · administrator")

    user.find(marker="end").click()
    await user.should_see("@bob is signed out everywhere and cannot sign in any more.")
    assert await sessions.authenticate(parley, bob.token) is not None
    user.find(marker="confirm").click()
    await user.should_see("@bob · deactivated")
    assert await sessions.authenticate(parley, bob.token) is None
    with pytest.raises(NotAuthenticated):
        await sign_in(parley, "bob")

    user.find(marker="reactivate").click()
    await user.should_not_see("deactivated")
    await sign_in(parley, "bob")


async def test_an_administrator_sets_a_password_for_someone(parley: Parley, sign_up: SignUp, visit: Visit) -> None:
    user = await visit(await sign_up("ada"))
    bob = await sign_up("bob")
    await user.open("/people")
    user.find(marker="set").click()
    await user.should_see("Set a password for Bob")
    user.find("New password").clear().type("short")
    user.find(marker="save").click()
    await user.should_see("New password must be 8 to 256 characters")
    user.find("New password").clear().type("another password")
    user.find(marker="save").click()
    await user.should_see("The password of Bob is set.", retries=100)  # hashing takes a while
    assert await sessions.authenticate(parley, bob.token) is None
    await sign_in(parley, "bob", "another password")


async def test_people_are_searched_by_name(sign_up: SignUp, visit: Visit) -> None:
    user = await visit(await sign_up("ada"))
    await sign_up("bob")
    await user.open("/people")
    user.find("Search people").type("bo")
    await user.should_not_see("Ada · you")
    await user.should_see("Bob")
    user.find("Search people").type("x")
    await user.should_see("Nobody found.")


async def test_others_manage_nobody(sign_up: SignUp, visit: Visit) -> None:
    await sign_up("ada")
    user = await visit(await sign_up("bob"))
    await user.open("/people")
    await user.should_see("Only administrators manage the people of this server.")
    await user.should_not_see("ada")
