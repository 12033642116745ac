from nicegui import ui

from pages.live.element import Live
from services import accounts, chats
from services.parley import Parley
from tests.pages.conftest import SignUp, Visit
from tests.support.processes import until


async def test_a_new_group_needs_a_name_and_the_dialog_waits_for_it(
    parley: Parley, sign_up: SignUp, visit: Visit
) -> None:
    ada, bob = await sign_up("ada"), await sign_up("bob")
    user = await visit(ada)
    await user.open("/")
    user.find(kind=Live).trigger("act", ["newChat"])
    await user.should_see("Bob", retries=20)

    user.find("Group").click()
    user.find(marker="bob").click()
    user.find("Create group").click()
    await user.should_see("1 to 80 characters")
    user.find(kind=ui.input, content="Name of the group").type("Choir")
    user.find("Create group").click()

    async def made() -> bool:
        async with parley.snapshot() as tx:
            return [chat.title for chat in await chats.list_for(tx, actor=bob.user.id)] == ["Choir"]

    await until(made, otherwise=lambda: "Bob is not in the group")


async def test_one_without_a_session_is_sent_to_sign_in_and_back(sign_up: SignUp, visit: Visit) -> None:
    ada = await sign_up("ada")
    user = await visit(ada)
    user.http_client.cookies.clear()
    answer = await user.http_client.get("/sessions?x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/sessions%3Fx%3D1"


async def test_one_changes_ones_display_name(parley: Parley, sign_up: SignUp, visit: Visit) -> None:
    ada = await sign_up("ada")
    user = await visit(ada)
    await user.open("/")
    user.find(kind=Live).trigger("act", ["profile"])
    await user.should_see("Your name", retries=20)
    user.find("Your name").clear().type("Countess")
    user.find("Save").click()

    async def renamed() -> bool:
        async with parley.snapshot() as tx:
            return (await accounts.me(tx, actor=ada.user.id)).display_name == "Countess"

    await until(renamed, otherwise=lambda: "the name is the old one")
