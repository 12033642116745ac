from services import invites
from services.parley import Parley
from tests.pages.conftest import SignUp, Visit


async def test_an_administrator_makes_and_withdraws_an_invitation(
    parley: Parley, sign_up: SignUp, visit: Visit
) -> None:
    administrator = await sign_up("ada")
    user = await visit(administrator)
    await user.open("/invites")
    await user.should_see("There are no open invitations.")

    user.find("People it admits").clear().type("3")
    user.find("Make a link").click()
    await user.should_see("http://test/sign-up?invite=")
    await user.should_see("admits 3 people, for 7 days")

    user.find(marker="withdraw").click()
    await user.should_see("Withdraw this invitation?")
    user.find(marker="confirm").click()
    await user.should_see("There are no open invitations.")
    async with parley.snapshot() as tx:
        assert await invites.list_all(tx, actor=administrator.user.id, origin="") == []


async def test_others_make_no_invitations(sign_up: SignUp, visit: Visit) -> None:
    await sign_up("ada")
    user = await visit(await sign_up("bob"))
    await user.open("/invites")
    await user.should_see("Only administrators invite people to this server.")
    await user.should_not_see("Make a link")
