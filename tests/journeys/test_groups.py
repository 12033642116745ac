import re

from playwright.async_api import expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen


async def test_a_group_is_made_renamed_and_changed_before_everyones_eyes(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada = await new_person()
    bob, eve = await new_person(display_name="Bob Groups"), await new_person(display_name="Eva Groups")
    owner, member, other = [await Screen.of(new_page, person) for person in (ada, bob, eve)]

    await owner.page.get_by_role("button", name="New chat").click()
    await owner.page.get_by_role("button", name="Group", exact=True).click()
    await owner.page.get_by_label("Name of the group").fill("Choir")
    await owner.page.get_by_label("Search people").fill("Bob Groups")
    await owner.page.get_by_role("button", name="Bob Groups").click()
    await owner.page.get_by_role("button", name="Create group").click()
    await expect(member.chat("Choir")).to_be_visible()

    await owner.choose("More about this chat", "Rename")
    await owner.page.get_by_label("Name of the group").fill("Big choir")
    await owner.page.get_by_role("button", name="Rename").click()
    await expect(member.chat("Big choir")).to_be_visible()

    await owner.choose("More about this chat", "Add people")
    await owner.page.get_by_label("Search people").fill("Eva Groups")
    await owner.page.get_by_role("button", name="Eva Groups").click()
    await owner.page.get_by_role("button", name="Done").click()
    await expect(other.chat("Big choir")).to_be_visible()

    await owner.choose("More about this chat", "Close chat")
    await owner.dialog("Close this chat?").get_by_role("button", name="Close").click()
    await member.chat("Big choir").click()
    await expect(member.page.get_by_text("This chat is closed")).to_be_visible()
    await owner.choose("More about this chat", "Reopen")
    await expect(member.composer).to_be_visible()

    await owner.choose("More about this chat", "Hand over ownership")
    await owner.page.get_by_role("combobox", name="New owner").click()
    await owner.page.get_by_role("option", name="Bob Groups").click()
    await owner.page.get_by_role("button", name="Hand over").click()
    await owner.dialog("Make Bob Groups the owner?").get_by_role("button", name="Hand over").click()
    await member.page.get_by_role("button", name="Members").click()
    await expect(member.page.get_by_role("listitem").filter(has_text="Bob Groups")).to_contain_text("owner")

    await owner.choose("More about this chat", "Leave chat")
    await owner.dialog("Leave this chat?").get_by_role("button", name="Leave").click()
    await expect(owner.chat("Big choir")).to_have_count(0)
    await expect(member.page.get_by_text(re.compile("Group, 2 members"))).to_be_visible()


async def test_one_who_is_removed_is_cut_off_at_once(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person(display_name="Bob Removed")
    chat = await ada.group_chat(bob, title="Secrets")
    await ada.say(chat["id"], "the first secret")
    owner = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    removed = await Screen.of(new_page, bob, f"/chat/{chat['id']}")
    await expect(removed.message("the first secret")).to_be_visible()

    await owner.page.get_by_role("button", name="Members").click()
    row = owner.page.get_by_role("listitem").filter(has_text="Bob Removed")
    await row.get_by_role("button", name="Remove from the chat").click()
    await owner.dialog("Remove Bob Removed?").get_by_role("button", name="Remove").click()

    await expect(removed.chat("Secrets")).to_have_count(0)
    await expect(removed.message("the first secret")).to_have_count(0)
    await expect(removed.page.get_by_text("You are no longer in")).to_be_visible()
    await expect(row).to_have_count(0)
