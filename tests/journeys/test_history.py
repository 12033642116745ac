from playwright.async_api import expect

from tests.conftest import NewPage, NewPerson
from tests.journeys.screen import Screen

MESSAGES = 110
LONG, ROWS = 420, 300

SCROLL_TO_THE_BEGINNING = """async (log) => {
  const found = { numbers: [], rows: 0, jump: 0 };
  const rows = () => [...log.querySelectorAll("article")];
  for (let quiet = 0, held = 0, before = new Map(); quiet < 30; ) {
    const edges = new Map(), box = log.getBoundingClientRect();
    found.rows = Math.max(found.rows, rows().length);
    for (const row of rows().reverse()) {
      const { top, bottom } = row.getBoundingClientRect();
      if (bottom <= box.top || top >= box.bottom) continue;
      edges.set(row.dataset.key, bottom);
      const number = Number(row.querySelector(".prose").textContent.match(/\\d+/)[0]);
      if (!found.numbers.includes(number)) found.numbers.push(number);
    }
    for (const [key, at] of edges)
      if (before.has(key)) found.jump = Math.max(found.jump, Math.abs(at - before.get(key) - held));
    const room = log.scrollTop;
    held = Math.min(300, room);
    quiet = room || document.querySelector(".loading") ? 0 : quiet + 1;
    before = edges;
    log.scrollTop = room - held;
    await new Promise(requestAnimationFrame);
  }
  return found;
}"""
"""Scrolls up as a wheel does; notes each number seen, the most rows there were, and what else moved what was seen."""


async def test_older_messages_load_while_the_view_stays_where_it_is(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="History")
    for number in range(MESSAGES):
        await (ada if number % 2 else bob).say(chat["id"], f"message {number} of many\n\nwith two paragraphs")
    await ada.post(f"/chats/{chat['id']}/read", seq=10_000)
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await expect(screen.message(f"message {MESSAGES - 1} of")).to_be_in_viewport()

    watched = screen.message(f"message {MESSAGES - 50} of")
    await watched.scroll_into_view_if_needed()
    before = await watched.bounding_box()
    await expect(screen.message(f"message {MESSAGES - 60} of")).to_be_attached()
    after = await watched.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2, "the view jumped"

    for _ in range(8):
        await screen.log.evaluate("log => log.scrollTop = 0")
        if await screen.message("message 0 of").count():
            break
        await expect(screen.page.get_by_text("Loading…")).to_have_count(0)
    await expect(screen.page.get_by_text("This is the beginning of")).to_be_attached()

    await bob.say(chat["id"], "something new")
    newest = screen.page.get_by_role("button", name="1 new")
    await expect(newest).to_be_visible()
    await newest.click()
    await expect(screen.message("something new")).to_be_in_viewport()
    await expect(newest).to_be_hidden()


async def test_the_document_holds_a_bounded_part_of_a_long_history_and_nothing_of_it_is_skipped(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="Long")
    for number in range(LONG):
        await bob.say(chat["id"], f"number {number} of many")
    await ada.post(f"/chats/{chat['id']}/read", seq=10_000)
    screen = await Screen.of(new_page, ada, f"/chat/{chat['id']}")
    await expect(screen.message(f"number {LONG - 1} of")).to_be_in_viewport()

    seen = await screen.log.evaluate(SCROLL_TO_THE_BEGINNING)
    assert seen["numbers"] == list(range(LONG - 1, -1, -1))
    assert seen["rows"] <= ROWS
    assert seen["jump"] < 2, "the view jumped"


async def test_a_message_found_by_searching_is_shown_among_its_neighbours(
    new_person: NewPerson, new_page: NewPage
) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="Searching")
    await bob.say(chat["id"], "the needle")
    for number in range(60):
        await bob.say(chat["id"], f"hay {number}")
    screen = await Screen.of(new_page, ada)

    await screen.page.get_by_role("button", name="Search messages").click()
    await screen.page.get_by_label("Words that the message contains").fill("needl")
    await screen.dialog("Search messages").get_by_role("button", name="the needle").click()
    await expect(screen.message("the needle")).to_be_in_viewport()
    await expect(screen.message("hay 0")).to_be_in_viewport()


async def test_a_line_marks_what_is_new_until_it_is_read(new_person: NewPerson, new_page: NewPage) -> None:
    ada, bob = await new_person(), await new_person()
    chat = await ada.group_chat(bob, title="New line")
    await bob.say(chat["id"], "read already")
    await ada.post(f"/chats/{chat['id']}/read", seq=10_000)
    await bob.say(chat["id"], "not read yet")
    elsewhere = await ada.private_chat(bob)
    screen = await Screen.of(new_page, ada, f"/chat/{elsewhere['id']}")

    await expect(screen.chat("New line")).to_contain_text("1")
    await screen.chat("New line").click()
    await expect(screen.page.get_by_text("New", exact=True)).to_be_visible()
    await expect(screen.chat("New line").get_by_text("unread")).to_have_count(0)
    await screen.chat(bob.username).click()
    await screen.chat("New line").click()
    await expect(screen.message("not read yet")).to_be_visible()
    await expect(screen.page.get_by_text("New", exact=True)).to_have_count(0)
