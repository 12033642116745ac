from uuid import uuid4

import pytest

from tests.conftest import NewPerson
from tests.rest.checks import OWN_USER, USER, done, fits, refused
from tests.rest.conftest import Group
from tests.support.person import PASSWORD, Person


async def _found(person: Person, query: str) -> list[str]:
    found = done(await person.get("/users", q=query))
    assert set(found) == {"users"}
    return [user["username"] for user in found["users"]]


async def test_one_finds_people_by_a_part_of_either_name_in_any_case(new_person: NewPerson) -> None:
    mark = uuid4().hex[:10]
    ada = await new_person(username=f"ada-{mark}", display_name=f"Countess Lovelace {mark}")
    bob = await new_person(username=f"bob-{mark}", display_name=f"Bob {mark}")
    assert await _found(bob, f"ADA-{mark}") == [ada.username]
    assert await _found(bob, f"lovelace {mark}") == [ada.username]
    assert await _found(ada, f" {mark} ") == [bob.username, ada.username]
    assert await _found(ada, f"{mark} nobody") == []


async def test_marks_of_the_query_language_are_ordinary_characters(administrator: Person) -> None:
    for query in ("%", "_%", "\\", "'", "a%z"):
        assert administrator.username not in await _found(administrator, query)


async def test_everyone_sees_people_but_only_administrators_and_oneself_see_who_administers(
    administrator: Person, new_person: NewPerson
) -> None:
    person = await new_person()
    fits(done(await person.get(f"/users/{administrator.id}")), USER)
    fits(done(await person.get(f"/users/{person.id}")), OWN_USER)
    fits(done(await administrator.get(f"/users/{person.id}")), OWN_USER)
    for user in done(await person.get("/users"))["users"]:
        fits(user, USER)
    for user in done(await administrator.get("/users"))["users"]:
        fits(user, OWN_USER)


async def test_an_empty_query_finds_at_most_fifty_people(administrator: Person) -> None:
    assert 1 <= len(await _found(administrator, "")) <= 50


async def test_an_unknown_person_is_not_found(administrator: Person) -> None:
    refused(await administrator.get(f"/users/{uuid4()}"), 404, "not_found")


async def test_a_query_has_at_most_200_characters(administrator: Person) -> None:
    assert await _found(administrator, "x" * 200) == []
    refused(await administrator.get("/users", q="x" * 201), 422, "validation_failed", field="q", says="200")


@pytest.mark.parametrize("query", ["\x00", "a\x00b"])
async def test_a_query_with_nul_is_refused(administrator: Person, query: str) -> None:
    refused(await administrator.get("/users", q=query), 422, "validation_failed", field="q")


async def test_one_who_is_deactivated_is_out_at_once_and_comes_back_when_reactivated(
    administrator: Person, new_person: NewPerson
) -> None:
    person, other = await new_person(), await new_person()
    path = f"/users/{person.id}"
    for _ in range(2):
        done(await administrator.post(f"{path}/deactivate"), 204)
    refused(await person.get("/me"), 401, "not_authenticated")
    refused(await other.post("/auth/login", username=person.username, password=PASSWORD), 401, "not_authenticated")
    assert not done(await administrator.get(path), shape=OWN_USER)["is_active"]
    fits(done(await other.get(path)), USER)
    assert await _found(other, person.username) == []
    assert await _found(administrator, person.username) == [person.username]
    chat = await other.group_chat()
    for answer in (
        await other.post(f"/chats/{chat['id']}/members", user_id=person.id),
        await other.post("/chats", kind="private", member_ids=[person.id]),
    ):
        refused(answer, 422, "validation_failed", field=answer.json()["field"], says="deactivated")
    done(await administrator.post(f"{path}/reactivate"), 204)
    await person.sign_in()
    assert done(await person.get("/me"), shape=OWN_USER)["is_active"]


async def test_an_administrator_sets_a_password_that_was_forgotten(
    administrator: Person, new_person: NewPerson
) -> None:
    person = await new_person()
    done(await administrator.post(f"/users/{person.id}/password", new_password="another password"), 204)
    refused(await person.get("/me"), 401, "not_authenticated")
    refused(await person.post("/auth/login", username=person.username, password=PASSWORD), 401, "not_authenticated")
    person.password = "another password"
    await person.sign_in()
    path = f"/users/{person.id}/password"
    refused(await administrator.post(path, new_password="short"), 422, "validation_failed", field="new_password")


async def test_administrators_do_not_do_it_to_themselves(administrator: Person) -> None:
    path = f"/users/{administrator.id}"
    refused(await administrator.post(f"{path}/deactivate"), 409, "conflict")
    refused(await administrator.post(f"{path}/password", new_password="another password"), 403, "forbidden")


async def test_only_administrators_change_the_accounts_of_others(administrator: Person, group: Group) -> None:
    for call, body in (("deactivate", {}), ("reactivate", {}), ("password", {"new_password": "another password"})):
        refused(await group.member.post(f"/users/{group.stranger.id}/{call}", **body), 403, "forbidden")
        refused(await administrator.post(f"/users/{uuid4()}/{call}", **body), 404, "not_found")
    done(await group.stranger.get("/me"))
