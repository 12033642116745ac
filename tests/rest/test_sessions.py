from uuid import uuid4

from tests.conftest import NewPerson
from tests.rest.checks import OWN_SESSION, done, fits, refused
from tests.support.person import Person


async def test_one_sees_where_one_is_signed_in_the_latest_first(new_person: NewPerson) -> None:
    person = await new_person()
    async with Person(person.url, username=person.username) as phone:
        signed_in = done(
            await phone.request(
                "POST",
                "/auth/login",
                json={"username": person.username, "password": person.password},
                headers={"User-Agent": "Phone/1.0 " + "x" * 500},
            )
        )
        found = done(await person.get("/sessions"))
    assert set(found) == {"sessions"}
    for session in found["sessions"]:
        fits(session, OWN_SESSION)
    latest, first = found["sessions"]
    assert (latest["id"], first["id"]) == (signed_in["session"]["id"], person.session_id)
    assert latest["device"].startswith("Phone/1.0 ")
    assert len(latest["device"]) == 200
    assert (latest["current"], first["current"]) == (False, True)
    assert latest["address"] == "127.0.0.1"


async def test_a_session_that_was_ended_elsewhere_is_refused_at_once(new_person: NewPerson) -> None:
    person = await new_person()
    async with Person(person.url, username=person.username) as phone:
        await phone.sign_in()
        async with phone.socket() as socket:
            done(await person.delete(f"/sessions/{phone.session_id}"), 204)
            refused(await phone.get("/me"), 401, "not_authenticated")
            assert await socket.closed(within=1.0) == 4401
        refused(await person.delete(f"/sessions/{phone.session_id}"), 404, "not_found")
    assert len(done(await person.get("/sessions"))["sessions"]) == 1


async def test_one_may_end_the_session_that_asks(new_person: NewPerson) -> None:
    person = await new_person()
    done(await person.delete(f"/sessions/{person.session_id}"), 204)
    refused(await person.get("/me"), 401, "not_authenticated")


async def test_one_ends_all_sessions_but_the_one_that_asks(new_person: NewPerson) -> None:
    person = await new_person()
    async with (
        Person(person.url, username=person.username) as phone,
        Person(person.url, username=person.username) as tablet,
    ):
        await phone.sign_in()
        await tablet.sign_in()
        done(await phone.delete("/sessions"), 204)
        refused(await person.get("/me"), 401, "not_authenticated")
        refused(await tablet.get("/me"), 401, "not_authenticated")
        left = done(await phone.get("/sessions"))["sessions"]
        assert [session["id"] for session in left] == [phone.session_id]
        done(await phone.delete("/sessions"), 204)


async def test_nobody_ends_the_session_of_another(pair: tuple[Person, Person]) -> None:
    ada, bob = pair
    refused(await ada.delete(f"/sessions/{bob.session_id}"), 404, "not_found")
    refused(await ada.delete(f"/sessions/{uuid4()}"), 404, "not_found")
    done(await bob.get("/me"))
